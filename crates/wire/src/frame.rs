//! One message with its address, and a reader that puts frames together from a stream.
use bytes::{Buf, Bytes, BytesMut};
use sottovoce_types::{AttemptId, RoundId, RunId};

use crate::{Decode, DecodeError, Encode, Kind, Limits, Reader, put_u32};

/// The version that this build speaks; any other is refused.
pub const PROTOCOL_VERSION: u8 = 1;

/// Bytes of the length prefix.
const PREFIX: usize = 4;

/// One message: what it is, which attempt it belongs to, and its body.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the body is.
    pub kind: Kind,
    /// The run.
    pub run: RunId,
    /// The round.
    pub round: RoundId,
    /// The attempt at that round.
    pub attempt: AttemptId,
    /// The encoded message.
    pub body: Bytes,
}

// Debug stops at the length: a body may be an input or a share.
impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Frame({:?}, run {}, round {}, attempt {}, {} bytes)",
            self.kind,
            self.run,
            self.round,
            self.attempt,
            self.body.len()
        )
    }
}

impl Frame {
    /// Bytes before the body, the length prefix included: 4 + 1 + 1 + 16 + 8 + 4.
    pub const HEADER_LEN: usize = 34;

    /// The frame as it goes on a stream.
    pub fn to_bytes(&self) -> Bytes {
        let total = Self::HEADER_LEN.saturating_add(self.body.len());
        let rest = total.saturating_sub(PREFIX);
        let mut out = Vec::with_capacity(total);
        put_u32(&mut out, u32::try_from(rest).expect("no limit of ours lets a body reach 4 GiB"));
        out.push(PROTOCOL_VERSION);
        out.push(self.kind.byte());
        self.run.encode(&mut out);
        self.round.encode(&mut out);
        self.attempt.encode(&mut out);
        out.extend_from_slice(&self.body);
        out.into()
    }
}

/// Why a stream is not a sequence of frames. The stream cannot be read any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length prefix is larger than any frame of this session.
    #[error("a frame of {len} bytes was announced; no frame of this session is larger than {max}")]
    TooLong {
        /// Announced bytes after the prefix.
        len: usize,
        /// Most bytes of a frame.
        max: usize,
    },
    /// The body is larger than its kind may be.
    #[error("a body of {len} bytes was announced for {kind:?}; at most {max} are allowed")]
    TooLarge {
        /// The kind.
        kind: Kind,
        /// Announced bytes of the body.
        len: usize,
        /// Most bytes of a body of this kind.
        max: usize,
    },
    /// The length prefix is smaller than a header.
    #[error("a frame of {len} bytes was announced; a header alone is {min}")]
    TooShort {
        /// Announced bytes after the prefix.
        len: usize,
        /// Bytes of a header after the prefix.
        min: usize,
    },
    /// A kind that this version does not know.
    #[error("unknown kind of frame {0}")]
    UnknownKind(u8),
    /// Another protocol version.
    #[error("protocol version {got}, but this build speaks {PROTOCOL_VERSION}; both sides need the same release")]
    UnknownVersion {
        /// The version of the peer.
        got: u8,
    },
    /// The header does not decode.
    #[error("frame header: {0}")]
    Header(#[from] DecodeError),
}

/// Puts frames together from the bytes of a stream, in whatever pieces they come.
///
/// The length prefix is checked as soon as four bytes are there, the kind's own limit as soon as six are: both before any
/// room is made for the body. The reader itself holds what was pushed and not yet taken out, so take frames out until
/// [`FrameReader::next_frame`] returns `None` after every push; then it holds at most one frame and one push.
#[derive(Debug)]
pub struct FrameReader {
    limits: Limits,
    buffer: BytesMut,
    broken: Option<FrameError>,
}

impl FrameReader {
    /// A reader that refuses what exceeds `limits`.
    pub fn new(limits: Limits) -> Self {
        Self { limits, buffer: BytesMut::new(), broken: None }
    }

    /// Adds bytes that came from the stream. After an error they are thrown away.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Changes the limits for all frames not yet taken out (they depend on the model, which is known after a welcome).
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The next whole frame, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`]; the reader then stays broken and returns the same error for ever.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.take_frame().inspect_err(|error| {
            self.buffer = BytesMut::new();
            self.broken = Some(error.clone());
        })
    }

    fn take_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let min = Frame::HEADER_LEN.saturating_sub(PREFIX);
        let Some(prefix) = self.buffer.first_chunk::<PREFIX>() else { return Ok(None) };
        let max = self.limits.max_frame().saturating_sub(PREFIX);
        let len = usize::try_from(u32::from_le_bytes(*prefix)).unwrap_or(usize::MAX);
        if len > max {
            return Err(FrameError::TooLong { len, max });
        }
        if len < min {
            return Err(FrameError::TooShort { len, min });
        }
        if let Some(&[_, _, _, _, version, kind]) = self.buffer.first_chunk::<6>() {
            if version != PROTOCOL_VERSION {
                return Err(FrameError::UnknownVersion { got: version });
            }
            let kind = Kind::of_byte(kind).ok_or(FrameError::UnknownKind(kind))?;
            let body = len.saturating_sub(min);
            let max = self.limits.max_body(kind);
            if body > max {
                return Err(FrameError::TooLarge { kind, len: body, max });
            }
        }
        let whole = len.saturating_add(PREFIX);
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(whole).freeze();
        let mut header = Reader::new(&frame);
        header.take(PREFIX)?;
        let _version = header.u8()?;
        let kind = header.u8()?;
        let kind = Kind::of_byte(kind).ok_or(FrameError::UnknownKind(kind))?;
        let run = RunId::decode(&(), &mut header)?;
        let round = RoundId::decode(&(), &mut header)?;
        let attempt = AttemptId::decode(&(), &mut header)?;
        frame.advance(Frame::HEADER_LEN);
        Ok(Some(Frame { kind, run, round, attempt, body: frame }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits() -> Limits {
        Limits::new(4, 100)
    }

    fn frame(kind: Kind, body: Vec<u8>) -> Frame {
        Frame { kind, run: RunId([9; 16]), round: RoundId(3), attempt: AttemptId(2), body: body.into() }
    }

    #[test]
    fn claim_oversize_frames_are_refused_a_four_gib_prefix_is_refused_before_allocation() {
        let mut reader = FrameReader::new(limits());
        reader.push(&u32::MAX.to_le_bytes());
        let error = reader.next_frame().unwrap_err();
        assert!(matches!(error, FrameError::TooLong { len: 0xffff_ffff, .. }));
        assert_eq!(reader.buffer.capacity(), 0, "nothing is kept for a refused frame");
        // And the stream stays refused, whatever follows.
        reader.push(&frame(Kind::Hello, vec![]).to_bytes());
        assert_eq!(reader.next_frame(), Err(error));
        assert_eq!(reader.buffer.capacity(), 0);
    }

    #[test]
    fn claim_oversize_frames_are_refused_by_their_kinds_limit_from_six_bytes_on() {
        for kind in Kind::ALL {
            let max = limits().max_body(kind);
            let mut reader = FrameReader::new(limits());
            reader.push(&frame(kind, vec![0; max]).to_bytes());
            assert_eq!(reader.next_frame().unwrap().unwrap().body.len(), max, "{kind:?} at its limit");
            let over = frame(kind, vec![0; max + 1]).to_bytes();
            let mut reader = FrameReader::new(limits());
            reader.push(&over[..6]);
            let error = reader.next_frame().unwrap_err();
            assert!(
                matches!(error, FrameError::TooLarge { .. } | FrameError::TooLong { .. }),
                "{kind:?} one byte over its limit: {error}"
            );
        }
    }

    #[test]
    fn an_unknown_version_is_refused_by_name() {
        let mut bytes = frame(Kind::Hello, vec![]).to_bytes().to_vec();
        bytes[4] = 2;
        let mut reader = FrameReader::new(limits());
        reader.push(&bytes);
        assert_eq!(reader.next_frame(), Err(FrameError::UnknownVersion { got: 2 }));
    }

    #[test]
    fn an_unknown_kind_and_a_length_below_the_header_are_refused() {
        let mut bytes = frame(Kind::Hello, vec![]).to_bytes().to_vec();
        bytes[5] = 200;
        let mut reader = FrameReader::new(limits());
        reader.push(&bytes);
        assert_eq!(reader.next_frame(), Err(FrameError::UnknownKind(200)));
        let mut reader = FrameReader::new(limits());
        reader.push(&29u32.to_le_bytes());
        assert_eq!(reader.next_frame(), Err(FrameError::TooShort { len: 29, min: 30 }));
    }

    #[test]
    fn the_bytes_of_a_frame_are_these() {
        let bytes = frame(Kind::MaskedInput, vec![0xaa, 0xbb]).to_bytes();
        let mut expected = vec![32, 0, 0, 0, 1, 4];
        expected.extend_from_slice(&[9; 16]);
        expected.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0xaa, 0xbb]);
        assert_eq!(&bytes[..], &expected[..]);
        assert_eq!(bytes.len(), Frame::HEADER_LEN + 2);
    }

    #[test]
    fn debug_shows_no_body() {
        assert!(!format!("{:?}", frame(Kind::Opening, vec![171; 4])).contains("171"));
    }

    proptest! {
        #[test]
        fn frames_come_back_however_the_stream_is_cut(
            bodies in prop::collection::vec((0usize..15, prop::collection::vec(any::<u8>(), 0..200)), 0..6),
            piece in 1usize..50,
        ) {
            let frames: Vec<Frame> = bodies.into_iter().map(|(k, body)| frame(Kind::ALL[k], body)).collect();
            let stream: Vec<u8> = frames.iter().flat_map(|f| f.to_bytes().to_vec()).collect();
            let mut reader = FrameReader::new(limits());
            let mut got = Vec::new();
            for bytes in stream.chunks(piece) {
                reader.push(bytes);
                while let Some(frame) = reader.next_frame().unwrap() { got.push(frame); }
            }
            prop_assert_eq!(got, frames);
        }

        #[test]
        fn no_stream_makes_the_reader_panic(bytes: Vec<u8>, header in any::<bool>()) {
            let mut reader = FrameReader::new(limits());
            if header { reader.push(&[40, 0, 0, 0, 1]); }
            for b in bytes { reader.push(&[b]); let _ = reader.next_frame(); }
        }
    }
}
