//! R2 done: masked input sent; waits for the survivor set.
use std::collections::BTreeSet;

use sottovoce_types::Digest;

use super::{Consistent, Dealt};
use crate::context;
use crate::dealing::inputs_root;
use crate::fault::Abort;
use crate::graph::GraphRefused;
use crate::identity::Identity;
use crate::labels;
use crate::messages::{SurvivorSignatureMsg, SurvivorsMsg};

/// A client that sent its masked input. Its mask secrets are gone; it holds shares, and the seeds of its own layers.
pub struct Submitted {
    pub(super) dealt: Dealt,
    pub(super) root: Digest,
}

impl Submitted {
    /// Checks the survivor set U3 and signs ctx3, which covers all that was agreed so far. With it this client stands for its own
    /// advert, picks, shares and input, each of which it found unaltered. Those of the others are theirs to stand for:
    /// [`Consistent::quorum`] opens nothing before they did.
    ///
    /// The caller makes "signed ctx3" durable before the message leaves: at most one ctx3 per attempt is ever signed, also
    /// across restarts.
    ///
    /// # Errors
    /// [`Abort`]: this client not in U3, U3 not within U2, |U3| < q, another input named for this client, or, on a sparse graph, a
    /// survivor with fewer than t of its picks among the survivors.
    pub fn survivors(self, message: SurvivorsMsg, id: &Identity) -> Result<(Consistent, SurvivorSignatureMsg), Abort> {
        let Self { dealt, root } = self;
        if !message.inputs.is_sorted_by(|a, b| a.index < b.index)
            || !message.inputs.iter().all(|i| dealt.dealers.contains(&i.index))
        {
            return Err(Abort::SurvivorsMalformed);
        }
        let (have, need) = (u32::try_from(message.inputs.len()).unwrap_or(u32::MAX), dealt.roster.q);
        if have < need {
            return Err(Abort::TooFewSurvivors { have, need });
        }
        let own = message.inputs.iter().find(|i| i.index == dealt.me).ok_or(Abort::NotASurvivor)?;
        if own.root != root {
            return Err(Abort::OwnInputAltered);
        }
        let survivors: BTreeSet<u32> = message.inputs.iter().map(|i| i.index).collect();
        // All of them, not this client alone: an honest signer keeps whoever is starved from being cut off the others.
        dealt
            .topology
            .check_survivors(&survivors)
            .map_err(|fault| GraphRefused::by_id(&fault, |i| dealt.roster.client(i)))?;
        let ctx3 =
            context::ctx3(&dealt.ctx2, dealt.roster.len(), survivors.iter().copied(), &inputs_root(&message.inputs));
        let signature = id.sign(labels::CTX3, ctx3.as_bytes());
        Ok((Consistent { dealt, survivors, inputs: message.inputs, ctx3 }, SurvivorSignatureMsg { signature }))
    }
}
