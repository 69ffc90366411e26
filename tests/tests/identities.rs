//! The coordinator's process and peers that do not belong: strangers are refused in the handshake, announcements of
//! gigabytes cost nothing, and the federation goes on.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::net::SocketAddr;

use bytes::Bytes;
use common::federation::{Client, CoordinatorProcess, Federation, published, soon};
use sottovoce_net::{CloseCode, Dialer, LinkError, NetError, TransportOptions};
use sottovoce_round::ClientOutcome;
use sottovoce_types::{AttemptId, RoundId, RunId};
use sottovoce_wire::{Frame, Kind, Limits};

const CLIENTS: u8 = 4;
/// No member.
const STRANGER: u8 = 77;

async fn complete(federation: &Federation, coordinator: CoordinatorProcess, clients: Vec<Client>) {
    assert!(coordinator.end().await.success());
    for client in clients {
        assert_eq!(client.end().await.unwrap().engine.outcome(), Some(&ClientOutcome::Completed));
    }
    let records = published(&federation.journal());
    assert_eq!(records.last().unwrap().contributors, u32::from(CLIENTS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_unknown_identity_refused_by_the_real_coordinator() {
    let federation = Federation::new(CLIENTS, 2);
    let coordinator = federation.coordinator().await;
    let address = coordinator.address;
    let error = federation.client(STRANGER, address).end().await.err().expect("a stranger must be refused");
    let NetError::Link(LinkError::IdentityRefused { reason }) = &error else { panic!("{error}: {error:?}") };
    assert!(reason.contains("manifest"), "says what to do: {reason}");
    // The same again in the middle of a round, and with the members' own keys all is well.
    let clients: Vec<Client> = (1..=CLIENTS).map(|i| federation.client(i, address)).collect();
    let error = federation.client(STRANGER, address).end().await.err().expect("a stranger must be refused");
    assert!(matches!(error, NetError::Link(LinkError::IdentityRefused { .. })), "{error}");
    let journal = federation.journal();
    assert!(!serde_json::to_string(&journal).unwrap().contains(&Federation::id(STRANGER).to_hex()));
    let said = coordinator.stderr();
    assert!(said.contains("no connection"), "the refusal is in the log: {said:?}");
    complete(&federation, coordinator, clients).await;
    assert!(federation.client_journal(STRANGER).is_empty(), "the stranger did nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_wrong_coordinator_key_refused_when_the_real_coordinator_has_another() {
    let federation = Federation::new(CLIENTS, 1);
    let coordinator = federation.coordinator().await;
    let pinned = sottovoce_secagg::Identity::from_seed([STRANGER; 32]).public_key();
    let mut dialer = Dialer::new(Federation::tls(1), pinned, TransportOptions::default());
    let error = soon(dialer.connect(coordinator.address, limits())).await.err().expect("it must be refused");
    assert!(matches!(error, NetError::Link(LinkError::UnknownPeer { .. })), "{error}");
    let clients: Vec<Client> = (1..=CLIENTS).map(|i| federation.client(i, coordinator.address)).collect();
    complete(&federation, coordinator, clients).await;
}

fn limits() -> Limits {
    Limits::new(usize::from(CLIENTS), 1000)
}

/// Connects as a member and sends these bytes. Returns how the coordinator ended the connection.
async fn send(federation: &Federation, member: u8, address: SocketAddr, bytes: Bytes) -> LinkError {
    let key = federation.plan.manifest().coordinator().0;
    let mut dialer = Dialer::new(Federation::tls(member), key, TransportOptions::default());
    let mut link = soon(dialer.connect(address, limits())).await.unwrap();
    // The connection may be closed before all is written.
    let _ = soon(link.send_raw(bytes)).await;
    soon(link.closed()).await
}

/// A header with this length prefix: version 1, a kind, run, round, attempt.
fn announcing(length: u32, kind: Kind, sent: usize) -> Bytes {
    let frame =
        Frame { kind, run: RunId([0; 16]), round: RoundId(1), attempt: AttemptId(1), body: vec![0; sent].into() };
    let mut bytes = frame.to_bytes().to_vec();
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_frames_are_bounded_a_frame_of_4_gib_closes_its_connection_and_costs_the_coordinator_nothing() {
    let federation = Federation::new(CLIENTS, 2);
    let mut coordinator = federation.coordinator().await;
    let address = coordinator.address;
    // Three members have joined and wait for the fourth, which misbehaves before it behaves.
    let mut clients: Vec<Client> = (1..CLIENTS).map(|i| federation.client(i, address)).collect();
    for _ in 1..CLIENTS {
        coordinator.event("joined").await;
    }
    let announcements = [
        announcing(u32::MAX, Kind::MaskedInput, 0),
        // With as much of it as a peer may have in flight.
        announcing(u32::MAX, Kind::MaskedInput, 4 << 20),
        announcing(1 << 24, Kind::Hello, 1 << 20),
        announcing(1 << 20, Kind::Advert, 1 << 20),
        Bytes::from_static(&[0xff; 64]),
    ];
    // What the first connections cost once: buffers, threads' stacks.
    for bytes in &announcements {
        assert_bad_frame(&send(&federation, CLIENTS, address, bytes.clone()).await);
    }
    let before = coordinator.resident_kib();
    for _ in 0..10 {
        for bytes in &announcements {
            assert_bad_frame(&send(&federation, CLIENTS, address, bytes.clone()).await);
        }
    }
    let grown = coordinator.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "fifty announcements of gigabytes grew it by {grown} KiB");
    clients.push(federation.client(CLIENTS, address));
    complete(&federation, coordinator, clients).await;
}

#[track_caller]
fn assert_bad_frame(ended: &LinkError) {
    let LinkError::ClosedByPeer { code: CloseCode::BadFrame, reason } = ended else { panic!("{ended}") };
    assert!(reason.contains("bytes was announced") || reason.contains("version"), "{reason}");
}
