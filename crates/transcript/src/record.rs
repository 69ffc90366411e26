//! One frame on its way from one party to another.
use std::fmt;

use sottovoce_types::{ClientId, Tick};
use sottovoce_wire::Frame;

/// An end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Party {
    /// One site.
    Client(ClientId),
    /// The coordinator.
    Coordinator,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(id) => write!(f, "client {id}"),
            Self::Coordinator => f.write_str("coordinator"),
        }
    }
}

/// One frame that passed a tap.
#[derive(Clone, PartialEq)]
pub struct Record {
    /// Its place in the transcript, from 0.
    pub seq: u64,
    /// When it passed, on the driver's clock.
    pub at: Tick,
    /// Who sent it.
    pub from: Party,
    /// Who it was for.
    pub to: Party,
    /// The frame: kind, run, round, attempt and body.
    pub frame: Frame,
}

impl fmt::Debug for Record {
    /// Without the body: it may hold a client's update (in plain runs), and it is long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("seq", &self.seq)
            .field("at", &self.at)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("kind", &self.frame.kind)
            .field("round", &self.frame.round)
            .field("attempt", &self.frame.attempt)
            .field("body_bytes", &self.frame.body.len())
            .finish_non_exhaustive()
    }
}
