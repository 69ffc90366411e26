//! Random graphs at sizes where disconnection is seen, against the solver's bounds. Seeds are fixed. Run with `--nocapture`
//! for the tables of `proof.md`.
#![allow(clippy::print_stdout, reason = "the tables of proof.md")]
use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::solver::{adaptive_disconnection, harary_disconnection, static_disconnection};
use super::*;

const TRIALS: u32 = 4_000;

fn cohort(n: u32, max_corrupt: u32, max_dropouts: u32) -> Cohort {
    Cohort { n, max_corrupt, max_dropouts, adversary: Adversary::SemiHonest }
}

/// The first clients are corrupt and the next dropped: picks do not depend on who is which.
fn honest_survivors(c: &Cohort) -> BTreeSet<u32> {
    (c.max_corrupt + c.max_dropouts..c.n).collect()
}

fn below(n: u32, rng: &mut ChaCha20Rng) -> u32 {
    u32::try_from(rng.next_u64() % u64::from(n)).unwrap()
}

/// A graph whose clients pick among all others; malformed by nothing, and without the cap, which trips at small k.
fn picked(n: u32, k: u32, rng: &mut ChaCha20Rng) -> BTreeMap<u32, Vec<u32>> {
    (0..n).map(|me| (me, choose_neighbours(me, n, k, rng).unwrap())).collect()
}

/// Control: odd positions pick odd ones only, and even ones even.
fn picked_by_parity(n: u32, k: u32, rng: &mut ChaCha20Rng) -> BTreeMap<u32, Vec<u32>> {
    let own_half = |me: u32, rng: &mut _| {
        let picks = choose_neighbours(me / 2, n / 2, k, rng).unwrap();
        picks.into_iter().map(|p| 2 * p + me % 2).collect()
    };
    (0..n).map(|me| (me, own_half(me, rng))).collect()
}

/// The clients in a random circle, each with the k/2 after it (and so the k/2 before it).
fn circle(n: u32, k: u32, rng: &mut ChaCha20Rng) -> BTreeMap<u32, Vec<u32>> {
    let mut order: Vec<u32> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last as usize, below(last + 1, rng) as usize);
    }
    let after = |i: u32| (1..=k / 2).map(|step| order[((i + step) % n) as usize]).collect();
    (0..n).map(|i| (order[i as usize], after(i))).collect()
}

/// How often the honest survivors are not all connected.
fn disconnected(
    c: &Cohort,
    k: u32,
    mut draw: impl FnMut(u32, u32, &mut ChaCha20Rng) -> BTreeMap<u32, Vec<u32>>,
) -> f64 {
    let rng = &mut ChaCha20Rng::seed_from_u64(u64::from(c.n * 1000 + k));
    let among = honest_survivors(c);
    let times = (0..TRIALS).filter(|_| Graph::uncapped(draw(c.n, k, rng)).parts(&among) > 1).count();
    f64::from(u32::try_from(times).unwrap()) / f64::from(TRIALS)
}

/// Whether a rate seen over [`TRIALS`] can have a probability of at most `bound`: by at most five standard deviations.
fn within(seen: f64, bound: f64) -> bool {
    let bound = bound.min(1.0);
    seen <= bound + 5.0 * (bound * (1.0 - bound) / f64::from(TRIALS)).sqrt()
}

#[test]
fn claim_random_dropouts_disconnect_no_more_often_than_the_bound() {
    println!("| n, corrupt, dropped | k | picks: seen | picks: bound | circle: seen | circle: bound |");
    let mut seen_any = 0;
    for (n, corrupt, dropped) in [(20, 4, 4), (20, 2, 8), (40, 10, 10)] {
        let c = cohort(n, corrupt, dropped);
        for k in [2, 4, 6] {
            let (picks, picks_bound) = (disconnected(&c, k, picked), static_disconnection(&c, k).exp());
            let (ring, ring_bound) = (disconnected(&c, k, circle), harary_disconnection(&c, k).exp());
            println!(
                "| {n}, {corrupt}, {dropped} | {k} | {picks:.5} | {picks_bound:.2e} | {ring:.5} | {ring_bound:.2e} |"
            );
            assert!(within(picks, picks_bound), "picks {c:?} k {k}: {picks} > {picks_bound}");
            assert!(within(ring, ring_bound), "circle {c:?} k {k}: {ring} > {ring_bound}");
            assert!(picks <= ring, "picks connect better than a circle of the same k: {c:?} {k} {picks} {ring}");
            // Nor is the bound an idle one where it says something.
            let tells = (0.01..0.5).contains(&picks_bound);
            assert!(!tells || picks > picks_bound / 4.0, "{c:?} k {k}: {picks} of {picks_bound}");
            seen_any += u32::from(tells);
        }
    }
    assert!(seen_any >= 4, "the bound was tried where failures are seen: {seen_any}");
}

#[test]
fn control_a_graph_picked_in_two_halves_breaks_the_bound() {
    let c = cohort(40, 10, 10);
    let seen = disconnected(&c, 6, picked_by_parity);
    assert!(!within(seen, static_disconnection(&c, 6).exp()), "{seen}");
}

/// Picks as bit sets, for the exhaustive coordinator.
fn bits(lists: &BTreeMap<u32, Vec<u32>>) -> Vec<u32> {
    lists.values().map(|l| l.iter().fold(0, |set, p| set | 1 << p)).collect()
}

/// Whether a coordinator that knows the graph can name survivors so that every honest one of them has `t` live picks, and
/// the honest ones fall into two parts. Exhaustive over one part; the largest other part follows by striking out, again
/// and again, who is left with too few.
fn can_split(picks: &[u32], corrupt: u32, t: u32) -> bool {
    let n = u32::try_from(picks.len()).unwrap();
    let theirs = (1u32 << corrupt) - 1;
    let honest: Vec<u32> = (corrupt..n).collect();
    let members = |set: u32| honest.iter().copied().filter(move |i| set >> i & 1 == 1);
    let lives = |i: u32, side: u32| (picks[i as usize] & (side | theirs)).count_ones() >= t;
    (1u32..1 << honest.len()).map(|set| set << corrupt).any(|part| {
        if !members(part).all(|i| lives(i, part)) {
            return false;
        }
        let near = members(part).fold(0, |near, i| near | picks[i as usize]);
        let mut other = honest.iter().copied().fold(0, |other, i| {
            let touches = (part | near) >> i & 1 == 1 || picks[i as usize] & part != 0;
            if touches { other } else { other | 1 << i }
        });
        loop {
            let left = members(other).filter(|i| lives(*i, other)).fold(0, |left, i| left | 1 << i);
            if left == other {
                return left != 0;
            }
            other = left;
        }
    })
}

/// How often a coordinator can, when that takes `needed` live picks of every client.
fn split(n: u32, corrupt: u32, k: u32, needed: u32) -> f64 {
    let rng = &mut ChaCha20Rng::seed_from_u64(u64::from(n * 100 + k));
    let times = (0..TRIALS).filter(|_| can_split(&bits(&picked(n, k, rng)), corrupt, needed)).count();
    f64::from(u32::try_from(times).unwrap()) / f64::from(TRIALS)
}

#[test]
fn claim_a_coordinator_that_knows_the_graph_splits_it_no_more_often_than_the_bound() {
    println!("| n, corrupt | k, t | can be split: seen | bound | unchecked |");
    let mut seen_any = 0;
    for (n, corrupt, k, t) in
        [(10, 2, 2, 2), (10, 3, 4, 3), (12, 3, 4, 3), (12, 4, 4, 4), (12, 4, 5, 4), (12, 5, 4, 4), (14, 4, 4, 4)]
    {
        let bound = adaptive_disconnection(&cohort(n, corrupt, 0), k, t).exp();
        let (seen, unchecked) = (split(n, corrupt, k, t), split(n, corrupt, k, 0));
        println!("| {n}, {corrupt} | {k}, {t} | {seen:.5} | {bound:.2e} | {unchecked:.5} |");
        assert!(within(seen, bound), "n {n} corrupt {corrupt} k {k} t {t}: {seen} > {bound}");
        // Control: survivors whose live picks nobody checks.
        assert!(!within(unchecked, bound), "n {n} corrupt {corrupt} k {k}: {unchecked}");
        seen_any += u32::from(seen > 0.0);
    }
    assert!(seen_any >= 5, "the bound was tried where splits are seen: {seen_any}");
}
