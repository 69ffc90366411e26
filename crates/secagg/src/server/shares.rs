//! R1: collects shares; closes into envelopes for every dealer.
use std::collections::BTreeMap;
use std::sync::Arc;

use sottovoce_types::{ClientId, Digest, RingVec};

use super::{Agreed, CollectingInputs, count, has, owed};
use crate::context;
use crate::dealing::{PairCiphertexts, shares_root};
use crate::envelope::Envelope;
use crate::fault::{PeerFault, Phase, QuorumLost};
use crate::identity::verify;
use crate::labels;
use crate::merkle::MerkleTree;
use crate::messages::{DealerDigest, DealtToYou, EnvelopesMsg, SharesMsg, dealing_digest, dealing_signed};
use crate::roster::Roster;
use crate::topology::Topology;

/// Waits for the shares of everyone on the roster, or in the graph.
pub struct CollectingShares {
    roster: Roster,
    topology: Topology,
    shares: BTreeMap<u32, Taken>,
}

/// What a client dealt.
struct Taken {
    message: SharesMsg,
    /// Over its commitments.
    tree: MerkleTree,
    /// What stands for its dealing.
    digest: Digest,
}

impl CollectingShares {
    pub(super) fn new(roster: Roster, topology: Topology) -> Self {
        Self { roster, topology, shares: BTreeMap::new() }
    }

    /// Takes a client's commitments and envelopes.
    ///
    /// # Errors
    /// [`PeerFault`]: not on the roster, a second message, wrong counts, a bad signature, or an envelope that is not the
    /// one signed.
    pub fn shares(&mut self, from: ClientId, message: SharesMsg) -> Result<(), PeerFault> {
        let in_graph = |i| self.topology.entries(i) > 0;
        let (dealer, member) = owed(&self.roster, from, in_graph, &self.shares)?;
        let entries = self.topology.entries(dealer);
        let others = entries.saturating_sub(usize::from(self.topology.slot(dealer, dealer).is_some()));
        if message.dealing.entries.len() != entries || message.envelopes.len() != others {
            return Err(PeerFault::Shape { client: from });
        }
        let tree = message.dealing.tree();
        let signed = dealing_signed(&self.roster.ctx1, &from, entries, &tree.root());
        verify(&member.identity, labels::SHARES, signed.as_bytes(), &message.dealing.signature)
            .map_err(|_| PeerFault::Signature { client: from })?;
        let holders = self.topology.holders(dealer);
        let committed = holders.iter().zip(&message.dealing.entries).filter(|(holder, _)| **holder != dealer);
        if committed.zip(&message.envelopes).any(|((_, entry), envelope)| envelope.digest() != entry.envelope) {
            return Err(PeerFault::EnvelopeHash { client: from });
        }
        // In a hybrid agreement every envelope has a ciphertext, and one for the mask where the dealer encapsulates for the pair.
        let hybrid = self.roster.session.key_agreement.is_hybrid();
        let expected = |holder: u32| hybrid.then_some(self.topology.encapsulates(dealer, holder));
        let others = holders.iter().filter(|holder| **holder != dealer);
        let kem = |e: &Envelope| e.1.as_ref().map(|kem| kem.mask.is_some());
        if others.zip(&message.envelopes).any(|(holder, envelope)| kem(envelope) != expected(*holder)) {
            return Err(PeerFault::Shape { client: from });
        }
        drop(holders);
        let digest = dealing_digest(&signed, &message.dealing.signature);
        self.shares.insert(dealer, Taken { message, tree, digest });
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

    /// Clients on the roster, and in the graph where they pick, whose shares have not come.
    pub fn expected(&self) -> Vec<ClientId> {
        let owes = |i: &u32| self.topology.entries(*i) > 0 && !self.shares.contains_key(i);
        self.roster.members().filter(|(i, _)| owes(i)).map(|(_, m)| m.client).collect()
    }

    /// Fixes U2, the dealers, and addresses to each the envelopes meant for it. On a sparse graph, dealers without t dealers among
    /// their picks are left out ([`crate::graph::Graph::supported`]): they would leave.
    ///
    /// # Errors
    /// [`QuorumLost`] when fewer than max(q, n_min) dealt.
    pub fn close(self) -> Result<(CollectingInputs, Vec<(ClientId, EnvelopesMsg)>), QuorumLost> {
        let Self { roster, topology, mut shares } = self;
        let dealers = topology.supported(shares.keys().copied().collect());
        shares.retain(|dealer, _| dealers.contains(dealer));
        let (have, need) = (count(&shares), roster.dealers_needed());
        if have < need {
            return Err(QuorumLost { phase: Phase::Shares, have, need });
        }
        let digests: Vec<DealerDigest> =
            shares.iter().map(|(dealer, taken)| DealerDigest { dealer: *dealer, digest: taken.digest }).collect();
        let shares_root = shares_root(&digests);
        let digests = Arc::new(digests);
        let mut dealt: BTreeMap<u32, Vec<DealtToYou>> = dealers.iter().map(|i| (*i, Vec::new())).collect();
        let mut dealings = BTreeMap::new();
        let mut ciphertexts = PairCiphertexts::new();
        for (dealer, Taken { message, tree, .. }) in shares {
            let SharesMsg { dealing, envelopes } = message;
            let holders = topology.holders(dealer);
            let places = holders.iter().zip(&dealing.entries).enumerate();
            // The dealer's own place has no envelope.
            let others = places.filter(|(_, (holder, _))| **holder != dealer);
            for ((slot, (holder, entry)), envelope) in others.zip(envelopes) {
                if let Some(sent) = envelope.1.as_ref().and_then(|kem| kem.mask.clone()) {
                    ciphertexts.insert((dealer, *holder), sent);
                }
                let signature = dealing.signature;
                let Some(dealt) = dealt.get_mut(holder) else { continue };
                dealt.push(DealtToYou { dealer, entry: entry.clone(), path: tree.path(slot), signature, envelope });
            }
            drop(holders);
            dealings.insert(dealer, dealing);
        }
        let addressed = dealt
            .into_iter()
            .map(|(holder, dealt)| (roster.client(holder), EnvelopesMsg { dealers: Arc::clone(&digests), dealt }))
            .collect();
        let (n, u2) = (roster.len(), dealers.iter().copied());
        let ctx2 = context::ctx2(&roster.ctx1, n, u2, &shares_root, topology.root());
        let accumulator = RingVec::zeros(roster.session.words, roster.session.lanes);
        let agreed = Agreed { roster, topology, dealings, dealers, shares_root, ctx2, ciphertexts };
        Ok((CollectingInputs::new(agreed, accumulator), addressed))
    }
}
