//! The same plan and seeds give the same bytes on the simulator's clock and over QUIC: whatever is measured on simulations
//! is measured on the protocol that is deployed.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::collections::BTreeMap;
use std::future::pending;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use common::federation::soon;
use sottovoce_dp::SeededNoise;
use sottovoce_dp::sampling::SamplingProbability;
use sottovoce_net::{
    Listener, Participant, ParticipateOptions, Served, Service, TlsIdentity, TransportOptions, participate, serve,
};
use sottovoce_round::{
    ClientEngine, ClientSetup, Coordinator, CoordinatorEvent, Deadlines, Manifest, Member, MemoryJournal, Outcome,
    PrivacyPlan, PublicKey, RunPlan, RunSpec, ServerSpec,
};
use sottovoce_secagg::graph::MaskGraph;
use sottovoce_secagg::{Identity, KeyAgreement, MaskSuite};
use sottovoce_sim::{Script, SimClient, SimOutcome, Simulation, TargetTrainer, client_seeds, run_id};
use sottovoce_transcript::{MemoryTap, Party, Transcript};
use sottovoce_types::{
    AttemptId, ClipNorm, Delta, Digest, Epsilon, Lanes, LocalOptimiser, ModelSpec, NoiseMultiplier, Rotation, RoundId,
    TrainJob, Unit,
};
use sottovoce_wire::Kind;

const CLIENTS: u8 = 5;
const ROUNDS: u64 = 3;
const SEED: u64 = 11;

fn identity(i: u8) -> Identity {
    Identity::from_seed([i; 32])
}

/// Client 0 is the coordinator.
fn plan(rotation: Rotation, sampling: Option<SamplingProbability>) -> Arc<RunPlan> {
    let member =
        |i: u8| Member { name: format!("site-{i}"), public_key: PublicKey(identity(i).public_key()), units: 2 };
    let coordinator = PublicKey(identity(0).public_key());
    let manifest = Manifest::new("equality".into(), coordinator, (1..=CLIENTS).map(member).collect()).unwrap();
    let spec = RunSpec {
        name: "equality".into(),
        rounds: ROUNDS,
        model: ModelSpec::Dnn { inputs: 7, hidden: vec![4], classes: 5 },
        init_seed: 3,
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
        features: Digest([0; 32]),
        unit: Unit::Speaker,
        clip: ClipNorm::new(1.0).unwrap(),
        clip_bits: 16,
        lanes: Lanes::new(2).unwrap(),
        rotation,
        privacy: Some(PrivacyPlan {
            noise_multiplier: NoiseMultiplier::new(2.0).unwrap(),
            sampling,
            delta: Delta::new(1e-5).unwrap(),
            epsilon_budget: Epsilon::new(100.0).unwrap(),
        }),
        n_min: 4,
        max_corrupt: 1,
        graph: MaskGraph::Complete,
        suite: MaskSuite::Aes256Ctr,
        deadlines: Deadlines { join_ms: 30_000, advert_ms: 30_000, phase_ms: 30_000 },
        adaptive_clip: None,
        server: ServerSpec::default(),
        max_attempts: 3,
        key_agreement: KeyAgreement::X25519,
        audit_chunks: 0,
        noise_removal: sottovoce_types::NoiseRemoval::None,
    };
    Arc::new(RunPlan::new(spec, Arc::new(manifest)).unwrap())
}

fn trainer(plan: &RunPlan, i: u8) -> TargetTrainer {
    let target = |u: u8| vec![f32::from(i) * 0.1 + f32::from(u) * 0.05; plan.layout().len()];
    TargetTrainer { targets: vec![target(0), target(1)], step: 0.5 }
}

fn simulate(plan: &Arc<RunPlan>) -> (SimOutcome, Transcript) {
    let clients =
        (1..=CLIENTS).map(|i| SimClient { identity: identity(i), trainer: Box::new(trainer(plan, i)) }).collect();
    let simulation =
        Simulation { plan: Arc::clone(plan), coordinator: identity(0), clients, script: Script::default(), seed: SEED };
    let tap = MemoryTap::new();
    let outcome = simulation.run(&mut tap.clone(), &mut |_: &CoordinatorEvent| {}).unwrap();
    (outcome, tap.transcript())
}

async fn deploy(plan: &Arc<RunPlan>) -> (Service, Transcript) {
    let listener = Listener::bind(
        (Ipv4Addr::LOCALHOST, 0).into(),
        &TlsIdentity::from_seed(&[0; 32]),
        plan.manifest().keys(),
        TransportOptions::default(),
    )
    .unwrap();
    let address = listener.local_addr().unwrap();
    let engine = Coordinator::new(Arc::clone(plan), identity(0), run_id(SEED));
    let mut service = Service::new(engine, Box::new(MemoryJournal::default()));
    let tap = MemoryTap::new();
    service.tap = Box::new(tap.clone());
    let served = tokio::spawn(serve(listener, service, |_| {}, pending()));
    let clients: Vec<_> = (1..=CLIENTS)
        .map(|i| {
            let seeds = client_seeds(SEED, u64::from(i) - 1);
            let engine = ClientEngine::new(ClientSetup {
                plan: Arc::clone(plan),
                identity: identity(i),
                noise: Box::new(SeededNoise::new(seeds.noise)),
                seed: seeds.keys,
                history: Vec::new(),
                allow_plain: false,
            })
            .unwrap();
            let key = identity(0).public_key();
            let options = ParticipateOptions::new(address.to_string(), key, TlsIdentity::from_seed(&[i; 32]));
            let participant = Participant::new(engine, Box::new(MemoryJournal::default()), Box::new(trainer(plan, i)));
            tokio::spawn(participate(options, participant, |_| {}, pending()))
        })
        .collect();
    let (service, served) = soon(served).await.unwrap().unwrap();
    assert_eq!(served, Served::Finished);
    for client in clients {
        let client = soon(client).await.unwrap().unwrap();
        assert_eq!(client.engine.last_model().unwrap().digest(), service.engine.params().digest());
    }
    (service, tap.transcript())
}

/// Every frame's body by what it is and whose it is. Only the order of arrival, and ticks, are the drivers' own.
type Frames = BTreeMap<(RoundId, AttemptId, Kind, Party, Party), Vec<Bytes>>;

fn frames(transcript: &Transcript) -> Frames {
    let mut frames = Frames::new();
    for record in transcript.coordinator().records() {
        let frame = &record.frame;
        let key = (frame.round, frame.attempt, frame.kind, record.from, record.to);
        frames.entry(key).or_default().push(frame.body.clone());
    }
    frames
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seeds_give_the_same_bytes_in_simulation_and_over_quic() {
    for rotation in [Rotation::None, Rotation::Hadamard] {
        Box::pin(same_bytes(&plan(rotation, None))).await;
    }
    // The coins that choose the units are seeded like all else.
    Box::pin(same_bytes(&plan(Rotation::None, Some(SamplingProbability::new(0.5).unwrap())))).await;
}

async fn same_bytes(plan: &Arc<RunPlan>) {
    let (simulated, sim_transcript) = simulate(plan);
    assert_eq!(simulated.outcome, Outcome::Completed);
    let (deployed, quic_transcript) = deploy(plan).await;
    assert_eq!(deployed.engine.outcome(), Some(&Outcome::Completed));

    let digest = simulated.models.last().unwrap().digest();
    assert_eq!(deployed.engine.params().digest(), digest, "the last checkpoint");
    assert_ne!(digest, plan.initial_params().digest());

    let (ours, theirs) = (frames(&sim_transcript), frames(&quic_transcript));
    let inputs = |frames: &Frames| -> Frames {
        frames.iter().filter(|(k, _)| k.2 == Kind::MaskedInput).map(|(k, v)| (*k, v.clone())).collect()
    };
    assert_eq!(inputs(&ours).len() as u64, u64::from(CLIENTS) * ROUNDS);
    assert!(inputs(&ours) == inputs(&theirs), "the masked inputs are the same bytes");
    let differ: Vec<_> =
        ours.iter().filter(|(key, bodies)| theirs.get(*key) != Some(*bodies)).map(|(k, _)| k).collect();
    assert!(differ.is_empty(), "other bytes in {differ:?}");
    assert_eq!(ours.len(), theirs.len(), "no frame is in one and not in the other");
}
