//! What a coordinator shows of a run while it runs: one page, `/state.json`, `/events`, Prometheus metrics, a terminal view.
//!
//! Everything is read from a [`Board`], a state folded from what the engine tells ([`sottovoce_round::CoordinatorEvent`]) and,
//! after a restart, from what its journal says. Nothing here can reach back: a reader that is slow, stuck or hostile costs
//! bounded memory and is dropped, and the coordinator never waits for one.
//!
//! # What is shown of a client, and what is not
//! Its name in the manifest, its identity's hash, whether it is connected, that it declined and in which words, and which phases
//! closed without it. **Not** when it answered or how long it trained: with secret sampling that tells which of its units were
//! drawn (`Vantage::KnowsSample`). So the board shows who was missing when a phase closed, never who has answered so far.
//! No frame, share, key or update is ever handed to this crate.
//!
//! Read [`Board`] first, then [`Dashboard`].
//!
//! # Errors
//! Binding fails with an [`std::io::Error`]; serving does not fail.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]

mod board;
mod door;
mod guard;
mod live;
mod metrics;
mod page;
mod replay;
mod server;
mod state;
mod terminal;

pub use board::{About, Absence, Attempt, Board, ClosedPhase, GivenUp, Member, OpenPhase, PHASES, Presence, Refused};
pub use live::{Live, Snapshot, Traffic, TrafficTotals, Viewer, unix_ms};
pub use metrics::metrics_text;
pub use page::page;
pub use server::{Dashboard, Limits, Serving};
pub use state::State;
pub use terminal::{line, screen};
