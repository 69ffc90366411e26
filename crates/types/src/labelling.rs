//! Whose judgement a label is.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which of a corpus's labellings to read; only CREMA-D offers another than its first. They differ widely: listeners who hear the
/// voice alone name the intended emotion in 42 % of its clips.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labelling {
    /// The labelling by which the corpus is known: what the actor was asked for; in IEMOCAP, the majority of its raters.
    #[default]
    Intended,
    /// CREMA-D: what most of those chose who heard the voice alone.
    Voice,
    /// CREMA-D: what most of those chose who saw and heard.
    Multimodal,
}

impl Labelling {
    /// All labellings.
    pub const ALL: [Self; 3] = [Self::Intended, Self::Voice, Self::Multimodal];

    /// The word used on the command line and in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Voice => "voice",
            Self::Multimodal => "multimodal",
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
        Self::ALL.into_iter().find(|l| l.name() == s).ok_or_else(|| UnknownLabelling(s.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labellings_are_read_back_by_their_names_and_others_are_refused_with_all_names() {
        for labelling in Labelling::ALL {
            assert_eq!(labelling.name().parse(), Ok(labelling));
        }
        let error = "perceived".parse::<Labelling>().unwrap_err().to_string();
        assert!(Labelling::ALL.iter().all(|l| error.contains(l.name())), "{error}");
    }
}
