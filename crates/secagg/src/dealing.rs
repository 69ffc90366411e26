//! What both roles compute alike: the roots that go into ctx2 and ctx3, the check of a dealer's signed list, and what a dropout
//! left in the sum.
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use sottovoce_types::Digest;

use crate::fault::Abort;
use crate::identity::verify;
use crate::kem::{KemSecret, MaskCiphertext};
use crate::keys::OneTimeSecret;
use crate::labels;
use crate::mask::{MaskKey, Sign, parallel_map};
use crate::merkle::{merkle_root, root_by_path};
use crate::messages::{DealerDigest, DealtToYou, InputRoot, dealing_digest, dealing_signed};
use crate::roster::{Member, Roster};
use crate::topology::Topology;

/// What agrees on the masks of pairs in a hybrid agreement, by who encapsulates and to whom.
pub(crate) type PairCiphertexts = BTreeMap<(u32, u32), MaskCiphertext>;

/// Root over what stands for the dealings of U2.
pub(crate) fn shares_root(dealers: &[DealerDigest]) -> Digest {
    merkle_root(dealers.iter().map(|d| {
        let mut leaf = [0; 36];
        let (dealer, digest) = leaf.split_at_mut(4);
        dealer.copy_from_slice(&d.dealer.to_le_bytes());
        digest.copy_from_slice(d.digest.as_bytes());
        leaf
    }))
}

/// Checks that a dealer signed for what it is said to have dealt to `holder`; what stands for its whole dealing.
pub(crate) fn check_dealt(
    roster: &Roster,
    topology: &Topology,
    dealer: &Member,
    dealt: &DealtToYou,
    holder: u32,
) -> Result<Digest, Abort> {
    let bad = || Abort::DealingSignature { dealer: dealer.client };
    let entries = topology.entries(dealt.dealer);
    let slot = topology.slot(dealt.dealer, holder).ok_or_else(bad)?;
    let root = root_by_path(&dealt.entry.leaf(), slot, entries, &dealt.path).ok_or_else(bad)?;
    let signed = dealing_signed(&roster.ctx1, &dealer.client, entries, &root);
    verify(&dealer.identity, labels::SHARES, signed.as_bytes(), &dealt.signature).map_err(|_| bad())?;
    Ok(dealing_digest(&signed, &dealt.signature))
}

/// Root over the inputs of the survivors.
pub(crate) fn inputs_root(inputs: &[InputRoot]) -> Digest {
    merkle_root(inputs.iter().map(|i| {
        let mut leaf = i.index.to_le_bytes().to_vec();
        leaf.extend_from_slice(i.root.as_bytes());
        leaf
    }))
}

/// The masks between a dealer that dropped out and the survivors, each with the sign that undoes what the survivor did. The
/// key agreements, which for short vectors cost more than the masks, are shared out among the threads. An error is the position of
/// whoever sent a ciphertext that does not fit.
pub(crate) fn left_by(
    (roster, topology): (&Roster, &Topology),
    ctx2: &Digest,
    (dealer, secret): (u32, &OneTimeSecret),
    survivors: &BTreeSet<u32>,
    ciphertexts: &PairCiphertexts,
    workers: NonZeroUsize,
) -> Result<Vec<(MaskKey, Sign)>, u32> {
    let gone = roster.client(dealer);
    let survivors = topology.mask_peers(dealer, survivors);
    let masks = parallel_map(&survivors, workers, |survivor| {
        let peer = roster.at(*survivor).expect("survivors are on the roster");
        let shared = secret.agree(&peer.pk_mask).expect("low-order keys were refused with the adverts");
        let shared =
            shared.with_kem(pair_secret((roster, topology), (dealer, secret), (*survivor, peer), ciphertexts)?);
        // The survivor added this mask if it is the earlier of the two.
        let sign = if *survivor < dealer { Sign::Subtract } else { Sign::Add };
        Ok((shared.pair_mask(ctx2, &gone, &peer.client), sign))
    });
    masks.into_iter().collect()
}

/// The ML-KEM secret between a dropout and a survivor, made again from the dropout's secret; `None` where none was agreed on.
fn pair_secret(
    (roster, topology): (&Roster, &Topology),
    (dealer, secret): (u32, &OneTimeSecret),
    (survivor, peer): (u32, &Member),
    ciphertexts: &PairCiphertexts,
) -> Result<Option<KemSecret>, u32> {
    let Some(theirs) = &peer.kem else { return Ok(None) };
    let (gone, ctx1) = (roster.client(dealer), &roster.ctx1);
    if topology.encapsulates(dealer, survivor) {
        let sent = ciphertexts.get(&(dealer, survivor)).ok_or(dealer)?;
        let (made, secret) = secret.mask_ciphertext(ctx1, &gone, &peer.client, &theirs.mask).ok_or(dealer)?;
        if made == *sent { Ok(Some(secret)) } else { Err(dealer) }
    } else {
        let sent = ciphertexts.get(&(survivor, dealer)).ok_or(survivor)?;
        secret.mask_secret(ctx1, &peer.client, &gone, sent).map(Some).ok_or(survivor)
    }
}
