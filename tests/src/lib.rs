//! End-to-end tests of Sottovoce: real processes, real sockets on loopback, and the checks that span crates.
//!
//! | file | shows |
//! |---|---|
//! | `tests/equality.rs` | the simulator and QUIC give the same bytes |
//! | `tests/kill9.rs` | a coordinator killed at any point goes on: nothing published twice, no budget won back |
//! | `tests/identities.rs` | the coordinator's process refuses strangers and frames that are too large |
//! | `tests/sites.rs` | sites as processes, brought up by the documented commands, hold to their own limits |
//! | `tests/bad_input.rs` | broken files and configs are clear errors, and nothing is lost |
//! | `tests/workflow.rs` | the commands, one after another, as a user types them |
//!
//! They start the two programs, which must have been built in the same profile: `make test` does that first, by hand it is
//! `cargo build -p sottovoce -p sottovoce-coordinator`.
