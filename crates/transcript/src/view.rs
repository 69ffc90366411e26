//! Views: one type a vantage, holding no more than it could see.
//!
//! A view never holds the whole transcript. What is not in its fields cannot be reached from it.
use std::collections::BTreeSet;

use bytes::Bytes;
use sottovoce_types::{AttemptId, ClientId, Digest, RoundId, RunId, Tick};
use sottovoce_wire::{Frame, Kind};

use crate::{Party, Record};

/// Every frame that the coordinator sent or received. It relays the clients' sealed envelopes and so sees those too,
/// sealed.
#[derive(Clone, Debug)]
pub struct CoordinatorView<'a> {
    records: Vec<&'a Record>,
}

impl<'a> CoordinatorView<'a> {
    pub(crate) fn new(records: &'a [Record]) -> Self {
        let seen = |r: &&Record| r.from == Party::Coordinator || r.to == Party::Coordinator;
        Self { records: records.iter().filter(seen).collect() }
    }

    /// The frames, in order.
    pub fn records(&self) -> &[&'a Record] {
        &self.records
    }

    /// The frames of one kind, in order.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &'a Record> + '_ {
        self.records.iter().copied().filter(move |r| r.frame.kind == kind)
    }

    /// The clients that it talked to.
    pub fn clients(&self) -> BTreeSet<ClientId> {
        let parties = self.records.iter().flat_map(|r| [r.from, r.to]);
        parties.filter_map(|p| if let Party::Client(id) = p { Some(id) } else { None }).collect()
    }
}

/// Every frame that one client sent or received.
#[derive(Clone, Debug)]
pub struct PeerView<'a> {
    client: ClientId,
    records: Vec<&'a Record>,
}

impl<'a> PeerView<'a> {
    pub(crate) fn new(records: &'a [Record], client: ClientId) -> Self {
        let me = Party::Client(client);
        Self { client, records: records.iter().filter(|r| r.from == me || r.to == me).collect() }
    }

    /// Whose eyes these are.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// The frames, in order.
    pub fn records(&self) -> &[&'a Record] {
        &self.records
    }

    /// The frames of one kind, in order.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &'a Record> + '_ {
        self.records.iter().copied().filter(move |r| r.frame.kind == kind)
    }
}

/// A frame that carries what was released out of the run: the hash of a round's model, or its opened sum, from which the next follows.
#[derive(Clone, PartialEq, Debug)]
pub struct ReleasedFrame {
    /// [`Kind::RoundConfig`] or [`Kind::Result`].
    pub kind: Kind,
    /// Its run.
    pub run: RunId,
    /// Its round.
    pub round: RoundId,
    /// Its attempt.
    pub attempt: AttemptId,
    /// The frame's body.
    pub body: Bytes,
}

/// What the coordinator released, each different body once, and nothing about who got it or when.
#[derive(Clone, Debug)]
pub struct ReleasedView {
    frames: Vec<ReleasedFrame>,
}

impl ReleasedView {
    pub(crate) fn new(records: &[Record]) -> Self {
        let mut known = BTreeSet::new();
        let released =
            |r: &&Record| r.from == Party::Coordinator && matches!(r.frame.kind, Kind::RoundConfig | Kind::Result);
        let frames = records
            .iter()
            .filter(released)
            // The same goes to every client. Bodies that differ are kept: a coordinator that tells two clients two things
            // has released both.
            .filter(|r| known.insert((r.frame.round, r.frame.attempt, r.frame.kind.byte(), Digest::of(&r.frame.body))))
            .map(|r| ReleasedFrame {
                kind: r.frame.kind,
                run: r.frame.run,
                round: r.frame.round,
                attempt: r.frame.attempt,
                body: r.frame.body.clone(),
            })
            .collect();
        Self { frames }
    }

    /// The results alone, in the order of their release.
    pub fn results(&self) -> impl Iterator<Item = &ReleasedFrame> {
        self.frames.iter().filter(|f| f.kind == Kind::Result)
    }

    /// The frames, in the order of their release.
    pub fn frames(&self) -> &[ReleasedFrame] {
        &self.frames
    }
}

/// One message as it looks from outside the encryption.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkMessage {
    /// When it passed.
    pub at: Tick,
    /// Who sent it.
    pub from: Party,
    /// Who it was for.
    pub to: Party,
    /// Its size in bytes: the whole frame, before TLS and QUIC add theirs.
    pub bytes: usize,
}

/// Times, sizes and parties. QUIC encrypts everything else, the kind of message too.
#[derive(Clone, Debug)]
pub struct NetworkView {
    messages: Vec<NetworkMessage>,
}

impl NetworkView {
    pub(crate) fn new(records: &[Record]) -> Self {
        let outside = |r: &Record| NetworkMessage {
            at: r.at,
            from: r.from,
            to: r.to,
            bytes: Frame::HEADER_LEN + r.frame.body.len(),
        };
        Self { messages: records.iter().map(outside).collect() }
    }

    /// The messages, in order.
    pub fn messages(&self) -> &[NetworkMessage] {
        &self.messages
    }
}
