//! Dealing: shares of both secrets for every holder, committed to, sealed and signed.
use std::collections::BTreeMap;
use std::sync::Arc;

use rand_core::CryptoRng;
use sottovoce_types::Digest;

use super::Shared;
use crate::envelope::{Envelope, SealOnce, SharePair};
use crate::fault::Abort;
use crate::identity::Identity;
use crate::kem::{Ciphertexts, KemSecret};
use crate::keys::{OneTimeKeys, Share, ShareKind};
use crate::labels;
use crate::messages::{Dealing, ShareEntry, SharesMsg, dealing_digest, dealing_signed};
use crate::roster::Roster;
use crate::shamir::{self, Quad};
use crate::topology::Topology;

/// Shares s and b among this client's holders with the graph's threshold. On the complete graph it is one of them: t shares of
/// any survivor's b are then held by any t survivors.
pub(super) fn deal(
    roster: Arc<Roster>,
    topology: Arc<Topology>,
    keys: OneTimeKeys,
    me: u32,
    id: &Identity,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<(Shared, SharesMsg), Abort> {
    let holders = topology.holders(me);
    let mut share = |secret| {
        let holders = holders.iter().copied();
        shamir::share_among(secret, topology.threshold(), holders, rng).ok_or(Abort::RandomnessFailed)
    };
    let (of_s, of_b) = (share(&keys.s)?, share(&keys.b)?);
    #[cfg(test)]
    let (of_s, of_b) = spoil((of_s, of_b), &holders, &keys.spoilt);
    let of_layers = keys.layers.iter().map(share).collect::<Result<Vec<_>, _>>()?;
    let shares = Shares { mask: of_s, self_mask: of_b, layers: of_layers };
    let Sealed { dealing, envelopes, own_shares, pair_secrets } = seal(&roster, &topology, &keys, me, shares, id, rng);
    let signed = dealing_signed(&roster.ctx1, &roster.client(me), dealing.entries.len(), &dealing.tree().root());
    let own_dealing = dealing_digest(&signed, &dealing.signature);
    // s is wiped here: the mask secret is all that is left of it.
    let OneTimeKeys { b, layers, mask, channel, .. } = keys;
    drop(holders);
    let message = SharesMsg { dealing, envelopes };
    Ok((Shared { roster, topology, me, own_dealing, own_shares, b, layers, mask, channel, pair_secrets }, message))
}

/// What is shared, by holder.
struct Shares {
    /// Of s.
    mask: Vec<Quad>,
    /// Of b.
    self_mask: Vec<Quad>,
    /// By layer, then by holder.
    layers: Vec<Vec<Quad>>,
}

struct Sealed {
    dealing: Dealing,
    envelopes: Vec<Envelope>,
    own_shares: Option<SharePair>,
    /// ML-KEM secrets of the masks for which this client encapsulates, by position of the other.
    pair_secrets: BTreeMap<u32, KemSecret>,
}

/// Commits to the shares and seals each for its holder.
fn seal(
    roster: &Roster,
    topology: &Topology,
    keys: &OneTimeKeys,
    me: u32,
    shares: Shares,
    id: &Identity,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Sealed {
    let holders = topology.holders(me);
    let dealer = roster.client(me);
    let mut entries = Vec::with_capacity(shares.mask.len());
    let mut envelopes = Vec::with_capacity(shares.mask.len());
    let (mut own_shares, mut pair_secrets) = (None, BTreeMap::new());
    let Shares { mask: of_s, self_mask: of_b, layers } = shares;
    let mut of_layers: Vec<_> = layers.into_iter().map(Vec::into_iter).collect();
    for ((holder, s), b) in holders.iter().zip(of_s).zip(of_b) {
        let member = roster.at(*holder).expect("holders are on the roster");
        let (s, b) = (Share::with_opener(s, rng), Share::with_opener(b, rng));
        let of_holder = of_layers.iter_mut().map(|shares| shares.next().expect("one share a holder"));
        let pair = SharePair { s, b, layers: of_holder.map(|share| Share::with_opener(share, rng)).collect() };
        let commit = |share: &Share, kind| share.commitment(&roster.ctx1, kind, &dealer, &member.client);
        let (commit_s, commit_b) = (commit(&pair.s, ShareKind::Mask), commit(&pair.b, ShareKind::SelfMask));
        let layers = (0..).zip(&pair.layers).map(|(k, share)| commit(share, ShareKind::Layer(k))).collect();
        let envelope = if *holder == me {
            own_shares = Some(pair);
            no_envelope()
        } else {
            let agreed = keys.channel.agree(&member.pk_chan).expect("low-order keys were refused with the roster");
            let (kem, channel_secret) = match &member.kem {
                Some(theirs) => {
                    let (ctx1, sound) = (&roster.ctx1, "unsound keys were refused with the roster");
                    let sent = keys.channel.encapsulate_to(ctx1, &dealer, &member.client, &theirs.channel);
                    let (channel, channel_secret) = sent.expect(sound);
                    let mask = topology.encapsulates(me, *holder).then(|| {
                        let made = keys.mask.mask_ciphertext(ctx1, &dealer, &member.client, &theirs.mask);
                        let (sent, secret) = made.expect(sound);
                        pair_secrets.insert(*holder, secret);
                        sent
                    });
                    (Some(Box::new(Ciphertexts { channel, mask })), Some(channel_secret))
                }
                None => (None, None),
            };
            let agreed = agreed.with_kem(channel_secret);
            let mut envelope = SealOnce::new(&agreed, &roster.ctx1, &dealer, &member.client).seal(&pair);
            envelope.1 = kem;
            let digest = envelope.digest();
            envelopes.push(envelope);
            digest
        };
        entries.push(ShareEntry { commit_s, commit_b, envelope, layers });
    }
    let mut dealing = Dealing { entries, signature: [0; 64] };
    dealing.sign(&roster.ctx1, id);
    Sealed { dealing, envelopes, own_shares, pair_secrets }
}

/// What stands where a dealer has no envelope: in its own place.
fn no_envelope() -> Digest {
    labels::ENVELOPE.hasher().field(&[]).finish()
}

#[cfg(test)]
fn spoil((mut of_s, mut of_b): (Vec<Quad>, Vec<Quad>), holders: &[u32], spoilt: &[u32]) -> (Vec<Quad>, Vec<Quad>) {
    let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::from_seed([99; 32]);
    for slot in spoilt.iter().filter_map(|holder| holders.binary_search(holder).ok()) {
        of_s[slot] = Quad::random(&mut rng).unwrap();
        of_b[slot] = Quad::random(&mut rng).unwrap();
    }
    (of_s, of_b)
}
