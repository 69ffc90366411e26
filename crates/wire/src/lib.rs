//! Bounded, canonical bytes: [`Encode`] and [`Decode`], the [`Frame`] that every message travels in, and the [`Limits`]
//! that are checked before anything is allocated for a peer.
//!
//! This crate knows no meaning of a body: `secagg` and `round` encode their own messages with the traits given here.
//! It does no I/O; a driver pushes what it read from a stream into a [`FrameReader`] and takes whole frames out. The two
//! types to read first are [`Reader`] (how untrusted bytes are taken apart) and [`FrameReader`].
//!
//! On a stream a frame is, with all integers little-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 4 | length of all that follows |
//! | 1 | protocol version, [`PROTOCOL_VERSION`] |
//! | 1 | [`Kind`] |
//! | 16 | run |
//! | 8 | round |
//! | 4 | attempt |
//! | the rest | body |
//!
//! ```
//! use sottovoce_types::{AttemptId, RoundId, RunId};
//! use sottovoce_wire::{Frame, FrameReader, Kind, Limits};
//! let frame = Frame {
//!     kind: Kind::Hello, run: RunId([7; 16]), round: RoundId(1), attempt: AttemptId(1), body: vec![1, 2, 3].into(),
//! };
//! let mut reader = FrameReader::new(Limits::new(3, 100));
//! reader.push(&frame.to_bytes());
//! assert_eq!(reader.next_frame()?, Some(frame));
//! assert_eq!(reader.next_frame()?, None);
//! # Ok::<(), sottovoce_wire::FrameError>(())
//! ```
//!
//! # Errors
//! [`FrameError`] is fatal for the stream it came from (the reader keeps returning it); [`DecodeError`] is fatal for one
//! message. Both are caused by the peer, never by the caller.
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::panic)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests may unwrap")
)]

mod codec;
mod frame;
mod limits;

pub use codec::{Decode, DecodeError, Encode, Reader, put_bytes, put_u16, put_u32, put_u64};
pub use frame::{Frame, FrameError, FrameReader, PROTOCOL_VERSION};
pub use limits::{CHUNKS_AT_ONCE, Kind, Limits};
