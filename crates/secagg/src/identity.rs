//! Long-term identities: Ed25519 keys that sign and do nothing else.
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use sottovoce_types::ClientId;
use zeroize::Zeroizing;

use crate::labels::Label;

/// A long-term signing key (Ed25519, RFC 8032). Zeroised on drop; it cannot be printed, copied or serialised.
pub struct Identity(SigningKey);

impl Identity {
    /// The identity of a 32-byte seed (the private key of RFC 8032). Wipe the caller's copy.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(SigningKey::from_bytes(&seed))
    }

    /// A fresh identity.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut seed = Zeroizing::new([0u8; 32]);
        rng.fill_bytes(seed.as_mut());
        Self(SigningKey::from_bytes(&seed))
    }

    /// The public key, 32 bytes.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The client id that belongs to this key.
    pub fn client_id(&self) -> ClientId {
        ClientId::of_public_key(&self.public_key())
    }

    /// The seed, to be stored in the owner's key file. The copy is zeroised on drop.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Signs `message` for the purpose that `label` names.
    pub fn sign(&self, label: Label, message: &[u8]) -> [u8; 64] {
        self.0.sign(&label.framed(&[message])).to_bytes()
    }
}

/// A signature that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold for this key, purpose and message")]
pub struct BadSignature;

/// Checks a signature made by [`Identity::sign`], strictly: no small-order key, no malleated signature
/// (`verify_strict`, Chalkias, Garillot & Nikolaenko, "Taming the many EdDSAs", 2020).
///
/// # Errors
/// [`BadSignature`].
pub fn verify(public_key: &[u8; 32], label: Label, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_bytes(public_key).map_err(|_| BadSignature)?;
    key.verify_strict(&label.framed(&[message]), &Signature::from_bytes(signature)).map_err(|_| BadSignature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    #[test]
    fn a_signature_holds_for_its_key_purpose_and_message_only() {
        let id = Identity::from_seed([5; 32]);
        let other = Identity::from_seed([6; 32]);
        let signature = id.sign(labels::ADVERT, b"m");
        assert_eq!(verify(&id.public_key(), labels::ROSTER, b"m", &signature), Err(BadSignature));
        assert_eq!(verify(&id.public_key(), labels::ADVERT, b"n", &signature), Err(BadSignature));
        assert_eq!(verify(&other.public_key(), labels::ADVERT, b"m", &signature), Err(BadSignature));
        assert_eq!(verify(&id.public_key(), labels::ADVERT, b"m", &signature), Ok(()));
    }

    /// Adds the group order l to the scalar S: the textbook malleation.
    fn malleated(signature: &[u8; 64]) -> [u8; 64] {
        const L: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut out = *signature;
        let mut carry = 0u16;
        for (byte, l) in out[32..].iter_mut().zip(L) {
            let sum = u16::from(*byte) + u16::from(l) + carry;
            *byte = u8::try_from(sum & 0xff).unwrap();
            carry = sum >> 8;
        }
        out
    }

    #[test]
    fn claim_malleated_signatures_and_small_order_keys_are_refused() {
        let id = Identity::from_seed([5; 32]);
        let signature = id.sign(labels::CTX3, b"m");
        assert_eq!(verify(&id.public_key(), labels::CTX3, b"m", &malleated(&signature)), Err(BadSignature));
        // The identity point as a key, and R = identity, S = 0: accepted by cofactored, non-strict verification.
        let mut small_order = [0u8; 32];
        small_order[0] = 1;
        let mut forged = [0u8; 64];
        forged[0] = 1;
        assert_eq!(verify(&small_order, labels::CTX3, b"m", &forged), Err(BadSignature));
    }

    #[test]
    fn a_seed_gives_the_same_identity_again() {
        let id = Identity::from_seed([7; 32]);
        assert_eq!(Identity::from_seed(*id.seed()).client_id(), id.client_id());
        assert_eq!(ClientId::of_public_key(&id.public_key()), id.client_id());
    }
}
