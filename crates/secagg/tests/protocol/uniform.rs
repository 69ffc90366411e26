//! What the coordinator receives from one client says nothing about its input.
use sottovoce_secagg::*;
use sottovoce_types::RingVec;

use crate::driver::Cohort;

/// Chi-square over the 256 byte values, 255 degrees of freedom. 400 is exceeded with probability 1.6e-8 by uniform bytes;
/// with a fixed seed a test either passes always or never.
const CRITICAL: f64 = 400.0;

fn chi_square(words: &[u64]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in words.iter().flat_map(|w| w.to_le_bytes()) {
        counts[usize::from(byte)] += 1;
    }
    let expected = words.len() as f64 * 8.0 / 256.0;
    counts.iter().map(|c| (f64::from(*c) - expected).powi(2) / expected).sum()
}

/// Inputs as they come from training: small integers around zero, the same for all.
fn small_inputs(words: usize, cohort: &Cohort) -> RingVec {
    let values: Vec<i64> = (0..words as i64 * 2).map(|k| (k * 37) % 201 - 100).collect();
    cohort.pack(&values)
}

/// The masked inputs of a round of five.
fn masked_inputs(mut cohort: Cohort, words: usize) -> (Vec<Vec<u64>>, RingVec) {
    cohort.session.words = words;
    let input = small_inputs(words, &cohort);
    let (states, _) = cohort.until_masking();
    let sent = states
        .into_iter()
        .zip(&cohort.sites)
        .map(|(state, site)| state.submit(input.clone(), site).unwrap().1.words().to_vec())
        .collect();
    (sent, input)
}

#[test]
fn claim_coordinator_sees_only_the_sum_masked_input_is_uniform() {
    for suite in MaskSuite::ALL.into_iter().filter(|suite| suite.prg().is_some()) {
        let mut cohort = Cohort::new(5, 1);
        cohort.session.suite = suite;
        cohort.session.allow_plain = suite.is_for_simulation();
        masked_inputs_are_uniform(cohort);
    }
}

fn masked_inputs_are_uniform(cohort: Cohort) {
    let (sent, input) = masked_inputs(cohort, 8192);
    for words in &sent {
        assert!(chi_square(words) < CRITICAL, "masked input: {}", chi_square(words));
        // And so is what remains for an adversary who guesses the input right.
        let mask: Vec<u64> = words.iter().zip(input.words()).map(|(y, x)| y.wrapping_sub(*x)).collect();
        assert!(chi_square(&mask) < CRITICAL, "mask: {}", chi_square(&mask));
    }
    // Nor do sums over some of the clients, or over all before the opening, take the masks off.
    let mut running = vec![0u64; 8192];
    for words in &sent {
        running = running.iter().zip(words).map(|(a, b)| a.wrapping_add(*b)).collect();
        assert!(chi_square(&running) < CRITICAL, "partial sum: {}", chi_square(&running));
    }
    // Two clients with the same input send nothing alike.
    let difference: Vec<u64> = sent[0].iter().zip(&sent[1]).map(|(a, b)| a.wrapping_sub(*b)).collect();
    assert!(chi_square(&difference) < CRITICAL);
}

/// The control: the same test on the same round without masks fails by orders of magnitude.
#[test]
fn control_uniformity_test_fails_without_masks() {
    let (sent, input) = masked_inputs(Cohort::new(5, 1).plain(), 8192);
    for words in &sent {
        assert_eq!(words, input.words());
        assert!(chi_square(words) > 100.0 * CRITICAL);
    }
}

/// Fresh keys in every attempt, even of one configuration: no public byte string repeats, and the same input looks new.
#[test]
fn claim_no_key_or_mask_repeats_across_attempts() {
    let mut seen = std::collections::BTreeSet::new();
    let mut cohort = Cohort::new(3, 0);
    for _ in 0..300 {
        let (_, advert) = Advertised::start(cohort.session.clone(), &cohort.sites[0], &mut cohort.rng).unwrap();
        for value in [advert.pk_mask, advert.pk_chan, advert.commit_b.0, advert.nonce] {
            assert!(seen.insert(value), "a value of an advert came twice");
        }
    }
    let mut masked = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let (states, _) = cohort.until_masking();
        for (state, site) in states.into_iter().zip(&cohort.sites) {
            assert!(masked.insert(state.submit(RingVec::zeros(3, cohort.session.lanes), site).unwrap().1.words));
        }
    }
}
