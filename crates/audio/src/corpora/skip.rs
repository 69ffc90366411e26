//! Why a file, a label line or a manifest's row is not used.
use std::path::PathBuf;

use super::manifest::RowProblem;

/// Why a file is not used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum SkipReason {
    #[error("actor {0:?} does not exist in this corpus")]
    Actor(String),
    #[error("the same recording is already there as {0}")]
    Duplicate(String),
    #[error("emotion code {0:?} is none of this corpus")]
    Emotion(String),
    #[error("the name says {name} and the folder says {folder}")]
    Folder { name: String, folder: String },
    #[error("a hidden file (macOS leaves such beside each file that it copies)")]
    Hidden,
    #[error("line {line} is no label line: {why}")]
    LabelLine { line: usize, why: &'static str },
    #[error("level {level:?} does not exist for this emotion or sentence")]
    Level { level: String },
    #[error("the name is not of the form {expected}")]
    Name { expected: &'static str },
    #[error("raters did not agree (xxx)")]
    NoAgreement,
    #[error("there is a label and no such recording")]
    NoAudio,
    #[error("its dialog has no labels: dialog/EmoEvaluation/{dialog}.txt is not there")]
    NoEvaluation { dialog: String },
    #[error("dialog/EmoEvaluation/{dialog}.txt has no label line for it")]
    NoLabel { dialog: String },
    #[error("not a regular file, or a link to nothing")]
    NotAFile,
    #[error("not a .wav or .flac file")]
    NotAudio,
    #[error("modality {0:?} is not audio alone (03)")]
    NotAudioOnly(String),
    #[error("channel {0:?} is not speech (01)")]
    NotSpeech(String),
    #[error("the table of votes has no row for it")]
    NoVotes,
    #[error("raters gave `oth`, an emotion that has no name")]
    OtherEmotion,
    #[error("line {line} of the manifest: {problem}")]
    Row { line: u64, problem: RowProblem },
    #[error("sentence code {0:?} is none of this corpus")]
    Sentence(String),
    #[error("listeners tie: {0}")]
    Tie(String),
    #[error("vote {0:?} is none of A, D, F, H, N and S")]
    Vote(String),
}

impl SkipReason {
    /// A few words that stay the same between versions, to count by: "2507 no agreement".
    pub fn tally_name(&self) -> &'static str {
        match self {
            Self::Actor(_) => "unknown speaker",
            Self::Duplicate(_) => "duplicate",
            Self::Emotion(_) => "unknown emotion",
            Self::Folder { .. } => "wrong folder",
            Self::Hidden => "hidden",
            Self::LabelLine { .. } => "malformed label line",
            Self::Level { .. } => "unknown level",
            Self::Name { .. } => "odd name",
            Self::NoAgreement => "no agreement",
            Self::NoAudio => "no recording",
            Self::NoEvaluation { .. } => "no label file",
            Self::NoLabel { .. } => "no label",
            Self::NotAFile => "not a file",
            Self::NotAudio => "not audio",
            Self::NotAudioOnly(_) => "not audio alone",
            Self::NotSpeech(_) => "not speech",
            Self::NoVotes => "no votes",
            Self::OtherEmotion => "other emotion",
            Self::Row { problem, .. } => problem.tally_name(),
            Self::Sentence(_) => "unknown sentence",
            Self::Tie(_) => "listeners tie",
            Self::Vote(_) => "unknown vote",
        }
    }
}

/// A file that is not used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// The file; for a label without a recording, where the recording should lie.
    pub path: PathBuf,
    /// Why.
    pub reason: SkipReason,
}
