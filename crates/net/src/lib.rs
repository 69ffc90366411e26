//! QUIC endpoints with pinned identities, and the drivers of the round engines.
//!
//! Every connection is mutually authenticated in its TLS 1.3 handshake by Ed25519 keys that the federation's manifest
//! lists (RFC 7250 raw public keys; no certificates, no authorities, no 0-RTT), and carries frames on one stream. The
//! drivers feed what comes to a round engine and poll it in its fixed order; they see frames and never their meaning.
//!
//! This crate does no cryptography of its own, decides nothing about the protocol, and stores nothing: durability is
//! the journal's that a driver is given. Read [`serve`] and [`participate`] first; [`Listener`], [`Dialer`] and
//! [`Link`] are the layer below, for tests that play hostile peers.
//!
//! | a peer that | meets |
//! |---|---|
//! | is no member, or not the pinned coordinator | a refusal in the handshake that names the key, on both sides |
//! | announces a frame beyond its limit | [`CloseCode::BadFrame`], before anything is allocated |
//! | breaks the protocol | [`CloseCode::Protocol`] with the engine's reason |
//! | dribbles bytes or falls silent | nobody but itself: a task of its own waits for it |
//! | does not read | [`CloseCode::TooSlow`], once its queue is full or it takes no byte in time |
//! | connects twice | [`CloseCode::Replaced`] on the older connection |
//!
//! ```no_run
//! # async fn coordinate(service: sottovoce_net::Service, seed: [u8; 32]) -> Result<(), sottovoce_net::NetError> {
//! use sottovoce_net::{Listener, TlsIdentity, TransportOptions, serve};
//! let identity = TlsIdentity::from_seed(&seed);
//! let members = service.engine.plan().manifest().keys().clone();
//! let addr = ([0, 0, 0, 0], 4433).into();
//! let listener = Listener::bind(addr, &identity, &members, TransportOptions::default())?;
//! let (_service, _served) = serve(listener, service, |event| drop(event), std::future::pending()).await?;
//! # Ok(()) }
//! ```
//!
//! # Errors
//! [`LinkError`] says how one connection failed and whose doing it was; [`NetError`] why a driver stopped.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]

mod client;
mod clock;
mod connection;
mod coordinator;
mod endpoint;
mod error;
mod journal;
mod options;
mod probe;
mod reset;
mod tls;

#[doc(hidden)]
pub use client::{GateDecision, TransmitGate};
pub use client::{Participant, ParticipateOptions, Participated, ParticipationEnding, Reconnect, participate};
pub use clock::Clock;
pub use connection::Link;
pub use coordinator::{Served, Service, serve};
pub use endpoint::{Arrival, Dialer, Listener};
pub use error::{CloseCode, LinkError, NetError};
pub use options::TransportOptions;
pub use probe::{Probed, probe};
pub use tls::{ALPN, TlsIdentity};
