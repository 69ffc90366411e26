//! What a partition is asked to be.
use std::ops::Range;

use serde::{Deserialize, Serialize};
use sottovoce_types::OutOfRange;

/// How speakers, and then clips, reach clients.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PartitionMode {
    /// As recorded; every clip is kept. One client per recording group (IEMOCAP: per session), if every training clip has
    /// a group, no speaker has two, `clients` is the number of groups left for training and `speakers_per_client` is not
    /// given. Otherwise speakers in the order of their names, which keeps neighbours together: one client per speaker if
    /// `clients` is their number.
    #[default]
    Natural,
    /// Speakers drawn at random; every clip is kept.
    Speakers,
    /// Speakers drawn at random, then each client's clips thinned to equally many of every emotion it has: no client
    /// differs from another in its emotions.
    Balanced,
    /// Speakers drawn at random, then each client's clips thinned to an emotion profile from a Dirichlet distribution
    /// (Hsu, Qi and Brown, arXiv:1909.06335, §2, by client rather than by pool): one clip at least.
    Dirichlet {
        /// Concentration: 0.1 gives clients of one or two emotions, 100 nearly equal ones.
        alpha: f64,
    },
}

/// What a split keeps apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Test speakers are heard in no training clip.
    #[default]
    Speaker,
    /// Clips are split at random: a test speaker is also trained on. **Leaks**, and is flagged on every result.
    Random,
}

/// What one fold after the other leaves out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FoldBy {
    /// A block of the speakers in the order of their names, as scikit-learn's `KFold(of, shuffle=False)` cuts them: what
    /// papers on CREMA-D do (Feng et al., arXiv:2112.13416: five folds of the actors 1001 to 1091).
    #[default]
    Speaker,
    /// One recording group, in the order of their names: IEMOCAP's sessions, each of two speakers heard in no other.
    Group,
}

/// One fold of a cross-validation: over all of them every speaker is tested on exactly once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fold {
    /// What is left out.
    pub by: FoldBy,
    /// Number of folds, at least 2; by group, the number of groups.
    pub of: usize,
    /// Which of them is tested on, from 0.
    pub index: usize,
}

impl Fold {
    /// The part of `0..n` that the fold tests on: blocks side by side, of which the first `n % of` are longer by one.
    pub(super) fn block(self, n: usize) -> Range<usize> {
        let start = |fold: usize| fold * (n / self.of) + fold.min(n % self.of);
        start(self.index)..start(self.index + 1)
    }
}

/// Whom to test on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TestSpeakers {
    /// So many speakers, drawn by the seed, of both sexes alike as far as the corpus has them.
    Count(usize),
    /// This fraction of the speakers, in \[0, 1), drawn likewise.
    Fraction(f64),
    /// A fold of a cross-validation.
    Fold(Fold),
    /// These, as the corpus names them.
    Named(Vec<String>),
}

/// How a corpus is dealt out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PartitionSpec {
    /// Number of clients.
    pub clients: usize,
    /// Speakers at each client; without it, all training speakers are dealt out as evenly as their number allows.
    pub speakers_per_client: Option<usize>,
    /// How speakers and clips reach clients.
    pub mode: PartitionMode,
    /// Speakers tested on. A random split, which pays speakers no regard, takes their share of all clips instead: any
    /// fold is then one of as many blocks of the shuffled clips, and speakers given by name are refused.
    pub test_speakers: TestSpeakers,
    /// Fraction of each client's clips that is never trained on, in \[0, 1), spread over its emotions and speakers: the
    /// non-members of a membership audit. Where speakers are kept apart, every speaker keeps one clip at least.
    pub holdout_fraction: f64,
    /// What the split keeps apart.
    pub split: Split,
    /// Seed of all draws.
    pub seed: u64,
}

impl Default for PartitionSpec {
    fn default() -> Self {
        Self {
            clients: 8,
            speakers_per_client: None,
            mode: PartitionMode::default(),
            test_speakers: TestSpeakers::Fraction(0.2),
            holdout_fraction: 0.1,
            split: Split::default(),
            seed: 1,
        }
    }
}

pub(super) fn check(spec: &PartitionSpec) -> Result<(), OutOfRange> {
    let fraction = |v: f64| (0.0..1.0).contains(&v);
    let (alpha, alpha_ok) = match spec.mode {
        PartitionMode::Dirichlet { alpha } => (alpha, alpha.is_finite() && alpha > 0.0),
        _ => (1.0, true),
    };
    let (test, test_ok) = match spec.test_speakers {
        TestSpeakers::Fraction(f) => (f, fraction(f)),
        _ => (0.0, true),
    };
    let (folds, fold) = match spec.test_speakers {
        TestSpeakers::Fold(fold) => (fold.of, fold.index),
        _ => (2, 0),
    };
    let rules = [
        ("the number of clients", "at least 1", spec.clients as f64, spec.clients > 0),
        ("the number of speakers per client", "at least 1", 0.0, spec.speakers_per_client != Some(0)),
        ("the Dirichlet alpha", "finite and above 0", alpha, alpha_ok),
        ("the fraction of test speakers", "in [0, 1)", test, test_ok),
        ("the number of folds", "at least 2", folds as f64, folds >= 2),
        ("the fold, counted from 0,", "below the number of folds", fold as f64, fold < folds),
        ("the holdout fraction", "in [0, 1)", spec.holdout_fraction, fraction(spec.holdout_fraction)),
    ];
    rules.into_iter().try_for_each(|(what, must, is, ok)| if ok { Ok(()) } else { Err(OutOfRange { what, must, is }) })
}
