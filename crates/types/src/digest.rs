//! SHA-256 digests and a length-prefixed writer for what is hashed.
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest; displayed and serialised as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// SHA-256 of all that `reader` still gives.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn of_reader(mut reader: impl std::io::Read) -> std::io::Result<Self> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(Self(hasher.finalize().into())),
                n => hasher.update(&buffer[..n]),
            }
        }
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("a digest is 64 hexadecimal digits"))
    }
}

/// Hashes a label and then length-prefixed fields, so that no two different field lists hash the same bytes.
#[derive(Clone)]
pub struct Sha256Writer(Sha256);

impl Sha256Writer {
    /// Starts with a domain-separation label such as `"sottovoce/1/roster"`.
    pub fn new(label: &str) -> Self {
        let mut writer = Self(Sha256::new());
        writer.field(label.as_bytes());
        writer
    }

    /// Adds one field: its length as u64 little-endian, then its bytes.
    pub fn field(&mut self, bytes: &[u8]) -> &mut Self {
        let len = u64::try_from(bytes.len()).expect("a length fits 64 bits");
        self.0.update(len.to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds words as one field of their little-endian bytes, without a copy of them all.
    pub fn words(&mut self, words: &[u64]) -> &mut Self {
        let bytes = u64::try_from(words.len()).ok().and_then(|n| n.checked_mul(8)).expect("a length fits 64 bits");
        self.0.update(bytes.to_le_bytes());
        let mut buffer = [0u8; 4096];
        for chunk in words.chunks(buffer.len() / 8) {
            let (places, _) = buffer.as_chunks_mut::<8>();
            places.iter_mut().zip(chunk).for_each(|(place, word)| *place = word.to_le_bytes());
            self.0.update(&buffer[..8 * chunk.len()]);
        }
        self
    }

    /// Adds a number as an eight-byte little-endian field.
    pub fn number(&mut self, n: u64) -> &mut Self {
        self.field(&n.to_le_bytes())
    }

    /// The digest of all that was written.
    pub fn finish(&self) -> Digest {
        Digest(self.0.clone().finalize().into())
    }
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).collect()
}

pub(crate) fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let mut out = [0u8; 32];
    for (byte, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        let text = std::str::from_utf8(pair).ok()?;
        if !pair.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        *byte = u8::from_str_radix(text, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_field_of_their_bytes() {
        for n in [0u64, 1, 511, 512, 513, 1025] {
            let words: Vec<u64> = (0..n).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            let as_words = Sha256Writer::new("l").words(&words).number(1).finish();
            assert_eq!(as_words, Sha256Writer::new("l").field(&bytes).number(1).finish(), "{n} words");
        }
    }

    #[test]
    fn fields_cannot_slide_into_each_other() {
        let ab_c = Sha256Writer::new("l").field(b"ab").field(b"c").finish();
        let a_bc = Sha256Writer::new("l").field(b"a").field(b"bc").finish();
        assert_ne!(ab_c, a_bc);
    }

    #[test]
    fn hex_round_trips_and_refuses_what_is_not_hex() {
        let d = Digest::of(b"x");
        assert_eq!(Digest::from_hex(&d.to_string()), Some(d));
        assert_eq!(Digest::from_hex("+f"), None);
        assert_eq!(Digest::from_hex(&"+f".repeat(32)), None);
    }
}
