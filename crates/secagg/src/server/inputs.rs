//! R2: adds up masked inputs as they come; closes into the survivor set.
use std::collections::{BTreeMap, BTreeSet};

use sottovoce_types::{ClientId, Digest, RingVec};

use super::{Agreed, CollectingSignatures, count, has};
use crate::context;
use crate::dealing::inputs_root;
use crate::fault::{CloseFailed, PeerFault, Phase, QuorumLost};
use crate::graph::GraphRefused;
use crate::identity::verify;
use crate::labels;
use crate::messages::{InputRoot, MaskedInputMsg, SurvivorsMsg};

/// Waits for the masked inputs of the dealers. Memory is one vector, however many clients.
pub struct CollectingInputs {
    agreed: Agreed,
    accumulator: RingVec,
    roots: BTreeMap<u32, Digest>,
}

impl CollectingInputs {
    pub(super) fn new(agreed: Agreed, accumulator: RingVec) -> Self {
        Self { agreed, accumulator, roots: BTreeMap::new() }
    }

    /// Adds a client's masked input to the accumulator, once.
    ///
    /// # Errors
    /// [`PeerFault`]: dealt no shares, a second input, wrong length, or a bad signature. Nothing is added then.
    pub fn input(&mut self, from: ClientId, message: MaskedInputMsg) -> Result<(), PeerFault> {
        let (position, member) = self.agreed.owed(from, &self.roots)?;
        if message.words.len() != self.accumulator.words().len() {
            return Err(PeerFault::Shape { client: from });
        }
        let root = MaskedInputMsg::root(&self.agreed.ctx2, &from, &message.words);
        verify(&member.identity, labels::INPUT, root.as_bytes(), &message.signature)
            .map_err(|_| PeerFault::Signature { client: from })?;
        self.accumulator.add(&RingVec::from_words(message.words, self.accumulator.lanes()));
        self.roots.insert(position, root);
        Ok(())
    }

    /// Inputs taken.
    pub fn count(&self) -> usize {
        self.roots.len()
    }

    /// Whether a client's input was taken.
    pub fn has(&self, client: &ClientId) -> bool {
        has(&self.agreed.roster, client, &self.roots)
    }

    /// Dealers whose input has not come.
    pub fn expected(&self) -> Vec<ClientId> {
        self.agreed.missing(&self.roots)
    }

    /// Fixes the survivor set U3, for all in it ([`CollectingSignatures::expected`]).
    ///
    /// On a sparse graph every dealer, survivor or not, needs t of its picks among the survivors: its masks could not be taken off
    /// otherwise, and clients would sign nothing. What has been added cannot be taken out again, so the attempt ends there.
    ///
    /// # Errors
    /// [`CloseFailed`]: fewer than q inputs came, or a dealer is starved.
    pub fn close(self) -> Result<(CollectingSignatures, SurvivorsMsg), CloseFailed> {
        let Self { agreed, accumulator, roots } = self;
        let (have, need) = (count(&roots), agreed.roster.q);
        if have < need {
            return Err(QuorumLost { phase: Phase::Inputs, have, need }.into());
        }
        let survivors: BTreeSet<u32> = roots.keys().copied().collect();
        for dealer in &agreed.dealers {
            agreed
                .topology
                .check_live(*dealer, &survivors)
                .map_err(|fault| GraphRefused::by_id(&fault, |i| agreed.roster.client(i)))?;
        }
        let message = SurvivorsMsg { inputs: roots.iter().map(|(i, r)| InputRoot { index: *i, root: *r }).collect() };
        let root = inputs_root(&message.inputs);
        let ctx3 = context::ctx3(&agreed.ctx2, agreed.roster.len(), survivors.iter().copied(), &root);
        Ok((CollectingSignatures::new(agreed, accumulator, roots, ctx3), message))
    }
}
