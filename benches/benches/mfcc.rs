//! The front end on one 2.5 s clip. Throughput counts audio-milliseconds, so `Kelem/s` reads as audio-seconds per second.
#![allow(missing_docs, clippy::unwrap_used, clippy::default_trait_access, reason = "a benchmark")]
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sottovoce_audio::{Mfcc, pooled_statistics};

/// 2.5 s at the default spec's 16 kHz.
const SAMPLES: u16 = 40_000;
const AUDIO_MILLISECONDS: u64 = 2_500;

fn mfcc(c: &mut Criterion) {
    let samples: Vec<f32> =
        (0..SAMPLES).map(f32::from).map(|n| 0.3 * (0.11 * n).sin() + 0.1 * (0.7 * n).sin()).collect();
    let front_end = Mfcc::new(&Default::default()).unwrap();
    let features = front_end.compute(&samples);
    let mut group = c.benchmark_group("mfcc");
    group.throughput(Throughput::Elements(AUDIO_MILLISECONDS));
    group.bench_function("compute", |b| b.iter(|| front_end.compute(black_box(&samples))));
    group.bench_function("pooled", |b| b.iter(|| pooled_statistics(black_box(&features), front_end.n_mfcc())));
    group.bench_function("plan", |b| b.iter(|| Mfcc::new(black_box(&Default::default())).unwrap()));
    group.finish();
}

criterion_group!(benches, mfcc);
criterion_main!(benches);
