//! The round engines of Sottovoce: one for the coordinator, one for a client, both sans-IO.
//!
//! They hold every decision of the protocol around secure aggregation: who is waited for, what must be durable before
//! what leaves, which model may follow, what a site charges itself. They hold no socket, file, thread or clock; drivers
//! (`sottovoce-net` over QUIC, `sottovoce-sim` on a virtual clock) feed inputs and poll outputs in one fixed order:
//! *persist, transmit, timeout, event*.
//!
//! Read [`Coordinator`] and [`ClientEngine`] first; [`RunPlan`] is what both sides agree on before a run.
//!
//! # Errors
//! [`PeerFault`] says that a client broke the protocol, [`ProtocolFault`] that the coordinator did, [`PlanError`] that a
//! plan cannot be carried out or protects nobody, [`ResumeError`] that a journal cannot be continued.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]

mod audit;
mod chain;
mod client;
mod coordinator;
mod enrolment;
mod evidence;
mod fault;
mod global_model;
mod journal;
mod layers;
mod manifest;
mod messages;
mod plan;
mod receipt;
mod recompute;
mod server;
mod session;
mod statement;
mod terms;
mod work;

pub use audit::{AuditReply, AuditRequest, KEPT_ROUNDS, Keep, KeptRound, ShownChunk, SignedOpenings, audit_answer};
pub use chain::{Link, ModelChain};
pub use client::{
    ClientEngine, ClientEvent, ClientOutcome, ClientSetup, Declined, UnitRefused, UnitSum, WEIGHT_CAP_EXAMPLES,
};
pub use coordinator::{Coordinator, CoordinatorEvent, Outcome, Standing, Transmit};
pub use enrolment::JoinRequest;
pub use evidence::{Evidence, EvidenceRefused, FalseSum, Shown, compare};
pub use fault::{PeerFault, ProtocolFault, ResumeError};
pub use journal::{Entry, Journal, JournalError, JournalEvent, MemoryJournal, Persist, PublishedResult};
pub use manifest::{Endorsement, Manifest, ManifestError, Member, PublicKey};
pub use messages::{Finished, Hello, MAX_REASON, Refusal, RoundConfig, RoundResult, Welcome};
pub use plan::{Deadlines, PlanError, PrivacyPlan, RunPlan, RunSpec};
pub use receipt::{JournalReceipts, Receipt, ReceiptRefused, SignedReceipt, receipts_in};
pub use server::{
    AdaptiveClip, AdaptiveClipRefused, ServerOutOfRange, ServerRule, ServerSpec, ServerState, ServerStateError,
    ServerSteps,
};
pub use statement::{ConfigStatement, Heard, ResultStatement, Signed, Statement};
pub use terms::RoundTerms;
pub use work::{LocalTrainer, TrainFailed, Work};
