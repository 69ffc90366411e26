//! A whole training with canaries in it: silent on the pipeline as it is, loud on a broken one.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs, reason = "tests")]
use std::convert::Infallible;

use sottovoce_attack::bound::{
    Bound, BoundError, ClopperPearson, Design, Experiment, FDpOneRun, Family, OneRun, Strategy,
};
use sottovoce_attack::canary::{Mutation, PipelineSpec, WholeRun, WholeRunError, audit_whole_run};
use sottovoce_attack::scores::Scores;
use sottovoce_dp::{SeededNoise, gdp};
use sottovoce_types::{ClipNorm, Delta, Epsilon, Lanes, NoiseMultiplier, Rotation, Update};

const DIM: usize = 2000;
const ROUNDS: u32 = 4;
const EPSILON: f64 = 2.0;

fn run() -> WholeRun {
    let delta = Delta::new(1e-5).unwrap();
    let pipeline = PipelineSpec {
        clip: ClipNorm::new(1.0).unwrap(),
        clip_bits: 16,
        lanes: Lanes::new(2).unwrap(),
        rotation: Rotation::None,
        noise_multiplier: gdp::calibrate(Epsilon::new(EPSILON).unwrap(), delta, u64::from(ROUNDS)),
        honest: 4,
        canaries: 300,
    };
    WholeRun { pipeline, dim: DIM, units: 10, rounds: ROUNDS, seed: 11 }
}

/// Ten units that pull the model towards points of their own, from where it is.
fn train(model: &mut [f64], released: &[f64]) -> Vec<Update> {
    model.iter_mut().zip(released).for_each(|(m, r)| *m += 0.02 * r);
    let unit = |k: usize| {
        let values = model.iter().enumerate().map(|(i, m)| (((i * (k + 3)) % 7) as f32 / 35.0) - *m as f32);
        Update { values: values.collect(), examples: 1 }
    };
    (0..10).map(unit).collect()
}

fn audit(mutation: Mutation) -> Scores {
    let mut model = vec![0.0; DIM];
    let noise = SeededNoise::new([3; 32]);
    audit_whole_run(run(), mutation, noise, |_, released| Ok::<_, Infallible>(train(&mut model, released))).unwrap()
}

#[test]
fn a_private_training_is_not_called_broken_and_one_without_noise_is() {
    let delta = Delta::new(1e-5).unwrap();
    let all = Strategy::Guesses { fraction: 1.0 };
    for bound in [&OneRun as &dyn Bound, &FDpOneRun { family: Family::Gaussian }] {
        let lower = |mutation| {
            let e = Experiment::of_scores(&audit(mutation), Design::CoinInOneRun).unwrap();
            bound.lower(&e, delta, 0.01, all).unwrap().epsilon
        };
        let (sound, without_noise) = (lower(Mutation::None), lower(Mutation::NoiseOff));
        assert!(sound <= EPSILON, "{}: {sound}", bound.name());
        assert!(without_noise > EPSILON, "{}: {without_noise}", bound.name());
    }
}

#[test]
fn scores_of_one_training_are_no_independent_trials() {
    let scores = audit(Mutation::None);
    assert_eq!(scores.units.len(), 300);
    let e = Experiment::of_scores(&scores, Design::CoinInOneRun).unwrap();
    let refused = ClopperPearson.lower(&e, Delta::new(1e-5).unwrap(), 0.05, Strategy::Explicit(0.0));
    assert!(matches!(refused, Err(BoundError::Design { .. })));
}

#[test]
fn a_run_that_cannot_be_audited_is_refused() {
    let wrong = |_: u32, _: &[f64]| Ok::<_, Infallible>(vec![Update { values: vec![0.0; 3], examples: 1 }]);
    let error = audit_whole_run(run(), Mutation::None, SeededNoise::new([3; 32]), wrong).unwrap_err();
    assert!(matches!(error, WholeRunError::Length { round: 1, expected: DIM, found: 3 }), "{error}");
    let empty = WholeRun { rounds: 0, ..run() };
    let error = audit_whole_run(empty, Mutation::None, SeededNoise::new([3; 32]), wrong).unwrap_err();
    assert!(matches!(error, WholeRunError::Empty), "{error}");
    let failing = |_: u32, _: &[f64]| Err::<Vec<Update>, _>(std::io::Error::other("no data"));
    let error = audit_whole_run(run(), Mutation::None, SeededNoise::new([3; 32]), failing).unwrap_err();
    assert!(error.to_string().contains("round 1: no data"), "{error}");
    let none = PipelineSpec { noise_multiplier: NoiseMultiplier::new(1e-9).unwrap(), ..run().pipeline };
    let error = audit_whole_run(WholeRun { pipeline: none, ..run() }, Mutation::None, SeededNoise::new([3; 32]), wrong);
    assert!(matches!(error, Err(WholeRunError::Pipeline(_))));
}
