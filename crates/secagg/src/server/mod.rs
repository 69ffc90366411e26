//! The coordinator's side of an attempt, one file a phase. A message that does not pass leaves the phase as it was; closing
//! a phase consumes it. Deadlines are the caller's: whoever has not answered when a phase is closed is a dropout.
#![allow(
    clippy::needless_pass_by_value,
    reason = "a message is handed over to the phase that judges it; nobody uses it afterwards"
)]

mod adverts;
mod inputs;
mod openings;
mod picks;
mod shares;
mod signatures;
mod sum;

pub use adverts::{AfterAdverts, CollectingAdverts};
pub use inputs::CollectingInputs;
pub use openings::CollectingOpenings;
pub use picks::CollectingPicks;
pub use shares::CollectingShares;
pub use signatures::CollectingSignatures;
pub use sum::SecureSum;

use std::collections::{BTreeMap, BTreeSet};

use sottovoce_types::{ClientId, Digest};

use crate::dealing::PairCiphertexts;
use crate::fault::PeerFault;
use crate::messages::Dealing;
use crate::roster::{Member, Roster};
use crate::topology::Topology;

/// What every phase after R1 carries.
struct Agreed {
    roster: Roster,
    topology: Topology,
    /// Signed commitments by dealer of U2.
    dealings: BTreeMap<u32, Dealing>,
    /// U2.
    dealers: BTreeSet<u32>,
    shares_root: Digest,
    ctx2: Digest,
    /// What agrees on the masks of pairs, in a hybrid agreement.
    ciphertexts: PairCiphertexts,
}

impl Agreed {
    /// The sender's position, if it dealt shares and has not sent this message yet.
    fn owed<'a, T>(&'a self, from: ClientId, sent: &BTreeMap<u32, T>) -> Result<(u32, &'a Member), PeerFault> {
        owed(&self.roster, from, |i| self.dealers.contains(&i), sent)
    }

    /// Dealers that have not sent this message yet.
    fn missing<T>(&self, sent: &BTreeMap<u32, T>) -> Vec<ClientId> {
        self.dealers.iter().filter(|i| !sent.contains_key(i)).map(|i| self.roster.client(*i)).collect()
    }
}

fn owed<'a, T>(
    roster: &'a Roster,
    from: ClientId,
    takes_part: impl Fn(u32) -> bool,
    sent: &BTreeMap<u32, T>,
) -> Result<(u32, &'a Member), PeerFault> {
    let stranger = PeerFault::Stranger { client: from };
    let position = roster.position(&from).filter(|i| takes_part(*i)).ok_or(stranger.clone())?;
    if sent.contains_key(&position) {
        return Err(PeerFault::Repeated { client: from });
    }
    Ok((position, roster.at(position).ok_or(stranger)?))
}

fn has<T>(roster: &Roster, client: &ClientId, sent: &BTreeMap<u32, T>) -> bool {
    roster.position(client).is_some_and(|i| sent.contains_key(&i))
}

fn count<T>(sent: &BTreeMap<u32, T>) -> u32 {
    u32::try_from(sent.len()).expect("at most one entry a roster position")
}
