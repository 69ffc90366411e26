//! A client's side of an attempt, one file a state. Every transition consumes the state: on an error the secrets in it are
//! wiped and nothing more can be said in this attempt.
#![allow(
    clippy::needless_pass_by_value,
    reason = "a message is handed over to the transition that judges it, as the state is; nobody uses it afterwards"
)]

mod advertised;
mod consistent;
mod deal;
mod masking;
mod picked;
mod shared;
mod submitted;

pub use advertised::{Advertised, CheckedRoster, OnRoster};
pub use consistent::{CheckedQuorum, Consistent};
pub use masking::Masking;
pub use picked::{CheckedGraph, Picked};
pub use shared::Shared;
pub use submitted::Submitted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::envelope::SharePair;
use sottovoce_types::Digest;

use crate::roster::Roster;
use crate::shamir::Quad;
use crate::topology::Topology;

/// What every state after the masks are known carries.
struct Dealt {
    roster: Arc<Roster>,
    topology: Arc<Topology>,
    /// This client's position.
    me: u32,
    /// U2: positions of the dealers.
    dealers: BTreeSet<u32>,
    ctx2: Digest,
    /// The shares held, by dealer; a dealer whose envelope was unusable is not in it.
    held: BTreeMap<u32, SharePair>,
    /// Seeds of this client's own layers.
    layers: Vec<Quad>,
}
