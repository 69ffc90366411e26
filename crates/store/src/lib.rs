//! Durable state of either role: a journal with the privacy ledger in the same transaction, and checkpoints.
//!
//! A state directory holds `state.sqlite` ([`SqliteJournal`]), `state.lock` (one writer only) and
//! `checkpoints/round-0001.safetensors` ([`save_checkpoint`]); where the server carries more than the model from round to round,
//! `checkpoints/round-0001.state.safetensors` beside it. What [`append`](sottovoce_round::Journal::append) has returned from survives a
//! killed process and a lost power supply, as far as the disk keeps its word about `fsync`.
//!
//! This crate decides nothing: which entries there are is `round`'s to say, what they cost is `dp`'s. It detects accidents and careless edits: the
//! chain in the database, an old database beside a newer `state.head` ([`Witness`]), and, opened with an identity, a state that somebody without the
//! party's key made. An older copy of everything is for the peers to notice.
//!
//! ```
//! use sottovoce_round::{Entry, Journal, JournalEvent, Persist};
//! use sottovoce_store::SqliteJournal;
//! use sottovoce_types::RunId;
//!
//! let dir = tempfile::tempdir()?;
//! let event = JournalEvent::RunFinished { run: RunId([1; 16]) };
//! let mut journal = SqliteJournal::open(dir.path())?;
//! journal.append(&Persist::entry(event.clone(), None))?;
//! drop(journal);
//! assert_eq!(SqliteJournal::open(dir.path())?.replay()?, [Entry { event, ledger: None }]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Errors
//! [`sottovoce_round::JournalError`] for the journal, [`CheckpointError`] for a checkpoint by itself.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]

mod chain;
mod checkpoint;
mod durable;
mod inputs;
mod journal;
mod reading;
mod results;
mod server_state;
mod witness;

pub use chain::Head;
pub use checkpoint::{
    Checkpoint, CheckpointError, CheckpointInfo, Found, load_checkpoint, read_checkpoint, save_checkpoint,
};
pub use durable::{Disk, SystemDisk};
pub use inputs::{read_kept_chunk, read_kept_round};
pub use journal::{SqliteJournal, StateError, read_journal};
pub use results::read_result;
pub use witness::{Seal, Witness};
