//! The coordinator's process is killed with SIGKILL wherever it hurts and started again: what was spent stays spent, nothing
//! is published twice, no client answers two survivor sets of one attempt, and the run completes.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::federation::{Client, CoordinatorProcess, Federation, published};
use common::{arg, run};
use serde_json::Value;
use sottovoce_dp::{Ledger, LedgerEntry, LedgerKey, gdp};
use sottovoce_net::{GateDecision, ParticipationEnding, TransmitGate};
use sottovoce_round::{ClientEvent, ClientOutcome, Entry, JournalEvent};
use sottovoce_transcript::Transcript;
use sottovoce_types::{AttemptId, Digest, RoundId, RunId};
use sottovoce_wire::{Frame, Kind};

const CLIENTS: u8 = 4;

fn spent(federation: &Federation, journal: &[Entry]) -> f64 {
    let ledger = journal.iter().filter_map(|e| e.ledger.clone());
    Ledger::replay(federation.plan.budget().unwrap(), ledger).unwrap().epsilon_spent().upper
}

/// What must hold between any two looks at the coordinator's journal.
fn nothing_is_forgotten(federation: &Federation, before: &[Entry], after: &[Entry]) {
    assert!(after.starts_with(before), "the journal only grows");
    assert!(spent(federation, after) >= spent(federation, before), "the ledger has shrunk");
    let rounds: Vec<u64> = published(after).iter().map(|r| r.round).collect();
    let each_once: BTreeSet<u64> = rounds.iter().copied().collect();
    assert_eq!(rounds.len(), each_once.len(), "a round was published twice: {rounds:?}");
    let runs = after.iter().filter(|e| matches!(e.event, JournalEvent::RunStarted { .. })).count();
    assert_eq!(runs, 1, "it is one run");
}

/// No client ever answered two survivor sets of one attempt. Returns the attempts that each client opened.
fn one_survivor_set_per_attempt(federation: &Federation) -> BTreeMap<u8, BTreeSet<(u64, u32)>> {
    let mut all = BTreeMap::new();
    for i in 1..=federation.clients {
        let mut answered: BTreeMap<(RunId, RoundId, AttemptId), BTreeSet<Digest>> = BTreeMap::new();
        let mut opened = BTreeSet::new();
        for entry in federation.client_journal(i) {
            if let JournalEvent::SurvivorsSigned { run, round, attempt, survivors }
            | JournalEvent::OpeningCharged { run, round, attempt, survivors, .. } = entry.event
            {
                answered.entry((run, round, attempt)).or_default().insert(survivors);
            }
            if let JournalEvent::OpeningCharged { round, attempt, .. } = entry.event {
                assert!(opened.insert((round.0, attempt.0)), "client {i} opened round {round} attempt {attempt} twice");
            }
        }
        assert!(answered.values().all(|sets| sets.len() == 1), "client {i} answered two survivor sets: {answered:?}");
        all.insert(i, opened);
    }
    all
}

async fn all_complete(clients: Vec<Client>, model: Digest) {
    for client in clients {
        let client = client.end().await.unwrap();
        assert_eq!(client.ending, ParticipationEnding::Finished);
        assert_eq!(client.engine.outcome(), Some(&ClientOutcome::Completed));
        assert_eq!(client.engine.last_model().unwrap().digest(), model);
    }
}

/// Lets everything go but openings of round 2, for as long as `holding`.
fn gate(holding: &Arc<AtomicBool>) -> TransmitGate {
    let holding = Arc::clone(holding);
    Box::new(move |frame: &Frame| {
        let held = frame.kind == Kind::Opening && frame.round == RoundId(2) && holding.load(Ordering::SeqCst);
        if held { GateDecision::Hold } else { GateDecision::Send }
    })
}

/// A run in which every client has been asked to open round 2, has charged it, and its opening is held at its own door.
async fn held_before_the_openings_of_round_2(
    federation: &Federation,
) -> (CoordinatorProcess, Arc<AtomicBool>, Vec<Client>) {
    let coordinator = federation.coordinator().await;
    let address = coordinator.address;
    let holding = Arc::new(AtomicBool::new(true));
    let mut clients: Vec<Client> =
        (1..=CLIENTS).map(|i| federation.gated_client(i, address, Some(gate(&holding)))).collect();
    for client in &mut clients {
        client.event(|e| matches!(e, ClientEvent::Opening { round: RoundId(2), attempt: AttemptId(1), .. })).await;
    }
    (coordinator, holding, clients)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_one_release_per_attempt_a_coordinator_killed_between_unmask_request_and_publication() {
    let federation = Federation::new(CLIENTS, 3);
    let (coordinator, holding, clients) = held_before_the_openings_of_round_2(&federation).await;
    coordinator.kill();

    let before = federation.journal();
    let killed = LedgerKey { run: run_of(&before), round: RoundId(2), attempt: AttemptId(1) };
    assert!(
        before
            .iter()
            .any(|e| matches!(e.event, JournalEvent::Debited { round: RoundId(2), attempt: AttemptId(1), .. })
                && matches!(e.ledger, Some(LedgerEntry::Released { key }) if key == killed)),
        "the debit was durable before the unmask request left"
    );
    assert_eq!(published(&before).len(), 1);
    assert_charged(&federation, &before, 2);

    let coordinator = federation.coordinator().await;
    holding.store(false, Ordering::SeqCst);
    assert!(coordinator.end().await.success());

    let after = federation.journal();
    nothing_is_forgotten(&federation, &before, &after);
    let records = published(&after);
    assert_eq!(records.iter().map(|r| (r.round, r.attempt)).collect::<Vec<_>>(), [(1, 1), (2, 2), (3, 1)]);
    let returned = |e: &Entry| matches!(e.ledger, Some(LedgerEntry::Voided { key }) if key == killed);
    assert!(!after.iter().any(returned), "the killed attempt stays charged");
    assert_charged(&federation, &after, 4);
    all_complete(clients, records[2].model_sha256).await;
    let opened = one_survivor_set_per_attempt(&federation);
    assert!(opened.values().all(|o| o.iter().copied().eq([(1, 1), (2, 1), (2, 2), (3, 1)])), "{opened:?}");

    // The openings of the killed attempt reached nobody, before or after.
    for transcript in ["transcript.bin", "transcript-2.bin"] {
        let transcript = Transcript::read(federation.state().join(transcript)).unwrap();
        let view = transcript.coordinator();
        let late = view.of_kind(Kind::Opening).filter(|r| (r.frame.round.0, r.frame.attempt.0) == (2, 1)).count();
        assert_eq!(late, 0);
    }

    // The ledgers as their owners read them.
    let ledger = run(&["privacy", "ledger", arg(&federation.state()), "--format", "json"]).expect(0).json();
    assert_eq!(ledger["chain"], "verified");
    close(&ledger["spent"]["epsilon_upper"], spent(&federation, &after));
    let ledger = run(&["privacy", "ledger", arg(&federation.client_state(1)), "--format", "json"]).expect(0).json();
    close(&ledger["spent"]["epsilon_upper"], spent(&federation, &after));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_budget_exhausted_a_killed_attempt_stays_charged_and_the_run_that_no_longer_fits_ends_with_exit_10() {
    // A budget for three attempts, to the last bits, and three rounds: the attempt that kill -9 cost leaves nothing for the third.
    let delta = sottovoce_types::Delta::new(1e-5).unwrap();
    let budget = gdp::epsilon(3f64.sqrt() / 2.0, delta).upper * (1.0 + 1e-9);
    let federation = Federation::with_budget(CLIENTS, 3, budget);
    let (coordinator, holding, clients) = held_before_the_openings_of_round_2(&federation).await;
    coordinator.kill();
    let before = federation.journal();
    assert_charged(&federation, &before, 2);

    let coordinator = federation.coordinator().await;
    holding.store(false, Ordering::SeqCst);
    let ended = coordinator.end().await;
    assert_eq!(ended.code(), Some(10), "privacy budget exhausted");
    let after = federation.journal();
    nothing_is_forgotten(&federation, &before, &after);
    assert_charged(&federation, &after, 3);
    assert_eq!(published(&after).iter().map(|r| (r.round, r.attempt)).collect::<Vec<_>>(), [(1, 1), (2, 2)]);
    // Started once more, it is refused again: no crash and no restart gives a budget back.
    for client in clients {
        // Each site's part is over: by its own ledger, or because the coordinator ended.
        let _ended = client.end().await;
    }
    let coordinator = federation.coordinator().await;
    let _sites: Vec<Client> = (1..=CLIENTS).map(|i| federation.client(i, coordinator.address)).collect();
    assert_eq!(coordinator.end().await.code(), Some(10), "and again");
    assert_charged(&federation, &federation.journal(), 3);
    let ledger = run(&["privacy", "ledger", arg(&federation.client_state(1)), "--format", "json"]).expect(0).json();
    close(&ledger["spent"]["epsilon_upper"], spent(&federation, &after));
}

fn run_of(journal: &[Entry]) -> RunId {
    let run = |e: &Entry| if let JournalEvent::RunStarted { run, .. } = e.event { Some(run) } else { None };
    journal.iter().find_map(run).unwrap()
}

/// μ-GDP composes in squares: k attempts at noise multiplier z are √k / z, and cost its ε.
#[track_caller]
fn assert_charged(federation: &Federation, journal: &[Entry], attempts: u32) {
    let privacy = federation.plan.spec().privacy.unwrap();
    let exact = gdp::epsilon(f64::from(attempts).sqrt() / privacy.noise_multiplier.value(), privacy.delta).upper;
    let epsilon = spent(federation, journal);
    assert!((epsilon / exact - 1.0).abs() < 1e-9, "{epsilon} is not the cost of {attempts} attempts, {exact}");
}

#[track_caller]
fn close(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_one_release_per_attempt_a_coordinator_killed_in_every_phase_of_a_run() {
    let rounds = 5;
    let federation = Federation::new(CLIENTS, rounds);
    let mut coordinator = federation.coordinator().await;
    let clients: Vec<Client> = (1..=CLIENTS).map(|i| federation.client(i, coordinator.address)).collect();
    let phase = |event: &Value, round: u64, name: &str| {
        event["event"] == "phase-closed" && event["round"] == round && event["phase"] == name
    };
    // Two kills in a round leave it the last of its three attempts.
    let moments: [&dyn Fn(&Value) -> bool; 8] = [
        &|e| e["event"] == "joined",
        &|e| e["event"] == "attempt-opened" && e["round"] == 1,
        &|e| phase(e, 1, "adverts"),
        &|e| phase(e, 2, "shares"),
        &|e| phase(e, 2, "inputs"),
        &|e| phase(e, 3, "signatures"),
        &|e| e["event"] == "published" && e["record"]["round"] == 3,
        &|e| e["event"] == "unmask-requested" && e["round"] == 5,
    ];
    let mut before = federation.journal();
    for moment in moments {
        coordinator.event_where(moment).await;
        coordinator.kill();
        let journal = federation.journal();
        nothing_is_forgotten(&federation, &before, &journal);
        before = journal;
        coordinator = federation.coordinator().await;
    }
    assert!(coordinator.end().await.success());
    let after = federation.journal();
    nothing_is_forgotten(&federation, &before, &after);
    let records = published(&after);
    assert!(records.iter().map(|r| r.round).eq(1..=rounds), "{records:?}");
    all_complete(clients, records.last().unwrap().model_sha256).await;
    one_survivor_set_per_attempt(&federation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_started_again_after_the_last_round_hands_out_its_model_and_publishes_no_more() {
    let federation = Federation::new(CLIENTS, 2);
    let mut coordinator = federation.coordinator().await;
    let address = coordinator.address;
    let mut clients: Vec<Client> = (1..=CLIENTS).map(|i| federation.client(i, address)).collect();
    // One client is away when the last round ends, and the others may or may not get their last frame before the kill.
    let mut away = clients.pop().unwrap();
    away.event(|e| matches!(e, ClientEvent::SurvivorsSigned { round: RoundId(2), .. })).await;
    away.stop().await;
    coordinator.event_where(|e| e["event"] == "published" && e["record"]["round"] == 2).await;
    // Killed, unless it has ended by itself already: the same to the client that was away.
    drop(coordinator);
    let before = federation.journal();
    let records = published(&before);
    assert_eq!(records.len(), 2);
    let coordinator = federation.coordinator().await;
    clients.push(federation.client(CLIENTS, address));
    all_complete(clients, records[1].model_sha256).await;
    assert_eq!(federation.journal(), before, "nothing more was charged or published");
    drop(coordinator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_coordinator_on_the_same_state_is_refused_and_the_first_goes_on() {
    let federation = Federation::new(CLIENTS, 1);
    let coordinator = federation.coordinator().await;
    let mut second = std::process::Command::new(common::program("sottovoce-coordinator"));
    second.arg(federation.path().join("coordinator.toml")).args(["--set", "transport.listen=127.0.0.1:0"]);
    let second = common::Ran::of(&mut second).expect(1);
    second.complains(&["in use by another process"]);
    let clients: Vec<Client> = (1..=CLIENTS).map(|i| federation.client(i, coordinator.address)).collect();
    assert!(coordinator.end().await.success());
    all_complete(clients, published(&federation.journal())[0].model_sha256).await;
}
