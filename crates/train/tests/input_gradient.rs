//! The gradient of the features, against finite differences of the loss, for every architecture.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests"
)]
use sottovoce_train::{Device, Trainer};
use sottovoce_types::{ExampleMeta, Examples, InputKind, ModelSpec, TrainJob, word_hashes};

fn every_kind() -> Vec<ModelSpec> {
    let (inputs, classes) = (4, 3);
    vec![
        ModelSpec::Dnn { inputs, hidden: vec![6, 5], classes },
        ModelSpec::Cnn { inputs, channels: vec![5, 4], kernel: 3, classes },
        ModelSpec::Lstm { inputs, hidden: 5, bidirectional: true, classes },
        ModelSpec::LstmTransformer { inputs, hidden: 4, heads: 2, feed_forward: 6, classes },
        ModelSpec::AttentionFcn { inputs, channels: vec![5], kernel: 3, attention: 3, classes },
        ModelSpec::TextCnn {
            inputs,
            channels: vec![5],
            kernel: 3,
            vocabulary: 16,
            embedding: 3,
            text_channels: 4,
            text_kernel: 3,
            classes,
        },
    ]
}

/// Three clips of different lengths; one frame each where a model reads statistics.
fn clips(kind: InputKind) -> Examples {
    let mut data = Examples::empty(4);
    for i in 0..3u16 {
        let frames = if kind == InputKind::Statistics { 1 } else { 3 + usize::from(i) };
        let x: Vec<f32> = (0..frames * 4).map(|j| ((j as f32 + 1.0) * f32::from(i + 1) * 0.7).sin()).collect();
        data.push_with_words(&x, word_hashes("the sky is green"), i, ExampleMeta::default());
    }
    data
}

#[test]
fn the_gradient_of_the_features_is_that_of_the_mean_loss() {
    // A batch of two makes two passes of three examples.
    let job = TrainJob { batch: 2, ..TrainJob::default() };
    for spec in every_kind() {
        let trainer = Trainer::new(spec.clone(), Device::Cpu).unwrap();
        let (params, data) = (spec.initialise(3), clips(spec.input_kind()));
        let gradient = trainer.input_gradient(&params, &data, &job).unwrap();
        assert_eq!(gradient.len(), data.features.len(), "{}", spec.name());
        let loss = |data: &Examples| trainer.losses(&params, data).unwrap().iter().sum::<f64>() / data.len() as f64;
        for place in (0..gradient.len()).step_by(5) {
            let moved = |by: f32| {
                let mut data = data.clone();
                data.features[place] += by;
                loss(&data)
            };
            let measured = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            let error = (measured - f64::from(gradient[place])).abs();
            assert!(error < 1e-3, "{}, {place}: {measured} measured, {} computed", spec.name(), gradient[place]);
        }
        assert!(gradient.iter().any(|g| g.abs() > 1e-3), "{}: something depends on the features", spec.name());
    }
}

#[test]
fn features_that_do_not_fit_are_refused() {
    let spec = ModelSpec::Dnn { inputs: 5, hidden: vec![], classes: 3 };
    let trainer = Trainer::new(spec.clone(), Device::Cpu).unwrap();
    let refused = trainer.input_gradient(&spec.initialise(1), &clips(InputKind::Statistics), &TrainJob::default());
    assert!(refused.unwrap_err().to_string().contains("the model takes 5 features"));
}
