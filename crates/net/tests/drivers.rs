//! Whole runs: real engines, real QUIC on loopback, a trainer that needs no machine learning.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use std::future::{Future, pending};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sottovoce_dp::OsNoise;
use sottovoce_net::{
    CloseCode, Dialer, GateDecision, LinkError, Listener, NetError, Participant, ParticipateOptions, Participated,
    ParticipationEnding, Reconnect, Served, Service, TlsIdentity, TransportOptions, participate, serve,
};
use sottovoce_round::{
    ClientEngine, ClientEvent, ClientOutcome, ClientSetup, Coordinator, CoordinatorEvent, Deadlines, Entry, Journal,
    JournalError, JournalEvent, Keep, KeptRound, LocalTrainer, Manifest, Member, MemoryJournal, Outcome, Persist,
    PrivacyPlan, ProtocolFault, PublicKey, PublishedResult, RunPlan, RunSpec, ServerSpec, ServerState, ShownChunk,
    TrainFailed, UnitSum, Work,
};
use sottovoce_secagg::graph::MaskGraph;
use sottovoce_secagg::{Identity, KeyAgreement, MaskSuite};
use sottovoce_transcript::MemoryTap;
use sottovoce_types::{
    AttemptId, ClientId, ClipNorm, Delta, Digest, Epsilon, FlatParams, Lanes, LocalOptimiser, ModelSpec,
    NoiseMultiplier, ParamLayout, Rotation, RoundId, RunId, TrainJob, Unit, Update,
};
use sottovoce_wire::{Frame, Kind, Limits};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const COORDINATOR: u8 = 1;
const CLIENTS: [u8; 3] = [2, 3, 4];
const ROUNDS: u64 = 2;

/// No test waits for a time to pass; this limit only turns a hang into a failure.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what).await.expect("nothing happened for a minute")
}

fn public_key(seed: u8) -> [u8; 32] {
    Identity::from_seed([seed; 32]).public_key()
}

fn plan(n_min: u32, advert_ms: u64) -> Arc<RunPlan> {
    let member =
        |&seed: &u8| Member { name: format!("site-{seed}"), public_key: PublicKey(public_key(seed)), units: 1 };
    let members = CLIENTS.iter().map(member).collect();
    let manifest = Manifest::new("loopback".into(), PublicKey(public_key(COORDINATOR)), members).unwrap();
    let spec = RunSpec {
        name: "loopback".into(),
        rounds: ROUNDS,
        model: ModelSpec::Dnn { inputs: 3, hidden: vec![4], classes: 2 },
        init_seed: 7,
        job: TrainJob {
            epochs: 1,
            batch: 1,
            learning_rate: 0.1,
            momentum: 0.0,
            weight_decay: 0.0,
            proximal_mu: 0.0,
            optimiser: LocalOptimiser::Sgd,
            seed: 0,
            ..TrainJob::default()
        },
        features: Digest([0; 32]),
        unit: Unit::Client,
        clip: ClipNorm::new(1.0).unwrap(),
        clip_bits: 12,
        lanes: Lanes::new(2).unwrap(),
        rotation: Rotation::None,
        privacy: Some(PrivacyPlan {
            noise_multiplier: NoiseMultiplier::new(2.0).unwrap(),
            sampling: None,
            delta: Delta::new(1e-5).unwrap(),
            epsilon_budget: Epsilon::new(100.0).unwrap(),
        }),
        n_min,
        max_corrupt: 0,
        graph: MaskGraph::Complete,
        suite: MaskSuite::Aes256Ctr,
        deadlines: Deadlines { join_ms: 20_000, advert_ms, phase_ms: 20_000 },
        adaptive_clip: None,
        server: ServerSpec::default(),
        max_attempts: 3,
        key_agreement: KeyAgreement::X25519,
        audit_chunks: 1,
        noise_removal: sottovoce_types::NoiseRemoval::None,
    };
    Arc::new(RunPlan::new(spec, Arc::new(manifest)).unwrap())
}

/// Moves every parameter by the same small step.
struct ToyTrainer;

impl LocalTrainer for ToyTrainer {
    fn train(&mut self, work: &Work, units: &mut UnitSum) -> Result<(), TrainFailed> {
        Ok(units.add(0, &Update { values: vec![0.01; work.params.values().len()], examples: 1 })?)
    }
}

fn participant(plan: &Arc<RunPlan>, seed: u8) -> Participant {
    let engine = ClientEngine::new(ClientSetup {
        plan: Arc::clone(plan),
        identity: Identity::from_seed([seed; 32]),
        noise: Box::new(OsNoise),
        seed: [seed.wrapping_add(100); 32],
        history: Vec::new(),
        allow_plain: false,
    })
    .unwrap();
    Participant::new(engine, Box::new(MemoryJournal::default()), Box::new(ToyTrainer))
}

fn options(addr: SocketAddr, seed: u8) -> ParticipateOptions {
    let mut options =
        ParticipateOptions::new(addr.to_string(), public_key(COORDINATOR), TlsIdentity::from_seed(&[seed; 32]));
    options.reconnect = Reconnect {
        first: Duration::from_millis(10),
        most: Duration::from_millis(50),
        give_up_after: Duration::from_secs(30),
    };
    options
}

type ClientTask = JoinHandle<Result<Participated, NetError>>;

fn spawn_client(plan: &Arc<RunPlan>, addr: SocketAddr, seed: u8) -> ClientTask {
    tokio::spawn(participate(options(addr, seed), participant(plan, seed), |_| {}, pending()))
}

struct Running {
    addr: SocketAddr,
    events: Arc<Mutex<Vec<CoordinatorEvent>>>,
    tap: MemoryTap,
    task: JoinHandle<Result<(Service, Served), NetError>>,
    stop: oneshot::Sender<()>,
}

fn spawn_coordinator(plan: &Arc<RunPlan>, journal: Box<dyn Journal + Send>) -> Running {
    let listener = Listener::bind(
        (Ipv4Addr::LOCALHOST, 0).into(),
        &TlsIdentity::from_seed(&[COORDINATOR; 32]),
        plan.manifest().keys(),
        TransportOptions::default(),
    )
    .unwrap();
    let addr = listener.local_addr().unwrap();
    let engine = Coordinator::new(Arc::clone(plan), Identity::from_seed([COORDINATOR; 32]), RunId([9; 16]));
    let mut service = Service::new(engine, journal);
    let tap = MemoryTap::new();
    service.tap = Box::new(tap.clone());
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        if stopped.await.is_err() {
            pending::<()>().await;
        }
    };
    let on_event = move |event: &CoordinatorEvent| seen.lock().unwrap().push(event.clone());
    let task = tokio::spawn(serve(listener, service, on_event, shutdown));
    Running { addr, events, tap, task, stop }
}

fn kinds(tap: &MemoryTap) -> Vec<Kind> {
    tap.transcript().coordinator().records().iter().map(|r| r.frame.kind).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_completes_over_quic_and_all_parties_hold_the_same_model() {
    let plan = plan(3, 20_000);
    let running = spawn_coordinator(&plan, Box::new(MemoryJournal::default()));
    let clients: Vec<ClientTask> = CLIENTS.iter().map(|&seed| spawn_client(&plan, running.addr, seed)).collect();
    let (service, served) = soon(running.task).await.unwrap().unwrap();
    assert_eq!(served, Served::Finished);
    assert_eq!(service.engine.outcome(), Some(&Outcome::Completed));
    for client in clients {
        let client = soon(client).await.unwrap().unwrap();
        assert_eq!(client.ending, ParticipationEnding::Finished);
        assert_eq!(client.engine.outcome(), Some(&ClientOutcome::Completed));
        assert_eq!(client.engine.last_model().unwrap().digest(), service.engine.params().digest());
        let journal = client.journal.replay().unwrap();
        let openings = journal.iter().filter(|e| matches!(e.event, JournalEvent::OpeningCharged { .. })).count();
        assert_eq!(openings as u64, ROUNDS, "one opening a round is on each client's record");
    }
    let published =
        running.events.lock().unwrap().iter().filter(|e| matches!(e, CoordinatorEvent::Published { .. })).count();
    assert_eq!(published as u64, ROUNDS);
    let kinds = kinds(&running.tap);
    assert_eq!(kinds.iter().filter(|&&k| k == Kind::MaskedInput).count(), CLIENTS.len() * 2, "the tap saw every input");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_dribbles_bytes_or_falls_silent_does_not_hold_up_the_others() {
    let plan = plan(2, 20_000);
    let running = spawn_coordinator(&plan, Box::new(MemoryJournal::default()));
    // The third member never gets past the first half of a header, one byte at a time; while the others wait for their
    // adverts nobody may depend on it. n_min is 2, so that the run needs the join time to pass without it: it greets.
    let mut dialer =
        Dialer::new(TlsIdentity::from_seed(&[CLIENTS[2]; 32]), public_key(COORDINATOR), TransportOptions::default());
    let mut slow = soon(dialer.connect(running.addr, Limits::new(3, 100))).await.unwrap();
    let hello = hello(&plan);
    soon(slow.send(&hello)).await.unwrap();
    assert_eq!(soon(slow.receive()).await.unwrap().unwrap().kind, Kind::Welcome);
    let dribble = tokio::spawn(async move {
        // A well-formed prefix of a large frame, then nothing but single bytes for as long as the run takes.
        let announced = Frame { kind: Kind::Abort, body: vec![0; 4096].into(), ..hello }.to_bytes();
        for byte in announced.slice(..announced.len() - 1) {
            if slow.send_raw(Bytes::copy_from_slice(&[byte])).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        slow
    });
    let clients: Vec<ClientTask> = CLIENTS[..2].iter().map(|&seed| spawn_client(&plan, running.addr, seed)).collect();
    let mut slow = soon(dribble).await.unwrap();
    // Everybody has joined, the first attempt is open and waits for the slow one. It leaves, by force.
    soon(async {
        while !kinds(&running.tap).iter().filter(|&&k| k == Kind::Advert).count().ge(&2) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    slow.close(CloseCode::Shutdown, "enough");
    let _ = slow.receive().await;
    let (service, _) = soon(running.task).await.unwrap().unwrap();
    assert_eq!(service.engine.outcome(), Some(&Outcome::Completed));
    for client in clients {
        assert_eq!(soon(client).await.unwrap().unwrap().ending, ParticipationEnding::Finished);
    }
}

fn hello(plan: &RunPlan) -> Frame {
    Frame {
        kind: Kind::Hello,
        run: RunId([0; 16]),
        round: RoundId(0),
        attempt: AttemptId(0),
        body: Bytes::copy_from_slice(plan.digest().as_bytes()),
    }
}

#[tokio::test]
async fn claim_unknown_identity_refused_in_the_handshake_and_not_tried_again() {
    let plan = plan(3, 20_000);
    let running = spawn_coordinator(&plan, Box::new(MemoryJournal::default()));
    let stranger = 77;
    let refused = soon(participate(options(running.addr, stranger), participant(&plan, stranger), |_| {}, pending()));
    let error = Box::pin(refused).await.err().unwrap();
    assert!(matches!(error, NetError::Link(LinkError::IdentityRefused { .. })), "{error}");
    assert!(running.events.lock().unwrap().is_empty(), "the engine never heard of it");
    running.stop.send(()).unwrap();
    assert_eq!(soon(running.task).await.unwrap().unwrap().1, Served::Shutdown);
}

#[tokio::test]
async fn a_client_of_another_plan_is_told_so_and_stops() {
    let running = spawn_coordinator(&plan(3, 20_000), Box::new(MemoryJournal::default()));
    let other = plan(2, 20_000);
    let refused = soon(participate(options(running.addr, 2), participant(&other, 2), |_| {}, pending()));
    let error = Box::pin(refused).await.err().unwrap();
    let NetError::Link(LinkError::ClosedByPeer { code: CloseCode::Protocol, reason }) = &error else {
        panic!("{error}")
    };
    assert!(reason.contains("another plan"), "{reason}");
}

#[tokio::test]
async fn a_second_connection_of_the_same_identity_replaces_the_first() {
    let plan = plan(3, 20_000);
    let running = spawn_coordinator(&plan, Box::new(MemoryJournal::default()));
    let connect = async || {
        let identity = TlsIdentity::from_seed(&[2; 32]);
        let mut dialer = Dialer::new(identity, public_key(COORDINATOR), TransportOptions::default());
        let mut link = dialer.connect(running.addr, Limits::new(3, 100)).await.unwrap();
        link.send(&hello(&plan)).await.unwrap();
        assert_eq!(link.receive().await.unwrap().unwrap().kind, Kind::Welcome);
        (dialer, link)
    };
    let (_first_dialer, first) = soon(connect()).await;
    let (_second_dialer, mut second) = soon(connect()).await;
    let told = soon(first.closed()).await;
    assert!(matches!(told, LinkError::ClosedByPeer { code: CloseCode::Replaced, .. }), "{told}");
    // The second one stands: a frame that only a coordinator sends is answered on it, by its end.
    soon(second.send(&Frame { kind: Kind::Finished, ..hello(&plan) })).await.unwrap();
    let told = soon(second.receive()).await.unwrap_err();
    assert!(matches!(&told, LinkError::ClosedByPeer { code: CloseCode::Protocol, .. }), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_comes_back_after_its_connection_is_lost() {
    let plan = plan(3, 20_000);
    let running = spawn_coordinator(&plan, Box::new(MemoryJournal::default()));
    let (welcomed, first_welcome) = oneshot::channel();
    let mut welcomed = Some(welcomed);
    let mut times = 0;
    let on_event = move |event: &ClientEvent| {
        if matches!(event, ClientEvent::Welcomed { .. }) {
            times += 1;
            if let Some(welcomed) = welcomed.take() {
                welcomed.send(()).unwrap();
            }
            assert!(times <= 3);
        }
    };
    let client = tokio::spawn(participate(options(running.addr, 2), participant(&plan, 2), on_event, pending()));
    soon(first_welcome).await.unwrap();
    // Another process with the same identity would end it (Replaced is final); a lost connection must not. The
    // coordinator restarts: same address, same plan, and the client finds it again.
    let addr = running.addr;
    running.stop.send(()).unwrap();
    let (service, served) = soon(running.task).await.unwrap().unwrap();
    assert_eq!(served, Served::Shutdown);
    let listener = soon(rebind(&plan, addr)).await;
    let entries = service.journal.replay().unwrap();
    let engine = Coordinator::resume(
        Arc::clone(&plan),
        Identity::from_seed([COORDINATOR; 32]),
        &entries,
        plan.initial_params(),
        None,
    )
    .unwrap();
    let mut resumed = Service::new(engine, service.journal);
    resumed.base = service.base;
    let served = tokio::spawn(serve(listener, resumed, |_| {}, pending()));
    let others: Vec<ClientTask> = CLIENTS[1..].iter().map(|&seed| spawn_client(&plan, addr, seed)).collect();
    assert_eq!(soon(served).await.unwrap().unwrap().0.engine.outcome(), Some(&Outcome::Completed));
    assert_eq!(soon(client).await.unwrap().unwrap().ending, ParticipationEnding::Finished);
    for other in others {
        soon(other).await.unwrap().unwrap();
    }
}

/// The old socket is closed by its last task, shortly after the endpoint was dropped.
async fn rebind(plan: &RunPlan, addr: SocketAddr) -> Listener {
    loop {
        let identity = TlsIdentity::from_seed(&[COORDINATOR; 32]);
        match Listener::bind(addr, &identity, plan.manifest().keys(), TransportOptions::default()) {
            Ok(listener) => return listener,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_opening_stays_while_its_charge_is_durable() {
    let plan = plan(3, 20_000);
    let running = spawn_coordinator(&plan, Box::new(MemoryJournal::default()));
    let held = Arc::new(Mutex::new(None::<oneshot::Sender<()>>));
    let (asked, opening_asked) = oneshot::channel();
    *held.lock().unwrap() = Some(asked);
    let mut holding = options(running.addr, 2);
    holding.gate = Some(Box::new(move |frame: &Frame| {
        if frame.kind != Kind::Opening {
            return GateDecision::Send;
        }
        if let Some(asked) = held.lock().unwrap().take() {
            asked.send(()).unwrap();
        }
        GateDecision::Hold
    }));
    let journal = SharedJournal::default();
    let mut site = participant(&plan, 2);
    site.journal = Box::new(journal.clone());
    let client = tokio::spawn(participate(holding, site, |_| {}, pending()));
    let others: Vec<ClientTask> = CLIENTS[1..].iter().map(|&seed| spawn_client(&plan, running.addr, seed)).collect();
    soon(opening_asked).await.unwrap();
    assert!(
        journal.events().iter().any(|e| matches!(e, JournalEvent::OpeningCharged { .. })),
        "the charge is durable before the gate is even asked"
    );
    client.abort();
    for other in others {
        other.abort();
    }
}

#[derive(Clone, Default)]
struct SharedJournal(Arc<Mutex<MemoryJournal>>);

impl SharedJournal {
    fn events(&self) -> Vec<JournalEvent> {
        self.0.lock().unwrap().entries().iter().map(|e| e.event.clone()).collect()
    }
}

impl Journal for SharedJournal {
    fn append(&mut self, persist: &Persist) -> Result<(), JournalError> {
        self.0.lock().unwrap().append(persist)
    }
    fn replay(&self) -> Result<Vec<Entry>, JournalError> {
        self.0.lock().unwrap().replay()
    }
    fn server_state(&self, state: Digest) -> Result<ServerState, JournalError> {
        self.0.lock().unwrap().server_state(state)
    }
    fn checkpoint(&self, model: Digest, layout: &Arc<ParamLayout>) -> Result<FlatParams, JournalError> {
        self.0.lock().unwrap().checkpoint(model, layout)
    }
    fn result(&self, round: RoundId) -> Result<PublishedResult, JournalError> {
        self.0.lock().unwrap().result(round)
    }
    fn keep(&mut self, keep: &Keep) -> Result<(), JournalError> {
        self.0.lock().unwrap().keep(keep)
    }
    fn kept_round(&self, round: RoundId) -> Result<Option<KeptRound>, JournalError> {
        self.0.lock().unwrap().kept_round(round)
    }
    fn kept_chunk(
        &self,
        round: RoundId,
        attempt: AttemptId,
        client: ClientId,
        chunk: u32,
    ) -> Result<Option<ShownChunk>, JournalError> {
        self.0.lock().unwrap().kept_chunk(round, attempt, client, chunk)
    }
}

/// Fails on the debit: the disk is full at the worst moment.
struct FullDisk(MemoryJournal);

impl Journal for FullDisk {
    fn append(&mut self, persist: &Persist) -> Result<(), JournalError> {
        if matches!(persist.entry.event, JournalEvent::Debited { .. }) {
            return Err(JournalError::Storage { place: "test".into(), source: "no space left".into() });
        }
        self.0.append(persist)
    }
    fn replay(&self) -> Result<Vec<Entry>, JournalError> {
        self.0.replay()
    }
    fn server_state(&self, state: Digest) -> Result<ServerState, JournalError> {
        self.0.server_state(state)
    }
    fn checkpoint(&self, model: Digest, layout: &Arc<ParamLayout>) -> Result<FlatParams, JournalError> {
        self.0.checkpoint(model, layout)
    }
    fn result(&self, round: RoundId) -> Result<PublishedResult, JournalError> {
        self.0.result(round)
    }
    fn keep(&mut self, keep: &Keep) -> Result<(), JournalError> {
        self.0.keep(keep)
    }
    fn kept_round(&self, round: RoundId) -> Result<Option<KeptRound>, JournalError> {
        self.0.kept_round(round)
    }
    fn kept_chunk(
        &self,
        round: RoundId,
        attempt: AttemptId,
        client: ClientId,
        chunk: u32,
    ) -> Result<Option<ShownChunk>, JournalError> {
        self.0.kept_chunk(round, attempt, client, chunk)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_debit_before_reveal_no_unmask_request_leaves_when_the_debit_cannot_be_durable() {
    let plan = plan(3, 20_000);
    let running = spawn_coordinator(&plan, Box::new(FullDisk(MemoryJournal::default())));
    let clients: Vec<ClientTask> = CLIENTS.iter().map(|&seed| spawn_client(&plan, running.addr, seed)).collect();
    let error = soon(running.task).await.unwrap().err().unwrap();
    assert!(matches!(error, NetError::Journal(JournalError::Storage { .. })), "{error}");
    let kinds = kinds(&running.tap);
    assert!(kinds.contains(&Kind::SurvivorSignature), "it came as far as the signatures");
    assert!(!kinds.contains(&Kind::SurvivorQuorum) && !kinds.contains(&Kind::Opening), "nothing was asked to open");
    for client in clients {
        client.abort();
    }
}

/// Throws the inputs away, so that no sum can be audited.
struct Forgetful(MemoryJournal);

impl Journal for Forgetful {
    fn append(&mut self, persist: &Persist) -> Result<(), JournalError> {
        self.0.append(persist)
    }
    fn replay(&self) -> Result<Vec<Entry>, JournalError> {
        self.0.replay()
    }
    fn server_state(&self, state: Digest) -> Result<ServerState, JournalError> {
        self.0.server_state(state)
    }
    fn checkpoint(&self, model: Digest, layout: &Arc<ParamLayout>) -> Result<FlatParams, JournalError> {
        self.0.checkpoint(model, layout)
    }
    fn result(&self, round: RoundId) -> Result<PublishedResult, JournalError> {
        self.0.result(round)
    }
    fn keep(&mut self, _: &Keep) -> Result<(), JournalError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_a_coordinator_that_refuses_its_audit_loses_its_clients_also_where_it_ends_the_run() {
    for rounds in [1, 2] {
        let mut changed = plan(3, 20_000).spec().clone();
        changed.rounds = rounds;
        let plan = Arc::new(RunPlan::new(changed, plan(3, 20_000).manifest().clone()).unwrap());
        let running = spawn_coordinator(&plan, Box::new(Forgetful(MemoryJournal::default())));
        let impatient = |seed| {
            let mut options = options(running.addr, seed);
            options.reconnect.give_up_after = Duration::from_secs(2);
            tokio::spawn(participate(options, participant(&plan, seed), |_| {}, pending()))
        };
        let clients: Vec<ClientTask> = CLIENTS.iter().map(|&seed| impatient(seed)).collect();
        for client in clients {
            let error = soon(client).await.unwrap().err().unwrap();
            let refused = matches!(&error, NetError::Coordinator(ProtocolFault::AuditRefused { round: 1 }));
            assert!(refused, "{error:?}");
        }
        running.task.abort();
    }
}
