//! Features as they pass from audio to training.
use serde::{Deserialize, Serialize};

use crate::{Annotation, Digest, Sex};

/// One utterance's MFCCs and what is known of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Utterance {
    /// Path inside the corpus.
    pub path: String,
    /// What the corpus says of it.
    pub annotation: Annotation,
    /// SHA-256 of the audio file.
    pub sha256: Digest,
    /// Values per frame: [`FeatureSpec::width`](crate::FeatureSpec::width).
    pub width: usize,
    /// MFCCs, row by row: `[frames, width]`.
    pub mfcc: Vec<f32>,
}

impl Utterance {
    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.mfcc.len().checked_div(self.width).unwrap_or(0)
    }
}

/// Whose an example is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ExampleMeta {
    /// Path of the utterance inside its corpus.
    pub path: String,
    /// Speaker.
    pub speaker: String,
    /// Sex of the speaker, where known.
    pub sex: Option<Sex>,
    /// Recording group (IEMOCAP: the session), where the corpus has such.
    pub group: Option<String>,
}

/// Fixed-width examples: features `[n, width]`, labels `[n]`, and whose each is.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Examples {
    /// Features per example.
    pub width: usize,
    /// Row by row, `[n, width]`.
    pub features: Vec<f32>,
    /// Class indices, `[n]`.
    pub labels: Vec<u16>,
    /// Whose each example is, `[n]`.
    pub meta: Vec<ExampleMeta>,
}

impl Examples {
    /// No examples, of a given width.
    pub fn empty(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Features of example `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.features[i * self.width..(i + 1) * self.width]
    }

    /// Adds one example.
    pub fn push(&mut self, features: &[f32], label: u16, meta: ExampleMeta) {
        assert_eq!(features.len(), self.width, "an example has the width of its set");
        self.features.extend_from_slice(features);
        self.labels.push(label);
        self.meta.push(meta);
    }

    /// The examples at `indices`, in that order.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let mut out = Self::empty(self.width);
        for &i in indices {
            out.push(self.row(i), self.labels[i], self.meta[i].clone());
        }
        out
    }

    /// The examples for which `keep` holds.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(&ExampleMeta) -> bool) -> Self {
        let indices: Vec<usize> = (0..self.len()).filter(|&i| keep(&self.meta[i])).collect();
        self.select(&indices)
    }

    /// Speakers, sorted, each once.
    pub fn speakers(&self) -> Vec<String> {
        let mut all: Vec<String> = self.meta.iter().map(|m| m.speaker.clone()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// One set per speaker, in the order of [`Self::speakers`].
    pub fn by_speaker(&self) -> Vec<(String, Self)> {
        self.speakers()
            .into_iter()
            .map(|s| {
                let own = self.filter(|m| m.speaker == s);
                (s, own)
            })
            .collect()
    }

    /// Adds all examples of another set of the same width.
    pub fn append(&mut self, other: &Self) {
        assert_eq!(self.width, other.width, "sets of one width");
        self.features.extend_from_slice(&other.features);
        self.labels.extend_from_slice(&other.labels);
        self.meta.extend_from_slice(&other.meta);
    }
}
