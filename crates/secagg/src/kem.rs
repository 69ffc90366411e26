//! The post-quantum half of a hybrid agreement: ML-KEM-768 (FIPS 203), with everything derived from a secret that is shared anyway.
//!
//! **Why hybrid.** Whoever records today's traffic can solve its X25519 agreements with a quantum computer later, take the pairwise masks
//! off recorded inputs, and read updates of voices that do not change. So a pairwise mask key needs an agreement that such a machine does not
//! break, and so does the key of every *envelope*: an envelope holds shares of b and of s, and whoever opens t of a client's envelopes has its
//! self mask and its mask secret, however the masks themselves were agreed on. Both keys are HKDF over X25519 and ML-KEM
//! secrets together, so that they hold while either holds (as in X-Wing, Barbosa et al., "X-Wing: the hybrid KEM you've been looking for",
//! 2024; there, as here, the hash takes both secrets, and what else was agreed is under it: here by ctx1 and ctx2, which cover both parties'
//! keys and, from ctx2 on, the ciphertexts).
//!
//! **Two keys a client, as for X25519.** The mask key comes from s, the channel key from c. Were the channel's key also from s,
//! then a dropout's s, which the opening gives to the coordinator, would open the post-quantum half of all envelopes to that dropout;
//! with the X25519 half broken later, t dropouts would give both secrets of every client.
//!
//! **One ciphertext an envelope, and one a pair.** A dealer encapsulates to the channel key of each holder, for the envelope in
//! that direction: the two envelopes of a pair leave in one flight, and neither can wait for the other. For the mask, the one of the two
//! that is earlier on the roster (the lower id) encapsulates to the other's mask key, and the ciphertext travels beside its envelope.
//! Both are under the hash of the envelope, which the dealer signs, and so in ctx2.
//!
//! **Recovery needs s alone.** Key pair and encapsulation randomness are HKDF outputs of s (of c for the channel), the latter for each peer
//! and ctx1 by itself, so no randomness meets two keys. Of a dropout, the coordinator makes the key pair again from s, decapsulates what
//! earlier clients sent to it, and encapsulates to later ones again, which gives the same secrets.
//!
//! **A wrong ciphertext** gives the receiver another secret, without a sign of it (implicit rejection, FIPS 203, section 6.3). So a sender adds a
//! confirmation, HKDF of the secret under a label of its own. A receiver that finds it wrong refuses the attempt and names the sender; a
//! coordinator that makes a dropout's secrets again compares ciphertexts and confirmations, and names who sent what does not fit.
//!
//! Signatures stay Ed25519: they must hold while an attempt runs, and a later forgery opens nothing that was recorded.
//!
//! **Cost.** 2 · 1184 bytes more an advert; 1088 bytes more an envelope, and 1120 (ciphertext and confirmation) more in those to
//! holders that are later on the roster.
use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::{B32, DecapsulationKey768, EncapsulationKey768, Seed};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of an encapsulation key.
pub const ENCAPSULATION_KEY_LEN: usize = 1184;
/// Bytes of a ciphertext.
pub const CIPHERTEXT_LEN: usize = 1088;

/// The encapsulation keys in an advert.
#[derive(Clone, PartialEq, Eq)]
pub struct KemKeys {
    /// Of the pairwise masks.
    pub mask: [u8; ENCAPSULATION_KEY_LEN],
    /// Of the envelopes.
    pub channel: [u8; ENCAPSULATION_KEY_LEN],
}

impl std::fmt::Debug for KemKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KemKeys(..)")
    }
}

impl KemKeys {
    /// Both pass the checks of FIPS 203, section 7.2 (every coefficient below q, so that one key has one encoding), and differ.
    pub(crate) fn are_sound(&self) -> bool {
        parse(&self.mask).is_some() && parse(&self.channel).is_some() && self.mask != self.channel
    }
}

/// What agrees on a pair's mask, from the earlier of the two to the later.
#[derive(Clone, PartialEq, Eq)]
pub struct MaskCiphertext {
    /// To the later one's mask key.
    pub ciphertext: [u8; CIPHERTEXT_LEN],
    /// Shows that sender and receiver have one secret.
    pub confirmation: [u8; 32],
}

/// The ciphertexts beside an envelope.
#[derive(Clone, PartialEq, Eq)]
pub struct Ciphertexts {
    /// Gives the post-quantum half of the envelope's key.
    pub channel: [u8; CIPHERTEXT_LEN],
    /// Gives that of the pair's mask; from the earlier of the two only.
    pub mask: Option<MaskCiphertext>,
}

/// The secret that a ciphertext carries. No `Debug`; wiped on drop, in a place of its own as [`crate::shamir::Quad`]: the nodes of a map that it is
/// taken out of would keep copies.
#[derive(Zeroize, ZeroizeOnDrop)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(crate) struct KemSecret(Box<[u8; 32]>);

impl KemSecret {
    fn new(mut secret: [u8; 32]) -> Self {
        let kept = Self(Box::new(secret));
        secret.zeroize();
        kept
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A decapsulation key that never outlives its attempt; wiped on drop (by ml-kem).
pub(crate) struct Decapsulation(DecapsulationKey768);

impl Decapsulation {
    /// That of the seeds d and z (FIPS 203, algorithm 16).
    pub(crate) fn of_seeds(d: &[u8; 32], z: &[u8; 32]) -> Self {
        let mut seed = Seed::default();
        for (place, byte) in seed.iter_mut().zip(d.iter().chain(z)) {
            *place = *byte;
        }
        let key = DecapsulationKey768::from_seed(seed);
        seed.iter_mut().for_each(Zeroize::zeroize);
        Self(key)
    }

    pub(crate) fn public(&self) -> [u8; ENCAPSULATION_KEY_LEN] {
        self.0.encapsulation_key().to_bytes().into()
    }

    pub(crate) fn decapsulate(&self, ciphertext: &[u8; CIPHERTEXT_LEN]) -> KemSecret {
        KemSecret::new(self.0.decapsulate(&(*ciphertext).into()).into())
    }
}

/// The ciphertext and the secret that these 32 uniform bytes, used for nothing else, give under a key; `None` when the key is not sound.
pub(crate) fn encapsulate(
    key: &[u8; ENCAPSULATION_KEY_LEN],
    coins: &[u8; 32],
) -> Option<([u8; CIPHERTEXT_LEN], KemSecret)> {
    let (ciphertext, secret) = parse(key)?.encapsulate_deterministic(&B32::from(*coins));
    Some((ciphertext.into(), KemSecret::new(secret.into())))
}

fn parse(key: &[u8; ENCAPSULATION_KEY_LEN]) -> Option<EncapsulationKey768> {
    EncapsulationKey768::new(&(*key).into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_have_one_secret_and_another_ciphertext_or_key_gives_another() {
        let (a, b) = (Decapsulation::of_seeds(&[1; 32], &[2; 32]), Decapsulation::of_seeds(&[3; 32], &[2; 32]));
        let (ciphertext, secret) = encapsulate(&a.public(), &[7; 32]).unwrap();
        assert!(a.decapsulate(&ciphertext) == secret);
        assert!(b.decapsulate(&ciphertext) != secret);
        let mut altered = ciphertext;
        altered[500] ^= 1;
        assert!(a.decapsulate(&altered) != secret);
        assert!(encapsulate(&a.public(), &[8; 32]).unwrap().1 != secret, "other coins");
        assert_eq!(encapsulate(&a.public(), &[7; 32]).unwrap().0, ciphertext, "the same coins again");
    }

    #[test]
    fn a_key_with_a_coefficient_of_q_or_more_is_refused() {
        let sound = Decapsulation::of_seeds(&[1; 32], &[2; 32]).public();
        assert!(encapsulate(&sound, &[7; 32]).is_some());
        let mut beyond = sound;
        // Two coefficients of 12 bits: 0xfff is above q = 3329.
        beyond[..3].copy_from_slice(&[0xff; 3]);
        assert!(encapsulate(&beyond, &[7; 32]).is_none());
        let other = Decapsulation::of_seeds(&[3; 32], &[2; 32]).public();
        assert!(KemKeys { mask: sound, channel: other }.are_sound());
        assert!(!KemKeys { mask: beyond, channel: other }.are_sound());
        assert!(!KemKeys { mask: sound, channel: sound }.are_sound());
    }
}
