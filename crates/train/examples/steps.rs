#[global_allocator]
static A: mimalloc::MiMalloc = mimalloc::MiMalloc;
use sottovoce_train::*;
use sottovoce_types::*;
use std::time::Instant;
fn main() {
    let specs = [
        (ModelSpec::Dnn { inputs: 104, hidden: vec![256, 128], classes: 5 }, 1),
        (ModelSpec::Cnn { inputs: 13, channels: vec![64, 64], kernel: 5, classes: 5 }, 125),
        (ModelSpec::Lstm { inputs: 13, hidden: 64, bidirectional: false, classes: 5 }, 125),
        (ModelSpec::Dnn { inputs: 65, hidden: vec![16], classes: 5 }, 1),
        (ModelSpec::LstmTransformer { inputs: 13, hidden: 64, heads: 4, feed_forward: 128, classes: 5 }, 125),
    ];
    for (spec, t) in specs {
        if std::env::args().nth(1).is_some_and(|o| o != spec.name()) {
            continue;
        }
        let mut d = Examples::empty(spec.inputs());
        for i in 0..32u16 {
            let x: Vec<f32> =
                (0..t * spec.inputs()).map(|j| (((j * 7 + i as usize * 13) % 29) as f32) / 14.5 - 1.0).collect();
            d.push(&x, i % 5, ExampleMeta::default());
        }
        let tr = Trainer::new(spec.clone(), Device::Cpu).unwrap();
        let p = spec.initialise(1);
        let job = TrainJob { epochs: 5, batch: 32, learning_rate: 0.01, ..TrainJob::default() };
        let mut best = f64::MAX;
        for _ in 0..20 {
            let s = Instant::now();
            tr.train(&p, &d, &job).unwrap();
            best = best.min(s.elapsed().as_secs_f64() * 1000.0 / 5.0);
        }
        let mut bf = f64::MAX;
        for _ in 0..20 {
            let s = Instant::now();
            tr.logits(&p, &d).unwrap();
            bf = bf.min(s.elapsed().as_secs_f64() * 1000.0);
        }
        let mut bg = f64::MAX;
        for _ in 0..5 {
            let s = Instant::now();
            tr.gradients(&p, &d, &job, &mut |u| {
                std::hint::black_box(u);
            })
            .unwrap();
            bg = bg.min(s.elapsed().as_secs_f64() * 1000.0);
        }
        println!("{} step {best:.3} ms forward {bf:.3} ms each {bg:.3}", spec.name());
    }
}
