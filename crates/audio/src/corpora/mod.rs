//! Readers of speech-emotion corpora: which file is whose, saying what.
//!
//! A scan reads names, folders and the corpus's own tables, never audio. Every recording that is not used is listed with
//! its reason, and so is every label without a recording; what a corpus ships beside its recordings (tables, documents,
//! video) is not.
mod counts;
mod crema_d;
mod emodb;
mod files;
mod iemocap;
mod kind;
mod label_source;
mod manifest;
mod published;
mod ravdess;
mod savee;
mod skip;
mod tables;
mod tess;

use std::path::{Path, PathBuf};

use sottovoce_types::Annotation;

pub use counts::{Counts, Tally};
pub use kind::{CorpusKind, UnsupportedKind};
pub use label_source::{LabelSource, UnknownLabelSource};
pub use manifest::RowProblem;
pub use published::{Published, published};
pub use skip::{SkipReason, Skipped};
pub use sottovoce_types::{Labelling, UnknownLabelling};

/// One recording.
#[derive(Clone, PartialEq, Debug)]
pub struct Clip {
    /// The file.
    pub path: PathBuf,
    /// Its place inside the corpus, with `/` between folders.
    pub name: String,
    /// What the corpus says of it.
    pub annotation: Annotation,
}

/// What a corpus folder holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Scan {
    /// The kind found; never [`CorpusKind::Auto`].
    pub kind: CorpusKind,
    /// Whether the folder says that it was synthesised by Sottovoce: nothing measured on it is about human speech.
    pub synthetic: bool,
    /// What the labels are; every result on this scan must name it.
    pub label_source: LabelSource,
    /// Recordings, by name.
    pub clips: Vec<Clip>,
    /// Files not used, by path.
    pub skipped: Vec<Skipped>,
}

/// A folder that is no corpus, or not the one asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum ScanError {
    #[error("{path}: has no column {column:?}; its first line is: {header}")]
    Column { path: PathBuf, column: &'static str, header: String },
    #[error("{path}: cannot be read: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{kind} has no labelling {labelling:?}; ask for \"intended\" (crema-d alone offers voice and multimodal)",
        labelling = .labelling.name())]
    Labelling { kind: CorpusKind, labelling: Labelling },
    #[error("{path}: nothing in it can be used as {kind} ({}): {reasons}{}; check the kind and the folder",
        .kind.example(), .first.as_ref().map(|r| format!("; the first: {r}")).unwrap_or_default())]
    NoClips { path: PathBuf, kind: CorpusKind, reasons: Tally, first: Option<Box<SkipReason>> },
    #[error(
        "{path}: neither it nor a folder in it holds Session1 to Session5; \
         name the folder IEMOCAP_full_release, or the one that it lies in"
    )]
    NoSessions { path: PathBuf },
    #[error("{path}: cannot be read as a CSV table: {source}")]
    Table {
        path: PathBuf,
        #[source]
        source: csv::Error,
    },
    #[error("{path}: its {files} files are named as in no corpus that can be read ({})", examples())]
    Unrecognised { path: PathBuf, files: usize },
    #[error(
        "{path}: is not there, and it holds the listeners' votes; copy the folder processedResults of the CREMA-D \
         repository beside AudioWAV, or ask for the intended labels"
    )]
    Votes { path: PathBuf },
}

fn examples() -> String {
    CorpusKind::SUPPORTED.map(|kind| format!("{kind}: {}", kind.example())).join("; ")
}

/// Lists the recordings of the corpus at `path` with the labels of `labelling`.
///
/// `path` is the corpus's folder, or the folder that this lies in; for CREMA-D also `AudioWAV` itself; for a manifest
/// the CSV file or the folder of `manifest.csv`.
///
/// # Errors
/// [`ScanError`] if the folder cannot be listed, if a table that the labels need is missing or has other columns, if the
/// corpus does not offer the labelling, or if nothing in the folder can be used.
pub fn scan(kind: CorpusKind, path: &Path, labelling: Labelling) -> Result<Scan, ScanError> {
    let has_votes = matches!(kind, CorpusKind::CremaD | CorpusKind::Auto);
    if labelling != Labelling::Intended && !has_votes {
        return Err(ScanError::Labelling { kind, labelling });
    }
    let mut scan = match kind {
        CorpusKind::Auto => return scan(recognise(path)?, path, labelling),
        CorpusKind::CremaD => crema_d::scan(path, labelling),
        CorpusKind::Iemocap => iemocap::scan(path),
        CorpusKind::Ravdess => ravdess::scan(path),
        CorpusKind::Emodb => emodb::scan(path),
        CorpusKind::Savee => savee::scan(path),
        CorpusKind::Tess => tess::scan(path),
        CorpusKind::Manifest => manifest::scan(path),
    }?;
    scan.clips.sort_by(|a, b| a.name.cmp(&b.name));
    scan.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(scan)
}

/// The kind that most names fit; of equals, the first in [`CorpusKind::SUPPORTED`].
fn recognise(path: &Path) -> Result<CorpusKind, ScanError> {
    if manifest::is_csv(path) {
        return Ok(CorpusKind::Manifest);
    }
    let files = files::walk(path)?;
    let mut best = (0, None);
    for kind in CorpusKind::SUPPORTED {
        let fits: fn(&Path) -> bool = match kind {
            CorpusKind::CremaD => crema_d::fits,
            CorpusKind::Iemocap => iemocap::fits,
            CorpusKind::Ravdess => ravdess::fits,
            CorpusKind::Emodb => emodb::fits,
            CorpusKind::Savee => savee::fits,
            CorpusKind::Tess => tess::fits,
            // A corpus may come with someone's manifest.csv beside it, so a manifest is believed only where nothing fits.
            CorpusKind::Manifest | CorpusKind::Auto => continue,
        };
        let n = files.iter().filter(|file| fits(file)).count();
        if n > best.0 {
            best = (n, Some(kind));
        }
    }
    match best.1 {
        Some(kind) => Ok(kind),
        None if manifest::is_in(path) => Ok(CorpusKind::Manifest),
        None => Err(ScanError::Unrecognised { path: path.to_owned(), files: files.len() }),
    }
}
