//! What both roles compute alike: the roots that go into ctx2 and ctx3, and the check of a dealer's signed list.
use sottovoce_types::Digest;

use crate::context::merkle_root;
use crate::fault::Abort;
use crate::identity::verify;
use crate::labels;
use crate::messages::{Dealing, InputRoot, ShareEntry};
use crate::roster::{Member, Roster};

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
