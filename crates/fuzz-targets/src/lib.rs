//! What each fuzz target does with its bytes. Every decoder that reads what somebody else wrote has one: frames, messages of secure
//! aggregation and of rounds, transcripts, rows of journals, certificates, manifests, statements.
//!
//! `fuzz/fuzz_targets/` calls [`run`] under libFuzzer (`cargo +nightly fuzz run NAME`, from the root of the repository);
//! `tests/replay.rs` calls the same on the committed corpus and on deterministic mutations of it, in every test run. A target
//! panics where a decoder breaks its promise: never a panic, one encoding a message, no more than was declared.
mod files;

use std::collections::BTreeMap;
use std::sync::Arc;

use sottovoce_round::{
    AuditReply, AuditRequest, Finished, Hello, Refusal, RoundConfig, RoundResult, ShownChunk, SignedOpenings, Welcome,
};
use sottovoce_secagg::chunks::{Owner, root_of_chunk};
use sottovoce_secagg::graph::{Degrees, MaskGraph, PicksMsg};
use sottovoce_secagg::{
    AbortMsg, AdvertMsg, Certificate, EnvelopesMsg, GraphMsg, KeyAgreement, MaskSuite, MaskedInputMsg, MessageCtx,
    OpeningMsg, Revealed, RosterMsg, Session, SharesMsg, SurvivorQuorumMsg, SurvivorSignatureMsg, SurvivorsMsg,
};
use sottovoce_types::{Digest, Lanes};
use sottovoce_wire::{Decode, Encode, FrameReader, Limits};

/// Most clients in the sessions of the targets.
pub const CLIENTS: usize = 6;
/// Words of an input in the sessions of the targets.
pub const WORDS: usize = 16;

/// Whether the bytes were accepted as what the target reads.
pub type Accepted = bool;

/// The name of a target and what it does.
pub type Target = (&'static str, fn(&[u8]) -> Accepted);

/// All targets, by name.
pub const TARGETS: &[Target] = &[
    ("audit_chunk", audit_chunk),
    ("audit_openings", |bytes| message::<SignedOpenings, _>(&ctx(), bytes)),
    ("audit_reply", |bytes| message::<AuditReply, _>(&ctx(), bytes)),
    ("audit_request", |bytes| message::<AuditRequest, ()>(&(), bytes)),
    ("audit_revealed", audit_revealed),
    ("certificate", certificate),
    ("evidence", files::evidence),
    ("join_request", files::join_request),
    ("journal_row", files::journal_row),
    ("ledger_row", files::ledger_row),
    ("manifest", files::manifest),
    ("round_config", |bytes| message::<RoundConfig, ()>(&(), bytes)),
    ("round_finished", |bytes| message::<Finished, ()>(&(), bytes)),
    ("round_hello", |bytes| message::<Hello, ()>(&(), bytes)),
    ("round_refusal", refusal),
    ("round_result", |bytes| message::<RoundResult, _>(&ctx(), bytes)),
    ("round_welcome", |bytes| message::<Welcome, ()>(&(), bytes)),
    ("secagg_abort", |bytes| message::<AbortMsg, _>(&ctx(), bytes)),
    ("secagg_advert", layered::<AdvertMsg>),
    ("secagg_envelopes", layered::<EnvelopesMsg>),
    ("secagg_graph", |bytes| message::<GraphMsg, _>(&ctx(), bytes)),
    ("secagg_masked_input", |bytes| message::<MaskedInputMsg, _>(&ctx(), bytes)),
    ("secagg_opening", layered::<OpeningMsg>),
    ("secagg_picks", |bytes| message::<PicksMsg, _>(&ctx(), bytes)),
    ("secagg_roster", layered::<RosterMsg>),
    ("secagg_shares", layered::<SharesMsg>),
    ("secagg_survivor_quorum", |bytes| message::<SurvivorQuorumMsg, _>(&ctx(), bytes)),
    ("secagg_survivor_signature", |bytes| message::<SurvivorSignatureMsg, _>(&ctx(), bytes)),
    ("secagg_survivors", |bytes| message::<SurvivorsMsg, _>(&ctx(), bytes)),
    ("transcript", files::transcript),
    ("wire_frames", wire_frames),
    ("witness", files::witness),
];

/// Runs the target of this name.
///
/// # Panics
/// Where a decoder breaks its promise, and when there is no target of this name.
pub fn run(name: &str, bytes: &[u8]) -> Accepted {
    let (_, target) = TARGETS.iter().find(|(n, _)| *n == name).expect("a target of this name");
    target(bytes)
}

/// What messages of secure aggregation are decoded with here.
pub fn ctx() -> MessageCtx {
    MessageCtx {
        n: CLIENTS,
        words: WORDS,
        degrees: Degrees { picks: 4, holders: CLIENTS, dealers: CLIENTS },
        hybrid: false,
        layers: 0,
    }
}

/// A message that decodes has these bytes as its one encoding.
fn message<M: Encode + Decode<C>, C>(ctx: &C, bytes: &[u8]) -> Accepted {
    let Ok(message) = M::decode_exact(ctx, bytes) else { return false };
    assert!(message.to_bytes() == bytes, "a message has two encodings");
    true
}

/// The same in a session without layers of noise and in one with two, whose messages are longer: what is one of the first is none of the second.
fn layered<M: Encode + Decode<MessageCtx>>(bytes: &[u8]) -> Accepted {
    let plain = message::<M, _>(&ctx(), bytes);
    let layers = message::<M, _>(&MessageCtx { layers: 2, ..ctx() }, bytes);
    plain || layers
}

/// A certificate decodes to one encoding, and checking it against a session never panics, whatever it says.
fn certificate(bytes: &[u8]) -> Accepted {
    if !message::<Certificate, _>(&ctx(), bytes) {
        return false;
    }
    let certificate = Certificate::decode_exact(&ctx(), bytes).expect("it decoded a moment ago");
    // A session in which everyone on its roster is a member, so that all checks are reached.
    let members = certificate.roster.iter().map(|client| (*client, client.0)).collect::<BTreeMap<_, _>>();
    let session = Session {
        cfg: Digest::default(),
        coordinator: [1; 32],
        members: Arc::new(members),
        n_min: 2,
        max_corrupt: 0,
        lanes: Lanes::new(2).expect("1 to 6"),
        words: WORDS,
        graph: MaskGraph::Complete,
        suite: MaskSuite::Aes256Ctr,
        key_agreement: KeyAgreement::X25519,
        layers: None,
        allow_plain: false,
    };
    // No identity's key is its own id: nothing that arrives here is signed.
    assert!(certificate.verify(&session).is_err(), "a certificate passed under keys that signed nothing");
    true
}

/// What opened a sum, in either key agreement. One of them reads it at most: with ML-KEM, adverts are longer.
fn audit_revealed(bytes: &[u8]) -> Accepted {
    let plain = message::<Revealed, _>(&ctx(), bytes);
    let hybrid = message::<Revealed, _>(&MessageCtx { hybrid: true, ..ctx() }, bytes);
    assert!(!(plain && hybrid) || bytes.starts_with(&[0; 4]), "adverts are read in both key agreements");
    plain || hybrid
}

/// A chunk that somebody shows, wherever in a vector it is said to stand: it has a root or none, and never panics.
fn audit_chunk(bytes: &[u8]) -> Accepted {
    if !message::<ShownChunk, _>(&ctx(), bytes) {
        return false;
    }
    let chunk = ShownChunk::decode_exact(&ctx(), bytes).expect("it decoded a moment ago");
    for total in [0, 1, WORDS, chunk.words.len(), usize::MAX] {
        for index in [0, 1, chunk.path.len(), usize::MAX] {
            let _ = root_of_chunk(Owner::Sum, index, &chunk.words, total, &chunk.path);
        }
    }
    true
}

/// Reasons of refusals are read from any bytes: bounded, and without control characters.
fn refusal(bytes: &[u8]) -> Accepted {
    let refusal = Refusal::from_bytes(bytes);
    assert!(refusal.reason.len() <= 3 * sottovoce_round::MAX_REASON && !refusal.reason.chars().any(char::is_control));
    true
}

/// Frames of a stream, in pieces whose size the first byte says: the frames do not depend on the pieces, and their encodings are the
/// bytes that were read.
fn wire_frames(bytes: &[u8]) -> Accepted {
    let Some((piece, stream)) = bytes.split_first() else { return false };
    let limits = Limits::new(CLIENTS, WORDS);
    let in_pieces = |size: usize| {
        let mut reader = FrameReader::new(limits);
        let mut frames = Vec::new();
        let mut refused = None;
        for piece in stream.chunks(size) {
            reader.push(piece);
            loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(e) => {
                        refused = Some(e);
                        break;
                    }
                }
            }
        }
        (frames, refused.is_some())
    };
    let (frames, refused) = in_pieces(usize::from(*piece).max(1));
    assert!((&frames, refused) == (&in_pieces(stream.len().max(1)).0, in_pieces(stream.len().max(1)).1));
    let mut read = Vec::new();
    for frame in &frames {
        assert!(frame.body.len() <= limits.max_body(frame.kind), "a body beyond the limit of its kind");
        read.extend_from_slice(&frame.to_bytes());
    }
    assert!(stream.starts_with(&read), "a frame has two encodings");
    !refused && read.len() == stream.len() && !frames.is_empty()
}
