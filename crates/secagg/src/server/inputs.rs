//! R2: adds up masked inputs as they come; closes into the survivor set.
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use sottovoce_types::{ClientId, RingVec};

use super::{Agreed, CollectingSignatures, count, has};
use crate::chunks::{ChunkTree, Owner};
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
    inputs: BTreeMap<u32, InputRoot>,
}

impl CollectingInputs {
    pub(super) fn new(agreed: Agreed, accumulator: RingVec) -> Self {
        Self { agreed, accumulator, inputs: BTreeMap::new() }
    }

    /// Adds a client's masked input to the accumulator, once. Returns the tree of its chunks.
    ///
    /// # Errors
    /// [`PeerFault`]: dealt no shares, a second input, wrong length, or a bad signature. Nothing is added then.
    pub fn input(&mut self, from: ClientId, message: MaskedInputMsg) -> Result<ChunkTree, PeerFault> {
        self.input_on(from, message, std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// The same on so many threads at most.
    ///
    /// # Errors
    /// Those of [`Self::input`].
    pub fn input_on(
        &mut self,
        from: ClientId,
        message: MaskedInputMsg,
        workers: NonZeroUsize,
    ) -> Result<ChunkTree, PeerFault> {
        let (index, member) = self.agreed.owed(from, &self.inputs)?;
        if message.words.len() != self.accumulator.words().len() {
            return Err(PeerFault::Shape { client: from });
        }
        // Added while it is hashed, so that it passes through memory once; taken off again if its owner did not sign it.
        let tree = ChunkTree::adding(Owner::Input(from), &message.words, self.accumulator.words_mut(), workers);
        let root = tree.root();
        let signed = MaskedInputMsg::signed(&self.agreed.ctx2, &from, &root, message.words.len());
        if verify(&member.identity, labels::INPUT, signed.as_bytes(), &message.signature).is_err() {
            let sum = self.accumulator.words_mut().iter_mut();
            sum.zip(&message.words).for_each(|(sum, word)| *sum = sum.wrapping_sub(*word));
            return Err(PeerFault::Signature { client: from });
        }
        self.inputs.insert(index, InputRoot { index, root, signature: message.signature });
        Ok(tree)
    }

    /// Inputs taken.
    pub fn count(&self) -> usize {
        self.inputs.len()
    }

    /// Whether a client's input was taken.
    pub fn has(&self, client: &ClientId) -> bool {
        has(&self.agreed.roster, client, &self.inputs)
    }

    /// Dealers whose input has not come.
    pub fn expected(&self) -> Vec<ClientId> {
        self.agreed.missing(&self.inputs)
    }

    /// Fixes the survivor set U3, for all in it ([`CollectingSignatures::expected`]).
    ///
    /// On a sparse graph every dealer, survivor or not, needs t of its picks among the survivors: its masks could not be taken off
    /// otherwise, and clients would sign nothing. What has been added cannot be taken out again, so the attempt ends there.
    ///
    /// # Errors
    /// [`CloseFailed`]: fewer than q inputs came, or a dealer is starved.
    pub fn close(self) -> Result<(CollectingSignatures, SurvivorsMsg), CloseFailed> {
        let Self { agreed, accumulator, inputs } = self;
        let (have, need) = (count(&inputs), agreed.roster.q);
        if have < need {
            return Err(QuorumLost { phase: Phase::Inputs, have, need }.into());
        }
        let survivors: BTreeSet<u32> = inputs.keys().copied().collect();
        for dealer in &agreed.dealers {
            agreed
                .topology
                .check_live(*dealer, &survivors)
                .map_err(|fault| GraphRefused::by_id(&fault, |i| agreed.roster.client(i)))?;
        }
        let message = SurvivorsMsg { inputs: inputs.values().copied().collect() };
        let root = inputs_root(&message.inputs);
        let ctx3 = context::ctx3(&agreed.ctx2, agreed.roster.len(), survivors.iter().copied(), &root);
        Ok((CollectingSignatures::new(agreed, accumulator, message.inputs.clone(), ctx3), message))
    }
}
