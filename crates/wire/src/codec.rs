//! Encoding and decoding with a context: whatever length a message may have is known before its bytes are read.
use sottovoce_types::{AttemptId, ClientId, Digest, RoundId, RunId};

/// Writes itself in the one canonical encoding that [`Decode`] accepts.
pub trait Encode {
    /// Appends the encoding to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// The encoding by itself.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// Reads itself from untrusted bytes, given a context `Ctx` that carries every length that matters.
pub trait Decode<Ctx = ()>: Sized {
    /// Reads one value and leaves the rest in `input`.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are short, too long for the context, or not canonical.
    fn decode(ctx: &Ctx, input: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads one value from all of `bytes`.
    ///
    /// # Errors
    /// As [`Decode::decode`], and [`DecodeError::Trailing`] when bytes are left over.
    fn decode_exact(ctx: &Ctx, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let value = Self::decode(ctx, &mut input)?;
        input.finish()?;
        Ok(value)
    }
}

/// Why bytes are not the message that they claim to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A count or length above what the context allows; nothing was allocated for it.
    #[error("{what}: {len} is more than the {max} that this session allows")]
    TooLong {
        /// Which field.
        what: &'static str,
        /// What the bytes ask for.
        len: u64,
        /// What is allowed.
        max: u64,
    },
    /// Bytes left after the message.
    #[error("{left} bytes follow the message; its sender speaks another version or is broken")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// The bytes end before the message does.
    #[error("the message ends early: {needed} more bytes wanted, {left} left")]
    Truncated {
        /// Bytes wanted.
        needed: usize,
        /// Bytes left.
        left: usize,
    },
    /// A tag that stands for nothing.
    #[error("{what}: unknown tag {tag}")]
    UnknownTag {
        /// Which field.
        what: &'static str,
        /// The tag.
        tag: u8,
    },
    /// A value outside its range, or not in its canonical form.
    #[error("{what}: not in canonical form or out of range")]
    Invalid {
        /// Which field.
        what: &'static str,
    },
}

/// Takes untrusted bytes apart from the front; never panics, never allocates more than its caller allows.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) =
            self.rest.split_at_checked(n).ok_or(DecodeError::Truncated { needed: n, left: self.rest.len() })?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) =
            self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated { needed: N, left: self.rest.len() })?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes, little-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A byte that is 0 or 1.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`]; [`DecodeError::UnknownTag`] for any other byte.
    pub fn boolean(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(DecodeError::UnknownTag { what, tag }),
        }
    }

    /// A finite f64 (its IEEE bits, little-endian).
    ///
    /// # Errors
    /// [`DecodeError::Truncated`]; [`DecodeError::Invalid`] for an infinity or NaN.
    pub fn finite_f64(&mut self, what: &'static str) -> Result<f64, DecodeError> {
        let value = f64::from_le_bytes(self.array()?);
        if value.is_finite() { Ok(value) } else { Err(DecodeError::Invalid { what }) }
    }

    /// `n` finite f32 (IEEE bits, little-endian).
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] before anything is allocated; [`DecodeError::Invalid`] for an infinity or NaN.
    pub fn finite_f32s(&mut self, n: usize, what: &'static str) -> Result<Vec<f32>, DecodeError> {
        let bytes = self.take(n.saturating_mul(4))?;
        let (chunks, _) = bytes.as_chunks::<4>();
        let values: Vec<f32> = chunks.iter().map(|c| f32::from_le_bytes(*c)).collect();
        if values.iter().all(|v| v.is_finite()) { Ok(values) } else { Err(DecodeError::Invalid { what }) }
    }

    /// `n` words of 64 bits, little-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] before anything is allocated.
    pub fn words(&mut self, n: usize) -> Result<Vec<u64>, DecodeError> {
        let bytes = self.take(n.saturating_mul(8))?;
        let (chunks, _) = bytes.as_chunks::<8>();
        Ok(chunks.iter().map(|c| u64::from_le_bytes(*c)).collect())
    }

    /// A count (u32) of at most `max`.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`], [`DecodeError::Truncated`].
    pub fn count(&mut self, what: &'static str, max: usize) -> Result<usize, DecodeError> {
        let n = self.u32()?;
        match usize::try_from(n) {
            Ok(n) if n <= max => Ok(n),
            _ => Err(DecodeError::TooLong { what, len: u64::from(n), max: u64::try_from(max).unwrap_or(u64::MAX) }),
        }
    }

    /// A string of bytes, its length (u32, at most `max`) first.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`], [`DecodeError::Truncated`].
    pub fn bytes(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], DecodeError> {
        let n = self.count(what, max)?;
        self.take(n)
    }

    /// UTF-8 text, its length in bytes (u32, at most `max`) first.
    ///
    /// # Errors
    /// As [`Reader::bytes`]; [`DecodeError::Invalid`] when it is not UTF-8.
    pub fn text(&mut self, what: &'static str, max: usize) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(what, max)?).map_err(|_| DecodeError::Invalid { what })
    }

    /// A list: its length (u32, at most `max`), then that many items.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`], and whatever `item` returns. Room is made for no more items than bytes are left.
    pub fn list<T>(
        &mut self,
        what: &'static str,
        max: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let n = self.count(what, max)?;
        let mut items = Vec::with_capacity(n.min(self.left()));
        for _ in 0..n {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Bytes left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] when bytes are left.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing { left: self.rest.len() }) }
    }
}

/// Appends two bytes, little-endian.
pub fn put_u16(out: &mut Vec<u8>, n: u16) {
    out.extend_from_slice(&n.to_le_bytes());
}

/// Appends four bytes, little-endian.
pub fn put_u32(out: &mut Vec<u8>, n: u32) {
    out.extend_from_slice(&n.to_le_bytes());
}

/// Appends eight bytes, little-endian.
pub fn put_u64(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(&n.to_le_bytes());
}

/// Appends a string of bytes as [`Reader::bytes`] and [`Reader::text`] read it.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, u32::try_from(bytes.len()).expect("what we encode ourselves is below 4 GiB"));
    out.extend_from_slice(bytes);
}

macro_rules! fixed {
    ($($name:ident($n:literal)),+) => {$(
        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }
        }
        impl<Ctx> Decode<Ctx> for $name {
            fn decode(_: &Ctx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                input.array::<$n>().map(Self)
            }
        }
    )+};
}
fixed!(Digest(32), ClientId(32), RunId(16));

impl Encode for RoundId {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.0);
    }
}

impl<Ctx> Decode<Ctx> for RoundId {
    fn decode(_: &Ctx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.u64().map(Self)
    }
}

impl Encode for AttemptId {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, self.0);
    }
}

impl<Ctx> Decode<Ctx> for AttemptId {
    fn decode(_: &Ctx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.u32().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_after_the_message_are_refused() {
        let mut bytes = Digest([3; 32]).to_bytes();
        bytes.push(0);
        assert_eq!(<Digest as Decode>::decode_exact(&(), &bytes), Err(DecodeError::Trailing { left: 1 }));
        assert_eq!(<Digest as Decode>::decode_exact(&(), &bytes[..32]), Ok(Digest([3; 32])));
    }

    #[test]
    fn a_message_that_ends_early_is_refused_and_says_how_much_is_wanted() {
        let bytes = [0u8; 31];
        assert_eq!(<Digest as Decode>::decode_exact(&(), &bytes), Err(DecodeError::Truncated { needed: 32, left: 31 }));
        assert_eq!(Reader::new(&[1, 2, 3]).u32(), Err(DecodeError::Truncated { needed: 4, left: 3 }));
    }

    #[test]
    fn a_count_above_the_sessions_limit_is_refused_before_anything_is_allocated() {
        let bytes = u32::MAX.to_le_bytes();
        assert_eq!(
            Reader::new(&bytes).list("things", 10, Reader::u64),
            Err(DecodeError::TooLong { what: "things", len: u64::from(u32::MAX), max: 10 })
        );
        // Within the limit but with no bytes behind it: room is made only for what can be there.
        let within = 1_000_000_000u32.to_le_bytes();
        assert!(matches!(
            Reader::new(&within).list("things", usize::MAX, Reader::u64),
            Err(DecodeError::Truncated { .. })
        ));
        assert!(matches!(Reader::new(&[]).words(usize::MAX), Err(DecodeError::Truncated { .. })));
        assert!(matches!(Reader::new(&[]).finite_f32s(usize::MAX, "x"), Err(DecodeError::Truncated { .. })));
    }

    #[test]
    fn only_canonical_booleans_finite_numbers_and_utf8_are_read() {
        assert_eq!(Reader::new(&[2]).boolean("flag"), Err(DecodeError::UnknownTag { what: "flag", tag: 2 }));
        assert_eq!(Reader::new(&[1]).boolean("flag"), Ok(true));
        assert!(Reader::new(&f64::NAN.to_le_bytes()).finite_f64("x").is_err());
        assert_eq!(Reader::new(&1.5f64.to_le_bytes()).finite_f64("x"), Ok(1.5));
        assert!(Reader::new(&f32::INFINITY.to_le_bytes()).finite_f32s(1, "x").is_err());
        assert_eq!(Reader::new(&2.5f32.to_le_bytes()).finite_f32s(1, "x"), Ok(vec![2.5]));
        assert_eq!(Reader::new(&[1, 0, 0, 0, 0xff]).text("name", 9), Err(DecodeError::Invalid { what: "name" }));
        assert_eq!(Reader::new(&[1, 0, 0, 0, b'a']).text("name", 9), Ok("a"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(a: u16, b: u32, c: u64, d: [u8; 32], e: Vec<u8>, round: u64, attempt: u32) {
            let mut out = Vec::new();
            put_u16(&mut out, a);
            put_u32(&mut out, b);
            put_u64(&mut out, c);
            ClientId(d).encode(&mut out);
            put_bytes(&mut out, &e);
            RoundId(round).encode(&mut out);
            AttemptId(attempt).encode(&mut out);
            let mut r = Reader::new(&out);
            prop_assert_eq!(r.u16(), Ok(a));
            prop_assert_eq!(r.u32(), Ok(b));
            prop_assert_eq!(r.u64(), Ok(c));
            prop_assert_eq!(ClientId::decode(&(), &mut r), Ok(ClientId(d)));
            prop_assert_eq!(r.bytes("e", e.len()), Ok(e.as_slice()));
            prop_assert_eq!(RoundId::decode(&(), &mut r), Ok(RoundId(round)));
            prop_assert_eq!(AttemptId::decode(&(), &mut r), Ok(AttemptId(attempt)));
            prop_assert_eq!(r.finish(), Ok(()));
        }

        #[test]
        fn no_input_makes_the_reader_panic(bytes: Vec<u8>, n in 0usize..100) {
            let mut r = Reader::new(&bytes);
            let _ = r.list("x", n, |r| r.bytes("y", n).map(<[u8]>::len));
            let _ = r.text("z", n);
            let _ = r.words(n);
            let _ = r.take(n);
        }
    }
}
