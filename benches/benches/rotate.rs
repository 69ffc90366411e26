//! The randomised Hadamard rotation on the way from an update to integers, against the same way without it.
//!
//! `cargo bench -p sottovoce-benches --bench rotate`. The yardstick of a single pass over memory is a copy of the vector.
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sottovoce_encode::{Clipped, EncodePlan, EncodeSpec, Extra, SiteSum};
use sottovoce_types::{ClipNorm, Digest, Lanes, RingVec, Rotation, Update};

const DIM: usize = 1_000_000;

fn plan(rotation: Rotation) -> EncodePlan {
    EncodePlan::new(EncodeSpec {
        dim: DIM,
        clip: ClipNorm::new(1.0).expect("above 0"),
        clip_bits: 16,
        lanes: Lanes::new(2).expect("2 lanes exist"),
        max_units: 100,
        extra: Extra::None,
        rotation,
        noise_tail: 1 << 20,
    })
    .expect("fits")
    .with_seed(Digest([1; 32]))
}

fn rotate(c: &mut Criterion) {
    let mut group = c.benchmark_group("rotate");
    group.throughput(Throughput::Elements(1_000_000));
    let update =
        Update { values: (0u16..10_000).cycle().take(DIM).map(|i| (f32::from(i) * 0.1).sin()).collect(), examples: 1 };
    let floats: Vec<f64> = update.values.iter().map(|&v| f64::from(v)).collect();
    group.bench_function("copy_f64", |b| b.iter(|| black_box(&floats).clone()));
    for rotation in [Rotation::None, Rotation::Hadamard] {
        let plan = plan(rotation);
        let encode = || {
            let clipped = Clipped::new(black_box(&update), plan.spec().clip).expect("finite");
            clipped.quantise(&plan).expect("of this plan")
        };
        group.bench_function(BenchmarkId::new("clip_and_quantise", rotation.name()), |b| b.iter(encode));
        let mut site = SiteSum::empty(&plan);
        site.add(encode()).expect("of this plan");
        let sum = RingVec::pack(&site.into_coords(), plan.lanes()).expect("in its lanes");
        group.bench_function(BenchmarkId::new("decode", rotation.name()), |b| {
            b.iter(|| plan.decode(black_box(&sum), 1.0));
        });
    }
    group.finish();
}

criterion_group!(benches, rotate);
criterion_main!(benches);
