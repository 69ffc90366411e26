//! Speech in: wav and flac to MFCCs in an HDF5 cache; readers of speech-emotion corpora; a voice synthesiser for a
//! corpus that every machine can have.
//!
//! The path is file → [`decode()`] → [`Mfcc`] → [`cache`] → [`examples`]. This crate does not resample, denoise or
//! normalise loudness yet, does not split speakers into train and test, and knows nothing of models or privacy.
//! Read [`Mfcc`] (the front end, with its oracle) and [`Scan`] (what a corpus holds) first.
//!
//! ```
//! use sottovoce_audio::Mfcc;
//! use sottovoce_types::FeatureSpec;
//! let mfcc = Mfcc::new(&FeatureSpec::default()).unwrap();
//! let tone: Vec<f32> = (0u8..200).map(|n| (f32::from(n) * 0.3).sin()).collect();
//! assert_eq!(mfcc.compute(&tone).len(), 13, "one frame, zero-padded, of 13 coefficients");
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
mod extract;
mod mel;
mod mfcc;
mod pooled;
mod silence;
pub mod synth;

pub use cache::{CacheError, CacheInfo};
pub use corpora::{
    Clip, CorpusKind, Counts, LabelSource, Labelling, Published, RowProblem, Scan, ScanError, SkipReason, Skipped,
    Tally, UnknownLabelSource, UnknownLabelling, UnsupportedKind, published, scan,
};
pub use decode::{DecodeError, Signal, decode, decode_bytes};
pub use extract::{
    ExtractError, ExtractOptions, ExtractReport, Extracted, Failed, extract, extract_to_memory, unreadable,
};
pub use mfcc::{Mfcc, SpecError};
pub use pooled::{POOLED_STATISTICS, examples, pooled_statistics};
pub use silence::trim_silence;
