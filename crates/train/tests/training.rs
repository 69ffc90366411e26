//! What local training promises, seen from outside.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::sync::Arc;

use sottovoce_train::{Device, EvaluateError, InputError, TrainError, Trainer, unit_update, utterance_update};
use sottovoce_types::{
    ClassWeights, ExampleMeta, Examples, FlatParams, LabelSet, LocalOptimiser, ModelSpec, ParamLayout, Schedule,
    TrainJob, Update,
};

fn job() -> TrainJob {
    TrainJob {
        epochs: 1,
        batch: 16,
        learning_rate: 0.1,
        momentum: 0.0,
        weight_decay: 0.0,
        proximal_mu: 0.0,
        optimiser: LocalOptimiser::Sgd,
        seed: 5,
        ..TrainJob::default()
    }
}

fn meta(i: usize) -> ExampleMeta {
    ExampleMeta { path: format!("{i:04}.wav"), speaker: format!("s{}", i % 6), sex: None, group: None }
}

/// Numbers in [-1, 1) that look random and need no generator.
fn scattered(i: usize) -> f32 {
    let x = f64::from(u32::try_from(i).unwrap()) * 0.618_033_988_749_895;
    #[allow(clippy::cast_possible_truncation, reason = "test data")]
    let x = (2.0 * x.fract() - 1.0) as f32;
    x
}

/// Five classes, each around its own corner.
fn corners(n: usize, width: usize) -> Examples {
    let mut data = Examples::empty(width);
    for i in 0..n {
        let label = u16::try_from(i % 5).unwrap();
        let row: Vec<f32> = (0..width)
            .map(|j| if j % 5 == usize::from(label) { 1.0 } else { 0.0 } + 0.3 * scattered(i * width + j))
            .collect();
        data.push(&row, label, meta(i));
    }
    data
}

fn dnn(inputs: usize, hidden: &[usize]) -> (Trainer, FlatParams) {
    let spec = ModelSpec::Dnn { inputs, hidden: hidden.to_vec(), classes: 5 };
    let params = spec.initialise(1);
    (Trainer::new(spec, Device::Cpu).unwrap(), params)
}

fn moved(global: &FlatParams, update: &Update) -> FlatParams {
    let values = global.values().iter().zip(&update.values).map(|(g, u)| g + u).collect();
    FlatParams::new(Arc::clone(global.layout()), values).unwrap()
}

#[test]
fn a_separable_problem_is_learnt() {
    let (trainer, start) = dnn(10, &[16]);
    let (train, test) = (corners(100, 10), corners(35, 10));
    let before = trainer.evaluate(&start, &test, &LabelSet::five()).unwrap();
    let mut losses = Vec::new();
    let trained = trainer
        .train_centralised(&start, &train, &TrainJob { epochs: 20, momentum: 0.9, ..job() }, |e| losses.push(e.loss))
        .unwrap();
    let after = trainer.evaluate(&trained, &test, &LabelSet::five()).unwrap();
    assert!(before.accuracy < 0.6 && after.accuracy > 0.98, "{} to {}", before.accuracy, after.accuracy);
    assert_eq!(losses.len(), 20);
    assert!(losses[19] < 0.2 * losses[0], "{losses:?}");
    assert_eq!((after.examples, after.speakers), (35, 6));
}

/// Softmax regression in f64: ∂ℓ/∂W_cj = (p_c − y_c)·x_j and ∂ℓ/∂b_c = p_c − y_c, averaged over the batch.
fn softmax_regression_gradient(params: &FlatParams, data: &Examples) -> Vec<f64> {
    let (width, classes, n) = (data.width, 5, data.len());
    let weight = |c: usize, j: usize| f64::from(params.values()[c * width + j]);
    let bias = |c: usize| f64::from(params.values()[classes * width + c]);
    let mut gradient = vec![0.0; params.values().len()];
    for i in 0..n {
        let x: Vec<f64> = data.row(i).iter().map(|&v| f64::from(v)).collect();
        let z: Vec<f64> =
            (0..classes).map(|c| bias(c) + (0..width).map(|j| weight(c, j) * x[j]).sum::<f64>()).collect();
        let total: f64 = z.iter().map(|z| z.exp()).sum();
        for c in 0..classes {
            let y = if usize::from(data.labels[i]) == c { 1.0 } else { 0.0 };
            let error = (z[c].exp() / total - y) / f64::from(u32::try_from(n).unwrap());
            (0..width).for_each(|j| gradient[c * width + j] += error * x[j]);
            gradient[classes * width + c] += error;
        }
    }
    gradient
}

#[test]
fn one_step_is_the_step_of_softmax_regression_computed_by_hand() {
    let (trainer, start) = dnn(7, &[]);
    let data = corners(12, 7);
    let update = trainer.train(&start, &data, &TrainJob { batch: 12, ..job() }).unwrap();
    for (u, g) in update.values.iter().zip(softmax_regression_gradient(&start, &data)) {
        assert!((f64::from(*u) + 0.1 * g).abs() < 1e-5, "{u} is not -0.1 * {g}");
    }
    assert_eq!(update.examples, 12);
}

#[test]
fn two_steps_with_momentum_weight_decay_and_proximal_term_are_those_computed_by_hand() {
    let (trainer, start) = dnn(7, &[]);
    let data = corners(12, 7);
    let job = TrainJob { epochs: 2, batch: 12, momentum: 0.9, weight_decay: 0.01, proximal_mu: 0.5, ..job() };
    let update = trainer.train(&start, &data, &job).unwrap();

    let anchor: Vec<f64> = start.values().iter().map(|&v| f64::from(v)).collect();
    let (mut theta, mut velocity) = (anchor.clone(), vec![0.0; anchor.len()]);
    for _ in 0..2 {
        #[allow(clippy::cast_possible_truncation, reason = "the gradient is taken at f32 parameters")]
        let at = theta.iter().map(|&v| v as f32).collect();
        let gradient = softmax_regression_gradient(&FlatParams::new(Arc::clone(start.layout()), at).unwrap(), &data);
        for i in 0..theta.len() {
            velocity[i] = 0.9 * velocity[i] + gradient[i] + 0.01 * theta[i] + 0.5 * (theta[i] - anchor[i]);
            theta[i] -= 0.1 * velocity[i];
        }
    }
    for (i, u) in update.values.iter().enumerate() {
        assert!((f64::from(*u) - (theta[i] - anchor[i])).abs() < 1e-5, "parameter {i}");
    }
}

#[test]
fn the_gradient_through_a_hidden_layer_is_the_slope_of_the_loss() {
    let (trainer, start) = dnn(6, &[4]);
    let data = corners(9, 6);
    let update = trainer.train(&start, &data, &TrainJob { batch: 9, learning_rate: 1.0, ..job() }).unwrap();
    let loss = |p: &FlatParams| trainer.losses(p, &data).unwrap().iter().sum::<f64>() / 9.0;
    for i in 0..start.values().len() {
        let at = |h: f32| {
            let mut p = start.clone();
            p.values_mut()[i] += h;
            loss(&p)
        };
        // Central difference: f32 logits round at 1e-7, so h = 1e-2 leaves about 1e-5 of rounding and curvature each.
        let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
        assert!((slope + f64::from(update.values[i])).abs() < 2e-4, "parameter {i}: {slope} and {}", update.values[i]);
    }
}

#[test]
fn the_same_inputs_give_the_same_bits_on_any_number_of_threads() {
    let (trainer, start) = dnn(65, &[16]);
    let data = corners(50, 65);
    let job = TrainJob { epochs: 3, momentum: 0.5, proximal_mu: 0.1, ..job() };
    let alone = trainer.train(&start, &data, &job).unwrap();
    std::thread::scope(|scope| {
        let trained: Vec<_> = (0..4).map(|_| scope.spawn(|| trainer.train(&start, &data, &job).unwrap())).collect();
        for update in trained {
            let update = update.join().unwrap();
            assert!(update.values.iter().zip(&alone.values).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    });
    let other = trainer.train(&start, &data, &TrainJob { seed: 6, ..job }).unwrap();
    assert_ne!(other.values, alone.values);
}

#[test]
fn the_proximal_term_keeps_the_update_shorter_the_larger_mu_is() {
    let (trainer, start) = dnn(10, &[16]);
    let data = corners(40, 10);
    let norm = |proximal_mu| {
        let job = TrainJob { epochs: 10, proximal_mu, ..job() };
        trainer.train(&start, &data, &job).unwrap().norm()
    };
    let (free, pulled, held) = (norm(0.0), norm(0.3), norm(3.0));
    assert!(held < 0.7 * pulled && pulled < 0.9 * free, "{free}, {pulled}, {held}");
}

#[test]
fn no_data_or_no_epochs_give_a_zero_update() {
    let (trainer, start) = dnn(10, &[16]);
    let nothing = trainer.train(&start, &Examples::empty(10), &job()).unwrap();
    assert_eq!(nothing.values.len(), start.values().len());
    assert_eq!((nothing.norm(), nothing.examples), (0.0, 0));
    let idle = trainer.train(&start, &corners(5, 10), &TrainJob { epochs: 0, ..job() }).unwrap();
    assert_eq!((idle.norm(), idle.examples), (0.0, 5));
}

#[test]
fn a_loss_that_is_not_finite_is_an_error_that_names_the_learning_rate() {
    let (trainer, start) = dnn(10, &[16]);
    let job = TrainJob { learning_rate: 1e30, epochs: 3, ..job() };
    let error = trainer.train(&start, &corners(40, 10), &job).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { .. }), "{error}");
    assert!(error.to_string().contains("lower it"), "{error}");
    // One layer, and parameters whose products with the features overflow.
    let (linear, mut huge) = dnn(10, &[]);
    huge.values_mut().fill(f32::MAX);
    let error = linear.train(&huge, &corners(40, 10), &self::job()).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { epoch: 1, .. }), "{error}");
    let error = linear.logits(&huge, &corners(40, 10)).unwrap_err();
    assert!(matches!(error, EvaluateError::NotFinite { .. }), "{error}");
}

#[test]
fn what_does_not_fit_the_model_is_refused_by_name() {
    let (trainer, start) = dnn(10, &[16]);
    let refused = |params: &FlatParams, data: &Examples| match trainer.train(params, data, &job()) {
        Err(TrainError::Input(error)) => error,
        other => panic!("{other:?}"),
    };
    let (_, foreign) = dnn(10, &[15]);
    assert!(matches!(refused(&foreign, &corners(5, 10)), InputError::OtherModel { .. }));
    assert_eq!(refused(&start, &corners(5, 9)), InputError::Width { expected: 10, found: 9 });
    let mut ragged = corners(5, 10);
    ragged.features.pop();
    assert_eq!(refused(&start, &ragged), InputError::Ragged { examples: 5 });
    let mut mislabelled = corners(5, 10);
    mislabelled.labels[3] = 5;
    assert_eq!(refused(&start, &mislabelled), InputError::Label { example: 3, label: 5, classes: 5 });
    let mut holed = corners(5, 10);
    holed.features[21] = f32::INFINITY;
    assert_eq!(refused(&start, &holed), InputError::NotFinite { example: 2 });

    let mut poisoned = start.clone();
    poisoned.values_mut()[7] = f32::NAN;
    assert_eq!(refused(&poisoned, &corners(5, 10)), InputError::ParameterNotFinite { parameter: 7 });

    let renamed = ParamLayout::new([("w".to_owned(), vec![start.values().len()])]);
    let renamed = FlatParams::new(Arc::new(renamed), start.values().to_vec()).unwrap();
    assert!(matches!(refused(&renamed, &corners(5, 10)), InputError::OtherModel { .. }));

    for bad in [
        TrainJob { batch: 0, ..job() },
        TrainJob { learning_rate: f64::NAN, ..job() },
        TrainJob { momentum: 1.0, ..job() },
        TrainJob { weight_decay: -1.0, ..job() },
        TrainJob { proximal_mu: f64::INFINITY, ..job() },
    ] {
        assert!(matches!(trainer.train(&start, &corners(5, 10), &bad), Err(TrainError::Job(_))), "{bad:?}");
    }
}

#[test]
fn a_units_update_is_its_own_names_and_datas() {
    let (trainer, start) = dnn(10, &[16]);
    let units = corners(60, 10).by_speaker();
    let job = TrainJob { batch: 4, epochs: 2, ..job() };
    let update = |name: &str, data: &Examples| unit_update(&trainer, &start, &job, name, data).unwrap();
    let (name, data) = &units[2];
    assert_eq!(update(name, data), update(name, data));
    // Another name draws another order, other data are other data.
    assert_ne!(update("somebody", data), update(name, data));
    assert_ne!(update(name, &units[3].1), update(name, data));
}

#[test]
fn probabilities_and_losses_agree_with_the_logits() {
    let (trainer, start) = dnn(10, &[16]);
    let data = corners(8, 10);
    let (logits, p) = (trainer.logits(&start, &data).unwrap(), trainer.probabilities(&start, &data).unwrap());
    assert_eq!((logits.len(), p.len()), (40, 40));
    for (i, loss) in trainer.losses(&start, &data).unwrap().into_iter().enumerate() {
        assert!((p[i * 5..][..5].iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((loss + p[i * 5 + usize::from(data.labels[i])].ln()).abs() < 1e-12);
    }
    let nothing = trainer.evaluate(&start, &Examples::empty(10), &LabelSet::five());
    assert_eq!(nothing, Err(EvaluateError::NoExamples));
    // A model that trains still evaluates what it was given: moving by the update lowers the loss.
    let update = trainer.train(&start, &data, &TrainJob { epochs: 5, ..job() }).unwrap();
    let mean = |p: &FlatParams| trainer.losses(p, &data).unwrap().iter().sum::<f64>();
    assert!(mean(&moved(&start, &update)) < mean(&start));
}

#[test]
fn a_correction_is_added_to_every_gradient_and_steps_are_counted() {
    let (trainer, start) = dnn(7, &[]);
    let data = corners(12, 7);
    let one = TrainJob { epochs: 0, steps: 1, batch: 12, ..job() };
    let plain = trainer.train(&start, &data, &one).unwrap();
    let correction: Vec<f32> = (0..start.values().len()).map(|i| 0.5 * scattered(i)).collect();
    let corrected = trainer.train_corrected(&start, &data, &one, &correction).unwrap();
    for ((with, without), c) in corrected.values.iter().zip(&plain.values).zip(&correction) {
        // θ − η·(g + c), η = 0.1.
        assert!((with - (without - 0.1 * c)).abs() < 1e-6, "{with} and {without}");
    }
    let other = trainer.train_corrected(&start, &data, &one, &correction[1..]);
    assert!(matches!(other, Err(TrainError::Input(InputError::OtherModel { .. }))), "{other:?}");
    // 12 examples in batches of 5 are three steps an epoch: seven steps end in the third.
    let steps = |steps, epochs| {
        let job = TrainJob { epochs, steps, batch: 5, ..job() };
        trainer.train(&start, &data, &job).unwrap()
    };
    assert_eq!(steps(6, 0), steps(0, 2));
    assert_ne!(steps(7, 0), steps(0, 2));
    assert_eq!(steps(7, 1), steps(7, 9), "steps take the place of epochs");
}

#[test]
fn balanced_weights_give_a_rare_class_its_say() {
    let (trainer, start) = dnn(10, &[]);
    let mut data = corners(50, 10);
    // Class 4 nearly disappears, and looks like class 0 but for a little.
    let rare: Vec<usize> = (0..50).filter(|i| i % 5 != 4 || *i == 49).collect();
    data = data.select(&rare);
    let recall = |class_weights| {
        let job = TrainJob { epochs: 12, batch: 8, learning_rate: 0.05, class_weights, ..job() };
        let trained = trainer.train_centralised(&start, &data, &job, |_| ()).unwrap();
        let p = trainer.probabilities(&trained, &corners(50, 10)).unwrap();
        (0..50).filter(|i| i % 5 == 4).map(|i| p[i * 5 + 4]).sum::<f64>() / 10.0
    };
    let (plain, balanced) = (recall(ClassWeights::None), recall(ClassWeights::Balanced));
    assert!(balanced > plain + 0.05, "{plain} without weights, {balanced} with");
}

#[test]
fn the_learning_rate_of_central_training_follows_its_schedule() {
    let (trainer, start) = dnn(7, &[]);
    let data = corners(12, 7);
    let train = |schedule, epochs| {
        let job = TrainJob { epochs, batch: 12, schedule, ..job() };
        trainer.train_centralised(&start, &data, &job, |_| ()).unwrap()
    };
    // Linear over two epochs: the whole rate, then half of it.
    let first = train(Schedule::Constant, 1);
    let half = TrainJob { epochs: 1, batch: 12, learning_rate: 0.05, ..job() };
    let second = trainer.train_centralised(&first, &data, &half, |_| ()).unwrap();
    let scheduled = train(Schedule::Linear, 2);
    assert!(scheduled.values().iter().zip(second.values()).all(|(a, b)| (a - b).abs() < 1e-6));
    assert_ne!(scheduled, train(Schedule::Constant, 2));
}

/// Clips of 3 to 9 frames in which one coefficient says which class it is, in every other frame.
fn clips(n: usize) -> Examples {
    let mut data = Examples::empty(5);
    for i in 0..n {
        let (label, frames) = (i % 5, 3 + i % 7);
        let row: Vec<f32> = (0..frames * 5)
            .map(|k| if k % 5 == label && k / 5 % 2 == 1 { 2.0 } else { 0.2 * scattered(i * 100 + k) })
            .collect();
        data.push_with_words(&row, vec![17, 4], u16::try_from(label).unwrap(), meta(i));
    }
    data
}

#[test]
fn every_architecture_learns_from_clips_of_any_length() {
    let specs = [
        ModelSpec::Cnn { inputs: 5, channels: vec![12], kernel: 3, classes: 5 },
        ModelSpec::Lstm { inputs: 5, hidden: 10, bidirectional: false, classes: 5 },
        ModelSpec::Lstm { inputs: 5, hidden: 6, bidirectional: true, classes: 5 },
        ModelSpec::LstmTransformer { inputs: 5, hidden: 8, heads: 2, feed_forward: 8, classes: 5 },
        ModelSpec::AttentionFcn { inputs: 5, channels: vec![12], kernel: 3, attention: 4, classes: 5 },
        ModelSpec::TextCnn {
            inputs: 5,
            channels: vec![12],
            kernel: 3,
            vocabulary: 16,
            embedding: 4,
            text_channels: 4,
            text_kernel: 3,
            classes: 5,
        },
    ];
    for spec in specs {
        let (trainer, start) = (Trainer::new(spec.clone(), Device::Cpu).unwrap(), spec.initialise(1));
        let job = TrainJob {
            epochs: 40,
            batch: 10,
            learning_rate: 0.02,
            optimiser: LocalOptimiser::AdamW,
            ..TrainJob::default()
        };
        let trained = trainer.train_centralised(&start, &clips(100), &job, |_| ()).unwrap();
        let held_out = clips(150).select(&(100..150).collect::<Vec<_>>());
        let after = trainer.evaluate(&trained, &held_out, &LabelSet::five()).unwrap();
        assert!(after.accuracy > 0.95, "{}: {}", spec.name(), after.accuracy);
    }
}

#[test]
fn frames_for_a_model_of_statistics_are_refused_by_name() {
    let (trainer, start) = dnn(5, &[]);
    let error = trainer.train(&start, &clips(3), &job()).unwrap_err();
    assert_eq!(error, TrainError::Input(InputError::NotPooled { example: 0, frames: 3 }));
}

#[test]
fn claim_an_utterances_update_is_its_own_to_the_last_bit() {
    // A model whose weights overflow on one clip alone, as a coordinator may send it.
    let spec = ModelSpec::Cnn { inputs: 5, channels: vec![4, 4], kernel: 3, classes: 5 };
    let (trainer, mut trap) = (Trainer::new(spec.clone(), Device::Cpu).unwrap(), spec.initialise(1));
    trap.values_mut().iter_mut().for_each(|v| *v *= 1e10);
    // The longest one first: its last frame lies beside its neighbour's.
    let mut data = clips(4).select(&[3, 0, 1, 2]);
    let loud = data.row(0).len();
    data.features[..loud].iter_mut().for_each(|x| *x *= 1e20);
    data.features[loud..].iter_mut().for_each(|x| *x *= 1e-15);
    let update = |data: &Examples, i: usize| utterance_update(&trainer, &trap, &job(), &data.select(&[i])).unwrap();
    assert!(update(&data, 0).values.iter().any(|v| !v.is_finite()), "the loud clip overflows");
    let without = data.select(&[1, 2, 3]);
    for i in 1..4 {
        let (beside, alone) = (update(&data, i), update(&without, i - 1));
        assert!(alone.values.iter().all(|v| v.is_finite()));
        assert!(beside.values.iter().zip(&alone.values).all(|(a, b)| a.to_bits() == b.to_bits()), "clip {i}");
    }
    // What this guards against: in one batch with it, its neighbour's gradient is no number either.
    let mut together = Vec::new();
    trainer.gradients(&trap, &data, &job(), &mut |u| together.push(u)).unwrap();
    assert!(together[1].values.iter().any(|v| !v.is_finite()), "side by side, one clip spoils another");
}
