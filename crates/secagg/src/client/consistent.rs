//! R3 done: survivor set signed; waits for a quorum of signatures over the same set.
use std::collections::BTreeSet;

use sottovoce_types::{ClientId, Digest};

use super::Dealt;
use crate::fault::Abort;
use crate::identity::{Identity, verify};
use crate::labels;
use crate::messages::{Opened, OpeningMsg, SurvivorQuorumMsg};

/// A client that signed a survivor set. It can open that one and no other.
pub struct Consistent {
    pub(super) dealt: Dealt,
    pub(super) survivors: BTreeSet<u32>,
    pub(super) ctx3: Digest,
}

/// That a quorum signed one ctx3. Clients of one process that signed the same may share it.
#[derive(Clone, Copy)]
pub struct CheckedQuorum {
    ctx3: Digest,
}

impl Consistent {
    /// What was signed.
    pub fn ctx3(&self) -> Digest {
        self.ctx3
    }

    /// The survivor set U3: whose inputs are in the sum if it is opened.
    pub fn contributors(&self) -> Vec<ClientId> {
        self.dealt.roster.clients(&self.survivors)
    }

    /// Checks the quorum and opens: one share a dealer, of b for a survivor and of s for a dropout. Which of the two is
    /// decided here, from the set that this client signed; the coordinator has no way to ask for one or the other, and a
    /// [`OpeningMsg`] has room for one share a dealer.
    ///
    /// The caller makes the privacy debit durable before the message leaves: once it has left, the sum is out.
    ///
    /// # Errors
    /// [`Abort`]: fewer than q signatures, a signature out of order, by a client outside U3, or over another ctx3.
    pub fn quorum(self, message: SurvivorQuorumMsg, id: &Identity) -> Result<OpeningMsg, Abort> {
        let checked = self.check(&message)?;
        self.on_quorum(checked, id)
    }

    /// The checks that do not depend on who makes them.
    ///
    /// # Errors
    /// [`Abort`], as [`Consistent::quorum`].
    pub fn check(&self, message: &SurvivorQuorumMsg) -> Result<CheckedQuorum, Abort> {
        let Self { dealt, survivors, ctx3 } = self;
        let (have, need) = (u32::try_from(message.signatures.len()).unwrap_or(u32::MAX), dealt.roster.q);
        if have < need {
            return Err(Abort::QuorumTooSmall { have, need });
        }
        // Strictly ascending: no signer counts twice.
        if !message.signatures.is_sorted_by(|a, b| a.index < b.index) {
            return Err(Abort::QuorumMalformed);
        }
        for signed in &message.signatures {
            let signer =
                survivors.get(&signed.index).and_then(|i| dealt.roster.at(*i)).ok_or(Abort::QuorumMalformed)?;
            verify(&signer.identity, labels::CTX3, ctx3.as_bytes(), &signed.signature)
                .map_err(|_| Abort::QuorumSignature { signer: signer.client })?;
        }
        Ok(CheckedQuorum { ctx3: *ctx3 })
    }

    /// The same as [`Consistent::quorum`] with a quorum that was checked before, by another client of this process.
    ///
    /// # Errors
    /// [`Abort::OtherSession`] for a quorum over another ctx3 than this client signed.
    pub fn on_quorum(self, checked: CheckedQuorum, id: &Identity) -> Result<OpeningMsg, Abort> {
        let Self { mut dealt, survivors, ctx3 } = self;
        if checked.ctx3 != ctx3 {
            return Err(Abort::OtherSession);
        }
        let mut open = |dealer| {
            // The pair is taken apart here: one half is opened, the other is wiped.
            let pair = dealt.held.remove(&dealer)?;
            let share = if survivors.contains(&dealer) { pair.b } else { pair.s };
            Some(Opened { share: *share.value.to_bytes(), opener: share.opener.0 })
        };
        let opened = dealt.topology.dealers(dealt.me, &dealt.dealers).map(&mut open).collect();
        let mut message = OpeningMsg { opened, signature: [0; 64] };
        message.sign(&ctx3, id);
        Ok(message)
    }
}
