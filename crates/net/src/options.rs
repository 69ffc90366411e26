//! What a deployment may tune about its connections.
use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};

/// Limits and times of every connection of an endpoint. The defaults suit clients on the open internet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TransportOptions {
    /// A handshake, and the opening of the one stream after it, must be done within this time of a listener's.
    /// Default 10 s.
    pub handshake_timeout: Duration,
    /// A client waits this long for a coordinator to answer before it tries again. Default 5 s.
    pub connect_timeout: Duration,
    /// A connection on which nothing at all arrives for this long is lost. Default 30 s.
    pub idle_timeout: Duration,
    /// An idle connection is kept alive by a packet each such interval; a coordinator that was restarted is noticed by
    /// the next such packet. Default 5 s; must be below `idle_timeout`.
    pub keep_alive: Duration,
    /// A peer that takes no byte of what waits for it during this time has stalled. Default 30 s.
    pub write_timeout: Duration,
    /// When a driver ends, it waits this long for the peers to take what was sent. Default 5 s.
    pub close_timeout: Duration,
    /// Frames that may wait for one peer; one more and the peer counts as too slow. Default 16.
    pub queued_frames: usize,
    /// Connections that a listener holds at once, those still in their handshake included. Default 512.
    pub max_connections: usize,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(5),
            write_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            queued_frames: 16,
            max_connections: 512,
        }
    }
}

/// The round trip that is assumed before one was measured. RFC 9002 assumes 333 ms, which makes a lost first packet cost a
/// second; on a slower path than this one the first packet is sent twice, no more.
const INITIAL_RTT: Duration = Duration::from_millis(100);

/// Bytes that a peer may have in flight to us, and that we keep for a peer that does not read: per connection, so that
/// worst-case memory is this times [`TransportOptions::max_connections`] and not a peer's choice.
const WINDOW_BYTES: u32 = 2 * 1024 * 1024;

impl TransportOptions {
    /// The QUIC parameters: one bidirectional stream (opened by the client), nothing else.
    pub(crate) fn quic(&self) -> Arc<TransportConfig> {
        let mut quic = TransportConfig::default();
        quic.max_concurrent_bidi_streams(VarInt::from_u32(1))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .datagram_receive_buffer_size(None)
            .stream_receive_window(VarInt::from_u32(WINDOW_BYTES))
            .receive_window(VarInt::from_u32(WINDOW_BYTES))
            .send_window(u64::from(WINDOW_BYTES))
            .initial_rtt(INITIAL_RTT)
            .max_idle_timeout(Some(idle_timeout(self.idle_timeout)))
            .keep_alive_interval(Some(self.keep_alive));
        Arc::new(quic)
    }
}

/// QUIC carries the idle timeout in milliseconds below 2^62; what is longer means that for practical purposes.
fn idle_timeout(wanted: Duration) -> IdleTimeout {
    IdleTimeout::try_from(wanted).unwrap_or_else(|_| IdleTimeout::from(VarInt::MAX))
}
