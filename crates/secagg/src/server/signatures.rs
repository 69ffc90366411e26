//! R3: collects signatures over the survivor set; closes into a quorum.
use std::collections::{BTreeMap, BTreeSet};

use sottovoce_types::{ClientId, Digest, RingVec};

use super::{Agreed, CollectingOpenings, count, has, owed};
use crate::certificate::Certificate;
use crate::fault::{PeerFault, Phase, QuorumLost};
use crate::identity::verify;
use crate::labels;
use crate::messages::{InputRoot, SignedBy, SurvivorQuorumMsg, SurvivorSignatureMsg};

/// Waits for the survivors' signatures.
pub struct CollectingSignatures {
    agreed: Agreed,
    accumulator: RingVec,
    survivors: BTreeSet<u32>,
    /// The signed root of each survivor's input.
    inputs: Vec<InputRoot>,
    ctx3: Digest,
    signatures: BTreeMap<u32, [u8; 64]>,
}

impl CollectingSignatures {
    pub(super) fn new(agreed: Agreed, accumulator: RingVec, inputs: Vec<InputRoot>, ctx3: Digest) -> Self {
        let survivors = inputs.iter().map(|i| i.index).collect();
        Self { agreed, accumulator, survivors, inputs, ctx3, signatures: BTreeMap::new() }
    }

    /// What the survivors sign.
    pub fn ctx3(&self) -> Digest {
        self.ctx3
    }

    /// The survivor set U3: whose inputs are in the sum.
    pub fn contributors(&self) -> Vec<ClientId> {
        self.agreed.roster.clients(&self.survivors)
    }

    /// Takes a survivor's signature.
    ///
    /// # Errors
    /// [`PeerFault`]: not a survivor, a second signature, or one that is not over ctx3.
    pub fn signature(&mut self, from: ClientId, message: SurvivorSignatureMsg) -> Result<(), PeerFault> {
        let (position, member) = owed(&self.agreed.roster, from, |i| self.survivors.contains(&i), &self.signatures)?;
        verify(&member.identity, labels::CTX3, self.ctx3.as_bytes(), &message.signature)
            .map_err(|_| PeerFault::Signature { client: from })?;
        self.signatures.insert(position, message.signature);
        Ok(())
    }

    /// Signatures taken.
    pub fn count(&self) -> usize {
        self.signatures.len()
    }

    /// Whether a client's signature was taken.
    pub fn has(&self, client: &ClientId) -> bool {
        has(&self.agreed.roster, client, &self.signatures)
    }

    /// Survivors whose signature has not come.
    pub fn expected(&self) -> Vec<ClientId> {
        let missing = self.survivors.iter().filter(|i| !self.signatures.contains_key(i));
        missing.map(|i| self.agreed.roster.client(*i)).collect()
    }

    /// The quorum, for those who signed.
    ///
    /// # Errors
    /// [`QuorumLost`] when fewer than q signed.
    pub fn close(self) -> Result<(CollectingOpenings, SurvivorQuorumMsg), QuorumLost> {
        let Self { agreed, accumulator, survivors, inputs, ctx3, signatures } = self;
        let (have, need) = (count(&signatures), agreed.roster.q);
        if have < need {
            return Err(QuorumLost { phase: Phase::Signatures, have, need });
        }
        let signers = signatures.keys().copied().collect();
        let signatures: Vec<_> =
            signatures.into_iter().map(|(index, signature)| SignedBy { index, signature }).collect();
        let certificate = Certificate {
            roster: agreed.roster.members().map(|(_, m)| m.client).collect(),
            adverts_root: agreed.roster.adverts_root,
            dealers: agreed.dealers.iter().copied().collect(),
            shares_root: agreed.shares_root,
            graph_root: agreed.topology.root().copied(),
            inputs,
            signatures: signatures.clone(),
        };
        let openings = CollectingOpenings::new(agreed, accumulator, survivors, ctx3, signers, certificate);
        Ok((openings, SurvivorQuorumMsg { signatures }))
    }
}
