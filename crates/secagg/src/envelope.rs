//! Envelopes: the shares that a dealer gives one holder, encrypted with AES-256-GCM under a key used once.
//!
//! The nonce is all zeros. That is safe only because a key seals one envelope and [`SealOnce::seal`] consumes it; a second
//! kind of message on this channel would need its own label and so its own key.
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use sottovoce_types::{ClientId, Digest};
use zeroize::{Zeroize, Zeroizing};

use crate::kem::Ciphertexts;
use crate::keys::{Agreed, Share};
use crate::labels;

/// A share and its opener.
const SHARE_LEN: usize = 2 * 32;
/// Bytes of the tag.
const TAG_LEN: usize = 16;
/// Bytes of an envelope without layers: the shares of s and of b, and a tag.
pub const ENVELOPE_LEN: usize = envelope_len(0);

/// Bytes of an envelope with the shares of the seeds of so many layers.
pub const fn envelope_len(layers: usize) -> usize {
    layers.saturating_add(2).saturating_mul(SHARE_LEN).saturating_add(TAG_LEN)
}

/// One encrypted set of shares ([`envelope_len`]), and in a hybrid agreement the ciphertexts that go with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope(pub Vec<u8>, pub Option<Box<Ciphertexts>>);

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Envelope({})", self.digest())
    }
}

impl Envelope {
    /// The hash under the dealer's signature, by which a holder tells an envelope that the coordinator altered from one
    /// that its dealer made badly.
    pub(crate) fn digest(&self) -> Digest {
        let mut hasher = labels::ENVELOPE.hasher();
        hasher.field(&self.0);
        if let Some(kem) = &self.1 {
            hasher.field(&kem.channel);
            if let Some(mask) = &kem.mask {
                hasher.field(&mask.ciphertext).field(&mask.confirmation);
            }
        }
        hasher.finish()
    }
}

/// The shares of both secrets of one dealer for one holder, and of the seeds of its layers.
pub(crate) struct SharePair {
    pub(crate) s: Share,
    pub(crate) b: Share,
    pub(crate) layers: Vec<Share>,
}

/// The key of one envelope and its addresses.
pub(crate) struct SealOnce {
    key: Zeroizing<[u8; 32]>,
    aad: Vec<u8>,
}

impl SealOnce {
    pub(crate) fn new(agreed: &Agreed, ctx1: &Digest, from: &ClientId, to: &ClientId) -> Self {
        Self { key: agreed.envelope(ctx1, from, to), aad: labels::ENV_KEY.framed(&[ctx1.as_bytes(), &from.0, &to.0]) }
    }

    fn cipher(&self) -> Aes256Gcm {
        let key: &[u8; 32] = &self.key;
        Aes256Gcm::new(key.into())
    }

    /// Encrypts the pair. Consumes the key.
    pub(crate) fn seal(self, pair: &SharePair) -> Envelope {
        let mut buffer = vec![0u8; envelope_len(pair.layers.len())];
        let (plain, tag) = buffer.split_last_chunk_mut::<TAG_LEN>().expect("no envelope is shorter than its tag");
        let shares = [&pair.s, &pair.b].into_iter().chain(&pair.layers);
        for ([value, opener], share) in plain.as_chunks_mut::<32>().0.as_chunks_mut::<2>().0.iter_mut().zip(shares) {
            value.copy_from_slice(share.value.to_bytes().as_ref());
            opener.copy_from_slice(&share.opener.0);
        }
        let made = self
            .cipher()
            .encrypt_inout_detached(&Nonce::default(), &self.aad, plain.into())
            .expect("a few KiB are far below the limit of AES-GCM");
        tag.copy_from_slice(&made);
        Envelope(buffer, None)
    }

    /// Seals any bytes, as a dealer may that keeps to no rule.
    #[cfg(test)]
    pub(crate) fn seal_bytes(self, bytes: &[u8]) -> Envelope {
        let mut buffer = vec![0u8; bytes.len() + TAG_LEN];
        let (plain, tag) = buffer.split_at_mut(bytes.len());
        plain.copy_from_slice(bytes);
        let made = self.cipher().encrypt_inout_detached(&Nonce::default(), &self.aad, plain.into()).unwrap();
        tag.copy_from_slice(&made);
        Envelope(buffer, None)
    }

    /// Decrypts the envelope, consuming the key; `None` when the tag is wrong, a share is not canonical or there are not two and those of
    /// whole layers.
    pub(crate) fn open(self, envelope: &Envelope) -> Option<SharePair> {
        let mut buffer = Zeroizing::new(envelope.0.clone());
        let (plain, tag) = buffer.split_last_chunk_mut::<TAG_LEN>()?;
        self.cipher()
            .decrypt_inout_detached(&Nonce::default(), &self.aad, plain.as_mut().into(), (&*tag).into())
            .ok()?;
        let (fields, []) = plain.as_chunks::<32>() else { return None };
        let (fields, []) = fields.as_chunks::<2>() else { return None };
        let mut shares = fields.iter().map(|[value, opener]| Share::from_bytes(value, opener));
        let (s, b) = (shares.next()??, shares.next()??);
        let pair = SharePair { s, b, layers: shares.collect::<Option<_>>()? };
        plain.zeroize();
        Some(pair)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::keys::OneTimeKeys;
    use crate::session::KeyAgreement;
    use crate::shamir::Quad;

    #[test]
    fn an_envelope_opens_for_its_addresses_and_context_only_and_not_when_a_bit_is_flipped() {
        let rng = &mut ChaCha20Rng::from_seed([8; 32]);
        let (ctx1, other) = (Digest([1; 32]), Digest([2; 32]));
        let (a, b) = (ClientId([1; 32]), ClientId([2; 32]));
        let mut draw = |client| OneTimeKeys::draw(&ctx1, client, KeyAgreement::X25519, 0, rng).unwrap();
        let (ka, kb) = (draw(&a), draw(&b));
        let sender = ka.channel.agree(&kb.channel.public()).unwrap();
        let receiver = kb.channel.agree(&ka.channel.public()).unwrap();
        let (s, v) = (Quad::random(rng).unwrap(), Quad::random(rng).unwrap());
        let pair = SharePair { s: Share::with_opener(s, rng), b: Share::with_opener(v, rng), layers: Vec::new() };
        let envelope = SealOnce::new(&sender, &ctx1, &a, &b).seal(&pair);
        for i in [0, 31, 64, 127, 128, 143] {
            let mut bad = envelope.clone();
            bad.0[i] ^= 1;
            assert!(SealOnce::new(&receiver, &ctx1, &a, &b).open(&bad).is_none(), "byte {i}");
        }
        assert!(SealOnce::new(&receiver, &other, &a, &b).open(&envelope).is_none(), "another context");
        assert!(SealOnce::new(&receiver, &ctx1, &b, &a).open(&envelope).is_none(), "the other direction");
        let opened = SealOnce::new(&receiver, &ctx1, &a, &b).open(&envelope).unwrap();
        assert_eq!(*opened.s.value.to_bytes(), *pair.s.value.to_bytes());
        assert_eq!(*opened.b.value.to_bytes(), *pair.b.value.to_bytes());
        assert_eq!((opened.s.opener.0, opened.b.opener.0), (pair.s.opener.0, pair.b.opener.0));
    }

    /// RFC-independent vector: AES-256-GCM test case 14 of McGrew & Viega, "The Galois/Counter Mode of Operation": zero
    /// key, zero nonce, one zero block.
    #[test]
    fn the_aead_is_that_of_mcgrew_and_viega() {
        let mut block = [0u8; 16];
        let tag = Aes256Gcm::new(&[0u8; 32].into())
            .encrypt_inout_detached(&Nonce::default(), b"", (&mut block[..]).into())
            .unwrap();
        assert_eq!(block, 0xcea7_403d_4d60_6b6e_074e_c5d3_baf3_9d18u128.to_be_bytes());
        assert_eq!(tag.as_slice(), 0xd0d1_c8a7_9999_6bf0_265b_98b5_d48a_b919u128.to_be_bytes());
    }
}
