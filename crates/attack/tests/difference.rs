//! The difference of two rounds whose survivors differ by one (So et al. 2021, "Securing secure aggregation"; Lam et al. 2021): what is
//! left is one unit's update under the noise of both rounds. It tells no more than what both charges allow, and without noise it tells
//! everything.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use sottovoce_attack::canary::{CanaryClaim, CanaryDesign, Mutation, Pipeline, PipelineSpec, run_canaries};
use sottovoce_dp::SeededNoise;
use sottovoce_types::{CanaryAudit, ClipNorm, Delta, Lanes, NoiseMultiplier, Rotation, Verdict};

fn attack(mutation: Mutation, seed: u8) -> CanaryAudit {
    let spec = PipelineSpec {
        clip: ClipNorm::new(0.5).unwrap(),
        clip_bits: 12,
        lanes: Lanes::new(3).unwrap(),
        rotation: Rotation::None,
        noise_multiplier: NoiseMultiplier::new(0.5).unwrap(),
        honest: 5,
        canaries: 800,
    };
    let mut pipeline = Pipeline::new(spec, mutation, SeededNoise::new([seed; 32])).unwrap();
    let design = CanaryDesign { canaries: spec.canaries, rounds: 1, seed: seed.into() };
    // One round with the units in question, one in which each of them is away: the score is the difference.
    let trials = run_canaries(design, |included| {
        let with = pipeline.round(included)?;
        let without = pipeline.round(&vec![false; included.len()])?;
        Ok::<_, sottovoce_attack::canary::PipelineError>(with.iter().zip(without).map(|(a, b)| a - b).collect())
    })
    .unwrap();
    let delta = Delta::new(1e-5).unwrap();
    // Two releases are charged.
    let epsilon = spec.claimed_epsilon(2, delta).unwrap();
    trials.audit(CanaryClaim { epsilon, delta, confidence: 0.99, max_shortfall: 3.0 })
}

#[test]
fn the_difference_of_two_rounds_tells_no_more_of_a_unit_than_both_charges_allow() {
    for seed in 1..6 {
        let audit = attack(Mutation::None, seed);
        assert!(audit.epsilon_lower < audit.epsilon_claimed, "{audit:?}");
        assert_ne!(audit.verdict, Verdict::Violation, "{audit:?}");
        assert!(audit.epsilon_lower > 0.0, "it does tell something: {audit:?}");
    }
}

#[test]
fn control_without_noise_the_difference_gives_the_unit_away() {
    assert_eq!(attack(Mutation::NoiseOff, 1).verdict, Verdict::Violation);
}
