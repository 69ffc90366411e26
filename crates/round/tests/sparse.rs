//! Attempts over a graph that clients pick: the flight more, dropouts, and a coordinator that grinds the graph.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use common::hostile::{Hostile, NOW, greeted, refuses, with_body};
use common::{Federation, engine, plan, plan_with};
use sottovoce_round::{Outcome, PlanError, ProtocolFault, RunPlan};
use sottovoce_secagg::graph::{Adversary, Infeasible, MaskGraph, SparseTerms};
use sottovoce_secagg::{Abort, GraphMsg, GraphRefused, PicksMsg};
use sottovoce_types::Tick;
use sottovoce_wire::{Decode, Encode, Kind};

fn sparse(max_dropout: f64) -> MaskGraph {
    MaskGraph::Sparse(SparseTerms { max_dropout, adversary: Adversary::Malicious })
}

/// 24 members of which two may be corrupt and two may drop: k = 9, t = 7.
fn plan_of_24(rounds: u64) -> Arc<RunPlan> {
    plan_with(24, 2, rounds, |spec| {
        spec.graph = sparse(0.1);
        spec.n_min = 20;
    })
}

#[test]
fn claim_a_run_over_a_graph_of_picks_completes_and_every_client_follows_it() {
    let plan = plan_of_24(2);
    let mut federation = Federation::new(&plan);
    federation.run();
    assert_eq!(federation.coordinator.outcome(), Some(&Outcome::Completed));
    assert_eq!(federation.published().len(), 2);
    let model = federation.coordinator.params().digest();
    for site in &federation.sites {
        assert_eq!(site.engine.last_model().unwrap().digest(), model, "from sums and certificates alone");
    }
    // One flight more, from the coordinator to each, and every list in it.
    let graphs: Vec<GraphMsg> = federation.sites[0]
        .received
        .iter()
        .filter(|f| f.kind == Kind::Graph)
        .map(|f| GraphMsg::decode_exact(&plan.message_ctx(), &f.body).unwrap())
        .collect();
    assert_eq!(graphs.iter().map(|g| g.lists.len()).collect::<Vec<_>>(), [24, 24]);
    // Fresh picks in each attempt.
    assert_ne!(graphs[0].lists[0].list.picks, graphs[1].lists[0].list.picks);
}

#[test]
fn claim_the_complete_graph_has_no_flight_more() {
    for graph in
        [MaskGraph::Complete, MaskGraph::Auto(SparseTerms { max_dropout: 0.1, adversary: Adversary::Malicious })]
    {
        let mut federation = Federation::new(&plan_with(5, 1, 1, |spec| spec.graph = graph));
        federation.run();
        assert_eq!(federation.coordinator.outcome(), Some(&Outcome::Completed));
        assert!(federation.sites.iter().all(|s| s.received.iter().all(|f| f.kind != Kind::Graph)));
    }
}

/// The graph is in the plan that both sides agreed on: a coordinator with another one is no coordinator of this client's.
#[test]
fn claim_the_coordinator_cannot_change_the_graph() {
    let digests: std::collections::BTreeSet<_> = [MaskGraph::Complete, sparse(0.1), sparse(0.05)]
        .into_iter()
        .map(|graph| plan_with(24, 2, 1, |spec| (spec.graph, spec.n_min) = (graph, 20)).digest())
        .collect();
    assert_eq!(digests.len(), 3);
    let ours = plan_with(24, 2, 1, |spec| (spec.graph, spec.n_min) = (sparse(0.1), 20));
    let theirs = plan_with(24, 2, 1, |spec| (spec.graph, spec.n_min) = (sparse(0.05), 20));
    let mut client = engine(&ours, 1, Vec::new());
    client.handle_connect(NOW);
    while client.poll_transmit().is_some() {}
    let fault = refuses(&mut client, &Hostile::new(&theirs).welcome());
    assert!(matches!(fault, ProtocolFault::DifferentPlan { .. }), "{fault}");
}

#[test]
fn claim_a_plan_that_can_have_no_graph_is_refused_at_the_start() {
    let refused = |graph, n_min, f| {
        let base = plan(12, 1, 1);
        let mut spec = base.spec().clone();
        (spec.graph, spec.n_min, spec.max_corrupt) = (graph, n_min, f);
        RunPlan::new(spec, Arc::clone(base.manifest())).map(|_| ()).unwrap_err()
    };
    let error = refused(sparse(0.1), 3, 0);
    assert!(
        matches!(
            error,
            PlanError::Graph { graph: "sparse", n_min: 3, members: 12, source: Infeasible::NeedsCompleteGraph { .. } }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("use the complete graph"), "{error}");
    let error = refused(sparse(0.5), 12, 2);
    assert!(matches!(error, PlanError::Graph { source: Infeasible::TooManyLost { .. }, .. }), "{error}");
    let error = refused(sparse(1.0), 12, 2);
    assert!(matches!(error, PlanError::Graph { source: Infeasible::Fraction { .. }, .. }), "{error}");
}

/// A list under the right signature, and yet another than the victim's: the coordinator's word does not stand against its own.
#[test]
fn claim_a_graph_without_a_clients_own_list_gets_no_shares_of_it() {
    let plan = plan_of_24(1);
    let mut federation = Federation::new(&plan);
    let (site, frame) = federation.run_until(Kind::Graph).remove(0);
    let mut graph = GraphMsg::decode_exact(&plan.message_ctx(), &frame.body).unwrap();
    let own = federation.sites[site].id;
    let place = plan.manifest().keys().keys().position(|id| *id == own).unwrap();
    graph.lists.retain(|l| l.picker as usize != place);
    let fault = refuses(&mut federation.sites[site].engine, &with_body(&frame, graph.to_bytes()));
    let ProtocolFault::SecAgg(Abort::Graph(GraphRefused::OwnListAltered { client })) = fault else { panic!("{fault}") };
    assert_eq!(client, own);
}

/// Case 27. A coordinator that begins attempts until it likes the graph: at the fourth a client leaves, and a restart does not make it
/// forget the count.
#[test]
fn claim_a_coordinator_that_grinds_the_graph_gets_as_many_attempts_as_the_plan_allows() {
    let plan = plan_of_24(2);
    let hostile = Hostile::new(&plan);
    let model = plan.initial_params();
    let mut client = greeted(&plan);
    let mut joined = Vec::new();
    for attempt in 1..=plan.spec().max_attempts {
        client.handle_frame(NOW, &hostile.config(1, attempt, &model)).unwrap();
        while let Some(persist) = client.poll_persist() {
            joined.push(persist.entry);
        }
    }
    for attempt in (4..1004).chain([u32::MAX]) {
        let fault = refuses(&mut client, &hostile.config(1, attempt, &model));
        assert!(matches!(fault, ProtocolFault::BeyondAttempts { round: 1, max_attempts: 3, .. }), "{fault}");
    }
    // After a restart the journal counts.
    let mut restarted = engine(&plan, 1, joined);
    restarted.handle_connect(NOW);
    while restarted.poll_transmit().is_some() {}
    restarted.handle_frame(NOW, &hostile.welcome()).unwrap();
    for attempt in 1..=3 {
        let fault = refuses(&mut restarted, &hostile.config(1, attempt, &model));
        assert!(matches!(fault, ProtocolFault::AttemptReplayed { .. }), "{fault}");
    }
    let fault = refuses(&mut restarted, &hostile.config(1, 4, &model));
    assert!(matches!(fault, ProtocolFault::BeyondAttempts { attempt: 4, .. }), "{fault}");
    let mut fresh = greeted(&plan);
    let fault = refuses(&mut fresh, &hostile.config(1, 0, &model));
    assert!(matches!(fault, ProtocolFault::BeyondAttempts { attempt: 0, .. }), "{fault}");
}

/// A client whose list does not come is left out; one whose list is no list loses its connection and no more.
#[test]
fn claim_a_client_that_sends_no_list_or_a_bad_one_is_left_out() {
    let plan = plan_of_24(1);
    let mut federation = Federation::new(&plan);
    let mut held = federation.run_until(Kind::Picks);
    assert_eq!(held.len(), 24);
    let (site, frame) = held.remove(0);
    let mut list = PicksMsg::decode_exact(&plan.message_ctx(), &frame.body).unwrap();
    list.picks.swap(0, 1);
    let from = federation.sites[site].id;
    let bad = with_body(&frame, list.to_bytes());
    let fault = federation.coordinator.handle_frame(Tick(0), from, &bad).unwrap_err();
    assert!(fault.to_string().contains("ascending positions"), "{fault}");
    federation.disconnect(site);
    for (site, frame) in held {
        federation.coordinator_gets(site, &frame).unwrap();
    }
    federation.run();
    assert_eq!(federation.published()[0].contributors, 23);
}
