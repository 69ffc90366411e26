//! Who is at fault, and for what. Nothing here carries a secret.
use sottovoce_types::ClientId;

use crate::graph::GraphRefused;

/// What is wrong with an advert, whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdvertFault {
    /// Made for another attempt or configuration.
    #[error("it was made for another configuration or attempt")]
    OtherConfig,
    /// ML-KEM keys where none were agreed on, or none where they were.
    #[error("its keys are of another key agreement than the session's")]
    OtherKeyAgreement,
    /// Commitments to another number of layer seeds than the session has.
    #[error("it commits to another number of layer seeds than the session has")]
    OtherLayers,
    /// A public key that someone on the roster already has.
    #[error("one of its keys is on the roster twice")]
    RepeatedKey,
    /// The signature does not hold under the pinned identity key.
    #[error("its signature does not hold under the pinned identity key")]
    Signature,
    /// An identity that is not pinned.
    #[error("this identity is not a member; members are pinned in the manifest")]
    UnknownIdentity,
    /// A key of low order or in a second encoding.
    #[error("a key has low order or is not canonical")]
    WeakKey,
}

/// Why a client leaves an attempt. Its secrets are wiped; nothing of this attempt may follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Abort {
    /// An advert on the roster does not pass.
    #[error("the advert of {client} was refused: {fault}")]
    Advert {
        /// Whose advert.
        client: ClientId,
        /// What is wrong.
        fault: AdvertFault,
    },
    /// The coordinator's signature over the roster does not hold.
    #[error("the roster is not signed by the pinned coordinator")]
    CoordinatorSignature,
    /// A dealer's signature over its commitments does not hold.
    #[error("the share commitments of {dealer} are not signed by it")]
    DealingSignature {
        /// The dealer.
        dealer: ClientId,
    },
    /// The dealers are not named in ascending order, or one is not on the roster.
    #[error("the list of dealers is not an ascending list of roster positions")]
    DealersMalformed,
    /// An envelope is not the one that its dealer signed.
    #[error("the envelope from {dealer} is not the one that it signed: the coordinator altered it")]
    EnvelopeAltered {
        /// The dealer.
        dealer: ClientId,
    },
    /// The graph of neighbours does not pass.
    #[error(transparent)]
    Graph(#[from] GraphRefused),
    /// The lists of the graph are not in ascending order, or one is by nobody on the roster.
    #[error("the graph is not an ascending list of lists by clients on the roster")]
    GraphMalformed,
    /// Too few honest inputs would be in a sum.
    #[error(
        "only {floor} honest inputs would be guaranteed in a sum of {n} clients with {f} corrupt; at least 2 are needed"
    )]
    HonestFloor {
        /// Clients on the roster.
        n: u32,
        /// Corrupt clients to withstand.
        f: u32,
        /// q − f.
        floor: u32,
    },
    /// The input has another shape than was agreed.
    #[error("the input has {words} words, {expected} were agreed (or its lanes differ)")]
    InputShape {
        /// Words given.
        words: usize,
        /// Words agreed.
        expected: usize,
    },
    /// An input is named that its owner did not sign.
    #[error("the input named for {owner} is not one that it signed: the coordinator put another in its place")]
    InputSignature {
        /// Whose input it is said to be.
        owner: ClientId,
    },
    /// A dealer's ML-KEM ciphertext for the pair's mask is missing or gives another secret than it confirms.
    #[error("the mask ciphertext from {dealer} does not give the secret that it confirms: it is at fault")]
    MaskCiphertext {
        /// At fault: its ciphertexts are under its signature.
        dealer: ClientId,
    },
    /// This identity is not pinned as a member, or is pinned with another key.
    #[error("this identity is not a member of the session; enrol its key in the manifest")]
    NotAMember,
    /// The coordinator left this client out of the survivor set.
    #[error("this client's input is not in the survivor set")]
    NotASurvivor,
    /// What was checked elsewhere was checked for another attempt or under other terms.
    #[error("this was checked for another attempt, or under other terms than this client's")]
    OtherSession,
    /// This client's advert is missing from the roster or changed.
    #[error("this client's advert is missing from the roster or was altered")]
    OwnAdvertAltered,
    /// This client's shares are missing or changed.
    #[error("this client's share commitments are missing or were altered")]
    OwnDealingAltered,
    /// This client's masked input is not the one that the coordinator names.
    #[error("the coordinator names another input for this client than the one it sent")]
    OwnInputAltered,
    /// A picker's signature over its list does not hold.
    #[error("the list of neighbours of {picker} is not signed by it")]
    PicksSignature {
        /// The picker.
        picker: ClientId,
    },
    /// A suite without masks where masks are required.
    #[error("the session asks for no masks; only a simulated control may do that")]
    PlainRefused,
    /// A suite for simulations where a deployment's is required.
    #[error(
        "the session asks for ChaCha8 masks, which are for simulations: agree on aes-256-ctr, chacha20 or aes-128-ctr"
    )]
    SuiteRefused,
    /// The signatures over the survivor set are not in ascending order, or one is by a client outside it.
    #[error("the quorum holds a signature out of order or by a client outside the survivor set")]
    QuorumMalformed,
    /// A signature in the quorum does not hold for the survivor set that this client signed.
    #[error("the signature of {signer} is not over the survivor set that this client signed: views were split")]
    QuorumSignature {
        /// The signer.
        signer: ClientId,
    },
    /// Fewer signatures than a quorum.
    #[error("{have} signatures over the survivor set, {need} are needed")]
    QuorumTooSmall {
        /// Signatures shown.
        have: u32,
        /// q.
        need: u32,
    },
    /// The generator repeats itself.
    #[error("the random number generator is broken (constant output); no key was made")]
    RandomnessFailed,
    /// The roster is not in ascending order of client id, or too long.
    #[error("the roster is not an ascending list of members")]
    RosterMalformed,
    /// Fewer clients on the roster than agreed.
    #[error("{n} clients on the roster, at least {n_min} were agreed")]
    RosterTooSmall {
        /// Clients on the roster.
        n: u32,
        /// Fewest agreed.
        n_min: u32,
    },
    /// A survivor is named who dealt no shares, or the list is not ascending.
    #[error("the survivor set is not an ascending list of clients that dealt shares")]
    SurvivorsMalformed,
    /// Too few clients dealt shares.
    #[error("{have} clients dealt shares, {need} are needed")]
    TooFewDealers {
        /// Dealers.
        have: u32,
        /// max(q, n_min).
        need: u32,
    },
    /// Too few clients picked neighbours.
    #[error("{have} clients picked neighbours, {need} are needed")]
    TooFewPickers {
        /// Lists shown.
        have: u32,
        /// max(q, n_min).
        need: u32,
    },
    /// Too few survivors.
    #[error("{have} survivors, {need} are needed")]
    TooFewSurvivors {
        /// |U3|.
        have: u32,
        /// q.
        need: u32,
    },
}

impl Abort {
    /// The number of this reason on the wire.
    pub fn code(&self) -> u8 {
        match self {
            Self::Advert { .. } => 1,
            Self::CoordinatorSignature => 2,
            Self::DealingSignature { .. } => 3,
            Self::DealersMalformed => 4,
            Self::EnvelopeAltered { .. } => 5,
            Self::HonestFloor { .. } => 6,
            Self::InputShape { .. } => 7,
            Self::NotAMember => 8,
            Self::NotASurvivor => 9,
            Self::OwnAdvertAltered => 10,
            Self::OwnDealingAltered => 11,
            Self::OwnInputAltered => 12,
            Self::PlainRefused => 13,
            Self::QuorumMalformed => 14,
            Self::QuorumSignature { .. } => 15,
            Self::QuorumTooSmall { .. } => 16,
            Self::RandomnessFailed => 17,
            Self::RosterMalformed => 18,
            Self::RosterTooSmall { .. } => 19,
            Self::SurvivorsMalformed => 20,
            Self::TooFewDealers { .. } => 21,
            Self::TooFewSurvivors { .. } => 22,
            Self::SuiteRefused => 23,
            Self::Graph(_) => 24,
            Self::GraphMalformed => 25,
            Self::OtherSession => 26,
            Self::PicksSignature { .. } => 27,
            Self::TooFewPickers { .. } => 28,
            Self::InputSignature { .. } => 29,
            Self::MaskCiphertext { .. } => 30,
        }
    }

    /// The client whose message is at fault; `None` when it is the coordinator's (or this party's own set-up).
    pub fn about(&self) -> Option<ClientId> {
        match self {
            Self::Advert { client, .. } => Some(*client),
            Self::DealingSignature { dealer } | Self::MaskCiphertext { dealer } => Some(*dealer),
            Self::PicksSignature { picker } | Self::Graph(GraphRefused::Malformed { picker, .. }) => Some(*picker),
            _ => None,
        }
    }
}

/// Why the coordinator refuses a message of a client. Its own state is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerFault {
    /// An advert does not pass.
    #[error("{client}: advert refused: {fault}")]
    Advert {
        /// The sender.
        client: ClientId,
        /// What is wrong.
        fault: AdvertFault,
    },
    /// An envelope is not the one whose hash the dealer signed.
    #[error("{client}: an envelope does not have the hash that it signed")]
    EnvelopeHash {
        /// The dealer.
        client: ClientId,
    },
    /// An opened share contradicts the dealer's commitment.
    #[error("{client}: the share it opened for {dealer} is not the one that {dealer} committed to")]
    WrongShare {
        /// Who opened it: at fault.
        client: ClientId,
        /// Whose secret it is a share of.
        dealer: ClientId,
    },
    /// Its own seed of a surplus layer is not the one that it committed to.
    #[error(
        "{client}: the seed that it revealed for its layer {layer} is not the one that it committed to in its advert"
    )]
    WrongLayerSeed {
        /// At fault.
        client: ClientId,
        /// The layer.
        layer: u32,
    },
    /// A list of picks that is not k ascending positions of others.
    #[error("{client}: its list is not {k} ascending positions of other clients on the roster")]
    Picks {
        /// The picker.
        client: ClientId,
        /// k.
        k: u32,
    },
    /// A second message of the same kind.
    #[error("{client}: a second message of the same kind in one attempt")]
    Repeated {
        /// The sender.
        client: ClientId,
    },
    /// Counts or lengths that do not fit this attempt.
    #[error("{client}: the message does not have the shape of this attempt")]
    Shape {
        /// The sender.
        client: ClientId,
    },
    /// A signature that does not hold.
    #[error("{client}: the signature does not hold for what this attempt agreed on")]
    Signature {
        /// The sender.
        client: ClientId,
    },
    /// A client that takes no part in this phase.
    #[error("{client}: takes no part in this phase of the attempt")]
    Stranger {
        /// The sender.
        client: ClientId,
    },
}

impl PeerFault {
    /// The client at fault.
    pub fn client(&self) -> ClientId {
        match self {
            Self::Advert { client, .. }
            | Self::EnvelopeHash { client }
            | Self::Picks { client, .. }
            | Self::WrongShare { client, .. }
            | Self::WrongLayerSeed { client, .. }
            | Self::Repeated { client }
            | Self::Shape { client }
            | Self::Signature { client }
            | Self::Stranger { client } => *client,
        }
    }
}

/// The phases of the coordinator, by what they collect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Adverts (R0).
    Adverts,
    /// Lists of picks (R0″), where the graph is sparse.
    Picks,
    /// Shares (R1).
    Shares,
    /// Masked inputs (R2).
    Inputs,
    /// Signatures over the survivor set (R3).
    Signatures,
    /// Openings (R4).
    Openings,
}

/// Too few clients are left to go on; nothing was revealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{have} clients at the end of the phase {phase:?}, {need} are needed: nothing was revealed, try again with more"
)]
pub struct QuorumLost {
    /// The phase that ended.
    pub phase: Phase,
    /// Clients whose message arrived.
    pub have: u32,
    /// Clients needed.
    pub need: u32,
}

/// Why a phase cannot be closed into the next. Nothing was revealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseFailed {
    /// Too few clients are left.
    #[error(transparent)]
    Lost(#[from] QuorumLost),
    /// The graph does not pass, or clients in it are starved: what they masked could not be taken off.
    #[error("{0}: nothing was revealed, try again")]
    Graph(#[from] GraphRefused),
}

/// What a dealer did that only shows when its secret is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DealerFault {
    /// Its shares give a secret that is not the one behind its mask keys.
    MaskKey,
    /// Its ciphertext to a peer does not give the secret that it confirmed, or is not the one that its own secret makes.
    MaskCiphertext,
    /// Its shares give a seed that is not the one it committed to.
    SelfMask,
    /// Its shares give another seed of this layer than it committed to, and it did not reveal it itself.
    LayerSeed(u32),
}

/// A dealer that committed to shares of another secret for some holders. Enough others had shares of the right one: the sum is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoiltShares {
    /// Who dealt them.
    pub dealer: ClientId,
    /// Who got them, and opened them as they came.
    pub holders: Vec<ClientId>,
}

/// Why a sum cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenFailed {
    /// All shares match a dealer's commitments and still give the wrong secret: the dealer is at fault.
    #[error("the shares that {dealer} dealt and committed to do not give its own secret ({fault:?}): it is at fault")]
    Dealer {
        /// At fault.
        dealer: ClientId,
        /// What does not match.
        fault: DealerFault,
    },
    /// Too few shares of a dealer's secret are left: holders are gone, or complained about its envelopes.
    #[error(
        "{have} shares of a secret of {dealer}, {need} are needed: the other holders are gone or could not open its envelopes"
    )]
    SharesMissing {
        /// The dealer.
        dealer: ClientId,
        /// Shares.
        have: u32,
        /// t.
        need: u32,
    },
    /// Fewer openings than the threshold.
    #[error("{have} openings, {need} are needed")]
    TooFewOpenings {
        /// Openings.
        have: u32,
        /// t.
        need: u32,
    },
}

/// A holder said, under its signature, that a dealer's envelope was unusable. One of the two is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Who complains.
    pub holder: ClientId,
    /// About whom.
    pub dealer: ClientId,
}
