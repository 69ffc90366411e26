//! Why a corpus cannot be dealt out as asked.
use sottovoce_types::OutOfRange;

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
        /// Clips left after test set and holdout.
        found: usize,
    },
}
