//! `[corpus]`: which speech.
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sottovoce_types::{LabelSet, Labelling};

/// Which corpus.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorpusKind {
    /// Our own synthesised voices. Says nothing about people.
    #[default]
    Synthetic,
    /// CREMA-D.
    CremaD,
    /// IEMOCAP, labels of its raters.
    Iemocap,
    /// RAVDESS, audio-only speech.
    Ravdess,
    /// Emo-DB.
    Emodb,
    /// SAVEE.
    Savee,
    /// TESS.
    Tess,
    /// Any recordings that a CSV file lists.
    Manifest,
    /// Told by the names of the files.
    Auto,
}

/// Which emotions the model tells apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// Four on IEMOCAP, whose fear has 40 clips, five elsewhere.
    #[default]
    Auto,
    /// Angry, happy (with excited), neutral, sad.
    Four,
    /// Angry, fear, happy, neutral, sad: the seed paper's.
    Five,
    /// The five and disgust: all of CREMA-D.
    Six,
}

/// `[corpus]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Corpus {
    /// Which corpus.
    pub kind: CorpusKind,
    /// Folder of the recordings, or the CSV file that lists them.
    pub path: Option<PathBuf>,
    /// HDF5 file of the extracted features.
    pub cache: Option<PathBuf>,
    /// File that lists the utterances of the cache that this site trains on.
    pub train_only: Option<PathBuf>,
    /// Whose judgement is the label.
    pub labelling: Labelling,
    /// Classes.
    pub labels: Labels,
    /// Speakers to synthesise.
    pub synth_speakers: u32,
    /// Sentences each of them speaks in each emotion.
    pub synth_sentences: u32,
}

impl Corpus {
    /// The emotions that the model tells apart, in class order.
    pub fn label_set(&self) -> LabelSet {
        match (self.labels, self.kind) {
            (Labels::Four, _) | (Labels::Auto, CorpusKind::Iemocap) => LabelSet::four(),
            (Labels::Five | Labels::Auto, _) => LabelSet::five(),
            (Labels::Six, _) => LabelSet::six(),
        }
    }
}

impl Default for Corpus {
    fn default() -> Self {
        Self {
            kind: CorpusKind::default(),
            path: None,
            cache: None,
            train_only: None,
            labelling: Labelling::default(),
            labels: Labels::default(),
            synth_speakers: 24,
            synth_sentences: 6,
        }
    }
}
