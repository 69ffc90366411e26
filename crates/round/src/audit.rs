//! R5, the audit of a sum: what a client asks for, what a coordinator shows, and what it keeps for that.
//!
//! A coordinator keeps the masked inputs of the last [`KEPT_ROUNDS`] published rounds, with what opened them. It shows them a few
//! chunks at a time, so that its memory does not grow with the clients or the model. What it shows, it had: the inputs as they
//! came, and of each dealer the one secret that the opening gave ([`Revealed`]).
use bytes::Bytes;
use sottovoce_secagg::chunks::CHUNK_WORDS;
use sottovoce_secagg::{BadSignature, Identity, MessageCtx, Revealed, labels, verify};
use sottovoce_types::{AttemptId, ClientId, Digest, RoundId};
use sottovoce_wire::{CHUNKS_AT_ONCE, Decode, DecodeError, Encode, Reader, put_u32};

use crate::journal::{Journal, JournalError};
use crate::manifest::PublicKey;

/// Published rounds whose masked inputs are kept. Two: a client audits one round while the next is under way.
pub const KEPT_ROUNDS: u64 = 2;

/// Longest path of a chunk.
const MAX_PATH: usize = 64;

/// Client → coordinator: a part of what shows that the sum of the frame's round is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuditRequest {
    /// What opened the sum.
    Openings,
    /// A chunk of the masked inputs, of some contributors.
    Chunks {
        /// Which chunk.
        chunk: u32,
        /// The first contributor, by its place in roster order among them.
        from: u32,
    },
}

/// Coordinator → client: what was asked for, or that it is not shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuditReply {
    /// It has them no longer, or never kept them.
    Refused,
    /// What opened the sum.
    Openings(Box<SignedOpenings>),
    /// From the contributor asked for on, as many as fit.
    Chunks(Vec<ShownChunk>),
}

/// What opened a sum, under the coordinator's signature: whoever computes another sum from it can show others that it did not say this
/// by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedOpenings {
    /// Adverts and secrets.
    pub revealed: Revealed,
    /// The coordinator's, over ctx3 and the above.
    pub signature: [u8; 64],
}

impl SignedOpenings {
    /// Signs what opened the sum of `ctx3`.
    pub fn by(revealed: Revealed, ctx3: &Digest, id: &Identity) -> Self {
        let signature = id.sign(labels::AUDIT, signed(&revealed, ctx3).as_bytes());
        Self { revealed, signature }
    }

    /// Checks that the coordinator says that this opened the sum of `ctx3`.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, ctx3: &Digest, coordinator: PublicKey) -> Result<(), BadSignature> {
        verify(&coordinator.0, labels::AUDIT, signed(&self.revealed, ctx3).as_bytes(), &self.signature)
    }
}

fn signed(revealed: &Revealed, ctx3: &Digest) -> Digest {
    labels::AUDIT.hasher().field(ctx3.as_bytes()).field(&revealed.to_bytes()).finish()
}

/// One chunk and its way to the root.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownChunk {
    /// Its words, at most [`CHUNK_WORDS`].
    pub words: Vec<u64>,
    /// Its neighbours on the way, lowest first.
    pub path: Vec<Digest>,
}

// A masked input is nothing for a log.
impl std::fmt::Debug for ShownChunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ShownChunk({} words)", self.words.len())
    }
}

/// What a coordinator keeps for audits, besides its journal: written before the entries that follow from it, but not
/// synced. What a power cut takes of it cannot be audited any more, and nothing else depends on it.
#[derive(Clone, PartialEq, Eq)]
pub enum Keep {
    /// A masked input that was taken. With the first of an attempt, those of earlier attempts at its round go.
    Input {
        /// The round.
        round: RoundId,
        /// The attempt.
        attempt: AttemptId,
        /// Whose.
        client: ClientId,
        /// Its words, little-endian.
        words: Bytes,
        /// Its leaves, one a chunk.
        leaves: Vec<Digest>,
    },
    /// The round was published. Those of rounds before the last [`KEPT_ROUNDS`] go.
    Round {
        /// The round.
        round: RoundId,
        /// What opened it.
        kept: KeptRound,
    },
}

impl std::fmt::Debug for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input { round, attempt, client, .. } => write!(f, "Keep::Input({round:?}, {attempt:?}, {client:?})"),
            Self::Round { round, .. } => write!(f, "Keep::Round({round:?})"),
        }
    }
}

/// What is kept of a published round beside the inputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptRound {
    /// The attempt that was opened.
    pub attempt: AttemptId,
    /// Whose inputs are in the sum, in roster order.
    pub contributors: Vec<ClientId>,
    /// The encoding of [`SignedOpenings`].
    pub openings: Bytes,
}

/// The encoded answer to a request, read from what a journal keeps: at most [`CHUNKS_AT_ONCE`] chunks in memory.
///
/// # Errors
/// Those of the journal.
pub fn audit_answer(journal: &dyn Journal, round: RoundId, request: AuditRequest) -> Result<Bytes, JournalError> {
    let Some(kept) = journal.kept_round(round)? else { return Ok(AuditReply::Refused.to_bytes().into()) };
    let (chunk, from) = match request {
        AuditRequest::Openings => {
            let mut out = vec![OPENINGS];
            out.extend_from_slice(&kept.openings);
            return Ok(out.into());
        }
        AuditRequest::Chunks { chunk, from } => (chunk, usize::try_from(from).unwrap_or(usize::MAX)),
    };
    let mut shown = Vec::new();
    for client in kept.contributors.iter().skip(from).take(CHUNKS_AT_ONCE) {
        let Some(chunk) = journal.kept_chunk(round, kept.attempt, *client, chunk)? else {
            return Ok(AuditReply::Refused.to_bytes().into());
        };
        shown.push(chunk);
    }
    let reply = if shown.is_empty() { AuditReply::Refused } else { AuditReply::Chunks(shown) };
    Ok(reply.to_bytes().into())
}

const REFUSED: u8 = 0;
const OPENINGS: u8 = 1;
const CHUNKS: u8 = 2;

impl Encode for AuditRequest {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Openings => out.push(OPENINGS),
            Self::Chunks { chunk, from } => {
                out.push(CHUNKS);
                put_u32(out, *chunk);
                put_u32(out, *from);
            }
        }
    }
}

impl Decode for AuditRequest {
    fn decode((): &(), input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match input.u8()? {
            OPENINGS => Ok(Self::Openings),
            CHUNKS => Ok(Self::Chunks { chunk: input.u32()?, from: input.u32()? }),
            _ => Err(DecodeError::Invalid { what: "request for an audit" }),
        }
    }
}

impl Encode for SignedOpenings {
    fn encode(&self, out: &mut Vec<u8>) {
        self.revealed.encode(out);
        out.extend_from_slice(&self.signature);
    }
}

impl Decode<MessageCtx> for SignedOpenings {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { revealed: Revealed::decode(ctx, input)?, signature: input.array()? })
    }
}

impl Encode for ShownChunk {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, u32::try_from(self.words.len()).expect("a chunk is short"));
        out.extend(self.words.iter().flat_map(|w| w.to_le_bytes()));
        put_u32(out, u32::try_from(self.path.len()).expect("a path is short"));
        self.path.iter().for_each(|node| node.encode(out));
    }
}

impl Decode<MessageCtx> for ShownChunk {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let words = input.count("words of a chunk", CHUNK_WORDS)?;
        let words = input.words(words)?;
        Ok(Self { words, path: input.list("path of a chunk", MAX_PATH, |r| Digest::decode(ctx, r))? })
    }
}

impl Encode for AuditReply {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Refused => out.push(REFUSED),
            Self::Openings(openings) => {
                out.push(OPENINGS);
                openings.encode(out);
            }
            Self::Chunks(shown) => {
                out.push(CHUNKS);
                put_u32(out, u32::try_from(shown.len()).expect("a handful"));
                for chunk in shown {
                    chunk.encode(out);
                }
            }
        }
    }
}

impl Decode<MessageCtx> for AuditReply {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match input.u8()? {
            REFUSED => Ok(Self::Refused),
            OPENINGS => Ok(Self::Openings(Box::new(SignedOpenings::decode(ctx, input)?))),
            CHUNKS => {
                let shown = input.list("chunks", CHUNKS_AT_ONCE, |r| ShownChunk::decode(ctx, r))?;
                Ok(Self::Chunks(shown))
            }
            _ => Err(DecodeError::Invalid { what: "answer to an audit" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use sottovoce_secagg::graph::Degrees;

    use super::*;

    #[test]
    fn requests_and_answers_come_back_and_what_is_none_does_not() {
        let ctx = MessageCtx { n: 3, words: 3, degrees: Degrees::complete(3), hybrid: false, layers: 0 };
        for request in [AuditRequest::Openings, AuditRequest::Chunks { chunk: 3, from: 9 }] {
            assert_eq!(AuditRequest::decode_exact(&(), &request.to_bytes()), Ok(request));
        }
        let chunk = ShownChunk { words: vec![1, 2, u64::MAX], path: vec![Digest([3; 32]); 2] };
        let reply = AuditReply::Chunks(vec![chunk.clone(); CHUNKS_AT_ONCE]);
        assert_eq!(AuditReply::decode_exact(&ctx, &reply.to_bytes()), Ok(reply));
        assert_eq!(AuditReply::decode_exact(&ctx, &[REFUSED]), Ok(AuditReply::Refused));
        assert!(
            AuditReply::decode_exact(&ctx, &AuditReply::Chunks(vec![chunk; CHUNKS_AT_ONCE + 1]).to_bytes()).is_err()
        );
        let long = ShownChunk { words: vec![0; CHUNK_WORDS + 1], path: Vec::new() };
        assert!(AuditReply::decode_exact(&ctx, &AuditReply::Chunks(vec![long]).to_bytes()).is_err());
        let deep = ShownChunk { words: Vec::new(), path: vec![Digest::default(); MAX_PATH + 1] };
        assert!(AuditReply::decode_exact(&ctx, &AuditReply::Chunks(vec![deep]).to_bytes()).is_err());
        for tag in [3, 255] {
            assert!(
                AuditReply::decode_exact(&ctx, &[tag]).is_err() && AuditRequest::decode_exact(&(), &[tag]).is_err()
            );
        }
    }
}
