//! Privacy accountants: ε of a sampled training by each, the closed form without sampling, and a calibration.
//!
//! `cargo bench -p sottovoce-benches --bench accountant`. The peer is Google's dp_accounting: `python benches/peers/accountants.py`.
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sottovoce_dp::DpEvent;
use sottovoce_dp::accountant::{Accountant, Adjacency, calibrate_noise_multiplier, epsilon};
use sottovoce_types::{Delta, Epsilon};

fn accountants(c: &mut Criterion) {
    let mut group = c.benchmark_group("accountant");
    let delta = Delta::new(1e-5).expect("between 0 and 1");
    let sampled = DpEvent::Gaussian { noise_multiplier: 1.0 }.poisson_sampled(0.01).self_composed(1000);
    let unsampled = DpEvent::Gaussian { noise_multiplier: 1.0 }.self_composed(100);
    for (name, event, accountant) in [
        ("pld/q0.01_z1_T1000", &sampled, Accountant::Pld),
        ("rdp/q0.01_z1_T1000", &sampled, Accountant::Rdp),
        ("gdp/z1_T100", &unsampled, Accountant::Gdp),
    ] {
        let of =
            || epsilon(black_box(event), delta, accountant, Adjacency::AddOrRemoveOne).expect("it accounts for it");
        group.bench_function(name, |b| b.iter(of));
    }
    group.sample_size(10);
    let target = Epsilon::new(2.0).expect("above 0");
    let make = |z| DpEvent::gaussian(z).poisson_sampled(0.1).self_composed(100);
    group.bench_function("calibrate/eps2_q0.1_T100", |b| {
        b.iter(|| calibrate_noise_multiplier(target, delta, make, Accountant::Auto, Adjacency::AddOrRemoveOne));
    });
    group.finish();
}

criterion_group!(benches, accountants);
criterion_main!(benches);
