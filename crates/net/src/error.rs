//! What can go wrong on a connection, and whose fault it is.
use std::io;
use std::net::SocketAddr;

use quinn::{ConnectionError, VarInt};
use sottovoce_round::{JournalError, ProtocolFault};
use sottovoce_wire::FrameError;

use crate::tls::{KEY_REFUSED_CODE, refusal_text};

/// Why a side closed a connection: the application error code in the QUIC close frame (RFC 9000, section 19.19).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CloseCode {
    /// The side ended without saying why: what QUIC sends when a process drops a connection.
    Dropped,
    /// The run is over, or this side has no further part in it.
    Finished,
    /// This side was told to stop.
    Shutdown,
    /// The peer sent bytes that are not a frame, or a frame beyond its limit.
    BadFrame,
    /// The peer sent a frame that the protocol does not allow.
    Protocol,
    /// The same identity connected again; the newer connection replaces this one.
    Replaced,
    /// The peer does not read what is sent to it.
    TooSlow,
    /// The peer did not open its stream in time.
    NoStream,
    /// This side failed; it is not the peer's fault.
    Internal,
    /// A code of another version.
    Other(u64),
}

impl CloseCode {
    pub(crate) fn to_var(self) -> VarInt {
        match self {
            Self::Dropped => VarInt::from_u32(0),
            Self::Finished => VarInt::from_u32(1),
            Self::Shutdown => VarInt::from_u32(2),
            Self::BadFrame => VarInt::from_u32(3),
            Self::Protocol => VarInt::from_u32(4),
            Self::Replaced => VarInt::from_u32(5),
            Self::TooSlow => VarInt::from_u32(6),
            Self::NoStream => VarInt::from_u32(7),
            Self::Internal => VarInt::from_u32(8),
            Self::Other(code) => VarInt::from_u64(code).unwrap_or(VarInt::MAX),
        }
    }

    pub(crate) fn from_var(code: VarInt) -> Self {
        match code.into_inner() {
            0 => Self::Dropped,
            1 => Self::Finished,
            2 => Self::Shutdown,
            3 => Self::BadFrame,
            4 => Self::Protocol,
            5 => Self::Replaced,
            6 => Self::TooSlow,
            7 => Self::NoStream,
            8 => Self::Internal,
            other => Self::Other(other),
        }
    }
}

/// Why a connection could not be made or did not last.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// This side refused the key that the peer presented: in a coordinator no member's, in a client not the pinned one.
    #[error("refused the peer in the handshake: {reason}")]
    UnknownPeer {
        /// Which key, and what to do about it.
        reason: String,
    },
    /// The peer refused the key that this side presented.
    #[error("the peer refused this side's identity in the handshake: {reason}")]
    IdentityRefused {
        /// What the peer said.
        reason: String,
    },
    /// The peer closed the connection and said why.
    #[error("the peer closed the connection ({code:?}): {reason}")]
    ClosedByPeer {
        /// Why, by its code.
        code: CloseCode,
        /// Why, in the peer's words.
        reason: String,
    },
    /// This side closed the connection.
    #[error("this side closed the connection")]
    ClosedHere,
    /// The peer sent what is not a frame; the connection was closed with [`CloseCode::BadFrame`].
    #[error("the peer sent bytes that are not an acceptable frame")]
    BadFrame(#[from] FrameError),
    /// The peer ended its stream in the middle of the conversation.
    #[error("the peer ended its stream")]
    StreamEnded,
    /// The peer took nothing of what waited for it.
    #[error("the peer took no byte for {0:?}: it has stalled")]
    Stalled(std::time::Duration),
    /// The handshake, or the opening of the stream after it, took too long.
    #[error("the peer did not finish its handshake and open its stream within {0:?}")]
    HandshakeTimeout(std::time::Duration),
    /// Nothing arrived for the idle timeout.
    #[error("the connection went silent: no packet from the peer within the idle timeout")]
    TimedOut,
    /// The peer lost the connection's state, as after a restart.
    #[error("the peer no longer knows the connection (it was restarted)")]
    Reset,
    /// QUIC or TLS failed in another way: no common version, protocol or cipher suite, or a broken peer.
    #[error("the transport failed: {reason}")]
    Transport {
        /// What QUIC or TLS says.
        reason: String,
    },
}

impl LinkError {
    /// Whether trying again cannot help until somebody changes a key, a manifest or a configuration.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::UnknownPeer { .. }
                | Self::IdentityRefused { .. }
                | Self::ClosedByPeer { code: CloseCode::Replaced, .. }
        )
    }
}

impl From<ConnectionError> for LinkError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::TransportError(e) if u64::from(e.code) == KEY_REFUSED_CODE => {
                Self::UnknownPeer { reason: refusal_text(&e.reason).to_owned() }
            }
            ConnectionError::ConnectionClosed(e) if u64::from(e.error_code) == KEY_REFUSED_CODE => {
                let reason = String::from_utf8_lossy(&e.reason);
                Self::IdentityRefused { reason: refusal_text(&reason).to_owned() }
            }
            ConnectionError::ApplicationClosed(e) => Self::ClosedByPeer {
                code: CloseCode::from_var(e.error_code),
                reason: String::from_utf8_lossy(&e.reason).into_owned(),
            },
            ConnectionError::LocallyClosed => Self::ClosedHere,
            ConnectionError::TimedOut => Self::TimedOut,
            ConnectionError::Reset => Self::Reset,
            other => Self::Transport { reason: other.to_string() },
        }
    }
}

/// Why an endpoint could not be made or a driver stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The UDP socket could not be bound.
    #[error("cannot bind UDP {addr}; is another coordinator running there?")]
    Bind {
        /// Where.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The coordinator's address means nothing.
    #[error("cannot resolve the coordinator's address {addr:?}; write it as host:port")]
    Resolve {
        /// The address as configured.
        addr: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The TLS provider refused the configuration: a bug or a broken build.
    #[error("TLS cannot be configured: {reason}")]
    Tls {
        /// What rustls says.
        reason: String,
    },
    /// A connection could not be made, for a reason that trying again does not mend.
    #[error("cannot take part")]
    Link(#[from] LinkError),
    /// The journal failed. Nothing that depended on the entry has left this process.
    #[error("stopped: the journal could not make an entry durable, so nothing may leave")]
    Journal(#[from] JournalError),
    /// The coordinator broke the protocol again and again, or runs another plan. This site revealed nothing for it.
    #[error("stopped taking part: the coordinator does not keep to the agreed protocol")]
    Coordinator(#[from] ProtocolFault),
    /// The coordinator could not be reached for the time that the options allow.
    #[error("gave up after {after:?} without a connection to the coordinator at {addr}")]
    GaveUp {
        /// The address as configured.
        addr: String,
        /// How long it was tried since the last connection.
        after: std::time::Duration,
        /// What the last try said.
        #[source]
        last: LinkError,
    },
    /// A task of ours panicked: a bug. The journal is as of the last entry.
    #[error("a task of the driver ended by a panic; the journal holds what was durable until then")]
    Panicked,
}

impl From<rustls::Error> for NetError {
    fn from(error: rustls::Error) -> Self {
        Self::Tls { reason: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_survive_the_wire() {
        use CloseCode::{
            BadFrame, Dropped, Finished, Internal, NoStream, Other, Protocol, Replaced, Shutdown, TooSlow,
        };
        for code in
            [Dropped, Finished, Shutdown, BadFrame, Protocol, Replaced, TooSlow, NoStream, Internal, Other(1 << 40)]
        {
            assert_eq!(CloseCode::from_var(code.to_var()), code);
        }
    }
}
