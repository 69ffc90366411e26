//! Writes `fuzz/corpus/*/honest*`: one message of each kind of an honest attempt with fixed randomness, and one of each file.
//! Run it after a change of a format: `cargo run -p sottovoce-fuzz-targets --example seeds`.
#![allow(clippy::unwrap_used, reason = "a program of the test suite")]
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sottovoce_dp::LedgerEntry;
use sottovoce_fuzz_targets::WORDS;
use sottovoce_round::{
    AuditReply, AuditRequest, ConfigStatement, Entry, Evidence, Finished, Heard, Hello, JoinRequest, JournalEvent,
    Manifest, Member, PublicKey, RoundConfig, RoundResult, ShownChunk, Signed, SignedOpenings, Welcome,
};
use sottovoce_secagg::graph::{MaskGraph, PicksMsg};
use sottovoce_secagg::{
    Abort, Advertised, CollectingAdverts, GraphMsg, Identity, KeyAgreement, MaskSuite, PickedBy, SecureSum, Session,
};
use sottovoce_transcript::{MemoryTap, Party, Tap as _};
use sottovoce_types::{AttemptId, Digest, Lanes, RingVec, RoundId, RunId, Tick};
use sottovoce_wire::{Encode, Frame, Kind};

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder: PathBuf = corpus.join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    };
    // With noise in layers: the messages that are longer then.
    let (messages, ..) = attempt(5, Some(Digest::of(b"a law of layers")), KeyAgreement::X25519);
    for (target, bytes) in messages.iter().filter(|(target, _)| LAYERED.contains(target)) {
        write(target, "honest-layers", bytes);
    }
    let (messages, sum, coordinator, sites) = attempt(4, None, KeyAgreement::X25519);
    for (target, bytes) in &messages {
        write(target, "honest", bytes);
    }
    let result = RoundResult {
        attempt: AttemptId(1),
        certificate: sum.certificate().clone(),
        sum: sum.sum().words().to_vec(),
        model: Digest::of(b"model"),
        signature: [3; 64],
    };
    let plan = Digest::of(b"plan");
    write("certificate", "honest", &sum.certificate().to_bytes());
    write("round_result", "honest", &result.to_bytes());
    write("round_hello", "honest", &Hello { plan }.to_bytes());
    let welcome = Welcome { plan, last_input: (RoundId(3), AttemptId(1)), published: 2 };
    write("round_welcome", "honest", &welcome.to_bytes());
    let config = RoundConfig { model: Digest::of(b"model"), terms: Digest::of(b"terms"), signature: [4; 64] };
    write("round_config", "honest", &config.to_bytes());
    write("round_finished", "honest", &Finished { model: Digest::of(b"model") }.to_bytes());
    write("round_refusal", "honest", "a site sits out: \u{1b}[31mdiverged".as_bytes());

    let frame = |kind, body: &[u8]| Frame {
        kind,
        run: RunId([9; 16]),
        round: RoundId(1),
        attempt: AttemptId(1),
        body: body.to_vec().into(),
    };
    let kinds = [
        (Kind::Hello, "round_hello"),
        (Kind::Advert, "secagg_advert"),
        (Kind::MaskedInput, "secagg_masked_input"),
        (Kind::Opening, "secagg_opening"),
    ];
    let read = |target: &str| std::fs::read(corpus.join(target).join("honest")).unwrap();
    let frames: Vec<Frame> = kinds.iter().map(|(kind, target)| frame(*kind, &read(target))).collect();
    let stream: Vec<u8> = frames.iter().flat_map(|f| f.to_bytes().to_vec()).collect();
    write("wire_frames", "honest", &[&[7][..], &stream].concat());
    // A prefix that asks for 4 GiB.
    write("wire_frames", "four-gib", &[&[1][..], &[0xff; 4], &stream[4..40]].concat());

    let mut tap = MemoryTap::new();
    for (at, frame) in (0..).zip(&frames) {
        tap.record(Tick(at), Party::Client(sites[0].client_id()), Party::Coordinator, frame);
    }
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("t");
    tap.transcript().write(&path).unwrap();
    write("transcript", "honest", &std::fs::read(&path).unwrap());

    audits(&write, &sum, &coordinator);
    files(&write, &coordinator, &sites);
}

/// What is asked and shown in an audit.
fn audits(write: &impl Fn(&str, &str, &[u8]), sum: &SecureSum, coordinator: &Identity) {
    write("audit_request", "honest-openings", &AuditRequest::Openings.to_bytes());
    write("audit_request", "honest-chunks", &AuditRequest::Chunks { chunk: 3, from: 1 }.to_bytes());
    let openings = SignedOpenings::by(sum.revealed().clone(), &sum.ctx3(), coordinator);
    write("audit_openings", "honest", &openings.to_bytes());
    write("audit_revealed", "honest", &sum.revealed().to_bytes());
    let (_, hybrid, ..) = attempt(4, None, KeyAgreement::X25519MlKem768);
    write("audit_revealed", "honest-hybrid", &hybrid.revealed().to_bytes());
    let words = sum.sum().words().to_vec();
    let chunk = ShownChunk { words, path: vec![Digest::of(b"left"), Digest::of(b"right")] };
    write("audit_chunk", "honest", &chunk.to_bytes());
    write("audit_reply", "honest-refused", &AuditReply::Refused.to_bytes());
    write("audit_reply", "honest-openings", &AuditReply::Openings(Box::new(openings)).to_bytes());
    write("audit_reply", "honest-chunks", &AuditReply::Chunks(vec![chunk; 2]).to_bytes());
}

/// What has parts for each layer of noise.
const LAYERED: [&str; 5] = ["secagg_advert", "secagg_roster", "secagg_shares", "secagg_envelopes", "secagg_opening"];

/// The encoding of a message, and the target that reads it.
type Said = (&'static str, Vec<u8>);

/// One message of each kind of an honest attempt of so many, one of whom drops out.
fn attempt(
    n: usize,
    layers: Option<Digest>,
    key_agreement: KeyAgreement,
) -> (Vec<Said>, SecureSum, Identity, Vec<Identity>) {
    let mut rng = ChaCha20Rng::from_seed([5; 32]);
    let coordinator = Identity::generate(&mut rng);
    let mut sites: Vec<Identity> = (0..n).map(|_| Identity::generate(&mut rng)).collect();
    sites.sort_by_key(Identity::client_id);
    let lanes = Lanes::new(2).unwrap();
    let session = Session {
        cfg: Digest::of(b"configuration"),
        coordinator: coordinator.public_key(),
        members: Arc::new(sites.iter().map(|s| (s.client_id(), s.public_key())).collect::<BTreeMap<_, _>>()),
        n_min: 3,
        max_corrupt: 0,
        lanes,
        words: WORDS,
        graph: MaskGraph::Complete,
        suite: MaskSuite::Aes256Ctr,
        key_agreement,
        layers,
        allow_plain: false,
    };
    let mut messages = Vec::new();
    let mut server = CollectingAdverts::new(session.clone(), &coordinator);
    let mut states = Vec::new();
    for site in &sites {
        let (state, m) = Advertised::start(session.clone(), site, &mut rng).unwrap();
        messages.push(("secagg_advert", m.to_bytes()));
        server.advert(site.client_id(), m).unwrap();
        states.push(state);
    }
    let (server, roster) = server.close(&coordinator).unwrap();
    let mut server = server.complete().unwrap();
    messages.push(("secagg_roster", roster.to_bytes()));
    let mut shared = Vec::new();
    for (site, state) in sites.iter().zip(states) {
        let (state, m) = state.roster(roster.clone(), site, &mut rng).unwrap().complete().unwrap();
        messages.push(("secagg_shares", m.to_bytes()));
        server.shares(site.client_id(), m).unwrap();
        shared.push(state);
    }
    let (mut server, envelopes) = server.close().unwrap();
    let mut submitted = Vec::new();
    for (i, (state, (_, m))) in shared.into_iter().zip(envelopes).enumerate().take(n - 1) {
        messages.push(("secagg_envelopes", m.to_bytes()));
        let state = state.envelopes(m).unwrap();
        let values: Vec<i64> = (0..32).map(|k| k * 3 - 40).collect();
        let (state, m) = state.submit(RingVec::pack(&values, lanes).unwrap(), &sites[i]).unwrap();
        messages.push(("secagg_masked_input", m.to_bytes()));
        server.input(sites[i].client_id(), m).unwrap();
        submitted.push(state);
    }
    let (mut server, survivors) = server.close().unwrap();
    let mut consistent = Vec::new();
    messages.push(("secagg_survivors", survivors.to_bytes()));
    for (i, state) in submitted.into_iter().enumerate() {
        let (state, m) = state.survivors(survivors.clone(), &sites[i]).unwrap();
        messages.push(("secagg_survivor_signature", m.to_bytes()));
        server.signature(sites[i].client_id(), m).unwrap();
        consistent.push(state);
    }
    let (mut server, quorum) = server.close().unwrap();
    messages.push(("secagg_survivor_quorum", quorum.to_bytes()));
    for (i, state) in consistent.into_iter().enumerate() {
        let m = state.quorum(quorum.clone(), &sites[i]).unwrap();
        messages.push(("secagg_opening", m.to_bytes()));
        server.opening(sites[i].client_id(), m).unwrap();
    }
    // Lists of picks come with sparse graphs, which four clients do not have.
    let list = |picker: u32| PicksMsg { picks: (0..5).filter(|i| *i != picker).collect(), signature: [5; 64] };
    messages.push(("secagg_picks", list(1).to_bytes()));
    let lists = (0..5).map(|picker| PickedBy { picker, list: list(picker) }).collect();
    messages.push(("secagg_graph", GraphMsg { lists }.to_bytes()));
    let abort = Abort::DealingSignature { dealer: sites[1].client_id() };
    messages.push(("secagg_abort", abort.message(&session.cfg, &sites[0]).to_bytes()));
    (messages, server.close().unwrap(), coordinator, sites)
}

fn files(write: &impl Fn(&str, &str, &[u8]), coordinator: &Identity, sites: &[Identity]) {
    let text = |value: &dyn erased::Json| value.json();
    let (run, round, attempt) = (RunId([9; 16]), RoundId(1), AttemptId(1));
    let (survivors, model) = (Digest::of(b"survivors"), Digest::of(b"model"));
    let events = [
        JournalEvent::RunStarted { run, plan: Digest::of(b"plan"), seed_model: model },
        JournalEvent::AttemptOpened { run, round, attempt, model },
        JournalEvent::InputsReceived { run, round, attempt, clients: vec![Digest::of(b"a"), Digest::of(b"b")] },
        JournalEvent::Debited { run, round, attempt, survivors },
        JournalEvent::AttemptAborted { run, round, attempt, reason: "too few were left".into() },
        JournalEvent::SurvivorsSigned { run, round, attempt, survivors },
        JournalEvent::OpeningCharged { run, round, attempt, survivors, receipt: None },
        JournalEvent::RunFinished { run },
    ];
    for (i, event) in events.into_iter().enumerate() {
        write("journal_row", &format!("honest-{i}"), &text(&Entry { event, ledger: None }));
    }
    let key = sottovoce_dp::LedgerKey { run, round, attempt };
    write("ledger_row", "honest-0", &text(&LedgerEntry::Released { key }));
    write("ledger_row", "honest-1", &text(&LedgerEntry::Voided { key }));
    let entry = Entry { event: JournalEvent::RunFinished { run }, ledger: Some(LedgerEntry::Released { key }) };
    write("journal_row", "honest-ledger", &text(&entry));
    let member = |(i, s): (usize, &Identity)| Member {
        name: format!("site {i}"),
        public_key: PublicKey(s.public_key()),
        units: 2,
    };
    let members = sites.iter().enumerate().map(member).collect();
    let manifest = Manifest::new("seeds".into(), PublicKey(coordinator.public_key()), members).unwrap();
    write("manifest", "honest", &text(&manifest));
    let mut revised = manifest.revised(manifest.coordinator(), manifest.members()[..3].to_vec()).unwrap();
    revised.endorse(&sites[3]);
    write("manifest", "honest-revised", &text(&revised));
    let request = JoinRequest::new(&sites[0], "seeds".into(), "site 0".into(), 2);
    write("join_request", "honest", &text(&request));
    let statement = |model| ConfigStatement {
        manifest: manifest.digest(),
        plan: Digest::of(b"plan"),
        run,
        round,
        attempt,
        model,
        layout: Digest::of(b"layout"),
        terms: Digest::of(b"terms"),
    };
    let first = Signed::by(statement(model), coordinator);
    let second = Signed::by(statement(Digest::of(b"another")), coordinator);
    write("evidence", "honest-statement", &text(&Heard::from(first)));
    write("evidence", "honest-evidence", &text(&Evidence::TwoConfigs { first, second }));
    let seal = sottovoce_store::Seal { public_key: Digest(coordinator.public_key()), signature: "0f".repeat(64) };
    let witness = sottovoce_store::Witness { entries: 3, chain: Digest::of(b"chain"), seal: Some(seal) };
    write("witness", "honest", &text(&witness));
}

mod erased {
    /// Whatever writes itself as JSON.
    pub(crate) trait Json {
        fn json(&self) -> Vec<u8>;
    }

    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> Vec<u8> {
            serde_json::to_vec(self).unwrap()
        }
    }
}
