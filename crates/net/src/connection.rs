//! One connection: frames over the one bidirectional stream that the client opens.
//!
//! A [`Link`] is the connection as one thing; drivers split it into a reading and a writing half, each in a task of its
//! own, so that a peer that dribbles bytes or reads none holds up nobody else.
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, ReadError, RecvStream, SendStream, WriteError};
use sottovoce_types::ClientId;
use sottovoce_wire::{Frame, FrameReader, Limits};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::error::{CloseCode, LinkError};
use crate::tls::public_key_of_spki;

/// Bytes read from or offered to QUIC at a time. A stalled peer is noticed per piece, not per frame.
const PIECE_BYTES: usize = 64 * 1024;

/// A connection to one authenticated peer.
pub struct Link {
    pub(crate) reader: LinkReader,
    pub(crate) writer: LinkWriter,
    peer_key: [u8; 32],
}

impl Link {
    /// Puts frames on an established stream. The peer's key was checked by TLS.
    pub(crate) fn new(
        connection: Connection,
        (send, recv): (SendStream, RecvStream),
        limits: Limits,
        write_timeout: Duration,
    ) -> Result<Self, LinkError> {
        let peer_key = peer_key(&connection)?;
        let closer = Closer { connection };
        Ok(Self {
            reader: LinkReader { recv, frames: FrameReader::new(limits), closer: closer.clone() },
            writer: LinkWriter { send, closer, write_timeout },
            peer_key,
        })
    }

    /// The peer's Ed25519 public key, as proved in the handshake.
    pub fn peer_key(&self) -> [u8; 32] {
        self.peer_key
    }

    /// The peer's client id (for a client's link: the coordinator's key, hashed the same way).
    pub fn peer_id(&self) -> ClientId {
        ClientId::of_public_key(&self.peer_key)
    }

    /// The next frame; `None` when the peer ended its stream at the end of a frame.
    ///
    /// # Errors
    /// [`LinkError::BadFrame`] closes the connection with [`CloseCode::BadFrame`]; others say how the connection ended.
    pub async fn receive(&mut self) -> Result<Option<Frame>, LinkError> {
        self.reader.next().await
    }

    /// Sends one frame; returns when QUIC has taken it, not when the peer has it.
    ///
    /// # Errors
    /// [`LinkError::Stalled`] when the peer makes no room, or how the connection ended.
    pub async fn send(&mut self, frame: &Frame) -> Result<(), LinkError> {
        self.writer.write(frame.to_bytes()).await
    }

    /// Sends bytes as they are: for tests that play a hostile peer.
    #[doc(hidden)]
    pub async fn send_raw(&mut self, bytes: Bytes) -> Result<(), LinkError> {
        self.writer.write(bytes).await
    }

    /// Closes at once and tells the peer why. What it has not read yet may be lost.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.writer.closer.close(code, reason);
    }

    /// Waits until the connection has ended and says how.
    pub async fn closed(&self) -> LinkError {
        self.writer.closer.closed().await
    }

    /// The reading half, and an outbox whose frames a task of its own writes.
    pub(crate) fn split(self, queued_frames: usize) -> (LinkReader, Outbox) {
        let closer = self.writer.closer.clone();
        let (queue, frames) = mpsc::channel(queued_frames.max(1));
        tokio::spawn(self.writer.run(frames));
        (self.reader, Outbox { queue: Some(queue), closer })
    }
}

/// A handle that can end a connection from anywhere.
#[derive(Clone)]
pub(crate) struct Closer {
    connection: Connection,
}

impl Closer {
    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        self.connection.close(code.to_var(), reason.as_bytes());
    }

    pub(crate) async fn closed(&self) -> LinkError {
        self.connection.closed().await.into()
    }
}

/// Frames on their way to one peer: bounded, never waiting, so that no peer holds up a driver.
pub(crate) struct Outbox {
    queue: Option<mpsc::Sender<Bytes>>,
    pub(crate) closer: Closer,
}

impl Outbox {
    /// Queues a frame. `false`: the peer has not taken the frames before it and the connection was closed.
    pub(crate) fn push(&self, frame: &Frame) -> bool {
        let Some(queue) = &self.queue else { return false };
        match queue.try_send(frame.to_bytes()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.closer.close(CloseCode::TooSlow, "you do not read what is sent to you");
                false
            }
            // The connection failed; its reader says how.
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    /// No frame follows: the stream ends after those that are queued.
    pub(crate) fn finish(&mut self) {
        self.queue = None;
    }
}

/// The reading half.
pub(crate) struct LinkReader {
    recv: RecvStream,
    frames: FrameReader,
    closer: Closer,
}

impl LinkReader {
    /// What may come from now on.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.frames.set_limits(limits);
    }

    /// As [`Link::receive`]. Cancel-safe: what was read is in `frames` before anything is awaited again.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, LinkError> {
        loop {
            match self.frames.next_frame() {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(error) => {
                    self.closer.close(CloseCode::BadFrame, &error.to_string());
                    return Err(error.into());
                }
            }
            match self.recv.read_chunk(PIECE_BYTES, true).await {
                Ok(Some(chunk)) => self.frames.push(&chunk.bytes),
                Ok(None) => return Ok(None),
                Err(ReadError::ConnectionLost(lost)) => return Err(lost.into()),
                Err(ReadError::Reset(_)) => return Err(LinkError::StreamEnded),
                Err(other) => return Err(LinkError::Transport { reason: other.to_string() }),
            }
        }
    }
}

/// The writing half.
pub(crate) struct LinkWriter {
    send: SendStream,
    closer: Closer,
    write_timeout: Duration,
}

impl LinkWriter {
    /// Writes what is queued until the queue ends, then ends the stream. Any failure closes the connection, and so
    /// reaches whoever reads from it.
    async fn run(mut self, mut frames: mpsc::Receiver<Bytes>) {
        while let Some(frame) = frames.recv().await {
            if let Err(error) = self.write(frame).await {
                tracing::debug!(%error, "writing ended");
                self.closer.close(CloseCode::Dropped, "");
                return;
            }
        }
        // Fails only when the connection is gone already.
        let _ = self.send.finish();
    }

    async fn write(&mut self, mut bytes: Bytes) -> Result<(), LinkError> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
            match timeout(self.write_timeout, self.send.write_chunk(piece)).await {
                Ok(Ok(())) => {}
                Ok(Err(WriteError::ConnectionLost(lost))) => return Err(lost.into()),
                Ok(Err(WriteError::Stopped(_))) => return Err(LinkError::StreamEnded),
                Ok(Err(other)) => return Err(LinkError::Transport { reason: other.to_string() }),
                Err(_) => {
                    self.closer.close(CloseCode::TooSlow, "you take no byte of what was sent to you");
                    return Err(LinkError::Stalled(self.write_timeout));
                }
            }
        }
        Ok(())
    }
}

fn peer_key(connection: &Connection) -> Result<[u8; 32], LinkError> {
    connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().ok())
        .and_then(|chain| chain.first().and_then(|spki| public_key_of_spki(spki)))
        .ok_or_else(|| LinkError::Transport { reason: "the handshake yielded no peer key".to_owned() })
}
