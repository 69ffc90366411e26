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

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};
use sottovoce_secagg::graph::MaskGraph;
use sottovoce_secagg::{Advertised, Identity, KeyAgreement, MaskSuite, RosterMsg, Session};
use sottovoce_types::{Digest, Lanes, RingVec};

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
fn found(memory: &[u8]) -> [bool; 6] {
    secrets().map(|secret| memory.windows(32).any(|w| w == secret))
}

/// One client up to its submitted input, with all that it holds then. The others only answer.
fn client() -> impl Sized {
    let mut others = ChaCha20Rng::from_seed([1; 32]);
    let mut rng = ChaCha20Rng::from_seed(SEED);
    let coordinator = Identity::generate(&mut others);
    let sites: Vec<Identity> = (0..3).map(|_| Identity::generate(&mut others)).collect();
    let session = Session {
        cfg: Digest::of(b"wiped"),
        coordinator: coordinator.public_key(),
        members: Arc::new(sites.iter().map(|s| (s.client_id(), s.public_key())).collect::<BTreeMap<_, _>>()),
        n_min: 3,
        max_corrupt: 0,
        lanes: Lanes::new(2).unwrap(),
        words: 2,
        graph: MaskGraph::Complete,
        suite: MaskSuite::Aes256Ctr,
        key_agreement: KeyAgreement::X25519,
        layers: Some(Digest::of(b"a law")),
        allow_plain: false,
    };
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

#[test]
fn no_secret_of_an_attempt_is_left_on_the_heap_when_it_is_over() {
    if std::env::var_os(CHILD).is_some() {
        return search();
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "no_secret_of_an_attempt_is_left_on_the_heap_when_it_is_over",
            "--nocapture",
            "--test-threads",
            "1",
        ])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    println!("{said}");
    assert!(child.status.success() && said.contains("memory was"), "{said}");
}

fn search() {
    let held = Box::new(client());
    let Some(before) = heap() else {
        println!("memory was not searched: this system has no /proc/self/mem");
        return;
    };
    let control = found(&before);
    drop(before);
    drop(held);
    let after = heap().unwrap();
    let left = found(&after);
    println!("memory was searched: {} KiB; while held {control:?}, afterwards {left:?}", after.len() / 1024);
    // b is held as it is until the input is masked; of s there is only what follows from it once its shares are dealt.
    assert!(
        control[1] && control[4],
        "the control: a client that is still there holds its b and the seed of its layer"
    );
    assert_eq!(left, [false; 6], "s, b, the seed of a layer, and the coefficients of their shares");
}
