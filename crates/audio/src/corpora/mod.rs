//! Readers of speech-emotion corpora: which file is whose, saying what.
//!
//! A scan reads names and folders, never audio. Every file in the corpus that is not used is listed with its reason.
mod crema_d;
mod ravdess;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sottovoce_types::{Annotation, Emotion, Sex};

use crate::synth;

/// Folders deeper than this are not followed, so that a link to a parent ends.
const MAX_DEPTH: usize = 12;

/// How a corpus names its files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorpusKind {
    /// Whichever kind most names fit; a scan's result never has this kind.
    #[default]
    Auto,
    /// CREMA-D: `AudioWAV/1001_DFA_ANG_XX.wav`; also the shape of the synthetic corpus.
    CremaD,
    /// RAVDESS: `Actor_01/03-01-05-01-01-01-01.wav`.
    Ravdess,
}

impl CorpusKind {
    /// The kinds that can be read.
    pub const SUPPORTED: [Self; 2] = [Self::CremaD, Self::Ravdess];

    /// The word used on the command line and in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::CremaD => "crema-d",
            Self::Ravdess => "ravdess",
        }
    }
}

impl fmt::Display for CorpusKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no kind of corpus that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("corpus kind {kind:?} cannot be read; use one of: crema-d, ravdess, auto")]
pub struct UnsupportedKind {
    /// The word.
    pub kind: String,
}

impl FromStr for CorpusKind {
    type Err = UnsupportedKind;
    fn from_str(s: &str) -> Result<Self, UnsupportedKind> {
        let mut kinds = Self::SUPPORTED.into_iter().chain([Self::Auto]);
        kinds.find(|kind| kind.name() == s).ok_or_else(|| UnsupportedKind { kind: s.to_owned() })
    }
}

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

/// Why a file is not used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum SkipReason {
    #[error("actor {0:?} does not exist in this corpus")]
    Actor(String),
    #[error("the name says actor {name} and the folder says {folder}")]
    ActorFolder { name: String, folder: String },
    #[error("the same recording is already there as {0}")]
    Duplicate(String),
    #[error("emotion code {0:?} is none of this corpus")]
    Emotion(String),
    #[error("a hidden file (macOS leaves such beside each file that it copies)")]
    Hidden,
    #[error("level {level:?} does not exist for this emotion or sentence")]
    Level { level: String },
    #[error("the name is not of the form {expected}")]
    Name { expected: &'static str },
    #[error("not a .wav or .flac file")]
    NotAudio,
    #[error("channel {0:?} is not speech (01)")]
    NotSpeech(String),
    #[error("modality {0:?} is not audio alone (03)")]
    NotAudioOnly(String),
    #[error("sentence code {0:?} is none of this corpus")]
    Sentence(String),
}

/// A file that is not used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: SkipReason,
}

/// What a corpus folder holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Scan {
    /// The kind found; never [`CorpusKind::Auto`].
    pub kind: CorpusKind,
    /// Whether the folder says that it was synthesised by Sottovoce: nothing measured on it is about human speech.
    pub synthetic: bool,
    /// Recordings, by name.
    pub clips: Vec<Clip>,
    /// Files not used, by path.
    pub skipped: Vec<Skipped>,
}

/// Clips per emotion, speaker and sex.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// Clips per emotion.
    pub emotions: BTreeMap<Emotion, usize>,
    /// Clips per speaker.
    pub speakers: BTreeMap<String, usize>,
    /// Clips per sex, where stated.
    pub sexes: BTreeMap<Sex, usize>,
}

impl Scan {
    /// Clips per emotion, speaker and sex.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for clip in &self.clips {
            let Annotation { emotion, speaker, sex, .. } = &clip.annotation;
            *counts.emotions.entry(*emotion).or_default() += 1;
            *counts.speakers.entry(speaker.clone()).or_default() += 1;
            if let Some(sex) = sex {
                *counts.sexes.entry(*sex).or_default() += 1;
            }
        }
        counts
    }
}

/// A folder that is no corpus.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum ScanError {
    #[error("{path}: cannot be listed: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: none of its {files} files is named as in {kind} ({example}); check --kind and the folder")]
    NoClips { path: PathBuf, kind: CorpusKind, files: usize, example: &'static str },
    #[error("{path}: {source}")]
    Demographics {
        path: PathBuf,
        #[source]
        source: csv::Error,
    },
    #[error(
        "{path}: its {files} files are named as in no corpus that can be read (crema-d: {}, ravdess: {})",
        crema_d::EXAMPLE,
        ravdess::EXAMPLE
    )]
    Unrecognised { path: PathBuf, files: usize },
}

/// Lists the recordings of the corpus at `path`: its folder, or for CREMA-D also the `AudioWAV` in it.
///
/// # Errors
/// [`ScanError`] if the folder cannot be listed or no file in it is named as the kind asks.
pub fn scan(kind: CorpusKind, path: &Path) -> Result<Scan, ScanError> {
    match kind {
        CorpusKind::Auto => {
            let files = walk(path)?;
            let fits = |parse: fn(&Path) -> bool| files.iter().filter(|f| parse(f)).count();
            let (crema, ravdess) = (fits(crema_d::fits), fits(ravdess::fits));
            match (crema, ravdess) {
                (0, 0) => Err(ScanError::Unrecognised { path: path.to_owned(), files: files.len() }),
                (crema, ravdess) if crema >= ravdess => scan(CorpusKind::CremaD, path),
                _ => scan(CorpusKind::Ravdess, path),
            }
        }
        CorpusKind::CremaD => crema_d::scan(path),
        CorpusKind::Ravdess => ravdess::scan(path),
    }
}

/// Reads all `files` under `root` by `read`; the second of two recordings of one name is a duplicate.
fn collect(
    kind: CorpusKind,
    root: &Path,
    files: Vec<PathBuf>,
    example: &'static str,
    read: impl Fn(&Path) -> Result<Annotation, SkipReason>,
) -> Result<Scan, ScanError> {
    let total = files.len();
    let synthetic = [Some(root), root.parent()].into_iter().flatten().any(synth::is_synthetic);
    let mut scan = Scan { kind, synthetic, clips: Vec::new(), skipped: Vec::new() };
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for path in files {
        let name = path.strip_prefix(root).unwrap_or(&path);
        let name = name.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        let reading =
            hidden_or_not_audio(&path).and_then(|()| read(&path)).and_then(|annotation| match seen.get(&stem(&path)) {
                Some(first) => Err(SkipReason::Duplicate(first.clone())),
                None => Ok(annotation),
            });
        match reading {
            Ok(annotation) => {
                seen.insert(stem(&path), name.clone());
                scan.clips.push(Clip { path, name, annotation });
            }
            Err(reason) => scan.skipped.push(Skipped { path, reason }),
        }
    }
    if scan.clips.is_empty() {
        return Err(ScanError::NoClips { path: root.to_owned(), kind, files: total, example });
    }
    Ok(scan)
}

fn hidden_or_not_audio(path: &Path) -> Result<(), SkipReason> {
    if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')) {
        return Err(SkipReason::Hidden);
    }
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("wav" | "flac") => Ok(()),
        _ => Err(SkipReason::NotAudio),
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// All files under `root`, sorted, so that every machine sees one order.
fn walk(root: &Path) -> Result<Vec<PathBuf>, ScanError> {
    fn descend(folder: &Path, depth: usize, out: &mut Vec<PathBuf>) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                if depth < MAX_DEPTH {
                    descend(&path, depth + 1, out)?;
                }
            } else {
                out.push(path);
            }
        }
        Ok(())
    }
    let mut out = Vec::new();
    descend(root, 0, &mut out).map_err(|source| ScanError::Io { path: root.to_owned(), source })?;
    out.sort();
    Ok(out)
}
