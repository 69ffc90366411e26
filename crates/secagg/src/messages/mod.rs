//! The messages of R0 to R4. They are what came from outside: nothing in them is trusted before a state has checked it.
mod codec;

use std::sync::Arc;

use sottovoce_types::{ClientId, Digest};
use sottovoce_wire::Encode;
use zeroize::Zeroize;

use crate::envelope::Envelope;
use crate::fault::Abort;
use crate::graph::PicksMsg;
use crate::identity::{BadSignature, Identity, verify};
use crate::kem::KemKeys;
use crate::labels;
use crate::merkle::{MerkleTree, merkle_root};

/// R0, client to coordinator: one-time public keys under the identity's signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdvertMsg {
    /// The attempt's configuration.
    pub cfg: Digest,
    /// The sender.
    pub client: ClientId,
    /// X25519 key of the pairwise masks.
    pub pk_mask: [u8; 32],
    /// X25519 key of the envelopes.
    pub pk_chan: [u8; 32],
    /// Commitment to the self-mask seed.
    pub commit_b: Digest,
    /// Commitments to the seeds of its layers, as many as the session has.
    pub commit_layers: Vec<Digest>,
    /// ML-KEM keys of masks and envelopes, in a hybrid agreement.
    pub kem: Option<Box<KemKeys>>,
    /// Fresh bytes.
    pub nonce: [u8; 32],
    /// By the identity key, over all of the above.
    pub signature: [u8; 64],
}

impl AdvertMsg {
    /// Puts the identity's signature over the other fields in place of the one there.
    pub fn sign(&mut self, id: &Identity) {
        self.signature = id.sign(labels::ADVERT, self.signed().as_bytes());
    }

    /// What the signature is over.
    pub(crate) fn signed(&self) -> Digest {
        let mut hasher = labels::ADVERT.hasher();
        hasher
            .field(self.cfg.as_bytes())
            .field(&self.client.0)
            .field(&self.pk_mask)
            .field(&self.pk_chan)
            .field(self.commit_b.as_bytes())
            .field(&self.nonce);
        if let Some(kem) = &self.kem {
            hasher.field(&kem.mask).field(&kem.channel);
        }
        for commitment in &self.commit_layers {
            hasher.field(commitment.as_bytes());
        }
        hasher.finish()
    }
}

/// R0′, coordinator to clients: all adverts, by ascending client id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RosterMsg {
    /// The adverts.
    pub adverts: Vec<AdvertMsg>,
    /// By the coordinator, over configuration, root of the adverts and their number.
    pub signature: [u8; 64],
}

impl RosterMsg {
    /// Puts the coordinator's signature over the adverts in place of the one there.
    pub fn sign(&mut self, cfg: &Digest, id: &Identity) {
        self.signature = id.sign(labels::ROSTER, self.signed(cfg).as_bytes());
    }

    /// Root over the adverts as encoded.
    pub(crate) fn root(&self) -> Digest {
        merkle_root(self.adverts.iter().map(Encode::to_bytes))
    }

    /// What the coordinator signs.
    pub(crate) fn signed(&self, cfg: &Digest) -> Digest {
        let n = u64::try_from(self.adverts.len()).expect("a length fits 64 bits");
        labels::ROSTER.hasher().field(cfg.as_bytes()).field(self.root().as_bytes()).number(n).finish()
    }
}

/// One client's list, as the coordinator shows it to the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PickedBy {
    /// Roster position of the picker.
    pub picker: u32,
    /// Its signed list.
    pub list: PicksMsg,
}

/// R0″, coordinator to clients, where clients pick their neighbours: all lists, by ascending roster position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GraphMsg {
    /// One a client that picked.
    pub lists: Vec<PickedBy>,
}

/// What a dealer commits to for one holder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShareEntry {
    /// Commitment to the share of s.
    pub commit_s: Digest,
    /// Commitment to the share of b.
    pub commit_b: Digest,
    /// Hash of the envelope; of no bytes for the dealer itself.
    pub envelope: Digest,
    /// Commitments to the shares of the seeds of its layers.
    pub layers: Vec<Digest>,
}

impl ShareEntry {
    /// As it stands in the dealer's tree.
    pub(crate) fn leaf(&self) -> Vec<u8> {
        let parts = [&self.commit_s, &self.commit_b, &self.envelope].into_iter().chain(&self.layers);
        parts.flat_map(|part| part.0).collect()
    }
}

/// A dealer's signed commitments to its holders, by ascending position: everybody on the roster, itself included, or those that
/// it picked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dealing {
    /// One a holder.
    pub entries: Vec<ShareEntry>,
    /// By the dealer.
    pub signature: [u8; 64],
}

impl Dealing {
    /// Puts the dealer's signature over the entries in place of the one there.
    pub fn sign(&mut self, ctx1: &Digest, id: &Identity) {
        let signed = dealing_signed(ctx1, &id.client_id(), self.entries.len(), &self.tree().root());
        self.signature = id.sign(labels::SHARES, signed.as_bytes());
    }

    /// The tree over the entries, of which each holder sees its own leaf.
    pub(crate) fn tree(&self) -> MerkleTree {
        MerkleTree::new(self.entries.iter().map(ShareEntry::leaf))
    }
}

/// What a dealer signs: context, itself, and its entries by their number and the root over them.
pub(crate) fn dealing_signed(ctx1: &Digest, dealer: &ClientId, entries: usize, root: &Digest) -> Digest {
    let entries = u64::try_from(entries).expect("a length fits 64 bits");
    let mut hasher = labels::SHARES.hasher();
    hasher.field(ctx1.as_bytes()).field(&dealer.0).number(entries).field(root.as_bytes()).finish()
}

/// What stands for a signed dealing among those of U2.
pub(crate) fn dealing_digest(signed: &Digest, signature: &[u8; 64]) -> Digest {
    labels::DEALING.hasher().field(signed.as_bytes()).field(signature).finish()
}

/// R1, client to coordinator: commitments, and an envelope for every holder but the dealer itself, in the same order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharesMsg {
    /// The commitments.
    pub dealing: Dealing,
    /// On the complete graph n − 1: the dealer's own place is left out.
    pub envelopes: Vec<Envelope>,
}

/// A member of U2 and what stands for its dealing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DealerDigest {
    /// Roster position of the dealer.
    pub dealer: u32,
    /// Hash of its signed dealing.
    pub digest: Digest,
}

/// What one dealer gave the addressee.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DealtToYou {
    /// Roster position of the dealer.
    pub dealer: u32,
    /// Its commitments to the addressee.
    pub entry: ShareEntry,
    /// From these to the root over all its commitments.
    pub path: Vec<Digest>,
    /// Its signature over that root.
    pub signature: [u8; 64],
    /// Its envelope.
    pub envelope: Envelope,
}

/// R1, coordinator to one client: who dealt (U2), and what those of them gave it that share with it, both by ascending roster
/// position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnvelopesMsg {
    /// One a dealer, the same for all clients.
    pub dealers: Arc<Vec<DealerDigest>>,
    /// One a dealer whose shares the addressee holds, without itself.
    pub dealt: Vec<DealtToYou>,
}

/// R2, client to coordinator: the masked input and a signature over its root.
#[derive(Clone, PartialEq, Eq)]
pub struct MaskedInputMsg {
    /// `[words]`, uniform to everyone but the sender.
    pub words: Vec<u64>,
    /// By the sender, over ctx2, the root of the words ([`crate::chunks`]) and their number.
    pub signature: [u8; 64],
}

// Debug stops at the length: with suite None the words are the input itself.
impl std::fmt::Debug for MaskedInputMsg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MaskedInputMsg({} words)", self.words.len())
    }
}

impl MaskedInputMsg {
    /// The masked words.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// What the sender signs: (ctx2, root_i, W).
    pub(crate) fn signed(ctx2: &Digest, client: &ClientId, root: &Digest, words: usize) -> Digest {
        let words = u64::try_from(words).expect("a length fits 64 bits");
        labels::INPUT.hasher().field(ctx2.as_bytes()).field(&client.0).field(root.as_bytes()).number(words).finish()
    }
}

/// One survivor and the root of its input, which it signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InputRoot {
    /// Roster position.
    pub index: u32,
    /// Root of the masked input ([`crate::chunks`]).
    pub root: Digest,
    /// The survivor's, over ctx2, root and number of words: nobody else can put an input in its place.
    pub signature: [u8; 64],
}

/// R3, coordinator to clients: the survivor set U3 by ascending roster position, with the signed root of each input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SurvivorsMsg {
    /// One a survivor.
    pub inputs: Vec<InputRoot>,
}

/// R3, client to coordinator: a signature over ctx3.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SurvivorSignatureMsg {
    /// By the sender.
    pub signature: [u8; 64],
}

/// A signature and who made it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedBy {
    /// Roster position of the signer.
    pub index: u32,
    /// The signature over ctx3.
    pub signature: [u8; 64],
}

/// R3, coordinator to clients: the signatures, by ascending roster position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SurvivorQuorumMsg {
    /// At least q of them.
    pub signatures: Vec<SignedBy>,
}

/// One opened share. Which secret it is a share of is *not* said here: it follows from the signed survivor set.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The share, four canonical field elements.
    pub share: [u8; 32],
    /// The opener of its commitment.
    pub opener: [u8; 32],
}

// A share is a secret until the quorum says which ones are opened.
impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opened(..)")
    }
}

/// What is opened of layers of noise: which ones is *not* said here either, it follows from the signed survivor set.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedLayers {
    /// The sender's own seeds of the surplus layers, ascending, four canonical field elements each.
    pub own: Vec<[u8; 32]>,
    /// By dealer as the opened shares: of a survivor, the shares of the same layers' seeds, for the case that it has fallen silent; of a dropout and of
    /// one complained about, none.
    pub shares: Vec<Vec<Opened>>,
}

// Secrets until the quorum says that they are opened.
impl std::fmt::Debug for OpenedLayers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenedLayers({} seeds)", self.own.len())
    }
}

impl Drop for OpenedLayers {
    fn drop(&mut self) {
        self.own.iter_mut().for_each(Zeroize::zeroize);
    }
}

/// R4, client to coordinator: for every dealer of U2 whose shares the sender holds, by ascending position, its one share, or none
/// with a complaint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpeningMsg {
    /// One a dealer: the share of b of a survivor, the share of s of a dropout.
    pub opened: Vec<Option<Opened>>,
    /// In a session with layers.
    pub layers: Option<Box<OpenedLayers>>,
    /// By the sender, over ctx3 and the shares.
    pub signature: [u8; 64],
}

impl OpeningMsg {
    /// Puts the sender's signature over the shares in place of the one there.
    pub fn sign(&mut self, ctx3: &Digest, id: &Identity) {
        self.signature = id.sign(labels::OPEN, self.signed(ctx3).as_bytes());
    }

    /// What the sender signs.
    pub(crate) fn signed(&self, ctx3: &Digest) -> Digest {
        let mut hasher = labels::OPEN.hasher();
        hasher.field(ctx3.as_bytes());
        for opened in &self.opened {
            match opened {
                Some(o) => hasher.field(&o.share).field(&o.opener),
                None => hasher.field(&[]),
            };
        }
        if let Some(layers) = &self.layers {
            hasher.field(b"layers").number(number(layers.own.len()));
            for seed in &layers.own {
                hasher.field(seed);
            }
            for shares in &layers.shares {
                hasher.number(number(shares.len()));
                for o in shares {
                    hasher.field(&o.share).field(&o.opener);
                }
            }
        }
        hasher.finish()
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).expect("a length fits 64 bits")
}

/// A client's signed reason to leave an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AbortMsg {
    /// [`Abort::code`].
    pub code: u8,
    /// [`Abort::about`].
    pub about: Option<ClientId>,
    /// By the sender, over configuration and reason.
    pub signature: [u8; 64],
}

impl Abort {
    /// The signed record of this reason.
    pub fn message(&self, cfg: &Digest, id: &Identity) -> AbortMsg {
        let mut message = AbortMsg { code: self.code(), about: self.about(), signature: [0; 64] };
        message.signature = id.sign(labels::ABORT, message.signed(cfg).as_bytes());
        message
    }
}

impl AbortMsg {
    /// Checks that the owner of `public_key` said this about the attempt of `cfg`.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, cfg: &Digest, public_key: &[u8; 32]) -> Result<(), BadSignature> {
        verify(public_key, labels::ABORT, self.signed(cfg).as_bytes(), &self.signature)
    }

    fn signed(&self, cfg: &Digest) -> Digest {
        let about = self.about.map(|c| c.0);
        let about: &[u8] = about.as_ref().map_or(&[], |id| id);
        labels::ABORT.hasher().field(cfg.as_bytes()).number(self.code.into()).field(about).finish()
    }
}
