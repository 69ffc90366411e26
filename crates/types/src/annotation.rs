//! What a corpus says of one recording.
use serde::{Deserialize, Serialize};

use crate::{Emotion, Sex};

/// How strongly an emotion was to be played.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the variants are the corpora's words")]
pub enum Level {
    #[default]
    Unspecified,
    Low,
    Medium,
    High,
    Normal,
    Strong,
}

impl Level {
    /// All levels.
    pub const ALL: [Self; 6] = [Self::Unspecified, Self::Low, Self::Medium, Self::High, Self::Normal, Self::Strong];

    /// Lower-case name, as written to caches.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Strong => "strong",
        }
    }
}

/// Dimensional labels, on the corpus's own scale (IEMOCAP: 1 to 5, the mean of its raters).
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are the field's own words")]
pub struct Dimensions {
    pub valence: f32,
    pub activation: f32,
    pub dominance: f32,
}

/// What a corpus says of one recording: who speaks, what, and how.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Annotation {
    /// Speaker as the corpus names it.
    pub speaker: String,
    /// Sex of the speaker, where the corpus states it.
    pub sex: Option<Sex>,
    /// Age of the speaker in years, where the corpus states it.
    pub age_years: Option<u16>,
    /// Recording group (IEMOCAP: the session of two speakers), where the corpus has such.
    pub group: Option<String>,
    /// The emotion by the labelling in use.
    pub emotion: Emotion,
    /// How strongly it was to be played.
    pub level: Level,
    /// The corpus's code of the sentence; empty where it has none.
    pub sentence: String,
    /// The words spoken, where the corpus states them.
    pub transcript: Option<String>,
    /// Dimensional labels, where the corpus has them.
    pub dimensions: Option<Dimensions>,
}

impl Annotation {
    /// An annotation of what every corpus states; the rest is unknown.
    pub fn new(speaker: impl Into<String>, emotion: Emotion) -> Self {
        Self {
            speaker: speaker.into(),
            sex: None,
            age_years: None,
            group: None,
            emotion,
            level: Level::Unspecified,
            sentence: String::new(),
            transcript: None,
            dimensions: None,
        }
    }
}
