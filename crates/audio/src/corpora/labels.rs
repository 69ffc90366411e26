//! Whose word a label is: the actor's instructions, the listeners', the raters', or the owner's.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which of a corpus's labellings to read. Only CREMA-D offers another than its first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Labelling {
    /// The labelling by which the corpus is known: what the actor was asked for; in IEMOCAP, the raters' majority.
    #[default]
    #[serde(rename = "intended")]
    Intended,
    /// CREMA-D: what most listeners heard in the voice alone.
    #[serde(rename = "voice", alias = "voice-majority")]
    VoiceMajority,
    /// CREMA-D: what most viewers saw and heard.
    #[serde(rename = "multimodal", alias = "multimodal-majority")]
    MultimodalMajority,
}

impl Labelling {
    /// All labellings.
    pub const ALL: [Self; 3] = [Self::Intended, Self::VoiceMajority, Self::MultimodalMajority];

    /// The word used on the command line and in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::VoiceMajority => "voice",
            Self::MultimodalMajority => "multimodal",
        }
    }
}

impl fmt::Display for Labelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no labelling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("labelling {word:?} does not exist; use one of: {names}", word = .0, names = Labelling::ALL.map(Labelling::name).join(", "))]
pub struct UnknownLabelling(pub String);

impl FromStr for Labelling {
    type Err = UnknownLabelling;
    fn from_str(s: &str) -> Result<Self, UnknownLabelling> {
        match s {
            "voice-majority" => Ok(Self::VoiceMajority),
            "multimodal-majority" => Ok(Self::MultimodalMajority),
            _ => Self::ALL.into_iter().find(|l| l.name() == s).ok_or_else(|| UnknownLabelling(s.to_owned())),
        }
    }
}

/// What the labels of a scan are. Figures on different label sources must not be compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelSource {
    /// What the actor was asked for.
    Intended,
    /// What most listeners heard in the voice alone.
    VoiceMajority,
    /// What most viewers saw and heard.
    MultimodalMajority,
    /// What most of the corpus's raters agreed on (IEMOCAP).
    RaterMajority,
    /// What the owner of the recordings wrote in the manifest.
    Manifest,
}

impl LabelSource {
    /// All label sources.
    pub const ALL: [Self; 5] =
        [Self::Intended, Self::VoiceMajority, Self::MultimodalMajority, Self::RaterMajority, Self::Manifest];

    /// The word written to caches and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::VoiceMajority => "voice-majority",
            Self::MultimodalMajority => "multimodal-majority",
            Self::RaterMajority => "rater-majority",
            Self::Manifest => "manifest",
        }
    }
}

impl fmt::Display for LabelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no label source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("label source {word:?} does not exist; it is one of: {names}", word = .0, names = LabelSource::ALL.map(LabelSource::name).join(", "))]
pub struct UnknownLabelSource(pub String);

impl FromStr for LabelSource {
    type Err = UnknownLabelSource;
    fn from_str(s: &str) -> Result<Self, UnknownLabelSource> {
        Self::ALL.into_iter().find(|l| l.name() == s).ok_or_else(|| UnknownLabelSource(s.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_no_labelling_are_answered_with_those_that_do() {
        let error = "perceived".parse::<Labelling>().unwrap_err().to_string();
        assert!(error.contains("intended, voice, multimodal"), "{error}");
        let error = "perceived".parse::<LabelSource>().unwrap_err().to_string();
        assert!(error.contains("rater-majority, manifest"), "{error}");
    }

    #[test]
    fn each_is_written_in_configs_and_caches_by_its_name() {
        for labelling in Labelling::ALL {
            assert_eq!(labelling.name().parse(), Ok(labelling));
            assert_eq!(serde_json::to_string(&labelling).unwrap(), format!("\"{labelling}\""));
        }
        for source in LabelSource::ALL {
            assert_eq!(source.name().parse(), Ok(source));
            assert_eq!(serde_json::to_string(&source).unwrap(), format!("\"{source}\""));
        }
        assert_eq!("voice-majority".parse(), Ok(Labelling::VoiceMajority));
    }
}
