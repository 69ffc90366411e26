//! A whole round over a graph that 132 clients pick: engines, messages and all, with dropouts in every phase.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use sottovoce_round::{CoordinatorEvent, Manifest, Member, Outcome, PublicKey, RunPlan};
use sottovoce_secagg::Identity;
use sottovoce_secagg::graph::{Adversary, MaskGraph, SparseTerms};
use sottovoce_sim::{DropAfter, Dropout, Script, SimClient, Simulation, TargetTrainer};
use sottovoce_transcript::NullTap;
use sottovoce_types::RoundId;

const CLIENTS: u16 = 132;

fn identity(i: u16) -> Identity {
    let mut seed = [77; 32];
    seed[..2].copy_from_slice(&i.to_le_bytes());
    Identity::from_seed(seed)
}

fn plan(graph: MaskGraph) -> Arc<RunPlan> {
    let mut spec = common::spec(120, 5, 1);
    spec.graph = graph;
    let member = |i| Member { name: format!("site {i}"), public_key: PublicKey(identity(i).public_key()), units: 1 };
    let members = (1..=CLIENTS).map(member).collect();
    let manifest = Manifest::new("many".into(), PublicKey(identity(0).public_key()), members).unwrap();
    Arc::new(RunPlan::new(spec, Arc::new(manifest)).unwrap())
}

fn simulation(plan: &Arc<RunPlan>, script: Script) -> Simulation {
    let trainer = |i: u16| {
        let target = vec![f32::from(i) * 0.01; plan.layout().len()];
        TargetTrainer { targets: vec![target], step: 0.5 }
    };
    let clients = (1..=CLIENTS).map(|i| SimClient { identity: identity(i), trainer: Box::new(trainer(i)) }).collect();
    Simulation { plan: Arc::clone(plan), coordinator: identity(0), clients, script, seed: 3 }
}

#[test]
fn claim_a_round_of_132_clients_over_their_own_graph_is_published_with_dropouts_in_every_phase() {
    let terms = SparseTerms { max_dropout: 0.05, adversary: Adversary::Malicious };
    let plan = plan(MaskGraph::Auto(terms));
    let found = plan.spec().graph.on(u32::from(CLIENTS), 5).unwrap().unwrap();
    assert!(found.neighbours < 30 && plan.degrees().picks >= found.neighbours as usize, "{found:?}");
    let phases = [DropAfter::Advert, DropAfter::Picks, DropAfter::Shares, DropAfter::Input, DropAfter::Signature];
    let dropouts = phases.into_iter().enumerate().map(|(i, after)| Dropout {
        client: 20 * i,
        round: RoundId(1),
        after,
        back_after_ms: None,
    });
    let script = Script { dropouts: dropouts.collect(), ..Script::default() };
    let mut phases = Vec::new();
    let mut note = |event: &CoordinatorEvent| {
        if let CoordinatorEvent::PhaseClosed { phase, answered, .. } = event {
            phases.push((*phase, *answered));
        }
    };
    let outcome = simulation(&plan, script).run(&mut NullTap, &mut note).unwrap();
    assert_eq!(outcome.outcome, Outcome::Completed, "{:?} {:?}", outcome.faults, outcome.events);
    let all = u32::from(CLIENTS);
    let expected = [
        ("adverts", all),
        ("picks", all - 1),
        ("shares", all - 2),
        ("inputs", all - 3),
        ("signatures", all - 4),
        ("openings", all - 5),
    ];
    assert_eq!(phases, expected);
    // Those that fell silent after their input are in the sum.
    let record = &outcome.records[0];
    assert_eq!((record.attempt, record.contributors), (1, all - 3));
    assert!(outcome.faults.is_empty() && outcome.clients.iter().all(|c| c.faults.is_empty()));
    // The model is the mean of what the contributors sent: the toy trainers go half of the way to their targets.
    let gone = [0, 20, 40];
    let there = (0..CLIENTS).filter(|i| !gone.contains(i)).map(|i| f64::from(i + 1) * 0.01);
    let model = outcome.models[1].values();
    let start = outcome.models[0].values();
    let count = f64::from(record.contributors);
    let mean = there.sum::<f64>() / count;
    for (after, before) in model.iter().zip(start) {
        let moved = 0.5 * (mean - f64::from(*before));
        assert!((f64::from(*after) - f64::from(*before) - moved).abs() < 1e-3, "{after} from {before}, mean {mean}");
    }
}
