//! A federation driven by hand: frames go where the test lets them go, and no time passes unless the test says so.
#![allow(dead_code, unreachable_pub, reason = "a module of test binaries, each of which uses a part of it")]
pub mod hostile;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use sottovoce_dp::SeededNoise;
use sottovoce_round::{
    ClientEngine, ClientEvent, ClientSetup, Coordinator, CoordinatorEvent, Deadlines, Entry, Journal, JournalEvent,
    KeptRound, Manifest, Member, MemoryJournal, PeerFault, PrivacyPlan, ProtocolFault, PublicKey, PublishedResult,
    RunPlan, RunSpec, ServerSpec, Transmit, audit_answer,
};
use sottovoce_secagg::graph::MaskGraph;
use sottovoce_secagg::{Identity, KeyAgreement, MaskSuite};
use sottovoce_types::{
    ClientId, ClipNorm, Delta, Digest, Epsilon, Lanes, LocalOptimiser, ModelSpec, NoiseMultiplier, Rotation, RoundId,
    RoundRecord, RunId, Tick, TrainJob, Unit, Update,
};
use sottovoce_wire::{Frame, Kind};

/// The run of every federation here.
pub const RUN: RunId = RunId([9; 16]);

/// Identities 1..=n are members; the coordinator's is 100.
pub fn identity(i: u8) -> Identity {
    Identity::from_seed([i; 32])
}

/// n members of two speakers each, f of them possibly corrupt.
pub fn plan(n: u8, f: u32, rounds: u64) -> Arc<RunPlan> {
    plan_with(n, f, rounds, |_| ())
}

/// The same, changed.
pub fn plan_with(n: u8, f: u32, rounds: u64, change: impl FnOnce(&mut RunSpec)) -> Arc<RunPlan> {
    let member =
        |i: u8| Member { name: format!("site {i}"), public_key: PublicKey(identity(i).public_key()), units: 2 };
    let manifest =
        Manifest::new("by hand".into(), PublicKey(identity(100).public_key()), (1..=n).map(member).collect());
    let mut spec = RunSpec {
        name: "by hand".into(),
        rounds,
        model: ModelSpec::Dnn { inputs: 3, hidden: vec![], classes: 2 },
        init_seed: 1,
        job: TrainJob {
            epochs: 1,
            batch: 1,
            learning_rate: 0.1,
            momentum: 0.0,
            weight_decay: 0.0,
            proximal_mu: 0.0,
            optimiser: LocalOptimiser::Sgd,
            seed: 1,
            ..TrainJob::default()
        },
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
        n_min: 3,
        max_corrupt: f,
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
    change(&mut spec);
    Arc::new(RunPlan::new(spec, Arc::new(manifest.unwrap())).unwrap())
}

/// The engine of member i (from 1), with what its journal remembers.
pub fn engine(plan: &Arc<RunPlan>, i: u8, history: Vec<Entry>) -> ClientEngine {
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

/// One client with what it got and kept.
pub struct Site {
    pub id: ClientId,
    pub engine: ClientEngine,
    /// What it made durable.
    pub journal: Vec<Entry>,
    /// Every frame that reached it.
    pub received: Vec<Frame>,
    pub events: Vec<ClientEvent>,
    updates: Vec<Update>,
    /// The units that took part in each training.
    pub drawn: Vec<Vec<usize>>,
}

impl Site {
    pub fn new(plan: &Arc<RunPlan>, i: u8) -> Self {
        let update = |u: u8| Update {
            values: vec![f32::from(i) * 0.02 + f32::from(u) * 0.01; plan.layout().len()],
            examples: 1,
        };
        Self {
            id: identity(i).client_id(),
            engine: engine(plan, i, Vec::new()),
            journal: Vec::new(),
            received: Vec::new(),
            events: Vec::new(),
            updates: vec![update(0), update(1)],
            drawn: Vec::new(),
        }
    }

    /// Polls in the drivers' order, but tries the transmissions first each time: whatever it gives out while an entry still
    /// waits is a fault. Trains when asked to. Returns what leaves.
    pub fn settle(&mut self) -> Vec<Frame> {
        let mut left = Vec::new();
        loop {
            let frame = self.engine.poll_transmit();
            let persist = self.engine.poll_persist();
            let work = if persist.is_none() { self.engine.poll_work() } else { None };
            assert!(frame.is_none() || persist.is_none(), "a frame left while an entry waited to be durable");
            let worked = work.is_some();
            if let Some((work, mut units)) = work {
                let drawn: Vec<usize> = (0..self.updates.len()).filter(|unit| units.takes(*unit)).collect();
                for unit in &drawn {
                    units.add(*unit, &self.updates[*unit]).unwrap();
                }
                self.drawn.push(drawn);
                self.engine.handle_trained(Tick(0), work.round, work.attempt, units).unwrap();
            }
            if frame.is_none() && persist.is_none() && !worked {
                break;
            }
            left.extend(frame);
            self.journal.extend(persist.map(|p| p.entry));
        }
        while let Some(event) = self.engine.poll_event() {
            self.events.push(event);
        }
        left
    }

    /// The first frame of a kind that reached it.
    pub fn got(&self, kind: Kind) -> &Frame {
        self.received.iter().find(|f| f.kind == kind).unwrap()
    }

    pub fn journalled(&self) -> impl Iterator<Item = &JournalEvent> {
        self.journal.iter().map(|e| &e.event)
    }
}

/// Coordinator and clients with what is on its way between them. `sites[i]` is member i + 1.
pub struct Federation {
    pub plan: Arc<RunPlan>,
    pub coordinator: Coordinator,
    pub sites: Vec<Site>,
    pub journal: Vec<Entry>,
    /// What was published, for those that were away.
    pub results: BTreeMap<RoundId, PublishedResult>,
    /// What audits may ask for.
    pub inputs: MemoryJournal,
    pub events: Vec<CoordinatorEvent>,
    pub now: Tick,
    to_coordinator: VecDeque<(usize, Frame)>,
    to_sites: VecDeque<(usize, Frame)>,
}

impl Federation {
    /// Everybody is connected, nothing is delivered.
    pub fn new(plan: &Arc<RunPlan>) -> Self {
        let n = u8::try_from(plan.manifest().len()).unwrap();
        let mut coordinator = Coordinator::new(Arc::clone(plan), identity(100), RUN);
        coordinator.start(Tick(0));
        let mut federation = Self {
            plan: Arc::clone(plan),
            coordinator,
            sites: (1..=n).map(|i| Site::new(plan, i)).collect(),
            journal: Vec::new(),
            results: BTreeMap::new(),
            inputs: MemoryJournal::default(),
            events: Vec::new(),
            now: Tick(0),
            to_coordinator: VecDeque::new(),
            to_sites: VecDeque::new(),
        };
        for site in 0..federation.sites.len() {
            federation.connect(site);
        }
        federation
    }

    pub fn connect(&mut self, site: usize) {
        self.coordinator.handle_connect(self.now, self.sites[site].id);
        self.sites[site].engine.handle_connect(self.now);
        self.settle(site);
    }

    /// What was on its way to or from it is lost.
    pub fn disconnect(&mut self, site: usize) {
        self.to_coordinator.retain(|(s, _)| *s != site);
        self.to_sites.retain(|(s, _)| *s != site);
        self.sites[site].engine.handle_disconnect(self.now);
        self.coordinator.handle_disconnect(self.now, self.sites[site].id);
        self.settle(site);
    }

    /// Polls both sides; what leaves is on its way.
    fn settle(&mut self, site: usize) {
        let left = self.sites[site].settle();
        self.to_coordinator.extend(left.into_iter().map(|frame| (site, frame)));
        for Transmit { to, frame } in self.settle_coordinator() {
            let place = self.sites.iter().position(|s| s.id == to).unwrap();
            self.to_sites.push_back((place, frame));
        }
    }

    /// What the coordinator has to say after time passed is on its way.
    pub fn pump(&mut self) {
        self.settle(0);
    }

    /// As [`Site::settle`].
    pub fn settle_coordinator(&mut self) -> Vec<Transmit> {
        let mut left = Vec::new();
        loop {
            while let Some(kept) = self.coordinator.poll_keep() {
                self.inputs.keep(&kept).unwrap();
            }
            let audit = self.coordinator.poll_audit();
            let recall = self.coordinator.poll_recall();
            let transmit = self.coordinator.poll_transmit();
            let persist = self.coordinator.poll_persist();
            let leaves = transmit.is_some() || recall.is_some() || audit.is_some();
            assert!(!leaves || persist.is_none(), "a frame left while an entry waited to be durable");
            if !leaves && persist.is_none() {
                break;
            }
            if let Some((round, request)) = audit {
                let answer = audit_answer(&self.inputs, round, request).unwrap();
                self.coordinator.handle_audited(answer);
            }
            if let Some(round) = recall {
                self.coordinator.handle_recalled(self.results[&round].bytes().clone());
            }
            left.extend(transmit);
            if let Some(persist) = persist {
                if let (JournalEvent::Published { round, .. }, Some(result)) = (&persist.entry.event, persist.result) {
                    self.results.insert(*round, result);
                }
                self.journal.push(persist.entry);
            }
        }
        while let Some(event) = self.coordinator.poll_event() {
            self.events.push(event);
        }
        left
    }

    /// What the coordinator keeps of a round for audits.
    pub fn inputs_kept(&self, round: RoundId) -> Option<KeptRound> {
        self.inputs.kept_round(round).unwrap()
    }

    /// A client's frame reaches the coordinator.
    pub fn coordinator_gets(&mut self, site: usize, frame: &Frame) -> Result<(), PeerFault> {
        let handled = self.coordinator.handle_frame(self.now, self.sites[site].id, frame);
        self.settle(site);
        handled
    }

    /// A frame of the coordinator reaches a client, which must accept it.
    pub fn site_gets(&mut self, site: usize, frame: &Frame) {
        let client = &mut self.sites[site];
        client.received.push(frame.clone());
        client.engine.handle_frame(self.now, frame).unwrap();
        self.settle(site);
    }

    /// The frame that arrives next at the coordinator from the k-th of those who have one on its way, modulo their number. Frames of one
    /// sender stay in order.
    pub fn next_to_coordinator(&mut self, k: usize) -> Option<(usize, Frame)> {
        let mut senders: Vec<usize> = self.to_coordinator.iter().map(|(site, _)| *site).collect();
        senders.sort_unstable();
        senders.dedup();
        let sender = *senders.get(k.checked_rem(senders.len())?)?;
        let place = self.to_coordinator.iter().position(|(site, _)| *site == sender)?;
        self.to_coordinator.remove(place)
    }

    /// The frame that arrives next at this client.
    pub fn next_to_site(&mut self, site: usize) -> Option<Frame> {
        let place = self.to_sites.iter().position(|(s, _)| *s == site)?;
        self.to_sites.remove(place).map(|(_, frame)| frame)
    }

    /// As [`Self::site_gets`], but it may be refused.
    pub fn try_site_gets(&mut self, site: usize, frame: &Frame) -> Result<(), ProtocolFault> {
        let client = &mut self.sites[site];
        client.received.push(frame.clone());
        let handled = client.engine.handle_frame(self.now, frame);
        self.settle(site);
        handled
    }

    /// The coordinator's next deadline passes, if it has one.
    pub fn pass_deadline(&mut self) {
        if let Some(due) = self.coordinator.poll_timeout() {
            self.now = self.now.max(due);
            self.coordinator.handle_timeout(self.now);
            self.pump();
        }
    }

    /// Delivers everything, whether it is taken or not.
    pub fn deliver_all(&mut self) {
        loop {
            if let Some((site, frame)) = self.next_to_coordinator(0) {
                let _ = self.coordinator_gets(site, &frame);
            } else if let Some(site) = self.to_sites.front().map(|(site, _)| *site) {
                let frame = self.next_to_site(site).unwrap();
                let _ = self.try_site_gets(site, &frame);
            } else {
                return;
            }
        }
    }

    /// Delivers everything but the frames of one kind, until nothing else is on its way. Returns those, undelivered.
    pub fn run_until(&mut self, kind: Kind) -> Vec<(usize, Frame)> {
        self.run_holding(|frame| frame.kind == kind)
    }

    /// Delivers everything, until nothing is on its way.
    pub fn run(&mut self) {
        self.run_holding(|_| false);
    }

    pub fn run_holding(&mut self, hold: impl Fn(&Frame) -> bool) -> Vec<(usize, Frame)> {
        let mut held = Vec::new();
        loop {
            if let Some((site, frame)) = self.to_coordinator.pop_front() {
                if hold(&frame) {
                    held.push((site, frame));
                } else {
                    self.coordinator_gets(site, &frame).unwrap();
                }
            } else if let Some((site, frame)) = self.to_sites.pop_front() {
                if hold(&frame) {
                    held.push((site, frame));
                } else {
                    self.site_gets(site, &frame);
                }
            } else {
                return held;
            }
        }
    }

    pub fn published(&self) -> Vec<RoundRecord> {
        let record = |e: &Entry| {
            if let JournalEvent::Published { record, .. } = &e.event { Some(RoundRecord::clone(record)) } else { None }
        };
        self.journal.iter().filter_map(record).collect()
    }
}
