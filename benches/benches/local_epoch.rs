//! Wall time of local training on the CPU.
//!
//! `local_epoch`: the fully connected model; `speaker`: one privacy unit, the smallest model that the demo trains; `site`: one
//! institution's pooled clips. `training_step`: one step of each seed model on 32 clips of 125 frames, the sizes at which
//! `benches/peers/train.py` sets PyTorch beside `sottovoce bench train`.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::cast_precision_loss, reason = "numbers that stand for features")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sottovoce_train::{Device, Trainer};
use sottovoce_types::{ExampleMeta, Examples, ModelSpec, TrainJob};

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
        let job = TrainJob { batch: BATCH, learning_rate: 0.05, ..TrainJob::default() };
        // Elements are gradient steps, so that criterion prints steps a second.
        group.throughput(Throughput::Elements(u64::from(n).div_ceil(u64::from(BATCH))));
        group.bench_function(name, |b| b.iter(|| trainer.train(black_box(&global), &data, &job)));
    }
    group.finish();
}

fn training_step(c: &mut Criterion) {
    let mut group = c.benchmark_group("training_step");
    for (spec, frames) in [
        (ModelSpec::Dnn { inputs: 104, hidden: vec![256, 128], classes: 5 }, 1),
        (ModelSpec::Cnn { inputs: 13, channels: vec![64, 64], kernel: 5, classes: 5 }, 125),
        (ModelSpec::Lstm { inputs: 13, hidden: 64, bidirectional: false, classes: 5 }, 125),
    ] {
        let mut data = Examples::empty(spec.inputs());
        for i in 0..32u16 {
            let value = |j: usize| ((f32::from(i) * 0.618 + j as f32 * 0.414).fract() - 0.5) * 2.0;
            let row: Vec<f32> = (0..frames * spec.inputs()).map(value).collect();
            data.push(&row, i % 5, ExampleMeta::default());
        }
        let global = spec.initialise(1);
        let trainer = Trainer::new(spec.clone(), Device::Cpu).expect("the CPU is always there");
        let job = TrainJob { batch: 32, learning_rate: 0.01, ..TrainJob::default() };
        group.bench_function(spec.name(), |b| b.iter(|| trainer.train(black_box(&global), &data, &job)));
    }
    group.finish();
}

criterion_group!(benches, local_epoch, training_step);
criterion_main!(benches);
