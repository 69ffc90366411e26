//! The four keystreams behind one face: started at any word, written in bulk.
//!
//! All of them start from a zero nonce: a [`MaskKey`] is derived for one mask of one attempt, so no key meets two nonces.
use aes::cipher::{InnerIvInit, KeyInit, KeyIvInit, StreamCipher, StreamCipherSeek};
use aes::{Aes128, Aes256};
use chacha20::{ChaCha8, ChaCha20};
use ctr::{Ctr64LE, CtrCore};

use super::MaskKey;

/// A pseudorandom generator: which cipher makes the words of a mask. Word w is bytes 8w to 8w + 7 of the keystream, little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prg {
    /// AES-256 in counter mode (FIPS 197, SP 800-38A): block i is AES(key, i as 16 little-endian bytes).
    Aes256Ctr,
    /// ChaCha20 (RFC 8439, section 2.4) from block 0, with a zero nonce: for processors without AES instructions. Its 32-bit
    /// block counter ends after 2^35 words.
    ChaCha20,
    /// AES-128 in counter mode, under the first 16 bytes of the key.
    Aes128Ctr,
    /// ChaCha20 with 8 rounds in place of 20 (Bernstein, "ChaCha, a variant of Salsa20", 2008): for simulations.
    ChaCha8,
}

impl Prg {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Aes256Ctr, Self::ChaCha20, Self::Aes128Ctr, Self::ChaCha8];
}

/// A key made ready for use: AES' round keys, ChaCha's key. No `Debug`, no `Clone`; wiped on drop (by the ciphers).
pub(super) enum Schedule {
    Aes256(Aes256),
    Aes128(Aes128),
    ChaCha20(MaskKey),
    ChaCha8(MaskKey),
}

impl Schedule {
    pub(super) fn new(prg: Prg, key: &MaskKey) -> Self {
        match prg {
            Prg::Aes256Ctr => Self::Aes256(Aes256::new(&key.0.into())),
            Prg::ChaCha20 => Self::ChaCha20(MaskKey(key.0)),
            Prg::Aes128Ctr => {
                let half = key.0.first_chunk::<16>().expect("32 bytes begin with 16");
                Self::Aes128(Aes128::new(half.into()))
            }
            Prg::ChaCha8 => Self::ChaCha8(MaskKey(key.0)),
        }
    }

    /// The keystream from word `offset` on.
    pub(super) fn at_word(&self, offset: u64) -> Keystream<'_> {
        let mut stream = match self {
            Self::Aes256(aes) => Keystream::Aes256(Ctr64LE::from_core(CtrCore::inner_iv_init(aes, &[0; 16].into()))),
            Self::Aes128(aes) => Keystream::Aes128(Ctr64LE::from_core(CtrCore::inner_iv_init(aes, &[0; 16].into()))),
            Self::ChaCha20(key) => Keystream::ChaCha20(ChaCha20::new(&key.0.into(), &[0; 12].into())),
            Self::ChaCha8(key) => Keystream::ChaCha8(ChaCha8::new(&key.0.into(), &[0; 12].into())),
        };
        stream.seek(u128::from(offset).saturating_mul(8));
        stream
    }
}

/// A place in a keystream.
pub(super) enum Keystream<'a> {
    // A 64-bit counter in the low bytes of a zero block: the 128-bit little-endian counter below block 2^64, and faster.
    Aes256(Ctr64LE<&'a Aes256>),
    Aes128(Ctr64LE<&'a Aes128>),
    ChaCha20(ChaCha20),
    ChaCha8(ChaCha8),
}

impl Keystream<'_> {
    fn seek(&mut self, byte: u128) {
        match self {
            Self::Aes256(s) => s.seek(byte),
            Self::Aes128(s) => s.seek(byte),
            Self::ChaCha20(s) => s.seek(byte),
            Self::ChaCha8(s) => s.seek(byte),
        }
    }

    /// The next bytes, over whatever `out` held.
    pub(super) fn write(&mut self, out: &mut [u8]) {
        match self {
            Self::Aes256(s) => s.write_keystream(out),
            Self::Aes128(s) => s.write_keystream(out),
            Self::ChaCha20(s) => s.write_keystream(out),
            Self::ChaCha8(s) => s.write_keystream(out),
        }
    }
}
