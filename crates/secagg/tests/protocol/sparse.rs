//! Whole rounds over graphs that clients pick: the exact sum or a clean loss, whoever falls silent and whenever.
use std::collections::BTreeSet;

use proptest::prelude::*;
use sottovoce_secagg::graph::MaskGraph;
use sottovoce_secagg::*;
use sottovoce_types::RingVec;

use crate::driver::{Cohort, Drops, Outcome, VALUES, run_round};

/// 24 clients, two of them corrupt, two may drop: k = 9, t = 7.
pub(crate) fn two_of_24() -> Cohort {
    Cohort::sparse(24, 2, 0.1, 2)
}

fn round(cohort: &mut Cohort, drops: &Drops) -> Outcome {
    let inputs: Vec<RingVec> = (0..cohort.n()).map(|i| cohort.pack(&cohort.input(i))).collect();
    run_round(cohort, &inputs, drops)
}

fn assert_sum_without(cohort: &Cohort, outcome: Outcome, gone: &BTreeSet<usize>, what: &str) {
    let Outcome::Sum(sum) = outcome else { panic!("{what}: {outcome:?}") };
    let there: Vec<usize> = (0..cohort.n()).filter(|i| !gone.contains(i)).collect();
    assert_eq!(sum.contributors(), there.iter().map(|i| cohort.id(*i)).collect::<Vec<_>>(), "{what}");
    assert_eq!(sum.sum().unpack(VALUES), cohort.plain_sum(there), "{what}");
    let shown = sum.certificate().verify(&cohort.session).unwrap();
    assert_eq!((shown.ctx3, shown.contributors), (sum.ctx3(), sum.contributors().to_vec()), "{what}");
}

#[test]
fn claim_the_sum_over_a_graph_of_picks_is_exact_whichever_clients_drop_in_each_phase() {
    let found = two_of_24().session.graph.on(24, 2).unwrap().unwrap();
    assert_eq!((found.neighbours, found.threshold), (9, 7), "fewer neighbours than there are others");
    let nobody = BTreeSet::new();
    for gone in [[3, 17], [0, 23], [8, 9]] {
        let gone: BTreeSet<usize> = gone.into();
        let phases = [
            ("picks", Drops { picks: gone.clone(), ..Drops::default() }, &gone),
            ("shares", Drops { shares: gone.clone(), ..Drops::default() }, &gone),
            ("inputs", Drops { inputs: gone.clone(), ..Drops::default() }, &gone),
            // From here on the input is in the sum, whether its sender stays or not.
            ("signatures", Drops { signatures: gone.clone(), ..Drops::default() }, &nobody),
            ("openings", Drops { openings: gone.clone(), ..Drops::default() }, &nobody),
        ];
        for (phase, drops, missing) in phases {
            let mut cohort = two_of_24();
            let outcome = round(&mut cohort, &drops);
            assert_sum_without(&cohort, outcome, missing, phase);
        }
    }
    // One in each of two phases, and nobody at all.
    let mut cohort = two_of_24();
    let drops = Drops { inputs: [4].into(), openings: [5].into(), ..Drops::default() };
    let outcome = round(&mut cohort, &drops);
    assert_sum_without(&cohort, outcome, &[4].into(), "input and opening");
    let outcome = round(&mut cohort, &Drops::default());
    assert_sum_without(&cohort, outcome, &nobody, "nobody");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Any pattern of silence, also far beyond what the graph withstands: each client falls silent in phase 1..=5 or never (6).
    #[test]
    fn claim_no_pattern_of_dropouts_over_a_graph_of_picks_gives_a_wrong_sum(
        when in prop::collection::vec(prop_oneof![9 => Just(6usize), 1 => 1usize..6], 24), seed: u64,
    ) {
        let mut cohort = Cohort::seeded(24, 2, seed);
        cohort.session = Session { members: cohort.session.members.clone(), coordinator: cohort.session.coordinator, n_min: 15, ..two_of_24().session };
        let silent = |phase: usize| (0..24).filter(|i| when[*i] == phase).collect::<BTreeSet<_>>();
        let drops = Drops {
            adverts: BTreeSet::new(),
            picks: silent(1), shares: silent(2), inputs: silent(3), signatures: silent(4), openings: silent(5),
        };
        let gone: BTreeSet<usize> = (0..24).filter(|i| when[*i] < 6).collect();
        let outcome = round(&mut cohort, &drops);
        if let Outcome::Sum(sum) = &outcome {
            let there: Vec<usize> = (0..24).filter(|i| sum.contributors().contains(&cohort.id(*i))).collect();
            prop_assert!(there.iter().all(|i| when[*i] > 3));
            prop_assert_eq!(sum.sum().unpack(VALUES), cohort.plain_sum(there));
        }
        // What the graph is made to withstand, it withstands.
        prop_assert!(gone.len() > 2 || matches!(outcome, Outcome::Sum(_)), "{:?}: {outcome:?}", when);
    }
}

/// A single silent client that many picked, or one that everybody loses, is nothing; more than planned for in one neighbourhood end the
/// attempt before anything is revealed.
#[test]
fn claim_an_attempt_that_starves_a_dealer_ends_before_anything_is_signed() {
    let mut cohort = two_of_24();
    cohort.session.n_min = 15;
    let gone: BTreeSet<usize> = (0..8).collect();
    let outcome = round(&mut cohort, &Drops { inputs: gone, ..Drops::default() });
    assert!(
        matches!(outcome, Outcome::Graph(GraphRefused::Starved { need: 7, live, .. }) if live < 7),
        "16 of 24 are a quorum, but not every dealer has 7 of its 9 picks among them: {outcome:?}"
    );
    // The same before masks are made: the starved are left out, and what is left may still be a sum.
    let mut cohort = Cohort::sparse(60, 0, 0.1, 20);
    let gone: BTreeSet<usize> = (0..9).collect();
    let outcome = round(&mut cohort, &Drops { shares: gone.clone(), ..Drops::default() });
    let Outcome::Sum(sum) = outcome else { panic!("{outcome:?}") };
    let there: Vec<usize> = (0..60).filter(|i| sum.contributors().contains(&cohort.id(*i))).collect();
    assert!(there.iter().all(|i| !gone.contains(i)));
    assert_eq!(sum.sum().unpack(VALUES), cohort.plain_sum(there));
}

#[test]
fn claim_a_roster_that_no_sparse_graph_suits_is_refused_by_both_sides() {
    let mut cohort = Cohort::sparse(3, 0, 0.1, 0);
    let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
    let (mut states, mut adverts) = (Vec::new(), Vec::new());
    for site in &cohort.sites {
        let (state, advert) = Advertised::start(cohort.session.clone(), site, &mut cohort.rng).unwrap();
        server.advert(site.client_id(), advert.clone()).unwrap();
        states.push(state);
        adverts.push(advert);
    }
    let refused = server.close(&cohort.coordinator).map(|_| ()).unwrap_err();
    assert!(matches!(&refused, CloseFailed::Graph(GraphRefused::Infeasible { n: 3, .. })), "{refused}");
    assert!(refused.to_string().contains("use the complete graph"), "{refused}");
    // And by a client, should it be shown one.
    let mut roster = RosterMsg { adverts, signature: [0; 64] };
    roster.sign(&cohort.session.cfg, &cohort.coordinator);
    let refused = states.remove(0).roster(roster, &cohort.sites[0], &mut cohort.rng).map(|_| ()).unwrap_err();
    assert!(matches!(&refused, Abort::Graph(GraphRefused::Infeasible { n: 3, .. })), "{refused}");
    assert!(cohort.session.message_ctx().is_err(), "and beforehand");
}

/// No flight more on the complete graph, nor up to 128 clients where the size decides.
#[test]
fn claim_nobody_picks_on_the_complete_graph() {
    let MaskGraph::Sparse(terms) = two_of_24().session.graph else { unreachable!() };
    for graph in [MaskGraph::Complete, MaskGraph::Auto(terms)] {
        let mut cohort = Cohort::new(5, 1);
        cohort.session.graph = graph;
        let (states, _, roster) = cohort.until_roster();
        let state = states.into_iter().next().unwrap();
        let next = state.roster(roster, &cohort.sites[0], &mut cohort.rng).unwrap();
        assert!(matches!(next, OnRoster::Shared(..)));
        let outcome = round(&mut cohort, &Drops { inputs: [2].into(), ..Drops::default() });
        assert_sum_without(&cohort, outcome, &[2].into(), graph.name());
    }
}
