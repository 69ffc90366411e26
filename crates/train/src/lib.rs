//! Emotion models on [burn](https://burn.dev): local training, evaluation, and the way from parameters to a flat
//! vector and back.
//!
//! The crate turns `(θ_t, examples, job)` into an [`Update`](sottovoce_types::Update) and a model into
//! [`Metrics`](sottovoce_types::Metrics). It never sees a clip norm, noise or a mask, opens no file and no socket, and
//! none of burn's types appear in its public API: a [`Device`] is chosen at run time.
//!
//! Read [`Trainer`] first, then [`Partition`] (who gets which speakers).
//!
//! ```
//! use sottovoce_train::Trainer;
//! use sottovoce_types::{Device, ExampleMeta, Examples, ModelSpec, TrainJob};
//!
//! let spec = ModelSpec::Dnn { inputs: 2, hidden: vec![], classes: 2 };
//! let trainer = Trainer::new(spec.clone(), Device::Cpu)?;
//! let mut data = Examples::empty(2);
//! for (label, x) in [(0, [1.0, 0.0]), (1, [0.0, 1.0])] {
//!     let meta = ExampleMeta { path: format!("{label}.wav"), speaker: "1001".into(), sex: None, group: None };
//!     data.push(&x, label, meta);
//! }
//! let job = TrainJob { epochs: 5, batch: 2, ..TrainJob::default() };
//! let update = trainer.train(&spec.initialise(7), &data, &job)?;
//! assert!(update.norm() > 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Errors
//! [`DeviceError`] when the device cannot be used here, [`InputError`] when data or parameters do not fit the model,
//! [`TrainError`] and [`EvaluateError`] for the two operations, [`PartitionError`] when speakers do not suffice or
//! would [`Leak`]. Error texts name positions and counts, never a value of a feature, a path or a speaker; but for those of
//! a partition, which is drawn only where the whole corpus lies, and says which of its clips to look at.
//!
//! # Determinism
//! On the CPU the same inputs give the same bits on the same machine, whatever the number of threads: every matrix
//! product runs on the caller's thread, and the order of examples is drawn from the job's seed. Another processor may
//! round differently in the last place.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "samples, batches and plots, not privacy"
)]

mod batch;
mod device;
mod evaluate;
mod kernels;
mod layers;
mod loss;
mod metrics;
mod models;
mod optimiser;
mod partition;
mod pass;
mod random;
mod small;
mod trainer;
mod training;
mod units;

pub use device::{DeviceError, check_device};
pub use evaluate::EvaluateError;
pub use metrics::BOOTSTRAP_RESAMPLES;
pub use partition::{
    ClientData, Fold, FoldBy, Leak, Partition, PartitionCounts, PartitionError, PartitionMode, PartitionSpec, Place,
    SetCounts, Split, TestSpeakers, TooFewSpeakers,
};
pub use small::SmallDnn;
pub use sottovoce_types::Device;
pub use trainer::{ClippedGradient, EpochLoss, InputError, TrainError, Trainer};
pub use training::square_product;
pub use units::{unit_update, utterance_update};
