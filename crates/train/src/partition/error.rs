//! Why a corpus cannot be dealt out as asked.
use sottovoce_types::OutOfRange;

use super::Leak;

/// A corpus has too few speakers for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the partition needs {needed} speakers ({clients} clients of {per_client} and {test} to test on), the corpus has \
     {found}: ask for fewer clients, fewer speakers per client or fewer test speakers"
)]
pub struct TooFewSpeakers {
    /// Speakers needed.
    pub needed: usize,
    /// Speakers in the corpus.
    pub found: usize,
    /// Clients asked for.
    pub clients: usize,
    /// Speakers that each needs.
    pub per_client: usize,
    /// Speakers tested on.
    pub test: usize,
}

/// Why a corpus cannot be dealt out as asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PartitionError {
    /// A number of the spec is out of its range.
    #[error("the partition is not possible: {0}")]
    Spec(#[from] OutOfRange),
    /// There are too few speakers.
    #[error(transparent)]
    TooFewSpeakers(#[from] TooFewSpeakers),
    /// A random split has fewer training clips than clients.
    #[error(
        "the random split leaves {found} clips to train on, fewer than its {needed} clients: ask for fewer clients"
    )]
    TooFewClips {
        /// Clips needed.
        needed: usize,
        /// Clips left after the test set.
        found: usize,
    },
    /// What was dealt out is not apart.
    #[error(transparent)]
    Leak(#[from] Leak),
    /// A fold would test on nothing.
    #[error("{found} {what} cannot be cut into {folds} folds: ask for {found} folds at most")]
    TooManyFolds {
        /// Folds asked for.
        folds: usize,
        /// What is cut: speakers, or clips in a random split.
        what: &'static str,
        /// How many of them there are.
        found: usize,
    },
    /// A fold by group leaves out one group, so there are as many folds as groups.
    #[error("leaving out one recording group at a time takes {groups} folds here, one per group, not {folds}")]
    FoldsAreNotGroups {
        /// Folds asked for.
        folds: usize,
        /// Recording groups in the corpus.
        groups: usize,
    },
    /// A fold by group of a corpus without groups.
    #[error("{path} belongs to no recording group, so none can be left out: cut the folds by speaker")]
    NoGroup {
        /// The first clip without one.
        path: String,
    },
    /// A speaker would be trained on and tested on.
    #[error(
        "speaker {speaker} is in the recording groups {groups:?}: leaving one out would still train on the speaker"
    )]
    SpeakerInTwoGroups {
        /// The speaker.
        speaker: String,
        /// Two of its groups.
        groups: [String; 2],
    },
    /// Test speakers that are not there.
    #[error("the corpus has no speakers {names:?} to test on")]
    UnknownSpeakers {
        /// The names, sorted.
        names: Vec<String>,
    },
    /// Test speakers of a split that pays speakers no regard.
    #[error(
        "a random split trains on every speaker and cannot test on speakers given by name: ask for a number or a \
         fraction of them, or split by speaker"
    )]
    NamedInRandomSplit,
}
