//! What both roles compute alike: the roots that go into ctx2 and ctx3, and the check of a dealer's signed list.
use sottovoce_types::Digest;

use crate::fault::Abort;
use crate::identity::verify;
use crate::labels;
use crate::merkle::{merkle_root, root_by_path};
use crate::messages::{DealerDigest, DealtToYou, InputRoot, dealing_digest, dealing_signed};
use crate::roster::{Member, Roster};
use crate::topology::Topology;

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
