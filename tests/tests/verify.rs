//! `sottovoce verify` on what real processes left behind: a good run holds, each tampered one is refused with its first bad link, and a
//! coordinator that told two sites different things is named.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::fs;
use std::path::Path;

use common::federation::{Client, Federation};
use common::{arg, run};
use serde_json::Value;
use sottovoce_dp::OsNoise;
use sottovoce_round::{
    AuditRequest, ClientEngine, ClientEvent, ClientSetup, Evidence, Heard, JournalEvent, ModelChain, ProtocolFault,
    ResultStatement, RoundResult, Signed, Welcome, audit_answer, receipts_in,
};
use sottovoce_secagg::Identity;
use sottovoce_store::{SqliteJournal, read_result};
use sottovoce_transcript::{Record, Transcript};
use sottovoce_types::{AttemptId, Digest, RoundId, RunId, Tick};
use sottovoce_wire::{Decode, Encode, Frame, Kind};

const CLIENTS: u8 = 4;

/// A federation of three rounds that has ended, with what two of its sites heard in files.
async fn ended() -> Federation {
    let federation = Federation::new(CLIENTS, 3);
    let coordinator = federation.coordinator().await;
    let clients: Vec<Client> = (1..=CLIENTS).map(|i| federation.client(i, coordinator.address)).collect();
    assert!(coordinator.end().await.success());
    for (i, client) in (1..).zip(clients) {
        write(&statements(&federation, i), &client.end_hearing().await);
    }
    federation
}

fn statements(federation: &Federation, site: u8) -> std::path::PathBuf {
    federation.path().join(format!("site-{site}.jsonl"))
}

fn write(path: &Path, heard: &[Heard]) {
    let lines: Vec<String> = heard.iter().map(|said| serde_json::to_string(said).unwrap()).collect();
    fs::write(path, lines.join("\n") + "\n").unwrap();
}

/// The check that does not hold, and the first bad link that it names.
fn broken(report: &Value) -> (String, String) {
    let checks = report["subjects"][0]["checks"].as_array().unwrap();
    let bad = checks.iter().find(|c| c["holds"] == false).unwrap_or_else(|| panic!("all holds: {report:#}"));
    (bad["check"].as_str().unwrap().to_owned(), bad["first_bad_link"].as_str().unwrap().to_owned())
}

fn flip(path: &Path, place: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[place] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// A site's journal and its receipts by themselves: recomputed by whoever has the config and the manifest, and refused with a digit changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_of_a_site_are_checked_with_and_without_its_journal() {
    let federation = ended().await;
    let entries = federation.client_journal(1);
    let receipts = receipts_in(&entries, &federation.plan, None).unwrap().checked;
    assert_eq!(receipts.len(), 3, "one a round");
    let handed = federation.path().join("handed");
    fs::create_dir(&handed).unwrap();
    fs::copy(federation.state().join("config.toml"), handed.join("config.toml")).unwrap();
    let file = handed.join("receipts.jsonl");
    let lines: Vec<String> = receipts.iter().map(|r| serde_json::to_string(r).unwrap()).collect();
    let verify = |text: &str, code: i32| {
        fs::write(&file, text).unwrap();
        run(&["verify", arg(&file), "--format", "json"]).expect(code).json()
    };
    let good = verify(&(lines.join("\n") + "\n"), 0);
    assert_eq!((&good["subjects"][0]["kind"], &good["holds"]), (&"receipts".into(), &true.into()), "{good:#}");
    let detail = good["subjects"][0]["checks"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("3 signed") && detail.contains("honest noise of multiplier 2"), "{detail}");
    let changed = lines[1].replacen("\"contributors\":4", "\"contributors\":3", 1);
    assert_ne!(changed, lines[1]);
    let (check, link) = broken(&verify(&format!("{}\n{changed}\n", lines[0]), 1));
    assert!(check == "receipts" && link.contains("line 2") && link.contains("signature"), "{link}");
    assert!(broken(&verify("", 1)).1.contains("no receipt"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_a_finished_run_verifies_offline_and_a_tampered_one_names_its_first_bad_link() {
    let federation = ended().await;
    let state = federation.state();
    let good = run(&["verify", arg(&state), "--format", "json"]).expect(0).json();
    assert_eq!(good["holds"], true, "{good:#}");
    let checks = good["subjects"][0]["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().map(|c| c["check"].as_str().unwrap()).collect();
    assert_eq!(names, ["journal", "owner", "ledger", "plan", "sums and models", "masked inputs"]);
    let inputs = checks[5]["detail"].as_str().unwrap();
    assert!(inputs.contains("8 masked inputs of 2 of 3 rounds") && inputs.contains("2 sums were computed"), "{inputs}");

    let spoil = |what: &dyn Fn(&Path), check: &str, link: &str| {
        let copy = federation.path().join("spoilt");
        copy_dir(&state, &copy);
        what(&copy);
        let report = run(&["verify", arg(&copy), "--format", "json"]).expect(1).json();
        let (found, named) = broken(&report);
        assert_eq!(found, check, "{named}");
        assert!(named.contains(link), "{named:?} does not say {link:?}");
        fs::remove_dir_all(&copy).unwrap();
    };
    // A result of which one word changed, and one that is gone.
    spoil(
        &|copy| {
            let file = copy.join("results/round-0002.result");
            let last = fs::metadata(&file).unwrap().len() - 1;
            flip(&file, usize::try_from(last).unwrap());
        },
        "sums and models",
        "result of round 2 is damaged",
    );
    spoil(
        &|copy| fs::remove_file(copy.join("results/round-0003.result")).unwrap(),
        "sums and models",
        "result of round 3 is missing",
    );
    // The model of another round in the place of one.
    spoil(
        &|copy| {
            let at = |round: u64| copy.join(format!("checkpoints/round-{round:04}.safetensors"));
            fs::copy(at(1), at(3)).unwrap();
        },
        "sums and models",
        "round 3",
    );
    // A word of a masked input, and one that is gone.
    let input = format!("inputs/round-0003/attempt-1/{}.input", Federation::id(2).to_hex());
    spoil(&|copy| flip(&copy.join(&input), 40), "masked inputs", "that is not under the root which");
    spoil(&|copy| fs::remove_file(copy.join(&input)).unwrap(), "masked inputs", "does not show the inputs of round 3");
    // What opened the sum.
    spoil(
        &|copy| {
            let file = copy.join("inputs/round-0002/round");
            let last = fs::metadata(&file).unwrap().len() - 1;
            flip(&file, usize::try_from(last).unwrap());
        },
        "masked inputs",
        "what opened the sum of round 2 is not signed by the coordinator",
    );
    // No head.
    spoil(&|copy| fs::remove_file(copy.join("state.head")).unwrap(), "journal", "state.head is missing");
    // Another config than the one that the run began with.
    spoil(
        &|copy| {
            let file = copy.join("config.toml");
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains("noise_multiplier = 2"), "{text}");
            fs::write(&file, text.replace("noise_multiplier = 2", "noise_multiplier = 3")).unwrap();
        },
        "plan",
        "the run began with plan",
    );
    // A row of the journal.
    spoil(
        &|copy| {
            // Wherever the row lies: in the database, or in the log beside it.
            for file in ["state.sqlite", "state.sqlite-wal"].map(|name| copy.join(name)).iter().filter(|f| f.exists()) {
                let (mut bytes, needle) = (fs::read(file).unwrap(), b"\"round\":2");
                let found = |bytes: &[u8]| bytes.windows(needle.len()).position(|w| w == needle);
                while let Some(place) = found(&bytes) {
                    bytes[place + needle.len() - 1] = b'3';
                }
                fs::write(file, bytes).unwrap();
            }
        },
        "journal",
        "entry",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_a_coordinator_that_told_two_sites_different_things_is_named_by_verify() {
    let federation = ended().await;
    let manifest = federation.path().join("manifest.toml");
    let (first, second) = (statements(&federation, 1), statements(&federation, 2));
    let both = |extra: &[&str]| {
        let mut arguments = vec!["verify", arg(&first), arg(&second), "--manifest", arg(&manifest), "--format", "json"];
        arguments.extend(extra);
        run(&arguments)
    };
    let honest = both(&[]).expect(0).json();
    assert_eq!((&honest["holds"], honest["evidence"].as_array().unwrap().len()), (&Value::Bool(true), 0));

    // The coordinator signs another model for the second site's round 2: as if it had shown it that.
    let lines = fs::read_to_string(&second).unwrap();
    let mut heard: Vec<Heard> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let coordinator = Identity::from_seed([100; 32]);
    for said in &mut heard {
        if let Heard::Config(config) = said
            && config.statement.round == RoundId(2)
        {
            let mut statement = config.statement;
            statement.model = Digest::of(b"a trap");
            *config = Signed::by(statement, &coordinator);
        }
    }
    write(&second, &heard);
    let evidence = federation.path().join("evidence.json");
    let report = both(&["--evidence", arg(&evidence)]).expect(12).json();
    assert_eq!(report["evidence"][0]["party"], "coordinator", "{report:#}");
    let did = report["evidence"][0]["did"].as_str().unwrap();
    assert!(did.contains("showed different models in one attempt in round 2"), "{did}");
    // The evidence alone, to somebody who has nothing but the manifest.
    let alone = run(&["verify", arg(&evidence), "--manifest", arg(&manifest)]).expect(12);
    assert!(alone.stdout.contains("EVIDENCE against the coordinator"), "{}", alone.stdout);
    // Made up by somebody else, it shows nothing.
    let text = fs::read_to_string(&evidence).unwrap();
    let mut forged: Value = serde_json::from_str(&text).unwrap();
    forged["second"]["signature"] = forged["first"]["signature"].clone();
    fs::write(&evidence, forged.to_string()).unwrap();
    run(&["verify", arg(&evidence), "--manifest", arg(&manifest)])
        .expect(1)
        .complains(&["shows nothing", "not signed"]);
}

/// A finished run on disk, and what its coordinator published.
struct Ended {
    federation: Federation,
    run: RunId,
    results: Vec<Vec<u8>>,
}

impl Ended {
    async fn new() -> Self {
        let federation = ended().await;
        let (mut run, mut results) = (RunId([0; 16]), Vec::new());
        for entry in federation.journal() {
            match &entry.event {
                JournalEvent::RunStarted { run: started, .. } => run = *started,
                JournalEvent::Published { .. } => {
                    results.push(read_result(federation.state(), &entry.event).unwrap().bytes().to_vec());
                }
                _ => {}
            }
        }
        assert_eq!(results.len(), 3);
        Self { federation, run, results }
    }

    fn chain_of(&self, rounds: usize) -> ModelChain {
        let mut chain = ModelChain::new(self.federation.plan.clone(), self.run);
        for (round, result) in (1..).zip(&self.results[..rounds]) {
            chain.follow(RoundId(round), result).unwrap();
        }
        chain
    }

    /// The last result over another sum, with the model that follows from it, under the coordinator's own signature.
    fn false_result(&self) -> Vec<u8> {
        let genuine = self.chain_of(3).links()[2].announced.statement;
        let ctx = self.federation.plan.message_ctx();
        let mut result = RoundResult::decode_exact(&ctx, &self.results[2]).unwrap();
        result.sum[7] = result.sum[7].wrapping_add(1);
        let sign = |result: &mut RoundResult| {
            let sum = RoundResult::sum_digest(&result.sum);
            let statement = ResultStatement { sum, model: result.model, ..genuine };
            result.signature = Signed::by(statement, &Identity::from_seed([100; 32])).signature;
        };
        sign(&mut result);
        let follows = self.chain_of(2).follow(RoundId(3), &result.to_bytes());
        let Err(ProtocolFault::WrongModel { expected, .. }) = follows else { panic!("{follows:?}") };
        result.model = expected;
        sign(&mut result);
        result.to_bytes()
    }

    /// What a site that was away hears of these results, and audits the last of: what it caught.
    fn audited(&self, last: &[u8]) -> Vec<Evidence> {
        let plan = self.federation.plan.clone();
        let setup = ClientSetup {
            plan: plan.clone(),
            identity: Identity::from_seed([1; 32]),
            noise: Box::new(OsNoise),
            seed: [9; 32],
            history: Vec::new(),
            allow_plain: false,
        };
        let mut site = ClientEngine::new(setup).unwrap();
        let journal = SqliteJournal::open(self.federation.state()).unwrap();
        let frame =
            |kind, round, body: Vec<u8>| Frame { kind, run: self.run, round, attempt: AttemptId(0), body: body.into() };
        let welcome = Welcome { plan: plan.digest(), last_input: (RoundId(0), AttemptId(0)), published: 3 };
        site.handle_connect(Tick(0));
        let mut next = vec![frame(Kind::Welcome, RoundId(0), welcome.to_bytes())];
        while let Some(said) = next.pop() {
            if site.handle_frame(Tick(0), &said).is_err() {
                break;
            }
            while site.poll_persist().is_some() {}
            while let Some(asked) = site.poll_transmit() {
                let round = asked.round;
                match asked.kind {
                    Kind::WantResult if round == RoundId(3) => next.push(frame(Kind::Result, round, last.to_vec())),
                    Kind::WantResult => {
                        let result = &self.results[usize::try_from(round.0).unwrap() - 1];
                        next.push(frame(Kind::Result, round, result.clone()));
                    }
                    Kind::WantAudit => {
                        let request = AuditRequest::decode_exact(&(), &asked.body).unwrap();
                        next.push(frame(Kind::Audit, round, audit_answer(&journal, round, request).unwrap().to_vec()));
                    }
                    _ => {}
                }
            }
        }
        std::iter::from_fn(|| site.poll_event())
            .filter_map(|event| if let ClientEvent::Caught { evidence } = event { Some(*evidence) } else { None })
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_evidence_of_a_false_sum_is_a_file_by_which_verify_names_the_coordinator() {
    let ended = Ended::new().await;
    assert!(ended.audited(&ended.results[2]).is_empty(), "control: the genuine sum is right");
    let caught = ended.audited(&ended.false_result());
    let [evidence @ Evidence::FalseSum(_)] = caught.as_slice() else { panic!("{caught:?}") };
    // To somebody who has this file and the manifest.
    let manifest = ended.federation.path().join("manifest.toml");
    let file = ended.federation.path().join("evidence.json");
    fs::write(&file, serde_json::to_string_pretty(evidence).unwrap()).unwrap();
    let verify = || run(&["verify", arg(&file), "--manifest", arg(&manifest), "--format", "json"]);
    let report = verify().expect(12).json();
    assert_eq!(report["evidence"][0]["party"], "coordinator", "{report:#}");
    let did = report["evidence"][0]["did"].as_str().unwrap();
    assert!(did.contains("not the sum of the inputs") && did.contains("in round 3 attempt 1"), "{did}");
    // With another word of an input, or another announced sum, it shows nothing.
    let genuine = serde_json::to_value(evidence).unwrap();
    let mut forged = genuine.clone();
    let proof = genuine["proof"].as_str().unwrap();
    let (last, rest) = (proof.len() - 300, proof.as_bytes());
    let digit = if rest[last] == b'0' { "1" } else { "0" };
    forged["proof"] = format!("{}{digit}{}", &proof[..last], &proof[last + 1..]).into();
    fs::write(&file, forged.to_string()).unwrap();
    verify().expect(1).complains(&["shows nothing"]);
    let mut unsigned = genuine;
    unsigned["result"]["statement"]["sum"] = Digest::of(b"another").to_string().into();
    fs::write(&file, unsigned.to_string()).unwrap();
    verify().expect(1).complains(&["shows nothing", "not signed"]);
}

/// The records of a transcript, changed and written in the place of those of a run.
fn rewrite(run: &Path, change: impl FnOnce(&mut Vec<Record>)) {
    let file = run.join("transcript.bin");
    let transcript = Transcript::read(&file).unwrap();
    let mut records: Vec<Record> = transcript.coordinator().records().iter().map(|r| (*r).clone()).collect();
    assert_eq!(records.len(), transcript.len());
    change(&mut records);
    fs::remove_file(&file).unwrap();
    Transcript::from_memory(records).write(&file).unwrap();
}

#[test]
fn claim_verify_refuses_a_transcript_whose_masked_inputs_were_tampered_with() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    run(&["simulate", "configs/smoke.toml", "--out", arg(&out), "--format", "json"]).expect(0);
    let good = run(&["verify", arg(&out), "--format", "json"]).expect(0).json();
    let checks = good["subjects"][0]["checks"].as_array().unwrap();
    let inputs = checks.iter().find(|c| c["check"] == "masked inputs").unwrap();
    let detail = inputs["detail"].as_str().unwrap();
    assert!(detail.contains("8 masked inputs of 2 of 2 rounds are those that their owners signed"), "{detail}");
    let refused = |change: &dyn Fn(&mut Vec<Record>), link: &str| {
        let copy = dir.path().join("spoilt");
        copy_dir(&out, &copy);
        rewrite(&copy, change);
        let (check, named) = broken(&run(&["verify", arg(&copy), "--format", "json"]).expect(1).json());
        assert_eq!(check, "masked inputs", "{named}");
        assert!(named.contains(link), "{named:?} does not say {link:?}");
        fs::remove_dir_all(&copy).unwrap();
    };
    let of_round_2 = |r: &&mut Record| r.frame.kind == Kind::MaskedInput && r.frame.round == RoundId(2);
    refused(
        &|records| {
            let record = records.iter_mut().find(of_round_2).unwrap();
            let mut body = record.frame.body.to_vec();
            body[16] ^= 1;
            record.frame.body = body.into();
        },
        "is not the one that it signed",
    );
    refused(
        &|records| {
            let mut two = records.iter_mut().filter(of_round_2);
            let (one, other) = (two.next().unwrap(), two.next().unwrap());
            std::mem::swap(&mut one.frame.body, &mut other.frame.body);
        },
        "is not the one that it signed",
    );
    refused(
        &|records| {
            let place = records.iter().position(|r| r.frame.kind == Kind::MaskedInput).unwrap();
            records.remove(place);
        },
        "is not in the transcript",
    );
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
