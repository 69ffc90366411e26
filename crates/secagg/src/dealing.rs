//! What both roles compute alike: the roots that go into ctx2 and ctx3, the check of a dealer's signed list, and what a dropout
//! left in the sum.
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use sottovoce_types::Digest;

use crate::context::merkle_root;
use crate::fault::Abort;
use crate::identity::verify;
use crate::kem::{KemSecret, MaskCiphertext};
use crate::keys::OneTimeSecret;
use crate::labels;
use crate::mask::{MaskKey, Sign, parallel_map};
use crate::messages::{Dealing, InputRoot, ShareEntry};
use crate::roster::{Member, Roster};

/// What agrees on the masks of pairs in a hybrid agreement, by the earlier and the later position.
pub(crate) type PairCiphertexts = BTreeMap<(u32, u32), MaskCiphertext>;

/// Root over the signed dealings of U2.
pub(crate) fn shares_root<'a>(roster: &Roster, dealings: impl Iterator<Item = (u32, &'a Dealing)>) -> Digest {
    merkle_root(dealings.map(|(dealer, dealing)| {
        let mut leaf = dealer.to_le_bytes().to_vec();
        leaf.extend_from_slice(dealing.signed(&roster.ctx1, &roster.client(dealer)).as_bytes());
        leaf.extend_from_slice(&dealing.signature);
        leaf
    }))
}

/// Checks a dealer's signed list and returns what it says about `holder`.
pub(crate) fn signed_entry(
    roster: &Roster,
    dealer: &Member,
    dealing: &Dealing,
    holder: u32,
) -> Result<ShareEntry, Abort> {
    let bad = Abort::DealingSignature { dealer: dealer.client };
    if u32::try_from(dealing.entries.len()) != Ok(roster.len()) {
        return Err(bad);
    }
    let signed = dealing.signed(&roster.ctx1, &dealer.client);
    verify(&dealer.identity, labels::SHARES, signed.as_bytes(), &dealing.signature).map_err(|_| bad.clone())?;
    usize::try_from(holder).ok().and_then(|i| dealing.entries.get(i)).copied().ok_or(bad)
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
    roster: &Roster,
    ctx2: &Digest,
    (dealer, secret): (u32, &OneTimeSecret),
    survivors: &BTreeSet<u32>,
    ciphertexts: &PairCiphertexts,
    workers: NonZeroUsize,
) -> Result<Vec<(MaskKey, Sign)>, u32> {
    let gone = roster.client(dealer);
    let survivors: Vec<u32> = survivors.iter().copied().collect();
    let masks = parallel_map(&survivors, workers, |survivor| {
        let peer = roster.at(*survivor).expect("survivors are on the roster");
        let shared = secret.agree(&peer.pk_mask).expect("low-order keys were refused with the adverts");
        let shared = shared.with_kem(pair_secret(roster, (dealer, secret), (*survivor, peer), ciphertexts)?);
        // The survivor added this mask if it is the earlier of the two.
        let sign = if *survivor < dealer { Sign::Subtract } else { Sign::Add };
        Ok((shared.pair_mask(ctx2, &gone, &peer.client), sign))
    });
    masks.into_iter().collect()
}

/// The ML-KEM secret between a dropout and a survivor, made again from the dropout's secret; `None` where none was agreed on.
fn pair_secret(
    roster: &Roster,
    (dealer, secret): (u32, &OneTimeSecret),
    (survivor, peer): (u32, &Member),
    ciphertexts: &PairCiphertexts,
) -> Result<Option<KemSecret>, u32> {
    let Some(theirs) = &peer.kem else { return Ok(None) };
    let (gone, ctx1) = (roster.client(dealer), &roster.ctx1);
    let earlier = dealer.min(survivor);
    let sent = ciphertexts.get(&(earlier, dealer.max(survivor))).ok_or(earlier)?;
    if dealer < survivor {
        let (made, secret) = secret.mask_ciphertext(ctx1, &gone, &peer.client, &theirs.mask).ok_or(earlier)?;
        if made == *sent { Ok(Some(secret)) } else { Err(earlier) }
    } else {
        secret.mask_secret(ctx1, &peer.client, &gone, sent).map(Some).ok_or(earlier)
    }
}
