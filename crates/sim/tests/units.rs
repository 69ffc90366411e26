//! What one privacy unit is, and what its update does to the model.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use common::{plan, private_spec, run, simulation};
use sottovoce_round::{Outcome, RunSpec};
use sottovoce_sim::{Script, TargetTrainer};
use sottovoce_types::{Schedule, Unit};

/// Two utterances at each of five sites, hardly any noise.
fn utterances() -> RunSpec {
    let mut spec = RunSpec { unit: Unit::Utterance, ..private_spec(4, 1, 2, 0.01, 1e9) };
    spec.job.learning_rate = 0.5;
    spec.job.schedule = Schedule::Linear;
    spec
}

#[test]
fn the_coordinator_applies_the_rounds_learning_rate_to_the_mean_gradient_of_the_utterances() {
    let plan = plan(utterances(), 5);
    let mut sim = simulation(&plan, 5, Script::default());
    let d = plan.layout().len();
    // Minus the gradient is the same in every round: 0.02 a coordinate, of norm 0.02·√d, below the clip.
    for client in &mut sim.clients {
        client.trainer = Box::new(Constant(TargetTrainer { targets: vec![vec![0.02; d]; 2], step: 1.0 }));
    }
    let (outcome, _) = run(sim);
    assert_eq!(outcome.outcome, Outcome::Completed);
    for (round, rate) in [(1, 0.5), (2, 0.25)] {
        let (before, after) = (outcome.models[round - 1].values(), outcome.models[round].values());
        let moved: f32 =
            before.iter().zip(after).map(|(b, a)| a - b).sum::<f32>() / f32::from(u8::try_from(d).unwrap());
        assert!((moved - rate * 0.02).abs() < 1e-3 * rate, "round {round} moved by {moved}");
    }
}

/// Hands over its targets themselves, wherever the model is.
struct Constant(TargetTrainer);

impl sottovoce_round::LocalTrainer for Constant {
    fn train(
        &mut self,
        _work: &sottovoce_round::Work,
        units: &mut sottovoce_round::UnitSum,
    ) -> Result<(), sottovoce_round::TrainFailed> {
        for (unit, target) in self.0.targets.iter().enumerate() {
            units.add(unit, &sottovoce_types::Update { values: target.clone(), examples: 1 })?;
        }
        Ok(())
    }
}

#[test]
fn a_long_gradient_of_one_utterance_counts_as_one_clipped_gradient() {
    let plan = plan(utterances(), 5);
    let mut sim = simulation(&plan, 5, Script::default());
    let d = plan.layout().len();
    let mut long = vec![0.0; d];
    long[3] = 1e6;
    for (i, client) in sim.clients.iter_mut().enumerate() {
        let first = if i == 0 { long.clone() } else { vec![0.0; d] };
        client.trainer = Box::new(Constant(TargetTrainer { targets: vec![first, vec![0.0; d]], step: 1.0 }));
    }
    let (outcome, _) = run(sim);
    let moved = outcome.models[1].values()[3] - outcome.models[0].values()[3];
    // C = 1 over the ten utterances of the federation, times the learning rate of round 1.
    assert!((moved - 0.05).abs() < 0.005, "one utterance moved the model by {moved}");
}
