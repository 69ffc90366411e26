//! Speech in: wav and flac to MFCCs in an HDF5 cache; readers of speech-emotion corpora; a voice synthesiser for a
//! corpus that every machine can have.
//!
//! The path is [`scan`] → [`decode()`] → [`FrontEnd`] → [`cache`] → [`examples`]. This crate does not split speakers into train
//! and test, and knows nothing of federations or privacy; the only model in it is the straight line of [`probe`], which
//! says what there is to learn, and to leak. Read [`FrontEnd`] (what is done to a recording, with its oracles) and [`Scan`] (what a
//! corpus holds) first.
//!
//! ```
//! use sottovoce_audio::{FrontEnd, Signal};
//! use sottovoce_types::FeatureSpec;
//! let front_end = FrontEnd::new(&FeatureSpec::default()).unwrap();
//! let samples = (0u16..4410).map(|n| (f32::from(n) * 0.1).sin()).collect();
//! let tone = Signal { sample_rate_hz: 44_100, channels: 1, samples };
//! let features = front_end.features(&tone, "tone.wav".as_ref()).unwrap();
//! assert_eq!(features.len(), 5 * 13, "0.1 s are five frames of 13 coefficients");
//! ```
//!
//! # Errors
//! [`DecodeError`] (the file), [`SpecError`] (the feature spec), [`ScanError`] (the corpus folder),
//! [`CacheError`] (the cache file), [`ExtractError`] (all of extraction); each names the place and the mend.
#![forbid(unsafe_code)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "samples, batches and plots, not privacy"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]

pub mod cache;
pub mod corpora;
mod decode;
mod denoise;
mod examples;
mod extract;
mod front_end;
mod loudness;
mod mfcc;
mod noise;
mod pooled;
pub mod probe;
mod resample;
mod spectrogram;
pub mod synth;
mod voice_activity;

pub use cache::{CacheError, CacheInfo};
pub use corpora::{
    Clip, CorpusKind, Counts, LabelSource, Labelling, Published, RowProblem, Scan, ScanError, SkipReason, Skipped,
    Tally, UnknownLabelSource, UnknownLabelling, UnsupportedKind, published, scan,
};
pub use decode::{DecodeError, Signal, decode, decode_bytes};
pub use denoise::Denoiser;
pub use examples::{PublicStatistics, Scaling, examples};
pub use extract::{
    ExtractError, ExtractReport, Extracted, Failed, Inspection, Progress, extract, extract_to_memory, inspect,
};
pub use front_end::FrontEnd;
pub use loudness::set_loudness;
pub use mfcc::{Mfcc, SpecError};
pub use pooled::{POOLED_STATISTICS, pooled_statistics};
pub use resample::{RateError, Resampler, resample};
pub use spectrogram::{Spectrogram, spectrogram};
pub use voice_activity::trim_silence;
