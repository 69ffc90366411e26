//! Handshakes, limits and slow peers, over real QUIC on loopback.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use std::collections::BTreeMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use sottovoce_net::{CloseCode, Dialer, Link, LinkError, Listener, NetError, TlsIdentity, TransportOptions};
use sottovoce_types::{AttemptId, ClientId, RoundId, RunId};
use sottovoce_wire::{Frame, Kind, Limits};

const COORDINATOR: u8 = 1;
const ALICE: u8 = 2;
const BOB: u8 = 3;
const STRANGER: u8 = 9;

fn identity(seed: u8) -> TlsIdentity {
    TlsIdentity::from_seed(&[seed; 32])
}

fn members() -> BTreeMap<ClientId, [u8; 32]> {
    [ALICE, BOB].iter().map(|&seed| (identity(seed).client_id(), identity(seed).public_key())).collect()
}

/// One model of 300 000 parameters: a masked input may be 1.2 MB.
fn limits() -> Limits {
    Limits::new(4, 150_000)
}

fn listen(options: TransportOptions) -> (Listener, SocketAddr) {
    let listener =
        Listener::bind((Ipv4Addr::LOCALHOST, 0).into(), &identity(COORDINATOR), &members(), options).unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

fn dialer(seed: u8, coordinator: u8) -> Dialer {
    Dialer::new(identity(seed), identity(coordinator).public_key(), TransportOptions::default())
}

fn frame(kind: Kind, body: Vec<u8>) -> Frame {
    Frame { kind, run: RunId([5; 16]), round: RoundId(1), attempt: AttemptId(1), body: body.into() }
}

/// No test waits for a time to pass; this limit only turns a hang into a failure.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what).await.expect("nothing happened for a minute")
}

/// A client's link and the coordinator's end of it. The client has sent one Hello, which the other end has taken.
async fn pair(listener: &Listener, addr: SocketAddr, seed: u8) -> (Dialer, Link, Link) {
    let mut dialer = dialer(seed, COORDINATOR);
    let client = async {
        let mut link = dialer.connect(addr, limits()).await.unwrap();
        link.send(&frame(Kind::Hello, vec![seed])).await.unwrap();
        link
    };
    let server = async { listener.accept().await.unwrap().establish(limits()).await.unwrap() };
    let (client, mut server) = soon(async { tokio::join!(client, server) }).await;
    assert_eq!(soon(server.receive()).await.unwrap(), Some(frame(Kind::Hello, vec![seed])));
    (dialer, client, server)
}

#[tokio::test]
async fn claim_unknown_identity_refused_in_the_handshake() {
    let (listener, addr) = listen(TransportOptions::default());
    let mut dialer = dialer(STRANGER, COORDINATOR);
    let client = async {
        // TLS 1.3: the client's part is over before the coordinator has seen its key, so the refusal may come with the
        // first answer.
        let mut link = match dialer.connect(addr, limits()).await {
            Ok(link) => link,
            Err(NetError::Link(refused)) => return refused,
            Err(other) => panic!("{other}"),
        };
        let _ = link.send(&frame(Kind::Hello, vec![])).await;
        link.receive().await.unwrap_err()
    };
    let server = async { listener.accept().await.unwrap().establish(limits()).await.err().unwrap() };
    let (client, server) = soon(async { tokio::join!(client, server) }).await;
    let id = identity(STRANGER).client_id().to_hex();
    assert!(
        matches!(&server, LinkError::UnknownPeer { reason } if reason.starts_with(&format!("identity {id}"))),
        "{server}"
    );
    assert!(matches!(&client, LinkError::IdentityRefused { reason } if reason.contains(&id)), "{client}");
    assert!(client.is_fatal(), "a client that is no member must not try for ever");
}

#[tokio::test]
async fn claim_wrong_coordinator_key_refused_in_the_handshake() {
    let (listener, addr) = listen(TransportOptions::default());
    let mut dialer = dialer(ALICE, STRANGER);
    let client = async { dialer.connect(addr, limits()).await.err().unwrap() };
    let server = async { listener.accept().await.unwrap().establish(limits()).await.err().unwrap() };
    let (client, server) = soon(async { tokio::join!(client, server) }).await;
    assert!(
        matches!(&client, NetError::Link(LinkError::UnknownPeer { reason }) if reason.contains("the manifest pins")),
        "{client}"
    );
    assert!(matches!(&server, LinkError::IdentityRefused { .. }), "{server}");
}

#[tokio::test]
async fn members_and_the_pinned_coordinator_meet_and_know_each_other() {
    let (listener, addr) = listen(TransportOptions::default());
    let (_dialer, mut client, mut server) = pair(&listener, addr, ALICE).await;
    assert_eq!(server.peer_id(), identity(ALICE).client_id());
    assert_eq!(client.peer_key(), identity(COORDINATOR).public_key());
    let welcome = frame(Kind::Welcome, b"welcome".to_vec());
    soon(server.send(&welcome)).await.unwrap();
    assert_eq!(soon(client.receive()).await.unwrap(), Some(welcome));
}

#[tokio::test]
async fn a_peer_of_another_application_is_refused() {
    // Any QUIC client that offers no RFC 7250 key, or another ALPN, fails in TLS; here: no application protocol at all.
    let (listener, addr) = listen(TransportOptions::default());
    let mut tls =
        rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let mut endpoint = quinn::Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(std::sync::Arc::new(crypto)));
    let client = async { endpoint.connect(addr, "localhost").unwrap().await.err().unwrap() };
    let server = async { listener.accept().await.unwrap().establish(limits()).await.err().unwrap() };
    let (_, server) = soon(async { tokio::join!(client, server) }).await;
    assert!(matches!(server, LinkError::Transport { .. }), "{server}");
}

#[tokio::test]
async fn claim_oversize_frames_are_refused_and_close_the_connection() {
    let (listener, addr) = listen(TransportOptions::default());
    let (_dialer, mut client, mut server) = pair(&listener, addr, ALICE).await;
    soon(client.send_raw(Bytes::from_static(&[0xff; 4]))).await.unwrap(); // announces 4 GiB - 1
    let error = soon(server.receive()).await.unwrap_err();
    assert!(matches!(error, LinkError::BadFrame(_)), "{error}");
    let told = soon(client.receive()).await.unwrap_err();
    assert!(
        matches!(&told, LinkError::ClosedByPeer { code: CloseCode::BadFrame, reason } if reason.contains("4294967295")),
        "{told}"
    );
}

#[tokio::test]
async fn a_frame_of_a_megabyte_passes_both_ways() {
    let (listener, addr) = listen(TransportOptions::default());
    let (_dialer, mut client, mut server) = pair(&listener, addr, ALICE).await;
    let body: Vec<u8> = (0..1_000_000u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let (input, model) = (frame(Kind::MaskedInput, body.clone()), frame(Kind::Result, body));
    let (sent, got) = soon(async { tokio::join!(client.send(&input), server.receive()) }).await;
    sent.unwrap();
    assert_eq!(got.unwrap(), Some(input));
    let (sent, got) = soon(async { tokio::join!(server.send(&model), client.receive()) }).await;
    sent.unwrap();
    assert_eq!(got.unwrap(), Some(model));
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_found_out() {
    let mut options = TransportOptions::default();
    options.write_timeout = Duration::from_millis(200);
    let (listener, addr) = listen(options);
    let (_dialer, client, mut server) = pair(&listener, addr, ALICE).await;
    let model = frame(Kind::Result, vec![7; 1_000_000]);
    let stalled = soon(async {
        loop {
            if let Err(error) = server.send(&model).await {
                break error;
            }
        }
    })
    .await;
    assert!(matches!(stalled, LinkError::Stalled(_)), "{stalled}");
    let told = soon(client.closed()).await;
    assert!(matches!(told, LinkError::ClosedByPeer { code: CloseCode::TooSlow, .. }), "{told}");
}

#[tokio::test]
async fn a_peer_that_opens_no_stream_is_let_go() {
    let mut options = TransportOptions::default();
    options.handshake_timeout = Duration::from_millis(300);
    let (listener, addr) = listen(options);
    let mut dialer = dialer(ALICE, COORDINATOR);
    // A stream that nothing was written to does not exist for the peer.
    let client = async { dialer.connect(addr, limits()).await.unwrap().closed().await };
    let server = async { listener.accept().await.unwrap().establish(limits()).await.err().unwrap() };
    let (client, server) = soon(async { tokio::join!(client, server) }).await;
    assert!(matches!(server, LinkError::HandshakeTimeout(_)), "{server}");
    assert!(matches!(client, LinkError::ClosedByPeer { code: CloseCode::NoStream, .. }), "{client}");
}

#[tokio::test]
async fn a_restarted_coordinator_resets_the_connections_of_the_process_before() {
    // Its own runtime, so that it can die without a word, as by SIGKILL.
    let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (tell, told) = tokio::sync::oneshot::channel();
    doomed.spawn(async move {
        let (listener, addr) = listen(TransportOptions::default());
        tell.send(addr).unwrap();
        let mut link = listener.accept().await.unwrap().establish(limits()).await.unwrap();
        let hello = link.receive().await.unwrap().unwrap();
        link.send(&Frame { kind: Kind::Welcome, ..hello }).await.unwrap();
        std::future::pending::<()>().await;
    });
    let addr = soon(told).await.unwrap();
    let mut options = TransportOptions::default();
    options.keep_alive = Duration::from_millis(50);
    let mut dialer = Dialer::new(identity(ALICE), identity(COORDINATOR).public_key(), options);
    let mut link = soon(dialer.connect(addr, limits())).await.unwrap();
    soon(link.send(&frame(Kind::Hello, vec![]))).await.unwrap();
    soon(link.receive()).await.unwrap().unwrap();
    doomed.shutdown_background();
    let _again = soon(async {
        loop {
            match Listener::bind(addr, &identity(COORDINATOR), &members(), TransportOptions::default()) {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await, // until the old socket is closed
            }
        }
    })
    .await;
    let lost = soon(link.receive()).await.unwrap_err();
    assert!(matches!(lost, LinkError::Reset), "it should not wait for its idle timeout: {lost}");
}
