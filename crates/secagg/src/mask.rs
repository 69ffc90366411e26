//! Mask expansion: a key becomes a stream of 64-bit words, added to or subtracted from a vector in the same pass.
//!
//! Suite 1 is AES-256 in counter mode: block i is AES(key, i as 16 little-endian bytes), and two words, little-endian, come
//! from each block. The stream is part of the protocol and pinned by a known-answer test.
use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use ctr::Ctr128LE;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The key of one mask. No `Debug`, no `Clone`; wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MaskKey([u8; 32]);

impl MaskKey {
    /// The key of these bytes, which must be used for nothing else.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Whether a mask is put on or taken off. Of two clients the one earlier on the roster adds and the other subtracts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// words += mask
    Add,
    /// words −= mask
    Subtract,
}

/// Bytes of keystream made at a time: small enough for the first-level cache beside the words, large enough for eight
/// and more AES blocks in flight.
const CHUNK: usize = 4096;

/// Adds or subtracts the mask of `key` to or from `words`, mod 2^64 each.
pub fn expand_into(key: &MaskKey, sign: Sign, words: &mut [u64]) {
    match sign {
        Sign::Add => apply(key, words, u64::wrapping_add),
        Sign::Subtract => apply(key, words, u64::wrapping_sub),
    }
}

fn apply(key: &MaskKey, words: &mut [u64], combine: impl Fn(u64, u64) -> u64) {
    let mut cipher = Ctr128LE::<Aes256>::new(&key.0.into(), &[0u8; 16].into());
    let mut stream = [0u8; CHUNK];
    for chunk in words.chunks_mut(CHUNK / 8) {
        // Only the last chunk is shorter, so what is left over of its keystream is never wanted.
        cipher.write_keystream(&mut stream);
        for (word, mask) in chunk.iter_mut().zip(stream.as_chunks::<8>().0) {
            *word = combine(*word, u64::from_le_bytes(*mask));
        }
    }
    stream.zeroize();
}

#[cfg(test)]
mod tests {
    use aes::cipher::{BlockCipherEncrypt, KeyInit};
    use proptest::prelude::*;

    use super::*;

    fn mask(key: u8, words: usize) -> Vec<u64> {
        let mut out = vec![0; words];
        expand_into(&MaskKey::from_bytes([key; 32]), Sign::Add, &mut out);
        out
    }

    /// The AES below the mask is AES-256: NIST SP 800-38A, F.1.5 (ECB-AES256.Encrypt, block 1).
    #[test]
    fn the_block_cipher_is_that_of_sp_800_38a() {
        let key = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
        let mut block = aes::Block::try_from(hex("6bc1bee22e409f96e93d7e117393172a").as_slice()).unwrap();
        Aes256::new_from_slice(&key).unwrap().encrypt_block(&mut block);
        assert_eq!(block.to_vec(), hex("f3eed1bdb5d2a03c064b5a7e3db181f8"));
    }

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes().chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect()
    }

    /// Another implementation: OpenSSL 3, `openssl enc -aes-256-ecb -nopad -K 000102…1f` over the counters 0, 1, 255, 256 and
    /// 257 as 16 little-endian bytes; its output read as little-endian words.
    #[test]
    fn the_stream_is_that_of_openssl() {
        let key = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let mut stream = vec![0; 600];
        expand_into(&MaskKey::from_bytes(key), Sign::Add, &mut stream);
        let expected: [(usize, [u64; 2]); 5] = [
            (0, [0xd09f_492a_b600_90f2, 0x8077_2edd_6a9a_f3a9]),
            (1, [0x1c41_116a_8419_b5c7, 0xa801_f803_cb07_acd6]),
            (255, [0x94da_c2c9_3173_a3d9, 0xd62b_32f7_f737_1796]),
            (256, [0x4b83_c7ef_2c59_d905, 0x51a1_6848_6176_97f6]),
            (257, [0xc790_9bef_3fdf_b77a, 0xa741_4720_e092_3250]),
        ];
        for (block, words) in expected {
            assert_eq!(stream[2 * block..2 * block + 2], words, "block {block}");
        }
    }

    /// An independent computation: one block call at a time, counters written by hand.
    #[test]
    fn the_stream_is_aes_of_little_endian_counters_across_chunks() {
        let words = 3 * CHUNK / 8 + 5;
        let cipher = Aes256::new(&[9u8; 32].into());
        let expected: Vec<u64> = (0..words.div_ceil(2) as u128)
            .flat_map(|counter| {
                let mut block = aes::Block::from(counter.to_le_bytes());
                cipher.encrypt_block(&mut block);
                let bytes: [u8; 16] = block.into();
                let word = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap());
                [word(&bytes[..8]), word(&bytes[8..])]
            })
            .take(words)
            .collect();
        assert_eq!(mask(9, words), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_is_added_by_one_is_subtracted_by_the_other(key: [u8; 32], words in prop::collection::vec(any::<u64>(), 0..1500)) {
            let mut masked = words.clone();
            expand_into(&MaskKey::from_bytes(key), Sign::Add, &mut masked);
            prop_assert!(words.len() < 2 || masked != words);
            expand_into(&MaskKey::from_bytes(key), Sign::Subtract, &mut masked);
            prop_assert_eq!(masked, words);
        }

        #[test]
        fn a_shorter_vector_has_the_beginning_of_the_same_mask(n in 0usize..1200) {
            prop_assert_eq!(&mask(4, 1200)[..n], &mask(4, n)[..]);
        }
    }
}
