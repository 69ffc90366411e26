//! Recordings of any corpus, listed in a CSV file: `path,speaker,emotion` and, where known, `sex,age_years,group,sentence,
//! transcript,valence,activation,dominance`.
//!
//! Paths are relative to the CSV file and stay inside its folder: a manifest from elsewhere must not make its reader
//! open files of its choosing. Files that no row names are no part of the corpus.
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use csv::StringRecord;
use sottovoce_types::{Annotation, Dimensions, Emotion, Sex, edits};

use super::files::{empty, hidden_or_not_audio, name_in, not_empty};
use super::tables::Table;
use super::{Clip, CorpusKind, LabelSource, Scan, ScanError, SkipReason, Skipped};
use crate::synth;

const FILE: &str = "manifest.csv";
const REQUIRED: [&str; 3] = ["path", "speaker", "emotion"];
const OLDEST_YEARS: u16 = 120;

/// What is wrong with a row.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum RowProblem {
    #[error("age_years {0:?} is not a number of years from 1 to {OLDEST_YEARS}; leave it empty if it is not known")]
    Age(String),
    #[error("valence, activation and dominance must be three numbers or all be empty")]
    Dimensions,
    #[error("line {first} names the same file")]
    Duplicate { first: u64 },
    #[error("emotion {emotion:?} is none that Sottovoce knows; did you mean {nearest}?")]
    Emotion { emotion: String, nearest: String },
    #[error("has {found} fields and the first line has {wanted}")]
    Fields { found: usize, wanted: usize },
    #[error("the file is not there")]
    Missing,
    #[error("the file is not .wav or .flac")]
    NotAudio,
    #[error("the path must be relative and stay in the manifest's folder, without `..`")]
    Outside,
    #[error("sex {0:?} is neither female nor male; leave it empty if it is not known")]
    Sex(String),
    #[error("the speaker is empty; without speakers, training and test cannot be kept apart")]
    Speaker,
    #[error("is not UTF-8 text")]
    Text,
}

impl RowProblem {
    pub(super) fn tally_name(&self) -> &'static str {
        match self {
            Self::Age(_) => "unreadable age",
            Self::Dimensions => "unreadable dimensions",
            Self::Duplicate { .. } => "duplicate",
            Self::Emotion { .. } => "unknown emotion",
            Self::Fields { .. } => "wrong number of fields",
            Self::Missing => "no recording",
            Self::NotAudio => "not audio",
            Self::Outside => "outside the folder",
            Self::Sex(_) => "unknown sex",
            Self::Speaker => "no speaker",
            Self::Text => "not text",
        }
    }
}

/// Whether the path itself is a manifest.
pub(super) fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) && path.is_file()
}

/// Whether `folder` holds a manifest with the columns that one must have.
pub(super) fn is_in(folder: &Path) -> bool {
    Table::open(&folder.join(FILE)).is_ok_and(|table| REQUIRED.iter().all(|c| table.column(c).is_some()))
}

pub(super) fn scan(path: &Path) -> Result<Scan, ScanError> {
    let csv = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    let root = csv.parent().unwrap_or(Path::new(""));
    let mut table = Table::open(&csv)?;
    let columns = Columns::find(&table, &csv)?;
    let mut scan = empty(CorpusKind::Manifest, LabelSource::Manifest, root);
    let mut seen: BTreeMap<PathBuf, u64> = BTreeMap::new();
    for row in table.rows() {
        let (line, read) = match row {
            Ok(row) => (row.position().map_or(0, csv::Position::line), columns.read(&csv, root, &row)),
            Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => {
                (error.position().map_or(0, csv::Position::line), Err((csv.clone(), RowProblem::Text)))
            }
            Err(source) => return Err(ScanError::Table { path: csv, source }),
        };
        let clip = read.and_then(|clip| match seen.get(&clip.path) {
            Some(&first) => Err((clip.path, RowProblem::Duplicate { first })),
            None => Ok(clip),
        });
        match clip {
            Ok(clip) => {
                seen.insert(clip.path.clone(), line);
                scan.clips.push(clip);
            }
            Err((path, problem)) => scan.skipped.push(Skipped { path, reason: SkipReason::Row { line, problem } }),
        }
    }
    scan.synthetic = scan.synthetic || scan.clips.iter().any(|clip| synth::is_recording(&clip.path));
    not_empty(scan, &csv)
}

/// Places of the columns in a row.
struct Columns {
    count: usize,
    path: usize,
    speaker: usize,
    emotion: usize,
    sex: Option<usize>,
    age_years: Option<usize>,
    group: Option<usize>,
    sentence: Option<usize>,
    transcript: Option<usize>,
    dimensions: [Option<usize>; 3],
}

impl Columns {
    fn find(table: &Table, csv: &Path) -> Result<Self, ScanError> {
        let [path, speaker, emotion] = REQUIRED.map(|column| table.required(csv, column));
        Ok(Self {
            count: table.header.len(),
            path: path?,
            speaker: speaker?,
            emotion: emotion?,
            sex: table.column("sex"),
            age_years: table.column("age_years"),
            group: table.column("group"),
            sentence: table.column("sentence"),
            transcript: table.column("transcript"),
            dimensions: ["valence", "activation", "dominance"].map(|d| table.column(d)),
        })
    }

    /// The clip of a row, or the file that it is about and what is wrong.
    fn read(&self, csv: &Path, root: &Path, row: &StringRecord) -> Result<Clip, (PathBuf, RowProblem)> {
        if row.len() != self.count {
            return Err((csv.to_owned(), RowProblem::Fields { found: row.len(), wanted: self.count }));
        }
        let named = row.get(self.path).unwrap_or_default();
        let path = inside(root, named).ok_or_else(|| (csv.to_owned(), RowProblem::Outside))?;
        match self.annotation(row).and_then(|annotation| usable(&path).map(|()| annotation)) {
            Ok(annotation) => Ok(Clip { name: name_in(root, &path), path, annotation }),
            Err(problem) => Err((path, problem)),
        }
    }

    fn annotation(&self, row: &StringRecord) -> Result<Annotation, RowProblem> {
        let field = |i: usize| row.get(i).unwrap_or_default();
        let stated = |i: Option<usize>| i.map(field).filter(|f| !f.is_empty());
        let speaker = field(self.speaker);
        if speaker.is_empty() {
            return Err(RowProblem::Speaker);
        }
        let sex = match stated(self.sex) {
            None => None,
            Some(s) if s.eq_ignore_ascii_case("female") => Some(Sex::Female),
            Some(s) if s.eq_ignore_ascii_case("male") => Some(Sex::Male),
            Some(other) => return Err(RowProblem::Sex(other.to_owned())),
        };
        let age = |age: &str| age.parse().ok().filter(|a| (1..=OLDEST_YEARS).contains(a));
        let age_years = stated(self.age_years).map(|a| age(a).ok_or_else(|| RowProblem::Age(a.to_owned())));
        Ok(Annotation {
            sex,
            age_years: age_years.transpose()?,
            group: stated(self.group).map(str::to_owned),
            sentence: stated(self.sentence).unwrap_or_default().to_owned(),
            transcript: stated(self.transcript).map(str::to_owned),
            dimensions: dimensions(self.dimensions.map(stated))?,
            ..Annotation::new(speaker, emotion(field(self.emotion))?)
        })
    }
}

/// `named` in `root`, unless it is empty or leads elsewhere.
fn inside(root: &Path, named: &str) -> Option<PathBuf> {
    let mut path = root.to_owned();
    for part in Path::new(named).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => (),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (path != root).then_some(path)
}

fn usable(path: &Path) -> Result<(), RowProblem> {
    if matches!(hidden_or_not_audio(path), Err(SkipReason::NotAudio)) {
        return Err(RowProblem::NotAudio);
    }
    if path.is_file() { Ok(()) } else { Err(RowProblem::Missing) }
}

fn dimensions(stated: [Option<&str>; 3]) -> Result<Option<Dimensions>, RowProblem> {
    let number = |field: Option<&str>| field.and_then(|f| f.parse().ok()).filter(|x: &f32| x.is_finite());
    match stated.map(number) {
        [Some(valence), Some(activation), Some(dominance)] => Ok(Some(Dimensions { valence, activation, dominance })),
        _ if stated == [None; 3] => Ok(None),
        _ => Err(RowProblem::Dimensions),
    }
}

fn emotion(word: &str) -> Result<Emotion, RowProblem> {
    let lower = word.to_ascii_lowercase();
    lower.parse().map_err(|_| {
        let nearest = nearest_emotions(&lower).join(", ");
        RowProblem::Emotion { emotion: word.to_owned(), nearest }
    })
}

/// The known names that a few letters' change makes of `word`, nearest first; all of them if it is like none.
fn nearest_emotions(word: &str) -> Vec<&'static str> {
    let changes = |name: &str| edits(word, name);
    // Half a name changed is another word: "anger" is two from "angry", "joy" is three from "sad".
    let mut near: Vec<&str> =
        Emotion::ALL.map(Emotion::name).into_iter().filter(|n| 2 * changes(n) <= n.len()).collect();
    near.sort_by_key(|name| changes(name));
    if near.is_empty() { Emotion::ALL.map(Emotion::name).to_vec() } else { near }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_emotion_is_answered_with_the_nearest_and_a_foreign_one_with_all() {
        assert_eq!(nearest_emotions("anger"), ["angry"]);
        assert_eq!(nearest_emotions("surprise"), ["surprised"]);
        assert_eq!(nearest_emotions("Freude").len(), Emotion::ALL.len());
        assert_eq!(emotion("Happy"), Ok(Emotion::Happy));
    }

    #[test]
    fn a_path_that_leaves_the_folder_is_refused_and_one_that_stays_is_joined() {
        let root = Path::new("corpus");
        for bad in ["", ".", "/etc/passwd", "../x.wav", "a/../../x.wav"] {
            assert_eq!(inside(root, bad), None, "{bad}");
        }
        assert_eq!(inside(root, "./a/x.wav"), Some(root.join("a/x.wav")));
    }
}
