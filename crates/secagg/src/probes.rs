//! Single operations as the protocol does them, for whoever measures how long they take. Nothing here is part of the protocol.
use rand_core::CryptoRng;
use sottovoce_types::Digest;

pub use crate::keys::agreement_probe;
use crate::shamir::{Quad, share_among};

/// One sharing of a secret of four elements (32 bytes, each a canonical little-endian word) with threshold t among the holders 0 to `holders` − 1: the
/// exclusive or of all shares. `None` for bytes that are no such secret.
pub fn share(secret: &[u8; 32], threshold: u32, holders: u32, rng: &mut impl CryptoRng) -> Option<[u8; 32]> {
    let shares = share_among(&Quad::from_bytes(secret)?, threshold, 0..holders, rng)?;
    let mut all = [0; 32];
    for share in &shares {
        all.iter_mut().zip(share.to_bytes().iter()).for_each(|(all, byte)| *all ^= byte);
    }
    Some(all)
}

/// Whether two commitments are one.
pub fn same_commitment(one: &Digest, other: &Digest) -> bool {
    crate::keys::same_commitment(one, other)
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn probes_do_what_the_protocol_does() {
        // One holder with threshold 1 has the secret itself.
        let secret = [7u8; 32];
        assert_eq!(share(&secret, 1, 1, &mut ChaCha20Rng::from_seed([1; 32])), Some(secret));
        assert_ne!(share(&secret, 2, 1, &mut ChaCha20Rng::from_seed([1; 32])), Some(secret));
        assert_eq!(share(&[0xff; 32], 1, 1, &mut ChaCha20Rng::from_seed([1; 32])), None, "no canonical element");
        let (a, mut b) = (Digest([3; 32]), Digest([3; 32]));
        assert!(same_commitment(&a, &b));
        for place in [0, 15, 31] {
            b.0[place] ^= 0x80;
            assert!(!same_commitment(&a, &b));
            b.0[place] ^= 0x80;
        }
    }
}
