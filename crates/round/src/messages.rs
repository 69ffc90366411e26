//! What the engines say to each other around secure aggregation: greeting, config, result, refusal.
use std::num::NonZeroUsize;

use sottovoce_secagg::chunks::{ChunkTree, Owner, chunk_range};
use sottovoce_secagg::{Certificate, MessageCtx};
use sottovoce_types::{AttemptId, Digest, RoundId};
use sottovoce_wire::{Decode, DecodeError, Encode, Kind, Reader};

use crate::audit::ShownChunk;

/// A kind of frame in words for errors.
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Hello => "greeting",
        Kind::Advert => "key advert",
        Kind::Picks => "list of picks",
        Kind::Shares => "share message",
        Kind::MaskedInput => "masked input",
        Kind::SurvivorSignature => "survivor signature",
        Kind::Opening => "opening",
        Kind::Abort => "refusal",
        Kind::WantResult => "request for a result",
        Kind::WantAudit => "request for an audit",
        Kind::Welcome => "welcome",
        Kind::RoundConfig => "round config",
        Kind::Roster => "roster",
        Kind::Graph => "graph",
        Kind::Envelopes => "envelope message",
        Kind::Survivors => "survivor set",
        Kind::SurvivorQuorum => "survivor quorum",
        Kind::Result => "result",
        Kind::Finished => "last model",
        Kind::Audit => "answer to an audit",
    }
}

/// Longest reason that an abort may carry, in bytes.
pub const MAX_REASON: usize = 512;

/// Client → coordinator, first of all: which plan it agreed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// [`crate::RunPlan::digest`].
    pub plan: Digest,
}

/// Coordinator → client: greeted, by this run of this plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Welcome {
    /// [`crate::RunPlan::digest`].
    pub plan: Digest,
    /// The last round and attempt of this run in which the coordinator had this client's masked input; zeros for none. A client whose
    /// own journal does not hold that charge was put back from an old copy.
    pub last_input: (RoundId, AttemptId),
    /// Rounds published so far: a client that has the results of fewer asks for the others.
    pub published: u64,
}

/// Coordinator → client: train from this model under these terms (R0). Both are hashes: what they are of, the client has computed by
/// itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoundConfig {
    /// Hash of θ_t.
    pub model: Digest,
    /// Hash of the terms.
    pub terms: Digest,
    /// The coordinator's, over [`crate::ConfigStatement`].
    pub signature: [u8; 64],
}

/// Coordinator → client: what was opened in a round (R5). The next model follows from it, and each client computes that itself.
#[derive(Clone, PartialEq, Eq)]
pub struct RoundResult {
    /// The attempt that was opened.
    pub attempt: AttemptId,
    /// Whose inputs are in the sum, under a quorum's signatures.
    pub certificate: Certificate,
    /// The sum, `[words]`.
    pub sum: Vec<u64>,
    /// Hash of θ_{t+1}.
    pub model: Digest,
    /// The coordinator's, over [`crate::ResultStatement`].
    pub signature: [u8; 64],
}

// The sum is public, and long.
impl std::fmt::Debug for RoundResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { attempt, certificate, sum, model, .. } = self;
        write!(f, "RoundResult({attempt:?}, {} inputs, {} words, {model})", certificate.inputs.len(), sum.len())
    }
}

impl RoundResult {
    /// A chunk of the sum, with its way to what stands for it; `None` where there is no such chunk.
    pub fn chunk(&self, index: usize) -> Option<ShownChunk> {
        let words = self.sum.get(chunk_range(index, self.sum.len())?)?.to_vec();
        Some(ShownChunk { words, path: ChunkTree::of(Owner::Sum, &self.sum, NonZeroUsize::MIN).path(index)? })
    }

    /// What stands for a sum: the root over its chunks, so that one of them can be shown by itself.
    pub fn sum_digest(sum: &[u64]) -> Digest {
        ChunkTree::of(Owner::Sum, sum, NonZeroUsize::MIN).root()
    }
}

/// Coordinator → client: the run is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finished {
    /// Hash of the last model.
    pub model: Digest,
}

/// Either → other: it leaves this attempt, and why. Never holds data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The reason, at most [`MAX_REASON`] bytes.
    pub reason: String,
}

impl Encode for Hello {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.plan.as_bytes());
    }
}

impl Decode for Hello {
    fn decode((): &(), input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { plan: Digest(input.array()?) })
    }
}

impl Encode for Welcome {
    fn encode(&self, out: &mut Vec<u8>) {
        let (round, attempt) = self.last_input;
        out.extend_from_slice(self.plan.as_bytes());
        out.extend_from_slice(&round.0.to_le_bytes());
        out.extend_from_slice(&attempt.0.to_le_bytes());
        out.extend_from_slice(&self.published.to_le_bytes());
    }
}

impl Decode for Welcome {
    fn decode((): &(), input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let plan = Digest(input.array()?);
        let round = RoundId(u64::from_le_bytes(input.array()?));
        let attempt = AttemptId(u32::from_le_bytes(input.array()?));
        Ok(Self { plan, last_input: (round, attempt), published: u64::from_le_bytes(input.array()?) })
    }
}

impl Encode for RoundConfig {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.model.as_bytes());
        out.extend_from_slice(self.terms.as_bytes());
        out.extend_from_slice(&self.signature);
    }
}

impl Decode for RoundConfig {
    fn decode((): &(), input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { model: Digest(input.array()?), terms: Digest(input.array()?), signature: input.array()? })
    }
}

impl Encode for RoundResult {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.attempt.0.to_le_bytes());
        out.extend_from_slice(self.model.as_bytes());
        out.extend_from_slice(&self.signature);
        self.certificate.encode(out);
        out.reserve(self.sum.len().saturating_mul(8));
        out.extend(self.sum.iter().flat_map(|w| w.to_le_bytes()));
    }
}

impl Decode<MessageCtx> for RoundResult {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            attempt: AttemptId(input.u32()?),
            model: Digest(input.array()?),
            signature: input.array()?,
            certificate: Certificate::decode(ctx, input)?,
            sum: input.words(ctx.words)?,
        })
    }
}

impl Encode for Finished {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.model.as_bytes());
    }
}

impl Decode for Finished {
    fn decode((): &(), input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { model: Digest(input.array()?) })
    }
}

impl Encode for Refusal {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut end = self.reason.len().min(MAX_REASON);
        while !self.reason.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        out.extend_from_slice(self.reason.as_bytes().get(..end).unwrap_or_default());
    }
}

impl Refusal {
    /// Reads a refusal; bytes that are not text become replacement characters, and control characters are dropped, since
    /// a peer's words end in a terminal.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let bytes = bytes.get(..bytes.len().min(MAX_REASON)).unwrap_or_default();
        Self { reason: String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect() }
    }
}
