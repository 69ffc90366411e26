//! The sum is the sum, to the last bit.
use proptest::prelude::*;
use sottovoce_secagg::*;
use sottovoce_types::{Lanes, RingVec};

use crate::driver::{Cohort, Drops, Outcome, run_round};

fn sum_of(cohort: &mut Cohort, inputs: &[RingVec]) -> SecureSum {
    match run_round(cohort, inputs, &Drops::default()) {
        Outcome::Sum(sum) => sum,
        other => panic!("{other:?}"),
    }
}

#[test]
fn claim_sum_is_exact_for_every_cohort_size_up_to_twenty() {
    for n in 2..=20 {
        let f = if n == 2 { 0 } else { (n as u32).div_ceil(3) - 1 };
        let mut cohort = Cohort::new(n, f);
        let inputs: Vec<RingVec> = (0..n).map(|i| cohort.pack(&cohort.input(i))).collect();
        let sum = sum_of(&mut cohort, &inputs);
        assert_eq!(sum.sum().unpack(6), cohort.plain_sum(0..n), "n {n} f {f}");
        assert_eq!(sum.contributors().len(), n);
        assert_eq!(sum.survivors(), sum.roster());
        assert!(sum.dropouts().is_empty() && sum.complaints().is_empty());
        assert_eq!(sum.honest_floor(), quorum(n as u32, f) - f);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Every lane count, lengths that do not fill the last word, and values up to the edge that n clients may reach together.
    #[test]
    fn claim_sum_is_exact_for_every_lane_count_length_and_extreme(
        n in 2usize..7, lanes in 1u8..=6, d in 1usize..40, seed: u64, picks in prop::collection::vec(0u8..4, 280),
    ) {
        let mut cohort = Cohort::seeded(n, 0, seed);
        let lanes = Lanes::new(lanes).unwrap();
        cohort.session.lanes = lanes;
        cohort.session.words = lanes.words(d);
        let edge = i64::try_from(lanes.max_magnitude() / n as u64).unwrap();
        let values: Vec<Vec<i64>> = (0..n)
            .map(|i| (0..d).map(|k| match picks[i * 40 + k] { 0 => edge, 1 => -edge, 2 => 0, _ => (k as i64) % (edge + 1) }).collect())
            .collect();
        let inputs: Vec<RingVec> = values.iter().map(|v| RingVec::pack(v, lanes).unwrap()).collect();
        let expected: Vec<i64> = (0..d).map(|k| values.iter().map(|v| v[k]).sum()).collect();
        prop_assert_eq!(sum_of(&mut cohort, &inputs).sum().unpack(d), expected);
    }
}

/// Every suite that makes masks.
fn masked_suites() -> impl Iterator<Item = MaskSuite> {
    MaskSuite::ALL.into_iter().filter(|suite| suite.prg().is_some())
}

/// Lengths around the chunk of mask expansion (512 words), the least part of a thread (4096) and the block (8192), in every
/// suite, with a dropout: a mask that one side cuts elsewhere, or that the coordinator makes otherwise, would not cancel.
#[test]
fn claim_sum_is_exact_in_every_suite_when_the_vector_is_not_a_multiple_of_a_block() {
    for suite in masked_suites() {
        for words in [1, 511, 512, 513, 1537, 4097, 8191, 8193] {
            let mut cohort = Cohort::new(4, 0);
            cohort.session.words = words;
            cohort.session.suite = suite;
            cohort.session.allow_plain = suite.is_for_simulation();
            let inputs: Vec<RingVec> = (0..4u64)
                .map(|i| {
                    let words = (0..words as u64).map(|k| k.wrapping_mul(i + 3));
                    RingVec::from_words(words.collect(), cohort.session.lanes)
                })
                .collect();
            let of = |factor: u64| (0..words as u64).map(|k| k.wrapping_mul(factor)).collect::<Vec<_>>();
            assert_eq!(sum_of(&mut cohort, &inputs).sum().words(), of(3 + 4 + 5 + 6), "{suite:?} {words} words");
            let drops = Drops { inputs: [1].into(), ..Drops::default() };
            let Outcome::Sum(sum) = run_round(&mut cohort, &inputs, &drops) else { panic!("{suite:?}: no sum") };
            assert_eq!(sum.sum().words(), of(3 + 5 + 6), "{suite:?} {words} words without client 1");
        }
    }
}

/// Masks of two: what one adds the other takes off, in every suite, for odd dimensions and for fewer values than lanes.
#[test]
fn claim_masks_of_two_cancel_in_every_suite_for_odd_dimensions_and_fewer_values_than_lanes() {
    for suite in masked_suites() {
        for lanes in 1..=6 {
            let lanes = Lanes::new(lanes).unwrap();
            for d in [1, 2, 3, 5, 7, 101] {
                let mut cohort = Cohort::new(2, 0);
                (cohort.session.lanes, cohort.session.words) = (lanes, lanes.words(d));
                cohort.session.suite = suite;
                cohort.session.allow_plain = suite.is_for_simulation();
                let values = |sign: i64| (0..d as i64).map(|k| sign * (k % 13)).collect::<Vec<_>>();
                let (a, b) = (RingVec::pack(&values(3), lanes).unwrap(), RingVec::pack(&values(-1), lanes).unwrap());
                assert_eq!(sum_of(&mut cohort, &[a, b]).sum().unpack(d), values(2), "{suite:?} {lanes:?} d {d}");
            }
        }
    }
}

/// All lane counts and sizes of cohorts: the extreme that n clients may reach together in the first values, and a whole lane,
/// ±(2^(w−1) − 1) against its opposite, in the last. A whole round costs n² key agreements: every size up to 200 is tested on
/// the masks alone, in `mask::tests`.
#[test]
fn claim_sum_of_extremes_is_exact_for_every_lane_count() {
    let sizes = (2..=14).chain([20, 40]);
    for (turn, n) in sizes.enumerate() {
        for lanes in (1..=6u8).filter(|lanes| n <= 6 || usize::from(*lanes) == 1 + turn % 6) {
            let lanes = Lanes::new(lanes).unwrap();
            let top = i64::try_from(lanes.max_magnitude()).unwrap();
            let share = top / n as i64;
            let value = |i: usize| {
                let opposite = if i == 0 {
                    top
                } else if i == 1 {
                    -top
                } else {
                    0
                };
                vec![share, -share, share, -share, 0, 1, -1, opposite, -opposite]
            };
            let mut cohort = Cohort::new(n, 0);
            (cohort.session.lanes, cohort.session.words) = (lanes, lanes.words(9));
            let inputs: Vec<RingVec> = (0..n).map(|i| RingVec::pack(&value(i), lanes).unwrap()).collect();
            let all = n as i64;
            let expected = vec![all * share, -all * share, all * share, -all * share, 0, all, -all, 0, 0];
            assert!(share > 0, "n {n} {lanes:?}: a lane has room for one unit a client");
            assert_eq!(sum_of(&mut cohort, &inputs).sum().unpack(9), expected, "n {n} {lanes:?}");
        }
    }
}

/// The control: one unit more than the clients may reach together wraps, and the test above would see it.
#[test]
fn control_a_sum_beyond_its_lane_wraps() {
    let lanes = Lanes::new(4).unwrap();
    let top = i64::try_from(lanes.max_magnitude()).unwrap();
    let mut cohort = Cohort::new(2, 0);
    (cohort.session.lanes, cohort.session.words) = (lanes, 1);
    let inputs = [RingVec::pack(&[top, 0], lanes).unwrap(), RingVec::pack(&[1, 0], lanes).unwrap()];
    assert_eq!(sum_of(&mut cohort, &inputs).sum().unpack(2), vec![-top - 1, 1]);
}

/// The control without masks sends the same messages and opens the same sum.
#[test]
fn the_control_without_masks_opens_the_same_sum() {
    let (mut masked, mut plain) = (Cohort::new(5, 1), Cohort::new(5, 1).plain());
    let inputs: Vec<RingVec> = (0..5).map(|i| masked.pack(&masked.input(i))).collect();
    let drops = Drops { inputs: [2].into(), ..Drops::default() };
    let (a, b) = (run_round(&mut masked, &inputs, &drops), run_round(&mut plain, &inputs, &drops));
    let (Outcome::Sum(a), Outcome::Sum(b)) = (a, b) else { panic!("both open") };
    assert_eq!(a.sum().unpack(6), masked.plain_sum([0, 1, 3, 4]));
    assert_eq!(a.sum(), b.sum());
    assert_eq!(a.contributors(), b.contributors());
}

#[test]
fn claim_masks_off_is_refused_outside_simulation() {
    let mut cohort = Cohort::new(3, 0).plain();
    cohort.session.allow_plain = false;
    let refused = Advertised::start(cohort.session.clone(), &cohort.sites[0], &mut cohort.rng);
    assert!(matches!(refused, Err(Abort::PlainRefused)));
}

#[test]
fn claim_masks_for_simulations_are_refused_outside_of_them() {
    for suite in masked_suites() {
        let mut cohort = Cohort::new(3, 0);
        cohort.session.suite = suite;
        let started = Advertised::start(cohort.session.clone(), &cohort.sites[0], &mut cohort.rng).map(|_| ());
        let expected = if suite == MaskSuite::ChaCha8 { Err(Abort::SuiteRefused) } else { Ok(()) };
        assert_eq!(started, expected, "{suite:?}");
        cohort.session.allow_plain = true;
        assert!(Advertised::start(cohort.session.clone(), &cohort.sites[0], &mut cohort.rng).is_ok(), "{suite:?}");
    }
}

#[test]
fn an_input_of_another_shape_is_refused_before_it_is_masked() {
    let mut cohort = Cohort::new(3, 0);
    let (mut states, _) = cohort.until_masking();
    let long = RingVec::zeros(4, cohort.session.lanes);
    assert!(matches!(
        states.pop().unwrap().submit(long, &cohort.sites[2]),
        Err(Abort::InputShape { words: 4, expected: 3 })
    ));
    let other_lanes = RingVec::zeros(3, Lanes::new(4).unwrap());
    assert!(matches!(states.pop().unwrap().submit(other_lanes, &cohort.sites[1]), Err(Abort::InputShape { .. })));
}

#[test]
fn the_honest_floor_is_known_before_the_input_is_noised() {
    let mut cohort = Cohort::new(7, 2);
    let (states, _) = cohort.until_masking();
    assert_eq!((states[0].honest_floor(), states[0].roster_size()), (3, 7));
}
