//! Whole rounds over many cohort sizes, and dropouts at the edge of the quorum in every phase.
use std::collections::BTreeSet;

use sottovoce_secagg::*;
use sottovoce_types::{Lanes, RingVec};

use crate::driver::{Cohort, Drops, Outcome, run_round};

/// Values of client i of n at the edge of what n clients may reach together, and beside it.
fn extremes(i: usize, n: usize, lanes: Lanes, d: usize) -> Vec<i64> {
    let share = i64::try_from(lanes.max_magnitude()).unwrap() / n as i64;
    (0..d)
        .map(|k| match k % 4 {
            0 => share,
            1 => -share,
            2 => (i as i64 * 7 + k as i64) % (share + 1),
            _ => 0,
        })
        .collect()
}

fn exact(n: usize, f: u32, lanes: Lanes, d: usize, drops: &Drops) {
    let mut cohort = Cohort::new(n, f);
    (cohort.session.lanes, cohort.session.words) = (lanes, lanes.words(d));
    let values: Vec<Vec<i64>> = (0..n).map(|i| extremes(i, n, lanes, d)).collect();
    let inputs: Vec<RingVec> = values.iter().map(|v| RingVec::pack(v, lanes).unwrap()).collect();
    let Outcome::Sum(sum) = run_round(&mut cohort, &inputs, drops) else { panic!("n {n}: no sum") };
    let there = || (0..n).filter(|i| !drops.inputs.contains(i));
    let expected: Vec<i64> = (0..d).map(|k| there().map(|i| values[i][k]).sum()).collect();
    assert_eq!(sum.sum().unpack(d), expected, "n {n} {lanes:?} d {d}");
    assert_eq!(sum.contributors().len(), there().count());
}

/// Every lane count in every size up to 33, with the most dropouts that f allows.
#[test]
fn whole_rounds_of_2_to_33_clients_sum_extremes_exactly_with_as_many_dropouts_as_a_quorum_allows() {
    for n in [2, 3, 4, 5, 7, 10, 16, 33] {
        let f = if n == 2 { 0 } else { (n as u32).div_ceil(3) - 1 };
        let spare = n - quorum(n as u32, f) as usize;
        for lanes in 1..=6u8 {
            let gone: BTreeSet<usize> = (0..spare).collect();
            let drops = Drops { inputs: gone, ..Drops::default() };
            // Large cohorts with one lane count each: a round costs n² key agreements.
            if n <= 10 || usize::from(lanes) == 1 + n % 6 {
                exact(n, f, Lanes::new(lanes).unwrap(), 5, &drops);
            }
        }
    }
}

#[test]
fn a_whole_round_of_64_clients_sums_extremes_exactly() {
    exact(64, 6, Lanes::new(3).unwrap(), 4, &Drops { inputs: [0, 31, 63].into(), ..Drops::default() });
}

#[test]
fn a_whole_round_of_100_clients_sums_extremes_exactly() {
    exact(100, 10, Lanes::new(4).unwrap(), 4, &Drops { inputs: [99].into(), ..Drops::default() });
}

#[test]
fn a_whole_round_of_200_clients_sums_extremes_exactly() {
    exact(200, 0, Lanes::new(2).unwrap(), 3, &Drops::default());
}

#[test]
fn a_hundred_thousand_values_sum_exactly_in_every_lane_count() {
    for lanes in 1..=6 {
        let drops = Drops { inputs: [2].into(), ..Drops::default() };
        exact(3, 0, Lanes::new(lanes).unwrap(), 100_000, &drops);
    }
}

/// The cohorts of the table of quorums: n − q clients may fall silent in any phase and the sum is exact, one more and there is
/// none, in any phase.
#[test]
fn n_minus_q_dropouts_in_any_phase_give_the_exact_sum_and_one_more_gives_none() {
    for (n, f) in [(2, 0), (3, 0), (3, 1), (4, 1), (5, 1), (7, 2), (10, 1), (10, 3)] {
        for spare_more in [0, 1] {
            for first in [true, false] {
                let mut cohort = Cohort::new(n, f);
                let gone = n - cohort.q() + spare_more;
                let who: BTreeSet<usize> = if first { (0..gone).collect() } else { (n - gone..n).collect() };
                let inputs: Vec<RingVec> = (0..n).map(|i| cohort.pack(&cohort.input(i))).collect();
                let nobody = Drops::default;
                for (phase, drops) in [
                    ("shares", Drops { shares: who.clone(), ..nobody() }),
                    ("inputs", Drops { inputs: who.clone(), ..nobody() }),
                    ("signatures", Drops { signatures: who.clone(), ..nobody() }),
                    ("openings", Drops { openings: who.clone(), ..nobody() }),
                ] {
                    let outcome = run_round(&mut cohort, &inputs, &drops);
                    let in_the_sum = |i: &usize| phase == "signatures" || phase == "openings" || !who.contains(i);
                    match outcome {
                        Outcome::Sum(sum) => {
                            assert_eq!(spare_more, 0, "n {n} f {f}: a sum with {gone} gone in {phase}");
                            assert_eq!(sum.sum().unpack(6), cohort.plain_sum((0..n).filter(in_the_sum)));
                        }
                        lost => assert_eq!(spare_more, 1, "n {n} f {f}: {gone} gone in {phase}: {lost:?}"),
                    }
                }
            }
        }
    }
}
