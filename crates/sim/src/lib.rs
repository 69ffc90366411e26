//! The round engines on a virtual clock: a whole federation in one process, the same engines and the same bytes as over
//! QUIC, with scripted dropouts.
//!
//! The driver holds no decision of the protocol. It feeds inputs from a queue ordered by virtual time, then polls each
//! engine in the fixed order persist, transmit, work, timeout, event. Every frame passes the [`Tap`] once, exactly where
//! a deployed driver has its own. Read [`Simulation`] first, then [`Script`].
//!
//! It does not pretend: noise is seeded here and the report says so; the operating system's noise is for deployment.
//!
//! # Errors
//! [`SimError`] when an engine cannot be made, or nothing is left to happen before the run is over.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]

pub mod cost;
mod queue;
mod script;
mod simulation;
mod toy;

pub use script::{DropAfter, Dropout, Script};
pub use simulation::{ClientReport, ClientSeeds, SimClient, SimError, SimOutcome, Simulation, client_seeds, run_id};
pub use sottovoce_transcript::Tap;
pub use toy::{PoisonedTrainer, QuadraticTrainer, TargetTrainer};
