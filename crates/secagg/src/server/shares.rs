//! R1: collects shares; closes into envelopes for every dealer.
use std::collections::BTreeMap;

use sottovoce_types::{ClientId, RingVec};

use super::{Agreed, CollectingInputs, count, has, owed};
use crate::context;
use crate::dealing::{PairCiphertexts, shares_root, signed_entry};
use crate::envelope::Envelope;
use crate::fault::{PeerFault, Phase, QuorumLost};
use crate::messages::{DealtToYou, EnvelopesMsg, SharesMsg};
use crate::roster::{Roster, envelope_slot};

/// Waits for the shares of everyone on the roster.
pub struct CollectingShares {
    roster: Roster,
    shares: BTreeMap<u32, SharesMsg>,
}

impl CollectingShares {
    pub(super) fn new(roster: Roster) -> Self {
        Self { roster, shares: BTreeMap::new() }
    }

    /// Takes a client's commitments and envelopes.
    ///
    /// # Errors
    /// [`PeerFault`]: not on the roster, a second message, wrong counts, a bad signature, or an envelope that is not the
    /// one signed.
    pub fn shares(&mut self, from: ClientId, message: SharesMsg) -> Result<(), PeerFault> {
        let (dealer, member) = owed(&self.roster, from, |_| true, &self.shares)?;
        let (entries, envelopes) = (message.dealing.entries.len(), message.envelopes.len());
        let n = usize::try_from(self.roster.len()).unwrap_or(usize::MAX);
        if entries != n || envelopes.saturating_add(1) != n {
            return Err(PeerFault::Shape { client: from });
        }
        signed_entry(&self.roster, member, &message.dealing, dealer)
            .map_err(|_| PeerFault::Signature { client: from })?;
        for (holder, entry) in (0u32..).zip(&message.dealing.entries) {
            let envelope = envelope_slot(dealer, holder).and_then(|slot| message.envelopes.get(slot));
            if envelope.is_some_and(|e| e.digest() != entry.envelope) {
                return Err(PeerFault::EnvelopeHash { client: from });
            }
            // In a hybrid agreement every envelope has a ciphertext, and those to later clients one for the mask as well.
            let kem = envelope.map(|e| e.1.as_ref().map(|kem| kem.mask.is_some()));
            let expected = self.roster.session.key_agreement.is_hybrid().then_some(holder > dealer);
            if kem.is_some_and(|kem| kem != expected) {
                return Err(PeerFault::Shape { client: from });
            }
        }
        self.shares.insert(dealer, message);
        Ok(())
    }

    /// Messages taken.
    pub fn count(&self) -> usize {
        self.shares.len()
    }

    /// Whether a client's shares were taken.
    pub fn has(&self, client: &ClientId) -> bool {
        has(&self.roster, client, &self.shares)
    }

    /// Clients whose shares have not come.
    pub fn expected(&self) -> Vec<ClientId> {
        self.roster.members().filter(|(i, _)| !self.shares.contains_key(i)).map(|(_, m)| m.client).collect()
    }

    /// Fixes U2, the dealers, and addresses to each the envelopes meant for it.
    ///
    /// # Errors
    /// [`QuorumLost`] when fewer than max(q, n_min) dealt.
    pub fn close(self) -> Result<(CollectingInputs, Vec<(ClientId, EnvelopesMsg)>), QuorumLost> {
        let Self { roster, shares } = self;
        let (have, need) = (count(&shares), roster.dealers_needed());
        if have < need {
            return Err(QuorumLost { phase: Phase::Shares, have, need });
        }
        let envelope = |dealer: u32, message: &SharesMsg, holder: u32| -> Option<Envelope> {
            message.envelopes.get(envelope_slot(dealer, holder)?).cloned()
        };
        let addressed = shares
            .keys()
            .map(|holder| {
                let dealt = shares
                    .iter()
                    .map(|(dealer, message)| DealtToYou {
                        dealer: *dealer,
                        dealing: message.dealing.clone(),
                        envelope: envelope(*dealer, message, *holder),
                    })
                    .collect();
                (roster.client(*holder), EnvelopesMsg { dealt })
            })
            .collect();
        let shares_root = shares_root(&roster, shares.iter().map(|(dealer, m)| (*dealer, &m.dealing)));
        let ctx2 = context::ctx2(&roster.ctx1, roster.len(), shares.keys().copied(), &shares_root);
        let accumulator = RingVec::zeros(roster.session.words, roster.session.lanes);
        let mut ciphertexts = PairCiphertexts::new();
        for (dealer, message) in &shares {
            for holder in shares.keys().filter(|holder| *holder > dealer) {
                let sent = envelope(*dealer, message, *holder).and_then(|e| e.1).and_then(|kem| kem.mask);
                ciphertexts.extend(sent.map(|sent| ((*dealer, *holder), sent)));
            }
        }
        let dealings = shares.into_iter().map(|(dealer, m)| (dealer, m.dealing)).collect();
        Ok((CollectingInputs::new(Agreed { roster, dealings, shares_root, ctx2, ciphertexts }, accumulator), addressed))
    }
}
