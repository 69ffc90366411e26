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

/// Examples: features `[frames, width]` of each, labels `[n]`, and whose each is.
///
/// An example is as many frames as its clip has; statistics of a clip are an example of one frame.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Examples {
    /// Features of a frame.
    pub width: usize,
    /// Frame by frame, one example after the other: `[all frames, width]`.
    pub features: Vec<f32>,
    /// Class indices, `[n]`.
    pub labels: Vec<u16>,
    /// Whose each example is, `[n]`.
    pub meta: Vec<ExampleMeta>,
    /// Where each example's frames end, `[n]`.
    ends: Vec<usize>,
    /// The words of each example ([`word_hash`]), `[n]`; empty where no text is known.
    words: Vec<Vec<u32>>,
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

    /// Frames of example `i`.
    pub fn frames(&self, i: usize) -> usize {
        self.ends[i] - self.start(i)
    }

    /// Features of example `i`, `[frames, width]`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.features[self.start(i) * self.width..self.ends[i] * self.width]
    }

    /// The words of example `i`, hashed.
    pub fn words(&self, i: usize) -> &[u32] {
        &self.words[i]
    }

    /// Frames of all examples together.
    pub fn total_frames(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Whether the lists fit each other: they are public, and a reader may have filled them.
    pub fn is_consistent(&self) -> bool {
        let n = self.labels.len();
        self.meta.len() == n
            && self.ends.len() == n
            && self.words.len() == n
            && self.features.len() == self.total_frames() * self.width
    }

    /// The example whose features hold position `place` of [`Self::features`].
    pub fn example_at(&self, place: usize) -> usize {
        let frame = place.checked_div(self.width).unwrap_or(place);
        self.ends.partition_point(|&end| end <= frame)
    }

    /// Adds one example of one frame or more, without text.
    pub fn push(&mut self, features: &[f32], label: u16, meta: ExampleMeta) {
        self.push_with_words(features, Vec::new(), label, meta);
    }

    /// Adds one example of one frame or more and the words that are said in it ([`word_hash`]).
    pub fn push_with_words(&mut self, features: &[f32], words: Vec<u32>, label: u16, meta: ExampleMeta) {
        let frames = features.len().checked_div(self.width).unwrap_or(1);
        assert!(
            frames > 0 && features.len() == frames * self.width,
            "an example is whole frames of the width of its set"
        );
        self.features.extend_from_slice(features);
        self.ends.push(self.total_frames() + frames);
        self.words.push(words);
        self.labels.push(label);
        self.meta.push(meta);
    }

    /// The examples at `indices`, in that order.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let mut out = Self::empty(self.width);
        for &i in indices {
            out.push_with_words(self.row(i), self.words[i].clone(), self.labels[i], self.meta[i].clone());
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
        let before = self.total_frames();
        self.features.extend_from_slice(&other.features);
        self.ends.extend(other.ends.iter().map(|end| before + end));
        self.words.extend_from_slice(&other.words);
        self.labels.extend_from_slice(&other.labels);
        self.meta.extend_from_slice(&other.meta);
    }

    fn start(&self, i: usize) -> usize {
        if i == 0 { 0 } else { self.ends[i - 1] }
    }
}

/// The words of a transcript, each as a number that every site computes alike: the first four bytes, little-endian, of SHA-256 of
/// the word in lower case. A model takes it modulo its table (feature hashing, Weinberger et al. 2009), so that no vocabulary
/// is built from anyone's recordings. A word is letters, digits and apostrophes.
pub fn word_hashes(transcript: &str) -> Vec<u32> {
    let word = |c: char| c.is_alphanumeric() || c == '\'';
    transcript.split(|c| !word(c)).filter(|w| !w.is_empty()).map(word_hash).collect()
}

/// One word's number.
pub fn word_hash(word: &str) -> u32 {
    let digest = Digest::of(word.to_lowercase().as_bytes());
    let [a, b, c, d, ..] = digest.0;
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_any_length_keep_their_frames_their_words_and_their_order() {
        let mut set = Examples::empty(2);
        set.push(&[1.0, 2.0], 0, ExampleMeta { speaker: "a".into(), ..ExampleMeta::default() });
        let b = ExampleMeta { speaker: "b".into(), ..ExampleMeta::default() };
        set.push_with_words(&[3.0, 4.0, 5.0, 6.0], vec![7, 8], 1, b);
        let mut twice = set.select(&[1, 0]);
        twice.append(&set);
        assert!(twice.is_consistent() && twice.total_frames() == 6);
        assert_eq!((twice.row(0), twice.words(0), twice.frames(0)), (&[3.0, 4.0, 5.0, 6.0][..], &[7, 8][..], 2));
        assert_eq!((twice.row(3), twice.labels[3]), (&[3.0, 4.0, 5.0, 6.0][..], 1));
        assert_eq!(twice.by_speaker()[0].1.features, [1.0, 2.0, 1.0, 2.0]);
        assert_eq!((twice.example_at(3), twice.example_at(4), twice.example_at(11)), (0, 1, 3));
        twice.features.pop();
        assert!(!twice.is_consistent());
    }

    #[test]
    fn the_same_word_has_the_same_number_whatever_stands_around_it() {
        let hashes = word_hashes("Don't forget a jacket. A JACKET!");
        assert_eq!(hashes.len(), 6);
        assert_eq!((hashes[2], hashes[3]), (hashes[4], hashes[5]));
        // hashlib.sha256(b"jacket").digest()[:4], little-endian.
        assert_eq!(hashes[3], 0x3d4d_4f55);
        assert_eq!(word_hashes(" ... "), [0u32; 0]);
    }
}
