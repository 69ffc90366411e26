//! Scripted faults: which client vanishes when, and whether it comes back.
use sottovoce_types::RoundId;
use sottovoce_wire::Kind;

/// The last thing that a client does in a round before it vanishes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DropAfter {
    /// It receives the config and nothing of it is heard again.
    Config,
    /// Its keys are advertised.
    Advert,
    /// On a sparse graph: it has picked its neighbours.
    Picks,
    /// Its shares are out.
    Shares,
    /// Its masked input is in: the sum will hold it, though it is gone.
    Input,
    /// It has signed the survivor set, but opens nothing.
    Signature,
}

impl DropAfter {
    /// Every phase of the complete graph.
    pub const ALL: [Self; 5] = [Self::Config, Self::Advert, Self::Shares, Self::Input, Self::Signature];

    pub(crate) fn kind(self) -> Option<Kind> {
        match self {
            Self::Config => None,
            Self::Advert => Some(Kind::Advert),
            Self::Picks => Some(Kind::Picks),
            Self::Shares => Some(Kind::Shares),
            Self::Input => Some(Kind::MaskedInput),
            Self::Signature => Some(Kind::SurvivorSignature),
        }
    }
}

/// One client vanishing in one round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dropout {
    /// Which client, by its place in the simulation.
    pub client: usize,
    /// In which round (first attempt that reaches the phase).
    pub round: RoundId,
    /// After what.
    pub after: DropAfter,
    /// Whether it connects again after this many milliseconds.
    pub back_after_ms: Option<u64>,
}

/// What goes wrong in a simulation.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Dropouts, each happening once.
    pub dropouts: Vec<Dropout>,
    /// Clients that come back from a dropout as a new process, which knows no more than its journal.
    pub forgetful: Vec<usize>,
    /// The coordinator is killed as soon as its journal holds so many entries, and started again from it: before anything that
    /// waited for the last of them has left. In rising order.
    pub kills: Vec<usize>,
}
