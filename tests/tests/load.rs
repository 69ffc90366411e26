//! Many clients at one coordinator over loopback: each with its own QUIC connection and engine, the coordinator as the process that is deployed.
//!
//! The large one: `ulimit -n 8192; cargo test -p sottovoce-tests --test load -- --ignored --nocapture`; `LOAD_CLIENTS` and `LOAD_HIDDEN` say how many
//! clients and how wide a model (71 parameters a hidden unit). Clients share this machine with the coordinator, so seconds by the wall are of both.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs, reason = "tests")]
mod common;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::federation::CoordinatorProcess;
use common::{arg, json_lines, run};
use sottovoce_config::{Config, manifest_file};
use sottovoce_dp::OsNoise;
use sottovoce_net::{Participant, ParticipateOptions, ParticipationEnding, TlsIdentity, participate};
use sottovoce_round::{
    ClientEngine, ClientSetup, LocalTrainer, Manifest, Member, MemoryJournal, PublicKey, TrainFailed, UnitSum, Work,
};
use sottovoce_secagg::Identity;
use sottovoce_transcript::{Party, Transcript};
use sottovoce_types::{Sha256Writer, Update};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Nobody trains here: an update of one value everywhere, so that what is measured is the protocol.
struct Constant(f32);

impl LocalTrainer for Constant {
    fn train(&mut self, work: &Work, units: &mut UnitSum) -> Result<(), TrainFailed> {
        if units.takes(0) {
            units.add(0, &Update { values: vec![self.0; work.params.values().len()], examples: 1 })?;
        }
        Ok(())
    }
}

fn seed(i: u32) -> [u8; 32] {
    Sha256Writer::new("sottovoce/1/tests/load").number(i.into()).finish().0
}

struct Figures {
    parameters: usize,
    round_s: f64,
    coordinator_cpu_s: f64,
    coordinator_peak_kib: u64,
    up: u64,
    down: u64,
}

/// One round of `clients` clients, of a model with `hidden` hidden units.
async fn load(clients: u32, hidden: u32) -> Figures {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().display();
    let key_file = dir.path().join("coordinator.key");
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key_file).unwrap();
    writeln!(file, "{}", seed(0).iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().concat()).unwrap();
    let member = |i: u32| Member {
        name: format!("site-{i}"),
        public_key: PublicKey(Identity::from_seed(seed(i)).public_key()),
        units: 1,
    };
    let key = PublicKey(Identity::from_seed(seed(0)).public_key());
    let manifest = Manifest::new("load".into(), key, (1..=clients).map(member).collect()).unwrap();
    fs::write(dir.path().join("manifest.toml"), toml::to_string(&manifest).unwrap()).unwrap();
    let config = dir.path().join("coordinator.toml");
    let (n_min, max_corrupt) = (clients * 7 / 10, clients / 10);
    fs::write(
        &config,
        format!(
            "[run]\nname = \"load\"\nrounds = 1\n[model]\nhidden = [{hidden}]\n\
             [privacy]\nunit = \"speaker\"\nnoise_multiplier = 4.0\nepsilon_budget = 1000.0\n\
             [aggregation]\nn_min = {n_min}\nmax_corrupt = {max_corrupt}\nlanes = 2\n\
             [transport]\nlisten = \"127.0.0.1:0\"\nidentity = \"{place}/coordinator.key\"\nmanifest = \"{place}/manifest.toml\"\n\
             state = \"{place}/state\"\njoin_deadline_ms = 3000000\nadvert_deadline_ms = 3000000\nphase_deadline_ms = 3000000\n"
        ),
    )
    .unwrap();
    let parsed = Config::load(&config, &[] as &[&str]).unwrap();
    let plan =
        Arc::new(parsed.plan(Arc::new(manifest_file::load(&dir.path().join("manifest.toml")).unwrap())).unwrap());

    let mut coordinator = CoordinatorProcess::listening(&config, dir.path(), &["--no-dashboard"]).await;
    let pid = coordinator.pid();
    let mut tasks = Vec::new();
    for i in 1..=clients {
        let engine = ClientEngine::new(ClientSetup {
            plan: Arc::clone(&plan),
            identity: Identity::from_seed(seed(i)),
            noise: Box::new(OsNoise),
            seed: seed(1_000_000 + i),
            history: Vec::new(),
            allow_plain: false,
        })
        .unwrap();
        let mut options =
            ParticipateOptions::new(coordinator.address.to_string(), key.0, TlsIdentity::from_seed(&seed(i)));
        // A thousand clients on two cores are slow to answer one another.
        options.transport.idle_timeout = Duration::from_mins(20);
        let trainer = Box::new(Constant(0.01 * (i % 7) as f32));
        let participant = Participant::new(engine, Box::new(MemoryJournal::default()), trainer);
        tasks.push(tokio::spawn(participate(options, participant, |_| {}, std::future::pending())));
    }
    let wait = async |coordinator: &mut CoordinatorProcess, name: &str| {
        let limit = Duration::from_mins(50);
        tokio::time::timeout(limit, coordinator.patient_event(name)).await.unwrap_or_else(|_| panic!("no {name}"))
    };
    wait(&mut coordinator, "attempt-opened").await;
    let began = Instant::now();
    let (mut cpu, mut peak) = (0.0, 0);
    {
        let published = wait(&mut coordinator, "published");
        tokio::pin!(published);
        // The process ends soon after the publication: its figures are read while it lives.
        loop {
            tokio::select! {
                _ = &mut published => break,
                () = tokio::time::sleep(Duration::from_millis(20)) => {
                    if let Some((seconds, kib)) = consumed(pid) { (cpu, peak) = (seconds, kib); }
                }
            }
        }
    }
    let round_s = began.elapsed().as_secs_f64();
    for task in tasks {
        let taken = tokio::time::timeout(Duration::from_mins(10), task).await.unwrap().unwrap().unwrap();
        assert_eq!(taken.ending, ParticipationEnding::Finished);
    }
    assert!(coordinator.end().await.success());
    let record = &json_lines(&dir.path().join("state/rounds.jsonl"))[0];
    assert_eq!(record["contributors"].as_u64(), Some(clients.into()), "{record}");
    run(&["verify", arg(&dir.path().join("state"))]).expect(0);
    let transcript = Transcript::read(dir.path().join("state/transcript.bin")).unwrap();
    let (mut up, mut down) = (0, 0);
    for sent in transcript.coordinator().records() {
        let bytes = sent.frame.body.len() as u64;
        if sent.from == Party::Coordinator { down += bytes } else { up += bytes }
    }
    Figures { parameters: plan.layout().len(), round_s, coordinator_cpu_s: cpu, coordinator_peak_kib: peak, up, down }
}

/// CPU seconds of a process, and its largest resident memory in KiB.
fn consumed(pid: u32) -> Option<(f64, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name in brackets: state is field 3, user and system time are 14 and 15, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>().ok()? + fields[12].parse::<f64>().ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some((ticks / 100.0, line.split_whitespace().nth(1)?.parse().ok()?))
}

/// Seconds that the same bytes take over as many plain TCP connections on loopback, without encryption: the limit of copying.
async fn copied(clients: u32, up_each: usize, down_each: usize) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let began = Instant::now();
    let server = tokio::spawn(async move {
        let mut served = Vec::new();
        for _ in 0..clients {
            let (mut socket, _) = listener.accept().await.unwrap();
            served.push(tokio::spawn(async move {
                socket.write_all(&vec![7; down_each]).await.unwrap();
                let mut heard = Vec::with_capacity(up_each);
                socket.read_to_end(&mut heard).await.unwrap();
                assert_eq!(heard.len(), up_each);
            }));
        }
        for one in served {
            one.await.unwrap();
        }
    });
    let mut asked = Vec::new();
    for _ in 0..clients {
        asked.push(tokio::spawn(async move {
            let mut socket = TcpStream::connect(address).await.unwrap();
            let mut heard = vec![0; down_each];
            socket.read_exact(&mut heard).await.unwrap();
            socket.write_all(&vec![7; up_each]).await.unwrap();
            socket.shutdown().await.unwrap();
        }));
    }
    for one in asked {
        one.await.unwrap();
    }
    server.await.unwrap();
    began.elapsed().as_secs_f64()
}

async fn show(clients: u32, hidden: u32) -> Figures {
    let f = load(clients, hidden).await;
    let each = |bytes: u64| usize::try_from(bytes / u64::from(clients)).unwrap();
    let copy_s = copied(clients, each(f.up), each(f.down)).await;
    println!(
        "{clients} clients, {} parameters: round {:.2} s by the wall, clients included; coordinator {:.2} CPU-s, peak {:.1} MiB; \
         a client {} bytes up, {} down; the same bytes over plain TCP {copy_s:.2} s",
        f.parameters,
        f.round_s,
        f.coordinator_cpu_s,
        f.coordinator_peak_kib as f64 / 1024.0,
        each(f.up),
        each(f.down)
    );
    f
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_clients_finish_a_round_and_the_coordinator_holds_less_than_their_vectors() {
    let figures = show(16, 280).await;
    // Inputs are added as they come: sixteen of them are never in memory at once. 40 MiB is the program itself, and then some.
    let vectors_kib = 16 * figures.parameters as u64 * 4 / 1024;
    assert!(figures.coordinator_peak_kib < 40 * 1024 + vectors_kib, "{} KiB", figures.coordinator_peak_kib);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: a thousand clients on one machine"]
async fn a_thousand_clients_finish_a_round() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |v| v.parse().unwrap());
    show(number("LOAD_CLIENTS", 1000), number("LOAD_HIDDEN", 1408)).await;
}
