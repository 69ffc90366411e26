//! Known answers: whole attempts of four, and one of five with noise in layers, with fixed randomness, one client gone before its input, message by message. Recomputed here,
//! and by a Python that shares no code with this crate (`tests/python/secagg_kat.py`) where there is one with `cryptography`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, missing_docs, reason = "tests")]
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use sottovoce_secagg::graph::MaskGraph;
use sottovoce_secagg::{
    Advertised, CollectingAdverts, Consistent, Identity, KeyAgreement, MaskSuite, Masking, Session, Shared, Submitted,
};
use sottovoce_types::{Digest, Lanes, RingVec};
use sottovoce_wire::Encode;

/// Deals its shares and is not heard of again.
const GONE: usize = 2;
const VALUES: usize = 13;

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/attempts.json")
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn encoded(message: &impl Encode) -> Value {
    hex(&message.to_bytes()).into()
}

/// What identities and one-time randomness are drawn from, by who draws it.
fn seed(what: u8, who: u8) -> [u8; 32] {
    std::array::from_fn(|i| {
        what.wrapping_mul(37).wrapping_add(who.wrapping_mul(11)).wrapping_add(u8::try_from(i).unwrap())
    })
}

fn input(client: usize) -> Vec<i64> {
    let client = i64::try_from(client).unwrap();
    (0..i64::try_from(VALUES).unwrap()).map(|k| (k - 6) * (client + 1) * 101 + client).collect()
}

/// A client's state, and everything that it said.
struct Site {
    identity: Identity,
    rng: ChaCha20Rng,
}

#[allow(clippy::too_many_lines, reason = "every message of an attempt")]
fn attempt(suite: MaskSuite, lanes: u8, (n, max_corrupt, layers): (u8, u32, Option<Digest>)) -> Value {
    let lanes = Lanes::new(lanes).unwrap();
    let coordinator = Identity::from_seed(seed(1, 0));
    let seeds: Vec<_> = (0..n).map(|i| (seed(2, i), seed(3, i))).collect();
    let mut sites: Vec<Site> = Vec::new();
    for (identity, randomness) in &seeds {
        sites.push(Site { identity: Identity::from_seed(*identity), rng: ChaCha20Rng::from_seed(*randomness) });
    }
    let members = sites.iter().map(|s| (s.identity.client_id(), s.identity.public_key()));
    let session = Session {
        cfg: Digest::of(b"known answers"),
        coordinator: coordinator.public_key(),
        members: Arc::new(members.collect::<BTreeMap<_, _>>()),
        n_min: 3,
        max_corrupt,
        lanes,
        words: lanes.words(VALUES),
        graph: MaskGraph::Complete,
        suite,
        key_agreement: KeyAgreement::X25519,
        layers,
        allow_plain: false,
    };
    // Roster order from here on; `clients` in the file is in the order of the seeds.
    let clients: Vec<Value> = seeds
        .iter()
        .enumerate()
        .map(|(i, (identity, randomness))| json!({ "identity_seed": hex(identity), "randomness_seed": hex(randomness), "input": input(i) }))
        .collect();
    let inputs: BTreeMap<_, _> = sites.iter().enumerate().map(|(i, s)| (s.identity.client_id(), input(i))).collect();
    sites.sort_by_key(|s| s.identity.client_id());
    let mut said: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let mut say = |what: &'static str, message: Value| said.entry(what).or_default().push(message);

    let mut server = CollectingAdverts::new(session.clone(), &coordinator);
    let mut advertised = Vec::new();
    for site in &mut sites {
        let (state, m) = Advertised::start(session.clone(), &site.identity, &mut site.rng).unwrap();
        say("adverts", encoded(&m));
        server.advert(site.identity.client_id(), m).unwrap();
        advertised.push(state);
    }
    let (server, roster) = server.close(&coordinator).unwrap();
    let mut server = server.complete().unwrap();
    say("roster", encoded(&roster));
    let mut shared: Vec<Shared> = Vec::new();
    for (site, state) in sites.iter_mut().zip(advertised) {
        let (state, m) = state.roster(roster.clone(), &site.identity, &mut site.rng).unwrap().complete().unwrap();
        say("shares", encoded(&m));
        server.shares(site.identity.client_id(), m).unwrap();
        shared.push(state);
    }
    let ctx1 = shared[0].ctx1();
    let (mut server, envelopes) = server.close().unwrap();
    let mut masking: Vec<Masking> = Vec::new();
    for (state, (_, m)) in shared.into_iter().zip(envelopes) {
        say("envelopes", encoded(&m));
        masking.push(state.envelopes(m).unwrap());
    }
    let ctx2 = masking[0].ctx2();
    let mut submitted: Vec<(usize, Submitted)> = Vec::new();
    for (i, state) in masking.into_iter().enumerate().filter(|(i, _)| *i != GONE) {
        let id = sites[i].identity.client_id();
        let (state, m) = state.submit(RingVec::pack(&inputs[&id], lanes).unwrap(), &sites[i].identity).unwrap();
        say("masked_inputs", encoded(&m));
        server.input(id, m).unwrap();
        submitted.push((i, state));
    }
    let (mut server, survivors) = server.close().unwrap();
    say("survivors", encoded(&survivors));
    let mut consistent: Vec<(usize, Consistent)> = Vec::new();
    for (i, state) in submitted {
        let id = sites[i].identity.client_id();
        let (state, m) = state.survivors(survivors.clone(), &sites[i].identity).unwrap();
        say("signatures", encoded(&m));
        server.signature(id, m).unwrap();
        consistent.push((i, state));
    }
    let ctx3 = server.ctx3();
    let (mut server, quorum) = server.close().unwrap();
    say("quorum", encoded(&quorum));
    for (i, state) in consistent {
        let m = state.quorum(quorum.clone(), &sites[i].identity).unwrap();
        say("openings", encoded(&m));
        server.opening(sites[i].identity.client_id(), m).unwrap();
    }
    let sum = server.close().unwrap();
    say("certificate", encoded(sum.certificate()));
    let surplus: Vec<Value> =
        sum.surplus().iter().map(|key| json!([key.client.to_hex(), key.layer, hex(key.bytes())])).collect();
    let gone = sites[GONE].identity.client_id();
    let expected: Vec<i64> =
        (0..VALUES).map(|k| inputs.iter().filter(|(id, _)| **id != gone).map(|(_, v)| v[k]).sum()).collect();
    assert_eq!(sum.sum().unpack(VALUES), expected);
    json!({
        "suite": suite.name(),
        "cfg": session.cfg,
        "coordinator_seed": hex(&seed(1, 0)),
        "n_min": session.n_min,
        "max_corrupt": session.max_corrupt,
        "lanes": u8::from(lanes),
        "words": session.words,
        "gone": GONE,
        "clients": clients,
        "layers": layers,
        "surplus": surplus,
        "ctx1": ctx1,
        "ctx2": ctx2,
        "ctx3": ctx3,
        "messages": said,
        "sum_words": sum.sum().words(),
        "sum": expected,
    })
}

fn attempts() -> Value {
    let (four, law) = ((4, 1, None), Some(Digest::of(b"a law of layers")));
    json!([
        attempt(MaskSuite::Aes256Ctr, 4, four),
        attempt(MaskSuite::ChaCha20, 3, four),
        attempt(MaskSuite::Aes128Ctr, 1, four),
        // q = 3 of five, two layers; of the four that stay one layer is taken off.
        attempt(MaskSuite::Aes256Ctr, 2, (5, 0, law)),
    ])
}

#[test]
fn whole_attempts_give_the_committed_bytes() {
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(vectors()).unwrap()).unwrap();
    let made = attempts();
    for (made, committed) in made.as_array().unwrap().iter().zip(committed.as_array().unwrap()) {
        for (key, value) in made.as_object().unwrap() {
            assert_eq!(value, &committed[key], "{}: {key}", made["suite"]);
        }
    }
    assert_eq!(made, committed);
}

/// After a change of the protocol: `cargo test -p sottovoce-secagg --test kat -- --ignored`, and bring the Python along.
#[test]
#[ignore = "writes the vectors"]
fn write_the_vectors() {
    let text = serde_json::to_string_pretty(&attempts()).unwrap();
    std::fs::write(vectors(), text + "\n").unwrap();
}

/// A Python that has `cryptography`: `SOTTOVOCE_PYTHON`, `python3` or the system's.
fn python() -> Option<String> {
    let named = std::env::var("SOTTOVOCE_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = |python: &String| {
        Command::new(python).args(["-c", "import cryptography"]).output().is_ok_and(|o| o.status.success())
    };
    [named, "/usr/bin/python3".to_owned()].into_iter().find(has)
}

#[test]
fn an_independent_python_gives_the_same_bytes_from_the_same_randomness() {
    let Some(python) = python() else {
        println!("not recomputed in Python: no Python with cryptography (SOTTOVOCE_PYTHON names one)");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/secagg_kat.py");
    let recompute = |file: &Path| {
        let run = Command::new(&python).arg(&script).arg(file).env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
        let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
        (run.status.success(), said)
    };
    let (agreed, said) = recompute(&vectors());
    println!("{}", said.trim_end());
    assert!(agreed, "{said}");
    // The control: one bit of one message, of a context and of the sum, and it says which.
    let committed = std::fs::read_to_string(vectors()).unwrap();
    let genuine: Value = serde_json::from_str(&committed).unwrap();
    for place in [
        "/0/messages/shares/1",
        "/0/messages/openings/0",
        "/1/messages/masked_inputs/2",
        "/2/ctx2",
        "/3/messages/openings/1",
        "/3/surplus/2/2",
    ] {
        let mut changed = genuine.clone();
        let value = changed.pointer_mut(place).unwrap();
        let text = value.as_str().unwrap();
        let last = if text.ends_with('0') { '1' } else { '0' };
        *value = format!("{}{last}", &text[..text.len() - 1]).into();
        let file = std::env::temp_dir().join(format!("sottovoce-kat-{}.json", std::process::id()));
        std::fs::write(&file, changed.to_string()).unwrap();
        let (agreed, said) = recompute(&file);
        std::fs::remove_file(&file).unwrap();
        assert!(!agreed && said.contains("differs"), "{place}: {said}");
    }
}
