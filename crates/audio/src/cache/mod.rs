//! The feature cache: one HDF5 file that h5py and HDFView open.
//!
//! | where | what |
//! |---|---|
//! | `/mfcc` | float32 `[total_frames, width]`, the frames of all utterances one after another |
//! | `/index/offset`, `frames` | uint64 `[n]`: utterance i is rows offset..offset + frames |
//! | `/index/label`, `speaker`, `sex`, `group`, `level`, `sentence`, `transcript`, `path` | strings `[n]`; empty where the corpus states nothing |
//! | `/index/age_years`, `valence`, `activation`, `dominance` | float32 `[n]`; NaN where the corpus states nothing |
//! | `/index/sha256` | strings `[n]`: of the audio file |
//! | attributes of `/` | `format`, `format_version`, `features` (JSON), `features_digest`, `corpus`, `label_source`, `synthetic` |
//!
//! The first 512 bytes (HDF5's user block) hold a SHA-256 of the rest, which is checked before anything is read. A cache is replaced by rename after it is
//! whole and on disk, so a crash leaves the old one. HDF5 calls are serialised by the `hdf5` crate's own lock.
mod attributes;
mod index;
mod reader;
mod seal;
mod writer;

use std::path::{Path, PathBuf};

use sottovoce_types::{FeatureSpec, Utterance};

use crate::{CorpusKind, LabelSource};

pub use index::Entry;
pub use reader::Reader;
pub use writer::write;
pub(crate) use writer::{Temporary, replace};

/// The value of the attribute `format`.
pub const FORMAT: &str = "sottovoce-features";
/// The value of the attribute `format_version`.
pub const FORMAT_VERSION: u32 = 2;

/// What a cache was made from, and how.
#[derive(Clone, PartialEq, Debug)]
pub struct CacheInfo {
    /// The whole front end.
    pub features: FeatureSpec,
    /// The corpus.
    pub kind: CorpusKind,
    /// What its labels are.
    pub label_source: LabelSource,
    /// Whether the corpus is synthesised: then nothing measured on it is about human speech.
    pub synthetic: bool,
}

/// A cache that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum CacheError {
    #[error("{path}: the cache is damaged: {what}; delete it and extract again")]
    Damaged { path: PathBuf, what: &'static str },
    #[error("{path}: was made by another version of the front end, whose features differ; extract again")]
    OtherFrontEnd { path: PathBuf },
    #[error("{path}: HDF5 could not {action}: {reason}")]
    Hdf5 { path: PathBuf, action: &'static str, reason: String },
    #[error("{path}: could not {action}: {source}")]
    Io {
        path: PathBuf,
        action: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: is not a Sottovoce feature cache ({why}); name a file made by `sottovoce extract`")]
    NotACache { path: PathBuf, why: &'static str },
    #[error(
        "{path}: was made with {key} = {cached} and {key} = {wanted} is asked for; \
         extract again, or set {key} = {cached}"
    )]
    OtherSpec { path: PathBuf, key: String, cached: String, wanted: String },
    #[error(
        "{path}: is a cache of format version {found}, and this program reads version {FORMAT_VERSION}; extract again"
    )]
    Version { path: PathBuf, found: u32 },
    #[error("{path}: utterance {utterance} has {found} values a frame and the spec says {wanted}")]
    Width { path: PathBuf, utterance: String, found: usize, wanted: usize },
}

/// Reads a cache made with exactly `features`.
///
/// # Errors
/// [`CacheError::OtherSpec`] naming the first key that differs and both values; otherwise as [`read_any`].
pub fn read(path: &Path, features: &FeatureSpec) -> Result<(CacheInfo, Vec<Utterance>), CacheError> {
    let reader = Reader::open(path)?;
    attributes::same_spec(path, &reader.info().features, features)?;
    reader.read_all()
}

/// Reads a cache whatever its spec.
///
/// # Errors
/// [`CacheError`] if the file is not a cache, is of another version, or is damaged.
pub fn read_any(path: &Path) -> Result<(CacheInfo, Vec<Utterance>), CacheError> {
    Reader::open(path)?.read_all()
}

/// Reads only what a cache was made from.
///
/// # Errors
/// As [`read_any`], without looking at the features.
pub fn info(path: &Path) -> Result<CacheInfo, CacheError> {
    Reader::open(path).map(|reader| reader.info().clone())
}

fn hdf5_error(path: &Path, action: &'static str, error: &hdf5::Error) -> CacheError {
    CacheError::Hdf5 { path: path.to_owned(), action, reason: error.to_string() }
}
