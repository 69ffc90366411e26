//! The kinds of corpora that can be read.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a corpus names its files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorpusKind {
    /// Whichever kind most names fit; a scan's result never has this kind.
    #[default]
    Auto,
    /// CREMA-D: `AudioWAV/1001_DFA_ANG_XX.wav`; also the shape of the synthetic corpus.
    CremaD,
    /// IEMOCAP: `Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav`, labels in `dialog/EmoEvaluation`.
    Iemocap,
    /// RAVDESS: `Actor_01/03-01-05-01-01-01-01.wav`.
    Ravdess,
    /// Emo-DB, the Berlin database: `wav/03a01Fa.wav`.
    Emodb,
    /// SAVEE: `DC_a01.wav` or `DC/a01.wav`.
    Savee,
    /// TESS: `OAF_back_angry.wav`.
    Tess,
    /// Any recordings, listed in a CSV file with the columns path, speaker and emotion.
    Manifest,
}

impl CorpusKind {
    /// The kinds that can be read. Where as many names fit two kinds, the earlier is taken.
    pub const SUPPORTED: [Self; 7] =
        [Self::CremaD, Self::Iemocap, Self::Ravdess, Self::Emodb, Self::Savee, Self::Tess, Self::Manifest];

    /// The word used on the command line and in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::CremaD => "crema-d",
            Self::Iemocap => "iemocap",
            Self::Ravdess => "ravdess",
            Self::Emodb => "emodb",
            Self::Savee => "savee",
            Self::Tess => "tess",
            Self::Manifest => "manifest",
        }
    }

    /// What a file of this kind is called, for messages.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Auto => "any of these",
            Self::CremaD => "AudioWAV/1001_DFA_ANG_XX.wav",
            Self::Iemocap => "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
            Self::Ravdess => "Actor_01/03-01-05-01-01-01-01.wav",
            Self::Emodb => "wav/03a01Fa.wav",
            Self::Savee => "DC/a01.wav or DC_a01.wav",
            Self::Tess => "OAF_back_angry.wav",
            Self::Manifest => "manifest.csv with the columns path,speaker,emotion",
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
#[error("corpus kind {kind:?} cannot be read; use one of: {}, auto", CorpusKind::SUPPORTED.map(CorpusKind::name).join(", "))]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_names_no_kind_is_answered_with_all_that_do() {
        let error = "msp-podcast".parse::<CorpusKind>().unwrap_err().to_string();
        for kind in CorpusKind::SUPPORTED.into_iter().chain([CorpusKind::Auto]) {
            assert!(error.contains(kind.name()), "{error}");
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.name()));
        }
    }
}
