//! One whole attempt in one process, both roles, at n = 10 and d = 100 000: keys, shares, masks, sum, signatures,
//! openings, unmasking. Toy training, no noise: the protocol alone.
#![allow(missing_docs, clippy::unwrap_used, reason = "benches")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sottovoce_round::{Deadlines, Manifest, Member, PublicKey, RunPlan, RunSpec, ServerSpec};
use sottovoce_secagg::graph::MaskGraph;
use sottovoce_secagg::{Identity, MaskSuite};
use sottovoce_sim::{Script, SimClient, Simulation, TargetTrainer};
use sottovoce_transcript::NullTap;
use sottovoce_types::{ClipNorm, Digest, Lanes, LocalOptimiser, ModelSpec, Rotation, TrainJob, Unit};

const CLIENTS: u8 = 10;

fn plan() -> Arc<RunPlan> {
    let spec = RunSpec {
        name: "bench".into(),
        rounds: 1,

        model: ModelSpec::Dnn { inputs: 9_999, hidden: vec![], classes: 10 },
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
        clip: ClipNorm::new(400.0).unwrap(),
        clip_bits: 24,
        lanes: Lanes::new(2).unwrap(),
        rotation: Rotation::None,
        privacy: None,
        n_min: 7,
        max_corrupt: 3,
        graph: MaskGraph::Complete,
        suite: MaskSuite::Aes256Ctr,
        key_agreement: sottovoce_secagg::KeyAgreement::X25519,
        audit_chunks: 0,
        noise_removal: sottovoce_types::NoiseRemoval::None,
        deadlines: Deadlines { join_ms: 1_000, advert_ms: 5_000, phase_ms: 1_000 },
        adaptive_clip: None,
        server: ServerSpec::default(),
        max_attempts: 1,
    };
    let member = |i: u8| Member {
        name: format!("site {i}"),
        public_key: PublicKey(Identity::from_seed([i; 32]).public_key()),
        units: 1,
    };
    let coordinator = PublicKey(Identity::from_seed([100; 32]).public_key());
    let manifest = Manifest::new("bench".into(), coordinator, (1..=CLIENTS).map(member).collect()).unwrap();
    Arc::new(RunPlan::new(spec, Arc::new(manifest)).unwrap())
}

fn one_round(plan: &Arc<RunPlan>) -> f64 {
    let d = plan.layout().len();
    let clients = (1..=CLIENTS)
        .map(|i| SimClient {
            identity: Identity::from_seed([i; 32]),
            trainer: Box::new(TargetTrainer { targets: vec![vec![0.01; d]], step: 0.5 }),
        })
        .collect();
    let coordinator = Identity::from_seed([100; 32]);
    let simulation = Simulation { plan: plan.clone(), coordinator, clients, script: Script::default(), seed: 1 };
    let outcome = simulation.run(&mut NullTap, &mut |_| {}).unwrap();
    assert_eq!(outcome.records.len(), 1);
    outcome.records[0].mean_update_l2
}

fn bench(c: &mut Criterion) {
    let plan = plan();
    assert_eq!(plan.layout().len(), 100_000);
    let mut group = c.benchmark_group("secagg_round");
    group.sample_size(10);
    group.throughput(Throughput::Elements(100_000 * u64::from(CLIENTS)));
    group.bench_function("n=10 d=100000", |b| b.iter(|| black_box(one_round(&plan))));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
