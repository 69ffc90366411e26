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
    Excited,
    Fear,
    Frustrated,
    Happy,
    Neutral,
    Sad,
    Surprised,
}

impl Emotion {
    /// All emotions, by name.
    pub const ALL: [Self; 11] = [
        Self::Angry,
        Self::Boredom,
        Self::Calm,
        Self::Disgust,
        Self::Excited,
        Self::Fear,
        Self::Frustrated,
        Self::Happy,
        Self::Neutral,
        Self::Sad,
        Self::Surprised,
    ];

    /// Lower-case name, as written to caches and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Angry => "angry",
            Self::Boredom => "boredom",
            Self::Calm => "calm",
            Self::Disgust => "disgust",
            Self::Excited => "excited",
            Self::Fear => "fear",
            Self::Frustrated => "frustrated",
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
        Self::ALL.into_iter().find(|e| e.name() == s).ok_or_else(|| UnknownEmotion(s.to_owned()))
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

impl Sex {
    /// Both, in the order of reports.
    pub const ALL: [Self; 2] = [Self::Female, Self::Male];

    /// Lower-case name, as written to reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Female => "female",
            Self::Male => "male",
        }
    }
}

/// The emotions that a model tells apart; a class index is a place in this list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LabelSet(Vec<Emotion>);

impl LabelSet {
    /// The five emotions of the seed paper: angry, fear, happy, neutral, sad.
    pub fn five() -> Self {
        Self(vec![Emotion::Angry, Emotion::Fear, Emotion::Happy, Emotion::Neutral, Emotion::Sad])
    }

    /// The four emotions usual on IEMOCAP: angry, happy (with excited), neutral, sad.
    pub fn four() -> Self {
        Self(vec![Emotion::Angry, Emotion::Happy, Emotion::Neutral, Emotion::Sad])
    }

    /// The five and disgust: all emotions of CREMA-D.
    pub fn six() -> Self {
        Self(vec![Emotion::Angry, Emotion::Disgust, Emotion::Fear, Emotion::Happy, Emotion::Neutral, Emotion::Sad])
    }

    /// The class index of an emotion, if the set has it. Excited counts as happy where it has no class of its own, as papers on
    /// IEMOCAP count it.
    pub fn index_of(&self, emotion: Emotion) -> Option<u16> {
        let place = |wanted| self.0.iter().position(|&e| e == wanted).and_then(|i| u16::try_from(i).ok());
        match emotion {
            Emotion::Excited => place(Emotion::Excited).or_else(|| place(Emotion::Happy)),
            other => place(other),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_emotion_is_known_by_its_name_and_listed_in_order() {
        assert!(Emotion::ALL.is_sorted());
        assert!(Emotion::ALL.into_iter().all(|e| e.name().parse() == Ok(e)));
        assert!("joy".parse::<Emotion>().is_err());
    }

    #[test]
    fn excited_counts_as_happy_and_what_a_set_lacks_has_no_class() {
        for set in [LabelSet::four(), LabelSet::five()] {
            assert_eq!(set.index_of(Emotion::Excited), set.index_of(Emotion::Happy));
            assert_eq!(set.index_of(Emotion::Frustrated), None);
        }
        assert_eq!(LabelSet::four().index_of(Emotion::Fear), None);
        assert_eq!(LabelSet::five().index_of(Emotion::Fear), Some(1));
    }
}
