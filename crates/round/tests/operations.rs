//! Sequences of what may happen between a coordinator and its clients: frames delivered in any order, lost with their connection,
//! sent twice, clients that come back or begin again from their journals, deadlines that pass. Whatever happens, what is published
//! is the exact mean over the contributors that the certificate names, and no client opens an attempt twice.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::{Federation, engine, plan_with};
use proptest::prelude::*;
use sottovoce_round::{JournalEvent, Outcome, RoundResult, RunPlan};
use sottovoce_types::{FlatParams, Lanes, Unit};
use sottovoce_wire::Decode;

const CLIENTS: u8 = 5;
const ROUNDS: u64 = 2;

#[derive(Clone, Copy, Debug)]
enum Operation {
    /// A frame on its way to the coordinator arrives: the k-th of those waiting, of different senders.
    ToCoordinator(usize),
    /// The next frame on its way to this client arrives.
    ToClient(usize),
    /// The next frame to the coordinator arrives twice.
    Twice(usize),
    /// A client's connection is lost with all that is on it, and comes back.
    Reconnect(usize),
    /// A client's process dies and begins again from its journal.
    Restart(usize),
    /// The coordinator's deadline passes.
    Deadline,
}

fn operation() -> impl Strategy<Value = Operation> {
    let client = 0..usize::from(CLIENTS);
    prop_oneof![
        12 => (0..8usize).prop_map(Operation::ToCoordinator),
        12 => client.clone().prop_map(Operation::ToClient),
        2 => (0..8usize).prop_map(Operation::Twice),
        1 => client.clone().prop_map(Operation::Reconnect),
        1 => client.prop_map(Operation::Restart),
        1 => Just(Operation::Deadline),
    ]
}

/// Without noise, so that a sum can be told to be exact.
fn plan() -> Arc<RunPlan> {
    plan_with(CLIENTS, 1, ROUNDS, |spec| {
        spec.unit = Unit::None;
        spec.privacy = None;
        spec.clip_bits = 36;
        spec.lanes = Lanes::new(1).unwrap();
        spec.max_attempts = 50;
    })
}

/// What every site's update is, in each coordinate: as `Site::new` makes it. Without a privacy unit it has one.
fn update_of(site: usize) -> f64 {
    0.02 * f64::from(u32::try_from(site).unwrap() + 1)
}

/// The published models follow from the contributors that the certificates name, by the plain mean.
fn check(federation: &Federation) {
    let plan = &federation.plan;
    let mut model: Vec<f64> = plan.initial_params().values().iter().map(|v| f64::from(*v)).collect();
    for result in federation.results.values() {
        let result = RoundResult::decode_exact(&plan.message_ctx(), result.bytes()).unwrap();
        let who: Vec<usize> = result
            .certificate
            .inputs
            .iter()
            .map(|input| {
                let id = result.certificate.roster[usize::try_from(input.index).unwrap()];
                federation.sites.iter().position(|s| s.id == id).unwrap()
            })
            .collect();
        assert!(who.len() >= 3, "fewer than a quorum: {who:?}");
        let mean = who.iter().map(|s| update_of(*s)).sum::<f64>() / f64::from(u32::try_from(who.len()).unwrap());
        model.iter_mut().for_each(|v| *v += mean);
    }
    let last: &FlatParams = federation.coordinator.params();
    for (ours, theirs) in model.iter().zip(last.values()) {
        assert!((ours - f64::from(*theirs)).abs() < 1e-5, "a wrong sum: {theirs} is not {ours}");
    }
    // No client of any life signed or opened an attempt twice: it is on record each time before it leaves.
    for site in &federation.sites {
        let mut signed: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let mut opened: BTreeMap<_, u32> = BTreeMap::new();
        for event in site.journalled() {
            match event {
                JournalEvent::SurvivorsSigned { round, attempt, survivors, .. } => {
                    signed.entry((round.0, attempt.0)).or_default().insert(*survivors);
                }
                JournalEvent::OpeningCharged { round, attempt, .. } => {
                    *opened.entry((round.0, attempt.0)).or_default() += 1
                }
                _ => {}
            }
        }
        assert!(signed.values().all(|sets| sets.len() == 1), "two survivor sets signed: {signed:?}");
        assert!(opened.values().all(|count| *count == 1), "opened twice: {opened:?}");
    }
}

/// One operation; what cannot be done now is nothing.
fn apply(federation: &mut Federation, operation: Operation) {
    match operation {
        Operation::ToCoordinator(k) => {
            if let Some((site, frame)) = federation.next_to_coordinator(k) {
                // A client that began again may say what no longer fits: refused, and the sender loses its connection, as the
                // drivers do it.
                if federation.coordinator_gets(site, &frame).is_err() {
                    federation.disconnect(site);
                    federation.connect(site);
                }
            }
        }
        Operation::Twice(k) => {
            if let Some((site, frame)) = federation.next_to_coordinator(k) {
                // The second is refused, or comes late to a phase that the first has closed: it changes no sum either way.
                let first = federation.coordinator_gets(site, &frame);
                let again = federation.coordinator_gets(site, &frame);
                if first.is_ok() && again.is_ok() {
                    return;
                }
                federation.disconnect(site);
                federation.connect(site);
            }
        }
        Operation::ToClient(site) => {
            if let Some(frame) = federation.next_to_site(site) {
                // What a restarted client refuses, it refuses; the coordinator hears of it.
                let _ = federation.try_site_gets(site, &frame);
            }
        }
        Operation::Reconnect(site) => {
            federation.disconnect(site);
            federation.connect(site);
        }
        Operation::Restart(site) => {
            federation.disconnect(site);
            let life =
                engine(&federation.plan, u8::try_from(site + 1).unwrap(), federation.sites[site].journal.clone());
            federation.sites[site].engine = life;
            federation.connect(site);
        }
        Operation::Deadline => federation.pass_deadline(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Faults first, then everything is delivered: the run ends, and what was published is right. As long as no deadline passed it
    /// publishes every round.
    #[test]
    fn any_sequence_of_operations_publishes_exact_sums_or_none(operations in prop::collection::vec(operation(), 0..160)) {
        let mut federation = Federation::new(&plan());
        let in_time = !operations.iter().any(|o| matches!(o, Operation::Deadline));
        for operation in operations {
            apply(&mut federation, operation);
        }
        check(&federation);
        // Left alone, it comes to its end.
        for _ in 0..200 {
            if federation.coordinator.outcome().is_some() {
                break;
            }
            federation.deliver_all();
            if federation.coordinator.outcome().is_none() {
                federation.pass_deadline();
            }
        }
        federation.deliver_all();
        check(&federation);
        match federation.coordinator.outcome() {
            Some(Outcome::Completed) => prop_assert_eq!(federation.results.len() as u64, ROUNDS),
            // A deadline passed before enough had come: a clean end, said in words.
            Some(Outcome::QuorumLost { .. }) => prop_assert!(!in_time, "lost though no deadline passed"),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
