//! Three sites and a coordinator that run a whole plan, engines and all, with the journals of one site and of the coordinator on disks that keep
//! a record.
use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use sottovoce_dp::SeededNoise;
use sottovoce_round::{
    ClientEngine, ClientSetup, Coordinator, Deadlines, Entry, Journal, Manifest, Member, Persist, PrivacyPlan,
    PublicKey, RunPlan, RunSpec, ServerSpec,
};
use sottovoce_secagg::graph::MaskGraph;
use sottovoce_secagg::{Identity, KeyAgreement, MaskSuite};
use sottovoce_store::{Disk, SqliteJournal};
use sottovoce_types::{
    ClipNorm, Delta, Digest, Epsilon, Lanes, ModelSpec, NoiseMultiplier, Rotation, RunId, Tick, TrainJob, Unit, Update,
};
use sottovoce_wire::{Frame, Kind};

use crate::power::Files;
use crate::recorder::{Happened, Recorder};

pub const RUN: RunId = RunId([9; 16]);
pub const NOW: Tick = Tick(0);
pub const SITES: u8 = 3;
pub const ROUNDS: u64 = 3;
/// The coordinator's identity; sites have 1 and up.
pub const COORDINATOR: u8 = 100;

pub fn identity(i: u8) -> Identity {
    Identity::from_seed([i; 32])
}

pub fn plan() -> Arc<RunPlan> {
    let member =
        |i: u8| Member { name: format!("site {i}"), public_key: PublicKey(identity(i).public_key()), units: 2 };
    let coordinator = PublicKey(identity(COORDINATOR).public_key());
    let manifest = Manifest::new("crash".into(), coordinator, (1..=SITES).map(member).collect()).unwrap();
    let spec = RunSpec {
        name: "crash".into(),
        rounds: ROUNDS,
        model: ModelSpec::Dnn { inputs: 3, hidden: vec![], classes: 2 },
        init_seed: 1,
        job: TrainJob::default(),
        features: Digest::default(),
        unit: Unit::Speaker,
        clip: ClipNorm::new(1.0).unwrap(),
        clip_bits: 16,
        lanes: Lanes::new(2).unwrap(),
        rotation: Rotation::None,
        privacy: Some(PrivacyPlan {
            noise_multiplier: NoiseMultiplier::new(2.0).unwrap(),
            sampling: None,
            delta: Delta::new(1e-5).unwrap(),
            epsilon_budget: Epsilon::new(100.0).unwrap(),
        }),
        n_min: u32::from(SITES),
        max_corrupt: 0,
        graph: MaskGraph::Complete,
        suite: MaskSuite::Aes256Ctr,
        deadlines: Deadlines { join_ms: 1_000, advert_ms: 5_000, phase_ms: 1_000 },
        adaptive_clip: None,
        server: ServerSpec::default(),
        max_attempts: 3,
        key_agreement: KeyAgreement::X25519,
        audit_chunks: 0,
        noise_removal: sottovoce_types::NoiseRemoval::None,
    };
    Arc::new(RunPlan::new(spec, Arc::new(manifest)).unwrap())
}

/// The engine of site i, with what its journal remembers.
pub fn site(plan: &Arc<RunPlan>, i: u8, history: Vec<Entry>) -> ClientEngine {
    // A restart draws other keys and other noise: here from the length of the history.
    let life = u8::try_from(history.len()).unwrap();
    ClientEngine::new(ClientSetup {
        plan: Arc::clone(plan),
        identity: identity(i),
        noise: Box::new(SeededNoise::new([i.wrapping_add(life); 32])),
        seed: [i.wrapping_add(50).wrapping_add(life); 32],
        history,
        allow_plain: false,
    })
    .unwrap()
}

/// Trains, where it is asked to.
pub fn train(engine: &mut ClientEngine, i: u8) -> bool {
    let Some((work, mut units)) = engine.poll_work() else { return false };
    for unit in 0..2u8 {
        let values = vec![f32::from(i) * 0.02 + f32::from(unit) * 0.01; work.params.values().len()];
        units.add(usize::from(unit), &Update { values, examples: 1 }).unwrap();
    }
    engine.handle_trained(NOW, work.round, work.attempt, units).unwrap();
    true
}

/// When a driver makes an entry durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    /// Before anything that comes after it leaves.
    AppendsFirst,
    /// After what waited for it has left. Wrong.
    ReleasesFirst,
}

/// A party's journal, and the record of its disk.
struct Kept {
    dir: tempfile::TempDir,
    recorder: Recorder,
    owner: u8,
    journal: Option<SqliteJournal>,
    entries: Vec<Entry>,
    /// Taken from the engine, and not appended yet.
    held: Vec<Persist>,
    driver: Driver,
}

impl Kept {
    fn new(owner: u8, driver: Driver) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(dir.path());
        let mut kept = Self { dir, recorder, owner, journal: None, entries: Vec::new(), held: Vec::new(), driver };
        kept.open();
        kept
    }

    fn open(&mut self) {
        self.journal = Some(open_on(self.dir.path(), self.owner, Box::new(self.recorder.clone())));
    }

    /// As a process that ends in peace, and is started again.
    fn close_and_open(&mut self) {
        drop(self.journal.take());
        self.recorder.look();
        self.open();
    }

    fn persist(&mut self, persist: Persist) {
        self.held.push(persist);
        if self.driver == Driver::AppendsFirst {
            self.append();
        }
    }

    fn append(&mut self) {
        for persist in self.held.drain(..) {
            self.entries.push(persist.entry.clone());
            self.journal.as_mut().unwrap().append(&persist).unwrap();
            self.recorder.note(Happened::Appended);
        }
    }

    fn record(self) -> Record {
        drop(self.journal);
        Record { happened: self.recorder.happened(), entries: self.entries, files: files(self.dir.path(), "") }
    }
}

pub fn open_on(dir: &Path, owner: u8, disk: Box<dyn Disk>) -> SqliteJournal {
    SqliteJournal::open_on(dir, Some(identity(owner)), disk).unwrap()
}

/// What one party did.
pub struct Record {
    pub happened: Vec<Happened>,
    /// Every entry, in order.
    pub entries: Vec<Entry>,
    /// Its state as it was when it ended.
    pub files: Files,
}

/// What is below a directory, but for the lock.
fn files(dir: &Path, within: &str) -> Files {
    let mut all = Files::new();
    for entry in fs::read_dir(dir.join(within)).unwrap().map(Result::unwrap) {
        let name = Path::new(within).join(entry.file_name()).to_str().unwrap().to_owned();
        if entry.file_type().unwrap().is_dir() {
            all.extend(files(dir, &name));
        } else if name != "state.lock" {
            all.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    all
}

/// A whole run.
pub struct Run {
    pub plan: Arc<RunPlan>,
    /// Of site 1.
    pub site: Record,
    /// What reached it.
    pub received: Vec<Frame>,
    pub coordinator: Record,
}

/// As it should be.
pub static RIGHT: LazyLock<Run> = LazyLock::new(|| Run::new(Driver::AppendsFirst));

impl Run {
    pub fn new(driver: Driver) -> Self {
        let plan = plan();
        let (mut site_kept, mut kept) = (Kept::new(1, driver), Kept::new(COORDINATOR, driver));
        let mut coordinator = Coordinator::new(Arc::clone(&plan), identity(COORDINATOR), RUN);
        coordinator.start(NOW);
        let mut sites: Vec<ClientEngine> = (1..=SITES).map(|i| site(&plan, i, Vec::new())).collect();
        let (mut to_coordinator, mut to_sites) = (VecDeque::new(), VecDeque::new());
        for engine in &mut sites {
            coordinator.handle_connect(NOW, engine.id());
            engine.handle_connect(NOW);
        }
        let (mut received, mut moved) = (Vec::new(), true);
        while moved || !to_sites.is_empty() || !to_coordinator.is_empty() {
            moved = false;
            for (i, engine) in (1..=SITES).zip(&mut sites) {
                let place = usize::from(i - 1);
                while let Some(persist) = engine.poll_persist() {
                    if i == 1 {
                        site_kept.persist(persist);
                    }
                }
                while let Some(frame) = engine.poll_transmit() {
                    if i == 1 {
                        site_kept.recorder.note(Happened::Left(frame.clone()));
                    }
                    to_coordinator.push_back((engine.id(), frame));
                }
                moved |= train(engine, i);
                if let Some((_, frame)) =
                    to_sites.iter().position(|(p, _)| *p == place).and_then(|p| to_sites.remove(p))
                {
                    let frame: Frame = frame;
                    if i == 1 {
                        received.push(frame.clone());
                    }
                    engine.handle_frame(NOW, &frame).unwrap();
                    moved = true;
                }
            }
            site_kept.append();
            while let Some(persist) = coordinator.poll_persist() {
                kept.persist(persist);
            }
            while let Some(transmit) = coordinator.poll_transmit() {
                kept.recorder.note(Happened::Left(transmit.frame.clone()));
                // Between the rounds both journals are closed and opened again, in peace.
                if transmit.frame.kind == Kind::Result && transmit.frame.round.0 == 2 && transmit.to == sites[0].id() {
                    kept.close_and_open();
                    site_kept.close_and_open();
                }
                let place = sites.iter().position(|s| s.id() == transmit.to).unwrap();
                to_sites.push_back((place, transmit.frame));
            }
            kept.append();
            if let Some((from, frame)) = to_coordinator.pop_front() {
                coordinator.handle_frame(NOW, from, &frame).unwrap();
                moved = true;
            }
        }
        assert!(coordinator.is_finished() && sites.iter().all(ClientEngine::is_finished), "it ran to its end");
        Self { plan, site: site_kept.record(), received, coordinator: kept.record() }
    }
}
