//! Membership by gradient cosine (M10): wins on single updates, and is chance on masked bytes.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_possible_truncation, missing_docs, reason = "tests")]
mod common;

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sottovoce_attack::gradient_cosine::{GradientCosine, GradientCosineError, Knowledge};
use sottovoce_attack::stats::{Auc, auc_with_interval};
use sottovoce_attack::view::{MaskedTakenForPlain, Observed};
use sottovoce_attack::{Attack as _, Truth, Truths};
use sottovoce_secagg::MaskSuite;
use sottovoce_train::{Device, Trainer};
use sottovoce_types::{ExampleMeta, Examples, ModelSpec, TrainJob};

const WIDTH: usize = 24;
const CLIENTS: usize = 8;

fn clips(seed: u64, n: u16, name: &str) -> Examples {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut normal = || (0..12).map(|_| f64::from(rng.next_u32()) / f64::from(u32::MAX)).sum::<f64>() - 6.0;
    let mut data = Examples::empty(WIDTH);
    for clip in 0..n {
        let x: Vec<f32> = (0..WIDTH).map(|_| normal() as f32).collect();
        let meta = ExampleMeta { path: format!("{name}-{clip}"), speaker: name.into(), sex: None, group: None };
        data.push(&x, clip % 3, meta);
    }
    data
}

fn model() -> ModelSpec {
    ModelSpec::Dnn { inputs: WIDTH, hidden: vec![32], classes: 3 }
}

fn attack(suite: MaskSuite) -> Auc {
    let sites: Vec<Examples> = (0..CLIENTS).map(|i| clips(i as u64, 6, &format!("in{i}"))).collect();
    let job = TrainJob { epochs: 2, batch: 3, learning_rate: 0.1, ..TrainJob::default() };
    let (_, transcript, plan) = common::run(common::spec(model(), job, 3, suite), &sites);
    let view = Observed::new(&transcript, plan).unwrap().masked_taken_for_plain().unwrap();
    let trainer = Trainer::new(model(), Device::Cpu).unwrap();
    let mut trials = Vec::new();
    for (i, own) in sites.iter().enumerate() {
        // Clips that nobody has, of the same distribution.
        let mut asked = own.clone();
        asked.append(&clips(500 + i as u64, 6, &format!("out{i}")));
        let aux = Knowledge { trainer: &trainer, client: common::client(i), clips: &asked };
        let guesses = GradientCosine::<MaskedTakenForPlain>::default().run(&view, &aux, 1).unwrap();
        let truth = |m: &ExampleMeta| {
            let truth = Truth { positive: m.path.starts_with("in"), cluster: format!("c{i}"), slices: BTreeMap::new() };
            (m.path.clone(), truth)
        };
        let truths: Truths = asked.meta.iter().map(truth).collect();
        trials.extend(guesses.against(&truths, 0).trials());
    }
    assert_eq!(trials.len(), CLIENTS * 12);
    auc_with_interval(&trials, 1).unwrap()
}

#[test]
fn a_clips_gradient_points_where_its_clients_update_does() {
    let found = attack(MaskSuite::None);
    println!("M10 plain: {found:?}");
    assert!(found.ci95.low > 0.7, "{found:?}");
}

#[test]
fn masked_bytes_point_nowhere() {
    let found = attack(MaskSuite::Aes256Ctr);
    println!("M10 masked: {found:?}");
    assert!(found.ci95.low <= 0.5 && 0.5 <= found.ci95.high, "{found:?}");
}

#[test]
fn without_others_and_without_the_client_there_is_no_answer() {
    let sites: Vec<Examples> = (0..3).map(|i| clips(i, 3, "in")).collect();
    let (_, transcript, plan) = common::run(common::spec(model(), TrainJob::default(), 1, MaskSuite::None), &sites);
    let view = Observed::new(&transcript, plan).unwrap().server_plain().unwrap();
    let trainer = Trainer::new(model(), Device::Cpu).unwrap();
    let mut aux = Knowledge { trainer: &trainer, client: common::client(0), clips: &sites[0] };
    let refused = GradientCosine::default().run(&view, &aux, 1).unwrap_err();
    assert!(matches!(refused, GradientCosineError::TooFewOthers { others: 2 }), "{refused}");
    aux.client = common::client(9);
    let refused = GradientCosine::default().run(&view, &aux, 1).unwrap_err();
    assert!(matches!(refused, GradientCosineError::NothingSeen { .. }), "{refused}");
}
