//! What two clients of an attempt agree on: X25519 secrets, and in a hybrid agreement ML-KEM secrets beside them, and the keys that follow.
use sottovoce_types::{ClientId, Digest};
use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey, SharedSecret, StaticSecret};
use zeroize::Zeroizing;

use super::derive;
use crate::kem::{Ciphertexts, Decapsulation, ENCAPSULATION_KEY_LEN, KemSecret, MaskCiphertext, encapsulate};
use crate::labels::{self, Label};
use crate::mask::MaskKey;
use crate::session::KeyAgreement;
use crate::shamir::Quad;

/// An X25519 secret, and in a hybrid agreement the ML-KEM secrets beside it, that never outlive their attempt. No `Debug`, no
/// `Clone`; wiped on drop (by x25519-dalek and ml-kem), in a place of its own as [`Quad`].
pub(crate) struct OneTimeSecret {
    x25519: Box<StaticSecret>,
    kem: Option<Box<KemSecrets>>,
}

struct KemSecrets {
    decapsulation: Decapsulation,
    /// What the randomness of every encapsulation is derived from.
    coins: Zeroizing<[u8; 32]>,
}

impl OneTimeSecret {
    /// The mask secret that everyone who holds t shares of `s` can derive again.
    pub(crate) fn for_masks(cfg: &Digest, client: &ClientId, s: &Quad, agreement: KeyAgreement) -> Self {
        Self::derived(cfg, client, &s.to_bytes(), labels::SK_MASK, agreement)
    }

    /// The channel secret, from 32 fresh bytes.
    pub(super) fn for_channel(cfg: &Digest, client: &ClientId, c: &[u8; 32], agreement: KeyAgreement) -> Self {
        Self::derived(cfg, client, c, labels::SK_CHAN, agreement)
    }

    fn derived(cfg: &Digest, client: &ClientId, secret: &[u8; 32], purpose: Label, agreement: KeyAgreement) -> Self {
        let x25519 = Box::new(StaticSecret::from(*derive(cfg.as_bytes(), secret, purpose, &[&client.0])));
        let part =
            |label, part: &[u8]| derive(cfg.as_bytes(), secret, label, &[purpose.name().as_bytes(), &client.0, part]);
        let kem = agreement.is_hybrid().then(|| {
            Box::new(KemSecrets {
                decapsulation: Decapsulation::of_seeds(&part(labels::KEM_SEED, b"d"), &part(labels::KEM_SEED, b"z")),
                coins: part(labels::KEM_COINS, b""),
            })
        });
        Self { x25519, kem }
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        PublicKey::from(&*self.x25519).to_bytes()
    }

    /// The encapsulation key; `None` in an agreement without.
    pub(crate) fn public_kem(&self) -> Option<[u8; ENCAPSULATION_KEY_LEN]> {
        self.kem.as_ref().map(|kem| kem.decapsulation.public())
    }

    /// Ciphertext and secret for a peer's key: the same whenever they are made again. `None` in an agreement without.
    pub(crate) fn encapsulate_to(
        &self,
        ctx1: &Digest,
        from: &ClientId,
        to: &ClientId,
        key: &[u8; ENCAPSULATION_KEY_LEN],
    ) -> Option<([u8; crate::kem::CIPHERTEXT_LEN], KemSecret)> {
        let kem = self.kem.as_ref()?;
        let coins = derive(ctx1.as_bytes(), kem.coins.as_ref(), labels::KEM_COINS, &[&from.0, &to.0]);
        encapsulate(key, &coins)
    }

    /// What agrees on the mask with a later client, and the secret.
    pub(crate) fn mask_ciphertext(
        &self,
        ctx1: &Digest,
        from: &ClientId,
        to: &ClientId,
        key: &[u8; ENCAPSULATION_KEY_LEN],
    ) -> Option<(MaskCiphertext, KemSecret)> {
        let (ciphertext, secret) = self.encapsulate_to(ctx1, from, to, key)?;
        let confirmation = confirmation(ctx1, from, to, &secret);
        Some((MaskCiphertext { ciphertext, confirmation }, secret))
    }

    /// The secret of a pair's mask that an earlier client sent; `None` when its confirmation does not fit: the sender is at fault.
    pub(crate) fn mask_secret(
        &self,
        ctx1: &Digest,
        from: &ClientId,
        to: &ClientId,
        sent: &MaskCiphertext,
    ) -> Option<KemSecret> {
        let secret = self.kem.as_ref()?.decapsulation.decapsulate(&sent.ciphertext);
        bool::from(confirmation(ctx1, from, to, &secret).ct_eq(&sent.confirmation)).then_some(secret)
    }

    /// The secret of the envelope that these ciphertexts came with; `None` in an agreement without.
    pub(crate) fn channel_secret(&self, sent: &Ciphertexts) -> Option<KemSecret> {
        Some(self.kem.as_ref()?.decapsulation.decapsulate(&sent.channel))
    }

    /// The shared secret with a peer's key; `None` when that key has low order (RFC 7748, section 6.1).
    pub(crate) fn agree(&self, peer: &[u8; 32]) -> Option<Agreed> {
        let shared = self.x25519.diffie_hellman(&PublicKey::from(*peer));
        shared.was_contributory().then_some(Agreed { x25519: shared, kem: None })
    }
}

/// For the tests in `inside.rs`, which cheat with it.
#[cfg(test)]
impl OneTimeSecret {
    pub(crate) fn use_other_coins(&mut self) {
        if let Some(kem) = &mut self.kem {
            kem.coins = Zeroizing::new([0x77; 32]);
        }
    }
}

fn confirmation(ctx1: &Digest, from: &ClientId, to: &ClientId, secret: &KemSecret) -> [u8; 32] {
    *derive(ctx1.as_bytes(), secret.as_bytes(), labels::KEM_CONFIRM, &[&from.0, &to.0])
}

/// An agreed secret; only ever the input of a key derivation.
pub(crate) struct Agreed {
    x25519: SharedSecret,
    kem: Option<KemSecret>,
}

impl Agreed {
    /// With the ML-KEM secret of a hybrid agreement: the key then holds while either of the two does.
    pub(crate) fn with_kem(self, secret: Option<KemSecret>) -> Self {
        Self { kem: secret, ..self }
    }

    /// Both secrets, each of 32 bytes, as they are derived from.
    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(64));
        bytes.extend_from_slice(self.x25519.as_bytes());
        if let Some(kem) = &self.kem {
            bytes.extend_from_slice(kem.as_bytes());
        }
        bytes
    }

    /// k_ij of R2, the same for both parties.
    pub(crate) fn pair_mask(&self, ctx2: &Digest, a: &ClientId, b: &ClientId) -> MaskKey {
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        MaskKey::from_bytes(*derive(ctx2.as_bytes(), &self.bytes(), labels::MASK_PAIR, &[&low.0, &high.0]))
    }

    /// The key of the one envelope of this attempt from `from` to `to`.
    pub(crate) fn envelope(&self, ctx1: &Digest, from: &ClientId, to: &ClientId) -> Zeroizing<[u8; 32]> {
        derive(ctx1.as_bytes(), &self.bytes(), labels::ENV_KEY, &[&from.0, &to.0])
    }
}

pub(super) fn plain(bytes: &[u8; 32]) -> OneTimeSecret {
    OneTimeSecret { x25519: Box::new(StaticSecret::from(*bytes)), kem: None }
}

/// One X25519 agreement a call, between keys that anybody knows: T_dh of the physical limit, for benches. Says whether both
/// took part, which they did.
pub fn agreement_probe() -> impl Fn() -> bool {
    let (secret, peer) = (plain(&[1; 32]), plain(&[2; 32]).public());
    move || secret.agree(&peer).is_some()
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::keys::OneTimeKeys;

    #[test]
    fn both_ends_of_a_pair_derive_one_key_and_each_direction_its_own_envelope_key() {
        let rng = &mut ChaCha20Rng::from_seed([3; 32]);
        let (cfg, ctx) = (Digest([1; 32]), Digest([2; 32]));
        let (a, b) = (ClientId([10; 32]), ClientId([11; 32]));
        let mut draw = |client| OneTimeKeys::draw(&cfg, client, KeyAgreement::X25519, 0, rng).unwrap();
        let (ka, kb) = (draw(&a), draw(&b));
        let ab = ka.mask.agree(&kb.mask.public()).unwrap();
        let ba = kb.mask.agree(&ka.mask.public()).unwrap();
        let words = |key: &MaskKey| {
            let mut out = vec![0u64; 4];
            crate::mask::expand_into(crate::mask::Prg::Aes256Ctr, key, crate::mask::Sign::Add, 0, &mut out);
            out
        };
        assert_eq!(words(&ab.pair_mask(&ctx, &a, &b)), words(&ba.pair_mask(&ctx, &b, &a)));
        assert_ne!(words(&ab.pair_mask(&ctx, &a, &b)), words(&ab.pair_mask(&cfg, &a, &b)), "another context");
        assert_ne!(*ab.envelope(&ctx, &a, &b), *ab.envelope(&ctx, &b, &a));
        assert_eq!(*ab.envelope(&ctx, &a, &b), *ba.envelope(&ctx, &a, &b));
    }

    #[test]
    fn the_probe_of_the_benches_agrees() {
        assert!(agreement_probe()());
    }

    /// The parts of a hybrid agreement between two parties, and the mask and envelope keys that follow.
    #[test]
    fn claim_a_hybrid_key_differs_if_either_half_differs() {
        let rng = &mut ChaCha20Rng::from_seed([5; 32]);
        let (cfg, ctx) = (Digest([1; 32]), Digest([2; 32]));
        let (a, b) = (ClientId([10; 32]), ClientId([11; 32]));
        let mut draw = |client| OneTimeKeys::draw(&cfg, client, KeyAgreement::X25519MlKem768, 0, rng).unwrap();
        let (ka, kb, kc) = (draw(&a), draw(&b), draw(&a));
        let words = |agreed: &Agreed| {
            let mut out = vec![0u64; 4];
            let key = agreed.pair_mask(&ctx, &a, &b);
            crate::mask::expand_into(crate::mask::Prg::Aes256Ctr, &key, crate::mask::Sign::Add, 0, &mut out);
            (out, *agreed.envelope(&ctx, &a, &b))
        };
        let to_b = kb.kem().unwrap().mask;
        let (sent, own) = ka.mask.mask_ciphertext(&ctx, &a, &b, &to_b).unwrap();
        let got = kb.mask.mask_secret(&ctx, &a, &b, &sent).unwrap();
        let agree = |x: &OneTimeSecret, peer: &[u8; 32], kem| words(&x.agree(peer).unwrap().with_kem(kem));
        let key = agree(&ka.mask, &kb.mask.public(), Some(own.clone()));
        assert_eq!(key, agree(&kb.mask, &ka.mask.public(), Some(got)), "both ends");
        let other_kem = kc.mask.mask_ciphertext(&ctx, &a, &b, &to_b).unwrap().1;
        for (what, other) in [
            ("another ML-KEM half", agree(&ka.mask, &kb.mask.public(), Some(other_kem))),
            ("another X25519 half", agree(&kc.mask, &kb.mask.public(), Some(own.clone()))),
            ("no ML-KEM half", agree(&ka.mask, &kb.mask.public(), None)),
        ] {
            assert_ne!(key.0, other.0, "{what}: mask");
            assert_ne!(key.1, other.1, "{what}: envelope");
        }
        // Made again from s, the same ciphertext and secret; for another peer, another.
        let again = OneTimeSecret::for_masks(&cfg, &a, &ka.s, KeyAgreement::X25519MlKem768);
        assert!(again.mask_ciphertext(&ctx, &a, &b, &to_b).unwrap().0 == sent);
        assert!(again.mask_ciphertext(&ctx, &a, &ClientId([12; 32]), &to_b).unwrap().0 != sent);
        // A ciphertext that was altered, or is confirmed for another pair, is told.
        let mut altered = sent.clone();
        altered.ciphertext[9] ^= 1;
        assert!(kb.mask.mask_secret(&ctx, &a, &b, &altered).is_none());
        assert!(kb.mask.mask_secret(&ctx, &b, &a, &sent).is_none());
        // The secrets of mask and channel have nothing in common.
        assert_ne!(ka.mask.public_kem(), ka.channel.public_kem());
    }
}
