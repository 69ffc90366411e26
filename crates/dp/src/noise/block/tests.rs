//! The quick decisions against the exact ones, on the same real numbers.
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::build::{TOTAL_WEIGHT, build};
use super::proposal::BLOCKS;
use super::*;

/// Real numbers whose digits have a place: whoever asks for more of them gets the same ones.
struct Addressed {
    words: ChaCha20Rng,
    trial: u64,
    asked: [u64; 3],
    /// How often more digits than a trial's words were asked for.
    refined: usize,
}

impl Addressed {
    fn new(seed: u8) -> Self {
        Self { words: ChaCha20Rng::from_seed([seed; 32]), trial: 0, asked: [0; 3], refined: 0 }
    }
}

impl Reals for Addressed {
    fn trial(&mut self, _wanted: usize) -> Trial {
        self.trial += 1;
        self.asked = [0; 3];
        Trial { choice: self.words.next_u64(), offset: self.words.next_u64(), test: self.words.next_u64() }
    }

    fn more(&mut self, number: Number) -> u64 {
        self.refined += 1;
        let which = match number {
            Number::Offset => 0,
            Number::Test => 1,
            Number::Tail => 2,
        };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.trial.to_le_bytes());
        seed[8..16].copy_from_slice(&self.asked[which].to_le_bytes());
        seed[16] = u8::try_from(which).unwrap();
        self.asked[which] += 1;
        ChaCha20Rng::from_seed(seed).next_u64()
    }
}

/// Nothing is settled quickly, and digits come one by one.
struct Exact;

impl Reach for Exact {
    const SHORT_CUTS: bool = false;
    const MARGIN: u64 = 1 << 61;
    const FIRST_DIGITS: u32 = 3;
    const MORE_DIGITS: u32 = 1;
}

/// The fixed-point value decides as far as it may, without the table's lower bounds.
struct FixedPoint;

impl Reach for FixedPoint {
    const SHORT_CUTS: bool = false;
    const MARGIN: u64 = taylor::ERROR;
    const FIRST_DIGITS: u32 = 64;
    const MORE_DIGITS: u32 = 64;
}

fn samples<Q: Reach>(proposal: &Proposal, sigma: Sigma, seed: u8, count: usize) -> (Vec<i64>, usize) {
    let mut out = vec![0; count];
    let mut reals = Addressed::new(seed);
    fill_from::<Q>(proposal, sigma, &mut reals, &mut out);
    (out, reals.refined)
}

#[test]
fn claim_the_refinement_path_decides_as_the_fast_path() {
    for (seed, raw) in [(1, 1), (2, 40_000), (3, 1 << 16), (4, 1000 << 16), (5, 1 << 56), (6, (7 << 40) + 12_345)] {
        let sigma = Sigma::from_raw(raw).unwrap();
        let (quick, refined) = samples::<Quick>(&PROPOSAL, sigma, seed, 3000);
        assert!(raw > 1 << 50 || refined < 30, "the quick path settles nearly all: {refined}");
        assert_eq!(quick, samples::<Exact>(&PROPOSAL, sigma, seed, 3000).0, "sigma {sigma}");
        assert_eq!(quick, samples::<FixedPoint>(&PROPOSAL, sigma, seed, 3000).0, "sigma {sigma}");
    }
}

#[test]
fn a_margin_that_is_too_small_is_caught_by_the_same_comparison() {
    /// Half a million times the error that the value has.
    struct Careless;
    impl Reach for Careless {
        const SHORT_CUTS: bool = false;
        const MARGIN: u64 = 0;
        const FIRST_DIGITS: u32 = 64;
        const MORE_DIGITS: u32 = 64;
    }
    // A proposal whose A is stated 2 % too high: with no margin, or any honest one, decisions are no longer those of the exact path.
    let mut wrong = build(BLOCKS as u64, 1);
    for block in &mut wrong.blocks {
        block.scale -= block.scale / 50;
    }
    let sigma = Sigma::from_raw(1000 << 16).unwrap();
    assert_ne!(samples::<Careless>(&wrong, sigma, 7, 2000).0, samples::<Exact>(&wrong, sigma, 7, 2000).0);
}

/// The share of samples beyond `edge` grid steps, of `count`.
fn beyond(proposal: &Proposal, sigma: Sigma, edge: i64, count: usize) -> f64 {
    let (out, _) = samples::<Quick>(proposal, sigma, 9, count);
    f64::from(u32::try_from(out.iter().filter(|x| x.abs() > edge).count()).unwrap())
        / f64::from(u32::try_from(count).unwrap())
}

#[test]
fn claim_the_tail_has_the_law_of_the_table() {
    // Tables that end at 1/2 and at 1: most samples come out of the tail.
    let sigma = Sigma::from_raw(1000 << 16).unwrap();
    let count = 60_000;
    for (start, bits) in [(8, 4), (16, 4)] {
        let proposal = build(start, bits);
        assert!(proposal.tail.weight > TOTAL_WEIGHT / 4, "the tail is drawn often");
        // P[|X| > a], from tables of the normal law.
        for (edge, expected) in [(500, 0.617_075), (1000, 0.317_311), (1960, 0.049_996), (3000, 0.002_700)] {
            let found = beyond(&proposal, sigma, edge, count);
            let deviation = (expected * (1.0 - expected) / f64::from(u32::try_from(count).unwrap())).sqrt();
            assert!((found - expected).abs() < 4.5 * deviation + 5e-4 * expected, "{start} {bits} {edge}: {found}");
        }
        assert_eq!(
            samples::<Quick>(&proposal, sigma, 11, 500).0,
            samples::<Exact>(&proposal, sigma, 11, 500).0,
            "the tail refines too"
        );
    }
    // A tail whose weight says half of what it should has another law.
    let mut wrong = build(8, 4);
    wrong.tail.weight *= 2;
    assert!((beyond(&wrong, sigma, 1000, count) - 0.317_311).abs() > 0.02, "a wrong tail is caught");
}

#[test]
fn samples_are_the_same_in_one_call_or_in_many() {
    let sigma = Sigma::from_raw(3 << 16).unwrap();
    let draw = |parts: &[usize]| {
        let mut rng = ChaCha20Rng::from_seed([13; 32]);
        let mut all = Vec::new();
        for &part in parts {
            let mut out = vec![0; part];
            fill(sigma, &mut Stream::<_, { BULK }>::new(&mut rng), &mut out);
            all.extend(out);
        }
        all
    };
    let whole = draw(&[5000]);
    assert_eq!(draw(&[1, 2, 997, 4000]), whole);
    assert_eq!(draw(&[2500, 2500]), whole);
}
