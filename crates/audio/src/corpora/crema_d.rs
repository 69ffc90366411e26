//! CREMA-D (Cao et al. 2014): `AudioWAV/<actor>_<sentence>_<emotion>_<level>.wav`.
//!
//! Labels are what the actor was asked for, or the majority of the listeners' votes in
//! `processedResults/summaryTable.csv`. They differ widely: most listeners heard the intended emotion in 42 % of the
//! clips by voice alone and in 72 % with the picture.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sottovoce_types::{Annotation, Emotion, Level, Sex};

use super::files::{Reading, empty, folder_named, gather, not_empty, recordings, stem};
use super::tables::Table;
use super::{CorpusKind, LabelSource, Labelling, Scan, ScanError, SkipReason};

const FORM: &str = "<actor>_<sentence>_<emotion>_<level>, as in 1001_DFA_ANG_XX";
const DEMOGRAPHICS: &str = "VideoDemographics.csv";
const VOTES: &str = "processedResults/summaryTable.csv";
/// Its own files beside `AudioWAV`, for those who keep the recordings among them.
const OWN: [&str; 4] = [DEMOGRAPHICS, "SentenceFilenames.csv", "summaryTable.csv", "tabulatedVotes.csv"];

/// "Actors spoke from a selection of 12 sentences" (README of the corpus, which gives the codes).
const SENTENCES: [(&str, &str); 12] = [
    ("IEO", "It's eleven o'clock"),
    ("TIE", "That is exactly what happened"),
    ("IOM", "I'm on my way to the meeting"),
    ("IWW", "I wonder what this is about"),
    ("TAI", "The airplane is almost full"),
    ("MTI", "Maybe tomorrow it will be cold"),
    ("IWL", "I would like a new alarm clock"),
    ("ITH", "I think I have a doctor's appointment"),
    ("DFA", "Don't forget a jacket"),
    ("ITS", "I think I've seen this before"),
    ("TSI", "The surface is slick"),
    ("WSI", "We'll stop in a couple of minutes"),
];

pub(super) fn scan(path: &Path, labelling: Labelling) -> Result<Scan, ScanError> {
    let root = folder_named(path, "AudioWAV").unwrap_or_else(|| path.to_owned());
    let beside = |table: &str| -> Option<PathBuf> {
        let folders = [Some(root.as_path()), root.parent()];
        folders.into_iter().flatten().map(|folder| folder.join(table)).find(|file| file.is_file())
    };
    let people = beside(DEMOGRAPHICS).map_or(Ok(BTreeMap::new()), |csv| demographics(&csv))?;
    let (source, column) = match labelling {
        Labelling::Intended => (LabelSource::Intended, None),
        Labelling::Voice => (LabelSource::VoiceMajority, Some("VoiceVote")),
        Labelling::Multimodal => (LabelSource::MultimodalMajority, Some("MultiModalVote")),
    };
    let votes = match column {
        None => None,
        Some(column) => {
            let missing = || ScanError::Votes { path: root.parent().unwrap_or(&root).join(VOTES) };
            let table = beside(VOTES).or_else(|| beside("summaryTable.csv")).ok_or_else(missing)?;
            Some(read_votes(&table, column)?)
        }
    };
    let read = |file: &Path| {
        let id = stem(file);
        let mut annotation = read(&id)?;
        if let Some(person) = people.get(&annotation.speaker) {
            (annotation.sex, annotation.age_years) = (person.sex, person.age_years);
        }
        if let Some(votes) = &votes {
            annotation.emotion = majority(votes.get(&id).ok_or(SkipReason::NoVotes)?)?;
        }
        Ok(Reading { id, annotation })
    };
    let mut scan = empty(CorpusKind::CremaD, source, &root);
    gather(&mut scan, &root, recordings(&root, &OWN)?, read);
    not_empty(scan, &root)
}

/// Whether the name is of this corpus.
pub(super) fn fits(path: &Path) -> bool {
    read(&stem(path)).is_ok()
}

/// All 7442 names of the original match `^\d{4}_[A-Z]{3}_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX)$`.
fn read(stem: &str) -> Result<Annotation, SkipReason> {
    let [actor, sentence, emotion, level] = stem.split('_').collect::<Vec<_>>()[..] else {
        return Err(SkipReason::Name { expected: FORM });
    };
    if actor.len() != 4 || !actor.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SkipReason::Actor(actor.to_owned()));
    }
    let Some((_, words)) = SENTENCES.iter().find(|(code, _)| *code == sentence) else {
        return Err(SkipReason::Sentence(sentence.to_owned()));
    };
    let emotion = match emotion {
        "ANG" => Emotion::Angry,
        "DIS" => Emotion::Disgust,
        "FEA" => Emotion::Fear,
        "HAP" => Emotion::Happy,
        "NEU" => Emotion::Neutral,
        "SAD" => Emotion::Sad,
        other => return Err(SkipReason::Emotion(other.to_owned())),
    };
    let level = match level {
        "XX" => Level::Unspecified,
        "LO" => Level::Low,
        "MD" => Level::Medium,
        "HI" => Level::High,
        other => return Err(SkipReason::Level { level: other.to_owned() }),
    };
    let transcript = Some((*words).to_owned());
    Ok(Annotation { sentence: sentence.to_owned(), level, transcript, ..Annotation::new(actor, emotion) })
}

struct Person {
    sex: Option<Sex>,
    age_years: Option<u16>,
}

/// Sex and age per actor (`"ActorID","Age","Sex","Race","Ethnicity"`); what the table does not say stays unknown.
fn demographics(csv: &Path) -> Result<BTreeMap<String, Person>, ScanError> {
    let mut table = Table::open(csv)?;
    let (Some(actor), sex, age) = (table.column("ActorID"), table.column("Sex"), table.column("Age")) else {
        return Ok(BTreeMap::new());
    };
    let mut people = BTreeMap::new();
    for row in table.rows() {
        let row = row.map_err(|source| ScanError::Table { path: csv.to_owned(), source })?;
        let sex = match sex.and_then(|i| row.get(i)).map(str::to_ascii_lowercase).as_deref() {
            Some("female") => Some(Sex::Female),
            Some("male") => Some(Sex::Male),
            _ => None,
        };
        let age_years = age.and_then(|i| row.get(i)).and_then(|a| a.parse().ok());
        people.insert(row.get(actor).unwrap_or_default().to_owned(), Person { sex, age_years });
    }
    Ok(people)
}

/// The votes in `column` per clip (`"","FileName","VoiceVote","VoiceLevel","FaceVote",…,"MultiModalVote",…`).
fn read_votes(csv: &Path, column: &'static str) -> Result<BTreeMap<String, String>, ScanError> {
    let mut table = Table::open(csv)?;
    let (clip, vote) = (table.required(csv, "FileName")?, table.required(csv, column)?);
    let mut votes = BTreeMap::new();
    for row in table.rows() {
        let row = row.map_err(|source| ScanError::Table { path: csv.to_owned(), source })?;
        let field = |i| row.get(i).unwrap_or_default().to_owned();
        votes.insert(field(clip), field(vote));
    }
    Ok(votes)
}

fn majority(vote: &str) -> Result<Emotion, SkipReason> {
    match vote {
        "A" => Ok(Emotion::Angry),
        "D" => Ok(Emotion::Disgust),
        "F" => Ok(Emotion::Fear),
        "H" => Ok(Emotion::Happy),
        "N" => Ok(Emotion::Neutral),
        "S" => Ok(Emotion::Sad),
        tie if tie.contains(':') => Err(SkipReason::Tie(tie.to_owned())),
        other => Err(SkipReason::Vote(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_of_the_corpus_are_refused_and_those_that_are_are_read() {
        let refused = |stem: &str| read(stem).err().unwrap();
        assert!(matches!(refused("1001_DFA_ANG"), SkipReason::Name { .. }));
        assert!(matches!(refused("1001_DFA_ANG_XX_2"), SkipReason::Name { .. }));
        assert!(matches!(refused("101_DFA_ANG_XX"), SkipReason::Actor(_)));
        assert!(matches!(refused("1001_dfa_ANG_XX"), SkipReason::Sentence(_)));
        assert!(matches!(refused("1001_ABC_ANG_XX"), SkipReason::Sentence(_)));
        assert!(matches!(refused("1001_DFA_ANX_XX"), SkipReason::Emotion(_)));
        assert!(matches!(refused("1001_DFA_ANG_X"), SkipReason::Level { .. }));
        let r = read("1091_IEO_HAP_HI").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            (r.speaker.as_str(), r.emotion, r.sentence.as_str(), r.level),
            ("1091", Emotion::Happy, "IEO", Level::High)
        );
        assert_eq!(r.transcript.as_deref(), Some("It's eleven o'clock"));
    }
}
