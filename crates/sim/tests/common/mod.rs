//! A small federation with toy trainers.
#![allow(dead_code, unreachable_pub, reason = "a module of test binaries, each of which uses a part of it")]
use std::sync::Arc;

use sottovoce_round::{
    CoordinatorEvent, Deadlines, Manifest, Member, PrivacyPlan, PublicKey, RunPlan, RunSpec, ServerSpec,
};
use sottovoce_secagg::graph::MaskGraph;
use sottovoce_secagg::{Identity, KeyAgreement, MaskSuite};
use sottovoce_sim::{Script, SimClient, SimOutcome, Simulation, TargetTrainer};
use sottovoce_transcript::{MemoryTap, Transcript};
use sottovoce_types::{
    ClipNorm, Delta, Digest, Epsilon, Lanes, LocalOptimiser, ModelSpec, NoiseMultiplier, Rotation, TrainJob, Unit,
};

/// Features of the toy model.
pub const INPUTS: usize = 6;
/// Classes of the toy model.
pub const CLASSES: usize = 3;

/// A spec without noise, on `rounds` rounds.
pub fn spec(n_min: u32, max_corrupt: u32, rounds: u64) -> RunSpec {
    RunSpec {
        name: "toy".into(),
        rounds,
        model: ModelSpec::Dnn { inputs: INPUTS, hidden: vec![], classes: CLASSES },
        init_seed: 1,
        job: TrainJob {
            epochs: 1,
            batch: 1,
            learning_rate: 0.1,
            momentum: 0.0,
            weight_decay: 0.0,
            proximal_mu: 0.0,
            optimiser: LocalOptimiser::Sgd,
            seed: 1,
            ..TrainJob::default()
        },
        features: Digest::default(),
        unit: Unit::None,
        clip: ClipNorm::new(16.0).unwrap(),
        clip_bits: 36,
        lanes: Lanes::new(1).unwrap(),
        rotation: Rotation::None,
        privacy: None,
        n_min,
        max_corrupt,
        graph: MaskGraph::Complete,
        suite: MaskSuite::Aes256Ctr,
        deadlines: Deadlines { join_ms: 1_000, advert_ms: 5_000, phase_ms: 1_000 },
        adaptive_clip: None,
        server: ServerSpec::default(),
        max_attempts: 3,
        key_agreement: KeyAgreement::X25519,
        audit_chunks: 1,
        noise_removal: sottovoce_types::NoiseRemoval::None,
    }
}

/// The same with speaker-level DP.
pub fn private_spec(n_min: u32, max_corrupt: u32, rounds: u64, noise: f64, budget: f64) -> RunSpec {
    RunSpec {
        unit: Unit::Speaker,
        clip: ClipNorm::new(1.0).unwrap(),
        clip_bits: 16,
        lanes: Lanes::new(2).unwrap(),
        privacy: Some(PrivacyPlan {
            noise_multiplier: NoiseMultiplier::new(noise).unwrap(),
            sampling: None,
            delta: Delta::new(1e-5).unwrap(),
            epsilon_budget: Epsilon::new(budget).unwrap(),
        }),
        ..spec(n_min, max_corrupt, rounds)
    }
}

/// Identities 1..=n; the coordinator's is 100.
pub fn identity(i: u8) -> Identity {
    Identity::from_seed([i; 32])
}

/// A plan for n clients of two units each.
pub fn plan(spec: RunSpec, n: u8) -> Arc<RunPlan> {
    let member =
        |i: u8| Member { name: format!("site {i}"), public_key: PublicKey(identity(i).public_key()), units: 2 };
    let manifest =
        Manifest::new("toys".into(), PublicKey(identity(100).public_key()), (1..=n).map(member).collect()).unwrap();
    Arc::new(RunPlan::new(spec, Arc::new(manifest)).unwrap())
}

/// Client i's trainer: each unit wants another constant.
pub fn trainer(plan: &RunPlan, i: u8) -> TargetTrainer {
    let units: u8 = if plan.spec().unit == Unit::Speaker { 2 } else { 1 };
    let target = |u: u8| vec![f32::from(i) * 0.1 + f32::from(u) * 0.05; plan.layout().len()];
    TargetTrainer { targets: (0..units).map(target).collect(), step: 0.5 }
}

/// A simulation of n clients.
pub fn simulation(plan: &Arc<RunPlan>, n: u8, script: Script) -> Simulation {
    let clients = (1..=n).map(|i| SimClient { identity: identity(i), trainer: Box::new(trainer(plan, i)) }).collect();
    Simulation { plan: plan.clone(), coordinator: identity(100), clients, script, seed: 7 }
}

/// Runs it and keeps every frame.
pub fn run(simulation: Simulation) -> (SimOutcome, Transcript) {
    let tap = MemoryTap::new();
    let outcome = simulation.run(&mut tap.clone(), &mut |_: &CoordinatorEvent| {}).unwrap();
    (outcome, tap.transcript())
}
