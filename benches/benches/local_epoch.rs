//! Wall time of one local epoch of the fully connected model on the CPU.
//!
//! `speaker`: one privacy unit, the smallest model that the demo trains. `site`: one institution's pooled clips.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sottovoce_train::{Device, Trainer};
use sottovoce_types::{ExampleMeta, Examples, LocalOptimiser, ModelSpec, TrainJob};

const INPUTS: usize = 65;
const BATCH: u32 = 16;

fn examples(n: u16) -> Examples {
    let mut data = Examples::empty(INPUTS);
    for i in 0..n {
        // The golden ratio's multiples spread evenly; values do not matter to the time, as long as none is denormal.
        let value = |j: u16| (f32::from(i) * 0.618 + f32::from(j) * 0.414).fract() - 0.5;
        let row: Vec<f32> = (0..65).map(value).collect();
        data.push(
            &row,
            i % 5,
            ExampleMeta { path: format!("{i}.wav"), speaker: "1001".into(), sex: None, group: None },
        );
    }
    data
}

fn local_epoch(c: &mut Criterion) {
    let mut group = c.benchmark_group("local_epoch");
    for (name, hidden, n) in [("speaker/65-16-5/24", 16, 24), ("site/65-64-5/1000", 64, 1000)] {
        let spec = ModelSpec::Dnn { inputs: INPUTS, hidden: vec![hidden], classes: 5 };
        let global = spec.initialise(1);
        let trainer = Trainer::new(spec, Device::Cpu).expect("the CPU is always there");
        let data = examples(n);
        let job = TrainJob {
            epochs: 1,
            batch: BATCH,
            learning_rate: 0.05,
            momentum: 0.0,
            weight_decay: 0.0,
            proximal_mu: 0.0,
            optimiser: LocalOptimiser::Sgd,
            seed: 1,
            ..TrainJob::default()
        };
        // Elements are gradient steps, so that criterion prints steps a second.
        group.throughput(Throughput::Elements(u64::from(n).div_ceil(u64::from(BATCH))));
        group.bench_function(name, |b| b.iter(|| trainer.train(black_box(&global), &data, &job)));
    }
    group.finish();
}

criterion_group!(benches, local_epoch);
criterion_main!(benches);
