//! R2: all masks known; waits for this client's input.
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use sottovoce_types::{Digest, LayerRule, RingVec};

use super::{Dealt, Submitted};
use crate::chunks::{ChunkTree, Owner};
use crate::fault::Abort;
use crate::identity::Identity;
use crate::kem::KemSecret;
use crate::keys::{LayerKey, OneTimeSecret, self_mask};
use crate::labels;
use crate::mask::{Sign, expand_all};
use crate::messages::MaskedInputMsg;
use crate::session::honest_floor;
use crate::shamir::Quad;

/// A client that can mask its input.
pub struct Masking {
    pub(super) dealt: Dealt,
    pub(super) b: Quad,
    pub(super) mask: OneTimeSecret,
    /// ML-KEM secrets of the pairs, by position, in a hybrid agreement.
    pub(super) pair_secrets: BTreeMap<u32, KemSecret>,
}

impl Masking {
    /// The context once the dealers are fixed: what all masks are derived from.
    pub fn ctx2(&self) -> Digest {
        self.dealt.ctx2
    }

    /// q − f: honest inputs guaranteed in any sum that can be opened; the noise of each client is sized for it.
    pub fn honest_floor(&self) -> u32 {
        honest_floor(self.dealt.roster.len(), self.dealt.roster.session.max_corrupt)
    }

    /// How this attempt's noise is split into layers; `None` in a session without.
    pub fn layer_rule(&self) -> Option<LayerRule> {
        let dealers = u32::try_from(self.dealt.dealers.len()).unwrap_or(u32::MAX);
        self.dealt.roster.session.layer_rule(self.dealt.roster.len(), dealers)
    }

    /// What the layers of this client's noise are to be drawn from, one for each layer of [`Masking::layer_rule`]. Seeds beyond these stay unused.
    pub fn layer_keys(&self) -> Vec<LayerKey> {
        let (own, count) = (self.dealt.roster.client(self.dealt.me), self.layer_rule().map_or(0, LayerRule::layers));
        (0..count).zip(&self.dealt.layers).map(|(k, seed)| LayerKey::new(&self.dealt.ctx2, &own, k, seed)).collect()
    }

    /// n: clients on the roster.
    pub fn roster_size(&self) -> u32 {
        self.dealt.roster.len()
    }

    /// Masks the input in place and signs the result:
    /// y_i = x_i + PRG(b_i) + Σ_{j ∈ N, j > i} PRG(k_ij) − Σ_{j ∈ N, j < i} PRG(k_ij) in (Z_2^64)^W, where N is U2 or, on a sparse
    /// graph, those of U2 that i picked or that picked i.
    ///
    /// # Errors
    /// [`Abort::InputShape`] when words or lanes are not those agreed.
    pub fn submit(self, input: RingVec, id: &Identity) -> Result<(Submitted, MaskedInputMsg), Abort> {
        let Self { dealt, b, mask, mut pair_secrets } = self;
        let Dealt { roster, topology, me, dealers, ctx2, .. } = &dealt;
        let session = &roster.session;
        if input.words().len() != session.words || input.lanes() != session.lanes {
            return Err(Abort::InputShape { words: input.words().len(), expected: session.words });
        }
        let own = roster.client(*me);
        let mut masked = input;
        if let Some(prg) = roster.prg() {
            let own_mask = std::iter::once((self_mask(ctx2, &own, &b), Sign::Add));
            let pair_masks = topology.mask_peers(*me, dealers).into_iter().map(|position| {
                let peer = roster.at(position).expect("dealers were checked against the roster");
                let agreed = mask.agree(&peer.pk_mask).expect("low-order keys were refused with the roster");
                let agreed = agreed.with_kem(pair_secrets.remove(&position));
                let sign = if position > *me { Sign::Add } else { Sign::Subtract };
                (agreed.pair_mask(ctx2, &own, &peer.client), sign)
            });
            // One thread: a client shares its machine with what it is there for.
            expand_all(prg, own_mask.chain(pair_masks), masked.words_mut(), NonZeroUsize::MIN);
        }
        let words = masked.into_words();
        let root = ChunkTree::of(Owner::Input(own), &words, NonZeroUsize::MIN).root();
        let signed = MaskedInputMsg::signed(ctx2, &own, &root, words.len());
        let signature = id.sign(labels::INPUT, signed.as_bytes());
        Ok((Submitted { dealt, root }, MaskedInputMsg { words, signature }))
    }
}

/// For the tests in `inside.rs`, which take self masks off and pool what corrupt holders have.
#[cfg(test)]
impl Masking {
    /// The shares of this dealer that this client holds.
    pub(crate) fn held(&self, dealer: u32) -> &crate::envelope::SharePair {
        &self.dealt.held[&dealer]
    }

    /// The public mask keys, in roster order.
    pub(crate) fn public_mask_keys(&self) -> Vec<[u8; 32]> {
        self.dealt.roster.members().map(|(_, member)| member.pk_mask).collect()
    }

    pub(crate) fn self_seed(&self) -> &Quad {
        &self.b
    }
}
