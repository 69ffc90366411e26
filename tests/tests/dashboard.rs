//! What a coordinator shows while it runs: over HTTP, in a real browser, in a terminal, in its log; and how it stops when it is told
//! to.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::browser::Browser;
use common::federation::{Client, CoordinatorProcess, Federation, published, soon};
use common::program;
use serde_json::Value;
use sottovoce_dp::LedgerEntry;
use sottovoce_net::{GateDecision, TransmitGate};
use sottovoce_round::{ClientOutcome, JournalEvent};
use sottovoce_transcript::Transcript;
use sottovoce_types::{AttemptId, RoundId};
use sottovoce_wire::{Frame, Kind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const CLIENTS: u8 = 4;

/// Lets everything go but one kind of frame of round 2, for as long as `holding`.
fn gate(kind: Kind, holding: &Arc<AtomicBool>) -> TransmitGate {
    let holding = Arc::clone(holding);
    Box::new(move |frame: &Frame| {
        let held = frame.kind == kind && frame.round == RoundId(2) && holding.load(Ordering::SeqCst);
        if held { GateDecision::Hold } else { GateDecision::Send }
    })
}

/// A federation whose first client holds back that kind of frame in round 2.
struct Held {
    federation: Federation,
    coordinator: CoordinatorProcess,
    clients: Vec<Client>,
    holding: Arc<AtomicBool>,
}

impl Held {
    async fn at(kind: Kind, rounds: u64, arguments: &[&str]) -> Self {
        let federation = Federation::new(CLIENTS, rounds);
        let coordinator = federation.coordinator_with(arguments).await;
        let holding = Arc::new(AtomicBool::new(true));
        let of = |i| (i == 1).then(|| gate(kind, &holding));
        let clients = (1..=CLIENTS).map(|i| federation.gated_client(i, coordinator.address, of(i))).collect();
        Self { federation, coordinator, clients, holding }
    }

    fn release(&self) {
        self.holding.store(false, Ordering::SeqCst);
    }

    async fn complete(self) -> Federation {
        assert!(self.coordinator.end().await.success());
        for client in self.clients {
            assert_eq!(client.end().await.unwrap().engine.outcome(), Some(&ClientOutcome::Completed));
        }
        self.federation
    }
}

const ON_A_FREE_PORT: [&str; 2] = ["--set", "transport.dashboard=127.0.0.1:0"];

async fn connect(url: &str, path: &str) -> TcpStream {
    let host = url.strip_prefix("http://").and_then(|u| u.strip_suffix('/')).unwrap();
    let mut stream = soon(TcpStream::connect(host)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn get(url: &str, path: &str) -> String {
    let mut text = String::new();
    soon(connect(url, path).await.read_to_string(&mut text)).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{path}: {text}");
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// `/state.json`, once it is as wanted.
async fn state_where(url: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    soon(async {
        loop {
            let state: Value = serde_json::from_str(&get(url, "/state.json").await).unwrap();
            if wanted(&state) {
                return state;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
}

fn in_phase(phase: &'static str) -> impl Fn(&Value) -> bool {
    move |state| state["rounds_published"] == 1 && state["open"]["phase"] == phase
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_shown_while_it_runs() {
    let held = Held::at(Kind::MaskedInput, 3, &ON_A_FREE_PORT).await;
    let url = held.coordinator.dashboard.clone().unwrap();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let state = state_where(&url, in_phase("inputs")).await;
    assert_eq!((&state["attempt"]["round"], &state["attempt"]["debited"]), (&2.into(), &false.into()));
    let closed: Vec<&str> =
        state["attempt"]["closed"].as_array().unwrap().iter().map(|c| c["phase"].as_str().unwrap()).collect();
    assert_eq!(closed, ["adverts", "shares"]);
    let journal = held.federation.journal();
    let first = &published(&journal)[0];
    assert_eq!(state["rounds"][0], serde_json::to_value(first).unwrap(), "the journal's record");
    assert_eq!(state["privacy"]["charges"], 2, "the open attempt counts");
    assert!(state["privacy"]["epsilon_spent"].as_f64().unwrap() > first.epsilon_spent);
    let members = state["members"].as_array().unwrap();
    assert!(members.len() == usize::from(CLIENTS) && members.iter().all(|m| m["present"] == true), "{members:?}");
    assert!((1..=30_000).contains(&state["open"]["closes_in_ms"].as_u64().unwrap()), "{}", state["open"]);

    let metrics = get(&url, "/metrics").await;
    for line in [
        "sottovoce_rounds_published_total 1",
        "sottovoce_phase{phase=\"inputs\"} 1",
        "sottovoce_members_present 4",
        "sottovoce_charges 2",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}:\n{metrics}");
    }
    let bytes_in =
        metrics.lines().find_map(|l| l.strip_prefix("sottovoce_frame_bytes_total{direction=\"in\"} ")).unwrap();
    assert!(bytes_in.parse::<f64>().unwrap() > 1_000.0);

    // The feed says where the run stands, then follows it to its end and ends with it.
    let mut feed = connect(&url, "/events").await;
    let mut seen = vec![0; 65_536];
    let n = soon(feed.read(&mut seen)).await.unwrap();
    let mut seen = String::from_utf8_lossy(&seen[..n]).into_owned();
    held.release();
    soon(feed.read_to_string(&mut seen)).await.unwrap();
    assert!(seen.contains("text/event-stream") && seen.contains("event: sections"), "{seen}");
    assert!(seen.contains("attempt 1: inputs"), "where it stood");
    assert!(seen.contains("completed: all rounds are published"), "and how it ended");
    let federation = held.complete().await;
    assert_eq!(published(&federation.journal()).len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_it_gives_up_what_is_not_paid_for_and_shows_the_past_when_it_is_started_again() {
    let held = Held::at(Kind::MaskedInput, 3, &ON_A_FREE_PORT).await;
    let url = held.coordinator.dashboard.clone().unwrap();
    state_where(&url, in_phase("inputs")).await;
    held.coordinator.terminate();
    let Held { federation, coordinator, clients, holding } = held;
    assert_eq!(coordinator.end().await.code(), Some(1), "the run is not over");
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    assert!(TcpStream::connect(host).await.is_err(), "the dashboard is gone with it");
    let journal = federation.journal();
    let last = journal.last().unwrap();
    let JournalEvent::AttemptAborted { round: RoundId(2), attempt: AttemptId(1), reason, .. } = &last.event else {
        panic!("{last:?}")
    };
    assert!(reason.contains("told to stop"), "{reason}");
    assert!(matches!(last.ledger, Some(LedgerEntry::Voided { .. })), "nothing was revealed: it is given back");

    holding.store(false, Ordering::SeqCst);
    let coordinator = federation.coordinator_with(&ON_A_FREE_PORT).await;
    let url = coordinator.dashboard.clone().unwrap();
    let state = state_where(&url, |_| true).await;
    assert!(state["rounds_published"].as_u64().unwrap() >= 1);
    assert_eq!(state["rounds"][0], serde_json::to_value(&published(&journal)[0]).unwrap());
    assert_eq!(state["given_up"][0]["reason"], reason.as_str());
    let federation = Held { federation, coordinator, clients, holding }.complete().await;
    let after = federation.journal();
    assert!(after.starts_with(&journal));
    assert_eq!(published(&after).last().unwrap().charges, 3, "three rounds, three charges");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_it_ends_a_sum_that_is_paid_for() {
    let held = Held::at(Kind::Opening, 3, &ON_A_FREE_PORT).await;
    let url = held.coordinator.dashboard.clone().unwrap();
    let state = state_where(&url, in_phase("openings")).await;
    assert_eq!(state["attempt"]["debited"], true);
    held.coordinator.terminate();
    // It waits for the opening that is held back: only then does it end.
    assert_eq!(state_where(&url, |_| true).await["open"]["phase"], "openings");
    held.release();
    let Held { federation, coordinator, clients, holding } = held;
    assert_eq!(coordinator.end().await.code(), Some(1));
    let journal = federation.journal();
    let JournalEvent::Published { round: RoundId(2), .. } = journal.last().unwrap().event else {
        panic!("{:?}", journal.last())
    };
    let coordinator = federation.coordinator().await;
    Held { federation, coordinator, clients, holding }.complete().await;
}

/// The log holds nothing that a frame carried, and no key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_json_log_is_json_alone_and_holds_no_secret_and_no_byte_of_a_frame() {
    let arguments = [&ON_A_FREE_PORT[..], &["--log-format", "json", "--verbose"]].concat();
    let held = Held::at(Kind::MaskedInput, 2, &arguments).await;
    held.release();
    let stderr = held.federation.path().join("coordinator.stderr");
    let federation = held.complete().await;
    let log = fs::read_to_string(stderr).unwrap();
    let entries: Vec<Value> =
        log.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    let said: BTreeSet<&str> = entries.iter().filter_map(|e| e["message"].as_str()).collect();
    for message in
        ["listening", "joined", "attempt opened", "phase closed", "unmask requested", "published", "finished"]
    {
        assert!(said.contains(message), "{message}: {said:?}");
    }
    let published = entries.iter().find(|e| e["message"] == "published").unwrap();
    assert_eq!((&published["round"], &published["contributors"]), (&1.into(), &u32::from(CLIENTS).into()));
    assert!(published["timestamp"].is_string() && published["level"] == "INFO", "{published}");
    assert!(log.contains(&Federation::id(1).to_string()), "whose connection it was is logged");

    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().concat();
    let list = |bytes: &[u8]| format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
    let holds = |log: &str, bytes: &[u8]| log.contains(&hex(bytes)) || log.contains(&list(bytes));
    for seed in (1..=CLIENTS).chain([100]) {
        assert!(!holds(&log, &[seed; 8]), "the key of {seed}");
    }
    let transcript = Transcript::read(federation.state().join("transcript.bin")).unwrap();
    let mut searched = 0;
    for record in transcript.coordinator().records() {
        // The plan and models by their hashes are public, and stand in Hello, Welcome and configs.
        let secret = matches!(
            record.frame.kind,
            Kind::Advert | Kind::Shares | Kind::Envelopes | Kind::MaskedInput | Kind::SurvivorSignature | Kind::Opening
        );
        for window in record.frame.body.chunks_exact(8).filter(|_| secret) {
            // Eight bytes that are mostly zeros are a count, not a secret.
            if window.iter().filter(|b| **b != 0).count() >= 6 {
                searched += 1;
                assert!(!holds(&log, window), "{:?}: {window:?}", record.frame.kind);
            }
        }
    }
    assert!(searched > 100, "{searched}");
    assert!(
        holds(&format!("{log}{}", hex(&[7; 8])), &[7; 8]) && holds(&format!("{:?}", [7u8; 9]), &[7; 8]),
        "it would be found"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watch_says_a_line_for_each_change_where_there_is_no_terminal() {
    let federation = Federation::new(CLIENTS, 2);
    // A first life gives the port that the clients are to find.
    let first = federation.coordinator().await;
    let address = first.address;
    first.kill();
    let mut watching = Command::new(program("sottovoce-coordinator"))
        .arg(federation.path().join("coordinator.toml"))
        .args(["--watch", "--no-dashboard"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let clients: Vec<Client> = (1..=CLIENTS).map(|i| federation.client(i, address)).collect();
    for client in clients {
        assert_eq!(client.end().await.unwrap().engine.outcome(), Some(&ClientOutcome::Completed));
    }
    let (mut stdout, mut stderr) = (String::new(), String::new());
    watching.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    watching.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(watching.wait().unwrap().success(), "{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(lines[0].contains("waiting for members, 3 needed; 0 of 4 members present"), "{stdout}");
    assert!(lines.last().unwrap().contains("2 of 2 rounds published; completed"), "{stdout}");
    assert!(lines.windows(2).all(|two| two[0] != two[1]), "one line a change: {stdout}");
    assert!(!stdout.contains('\u{1b}'), "no terminal, no cursor to move: {stdout}");
    assert!(!stderr.contains("published"), "the lines are told once: {stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_coordinator_on_one_machine_takes_a_free_port_and_says_so() {
    let first = Federation::new(CLIENTS, 1);
    let first_process = first.coordinator_with(&ON_A_FREE_PORT).await;
    let taken = first_process.dashboard.clone().unwrap();
    let wanted = taken.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let second = Federation::new(CLIENTS, 1);
    let process = second.coordinator_with(&["--set", &format!("transport.dashboard={wanted}")]).await;
    let given = process.dashboard.clone().unwrap();
    assert_ne!(given, taken);
    assert!(process.stderr().contains(&format!("{wanted} (transport.dashboard) is taken")), "{}", process.stderr());
    let plan_of = async |url: &str| state_where(url, |_| true).await["run"].clone();
    assert_ne!(plan_of(&given).await, plan_of(&taken).await);
    // An address that other machines reach is not taken without being asked for by name.
    let refused = Command::new(program("sottovoce-coordinator"))
        .arg(second.path().join("coordinator.toml"))
        .args(["--set", "transport.dashboard=0.0.0.0:0"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("transport.dashboard_public"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_browser_shows_the_rounds_and_follows_them() {
    let held = Held::at(Kind::MaskedInput, 3, &ON_A_FREE_PORT).await;
    let url = held.coordinator.dashboard.clone().unwrap();
    state_where(&url, in_phase("inputs")).await;
    let opened = tokio::task::spawn_blocking(move || Browser::open(&url)).await.unwrap();
    let Some(mut browser) = opened else {
        #[allow(clippy::print_stderr, reason = "says what was not tested")]
        {
            eprintln!(
                "skipped: no chromium on this machine (apt-get install chromium), so the page was not tried in a browser"
            );
        }
        return;
    };
    let live = "document.getElementById('link').textContent.startsWith('Live')";
    browser = soon(tokio::task::spawn_blocking(move || browser.until(live))).await.unwrap();
    let said = browser.text();
    for shown in ["Round 2 of 3, attempt 1: inputs", "site-4", "Privacy spent", "1 of 3"] {
        assert!(said.contains(shown), "{shown}: {said}");
    }
    assert_eq!(browser.evaluate("document.title"), "round 2 of 3, inputs · loopback");
    assert_eq!(browser.evaluate("document.querySelectorAll('#figures svg').length"), 4);
    assert_eq!(browser.evaluate("document.querySelectorAll('#rounds tbody tr').length"), 1);
    let left = browser.evaluate("document.querySelector('[data-left]').textContent");
    let left = left.as_str().unwrap().trim_end_matches(" s").parse::<u64>().unwrap();
    assert!((1..=30).contains(&left), "{left}");
    // The policy lets nothing run that the page did not bring, whoever put it there.
    let injected = "(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s); \
                    const d = document.createElement('div'); d.innerHTML = '<img src=x onerror=\"window.ran = 2\">'; \
                    document.body.append(d); })()";
    browser.evaluate(injected);
    // Nothing loads it again: what changes now, the feed brought.
    browser.evaluate("window.same = true");
    held.release();
    let over =
        "document.title.startsWith('over: 3 of 3') && document.querySelectorAll('#rounds tbody tr').length === 3";
    browser = soon(tokio::task::spawn_blocking(move || browser.until(over))).await.unwrap();
    assert_eq!(browser.evaluate("window.same === true && window.ran === undefined"), true);
    assert!(browser.text().contains("completed: all rounds are published"));
    held.complete().await;
    let gone = "document.getElementById('link').textContent.startsWith('Not connected')";
    soon(tokio::task::spawn_blocking(move || browser.until(gone))).await.unwrap();
}
