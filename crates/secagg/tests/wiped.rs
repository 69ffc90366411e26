//! After an attempt, none of its secrets is left on the heap: a process runs one under a known generator, then searches its own memory
//! for the secrets that the generator gave.
//!
//! The stack is not searched: a value that is moved leaves a copy where it was, and this language has no way to wipe that.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "tests")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "the crate does no I/O; this test does")]
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::process::Command;
use std::sync::Arc;

use hkdf::Hkdf;
use ml_kem::{B32, EncapsulationKey768};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};
use sha2::Sha256;
use sottovoce_secagg::graph::MaskGraph;
use sottovoce_secagg::labels::{self, Label};
use sottovoce_secagg::{
    Advertised, CollectingAdverts, CollectingShares, Identity, KeyAgreement, MaskSuite, RosterMsg, Session, Shared,
};
use sottovoce_types::{ClientId, Digest, Lanes, RingVec};

const CHILD: &str = "SOTTOVOCE_WIPED";
const SEED: [u8; 32] = [77; 32];

/// What the client's generator gives: s and b, four words each; then 64 bytes that are none of these; then the coefficients beside s
/// and b in the polynomials of degree 1 (t = 2) that both are shared by. Before these the seed of its one layer, and after them its coefficient.
fn secrets() -> [[u8; 32]; 6] {
    let mut rng = ChaCha20Rng::from_seed(SEED);
    let mut drawn = || {
        let mut bytes = [0; 32];
        for place in bytes.as_chunks_mut::<8>().0 {
            *place = rng.next_u64().to_le_bytes();
        }
        bytes
    };
    let [s, b, _, _, layer, beside_s, beside_b, beside_layer] = std::array::from_fn(|_| drawn());
    [s, b, beside_s, beside_b, layer, beside_layer]
}

/// All that is written to in this process, but for stacks: the main thread's and the one that this runs on.
fn heap() -> Option<Vec<u8>> {
    let here = 0u8;
    let here = std::ptr::from_ref(&here).addr() as u64;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut memory = File::open("/proc/self/mem").ok()?;
    let mut all = Vec::with_capacity(1 << 20);
    for line in maps.lines().filter(|l| l.contains(" rw-p ") && !l.ends_with("[stack]")) {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        if (start..end).contains(&here) {
            continue;
        }
        // The copy that is being made grows in a place of its own.
        let mut piece = vec![0; usize::try_from(end - start).ok()?];
        memory.seek(SeekFrom::Start(start)).ok()?;
        if memory.read_exact(&mut piece).is_ok() {
            all.extend_from_slice(&piece);
        }
    }
    Some(all)
}

/// Which secrets are in a copy of memory that was taken before they were computed here.
fn found(memory: &[u8], secrets: &[[u8; 32]]) -> Vec<bool> {
    secrets.iter().map(|secret| memory.windows(32).any(|w| w == secret)).collect()
}

/// Sites in the order of a roster.
fn sites(n: usize, rng: &mut ChaCha20Rng) -> Vec<Identity> {
    let mut sites: Vec<Identity> = (0..n).map(|_| Identity::generate(rng)).collect();
    sites.sort_by_key(Identity::client_id);
    sites
}

fn session(sites: &[Identity], coordinator: &Identity, key_agreement: KeyAgreement, layers: Option<Digest>) -> Session {
    Session {
        cfg: Digest::of(b"wiped"),
        coordinator: coordinator.public_key(),
        members: Arc::new(sites.iter().map(|s| (s.client_id(), s.public_key())).collect::<BTreeMap<_, _>>()),
        n_min: 3,
        max_corrupt: 0,
        lanes: Lanes::new(2).unwrap(),
        words: 2,
        graph: MaskGraph::Complete,
        suite: MaskSuite::Aes256Ctr,
        key_agreement,
        layers,
        allow_plain: false,
    }
}

/// One client up to its submitted input, with all that it holds then. The others only answer.
fn client() -> impl Sized {
    let mut others = ChaCha20Rng::from_seed([1; 32]);
    let mut rng = ChaCha20Rng::from_seed(SEED);
    let coordinator = Identity::generate(&mut others);
    let sites = sites(3, &mut others);
    let session = session(&sites, &coordinator, KeyAgreement::X25519, Some(Digest::of(b"a law")));
    let (state, own) = Advertised::start(session.clone(), &sites[0], &mut rng).unwrap();
    let mut adverts = vec![own];
    let mut peers = Vec::new();
    for site in &sites[1..] {
        let (peer, advert) = Advertised::start(session.clone(), site, &mut others).unwrap();
        peers.push((peer, site));
        adverts.push(advert);
    }
    adverts.sort_by_key(|a| a.client);
    let mut roster = RosterMsg { adverts, signature: [0; 64] };
    roster.sign(&session.cfg, &coordinator);
    // Boxed: what a driver keeps of a client lies on the heap.
    let boxed = Box::new(state.roster(roster, &sites[0], &mut rng).unwrap().complete().unwrap());
    drop(peers);
    (boxed, RingVec::zeros(2, session.lanes))
}

/// In a process of its own: what other tests leave is not searched.
fn alone(name: &str, search: fn()) {
    if std::env::var_os(CHILD).is_some() {
        return search();
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    println!("{said}");
    assert!(child.status.success() && said.contains("memory was"), "{said}");
}

#[test]
fn no_secret_of_an_attempt_is_left_on_the_heap_when_it_is_over() {
    alone("no_secret_of_an_attempt_is_left_on_the_heap_when_it_is_over", search);
}

fn search() {
    let held = Box::new(client());
    let Some(before) = heap() else {
        println!("memory was not searched: this system has no /proc/self/mem");
        return;
    };
    let control = found(&before, &secrets());
    drop(before);
    drop(held);
    let after = heap().unwrap();
    let left = found(&after, &secrets());
    println!("memory was searched: {} KiB; while held {control:?}, afterwards {left:?}", after.len() / 1024);
    // b is held as it is until the input is masked; of s there is only what follows from it once its shares are dealt.
    assert!(
        control[1] && control[4],
        "the control: a client that is still there holds its b and the seed of its layer"
    );
    assert_eq!(left, [false; 6], "s, b, the seed of a layer, and the coefficients of their shares");
}

#[test]
fn no_secret_of_a_hybrid_attempt_is_left_on_the_heap_when_it_is_over() {
    alone("no_secret_of_a_hybrid_attempt_is_left_on_the_heap_when_it_is_over", search_hybrid);
}

/// Sixteen clients, so that whoever holds one secret a peer holds them in more than one place: first on the roster is the one whose generator
/// is known, which encapsulates to all others.
const HYBRID: usize = 16;

/// An attempt in which all have dealt.
fn dealt() -> (Vec<Shared>, CollectingShares, RosterMsg, Vec<Identity>) {
    let mut others = ChaCha20Rng::from_seed([1; 32]);
    let mut rng = ChaCha20Rng::from_seed(SEED);
    let coordinator = Identity::generate(&mut others);
    let sites = sites(HYBRID, &mut others);
    let session = session(&sites, &coordinator, KeyAgreement::X25519MlKem768, None);
    let mut server = CollectingAdverts::new(session.clone(), &coordinator);
    let mut states = Vec::new();
    for (i, site) in sites.iter().enumerate() {
        let own = if i == 0 { &mut rng } else { &mut others };
        let (state, advert) = Advertised::start(session.clone(), site, own).unwrap();
        server.advert(site.client_id(), advert).unwrap();
        states.push(state);
    }
    let (server, roster) = server.close(&coordinator).unwrap();
    let mut server = server.complete().unwrap();
    let mut shared = Vec::new();
    for (i, (site, state)) in sites.iter().zip(states).enumerate() {
        let own = if i == 0 { &mut rng } else { &mut others };
        let (state, message) = state.roster(roster.clone(), site, own).unwrap().complete().unwrap();
        server.shares(site.client_id(), message).unwrap();
        shared.push(state);
    }
    (shared, server, roster, sites)
}

/// s and b; the coins from s that give the randomness of all encapsulations; and what they agreed on with each peer. From the generator and
/// public messages, by the definitions in the crate's documentation.
fn hybrid_secrets(ctx1: &Digest, roster: &RosterMsg, sites: &[Identity]) -> Vec<[u8; 32]> {
    let derive = |salt: &Digest, secret: &[u8], label: Label, fields: &[&[u8]]| {
        let mut out = [0u8; 32];
        Hkdf::<Sha256>::new(Some(salt.as_bytes()), secret).expand(&label.framed(fields), &mut out).unwrap();
        out
    };
    let [s, b, ..] = secrets();
    let own: ClientId = sites[0].client_id();
    let purpose = labels::SK_MASK.name().as_bytes();
    let coins = derive(&roster.adverts[0].cfg, &s, labels::KEM_COINS, &[purpose, &own.0, b""]);
    let with = |peer: &sottovoce_secagg::AdvertMsg| -> [u8; 32] {
        let coins = derive(ctx1, &coins, labels::KEM_COINS, &[&own.0, &peer.client.0]);
        let key = EncapsulationKey768::new(&peer.kem.as_ref().unwrap().mask.into()).unwrap();
        key.encapsulate_deterministic(&B32::from(coins)).1.into()
    };
    [s, b, coins].into_iter().chain(roster.adverts[1..].iter().map(with)).collect()
}

fn search_hybrid() {
    let (states, server, roster, sites) = dealt();
    let ctx1 = states[0].ctx1();
    let Some(before) = heap() else {
        println!("memory was not searched: this system has no /proc/self/mem");
        return;
    };
    let control = found(&before, &hybrid_secrets(&ctx1, &roster, &sites));
    drop(before);
    // All mask and send their input: what they agreed on with each peer is used up, and the rest is wiped.
    let (inputs, envelopes) = server.close().unwrap();
    for ((site, state), (_, message)) in sites.iter().zip(states).zip(envelopes) {
        let zero = RingVec::zeros(2, Lanes::new(2).unwrap());
        drop(state.envelopes(message).unwrap().submit(zero, site).unwrap());
    }
    drop(inputs);
    let after = heap().unwrap();
    let left = found(&after, &hybrid_secrets(&ctx1, &roster, &sites));
    println!("memory was searched: {} KiB; while held {control:?}, afterwards {left:?}", after.len() / 1024);
    let held: Vec<bool> = (0..HYBRID + 2).map(|i| i != 0).collect();
    assert_eq!(control, held, "the control: b, coins, and a secret a peer are there; of s what follows from it");
    assert_eq!(left, [false; HYBRID + 2], "s, b, coins, and the secrets of the pairs");
}
