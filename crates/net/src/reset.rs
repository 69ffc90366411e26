//! Stateless resets that outlive a restart.
//!
//! A coordinator that was killed knows none of its connections when it comes back, and its clients do not know that it
//! was gone: without more, they would wait for their idle timeout. QUIC's stateless reset (RFC 9000, section 10.3) ends
//! such a connection with the first packet that arrives for it, provided that the restarted process can prove to be the
//! one that the connection was with: its tokens must come from a key that it still has. Ours is derived from the
//! identity.
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::tls13::OkmBlock;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Separates this key from all else that is derived from an identity.
const LABEL: &[u8] = b"sottovoce/1/stateless-reset";

/// HMAC-SHA256 under a key of its own.
pub(crate) struct ResetKey(Zeroizing<[u8; 32]>);

impl ResetKey {
    /// The key that belongs to an identity's seed.
    pub(crate) fn derive(seed: &[u8; 32]) -> Self {
        Self(hmac(seed, LABEL))
    }

    /// An endpoint whose resets are believed by the peers of an earlier endpoint of the same identity.
    pub(crate) fn endpoint_config(&self) -> EndpointConfig {
        let mut config = EndpointConfig::new(Arc::new(Self(self.0.clone())));
        // quinn's own ids carry a check that only the process which made them passes: a restarted one would not answer.
        config.cid_generator(|| Box::new(RandomIds));
        config
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(hmac(&self.0, data).as_slice());
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let expected = hmac(&self.0, data);
        let differing = expected.iter().zip(signature).fold(0, |all, (a, b)| all | (a ^ b));
        if signature.len() == expected.len() && differing == 0 { Ok(()) } else { Err(CryptoError) }
    }
}

fn hmac(key: &[u8; 32], message: &[u8]) -> Zeroizing<[u8; 32]> {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().expect("the suite is of TLS 1.3 by its name");
    let tag = suite.hkdf_provider.hmac_sign(&OkmBlock::new(key), message);
    Zeroizing::new(tag.as_ref().try_into().expect("SHA-256 makes 32 bytes"))
}

/// 8 random bytes: enough not to collide (RFC 9000, section 5.1), and nothing to recognise a process by.
struct RandomIds;

const ID_BYTES: usize = 8;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&rand::random::<[u8; ID_BYTES]>())
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        // Test case 2, its key padded with zeros to a block, which HMAC does anyway: "Jefe" and 28 zeros.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let tag = hmac(&key, b"what do ya want for nothing?");
        assert_eq!(tag[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
        assert_eq!(tag[24..], [0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43]);
    }

    #[test]
    fn a_token_is_believed_from_the_same_identity_only() {
        let (ours, again, other) = (ResetKey::derive(&[1; 32]), ResetKey::derive(&[1; 32]), ResetKey::derive(&[2; 32]));
        let mut token = [0; 32];
        ours.sign(b"connection", &mut token);
        assert!(other.verify(b"connection", &token).is_err());
        assert!(again.verify(b"connections", &token).is_err());
        assert!(again.verify(b"connection", &token[..31]).is_err());
        assert!(again.verify(b"connection", &token).is_ok());
    }
}
