//! R1: shares dealt; waits for the shares of the others.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sottovoce_types::Digest;

use super::{Dealt, Masking};
use crate::context;
use crate::dealing::{check_dealt, shares_root};
use crate::envelope::{Envelope, SealOnce, SharePair};
use crate::fault::Abort;
use crate::graph::GraphRefused;
use crate::kem::KemSecret;
use crate::keys::{OneTimeSecret, Share, ShareKind, same_commitment};
use crate::messages::{EnvelopesMsg, ShareEntry};
use crate::roster::{Member, Roster};
use crate::shamir::Quad;
use crate::topology::Topology;

/// A client that dealt its shares.
pub struct Shared {
    pub(super) roster: Arc<Roster>,
    pub(super) topology: Arc<Topology>,
    pub(super) me: u32,
    /// What stands for this client's dealing.
    pub(super) own_dealing: Digest,
    /// This client's shares of its own secrets, where it holds some.
    pub(super) own_shares: Option<SharePair>,
    pub(super) b: Quad,
    /// Seeds of this client's layers.
    pub(super) layers: Vec<Quad>,
    pub(super) mask: OneTimeSecret,
    pub(super) channel: OneTimeSecret,
    /// ML-KEM secrets of pairs, by position: those that this client encapsulated, until the envelopes bring the others.
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
    /// envelope that is not the signed one or is withheld, a ciphertext for the pair's mask that
    /// does not give what its dealer confirms; on a sparse graph fewer than t dealers among this client's picks.
    pub fn envelopes(self, message: EnvelopesMsg) -> Result<Masking, Abort> {
        let Self { roster, topology, me, own_dealing, own_shares, b, layers, mask, channel, mut pair_secrets } = self;
        let EnvelopesMsg { dealers: digests, dealt } = message;
        let have = u32::try_from(digests.len()).unwrap_or(u32::MAX);
        let need = roster.dealers_needed();
        if have < need {
            return Err(Abort::TooFewDealers { have, need });
        }
        // On a sparse graph, whoever sent no list has nobody to deal to.
        if !digests.is_sorted_by(|a, b| a.dealer < b.dealer)
            || digests.last().is_some_and(|last| last.dealer >= roster.len())
            || digests.iter().any(|d| topology.entries(d.dealer) == 0)
        {
            return Err(Abort::DealersMalformed);
        }
        let dealing_of = |dealer: u32| {
            let found = digests.binary_search_by_key(&dealer, |d| d.dealer).ok();
            found.and_then(|i| digests.get(i)).map(|d| d.digest)
        };
        if dealing_of(me) != Some(own_dealing) {
            return Err(Abort::OwnDealingAltered);
        }
        let dealers: BTreeSet<u32> = digests.iter().map(|d| d.dealer).collect();
        topology.check_live(me, &dealers).map_err(|fault| GraphRefused::by_id(&fault, |i| roster.client(i)))?;
        // One from each dealer that shares with this client, and from nobody else.
        let expected = topology.dealers(me, &dealers).filter(|dealer| *dealer != me);
        if !dealt.iter().map(|d| d.dealer).eq(expected) {
            return Err(Abort::DealersMalformed);
        }
        let mut held = BTreeMap::new();
        for dealt in &dealt {
            let dealer = roster.at(dealt.dealer).ok_or(Abort::DealersMalformed)?;
            let dealing = check_dealt(&roster, &topology, dealer, dealt, me)?;
            if dealing_of(dealt.dealer) != Some(dealing) {
                return Err(Abort::DealersMalformed);
            }
            if dealt.envelope.digest() != dealt.entry.envelope {
                return Err(Abort::EnvelopeAltered { dealer: dealer.client });
            }
            if topology.encapsulates(dealt.dealer, me)
                && let Some(secret) = pair_secret(&roster, &mask, dealer, me, &dealt.envelope)?
            {
                pair_secrets.insert(dealt.dealer, secret);
            }
            if let Some(pair) = open(&roster, &channel, dealer, me, &dealt.envelope, &dealt.entry) {
                held.insert(dealt.dealer, pair);
            }
        }
        held.extend(own_shares.map(|own| (me, own)));
        let (n, root) = (roster.len(), shares_root(&digests));
        let ctx2 = context::ctx2(&roster.ctx1, n, dealers.iter().copied(), &root, topology.root());
        Ok(Masking { dealt: Dealt { roster, topology, me, dealers, ctx2, held, layers }, b, mask, pair_secrets })
    }
}

/// The ML-KEM secret of the mask with a dealer that encapsulates for the pair; `None` where none was agreed on.
fn pair_secret(
    roster: &Roster,
    mask: &OneTimeSecret,
    dealer: &Member,
    me: u32,
    envelope: &Envelope,
) -> Result<Option<KemSecret>, Abort> {
    if dealer.kem.is_none() {
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
    let same = |share: &Share, kind, committed: &Digest| {
        same_commitment(&share.commitment(&roster.ctx1, kind, &dealer.client, &holder), committed)
    };
    let s = same(&pair.s, ShareKind::Mask, &entry.commit_s);
    let b = same(&pair.b, ShareKind::SelfMask, &entry.commit_b);
    let layers = (0..).zip(&pair.layers).zip(&entry.layers);
    let layers = layers.map(|((k, share), committed)| same(share, ShareKind::Layer(k), committed));
    let matches = layers.fold(s & b & (pair.layers.len() == entry.layers.len()), |all, one| all & one);
    matches.then_some(pair)
}
