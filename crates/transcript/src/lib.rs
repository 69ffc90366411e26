//! What crossed which boundary in a run, and what each vantage could see of it.
//!
//! A [`Tap`] sits at the one point of a driver where frames pass and keeps each as a [`Record`]: in memory
//! ([`MemoryTap`]) or in `transcript.bin` ([`FileTap`]). A [`Transcript`] yields **views**, one type a vantage, and an
//! attack takes a view, so what it could see is part of its signature:
//!
//! | view | sees |
//! |---|---|
//! | [`CoordinatorView`] | every frame that the coordinator sent or received |
//! | [`PeerView`] | every frame that one client sent or received |
//! | [`ReleasedView`] | the models that the coordinator sent out, and nothing about who got them |
//! | [`NetworkView`] | times, sizes and parties; no byte of any frame |
//!
//! This crate does not interpret a frame's body, holds no secret of any party, and records nothing by itself. Read
//! [`Transcript`] and [`CoordinatorView`] first.
//!
//! ```
//! use sottovoce_transcript::{MemoryTap, Party, Tap};
//! use sottovoce_types::{AttemptId, ClientId, RoundId, RunId, Tick};
//! use sottovoce_wire::{Frame, Kind};
//!
//! let client = Party::Client(ClientId([7; 32]));
//! let frame = Frame {
//!     kind: Kind::Hello, run: RunId([1; 16]), round: RoundId(1), attempt: AttemptId(1), body: b"hello"[..].into(),
//! };
//! let mut tap = MemoryTap::new();
//! tap.record(Tick(5), client, Party::Coordinator, &frame);
//!
//! let transcript = tap.transcript();
//! assert_eq!(transcript.coordinator().records().len(), 1);
//! assert_eq!(transcript.network().messages()[0].bytes, frame.to_bytes().len());
//! ```
//!
//! The network's view has no bytes to give away:
//!
//! ```compile_fail
//! # let transcript = sottovoce_transcript::MemoryTap::new().transcript();
//! let stolen = &transcript.network().messages()[0].frame.body;
//! ```
//!
//! # Errors
//! [`TapError`] when a recording could not be written, [`ReadError`] when a file is not a transcript. A last record that
//! was cut off (a killed process) is no error: it is left out and counted, [`Transcript::torn`].
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]

mod file;
mod record;
mod tap;
mod view;

pub use file::{FileTap, ReadError, TapError, Torn};
pub use record::{Party, Record};
pub use tap::{MemoryTap, NullTap, Tap};
pub use view::{CoordinatorView, NetworkMessage, NetworkView, PeerView, ReleasedFrame, ReleasedView};

/// Every frame of a run that a tap saw, in the order in which it saw them.
///
/// A transcript itself sees everything that was recorded; hand attacks one of its views instead.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Transcript {
    records: Vec<Record>,
    torn: Option<Torn>,
}

impl Transcript {
    /// A transcript of records that are already in memory.
    pub fn from_memory(records: Vec<Record>) -> Self {
        Self { records, torn: None }
    }

    /// Reads `transcript.bin`.
    ///
    /// # Errors
    /// [`ReadError`] when the file cannot be read, is not a transcript, has another version, or holds a whole record
    /// that makes no sense. A cut-off last record is left out and told by [`Transcript::torn`].
    pub fn read(path: impl AsRef<std::path::Path>) -> Result<Self, ReadError> {
        let (records, torn) = file::read(path.as_ref())?;
        Ok(Self { records, torn })
    }

    /// Writes `transcript.bin`, as a [`FileTap`] would have.
    ///
    /// # Errors
    /// [`TapError`] when the file cannot be made or written.
    pub fn write(&self, path: impl Into<std::path::PathBuf>) -> Result<(), TapError> {
        let mut tap = FileTap::create(path)?;
        for record in &self.records {
            tap.record(record.at, record.from, record.to, &record.frame);
        }
        tap.finish().map(drop)
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What was cut off at the end of the file, if anything.
    pub fn torn(&self) -> Option<Torn> {
        self.torn
    }

    /// What the coordinator saw: every frame that it sent or received.
    pub fn coordinator(&self) -> CoordinatorView<'_> {
        CoordinatorView::new(&self.records)
    }

    /// What one client saw: every frame that it sent or received.
    pub fn peer(&self, client: sottovoce_types::ClientId) -> PeerView<'_> {
        PeerView::new(&self.records, client)
    }

    /// What whoever is given the released models sees.
    pub fn released(&self) -> ReleasedView {
        ReleasedView::new(&self.records)
    }

    /// What someone on the network sees: who talks to whom, when, and how much.
    pub fn network(&self) -> NetworkView {
        NetworkView::new(&self.records)
    }
}
