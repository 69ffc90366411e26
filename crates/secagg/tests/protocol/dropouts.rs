//! Whoever falls silent, whenever: the exact sum over the contributors, or a clean loss. Never a wrong sum.
use std::collections::BTreeSet;

use proptest::prelude::*;
use sottovoce_secagg::*;
use sottovoce_types::RingVec;

use crate::driver::{Cohort, Drops, Outcome, VALUES, run_round};

fn round(cohort: &mut Cohort, drops: &Drops) -> Outcome {
    let inputs: Vec<RingVec> = (0..cohort.n()).map(|i| cohort.pack(&cohort.input(i))).collect();
    run_round(cohort, &inputs, drops)
}

/// Checks a sum against the clients that should be in it.
fn assert_sum_over(cohort: &Cohort, outcome: Outcome, contributors: &[usize], what: &str) {
    let Outcome::Sum(sum) = outcome else { panic!("{what}: {outcome:?}") };
    assert_eq!(sum.contributors(), contributors.iter().map(|i| cohort.id(*i)).collect::<Vec<_>>(), "{what}");
    assert_eq!(sum.sum().unpack(VALUES), cohort.plain_sum(contributors.iter().copied()), "{what}");
}

/// The last `k` clients and the rest.
fn last(n: usize, k: usize) -> (BTreeSet<usize>, Vec<usize>) {
    ((n - k..n).collect(), (0..n - k).collect())
}

#[test]
fn claim_dropouts_before_the_roster_are_no_dropouts_or_lose_the_quorum() {
    for k in 0..6 {
        let mut cohort = Cohort::new(6, 1);
        cohort.session.n_min = 4;
        let (gone, left) = last(6, k);
        let outcome = round(&mut cohort, &Drops { adverts: gone, ..Drops::default() });
        if left.len() >= 4 {
            assert_sum_over(&cohort, outcome, &left, "adverts");
        } else {
            let lost = QuorumLost { phase: Phase::Adverts, have: left.len() as u32, need: 4 };
            assert!(matches!(outcome, Outcome::Lost(l) if l == lost));
        }
    }
}

/// n = 7, f = 2: q = 5, so two may drop in each phase, and three lose the quorum.
#[test]
fn claim_dropouts_up_to_n_minus_q_give_the_exact_sum_and_one_more_a_clean_loss() {
    for k in 0..=7 {
        let mut cohort = Cohort::new(7, 2);
        assert_eq!(cohort.q(), 5);
        let (gone, left) = last(7, k);
        let all: Vec<usize> = (0..7).collect();
        let phases = [
            (Phase::Shares, Drops { shares: gone.clone(), ..Drops::default() }, &left),
            (Phase::Inputs, Drops { inputs: gone.clone(), ..Drops::default() }, &left),
            // From here on the input is in the sum, whether its sender stays or not.
            (Phase::Signatures, Drops { signatures: gone.clone(), ..Drops::default() }, &all),
            (Phase::Openings, Drops { openings: gone.clone(), ..Drops::default() }, &all),
        ];
        for (phase, drops, contributors) in phases {
            let outcome = round(&mut cohort, &drops);
            let have = left.len() as u32;
            if k <= 2 {
                assert_sum_over(&cohort, outcome, contributors, &format!("{phase:?}, {k} dropped"));
            } else if phase == Phase::Openings {
                let failed = OpenFailed::TooFewOpenings { have, need: 5 };
                assert!(matches!(outcome, Outcome::Failed(f) if f == failed), "{k} dropped");
            } else {
                let lost = QuorumLost { phase, have, need: 5 };
                assert!(matches!(outcome, Outcome::Lost(l) if l == lost), "{phase:?}, {k} dropped");
            }
        }
    }
}

#[test]
fn a_dealers_quorum_below_n_min_is_lost() {
    let mut cohort = Cohort::new(5, 0);
    cohort.session.n_min = 5;
    let outcome = round(&mut cohort, &Drops { shares: [4].into(), ..Drops::default() });
    assert!(matches!(outcome, Outcome::Lost(QuorumLost { phase: Phase::Shares, have: 4, need: 5 })));
}

#[test]
fn two_clients_without_corruption_can_sum_but_neither_may_drop() {
    let mut cohort = Cohort::new(2, 0);
    assert_sum_over(&cohort, round(&mut Cohort::new(2, 0), &Drops::default()), &[0, 1], "two");
    let outcome = round(&mut cohort, &Drops { inputs: [0].into(), ..Drops::default() });
    assert!(matches!(outcome, Outcome::Lost(QuorumLost { phase: Phase::Inputs, have: 1, need: 2 })));
}

/// A cohort of one, and cohorts whose guaranteed honest inputs are below two, never get a roster.
#[test]
fn claim_a_sum_of_fewer_than_two_honest_inputs_is_refused() {
    for (n, f) in [(1, 0), (2, 1), (3, 2), (4, 3)] {
        let mut cohort = Cohort::new(n, f);
        cohort.session.n_min = 1;
        assert!(honest_floor(n as u32, f) < 2);
        let outcome = round(&mut cohort, &Drops::default());
        assert!(matches!(outcome, Outcome::Lost(QuorumLost { phase: Phase::Adverts, .. })), "n {n} f {f}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any pattern of silence: each client falls silent in phase 0..=4 or never (5).
    #[test]
    fn claim_no_pattern_of_dropouts_gives_a_wrong_sum(
        n in 3usize..9, f in 0u32..3, when in prop::collection::vec(prop_oneof![3 => Just(5usize), 1 => 0usize..5], 9), seed: u64,
    ) {
        prop_assume!(honest_floor(n as u32, f) >= 2);
        let mut cohort = Cohort::seeded(n, f, seed);
        let silent = |phase: usize| (0..n).filter(|i| when[*i] == phase).collect::<BTreeSet<_>>();
        let drops = Drops {
            adverts: silent(0), shares: silent(1), inputs: silent(2), signatures: silent(3), openings: silent(4), ..Drops::default()
        };
        let outcome = round(&mut cohort, &drops);
        let reached = |phase: usize| (0..n).filter(|i| when[*i] > phase).collect::<Vec<_>>();
        let roster = reached(0).len() as u32;
        let q = quorum(roster, f) as usize;
        let feasible = roster >= 2 && honest_floor(roster, f) >= 2;
        let expected = feasible && (1..=4).all(|phase| reached(phase).len() >= q.max(if phase == 1 { 2 } else { 0 }));
        if expected {
            assert_sum_over(&cohort, outcome, &reached(2), &format!("{when:?}"));
        } else {
            prop_assert!(!matches!(outcome, Outcome::Sum(_)), "a sum without a quorum: {:?}", when);
        }
    }
}
