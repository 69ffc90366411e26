//! The canary audit on the real pipeline: silent on the pipeline as it is, and loud on every broken one.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use sottovoce_attack::canary::{
    CanaryClaim, CanaryDesign, Mutation, NOT_DETECTABLE, Pipeline, PipelineSpec, run_canaries,
};
use sottovoce_dp::{OsNoise, SeededNoise};
use sottovoce_types::{CanaryAudit, ClipNorm, Delta, Lanes, NoiseMultiplier, Rotation, Verdict};

const ROUNDS: u32 = 4;

/// z = 1 over 4 rounds: μ = 2, ε near 10 at δ = 1e-5. Five honest clients of nine (f = 1: q = 6).
fn spec() -> PipelineSpec {
    PipelineSpec {
        clip: ClipNorm::new(0.5).unwrap(),
        clip_bits: 12,
        lanes: Lanes::new(3).unwrap(),
        rotation: Rotation::None,
        noise_multiplier: NoiseMultiplier::new(1.0).unwrap(),
        honest: 5,
        canaries: 800,
    }
}

fn audit(mutation: Mutation, seed: u64) -> CanaryAudit {
    audit_of(spec(), mutation, seed)
}

fn audit_of(spec: PipelineSpec, mutation: Mutation, seed: u64) -> CanaryAudit {
    let mut noise_seed = [7; 32];
    noise_seed[..8].copy_from_slice(&seed.to_le_bytes());
    let mut pipeline = Pipeline::new(spec, mutation, SeededNoise::new(noise_seed)).unwrap();
    let design = CanaryDesign { canaries: spec.canaries, rounds: ROUNDS, seed };
    let trials = run_canaries(design, |included| pipeline.round(included)).unwrap();
    let delta = Delta::new(1e-5).unwrap();
    let epsilon = spec.claimed_epsilon(ROUNDS, delta).unwrap();
    trials.audit(CanaryClaim { epsilon, delta, confidence: 0.99, max_shortfall: 2.0 })
}

#[test]
fn claim_noise_of_the_guaranteed_honest_clients_gives_the_claimed_epsilon() {
    for seed in 0..5 {
        let audit = audit(Mutation::None, seed);
        assert_eq!(audit.verdict, Verdict::NoViolation, "{audit:?}");
        // Not silent because it is blind: it certifies most of the claim, and half the noise would have been seen.
        assert!(audit.epsilon_lower > 0.6 * audit.epsilon_claimed, "{audit:?}");
        assert!(audit.detectable_noise_shortfall < 1.5, "{audit:?}");
    }
}

#[test]
fn canary_audit_catches_missing_noise() {
    assert_eq!(audit(Mutation::NoiseOff, 1).verdict, Verdict::Violation);
}

#[test]
fn canary_audit_catches_half_the_noise() {
    assert_eq!(audit(Mutation::NoiseShort { factor: 2.0 }, 2).verdict, Verdict::Violation);
}

#[test]
fn canary_audit_catches_noise_calibrated_for_clients_that_need_not_survive() {
    // Made for all 9 clients where 5 honest ones are sure: √(9/5) = 1.34 too little.
    assert_eq!(audit(Mutation::NoiseForAll { clients: 9 }, 3).verdict, Verdict::Violation);
}

#[test]
fn canary_audit_catches_a_skipped_clip() {
    assert_eq!(audit(Mutation::ClipSkipped, 4).verdict, Verdict::Violation);
}

#[test]
fn under_a_rotation_the_audit_is_as_silent_and_as_loud() {
    let rotating = PipelineSpec { rotation: Rotation::Hadamard, ..spec() };
    for seed in 0..3 {
        let audit = audit_of(rotating, Mutation::None, seed);
        assert_eq!(audit.verdict, Verdict::NoViolation, "{audit:?}");
        assert!(audit.epsilon_lower > 0.6 * audit.epsilon_claimed, "{audit:?}");
    }
    let defects = [
        Mutation::NoiseOff,
        Mutation::NoiseShort { factor: 2.0 },
        Mutation::NoiseForAll { clients: 9 },
        Mutation::ClipSkipped,
    ];
    for (defect, seed) in defects.into_iter().zip(5..) {
        assert_eq!(audit_of(rotating, defect, seed).verdict, Verdict::Violation, "{defect:?}");
    }
}

#[test]
fn canary_audit_runs_on_noise_of_the_operating_system() {
    // Unseeded, so only what holds for any noise: a verdict is made and the record survives JSON.
    let small = PipelineSpec { canaries: 10, ..spec() };
    let mut pipeline = Pipeline::new(small, Mutation::None, OsNoise).unwrap();
    let design = CanaryDesign { canaries: 10, rounds: 1, seed: 1 };
    let trials = run_canaries(design, |included| pipeline.round(included)).unwrap();
    let delta = Delta::new(1e-5).unwrap();
    let epsilon = spec().claimed_epsilon(1, delta).unwrap();
    let audit = trials.audit(CanaryClaim { epsilon, delta, confidence: 0.99, max_shortfall: 1.0 });
    assert!(audit.detectable_noise_shortfall > 1.0 && audit.verdict != Verdict::NoViolation, "{audit:?}");
    let hopeless = CanaryAudit { detectable_noise_shortfall: NOT_DETECTABLE, ..audit };
    let back: CanaryAudit = serde_json::from_str(&serde_json::to_string(&hopeless).unwrap()).unwrap();
    assert_eq!(back, hopeless);
}
