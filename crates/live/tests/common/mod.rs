//! A small federation, simulated, and a record of it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a module of test binaries, each of which uses a part of it"
)]
use std::sync::Arc;

use sottovoce_live::{About, Board, Snapshot, TrafficTotals};
use sottovoce_round::{
    CoordinatorEvent, Deadlines, Manifest, Member, PrivacyPlan, PublicKey, RunPlan, RunSpec, ServerSpec,
};
use sottovoce_secagg::graph::MaskGraph;
use sottovoce_secagg::{Identity, MaskSuite};
use sottovoce_sim::{Script, SimClient, SimOutcome, Simulation, TargetTrainer};
use sottovoce_transcript::NullTap;
use sottovoce_types::{
    AttemptId, ClientId, ClipNorm, Delta, Digest, Epsilon, Lanes, LocalOptimiser, ModelSpec, NoiseMultiplier, Rotation,
    RoundId, RoundRecord, RunId, SCHEMA_VERSION, TrainJob, Unit,
};

/// When every board here begins.
pub const NOW: u64 = 1_800_000_000_000;
pub const MEMBERS: u8 = 5;
pub const RUN: RunId = RunId([9; 16]);

/// Identities 1..=n are members; the coordinator's is 100.
pub fn identity(i: u8) -> Identity {
    Identity::from_seed([i; 32])
}

pub fn id(i: u8) -> ClientId {
    identity(i).client_id()
}

/// Members of two speakers each, f = 1, with DP.
pub fn plan(rounds: u64) -> Arc<RunPlan> {
    named_plan("toy", "site", rounds)
}

pub fn named_plan(name: &str, member: &str, rounds: u64) -> Arc<RunPlan> {
    let member =
        |i: u8| Member { name: format!("{member}-{i}"), public_key: PublicKey(identity(i).public_key()), units: 2 };
    let manifest =
        Manifest::new("toys".into(), PublicKey(identity(100).public_key()), (1..=MEMBERS).map(member).collect());
    let spec = RunSpec {
        name: name.into(),
        rounds,
        model: ModelSpec::Dnn { inputs: 6, hidden: vec![], classes: 3 },
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
        unit: Unit::Speaker,
        clip: ClipNorm::new(1.0).unwrap(),
        clip_bits: 16,
        lanes: Lanes::new(2).unwrap(),
        rotation: Rotation::None,
        privacy: Some(PrivacyPlan {
            noise_multiplier: NoiseMultiplier::new(2.0).unwrap(),
            sampling: None,
            delta: Delta::new(1e-5).unwrap(),
            epsilon_budget: Epsilon::new(100.0).unwrap(),
        }),
        n_min: 3,
        max_corrupt: 1,
        graph: MaskGraph::Complete,
        suite: MaskSuite::Aes256Ctr,
        key_agreement: sottovoce_secagg::KeyAgreement::X25519,
        audit_chunks: 0,
        noise_removal: sottovoce_types::NoiseRemoval::None,
        deadlines: Deadlines { join_ms: 1_000, advert_ms: 5_000, phase_ms: 1_000 },
        adaptive_clip: None,
        server: ServerSpec::default(),
        max_attempts: 3,
    };
    Arc::new(RunPlan::new(spec, Arc::new(manifest.unwrap())).unwrap())
}

/// Runs the federation; `observe` hears the events as they happen.
pub fn simulate(plan: &Arc<RunPlan>, script: Script, observe: &mut dyn FnMut(&CoordinatorEvent)) -> SimOutcome {
    let target = |i: u8, u: u8| vec![f32::from(i) * 0.1 + f32::from(u) * 0.05; plan.layout().len()];
    let trainer = |i: u8| TargetTrainer { targets: vec![target(i, 0), target(i, 1)], step: 0.5 };
    let clients = (1..=MEMBERS).map(|i| SimClient { identity: identity(i), trainer: Box::new(trainer(i)) }).collect();
    let simulation = Simulation { plan: plan.clone(), coordinator: identity(100), clients, script, seed: 7 };
    simulation.run(&mut NullTap, observe).unwrap()
}

pub fn board(plan: &RunPlan) -> Board {
    Board::new(About::of(plan, RUN), NOW)
}

pub fn at(board: &Board) -> Snapshot {
    let traffic = TrafficTotals { frames_in: 12, bytes_in: 3_456, frames_out: 7, bytes_out: 89 };
    Snapshot { board: board.clone(), traffic, now_ms: NOW + 1_500 }
}

pub fn opened(round: u64, attempt: u32) -> CoordinatorEvent {
    CoordinatorEvent::AttemptOpened { round: RoundId(round), attempt: AttemptId(attempt), cohort: 5 }
}

pub fn closed(phase: &'static str, missing: &[u8]) -> CoordinatorEvent {
    let missing: Vec<ClientId> = missing.iter().map(|i| id(*i)).collect();
    let answered = u32::from(MEMBERS) - u32::try_from(missing.len()).unwrap();
    CoordinatorEvent::PhaseClosed { round: RoundId(1), attempt: AttemptId(1), phase, answered, missing }
}

pub fn phase_opened(phase: &'static str) -> CoordinatorEvent {
    CoordinatorEvent::PhaseOpened { round: RoundId(1), attempt: AttemptId(1), phase, lasts_ms: 1_000 }
}

pub fn joined(i: u8) -> CoordinatorEvent {
    CoordinatorEvent::Joined { client: id(i) }
}

pub fn refused(i: u8, reason: &str) -> CoordinatorEvent {
    CoordinatorEvent::Refused { client: id(i), reason: reason.to_owned() }
}

pub fn given_up(round: u64, reason: &str) -> CoordinatorEvent {
    CoordinatorEvent::AttemptAborted { round: RoundId(round), attempt: AttemptId(1), reason: reason.to_owned() }
}

pub fn record(round: u64) -> RoundRecord {
    RoundRecord {
        schema: SCHEMA_VERSION,
        config_sha256: Digest::default(),
        round,
        attempt: 1,
        cohort: 5,
        contributors: 5,
        dropouts: 0,
        model_sha256: Digest([u8::try_from(round % 251).unwrap(); 32]),
        mean_update_l2: 0.5,
        charges: round,
        epsilon_spent: 0.25,
        duration_ms: 1_250,
        metrics: None,
        clip_l2: None,
        unclipped_fraction: None,
    }
}

pub fn published(round: u64) -> CoordinatorEvent {
    CoordinatorEvent::Published { record: Box::new(record(round)) }
}
