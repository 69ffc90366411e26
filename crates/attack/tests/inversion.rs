//! Reconstruction from real updates: exact where it must be, blind where it must be.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests"
)]
mod common;

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sottovoce_attack::Attack as _;
use sottovoce_attack::inversion::{
    Cases, CosineSettings, Inversion, InversionError, InversionScores, Knowledge, Method, Role, ScoreError, score,
};
use sottovoce_attack::view::{MaskedTakenForPlain, Observed, SingleUpdates};
use sottovoce_round::RunSpec;
use sottovoce_secagg::MaskSuite;
use sottovoce_train::{Device, Trainer};
use sottovoce_types::{AttackScore, ExampleMeta, Examples, ModelSpec, TrainJob};

const CLASSES: u16 = 5;

/// Clips with features of mean 0 and deviation 1, correlated over time.
fn clips(seed: u64, n: u16, frames: usize, width: usize) -> Examples {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut normal = || {
        let sum: f64 = (0..12).map(|_| f64::from(rng.next_u32()) / f64::from(u32::MAX)).sum();
        sum - 6.0
    };
    let mut data = Examples::empty(width);
    for clip in 0..n {
        let mut frame: Vec<f64> = (0..width).map(|_| normal()).collect();
        let mut x = Vec::new();
        for _ in 0..frames {
            x.extend(frame.iter().map(|&v| v as f32));
            for v in &mut frame {
                *v = 0.8 * *v + 0.6 * normal();
            }
        }
        let meta = ExampleMeta {
            path: format!("{seed}-{clip}.wav"),
            speaker: format!("s{}", clip % 8),
            sex: None,
            group: None,
        };
        data.push(&x, clip % CLASSES, meta);
    }
    data
}

struct Trial {
    model: ModelSpec,
    per_client: usize,
    frames: usize,
    job: TrainJob,
    suite: MaskSuite,
    private: Option<(f64, f64)>,
}

impl Trial {
    fn new(model: ModelSpec) -> Self {
        let job = TrainJob { epochs: 1, batch: 64, learning_rate: 0.1, ..TrainJob::default() };
        Self { model, per_client: 1, frames: 1, job, suite: MaskSuite::None, private: None }
    }

    fn attack(&self, method: Method) -> InversionScores {
        let width = self.model.inputs();
        let all = clips(1, 8 * u16::try_from(self.per_client).unwrap(), self.frames, width);
        let sites: Vec<Examples> = (0..8)
            .map(|i| all.select(&(0..self.per_client).map(|k| i * self.per_client + k).collect::<Vec<_>>()))
            .collect();
        let mut spec: RunSpec = common::spec(self.model.clone(), self.job.clone(), 1, self.suite);
        if let Some((clip, noise)) = self.private {
            spec = common::private(spec, clip, noise);
        }
        let (_, transcript, plan) = common::run(spec, &sites);
        let view = Observed::new(&transcript, plan).unwrap().masked_taken_for_plain().unwrap();
        let trainer = Trainer::new(self.model.clone(), Device::Cpu).unwrap();
        let (mean, deviation) = (vec![0.0; width], vec![1.0; width]);
        let aux = Knowledge {
            trainer: &trainer,
            examples: self.per_client,
            frames: self.frames,
            mean: mean.clone(),
            deviation: deviation.clone(),
        };
        let attack = Inversion::<MaskedTakenForPlain>::new(method);
        let found = attack.run(&view, &aux, 1).unwrap();
        let truths: BTreeMap<_, _> = (0..).map(common::client).zip(sites).collect();
        let others = clips(2, 100, self.frames, width);
        let cases = Cases { truths: &truths, others: &others, mean: &mean, deviation: &deviation };
        score(attack.describe(), &found, &cases, Role::Attack, 1).unwrap()
    }
}

fn dnn(hidden: usize) -> ModelSpec {
    ModelSpec::Dnn { inputs: 65, hidden: vec![hidden], classes: usize::from(CLASSES) }
}

fn record<'a>(found: &'a InversionScores, metric: &str) -> &'a AttackScore {
    found.scores.iter().find(|s| s.metric == metric).unwrap()
}

/// Within what chance leaves once in a thousand: the interval is drawn for once in twenty.
fn is_chance(score: &AttackScore) -> bool {
    let half = 1.7 * 0.5 * (score.ci95.high - score.ci95.low);
    (score.value - score.chance).abs() <= half
}

const ANALYTIC: Method = Method::Analytic { tolerance: 1e-3 };

#[test]
fn one_clip_is_read_off_a_first_layer_to_float_tolerance() {
    let found = Trial::new(dnn(64)).attack(ANALYTIC);
    println!("R1 plain: {:?}", record(&found, "reconstruction-mse"));
    assert_eq!(found.gallery.len(), 8);
    for panel in &found.gallery {
        // f32 training and the run's grid: about seven digits of the largest entry of an update.
        assert!(panel.mse < 1e-6 && panel.cosine > 0.999_999 && panel.snr_db > 60.0, "{}: {}", panel.clip, panel.mse);
        assert_eq!((panel.rank, panel.recovered_label), (1, Some(panel.label)));
    }
    assert!(record(&found, "retrieval-top1").ci95.low > record(&found, "retrieval-top1").chance);
    assert!((record(&found, "label-accuracy").value - 1.0).abs() < 1e-12);
}

#[test]
fn the_momentum_of_one_step_and_the_learning_rate_cancel() {
    let job = TrainJob { momentum: 0.9, learning_rate: 0.003, ..Trial::new(dnn(16)).job };
    let found = Trial { job, ..Trial::new(dnn(16)) }.attack(ANALYTIC);
    assert!(found.gallery.iter().all(|p| p.mse < 1e-4 && p.rank == 1), "{:?}", record(&found, "reconstruction-mse"));
}

#[test]
fn masked_bytes_and_noised_updates_leave_the_attack_as_blind_as_a_guess() {
    let masked = Trial { suite: MaskSuite::Aes256Ctr, ..Trial::new(dnn(64)) }.attack(ANALYTIC);
    let noised = Trial { private: Some((1.0, 4.0)), ..Trial::new(dnn(64)) }.attack(ANALYTIC);
    for (what, found) in [("masked", masked), ("noised", noised)] {
        let (top, cosine, mse) = (
            record(&found, "retrieval-top1"),
            record(&found, "reconstruction-cosine"),
            record(&found, "reconstruction-mse"),
        );
        println!("R1 {what}: {top:?} {cosine:?} {mse:?}");
        assert!(top.value < 0.2 && top.ci95.low <= top.chance, "{what}: {top:?}");
        assert!(is_chance(cosine) && cosine.value < 0.2, "{what}: {cosine:?}");
        // Worse than the mean of all clips.
        assert!(mse.value > 0.8 * mse.chance, "{what}: {mse:?}");
    }
}

#[test]
fn descent_finds_one_clip_and_several_with_the_local_steps_unrolled() {
    let settings = CosineSettings { iterations: 600, restarts: 1, ..CosineSettings::default() };
    let one = Trial::new(dnn(64)).attack(Method::Cosine(settings));
    println!("R3 n=1: {:?}", record(&one, "reconstruction-cosine"));
    assert!(record(&one, "reconstruction-cosine").value > 0.95);
    assert!(record(&one, "retrieval-top1").value > 0.99);
    // Four clips, three full-batch local steps.
    let job = TrainJob { epochs: 3, batch: 64, learning_rate: 0.1, ..TrainJob::default() };
    let four = Trial { per_client: 4, job, ..Trial::new(dnn(64)) }.attack(Method::Cosine(settings));
    let top = record(&four, "retrieval-top1");
    println!("R3 n=4, 3 steps: {:?} {:?}", record(&four, "reconstruction-cosine"), top);
    assert!(top.ci95.low > top.chance && record(&four, "reconstruction-cosine").ci95.low > 0.2, "{top:?}");
}

#[test]
fn descent_on_a_convolutional_model_beats_the_blind_guess() {
    let model = ModelSpec::Cnn { inputs: 13, channels: vec![32], kernel: 5, classes: usize::from(CLASSES) };
    let settings = CosineSettings { iterations: 300, restarts: 1, total_variation: 1e-2, ..CosineSettings::default() };
    let found = Trial { frames: 12, ..Trial::new(model) }.attack(Method::Cosine(settings));
    let (top, cosine) = (record(&found, "retrieval-top1"), record(&found, "reconstruction-cosine"));
    println!("R3 CNN: {cosine:?} {top:?}");
    assert!(cosine.ci95.low > 0.0 && top.ci95.low > top.chance, "{cosine:?} {top:?}");
}

#[test]
fn descent_on_masked_bytes_is_blind() {
    let settings = CosineSettings { iterations: 100, restarts: 1, ..CosineSettings::default() };
    let found = Trial { suite: MaskSuite::Aes256Ctr, ..Trial::new(dnn(32)) }.attack(Method::Cosine(settings));
    let (top, cosine) = (record(&found, "retrieval-top1"), record(&found, "reconstruction-cosine"));
    assert!(top.ci95.low <= top.chance && is_chance(cosine) && cosine.value < 0.2, "{top:?} {cosine:?}");
}

#[test]
fn what_cannot_be_inverted_or_scored_is_refused() {
    let model = ModelSpec::Cnn { inputs: 3, channels: vec![4], kernel: 3, classes: 5 };
    let data = clips(1, 4, 3, 3);
    let sites: Vec<Examples> = (0..4).map(|i| data.select(&[i])).collect();
    let (_, transcript, plan) =
        common::run(common::spec(model.clone(), TrainJob::default(), 1, MaskSuite::None), &sites);
    let view = Observed::new(&transcript, plan).unwrap().server_plain().unwrap();
    let trainer = Trainer::new(model, Device::Cpu).unwrap();
    let aux = Knowledge { trainer: &trainer, examples: 1, frames: 3, mean: vec![0.0; 3], deviation: vec![1.0; 3] };
    let refused = Inversion::new(ANALYTIC).run(&view, &aux, 1).unwrap_err();
    assert!(matches!(refused, InversionError::NotFullyConnected { model: "cnn" }), "{refused}");
    let many = Knowledge { examples: 9, ..aux };
    let refused = Inversion::new(Method::Cosine(CosineSettings::default())).run(&view, &many, 1).unwrap_err();
    assert!(matches!(refused, InversionError::TooMany { examples: 9 }), "{refused}");
    let truths = BTreeMap::from([(common::client(0), sites[0].clone())]);
    let (mean, deviation) = ([0.0; 3], [1.0; 3]);
    let nothing = Examples::empty(3);
    let mut cases = Cases { truths: &truths, others: &nothing, mean: &mean, deviation: &deviation };
    let of = Inversion::<MaskedTakenForPlain>::new(ANALYTIC).describe();
    assert_eq!(score(of, &[], &cases, Role::Attack, 1).unwrap_err(), ScoreError::NoOthers);
    cases.others = &data;
    assert_eq!(score(of, &[], &cases, Role::Attack, 1).unwrap_err(), ScoreError::NothingToCompare);
    assert_eq!(view.clients().len(), 4);
}
