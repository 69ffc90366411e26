//! A deployed federation: identities, manifest, configs and state on disk, the coordinator as a process, clients here.
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sottovoce_config::{Config, manifest_file};
use sottovoce_dp::OsNoise;
use sottovoce_net::{
    NetError, Participant, ParticipateOptions, Participated, ParticipationEnding, Reconnect, TlsIdentity, TransmitGate,
    participate,
};
use sottovoce_round::{
    ClientEngine, ClientEvent, ClientSetup, Entry, Heard, Journal, JournalEvent, Manifest, Member, PublicKey, RunPlan,
};
use sottovoce_secagg::Identity;
use sottovoce_sim::TargetTrainer;
use sottovoce_store::{SqliteJournal, read_journal};
use sottovoce_types::{ClientId, RoundRecord};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::program;

/// Seed of the coordinator's identity; those of the clients are 1 to n.
const COORDINATOR: u8 = 100;

/// No test waits for a time to pass; this limit only turns a hang into a failure.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what).await.expect("nothing happened for a minute")
}

/// A federation on disk.
pub struct Federation {
    dir: TempDir,
    pub clients: u8,
    pub plan: Arc<RunPlan>,
}

impl Federation {
    /// n members of two speakers each and f = 1; `rounds` rounds; deadlines that no test reaches.
    pub fn new(clients: u8, rounds: u64) -> Self {
        Self::with_budget(clients, rounds, 1000.0)
    }

    /// The same with a budget of ε for every party.
    pub fn with_budget(clients: u8, rounds: u64, epsilon_budget: f64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_identity(&dir.path().join("coordinator.key"), COORDINATOR);
        let member = |i: u8| Member {
            name: format!("site-{i}"),
            public_key: PublicKey(Identity::from_seed([i; 32]).public_key()),
            units: 2,
        };
        let key = PublicKey(Identity::from_seed([COORDINATOR; 32]).public_key());
        let manifest = Manifest::new("loopback".into(), key, (1..=clients).map(member).collect()).unwrap();
        let manifest_path = dir.path().join("manifest.toml");
        fs::write(&manifest_path, toml::to_string(&manifest).unwrap()).unwrap();
        let config = dir.path().join("coordinator.toml");
        let place = dir.path().display();
        fs::write(
            &config,
            format!(
                r#"
[run]
name = "loopback"
rounds = {rounds}

[model]
hidden = []

[privacy]
unit = "speaker"
noise_multiplier = 2.0
epsilon_budget = {epsilon_budget}

[aggregation]
n_min = 3
max_corrupt = 1

[transport]
listen = "127.0.0.1:0"
identity = "{place}/coordinator.key"
manifest = "{place}/manifest.toml"
state = "{place}/state"
join_deadline_ms = 30000
advert_deadline_ms = 30000
phase_deadline_ms = 30000
"#
            ),
        )
        .unwrap();
        let parsed = Config::load(&config, &[] as &[&str]).unwrap();
        let manifest = Arc::new(manifest_file::load(&manifest_path).unwrap());
        let plan = Arc::new(parsed.plan(manifest).unwrap());
        Self { dir, clients, plan }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The coordinator's run directory.
    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// A client's state directory.
    pub fn client_state(&self, i: u8) -> PathBuf {
        self.path().join(format!("client-{i}"))
    }

    pub fn id(i: u8) -> ClientId {
        Identity::from_seed([i; 32]).client_id()
    }

    /// What the coordinator's journal says; its hash chain is checked on the way.
    pub fn journal(&self) -> Vec<Entry> {
        read_journal(self.state()).unwrap().0
    }

    pub fn client_journal(&self, i: u8) -> Vec<Entry> {
        read_journal(self.client_state(i)).unwrap().0
    }

    /// Starts the coordinator. It listens where it did before, if it did, so that clients find it again.
    pub async fn coordinator(&self) -> CoordinatorProcess {
        self.coordinator_with(&["--no-dashboard"]).await
    }

    /// The same with more on its command line.
    pub async fn coordinator_with(&self, arguments: &[&str]) -> CoordinatorProcess {
        CoordinatorProcess::listening(&self.path().join("coordinator.toml"), self.path(), arguments).await
    }

    /// The transport identity of member i.
    pub fn tls(i: u8) -> TlsIdentity {
        TlsIdentity::from_seed(&[i; 32])
    }

    /// A client of this identity in this process, its journal on disk, its events on a channel.
    pub fn client(&self, i: u8, address: SocketAddr) -> Client {
        self.gated_client(i, address, None)
    }

    /// The same with a gate on what it sends.
    pub fn gated_client(&self, i: u8, address: SocketAddr, gate: Option<TransmitGate>) -> Client {
        let journal = SqliteJournal::open(self.client_state(i)).unwrap();
        let engine = ClientEngine::new(ClientSetup {
            plan: Arc::clone(&self.plan),
            identity: Identity::from_seed([i; 32]),
            noise: Box::new(OsNoise),
            seed: [i.wrapping_add(50); 32],
            history: journal.replay().unwrap(),
            allow_plain: false,
        })
        .unwrap();
        let target = |u: u8| vec![f32::from(i) * 0.1 + f32::from(u) * 0.05; self.plan.layout().len()];
        let trainer = TargetTrainer { targets: vec![target(0), target(1)], step: 0.5 };
        let key = self.plan.manifest().coordinator().0;
        let mut options = ParticipateOptions::new(address.to_string(), key, Self::tls(i));
        options.gate = gate;
        // A restarted coordinator is noticed by the next packet to it.
        options.transport.keep_alive = Duration::from_millis(200);
        options.reconnect = Reconnect {
            first: Duration::from_millis(10),
            most: Duration::from_millis(100),
            give_up_after: Duration::from_secs(40),
        };
        let (told, events): (UnboundedSender<ClientEvent>, _) = unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let participant = Participant::new(engine, Box::new(journal), Box::new(trainer));
        let on_event = move |event: &ClientEvent| {
            // Nobody may be listening any more.
            let _ = told.send(event.clone());
        };
        let task = tokio::spawn(participate(options, participant, on_event, shutdown));
        Client { task, events, stop }
    }
}

fn write_identity(path: &Path, seed: u8) {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    for _ in 0..32 {
        write!(file, "{seed:02x}").unwrap();
    }
    writeln!(file).unwrap();
}

/// A client in this process.
pub struct Client {
    task: JoinHandle<Result<Participated, NetError>>,
    events: UnboundedReceiver<ClientEvent>,
    stop: oneshot::Sender<()>,
}

impl Client {
    /// Waits for an event; those before it are gone.
    pub async fn event(&mut self, wanted: impl Fn(&ClientEvent) -> bool) -> ClientEvent {
        loop {
            match soon(self.events.recv()).await {
                Some(event) if wanted(&event) => return event,
                Some(_) => {}
                None => panic!("the client ended before it said what was waited for"),
            }
        }
    }

    /// Waits for its end. Its sender of `stop` stays until then.
    pub async fn end(self) -> Result<Participated, NetError> {
        soon(self.task).await.unwrap()
    }

    /// Waits for its end; what the coordinator said to it, as a site keeps it.
    pub async fn end_hearing(mut self) -> Vec<Heard> {
        soon(self.task).await.unwrap().unwrap();
        let mut heard = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            if let ClientEvent::Heard { statement } = event {
                heard.push(statement);
            }
        }
        heard
    }

    /// Stops it where it is; its journal is closed when this returns.
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        let stopped = soon(self.task).await.unwrap().unwrap();
        assert_eq!(stopped.ending, ParticipationEnding::Shutdown);
    }
}

/// The coordinator's process. Killed when it is dropped.
pub struct CoordinatorProcess {
    child: Child,
    events: UnboundedReceiver<Value>,
    stderr: PathBuf,
    pub address: SocketAddr,
    /// Where it shows the run.
    pub dashboard: Option<String>,
}

impl CoordinatorProcess {
    /// Starts it and waits until it listens. From the second start on the port is the first one's: clients keep the address
    /// that they were configured with.
    pub async fn listening(config: &Path, dir: &Path, arguments: &[&str]) -> Self {
        let mut process = Self::start(config, dir, arguments);
        let listening = process.event("listening").await;
        process.address = listening["address"].as_str().unwrap().parse().unwrap();
        process.dashboard = listening["dashboard"].as_str().map(str::to_owned);
        let fixed = fs::read_to_string(config).unwrap().replace("127.0.0.1:0", &process.address.to_string());
        fs::write(config, fixed).unwrap();
        process
    }

    fn start(config: &Path, dir: &Path, arguments: &[&str]) -> Self {
        let stderr = dir.join("coordinator.stderr");
        let mut child = Command::new(program("sottovoce-coordinator"))
            .arg(config)
            .args(["--format", "json"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&stderr).unwrap())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (told, events) = unbounded_channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let Ok(line) = line else { return };
                let event: Value = serde_json::from_str(&line).expect("an event is one JSON object a line");
                if told.send(event).is_err() {
                    return;
                }
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { child, events, stderr, address, dashboard: None }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next event of this name; those before it are gone.
    pub async fn event(&mut self, name: &str) -> Value {
        self.event_where(|event| event["event"] == name).await
    }

    /// Waits for the next event of this name for as long as it takes.
    pub async fn patient_event(&mut self, name: &str) -> Value {
        loop {
            match self.events.recv().await {
                Some(event) if event["event"] == name => return event,
                Some(_) => {}
                None => panic!("the coordinator ended: {}", fs::read_to_string(&self.stderr).unwrap()),
            }
        }
    }

    /// Waits for an event.
    pub async fn event_where(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            match soon(self.events.recv()).await {
                Some(event) if wanted(&event) => return event,
                Some(_) => {}
                None => panic!("the coordinator ended: {}", fs::read_to_string(&self.stderr).unwrap()),
            }
        }
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL, and what became of it.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), None, "it ended by itself before it could be killed: {status}");
    }

    /// SIGTERM: it is asked to stop.
    pub fn terminate(&self) {
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().unwrap();
        assert!(asked.success());
    }

    /// Waits for its end.
    pub async fn end(mut self) -> ExitStatus {
        // Its output ends with it: waiting for that does not block the runtime.
        while soon(self.events.recv()).await.is_some() {}
        self.child.wait().unwrap()
    }

    /// What it wrote to stderr, in all its lives.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        super::resident_kib(self.pid()).unwrap()
    }
}

impl Drop for CoordinatorProcess {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The records of the rounds that a journal says were published, in order.
pub fn published(journal: &[Entry]) -> Vec<RoundRecord> {
    let record = |e: &Entry| {
        if let JournalEvent::Published { record, .. } = &e.event { Some(RoundRecord::clone(record)) } else { None }
    };
    journal.iter().filter_map(record).collect()
}
