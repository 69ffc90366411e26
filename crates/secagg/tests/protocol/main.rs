//! The protocol from outside: whole rounds in memory, dropouts at every phase, and scripted liars on both sides.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "counts of a handful of clients"
)]

mod audits;
mod certificates;
mod dealers;
mod decoding;
mod driver;
mod dropouts;
mod exact;
mod flower;
mod graphs;
mod hybrid;
mod layers;
mod liars;
mod operations;
mod replays;
mod sparse;
mod sparse_hybrid;
mod survivor_sets;
mod sweep;
mod uniform;
mod vouched;
