//! Poisson sampling of units inside sites: what it does to the mean, and what everybody's ledger says of it.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use common::{plan, private_spec, run, simulation};
use sottovoce_dp::sampling::SamplingProbability;
use sottovoce_round::{LocalTrainer, Outcome, RunSpec, TrainFailed, UnitSum, Work};
use sottovoce_sim::Script;
use sottovoce_types::Update;

/// The same update of every unit that takes part.
struct Constant(f32);

impl LocalTrainer for Constant {
    fn train(&mut self, work: &Work, units: &mut UnitSum) -> Result<(), TrainFailed> {
        for unit in (0..2).filter(|unit| units.takes(*unit)).collect::<Vec<_>>() {
            units.add(unit, &Update { values: vec![self.0; work.params.values().len()], examples: 1 })?;
        }
        Ok(())
    }
}

fn sampled(q: f64, rounds: u64, budget: f64) -> RunSpec {
    let mut spec = private_spec(4, 1, rounds, 1.0, budget);
    spec.privacy.as_mut().unwrap().sampling = Some(SamplingProbability::new(q).unwrap());
    spec
}

#[test]
#[allow(clippy::cast_precision_loss, reason = "small counts")]
fn claim_the_mean_of_sampled_units_is_unbiased() {
    let (q, step, seeds) = (0.5, 0.2f32, 40);
    let plan = plan(sampled(q, 1, 100.0), 5);
    let d = plan.layout().len();
    let moved = |seed| {
        let mut sim = simulation(&plan, 5, Script::default());
        sim.seed = seed;
        for client in &mut sim.clients {
            client.trainer = Box::new(Constant(step));
        }
        let (outcome, _) = run(sim);
        assert_eq!(outcome.outcome, Outcome::Completed);
        let (before, after) = (outcome.models[0].values(), outcome.models[1].values());
        before.iter().zip(after).map(|(b, a)| f64::from(a - b)).sum::<f64>() / d as f64
    };
    let mean = (0..seeds).map(moved).sum::<f64>() / f64::from(u32::try_from(seeds).unwrap());
    // Noise of 1 on a sum of 5 expected units, over 40 runs of d coordinates; coins of 10 units, over 40 runs. Dividing by the 10 units of
    // the federation would give half, dividing by those drawn would too where all are.
    let noise = 0.2 / ((seeds * d as u64) as f64).sqrt();
    let coins = f64::from(step) * (0.5f64 / 5.0).sqrt() / (seeds as f64).sqrt();
    let tolerance = 4.0 * (noise.powi(2) + coins.powi(2)).sqrt();
    assert!((mean - f64::from(step)).abs() < tolerance, "{mean} is not {step} within {tolerance}");
    assert!(tolerance < 0.06, "half of it is told from it");
}

#[test]
fn claim_every_partys_ledger_stops_a_sampled_run_where_its_schedule_ends() {
    // A budget for three releases at most: the fourth round is begun by nobody.
    let event = plan(sampled(0.5, 1, 100.0), 5).event();
    let cost = |count: u64| {
        let all = event.clone().self_composed(count);
        let delta = sottovoce_types::Delta::new(1e-5).unwrap();
        let (accountant, adjacency) =
            (sottovoce_dp::accountant::Accountant::Auto, sottovoce_dp::accountant::Adjacency::AddOrRemoveOne);
        sottovoce_dp::accountant::epsilon(&all, delta, accountant, adjacency).unwrap().bracket
    };
    let budget = f64::midpoint(cost(3).upper, cost(4).lower);
    let (outcome, _) = run(simulation(&plan(sampled(0.5, 6, budget), 5), 5, Script::default()));
    assert!(matches!(outcome.outcome, Outcome::BudgetExhausted { round } if round.0 == 4), "{:?}", outcome.outcome);
    let last = outcome.records.last().unwrap();
    assert_eq!((last.round, last.charges), (3, 3));
    assert!(last.epsilon_spent <= budget && last.epsilon_spent >= cost(3).lower);
}
