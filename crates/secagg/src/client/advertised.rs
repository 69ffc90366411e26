//! R0: keys drawn and advertised; waits for the roster.
use std::collections::BTreeMap;

use rand_core::CryptoRng;
use sottovoce_types::{ClientId, Digest};

use super::Shared;
use crate::envelope::{SealOnce, SharePair};
use crate::fault::Abort;
use crate::identity::Identity;
use crate::kem::{Ciphertexts, KemSecret};
use crate::keys::{OneTimeKeys, Share, ShareKind, commit_b};
use crate::labels;
use crate::messages::{AdvertMsg, Dealing, RosterMsg, ShareEntry, SharesMsg};
use crate::roster::Roster;
use crate::session::{MaskSuite, Session};
use crate::shamir::{self, Quad};

/// A client that sent its advert. Make it *after* local training: late key exchange leaves few dropouts to recover.
pub struct Advertised {
    session: Session,
    keys: OneTimeKeys,
    own: AdvertMsg,
    /// Holders that get spoilt shares, in tests.
    #[cfg(test)]
    spoilt: Vec<u32>,
}

impl Advertised {
    /// Draws fresh one-time keys and signs an advert of them.
    ///
    /// # Errors
    /// [`Abort::NotAMember`], [`Abort::PlainRefused`], [`Abort::SuiteRefused`], [`Abort::RandomnessFailed`].
    pub fn start(
        session: Session,
        id: &Identity,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(Self, AdvertMsg), Abort> {
        let client = id.client_id();
        if session.members.get(&client) != Some(&id.public_key()) {
            return Err(Abort::NotAMember);
        }
        if session.suite.is_for_simulation() && !session.allow_plain {
            return Err(if session.suite == MaskSuite::None { Abort::PlainRefused } else { Abort::SuiteRefused });
        }
        let keys =
            OneTimeKeys::draw(&session.cfg, &client, session.key_agreement, rng).ok_or(Abort::RandomnessFailed)?;
        let mut own = AdvertMsg {
            cfg: session.cfg,
            client,
            pk_mask: keys.mask.public(),
            pk_chan: keys.channel.public(),
            commit_b: commit_b(&session.cfg, &client, &keys.b),
            kem: keys.kem(),
            nonce: keys.nonce,
            signature: [0; 64],
        };
        own.sign(id);
        let message = own.clone();
        let state = Self {
            session,
            keys,
            own,
            #[cfg(test)]
            spoilt: Vec::new(),
        };
        Ok((state, message))
    }

    /// Checks the roster, shares both secrets with everyone on it and seals the shares.
    ///
    /// # Errors
    /// [`Abort`]: own advert missing or altered, a roster that is too small, out of order, not signed by the coordinator,
    /// or that holds an unknown identity, a bad signature, a key twice or a weak key.
    pub fn roster(
        self,
        message: RosterMsg,
        id: &Identity,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(Shared, SharesMsg), Abort> {
        #[cfg(test)]
        let spoilt = self.spoilt.clone();
        let Self { session, keys, own, .. } = self;
        if !message.adverts.contains(&own) {
            return Err(Abort::OwnAdvertAltered);
        }
        let roster = Roster::accept(session, &message)?;
        let me = roster.position(&own.client).ok_or(Abort::OwnAdvertAltered)?;
        let shares = share_with_all(&roster, &keys, rng)?;
        #[cfg(test)]
        let shares = spoil(shares, &spoilt);
        let Dealt { dealing, envelopes, own_shares, pair_secrets } = deal(&roster, &keys, me, shares, id, rng);
        let OneTimeKeys { b, mask, channel, .. } = keys; // s is wiped here: the mask secret is all that is left of it
        let message = SharesMsg { dealing: dealing.clone(), envelopes };
        Ok((Shared { roster, me, dealing, own_shares, b, mask, channel, pair_secrets }, message))
    }

    /// This client's id.
    pub fn client(&self) -> ClientId {
        self.own.client
    }
}

struct Dealt {
    dealing: Dealing,
    envelopes: Vec<crate::envelope::Envelope>,
    own_shares: SharePair,
    /// ML-KEM secrets of the masks with later clients, by position.
    pair_secrets: BTreeMap<u32, KemSecret>,
}

/// Shares of s and of b for everyone on the roster, this client included: t shares of any survivor's b are then held by any t
/// survivors.
fn share_with_all(
    roster: &Roster,
    keys: &OneTimeKeys,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<(Vec<Quad>, Vec<Quad>), Abort> {
    let mut share = |secret| shamir::share(secret, roster.q, roster.len(), rng).ok_or(Abort::RandomnessFailed);
    Ok((share(&keys.s)?, share(&keys.b)?))
}

/// Commits to the shares and seals each for its holder.
fn deal(
    roster: &Roster,
    keys: &OneTimeKeys,
    me: u32,
    (of_s, of_b): (Vec<Quad>, Vec<Quad>),
    id: &Identity,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Dealt {
    let dealer = roster.client(me);
    let mut entries = Vec::with_capacity(of_s.len());
    let mut envelopes = Vec::with_capacity(of_s.len());
    let (mut own_shares, mut pair_secrets) = (None, BTreeMap::new());
    for (((holder, member), s), b) in roster.members().zip(of_s).zip(of_b) {
        let pair = SharePair { s: Share::with_opener(s, rng), b: Share::with_opener(b, rng) };
        let commit = |share: &Share, kind| share.commitment(&roster.ctx1, kind, &dealer, &member.client);
        let (commit_s, commit_b) = (commit(&pair.s, ShareKind::Mask), commit(&pair.b, ShareKind::SelfMask));
        let envelope = if holder == me {
            own_shares = Some(pair);
            no_envelope()
        } else {
            let agreed = keys.channel.agree(&member.pk_chan).expect("low-order keys were refused with the roster");
            let mut kem = None;
            let mut channel_secret = None;
            if let Some(theirs) = &member.kem {
                let sound = "unsound keys were refused with the roster";
                let (channel, secret) =
                    keys.channel.encapsulate_to(&roster.ctx1, &dealer, &member.client, &theirs.channel).expect(sound);
                channel_secret = Some(secret);
                // The earlier of two clients encapsulates for their mask.
                let mask = (me < holder).then(|| {
                    let made = keys.mask.mask_ciphertext(&roster.ctx1, &dealer, &member.client, &theirs.mask);
                    let (sent, secret) = made.expect(sound);
                    pair_secrets.insert(holder, secret);
                    sent
                });
                kem = Some(Box::new(Ciphertexts { channel, mask }));
            }
            let agreed = agreed.with_kem(channel_secret);
            let mut envelope = SealOnce::new(&agreed, &roster.ctx1, &dealer, &member.client).seal(&pair);
            envelope.1 = kem;
            let digest = envelope.digest();
            envelopes.push(envelope);
            digest
        };
        entries.push(ShareEntry { commit_s, commit_b, envelope });
    }
    let mut dealing = Dealing { entries, signature: [0; 64] };
    dealing.sign(&roster.ctx1, id);
    Dealt { dealing, envelopes, own_shares: own_shares.expect("this client is on the roster"), pair_secrets }
}

/// What stands where a dealer has no envelope: in its own place.
fn no_envelope() -> Digest {
    labels::ENVELOPE.hasher().field(&[]).finish()
}

/// For the tests in `inside.rs`, which cheat with them.
#[cfg(test)]
impl Advertised {
    /// Holders that are to get shares of another secret, under commitments that match.
    pub(crate) fn spoil_shares_of(&mut self, holders: &[u32]) {
        self.spoilt = holders.to_vec();
    }

    pub(crate) fn keys_mut(&mut self) -> &mut OneTimeKeys {
        &mut self.keys
    }

    pub(crate) fn own(&self) -> &AdvertMsg {
        &self.own
    }
}

#[cfg(test)]
fn spoil((mut of_s, mut of_b): (Vec<Quad>, Vec<Quad>), holders: &[u32]) -> (Vec<Quad>, Vec<Quad>) {
    let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::from_seed([99; 32]);
    for holder in holders.iter().filter_map(|h| usize::try_from(*h).ok()) {
        of_s[holder] = Quad::random(&mut rng).unwrap();
        of_b[holder] = Quad::random(&mut rng).unwrap();
    }
    (of_s, of_b)
}
