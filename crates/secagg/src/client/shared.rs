//! R1: shares dealt; waits for the shares of the others.
use std::collections::{BTreeMap, BTreeSet};

use sottovoce_types::Digest;

use super::{Dealt, Masking};
use crate::context;
use crate::dealing::{shares_root, signed_entry};
use crate::envelope::{Envelope, SealOnce, SharePair};
use crate::fault::Abort;
use crate::kem::KemSecret;
use crate::keys::{OneTimeSecret, ShareKind};
use crate::messages::{Dealing, EnvelopesMsg, ShareEntry};
use crate::roster::{Member, Roster};
use crate::shamir::Quad;

/// A client that dealt its shares.
pub struct Shared {
    pub(super) roster: Roster,
    pub(super) me: u32,
    pub(super) dealing: Dealing,
    pub(super) own_shares: SharePair,
    pub(super) b: Quad,
    pub(super) mask: OneTimeSecret,
    pub(super) channel: OneTimeSecret,
    /// ML-KEM secrets of pairs, by position: those of later clients, until the envelopes bring the others.
    pub(super) pair_secrets: BTreeMap<u32, KemSecret>,
}

impl Shared {
    /// The context once the roster is fixed: what this client's shares are bound to.
    pub fn ctx1(&self) -> Digest {
        self.roster.ctx1
    }

    /// Fixes U2, the set of dealers, opens the envelopes and derives ctx2.
    ///
    /// An envelope that is as its dealer signed it and still does not open, or whose shares do not match the dealer's
    /// commitments, counts as absent; the opening will say so.
    ///
    /// # Errors
    /// [`Abort`]: fewer dealers than max(q, n_min), own dealing missing or altered, a dealing not signed by its dealer, an
    /// envelope that is not the signed one, a ciphertext for the pair's mask that does not give what its dealer confirms.
    pub fn envelopes(self, message: EnvelopesMsg) -> Result<Masking, Abort> {
        let Self { roster, me, dealing, own_shares, b, mask, channel, mut pair_secrets } = self;
        let have = u32::try_from(message.dealt.len()).unwrap_or(u32::MAX);
        let need = roster.dealers_needed();
        if have < need {
            return Err(Abort::TooFewDealers { have, need });
        }
        if !message.dealt.is_sorted_by(|a, b| a.dealer < b.dealer) {
            return Err(Abort::DealersMalformed);
        }
        let own = message.dealt.iter().find(|d| d.dealer == me).ok_or(Abort::OwnDealingAltered)?;
        if own.dealing != dealing || own.envelope.is_some() {
            return Err(Abort::OwnDealingAltered);
        }
        let mut held = BTreeMap::new();
        for dealt in message.dealt.iter().filter(|d| d.dealer != me) {
            let dealer = roster.at(dealt.dealer).ok_or(Abort::DealersMalformed)?;
            let entry = signed_entry(&roster, dealer, &dealt.dealing, me)?;
            let altered = Abort::EnvelopeAltered { dealer: dealer.client };
            let envelope = dealt.envelope.as_ref().ok_or(altered.clone())?;
            if envelope.digest() != entry.envelope {
                return Err(altered);
            }
            if let Some(secret) = pair_secret(&roster, &mask, dealer, dealt.dealer, me, envelope)? {
                pair_secrets.insert(dealt.dealer, secret);
            }
            if let Some(pair) = open(&roster, &channel, dealer, me, envelope, &entry) {
                held.insert(dealt.dealer, pair);
            }
        }
        held.insert(me, own_shares);
        let dealers: BTreeSet<u32> = message.dealt.iter().map(|d| d.dealer).collect();
        let shares_root = shares_root(&roster, message.dealt.iter().map(|d| (d.dealer, &d.dealing)));
        let ctx2 = context::ctx2(&roster.ctx1, roster.len(), dealers.iter().copied(), &shares_root);
        Ok(Masking { dealt: Dealt { roster, me, dealers, ctx2, held }, b, mask, pair_secrets })
    }
}

/// The ML-KEM secret of the mask with a dealer that is earlier on the roster; `None` where it is later, or none was agreed on.
fn pair_secret(
    roster: &Roster,
    mask: &OneTimeSecret,
    dealer: &Member,
    position: u32,
    me: u32,
    envelope: &Envelope,
) -> Result<Option<KemSecret>, Abort> {
    if dealer.kem.is_none() || position > me {
        return Ok(None);
    }
    let sent = envelope.1.as_ref().and_then(|kem| kem.mask.as_ref());
    let secret = sent.and_then(|sent| mask.mask_secret(&roster.ctx1, &dealer.client, &roster.client(me), sent));
    secret.map(Some).ok_or(Abort::MaskCiphertext { dealer: dealer.client })
}

/// The shares in an envelope, if they are the ones that the dealer committed to.
fn open(
    roster: &Roster,
    channel: &OneTimeSecret,
    dealer: &Member,
    me: u32,
    envelope: &Envelope,
    entry: &ShareEntry,
) -> Option<SharePair> {
    let holder = roster.client(me);
    let secret = envelope.1.as_ref().and_then(|sent| channel.channel_secret(sent));
    let agreed = channel.agree(&dealer.pk_chan)?.with_kem(secret);
    let pair = SealOnce::new(&agreed, &roster.ctx1, &dealer.client, &holder).open(envelope)?;
    let matches = pair.s.commitment(&roster.ctx1, ShareKind::Mask, &dealer.client, &holder) == entry.commit_s
        && pair.b.commitment(&roster.ctx1, ShareKind::SelfMask, &dealer.client, &holder) == entry.commit_b;
    matches.then_some(pair)
}
