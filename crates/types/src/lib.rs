//! Words that every part of Sottovoce shares: ids, ticks, parameter layouts, ring vectors, specs that travel between
//! parties, and the records that a run leaves behind.
//!
//! This crate knows no protocol, no noise, no model and no file format. Start with [`FlatParams`] (what a model is to
//! everything but the trainer) and [`RingVec`] (what it is to secure aggregation).
//!
//! ```
//! use sottovoce_types::{Lanes, RingVec};
//! let lanes = Lanes::new(2).unwrap();
//! let mut sum = RingVec::pack(&[1, -2, 3], lanes).unwrap();
//! sum.add(&RingVec::pack(&[10, 20, -30], lanes).unwrap());
//! assert_eq!(sum.unpack(3), vec![11, 18, -27]);
//! ```
//!
//! # Errors
//! Checked values ([`Epsilon`], [`Delta`], [`ClipNorm`], …) refuse what is out of range with [`OutOfRange`], and
//! deserialising them goes through the same constructors.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]

mod annotation;
mod checked;
mod device;
mod digest;
mod emotion;
mod examples;
mod features;
mod ids;
mod labelling;
mod layers;
mod metrics;
mod model;
mod params;
mod records;
mod ring;
mod rotation;
mod spelling;
mod sweep;
mod training;

pub use annotation::{Annotation, Dimensions, Level};
pub use checked::{ClipNorm, Delta, Epsilon, NoiseMultiplier, OutOfRange, Probability};
pub use device::{Device, UnknownDevice};
pub use digest::{Digest, Sha256Writer};
pub use emotion::{Emotion, LabelSet, Sex, UnknownEmotion};
pub use examples::{ExampleMeta, Examples, Utterance, word_hash, word_hashes};
pub use features::{
    Convention, Denoising, FeatureSpec, FirstCoefficient, Loudness, MelNorm, MelScale, Standardisation,
    UnknownConvention, Window,
};
pub use ids::{AttemptId, ClientId, RoundId, RunId, Tick};
pub use labelling::{Labelling, UnknownLabelling};
pub use layers::{LayerRule, LayerSet, MAX_LAYERS, NoiseRemoval};
pub use metrics::{Calibration, CalibrationBin, ClassMetrics, Interval, Metrics, SexGap, SexMetrics};
pub use model::{InputKind, ModelSpec};
pub use params::{FlatParams, LayoutMismatch, ParamEntry, ParamLayout, Update};
pub use records::{
    AttackScore, CanaryAudit, EpsilonByVantage, RoundRecord, RunSummary, SCHEMA_VERSION, Vantage, Verdict,
};
pub use ring::{LaneOverflow, Lanes, RingVec};
pub use rotation::Rotation;
pub use spelling::edits;
pub use sweep::{LeakageRow, Setting, SweepRow};
pub use training::{ClassWeights, LocalOptimiser, Schedule, TrainJob, Unit};
