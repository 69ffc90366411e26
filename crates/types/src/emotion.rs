//! Emotions, label sets and demographics.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An emotion as the corpora name them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the variants are the words themselves")]
pub enum Emotion {
    Angry,
    Boredom,
    Calm,
    Disgust,
    Fear,
    Happy,
    Neutral,
    Sad,
    Surprised,
}

impl Emotion {
    /// Lower-case name, as written to caches and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Angry => "angry",
            Self::Boredom => "boredom",
            Self::Calm => "calm",
            Self::Disgust => "disgust",
            Self::Fear => "fear",
            Self::Happy => "happy",
            Self::Neutral => "neutral",
            Self::Sad => "sad",
            Self::Surprised => "surprised",
        }
    }
}

impl fmt::Display for Emotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no emotion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no emotion")]
pub struct UnknownEmotion(pub String);

impl FromStr for Emotion {
    type Err = UnknownEmotion;
    fn from_str(s: &str) -> Result<Self, UnknownEmotion> {
        use Emotion::{Angry, Boredom, Calm, Disgust, Fear, Happy, Neutral, Sad, Surprised};
        [Angry, Boredom, Calm, Disgust, Fear, Happy, Neutral, Sad, Surprised]
            .into_iter()
            .find(|e| e.name() == s)
            .ok_or_else(|| UnknownEmotion(s.to_owned()))
    }
}

/// Sex as the corpora state it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the variants are the words themselves")]
pub enum Sex {
    Female,
    Male,
}

/// The emotions that a model tells apart; a class index is a place in this list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LabelSet(Vec<Emotion>);

impl LabelSet {
    /// The five emotions of the seed paper: angry, fear, happy, neutral, sad.
    pub fn five() -> Self {
        Self(vec![Emotion::Angry, Emotion::Fear, Emotion::Happy, Emotion::Neutral, Emotion::Sad])
    }

    /// The class index of an emotion, if the set has it.
    pub fn index_of(&self, emotion: Emotion) -> Option<u16> {
        self.0.iter().position(|&e| e == emotion).and_then(|i| u16::try_from(i).ok())
    }

    /// The emotions in class order.
    pub fn emotions(&self) -> &[Emotion] {
        &self.0
    }

    /// The names in class order.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|e| e.name().to_owned()).collect()
    }
}
