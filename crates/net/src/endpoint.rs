//! Where connections come from: a coordinator's [`Listener`], a client's [`Dialer`].
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, Endpoint, Incoming, TokioRuntime};
use sottovoce_types::ClientId;
use sottovoce_wire::Limits;
use tokio::time::{Instant, timeout, timeout_at};

use crate::connection::Link;
use crate::error::{CloseCode, LinkError, NetError};
use crate::options::TransportOptions;
use crate::tls::{self, TlsIdentity};

/// A bound UDP socket that accepts members of one federation.
pub struct Listener {
    endpoint: Endpoint,
    options: TransportOptions,
}

impl Listener {
    /// Binds `addr` (port 0: the system chooses) and presents `identity`; only `members` get past the handshake.
    ///
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`NetError::Bind`] when the address is taken or not ours; [`NetError::Tls`] on a broken build.
    pub fn bind(
        addr: SocketAddr,
        identity: &TlsIdentity,
        members: &BTreeMap<ClientId, [u8; 32]>,
        options: TransportOptions,
    ) -> Result<Self, NetError> {
        let crypto = QuicServerConfig::try_from(tls::server_config(identity, members)?)
            .map_err(|e| NetError::Tls { reason: e.to_string() })?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(options.quic());
        let endpoint = std::net::UdpSocket::bind(addr)
            .and_then(|socket| {
                Endpoint::new(identity.reset_key().endpoint_config(), Some(config), socket, Arc::new(TokioRuntime))
            })
            .map_err(|source| NetError::Bind { addr, source })?;
        Ok(Self { endpoint, options })
    }

    /// Where it listens; the real port where 0 was asked for.
    ///
    /// # Errors
    /// [`NetError::Bind`] when the system does not say.
    pub fn local_addr(&self) -> Result<SocketAddr, NetError> {
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        self.endpoint.local_addr().map_err(|source| NetError::Bind { addr: unknown, source })
    }

    /// The next connection attempt; `None` once the listener is closed.
    pub async fn accept(&self) -> Option<Arrival> {
        let incoming = self.endpoint.accept().await?;
        Some(Arrival { incoming, options: self.options.clone() })
    }

    pub(crate) fn options(&self) -> &TransportOptions {
        &self.options
    }

    /// Refuses new connections and closes those that are left, then waits for the peers to be told, within the limit.
    pub(crate) async fn close(&self, code: CloseCode, reason: &str) {
        self.endpoint.close(code.to_var(), reason.as_bytes());
        let _ = timeout(self.options.close_timeout, self.endpoint.wait_idle()).await;
    }
}

/// A connection attempt that has not been answered yet.
pub struct Arrival {
    incoming: Incoming,
    options: TransportOptions,
}

impl Arrival {
    /// Where the attempt claims to come from.
    pub fn remote(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Refuses the attempt without a handshake.
    pub(crate) fn refuse(self) {
        self.incoming.refuse();
    }

    /// Makes the peer prove that it is where it claims to be (RFC 9000, section 8.1); `None`: it was asked to, and will
    /// come again.
    pub(crate) fn challenge(self) -> Option<Self> {
        if self.incoming.remote_address_validated() {
            return Some(self);
        }
        // Refused by quinn only when the address is validated, which it is not.
        let _ = self.incoming.retry();
        None
    }

    /// Runs the handshake and waits for the peer's stream.
    ///
    /// # Errors
    /// [`LinkError::UnknownPeer`] when the key is no member's; [`LinkError::HandshakeTimeout`] when the peer dawdles.
    pub async fn establish(self, limits: Limits) -> Result<Link, LinkError> {
        let limit = self.options.handshake_timeout;
        let deadline = Instant::now() + limit;
        let connecting = self.incoming.accept()?;
        let connection = timeout_at(deadline, connecting).await.map_err(|_| LinkError::HandshakeTimeout(limit))??;
        let Ok(streams) = timeout_at(deadline, connection.accept_bi()).await else {
            connection.close(CloseCode::NoStream.to_var(), b"you opened no stream in time");
            return Err(LinkError::HandshakeTimeout(limit));
        };
        Link::new(connection, streams?, limits, self.options.write_timeout)
    }
}

/// A client's UDP socket and identity, for as many connections to one coordinator as it takes.
pub struct Dialer {
    identity: TlsIdentity,
    coordinator_key: [u8; 32],
    options: TransportOptions,
    // One socket a family, made when an address of that family is first dialled.
    endpoints: [Option<Endpoint>; 2],
}

impl Dialer {
    /// A dialer that presents `identity` and accepts only `coordinator_key` (32 bytes, RFC 8032).
    pub fn new(identity: TlsIdentity, coordinator_key: [u8; 32], options: TransportOptions) -> Self {
        Self { identity, coordinator_key, options, endpoints: [None, None] }
    }

    /// Connects and opens the stream.
    ///
    /// A refusal of *this* side's identity arrives after the client's part of a TLS 1.3 handshake is over, so it may
    /// only show as [`LinkError::IdentityRefused`] in the first [`Link::receive`].
    ///
    /// # Errors
    /// [`NetError::Link`] with [`LinkError::UnknownPeer`] when the coordinator's key is not the pinned one, or with the
    /// way in which the connection failed; [`NetError::Bind`] when no socket could be made.
    pub async fn connect(&mut self, addr: SocketAddr, limits: Limits) -> Result<Link, NetError> {
        let limit = self.options.connect_timeout;
        let write_timeout = self.options.write_timeout;
        let connecting = self
            .endpoint(addr)?
            .connect(addr, tls::SERVER_NAME)
            .map_err(|e| LinkError::Transport { reason: e.to_string() })?;
        let connection: Connection = timeout(limit, connecting)
            .await
            .map_err(|_| LinkError::HandshakeTimeout(limit))?
            .map_err(LinkError::from)?;
        let streams = timeout(limit, connection.open_bi())
            .await
            .map_err(|_| LinkError::HandshakeTimeout(limit))?
            .map_err(LinkError::from)?;
        Ok(Link::new(connection, streams, limits, write_timeout)?)
    }

    pub(crate) fn options(&self) -> &TransportOptions {
        &self.options
    }

    /// Waits until the peers of all closed connections have been told, within the limit.
    pub(crate) async fn wait_idle(&self) {
        for endpoint in self.endpoints.iter().flatten() {
            let _ = timeout(self.options.close_timeout, endpoint.wait_idle()).await;
        }
    }

    fn endpoint(&mut self, addr: SocketAddr) -> Result<&Endpoint, NetError> {
        let slot = &mut self.endpoints[usize::from(addr.is_ipv6())];
        if slot.is_none() {
            let local = if addr.is_ipv6() {
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
            } else {
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
            };
            let crypto = QuicClientConfig::try_from(tls::client_config(&self.identity, &self.coordinator_key)?)
                .map_err(|e| NetError::Tls { reason: e.to_string() })?;
            let mut config = quinn::ClientConfig::new(Arc::new(crypto));
            config.transport_config(self.options.quic());
            let mut endpoint = Endpoint::client(local).map_err(|source| NetError::Bind { addr: local, source })?;
            endpoint.set_default_client_config(config);
            *slot = Some(endpoint);
        }
        Ok(slot.as_ref().expect("filled above"))
    }
}
