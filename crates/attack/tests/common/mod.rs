//! Federations that really train, simulated frame by frame.
#![allow(dead_code, unreachable_pub, reason = "a module of test binaries, each of which uses a part of it")]
use std::sync::Arc;

use sottovoce_round::{
    CoordinatorEvent, Deadlines, LocalTrainer, Manifest, Member, PrivacyPlan, PublicKey, RunPlan, RunSpec, ServerSpec,
    TrainFailed, UnitSum, Work,
};
use sottovoce_secagg::{Identity, MaskSuite};
use sottovoce_sim::{Script, SimClient, SimOutcome, Simulation};
use sottovoce_train::{Device, Trainer, unit_update};
use sottovoce_transcript::{MemoryTap, Transcript};
use sottovoce_types::{
    ClientId, ClipNorm, Delta, Digest, Epsilon, Examples, Lanes, ModelSpec, NoiseMultiplier, Rotation, TrainJob, Unit,
};

/// One client's local training: its data as one unit.
pub struct Site {
    pub trainer: Trainer,
    pub name: String,
    pub data: Examples,
}

impl LocalTrainer for Site {
    fn train(&mut self, work: &Work, units: &mut UnitSum) -> Result<(), TrainFailed> {
        let update = unit_update(&self.trainer, &work.params, &work.job, &self.name, &self.data);
        units.add(0, &update.map_err(|e| TrainFailed(Box::new(e)))?)?;
        Ok(())
    }
}

/// Identities 1..=n; the coordinator's is 100.
pub fn identity(i: u8) -> Identity {
    Identity::from_seed([i; 32])
}

/// The client at place `i`, from 0.
pub fn client(i: usize) -> ClientId {
    identity(u8::try_from(i + 1).unwrap()).client_id()
}

/// A run of `n` clients, without a privacy unit and without noise.
pub fn spec(model: ModelSpec, job: TrainJob, rounds: u64, suite: MaskSuite) -> RunSpec {
    RunSpec {
        name: "attacked".into(),
        rounds,
        model,
        init_seed: 5,
        job,
        features: Digest::default(),
        unit: Unit::None,
        clip: ClipNorm::new(64.0).unwrap(),
        clip_bits: 38,
        lanes: Lanes::new(1).unwrap(),
        rotation: Rotation::None,
        privacy: None,
        n_min: 3,
        max_corrupt: 0,
        graph: sottovoce_secagg::graph::MaskGraph::Complete,
        suite,
        key_agreement: sottovoce_secagg::KeyAgreement::X25519,
        audit_chunks: 0,
        noise_removal: sottovoce_types::NoiseRemoval::None,
        deadlines: Deadlines { join_ms: 1_000, advert_ms: 5_000, phase_ms: 1_000 },
        adaptive_clip: None,
        server: ServerSpec::default(),
        max_attempts: 3,
    }
}

/// The same with one privacy unit a client, clipped to `clip` and noised by `noise`.
pub fn private(spec: RunSpec, clip: f64, noise: f64) -> RunSpec {
    RunSpec {
        unit: Unit::Client,
        clip: ClipNorm::new(clip).unwrap(),
        clip_bits: 16,
        lanes: Lanes::new(2).unwrap(),
        privacy: Some(PrivacyPlan {
            noise_multiplier: NoiseMultiplier::new(noise).unwrap(),
            sampling: None,
            delta: Delta::new(1e-5).unwrap(),
            epsilon_budget: Epsilon::new(1e9).unwrap(),
        }),
        ..spec
    }
}

/// A federation of these sites, run to its end.
pub fn run(spec: RunSpec, sites: &[Examples]) -> (SimOutcome, Transcript, Arc<RunPlan>) {
    let n = u8::try_from(sites.len()).unwrap();
    let member =
        |i: u8| Member { name: format!("site {i}"), public_key: PublicKey(identity(i).public_key()), units: 1 };
    let manifest =
        Manifest::new("attacked".into(), PublicKey(identity(100).public_key()), (1..=n).map(member).collect());
    let plan = Arc::new(RunPlan::new(spec, Arc::new(manifest.unwrap())).unwrap());
    let trainer = Trainer::new(plan.spec().model.clone(), Device::Cpu).unwrap();
    let site = |(i, data): (u8, &Examples)| SimClient {
        identity: identity(i),
        trainer: Box::new(Site { trainer: trainer.clone(), name: format!("site {i}"), data: data.clone() }),
    };
    let clients = (1..=n).zip(sites).map(site).collect();
    let simulation =
        Simulation { plan: plan.clone(), coordinator: identity(100), clients, script: Script::default(), seed: 7 };
    let tap = MemoryTap::new();
    let outcome = simulation.run(&mut tap.clone(), &mut |_: &CoordinatorEvent| {}).unwrap();
    (outcome, tap.transcript(), plan)
}
