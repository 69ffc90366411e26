//! Every architecture against PyTorch: logits, gradients, clipping and optimisers (`vectors/models.py` made the numbers).
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::sync::Arc;

use serde::Deserialize;
use sottovoce_train::{Device, Trainer};
use sottovoce_types::{
    ClassWeights, ExampleMeta, Examples, FlatParams, LocalOptimiser, ModelSpec, TrainJob, Update, word_hashes,
};

#[derive(Deserialize)]
struct Vectors {
    steps: StepSetting,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct StepSetting {
    class_weights: Vec<f64>,
    label_smoothing: f64,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    spec: ModelSpec,
    tensors: Vec<(String, Vec<usize>)>,
    parameters: Vec<f32>,
    clips: Vec<Vec<f32>>,
    frames: Vec<usize>,
    labels: Vec<u16>,
    texts: Option<Vec<String>>,
    word_rows: Option<Vec<Vec<usize>>>,
    logits: Vec<Vec<f32>>,
    loss: f64,
    gradient: Vec<f32>,
    gradient_norms: Vec<f32>,
    clip_norm: f32,
    clipped_gradient_sum: Vec<f32>,
    steps: Option<Steps>,
}

#[derive(Deserialize)]
struct Steps {
    sgd: Optimised,
    adamw: Optimised,
}

#[derive(Deserialize)]
struct Optimised {
    options: Options,
    parameters_after: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Options {
    lr: f64,
    #[serde(default)]
    momentum: f64,
    weight_decay: f64,
}

fn vectors() -> Vectors {
    let vectors: Vectors = serde_json::from_str(include_str!("vectors/models.json")).unwrap();
    let kinds: std::collections::BTreeSet<_> = vectors.cases.iter().map(|c| c.spec.name()).collect();
    assert_eq!(kinds.len(), 6, "every architecture has a case");
    vectors
}

impl Case {
    fn trainer(&self) -> Trainer {
        Trainer::new(self.spec.clone(), Device::Cpu).unwrap()
    }

    fn params(&self) -> FlatParams {
        let layout = Arc::new(self.spec.layout());
        let named: Vec<_> = layout.entries().iter().map(|e| (e.path.clone(), e.shape.clone())).collect();
        assert_eq!(named, self.tensors, "{}: the names and shapes that PyTorch has", self.name);
        FlatParams::new(layout, self.parameters.clone()).unwrap()
    }

    fn data(&self) -> Examples {
        let mut data = Examples::empty(self.spec.inputs());
        for (i, clip) in self.clips.iter().enumerate() {
            assert_eq!(clip.len(), self.frames[i] * self.spec.inputs());
            let words = self.texts.as_ref().map_or_else(Vec::new, |t| word_hashes(&t[i]));
            data.push_with_words(clip, words, self.labels[i], ExampleMeta::default());
        }
        data
    }

    fn close(&self, ours: &[f32], theirs: &[f32], tolerance: f32, what: &str) {
        assert_eq!(ours.len(), theirs.len(), "{}: {what}", self.name);
        for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
            assert!((a - b).abs() <= tolerance, "{}: {what} {i}: {a} is not {b}", self.name);
        }
    }
}

/// One step with a learning rate of 1 on all clips at once, so that the Update is minus the gradient of the mean loss.
fn whole_batch() -> TrainJob {
    TrainJob { batch: 5, learning_rate: 1.0, ..TrainJob::default() }
}

#[test]
fn logits_and_losses_are_pytorchs_for_every_architecture() {
    for case in vectors().cases {
        let (trainer, params, data) = (case.trainer(), case.params(), case.data());
        let theirs = case.logits.concat();
        case.close(&trainer.logits(&params, &data).unwrap(), &theirs, 1e-5, "logit");
        let losses = trainer.losses(&params, &data).unwrap();
        assert!((losses.iter().sum::<f64>() / 5.0 - case.loss).abs() < 1e-5, "{}", case.name);
        // A clip by itself, and beside longer ones.
        for i in 0..data.len() {
            let alone = trainer.logits(&params, &data.select(&[i])).unwrap();
            case.close(&alone, &case.logits[i], 1e-5, "logit of one clip alone");
        }
    }
}

#[test]
fn words_go_to_the_rows_that_a_python_user_finds_them_in() {
    let vectors = vectors();
    let case = vectors.cases.iter().find(|c| c.texts.is_some()).unwrap();
    let ModelSpec::TextCnn { vocabulary, .. } = case.spec else { panic!("only this one reads words") };
    for (text, rows) in case.texts.as_ref().unwrap().iter().zip(case.word_rows.as_ref().unwrap()) {
        let ours: Vec<usize> = word_hashes(text).iter().map(|&h| 1 + h as usize % (vocabulary - 1)).collect();
        assert_eq!(&ours, rows, "{text:?}");
    }
}

#[test]
fn the_gradient_of_a_batch_is_pytorchs_for_every_architecture() {
    for case in vectors().cases {
        let update = case.trainer().train(&case.params(), &case.data(), &whole_batch()).unwrap();
        let gradient: Vec<f32> = update.values.iter().map(|u| -u).collect();
        case.close(&gradient, &case.gradient, 1e-5, "parameter");
    }
}

#[test]
fn claim_one_backward_pass_gives_each_utterance_the_gradient_that_it_has_alone() {
    for case in vectors().cases {
        let (trainer, params, data) = (case.trainer(), case.params(), case.data());
        // In batches of two, so that a batch is not the whole set and clips of unlike lengths lie side by side.
        let job = TrainJob { batch: 2, ..whole_batch() };
        let mut updates: Vec<Update> = Vec::new();
        trainer.gradients(&params, &data, &job, &mut |u| updates.push(u)).unwrap();
        assert_eq!(updates.len(), 5);
        for (i, update) in updates.iter().enumerate() {
            // The naive way: train on one clip alone.
            let alone = trainer.train(&params, &data.select(&[i]), &whole_batch()).unwrap();
            case.close(&update.values, &alone.values, 1e-5, "gradient of one clip, parameter");
            assert!((update.norm() - f64::from(case.gradient_norms[i])).abs() < 1e-5, "{}: PyTorch's norm", case.name);
        }
        let mean = (0..params.values().len()).map(|k| -updates.iter().map(|u| u.values[k]).sum::<f32>() / 5.0);
        case.close(&mean.collect::<Vec<_>>(), &case.gradient, 1e-5, "mean of the gradients, parameter");
    }
}

#[test]
fn norms_and_clipped_sums_without_single_gradients_are_pytorchs_for_every_architecture() {
    for case in vectors().cases {
        let (trainer, params, data) = (case.trainer(), case.params(), case.data());
        let job = TrainJob { batch: 2, ..whole_batch() };
        let clipped = trainer.clipped_gradient(&params, &data, &job, case.clip_norm).unwrap();
        case.close(&clipped.norms, &case.gradient_norms, 1e-5, "norm of clip");
        case.close(&clipped.sum, &case.clipped_gradient_sum, 1e-5, "clipped sum, parameter");
        // The wrong inputs that this catches: nothing clipped, and everything.
        let loose = trainer.clipped_gradient(&params, &data, &job, 1e6).unwrap();
        assert!(loose.sum.iter().zip(&case.clipped_gradient_sum).any(|(a, b)| (a - b).abs() > 1e-3), "{}", case.name);
        let beyond = case.gradient_norms.iter().filter(|n| **n > case.clip_norm).count();
        assert!((1..5).contains(&beyond), "{}: {beyond} of 5 are clipped", case.name);
    }
}

#[test]
fn three_steps_of_each_optimiser_with_class_weights_and_smoothing_are_pytorchs() {
    let vectors = vectors();
    let mut seen = 0;
    for case in &vectors.cases {
        let Some(steps) = &case.steps else { continue };
        for (optimiser, theirs) in [(LocalOptimiser::Sgd, &steps.sgd), (LocalOptimiser::AdamW, &steps.adamw)] {
            for (count, after) in (1..).zip(&theirs.parameters_after) {
                for (batch, accumulate) in [(5, 1), (2, 3)] {
                    let job = TrainJob {
                        epochs: count,
                        batch,
                        accumulate,
                        learning_rate: theirs.options.lr,
                        momentum: theirs.options.momentum,
                        weight_decay: theirs.options.weight_decay,
                        optimiser,
                        label_smoothing: vectors.steps.label_smoothing,
                        class_weights: ClassWeights::Given(vectors.steps.class_weights.clone()),
                        ..TrainJob::default()
                    };
                    let trained = case.trainer().train_centralised(&case.params(), &case.data(), &job, |_| ()).unwrap();
                    case.close(trained.values(), after, 1e-5, "parameter after the steps");
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 2 * 2 * 3 * 2);
}
