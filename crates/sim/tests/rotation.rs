//! Whole runs under a rotation, through secure aggregation, beside the same runs without.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use common::{plan, private_spec, run, simulation, spec};
use sottovoce_round::{Outcome, RunSpec};
use sottovoce_sim::{DropAfter, Dropout, Script};
use sottovoce_types::{FlatParams, ModelSpec, Rotation, RoundId};

/// 643 parameters, in blocks of 256.
fn wide(spec: RunSpec, rotation: Rotation) -> RunSpec {
    RunSpec { model: ModelSpec::Dnn { inputs: 6, hidden: vec![64], classes: 3 }, rotation, ..spec }
}

fn models(spec: RunSpec, script: Script) -> Vec<FlatParams> {
    let plan = plan(spec, 5);
    let (outcome, _) = run(simulation(&plan, 5, script));
    assert_eq!(outcome.outcome, Outcome::Completed);
    assert!(outcome.faults.is_empty() && outcome.clients.iter().all(|c| c.faults.is_empty()));
    outcome.models
}

/// The largest difference between two models.
fn apart(a: &FlatParams, b: &FlatParams) -> f32 {
    a.values().iter().zip(b.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn without_noise_a_run_that_rotates_is_the_run_that_does_not_up_to_the_grid() {
    let lost = Script {
        dropouts: vec![Dropout { client: 1, round: RoundId(2), after: DropAfter::Shares, back_after_ms: Some(200) }],
        ..Script::default()
    };
    for script in [Script::default(), lost] {
        let of = |rotation| models(wide(spec(3, 0, 3), rotation), script.clone());
        let (still, rotated) = (of(Rotation::None), of(Rotation::Hadamard));
        for (round, (a, b)) in still.iter().zip(&rotated).enumerate() {
            // A weight is 1/4096, so that a grid step of an update is 16·2^−36·4096 = 1e-6.
            assert!(apart(a, b) < 1e-5, "round {round}: {}", apart(a, b));
        }
        assert!(apart(&still[0], &still[1]) > 0.05, "the model moved");
    }
}

#[test]
fn with_little_noise_a_private_run_that_rotates_is_the_run_that_does_not_up_to_that_noise() {
    let of = |rotation| models(wide(private_spec(4, 1, 3, 0.01, 1e9), rotation), Script::default());
    let (still, rotated) = (of(Rotation::None), of(Rotation::Hadamard));
    // On the mean of 10 units the noise of each run has a standard deviation of 0.0015 at most.
    assert!(apart(&still[1], &rotated[1]) < 0.012, "{}", apart(&still[1], &rotated[1]));
    assert!(apart(&still[1], &rotated[1]) > 0.0, "the same noise is on other coordinates");
    assert!(apart(&still[0], &still[1]) > 0.03, "the model moved by more");
}

#[test]
fn the_same_seed_gives_the_same_model_bit_by_bit() {
    let of = || models(wide(private_spec(4, 1, 3, 2.0, 100.0), Rotation::Hadamard), Script::default());
    assert_eq!(of(), of());
}
