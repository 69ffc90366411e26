//! Whose fault it is: a peer's, the coordinator's, or the journal's.
use sottovoce_secagg::{Abort, CertificateRefused, RevealedRefused};
use sottovoce_types::{ClientId, Digest};
use sottovoce_wire::DecodeError;

/// A client broke the protocol. The driver closes its connection; the round goes on without it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerFault {
    /// It agreed to another plan.
    #[error("client {client} runs another plan ({theirs}, here {ours}): the configs or manifests differ")]
    DifferentPlan {
        /// Who.
        client: ClientId,
        /// Its plan.
        theirs: Digest,
        /// The coordinator's plan.
        ours: Digest,
    },
    /// It is no member.
    #[error("client {0} is not in the manifest")]
    NotAMember(ClientId),
    /// It spoke before greeting.
    #[error("client {0} sent a {1} before its greeting")]
    NotGreeted(ClientId, &'static str),
    /// A frame of another run, or of an attempt that has not begun.
    #[error("client {0} sent a {1} of another run or a future attempt")]
    WrongAttempt(ClientId, &'static str),
    /// A frame that only a coordinator sends.
    #[error("client {0} sent a {1}, which only a coordinator sends")]
    WrongRole(ClientId, &'static str),
    /// Bytes that are not the message they claim to be.
    #[error("client {client} sent a malformed {what}")]
    Malformed {
        /// Who.
        client: ClientId,
        /// Which message.
        what: &'static str,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// A message that fails a check of secure aggregation.
    #[error(transparent)]
    SecAgg(#[from] sottovoce_secagg::PeerFault),
}

/// The coordinator broke the protocol, or asked for what this client never does. The client leaves the attempt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolFault {
    /// It runs another plan.
    #[error(
        "the coordinator runs another plan ({theirs}, here {ours}): compare the configs and manifests of both sides"
    )]
    DifferentPlan {
        /// Its plan.
        theirs: Digest,
        /// The client's plan.
        ours: Digest,
    },
    /// It changed the run under way.
    #[error("the coordinator sent a {0} of another run than the one it greeted with")]
    WrongRun(&'static str),
    /// A message that does not fit the client's state: among them a second survivor set, and any replay.
    #[error("the coordinator sent a {what} that does not fit: {state}")]
    Unexpected {
        /// Which message.
        what: &'static str,
        /// What the client was doing.
        state: &'static str,
    },
    /// An attempt that this client already took part in, or an older one.
    #[error(
        "the coordinator asked again for round {round} attempt {attempt}: at most one survivor set per attempt, ever"
    )]
    AttemptReplayed {
        /// Round.
        round: u64,
        /// Attempt.
        attempt: u32,
    },
    /// The coordinator has an input of this site that its journal knows nothing of: the journal is an old copy, or the coordinator lies,
    /// which costs nothing but this run.
    #[error(
        "the coordinator says that it had this site's input in round {round} attempt {attempt}, which this site's journal does not hold: its state was put back from an old copy, and its ledger forgot what was spent. Restore the newest state, or take up a new state directory and count the old budget as spent"
    )]
    RolledBack {
        /// Round.
        round: u64,
        /// Attempt.
        attempt: u32,
    },
    /// A round beyond the plan.
    #[error("the coordinator asked for round {round}, the plan has {rounds}")]
    BeyondPlan {
        /// Round.
        round: u64,
        /// Rounds of the plan.
        rounds: u64,
    },
    /// More attempts at one round than the plan allows: each shows the coordinator other picks and other survivors to choose from.
    #[error("the coordinator asked for attempt {attempt} at round {round}, the plan allows {max_attempts} a round")]
    BeyondAttempts {
        /// The round.
        round: u64,
        /// The attempt that was named.
        attempt: u32,
        /// Most a round.
        max_attempts: u32,
    },
    /// The config is not signed by the pinned coordinator.
    #[error("the round's config is not signed by the coordinator of the manifest")]
    ConfigSignature,
    /// The model is not the one that must follow.
    #[error("the coordinator names model {found} where {expected} must follow")]
    WrongModel {
        /// What must follow.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// Terms that do not follow from what was opened.
    #[error(
        "the coordinator names terms {found} where {expected} must follow: another clipping norm or control variate"
    )]
    WrongTerms {
        /// What must follow.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// A round that is over.
    #[error("the coordinator asked for round {round} after announcing the results of {have} rounds")]
    RoundRepeated {
        /// Rounds whose results this client has.
        have: u64,
        /// The round that was named.
        round: u64,
    },
    /// A result without the signatures that it needs.
    #[error("the result of round {round} is not certified")]
    ResultCertificate {
        /// The round.
        round: u64,
        /// Why.
        #[source]
        source: CertificateRefused,
    },
    /// A result that the coordinator did not sign.
    #[error("the result of round {0} is not signed by the coordinator of the manifest")]
    ResultSignature(u64),
    /// A result that this client took part in, over another survivor set than it opened.
    #[error(
        "the result of round {round} is over another survivor set than the one that this site opened its shares for"
    )]
    ResultOverOthers {
        /// The round.
        round: u64,
    },
    /// A sum that cannot be audited. This site takes no part before it can.
    #[error(
        "the coordinator does not show the inputs of round {round}, so that its sum cannot be audited: this site takes no part on a sum that it may not check"
    )]
    AuditRefused {
        /// The round.
        round: u64,
    },
    /// What opened a sum is shown without the coordinator's signature.
    #[error("what opened the sum of round {0} is not signed by the coordinator of the manifest")]
    AuditSignature(u64),
    /// What is shown did not open the sum.
    #[error("what the coordinator shows for the audit of round {round} did not open its sum")]
    AuditOpenings {
        /// The round.
        round: u64,
        /// Why.
        #[source]
        source: RevealedRefused,
    },
    /// A chunk of an input that its owner did not sign.
    #[error(
        "the coordinator shows a chunk of {client}'s input in round {round} that is not under the root which {client} signed"
    )]
    AuditChunk {
        /// The round.
        round: u64,
        /// Whose input.
        client: ClientId,
    },
    /// A sum that is not that of the inputs.
    #[error(
        "the sum of round {round} is not the sum of the inputs that were signed: evidence against the coordinator was kept"
    )]
    FalseSum {
        /// The round.
        round: u64,
    },
    /// Two results of one round.
    #[error("the coordinator announced two results of round {round}: evidence against it was kept")]
    TwoResults {
        /// The round.
        round: u64,
    },
    /// A result from which no finite model follows.
    #[error("no finite model follows from the result of round {0}")]
    Diverged(u64),
    /// Bytes that are not the message they claim to be.
    #[error("the coordinator sent a malformed {what}")]
    Malformed {
        /// Which message.
        what: &'static str,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// A message that fails a check of secure aggregation.
    #[error(transparent)]
    SecAgg(#[from] Abort),
    /// Clipping, quantising or noise failed here: a bug or broken data of this site, never sent on.
    #[error("this site's update could not be made private")]
    Privatise(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A coordinator cannot go on from its journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The journal belongs to another plan.
    #[error(
        "the journal is of plan {theirs}, the config makes plan {ours}: resume with the config that began the run, or choose another state directory"
    )]
    DifferentPlan {
        /// The journal's plan.
        theirs: Digest,
        /// The config's plan.
        ours: Digest,
    },
    /// The model at hand is not the one that the journal published last.
    #[error("the journal's last model is {expected}, the checkpoint given is {found}")]
    WrongModel {
        /// Last published.
        expected: Digest,
        /// Given.
        found: Digest,
    },
    /// What the server carries beside the model is not what the journal published with it.
    #[error("the journal's last server state is {expected:?}, the one given is {found:?}")]
    WrongState {
        /// Last published.
        expected: Option<Digest>,
        /// Given.
        found: Option<Digest>,
    },
    /// The server's state does not belong to the model or to the plan's optimiser.
    #[error("the server's state cannot be gone on from")]
    State(#[from] crate::server::ServerStateError),
    /// The ledger in the journal contradicts itself.
    #[error("the journal's privacy ledger cannot be replayed")]
    Ledger(#[from] sottovoce_dp::LedgerError),
    /// Nothing was begun.
    #[error("the journal holds no run")]
    Empty,
}
