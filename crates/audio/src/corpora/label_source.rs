//! What the labels of a scan are: the actor's instructions, what listeners or raters heard, or what an owner wrote.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
    fn sources_are_read_back_by_their_names_and_others_are_refused_with_all_names() {
        for source in LabelSource::ALL {
            assert_eq!(source.name().parse(), Ok(source));
        }
        let error = "perceived".parse::<LabelSource>().unwrap_err().to_string();
        assert!(LabelSource::ALL.iter().all(|s| error.contains(s.name())), "{error}");
    }
}
