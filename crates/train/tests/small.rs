//! Small models trained in plain loops are the models that the trainer trains.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use sottovoce_train::{Device, SmallDnn, TrainError, Trainer, unit_update};
use sottovoce_types::{ClassWeights, ExampleMeta, Examples, FlatParams, LocalOptimiser, ModelSpec, Schedule, TrainJob};

/// Numbers in [-1, 1) that look random and need no generator.
fn scattered(i: usize) -> f32 {
    let x = f64::from(u32::try_from(i).unwrap()) * 0.618_033_988_749_895;
    #[allow(clippy::cast_possible_truncation, reason = "test data")]
    let x = (2.0 * x.fract() - 1.0) as f32;
    x
}

fn examples(n: usize, width: usize) -> Examples {
    let mut data = Examples::empty(width);
    for i in 0..n {
        let row: Vec<f32> = (0..width).map(|j| 2.0 * scattered(i * width + j)).collect();
        let meta = ExampleMeta { path: format!("{i}"), speaker: format!("s{}", i % 3), ..ExampleMeta::default() };
        data.push(&row, u16::try_from(i * i % 5).unwrap(), meta);
    }
    data
}

fn model(hidden: &[usize]) -> (Trainer, FlatParams) {
    let spec = ModelSpec::Dnn { inputs: 13, hidden: hidden.to_vec(), classes: 5 };
    let start = spec.initialise(3);
    (Trainer::new(spec, Device::Cpu).unwrap(), start)
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_small_model_is_the_one_that_the_trainer_trains_on_its_members_alone() {
    let data = examples(61, 13);
    let members: Vec<usize> = (0..61).filter(|i| i % 2 == 0 || i % 7 == 1).collect();
    let base = TrainJob { epochs: 4, batch: 8, learning_rate: 0.1, seed: 9, ..TrainJob::default() };
    let jobs = [
        base.clone(),
        TrainJob { momentum: 0.9, weight_decay: 0.01, ..base.clone() },
        TrainJob { proximal_mu: 0.5, accumulate: 2, ..base.clone() },
        TrainJob { steps: 11, ..base.clone() },
        TrainJob { optimiser: LocalOptimiser::AdamW, learning_rate: 0.01, weight_decay: 0.1, ..base.clone() },
        TrainJob { label_smoothing: 0.1, class_weights: ClassWeights::Balanced, ..base.clone() },
        TrainJob {
            schedule: Schedule::Cosine,
            class_weights: ClassWeights::Given(vec![1.0, 2.0, 0.0, 1.0, 0.5]),
            ..base
        },
    ];
    for hidden in [&[][..], &[8], &[20, 9]] {
        let (trainer, start) = model(hidden);
        let mut small = SmallDnn::new(&trainer).unwrap();
        for job in &jobs {
            small.check(&start, &data, job).unwrap();
            let own = data.select(&members);
            let alone = trainer.train_centralised(&start, &own, job, |_| ()).unwrap();
            let fast = small.fit(start.values(), &data, &members, job, true).unwrap();
            let moved = furthest(alone.values(), start.values());
            let apart = furthest(alone.values(), &fast);
            assert!(moved > 0.02 && apart < 2e-5, "{hidden:?} {job:?}: moved {moved}, apart {apart}");
            let update = unit_update(&trainer, &start, job, "unit", &own).unwrap();
            let fast = small.unit_update(start.values(), &data, &members, job, "unit").unwrap();
            assert!(furthest(&update.values, &fast) < 2e-5, "{hidden:?} {job:?}");
        }
    }
}

#[test]
fn another_mask_gives_another_model() {
    let (trainer, start) = model(&[8]);
    let mut small = SmallDnn::new(&trainer).unwrap();
    let (data, job) = (examples(40, 13), TrainJob { epochs: 2, ..TrainJob::default() });
    let fit = |small: &mut SmallDnn, members: &[usize]| small.fit(start.values(), &data, members, &job, true).unwrap();
    let a = fit(&mut small, &(0..20).collect::<Vec<_>>());
    let b = fit(&mut small, &(1..21).collect::<Vec<_>>());
    assert!(furthest(&a, &b) > 1e-3);
    assert_eq!(fit(&mut small, &[]), start.values(), "nobody's model is the initial one");
}

#[test]
fn clipped_gradients_and_logits_are_the_trainers() {
    let data = examples(70, 13);
    for hidden in [&[][..], &[8], &[20, 9]] {
        let (trainer, start) = model(hidden);
        let mut small = SmallDnn::new(&trainer).unwrap();
        let job = TrainJob { batch: 16, ..TrainJob::default() };
        for clip in [0.3, 100.0] {
            let expected = trainer.clipped_gradient(&start, &data, &job, clip).unwrap().sum;
            let all: Vec<usize> = (0..70).collect();
            let fast = small.clipped_gradient(start.values(), &data, &all, &job, clip).unwrap();
            assert!(furthest(&expected, &fast) < 1e-4, "{hidden:?} {clip}: {}", furthest(&expected, &fast));
        }
        let expected = trainer.logits(&start, &data).unwrap();
        assert!(furthest(&expected, &small.logits(start.values(), &data).unwrap()) < 1e-5);
    }
}

#[test]
fn what_does_not_fit_and_what_diverges_is_refused() {
    let (trainer, start) = model(&[8]);
    let mut small = SmallDnn::new(&trainer).unwrap();
    let (data, job) = (examples(20, 13), TrainJob::default());
    let error = small.fit(&start.values()[1..], &data, &[0, 1], &job, true).unwrap_err();
    assert!(error.to_string().contains("another model's"), "{error}");
    assert!(small.check(&start, &examples(20, 12), &job).is_err());
    assert!(small.check(&start, &data, &TrainJob { batch: 0, ..job.clone() }).is_err());
    let wild = TrainJob { learning_rate: 1e30, epochs: 5, ..job };
    let error = small.fit(start.values(), &data, &(0..20).collect::<Vec<_>>(), &wild, true).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { .. }), "{error}");
    let frames = ModelSpec::Lstm { inputs: 13, hidden: 4, bidirectional: false, classes: 5 };
    assert!(SmallDnn::new(&Trainer::new(frames, Device::Cpu).unwrap()).is_none());
}
