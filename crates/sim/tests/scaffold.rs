//! SCAFFOLD on quadratics whose minima and curvatures differ: where FedAvg with many local steps ends in a wrong point.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use common::{plan, run, simulation, spec};
use sottovoce_round::{AdaptiveClip, Outcome, PlanError, RunPlan, ServerRule, ServerSpec};
use sottovoce_sim::{DropAfter, Dropout, QuadraticTrainer, Script, SimOutcome};
use sottovoce_types::{ClipNorm, LocalOptimiser, RoundId, Unit};
use sottovoce_wire::Kind;

const STEPS: u32 = 20;
const RATE: f64 = 0.2;
const CURVATURES: [f64; 4] = [0.25, 0.5, 1.0, 4.0];
const TARGETS: [f32; 4] = [1.0, -1.0, 2.0, 0.5];
const EXAMPLES: [u32; 4] = [1, 2, 1, 4];

fn heterogeneous(rule: ServerRule, rounds: u64) -> Arc<RunPlan> {
    let mut spec = spec(3, 0, rounds);
    spec.server = ServerSpec { rule, learning_rate: 1.0 };
    spec.job.steps = STEPS;
    // U_i is as long as K steps along one gradient: the default of 16 would cut it.
    spec.clip = ClipNorm::new(256.0).unwrap();
    spec.job.learning_rate = RATE;
    plan(spec, 4)
}

fn trained(plan: &Arc<RunPlan>, script: Script) -> SimOutcome {
    let mut sim = simulation(plan, 4, script);
    for (i, client) in sim.clients.iter_mut().enumerate() {
        let target = vec![TARGETS[i]; plan.layout().len()];
        client.trainer = Box::new(QuadraticTrainer { curvature: CURVATURES[i], target, examples: EXAMPLES[i] });
    }
    let outcome = run(sim).0;
    assert_eq!(outcome.outcome, Outcome::Completed, "{:?}", outcome.faults);
    assert!(outcome.clients.iter().all(|c| c.faults.is_empty()));
    outcome
}

fn mean(values: impl Fn(usize) -> f64) -> f64 {
    let all: u32 = EXAMPLES.iter().sum();
    (0..4).map(|i| f64::from(EXAMPLES[i]) * values(i)).sum::<f64>() / f64::from(all)
}

/// The minimum of the weighted mean of the clients' functions.
fn right_point() -> f64 {
    mean(|i| CURVATURES[i] * f64::from(TARGETS[i])) / mean(|i| CURVATURES[i])
}

fn end_of(outcome: &SimOutcome) -> f64 {
    f64::from(outcome.models.last().unwrap().values()[0])
}

/// Algorithm 1 with option II as the paper has it, everybody taking part, with the weights of the examples: x after each round.
/// In round `forgets.0` client `forgets.1` begins with c_i = c.
fn algorithm_1(start: f64, rounds: usize, forgets: Option<(usize, usize)>) -> Vec<f64> {
    let (mut x, mut c, mut own) = (start, 0.0, [0.0; 4]);
    let mut models = Vec::new();
    for round in 1..=rounds {
        if let Some((_, client)) = forgets.filter(|(when, _)| *when == round) {
            own[client] = c;
        }
        let end = |i: usize| {
            let gradient = |y: f64| CURVATURES[i] * (y - f64::from(TARGETS[i]));
            (0..STEPS).fold(x, |y, _| y - RATE * (gradient(y) - own[i] + c))
        };
        let ends: Vec<f64> = (0..4).map(end).collect();
        let new: Vec<f64> = (0..4).map(|i| own[i] - c + (x - ends[i]) / (f64::from(STEPS) * RATE)).collect();
        let next = x + mean(|i| ends[i] - x);
        c += mean(|i| new[i] - own[i]);
        own.copy_from_slice(&new);
        x = next;
        models.push(x);
    }
    models
}

#[test]
fn fedavg_ends_in_a_wrong_point_and_scaffold_in_the_right_one() {
    let averaged = end_of(&trained(&heterogeneous(ServerRule::FedAvg, 40), Script::default()));
    let corrected = end_of(&trained(&heterogeneous(ServerRule::Scaffold, 40), Script::default()));
    assert!((averaged - right_point()).abs() > 0.1, "FedAvg: {averaged}, right {}", right_point());
    assert!((corrected - right_point()).abs() < 2e-4, "SCAFFOLD: {corrected}, right {}", right_point());
}

#[test]
fn with_everybody_there_each_round_is_that_of_algorithm_1() {
    let outcome = trained(&heterogeneous(ServerRule::Scaffold, 12), Script::default());
    let start = f64::from(outcome.models[0].values()[0]);
    for (round, (model, expected)) in outcome.models[1..].iter().zip(algorithm_1(start, 12, None)).enumerate() {
        let found = f64::from(model.values()[0]);
        assert!((found - expected).abs() < 2e-5, "round {}: {found} is not {expected}", round + 1);
    }
}

#[test]
fn a_client_that_lost_its_control_variate_leaves_nothing_behind() {
    // Client 1 vanishes with the config of round 6 in its hands and comes back as another process.
    let dropout = Dropout { client: 1, round: RoundId(6), after: DropAfter::Config, back_after_ms: Some(1) };
    let script = Script { dropouts: vec![dropout], forgetful: vec![1], ..Script::default() };
    let outcome = trained(&heterogeneous(ServerRule::Scaffold, 60), script);
    assert!((end_of(&outcome) - right_point()).abs() < 2e-5, "{} is not {}", end_of(&outcome), right_point());
    // As the paper has it, c would be off for ever.
    let literal = algorithm_1(f64::from(outcome.models[0].values()[0]), 400, Some((6, 1)));
    assert!((literal.last().unwrap() - right_point()).abs() > 1e-3, "{:?}", literal.last());
}

#[test]
fn rounds_without_some_of_the_clients_do_no_lasting_harm() {
    let vanish = |client, round| Dropout {
        client,
        round: RoundId(round),
        after: DropAfter::ALL[usize::try_from(round).unwrap() % 5],
        back_after_ms: Some(200),
    };
    let script =
        Script { dropouts: (2..12).map(|r| vanish(usize::try_from(r).unwrap() % 4, r)).collect(), ..Script::default() };
    let outcome = trained(&heterogeneous(ServerRule::Scaffold, 60), script);
    assert!(outcome.records.iter().filter(|r| r.contributors < 4).count() >= 5, "some rounds went without somebody");
    assert!((end_of(&outcome) - right_point()).abs() < 5e-5, "{} is not {}", end_of(&outcome), right_point());
}

#[test]
fn a_coordinator_killed_at_any_entry_keeps_the_control_variate() {
    let plan = heterogeneous(ServerRule::Scaffold, 4);
    let whole = trained(&plan, Script::default());
    for entry in 1..=whole.journal.entries().len() {
        let killed = trained(&plan, Script { kills: vec![entry], ..Script::default() });
        assert_eq!(killed.models, whole.models, "killed at entry {entry}");
    }
}

#[test]
fn scaffold_is_refused_wherever_it_does_not_hold_and_says_why() {
    let plan = heterogeneous(ServerRule::Scaffold, 2);
    let refused = |change: &dyn Fn(&mut sottovoce_round::RunSpec)| {
        let mut spec = plan.spec().clone();
        change(&mut spec);
        match RunPlan::new(spec, Arc::clone(plan.manifest())) {
            Err(PlanError::Scaffold(why)) => why,
            other => panic!("not refused: {:?}", other.map(|_| ())),
        }
    };
    assert!(refused(&|s| s.job.steps = 0).contains("training.steps"));
    assert!(refused(&|s| s.job.momentum = 0.5).contains("without momentum"));
    assert!(refused(&|s| s.job.optimiser = LocalOptimiser::AdamW).contains("sgd"));
    assert!(refused(&|s| s.job.learning_rate = 0.0).contains("learning_rate"));
    let private = common::private_spec(3, 0, 2, 2.0, 100.0);
    for unit in [Unit::Speaker, Unit::Utterance, Unit::Client] {
        assert!(refused(&|s| (s.unit, s.privacy) = (unit, private.privacy)).contains("second release"), "{unit:?}");
    }
}

#[test]
fn claim_control_variates_and_counts_travel_in_the_one_masked_sum() {
    // What leaves each client: as many messages of each kind, and inputs as long.
    let sent = |plan: &Arc<RunPlan>| {
        let (outcome, transcript) = run(simulation(plan, 4, Script::default()));
        assert_eq!(outcome.outcome, Outcome::Completed);
        let coordinator = transcript.coordinator();
        let from_clients = coordinator.records().iter().filter(|r| r.frame.kind.is_from_client());
        let sent = from_clients.map(|r| (r.frame.kind, r.frame.body.len())).collect::<Vec<_>>();
        let inputs = sent.iter().filter(|(kind, _)| *kind == Kind::MaskedInput).count();
        assert_eq!(inputs, 4 * 2, "one input of each client in each of two rounds");
        sent
    };
    let fedavg = sent(&heterogeneous(ServerRule::FedAvg, 2));
    assert_eq!(sent(&heterogeneous(ServerRule::Scaffold, 2)), fedavg, "SCAFFOLD sends what FedAvg sends");
    let mut spec = common::private_spec(3, 0, 2, 0.5, 1e9);
    let fixed = plan(spec.clone(), 4);
    spec.adaptive_clip = Some(AdaptiveClip { quantile: 0.5, learning_rate: 0.2, count_noise: None });
    let adaptive = plan(spec, 4);
    // One coordinate more, which fits the last word's free lane: 21 parameters in words of two.
    assert_eq!(adaptive.encode().coords(), fixed.encode().coords() + 1);
    assert_eq!(sent(&adaptive), sent(&fixed));
}
