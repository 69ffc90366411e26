//! The driver on a virtual clock.
mod faults;

use std::sync::Arc;

use rayon::prelude::*;
use sottovoce_dp::SeededNoise;
use sottovoce_round::{
    ClientEngine, ClientEvent, ClientOutcome, ClientSetup, Coordinator, CoordinatorEvent, Journal, LocalTrainer,
    MemoryJournal, Outcome, RunPlan, UnitSum, Work, audit_answer,
};
use sottovoce_secagg::Identity;
use sottovoce_transcript::{Party, Tap};
use sottovoce_types::{ClientId, FlatParams, RoundRecord, RunId, Sha256Writer, Tick};

use self::faults::take_dropout;
use crate::queue::{Event, Queue};
use crate::script::Script;

/// Milliseconds that a frame is on its way.
const LATENCY_MS: u64 = 5;
/// Milliseconds that local training takes on the virtual clock.
const TRAINING_MS: u64 = 1_000;

/// One simulated client.
pub struct SimClient {
    /// Its identity; the manifest must list it.
    pub identity: Identity,
    /// Its local training.
    pub trainer: Box<dyn LocalTrainer>,
}

/// A federation to be simulated.
pub struct Simulation {
    /// The plan.
    pub plan: Arc<RunPlan>,
    /// The coordinator's identity.
    pub coordinator: Identity,
    /// The clients.
    pub clients: Vec<SimClient>,
    /// What goes wrong.
    pub script: Script,
    /// Keys, shares and noise derive from it: the same seed gives the same bytes.
    pub seed: u64,
}

/// A simulation that cannot run or got stuck.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// A client's engine could not be made.
    #[error("a simulated client cannot start from its journal")]
    Ledger(#[from] sottovoce_dp::LedgerError),
    /// A killed coordinator cannot go on.
    #[error("the coordinator cannot go on from its journal")]
    Resume(#[from] sottovoce_round::ResumeError),
    /// Its checkpoints cannot be read back.
    #[error("the coordinator's journal cannot be read back")]
    Journal(#[from] sottovoce_round::JournalError),
    /// Nothing is left to happen, yet the run is not over.
    #[error("nothing is left to happen at {0:?}, and the run is not over: a bug of the engines")]
    Stuck(Tick),
}

/// What one client did.
#[derive(Clone, Debug)]
pub struct ClientReport {
    /// Who.
    pub id: ClientId,
    /// Its journal.
    pub journal: MemoryJournal,
    /// What it told.
    pub events: Vec<ClientEvent>,
    /// How its part ended, if it did.
    pub outcome: Option<ClientOutcome>,
    /// Faults that it found in the coordinator, in words.
    pub faults: Vec<String>,
    /// Upper end of the ε that it charged itself.
    pub epsilon_spent: Option<f64>,
}

/// What a simulation came to.
#[derive(Debug)]
pub struct SimOutcome {
    /// How the run ended.
    pub outcome: Outcome,
    /// The run.
    pub run: RunId,
    /// One record per published round.
    pub records: Vec<RoundRecord>,
    /// The initial model, then one per published round.
    pub models: Vec<FlatParams>,
    /// The coordinator's journal.
    pub journal: MemoryJournal,
    /// What the coordinator told.
    pub events: Vec<CoordinatorEvent>,
    /// What each client did.
    pub clients: Vec<ClientReport>,
    /// Faults that the coordinator found in clients, in words.
    pub faults: Vec<String>,
}

struct Site {
    id: ClientId,
    /// Of its identity, for its next life.
    seed: [u8; 32],
    engine: ClientEngine,
    trainer: Box<dyn LocalTrainer>,
    journal: MemoryJournal,
    events: Vec<ClientEvent>,
    faults: Vec<String>,
    /// Counts connections: what was under way on an earlier one is lost.
    session: u64,
    connected: bool,
}

struct Driver<'a> {
    queue: Queue,
    coordinator: Coordinator,
    journal: MemoryJournal,
    events: Vec<CoordinatorEvent>,
    faults: Vec<String>,
    sites: Vec<Site>,
    script: Script,
    /// Of the coordinator, for its next life.
    seed: [u8; 32],
    /// Killed, and not started again yet.
    killed: bool,
    works: Vec<(usize, u64, Work, UnitSum)>,
    tap: &'a mut dyn Tap,
    observe: &'a mut dyn FnMut(&CoordinatorEvent),
}

/// What one simulated client draws from. Whoever knows a simulation's seed knows these: never for a deployment.
#[derive(Clone, Copy)]
pub struct ClientSeeds {
    /// For [`SeededNoise`].
    pub noise: [u8; 32],
    /// For keys and shares.
    pub keys: [u8; 32],
}

/// The seeds of the client at place `i`, so that another driver can run the same federation to the same bytes.
pub fn client_seeds(seed: u64, i: u64) -> ClientSeeds {
    ClientSeeds { noise: derive("sottovoce/1/sim/noise", seed, i), keys: derive("sottovoce/1/sim/keys", seed, i) }
}

/// The run that a simulation of this seed is.
pub fn run_id(seed: u64) -> RunId {
    let mut run = [0u8; 16];
    run.copy_from_slice(&derive("sottovoce/1/sim/run", seed, 0)[..16]);
    RunId(run)
}

fn derive(what: &str, seed: u64, i: u64) -> [u8; 32] {
    Sha256Writer::new(what).number(seed).number(i).finish().0
}

impl Simulation {
    /// Runs to the end on the virtual clock. `observe` hears the coordinator's events as they happen.
    ///
    /// # Errors
    /// [`SimError`].
    pub fn run(self, tap: &mut dyn Tap, observe: &mut dyn FnMut(&CoordinatorEvent)) -> Result<SimOutcome, SimError> {
        let mut sites = Vec::new();
        for (i, client) in self.clients.into_iter().enumerate() {
            let id = client.identity.client_id();
            let seed = *client.identity.seed();
            let seeds = client_seeds(self.seed, i as u64);
            let engine = ClientEngine::new(ClientSetup {
                plan: self.plan.clone(),
                identity: client.identity,
                noise: Box::new(SeededNoise::new(seeds.noise)),
                seed: seeds.keys,
                history: Vec::new(),
                allow_plain: true,
            })?;
            let journal = MemoryJournal::default();
            let (events, faults) = (Vec::new(), Vec::new());
            sites.push(Site {
                id,
                seed,
                engine,
                trainer: client.trainer,
                journal,
                events,
                faults,
                session: 0,
                connected: false,
            });
        }
        let initial = self.plan.initial_params();
        let seed = *self.coordinator.seed();
        let mut driver = Driver {
            queue: Queue::default(),
            coordinator: Coordinator::new(self.plan, self.coordinator, run_id(self.seed)),
            journal: MemoryJournal::default(),
            events: Vec::new(),
            faults: Vec::new(),
            sites,
            script: self.script,
            seed,
            killed: false,
            works: Vec::new(),
            tap,
            observe,
        };
        driver.drive()?;
        Ok(driver.finish(initial))
    }
}

impl Driver<'_> {
    fn drive(&mut self) -> Result<(), SimError> {
        for client in 0..self.sites.len() {
            self.queue.schedule(Tick(0), Event::Connect { client });
        }
        let mut now = Tick(0);
        self.coordinator.start(now);
        self.pump_coordinator(now);
        // A timer that was heeded and changed nothing: not heeded again before something else happens.
        let mut heeded: Option<Tick> = None;
        // After the end, frames under way are still delivered: clients learn the last model.
        loop {
            let timer = self.coordinator.poll_timeout().filter(|t| heeded != Some(*t));
            let next = match (self.queue.next_tick(), timer) {
                (Some(event), Some(timer)) => event.min(timer.max(now)),
                (Some(event), None) => event,
                (None, Some(timer)) => timer.max(now),
                (None, None) if self.coordinator.is_finished() => return Ok(()),
                (None, None) => return Err(SimError::Stuck(now)),
            };
            now = next;
            while let Some(event) = self.queue.pop_at(now) {
                heeded = None;
                self.dispatch(now, event)?;
            }
            if timer.is_some_and(|t| t <= now) {
                self.coordinator.handle_timeout(now);
                self.pump_coordinator(now);
                heeded = timer;
            }
            self.train(now);
            if self.killed {
                self.restart(now)?;
            }
        }
    }

    fn dispatch(&mut self, now: Tick, event: Event) -> Result<(), SimError> {
        match event {
            Event::Connect { client } => {
                if self.script.forgetful.contains(&client) && self.sites[client].session > 0 {
                    self.renew(client)?;
                }
                let site = &mut self.sites[client];
                site.session += 1;
                site.connected = true;
                self.coordinator.handle_connect(now, site.id);
                site.engine.handle_connect(now);
                self.pump_coordinator(now);
                self.pump_client(now, client);
            }
            Event::ToCoordinator { client, session, frame } => {
                let site = &self.sites[client];
                if !site.connected || site.session != session {
                    return Ok(());
                }
                let id = site.id;
                if let Err(fault) = self.coordinator.handle_frame(now, id, &frame) {
                    self.faults.push(fault.to_string());
                    self.disconnect(now, client);
                }
                self.pump_coordinator(now);
            }
            Event::ToClient { client, session, frame } => {
                let site = &mut self.sites[client];
                if !site.connected || site.session != session {
                    return Ok(());
                }
                let gone = self.drops_at_config(now, client, &frame);
                let site = &mut self.sites[client];
                if gone {
                    return Ok(());
                }
                if let Err(fault) = site.engine.handle_frame(now, &frame) {
                    site.faults.push(fault.to_string());
                }
                self.pump_client(now, client);
            }
            Event::Disconnect { client, session } => {
                if self.sites[client].session == session {
                    self.disconnect(now, client);
                }
            }
            Event::Trained { client, session, work, units } => {
                let site = &mut self.sites[client];
                if site.session != session || !site.connected {
                    return Ok(());
                }
                match *units {
                    Ok(units) => {
                        if let Err(fault) = site.engine.handle_trained(now, work.round, work.attempt, units) {
                            site.faults.push(fault.to_string());
                        }
                    }
                    Err(failed) => site.engine.handle_work_failed(now, work.round, work.attempt, &failed),
                }
                self.pump_client(now, client);
            }
        }
        Ok(())
    }

    fn disconnect(&mut self, now: Tick, client: usize) {
        let site = &mut self.sites[client];
        if !site.connected {
            return;
        }
        site.connected = false;
        site.engine.handle_disconnect(now);
        let id = site.id;
        self.coordinator.handle_disconnect(now, id);
        self.pump_coordinator(now);
    }

    /// keep, persist, transmit, event: in this order, each until empty.
    fn pump_coordinator(&mut self, now: Tick) {
        while let Some(kept) = self.coordinator.poll_keep() {
            self.journal.keep(&kept).expect("memory does not fail");
        }
        while !self.killed
            && let Some(persist) = self.coordinator.poll_persist()
        {
            self.journal.append(&persist).expect("memory does not fail");
            if self.script.kills.first() == Some(&self.journal.entries().len()) {
                self.script.kills.remove(0);
                self.killed = true;
            }
        }
        if self.killed {
            return;
        }
        loop {
            if let Some((round, request)) = self.coordinator.poll_audit() {
                let answer = audit_answer(&self.journal, round, request).expect("memory does not fail");
                self.coordinator.handle_audited(answer);
            }
            if let Some(round) = self.coordinator.poll_recall() {
                let result = self.journal.result(round).expect("memory keeps what was published");
                self.coordinator.handle_recalled(result.bytes().clone());
            }
            let Some(transmit) = self.coordinator.poll_transmit() else { break };
            self.tap.record(now, Party::Coordinator, Party::Client(transmit.to), &transmit.frame);
            if let Some(client) = self.sites.iter().position(|s| s.id == transmit.to) {
                let session = self.sites[client].session;
                let event = Event::ToClient { client, session, frame: transmit.frame };
                self.queue.schedule(now.after_ms(LATENCY_MS), event);
            }
        }
        while let Some(event) = self.coordinator.poll_event() {
            (self.observe)(&event);
            self.events.push(event);
        }
    }

    fn pump_client(&mut self, now: Tick, client: usize) {
        let site = &mut self.sites[client];
        while let Some(persist) = site.engine.poll_persist() {
            site.journal.append(&persist).expect("memory does not fail");
        }
        let mut vanish = None;
        while let Some(frame) = site.engine.poll_transmit() {
            self.tap.record(now, Party::Client(site.id), Party::Coordinator, &frame);
            vanish = vanish.or(take_dropout(&mut self.script, client, &frame));
            let event = Event::ToCoordinator { client, session: site.session, frame };
            self.queue.schedule(now.after_ms(LATENCY_MS), event);
        }
        if let Some((work, units)) = site.engine.poll_work() {
            self.works.push((client, site.session, work, units));
        }
        while let Some(event) = site.engine.poll_event() {
            site.events.push(event);
        }
        if let Some(back_after_ms) = vanish {
            // After the frame itself has arrived.
            let session = site.session;
            let gone_at = now.after_ms(LATENCY_MS);
            self.queue.schedule(gone_at, Event::Disconnect { client, session });
            self.come_back(gone_at, client, back_after_ms);
        }
    }

    /// Trains all clients that were asked in this tick, in parallel: each has its own trainer, so the order is nobody's.
    fn train(&mut self, now: Tick) {
        let works = std::mem::take(&mut self.works);
        if works.is_empty() {
            return;
        }
        let mut slots: Vec<Option<(u64, Work, UnitSum)>> = self.sites.iter().map(|_| None).collect();
        for (client, session, work, units) in works {
            slots[client] = Some((session, work, units));
        }
        let done: Vec<_> = self
            .sites
            .par_iter_mut()
            .zip(slots)
            .enumerate()
            .filter_map(|(client, (site, slot))| {
                let (session, work, mut units) = slot?;
                let units = site.trainer.train(&work, &mut units).map(|()| units);
                Some((client, session, work, units))
            })
            .collect();
        for (client, session, work, units) in done {
            let event = Event::Trained { client, session, work: Box::new(work), units: Box::new(units) };
            self.queue.schedule(now.after_ms(TRAINING_MS), event);
        }
    }

    fn finish(self, initial: FlatParams) -> SimOutcome {
        let mut models = vec![initial];
        let mut records = Vec::new();
        for entry in self.journal.entries() {
            if let sottovoce_round::JournalEvent::Published { model, record, .. } = &entry.event {
                records.push((**record).clone());
                models.extend(self.journal.checkpoints().get(model).cloned());
            }
        }
        let clients = self
            .sites
            .into_iter()
            .map(|s| ClientReport {
                id: s.id,
                outcome: s.engine.outcome().cloned(),
                epsilon_spent: s.engine.ledger().map(|l| l.epsilon_spent().upper),
                journal: s.journal,
                events: s.events,
                faults: s.faults,
            })
            .collect();
        SimOutcome {
            outcome: self.coordinator.outcome().cloned().unwrap_or(Outcome::Completed),
            run: self.coordinator.run(),
            records,
            models,
            journal: self.journal,
            events: self.events,
            clients,
            faults: self.faults,
        }
    }
}
