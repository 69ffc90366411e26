//! `transcript.bin`: a header, then length-prefixed records.
//!
//! ```text
//! header  magic "SOTTOVTR" · version u32
//! record  length u32 of what follows · at u64 · from · to · frame as on the stream (`Frame::to_bytes`)
//! party   0 for the coordinator, or 1 and the client's id (32 bytes)
//! ```
//! All numbers are little-endian. A record's `seq` is its place and is not written.
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sottovoce_types::{AttemptId, ClientId, RoundId, RunId, Tick};
use sottovoce_wire::{Frame, Kind};

use crate::{Party, Record, Tap};

const MAGIC: &[u8; 8] = b"SOTTOVTR";
const VERSION: u32 = 1;

/// A recording could not be written; what lies on disk ends at the record before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TapError {
    /// The file could not be created.
    #[error("cannot create the transcript {path}: {source}")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A record could not be written.
    #[error("cannot write the transcript {path} after {records} records: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Records handed over before.
        records: u64,
        /// What the system said.
        source: io::Error,
    },
}

/// Keeps everything in `transcript.bin`, buffered. Dropping it flushes what is buffered; [`FileTap::finish`] also says
/// whether all of it was written.
#[derive(Debug)]
pub struct FileTap {
    path: PathBuf,
    out: BufWriter<File>,
    records: u64,
    failed: Option<TapError>,
}

impl FileTap {
    /// Starts a new recording at `path`, over any that was there.
    ///
    /// # Errors
    /// [`TapError::Create`].
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, TapError> {
        let path = path.into();
        let create = |path: &Path| {
            let mut out = BufWriter::new(File::create(path)?);
            out.write_all(MAGIC)?;
            out.write_all(&VERSION.to_le_bytes())?;
            Ok(out)
        };
        match create(&path) {
            Ok(out) => Ok(Self { path, out, records: 0, failed: None }),
            Err(source) => Err(TapError::Create { path, source }),
        }
    }

    /// Writes what is buffered and returns the number of records.
    ///
    /// # Errors
    /// [`TapError::Write`] with the first failure, if there was one at any time.
    pub fn finish(mut self) -> Result<u64, TapError> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        match self.out.flush() {
            Ok(()) => Ok(self.records),
            Err(source) => Err(TapError::Write { path: self.path.clone(), records: self.records, source }),
        }
    }

    fn write(&mut self, at: Tick, from: Party, to: Party, frame: &Frame) -> io::Result<()> {
        let frame = frame.to_bytes();
        let mut head = Vec::with_capacity(80);
        head.extend(at.0.to_le_bytes());
        put_party(&mut head, from);
        put_party(&mut head, to);
        let len = u32::try_from(head.len() + frame.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(&head)?;
        self.out.write_all(&frame)
    }
}

impl Tap for FileTap {
    fn record(&mut self, at: Tick, from: Party, to: Party, frame: &Frame) {
        if self.failed.is_some() {
            return; // One gap would make everything after it a lie about order.
        }
        // It repeats parts of the masked inputs to every client, n² of them a round, and what opened the sum: who reads transcripts has all
        // of it in the inputs and the openings.
        if frame.kind == Kind::Audit {
            return;
        }
        match self.write(at, from, to, frame) {
            Ok(()) => self.records += 1,
            Err(source) => {
                self.failed = Some(TapError::Write { path: self.path.clone(), records: self.records, source });
            }
        }
    }
}

fn put_party(out: &mut Vec<u8>, party: Party) {
    match party {
        Party::Coordinator => out.push(0),
        Party::Client(id) => {
            out.push(1);
            out.extend(id.0);
        }
    }
}

/// A file cannot be read as a transcript.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file could not be read.
    #[error("cannot read the transcript {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A whole record makes no sense.
    #[error("{path}: record {seq}, at byte {offset}, is damaged; the transcript cannot be trusted from there on")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which record, from 0.
        seq: u64,
        /// Where it starts in the file.
        offset: usize,
    },
    /// The first bytes are not a transcript's.
    #[error("{path} is not a transcript (it does not start with SOTTOVTR)")]
    NotATranscript {
        /// The file.
        path: PathBuf,
    },
    /// Written by another version.
    #[error("{path} is a transcript of version {found}; this program reads version {VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

/// What was cut off at the end of a file: the writer was stopped in the middle of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Torn {
    /// Whole records before it.
    pub whole_records: u64,
    /// Bytes of the cut-off record that are there.
    pub bytes: usize,
}

pub(crate) fn read(path: &Path) -> Result<(Vec<Record>, Option<Torn>), ReadError> {
    let bytes = std::fs::read(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    let mut input = Input { bytes: Bytes::from(bytes), at: 0 };
    if input.take(MAGIC.len()).as_deref() != Some(MAGIC.as_slice()) {
        return Err(ReadError::NotATranscript { path: path.to_owned() });
    }
    let found = input.u32().ok_or_else(|| ReadError::NotATranscript { path: path.to_owned() })?;
    if found != VERSION {
        return Err(ReadError::Version { path: path.to_owned(), found });
    }
    let mut records = Vec::new();
    while input.left() > 0 {
        let (offset, left, seq) = (input.at, input.left(), records.len() as u64);
        let Some(body) = input.u32().and_then(|len| input.take(usize::try_from(len).ok()?)) else {
            return Ok((records, Some(Torn { whole_records: seq, bytes: left })));
        };
        let record =
            parse_record(seq, body).ok_or_else(|| ReadError::Damaged { path: path.to_owned(), seq, offset })?;
        records.push(record);
    }
    Ok((records, None))
}

fn parse_record(seq: u64, bytes: Bytes) -> Option<Record> {
    let mut input = Input { bytes, at: 0 };
    let at = Tick(input.u64()?);
    let from = input.party()?;
    let to = input.party()?;
    let frame = input.frame()?;
    Some(Record { seq, at, from, to, frame })
}

/// Bytes with a place. Bodies are slices of the file's one buffer, so a long transcript is held once.
struct Input {
    bytes: Bytes,
    at: usize,
}

impl Input {
    fn take(&mut self, n: usize) -> Option<Bytes> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len())?;
        let taken = self.bytes.slice(self.at..end);
        self.at = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.as_ref().try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn party(&mut self) -> Option<Party> {
        match self.array()? {
            [0] => Some(Party::Coordinator),
            [1] => Some(Party::Client(ClientId(self.array()?))),
            _ => None,
        }
    }

    /// A frame as on the stream: length u32, version u8, kind u8, run 16, round u64, attempt u32, body.
    fn frame(&mut self) -> Option<Frame> {
        let len = usize::try_from(self.u32()?).ok()?;
        if len != self.left() {
            return None;
        }
        let [version, kind] = self.array()?;
        if version != sottovoce_wire::PROTOCOL_VERSION {
            return None;
        }
        let frame = Frame {
            kind: Kind::of_byte(kind)?,
            run: RunId(self.array()?),
            round: RoundId(self.u64()?),
            attempt: AttemptId(self.u32()?),
            body: self.take(self.left())?,
        };
        Some(frame)
    }
}
