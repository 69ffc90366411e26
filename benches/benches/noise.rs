//! Exact rounded Gaussian noise against the keystream that it is made from.
//!
//! `cargo bench -p sottovoce-benches --bench noise`. The yardstick is raw ChaCha20 at 24 bytes a sample, what an ideal block sampler
//! uses; it is what no sampler on this generator can beat.
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sottovoce_dp::noise::{DiscreteGaussian, IntegerNoise as _};
use sottovoce_dp::{RoundedGaussian, Sigma};

const SAMPLES: u32 = 100_000;
const BYTES_PER_SAMPLE: usize = 24;

fn noise(c: &mut Criterion) {
    let mut group = c.benchmark_group("noise");
    group.throughput(Throughput::Elements(u64::from(SAMPLES)));
    let samples = usize::try_from(SAMPLES).expect("fits");
    for sigma in [4u64, 1_000, 1_000_000] {
        let law = RoundedGaussian::new(Sigma::from_raw(sigma << Sigma::FRACTION_BITS).expect("in range"));
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut out = vec![0; samples];
        group.bench_function(BenchmarkId::new("rounded_gaussian", sigma), |b| {
            b.iter(|| law.fill(&mut rng, black_box(&mut out)));
        });
    }
    let (mut rng, mut out) = (ChaCha20Rng::from_seed([1; 32]), vec![0; samples]);
    let karney = RoundedGaussian::new(Sigma::from_raw(1000 << Sigma::FRACTION_BITS).expect("in range"));
    group.bench_function("karney/1000", |b| b.iter(|| karney.fill_by_karney(&mut rng, black_box(&mut out))));
    let discrete = DiscreteGaussian::new(1000, 1).expect("in range");
    group.bench_function("discrete_gaussian/1000", |b| b.iter(|| discrete.fill(&mut rng, black_box(&mut out))));
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut bytes = vec![0; samples * BYTES_PER_SAMPLE];
    group.bench_function("chacha20_24_bytes_a_sample", |b| b.iter(|| rng.fill_bytes(black_box(&mut bytes))));
    group.finish();
}

criterion_group!(benches, noise);
criterion_main!(benches);
