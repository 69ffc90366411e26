//! A client's round engine: sans-IO, deterministic given its inputs, and the only judge of what this site reveals.
//!
//! It trusts neither the coordinator nor the network: it answers at most one survivor set per attempt, ever; it keeps its
//! own ledger and stops by itself; it trains only from the model that must follow.
//!
//! A driver feeds `handle_*`, then polls `persist` (all, durably), `transmit`, `work`, `timeout`, `event`.
mod auditing;
mod cap;
mod follow;
mod memory;
mod privatise;
mod steps;
mod units;

pub use self::cap::Declined;
pub use self::units::{UnitRefused, UnitSum, WEIGHT_CAP_EXAMPLES};

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sottovoce_dp::sampling::{Sample, SamplingCertificate};
use sottovoce_dp::{Ledger, LedgerError, NoiseSource};
use sottovoce_encode::SiteSum;
use sottovoce_secagg::{Advertised, CheckedQuorum, Consistent, Identity, Picked, Shared, Submitted};
use sottovoce_types::{AttemptId, ClientId, Digest, Epsilon, FlatParams, RoundId, RunId, Tick};
use sottovoce_wire::{Encode, Frame, Kind, Limits};

use crate::chain::ModelChain;
use crate::client::auditing::Auditing;
use crate::client::memory::Memory;
use crate::evidence::Evidence;
use crate::fault::ProtocolFault;
use crate::journal::{Entry, Persist};
use crate::messages::{Hello, Refusal};
use crate::plan::RunPlan;
use crate::receipt::SignedReceipt;
use crate::session::LedgerPoint;
use crate::statement::{ConfigStatement, Heard, Signed};
use crate::terms::RoundTerms;
use crate::work::{TrainFailed, Work};

/// How a client's part in a run ended.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum ClientOutcome {
    /// The run is over, and the last model is here.
    Completed,
    /// The next round would exceed this site's own budget.
    BudgetExhausted {
        /// The round that it declined.
        round: RoundId,
        /// Why, in numbers.
        why: Declined,
    },
}

/// What the engine tells its surroundings.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the domain's words")]
pub enum ClientEvent {
    /// The coordinator greeted with the same plan.
    Welcomed { run: RunId },
    /// Local training begins.
    Training { round: RoundId, attempt: AttemptId },
    /// The masked input is about to leave: from here on this site counts its cost as spent.
    InputSent { round: RoundId, attempt: AttemptId, epsilon_spent: Option<f64> },
    /// This survivor set is about to be signed.
    SurvivorsSigned { round: RoundId, attempt: AttemptId, survivors: Digest },
    /// Shares for this survivor set are about to leave.
    Opening { round: RoundId, attempt: AttemptId, survivors: Digest },
    /// What this site says of the noise in the sum that it is about to open: for whoever asks.
    Receipt { receipt: Box<SignedReceipt> },
    /// So many chunks of the round's sum are the sums of the inputs that their owners signed.
    Audited { round: RoundId, chunks: u32 },
    /// The round was published.
    RoundEnded { round: RoundId, model: Digest },
    /// Local training failed, for this reason; this site sits the attempt out, and nothing of its data was sent.
    SatOut { round: RoundId, attempt: AttemptId, reason: String },
    /// The coordinator said this under its signature: to be kept, and compared with what other sites heard.
    Heard { statement: Heard },
    /// The coordinator said what it cannot honestly have said: evidence that a third party can check, to be kept.
    Caught { evidence: Box<Evidence> },
    /// The part of this client is over.
    Finished { outcome: ClientOutcome },
}

/// What an attempt begins from.
struct Origin {
    terms: RoundTerms,
    /// Digest of the model and the terms.
    begins: Digest,
    /// cfg of the attempt.
    cfg: Digest,
    /// The units that take part.
    sample: Sample,
    /// How they were drawn; spent when the input leaves.
    certificate: Option<SamplingCertificate>,
}

enum State {
    Offline,
    Greeting,
    Idle,
    Training,
    Advertised(Box<Advertised>),
    Picked(Box<Picked>),
    Shared(Box<Shared>),
    Submitted(Box<Submitted>),
    Consistent(Box<Consistent>),
    /// Opened, or sat out: nothing more in this attempt.
    Spent,
    Done(ClientOutcome),
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Offline => "it is not connected",
            Self::Greeting => "it waits for the greeting",
            Self::Idle => "it waits for a round",
            Self::Training => "it is training",
            Self::Advertised(_) => "it waits for the roster",
            Self::Picked(_) => "it picked its neighbours and waits for the graph",
            Self::Shared(_) => "it waits for its envelopes",
            Self::Submitted(_) => "it waits for the survivor set",
            Self::Consistent(_) => "it signed a survivor set and waits for the quorum",
            Self::Spent => "it has answered the last phase of this attempt",
            Self::Done(_) => "its run is over",
        }
    }
}

/// What a client engine is made of.
pub struct ClientSetup {
    /// The plan that this site agreed to.
    pub plan: Arc<RunPlan>,
    /// This site's identity.
    pub identity: Identity,
    /// Where noise comes from: the operating system in deployment.
    pub noise: Box<dyn NoiseSource + Send>,
    /// Seed of keys and shares: fresh from the operating system in deployment, after a restart too.
    pub seed: [u8; 32],
    /// This site's journal, oldest first.
    pub history: Vec<Entry>,
    /// Whether inputs may leave unmasked. Only a simulation's control may ever say so.
    pub allow_plain: bool,
}

/// A client's engine.
pub struct ClientEngine {
    plan: Arc<RunPlan>,
    identity: Identity,
    noise: Box<dyn NoiseSource + Send>,
    rng: ChaCha20Rng,
    allow_plain: bool,
    ledger: Option<Ledger>,
    /// This site's own cap on ε, where it is lower than the plan's budget.
    cap: Option<Epsilon>,
    /// Whether the journal's ledger has a beginning. Where not, its budget goes on record with the first attempt joined, so
    /// that it can be read, and is held to, without the plan.
    ledger_begun: bool,
    memory: Memory,
    state: State,
    run: Option<RunId>,
    /// The attempt that is open.
    point: Option<LedgerPoint>,
    /// The rounds of the run so far, and the only model that the next may begin from.
    chain: ModelChain,
    /// Rounds that the coordinator says are published.
    published: u64,
    /// The result that this client has asked for.
    wanted: Option<RoundId>,
    /// What has to wait until this client has the results before it: a config, or the end.
    held: Option<Frame>,
    /// Sums whose audit is under way or waits, oldest first.
    audits: VecDeque<Auditing>,
    /// Trained, and not advertised before the last sum is found right.
    advert_waits: bool,
    /// What it said of the last attempt that this client joined.
    config: Option<Signed<ConfigStatement>>,
    /// The quorum of each round's attempt that this client opened its shares for.
    opened: BTreeMap<LedgerPoint, CheckedQuorum>,
    /// The sum trained from a model, kept for a further attempt at the same round: each attempt adds noise of its own.
    trained: Option<(RoundId, Digest, SiteSum)>,
    /// What the open attempt begins from.
    origin: Option<Origin>,
    /// SCAFFOLD's c_i, `[d]`; `None` before the first training, and after a restart.
    control: Option<Vec<f32>>,
    persist: VecDeque<Persist>,
    transmit: VecDeque<Frame>,
    work: Option<Work>,
    events: VecDeque<ClientEvent>,
}

impl ClientEngine {
    /// An engine that remembers what its journal remembers.
    ///
    /// # Errors
    /// [`LedgerError`] when the journal's ledger contradicts itself, was opened with another budget, or would be mixed with
    /// releases without differential privacy.
    pub fn new(setup: ClientSetup) -> Result<Self, LedgerError> {
        Self::capped(setup, None)
    }

    /// The same with a cap of the site's own on ε, beside the plan's budget: the lower of the two holds. It is no part of the plan, and nobody
    /// else is told. Without DP there is no ε below any cap, and a cap is refused.
    ///
    /// # Errors
    /// As [`ClientEngine::new`]; [`LedgerError::CapWithoutPrivacy`]; and a cap that a ledger was begun under stays.
    pub fn capped(setup: ClientSetup, cap: Option<Epsilon>) -> Result<Self, LedgerError> {
        let ledger = cap::ledger(&setup, cap)?;
        Ok(Self {
            cap: cap::below(&setup.plan, cap),
            ledger_begun: setup.history.iter().any(|e| e.ledger.is_some()),
            memory: Memory::of(&setup.history),
            chain: ModelChain::new(Arc::clone(&setup.plan), RunId([0; 16])),
            plan: setup.plan,
            identity: setup.identity,
            noise: setup.noise,
            rng: ChaCha20Rng::from_seed(setup.seed),
            allow_plain: setup.allow_plain,
            ledger,
            state: State::Offline,
            run: None,
            point: None,
            published: 0,
            wanted: None,
            held: None,
            audits: VecDeque::new(),
            advert_waits: false,
            config: None,
            opened: BTreeMap::new(),
            trained: None,
            origin: None,
            control: None,
            persist: VecDeque::new(),
            transmit: VecDeque::new(),
            work: None,
            events: VecDeque::new(),
        })
    }

    /// The connection to the coordinator stands; its identity was checked by the transport.
    pub fn handle_connect(&mut self, _now: Tick) {
        if matches!(self.state, State::Done(_)) {
            return;
        }
        self.forget_attempt();
        self.state = State::Greeting;
        self.held = None;
        self.wanted = None;
        let hello = Hello { plan: self.plan.digest() };
        let frame = Frame {
            kind: Kind::Hello,
            run: RunId([0; 16]),
            round: RoundId(0),
            attempt: AttemptId(0),
            body: Bytes::from(hello.to_bytes()),
        };
        self.transmit.push_back(frame);
    }

    /// The connection ended. Secrets of an open attempt are dropped: it is never resumed.
    pub fn handle_disconnect(&mut self, _now: Tick) {
        self.forget_attempt();
        self.transmit.clear();
        if !matches!(self.state, State::Done(_)) {
            self.state = State::Offline;
        }
    }

    /// A frame from the coordinator.
    ///
    /// # Errors
    /// [`ProtocolFault`] when it asks for what this client never does: the open attempt is dropped, a refusal is queued,
    /// and the driver closes the connection after sending it.
    pub fn handle_frame(&mut self, now: Tick, frame: &Frame) -> Result<(), ProtocolFault> {
        let handled = self.step(now, frame);
        if let Err(fault) = &handled {
            self.refuse(&fault.to_string());
            self.forget_attempt();
            if !matches!(self.state, State::Done(_) | State::Offline | State::Greeting) {
                self.state = State::Idle;
            }
        }
        handled
    }

    /// Local training is done, and every unit's update is in `units`, which came with the work.
    ///
    /// # Errors
    /// [`ProtocolFault::Privatise`] when `units` refused an update and the trainer went on all the same: nothing is sent.
    pub fn handle_trained(
        &mut self,
        _now: Tick,
        round: RoundId,
        attempt: AttemptId,
        units: UnitSum,
    ) -> Result<(), ProtocolFault> {
        if !self.is_open(round, attempt) || !matches!(self.state, State::Training) {
            return Ok(());
        }
        let Some(begins) = self.origin.as_ref().map(|o| o.begins) else { return Ok(()) };
        if let Some(control) = units.control() {
            self.control = Some(control.to_vec());
        }
        let advertised = units.into_site_sum().map_err(privatise::privatise_fault).and_then(|sum| {
            self.trained = Some((round, begins, sum));
            self.advertise()
        });
        if let Err(fault) = &advertised {
            self.refuse(&fault.to_string());
            let reason = std::error::Error::source(fault).map_or_else(|| fault.to_string(), ToString::to_string);
            self.events.push_back(ClientEvent::SatOut { round, attempt, reason });
            self.forget_attempt();
            self.state = State::Spent;
        }
        advertised
    }

    /// Local training failed: this site sits the attempt out and says so, without data.
    ///
    /// For causes that are the same whatever the data. One that is not, such as a unit that diverged, must not show: its
    /// update is zero ([`UnitSum`]).
    pub fn handle_work_failed(&mut self, _now: Tick, round: RoundId, attempt: AttemptId, failed: &TrainFailed) {
        if self.is_open(round, attempt) {
            self.refuse("local training failed");
            // For this site's people alone: the coordinator is told nothing that the cause may say of the data.
            let reason = failed.0.to_string();
            self.events.push_back(ClientEvent::SatOut { round, attempt, reason });
            self.forget_attempt();
            self.state = State::Spent;
        }
    }

    /// 1. What must be durable before anything below leaves.
    pub fn poll_persist(&mut self) -> Option<Persist> {
        self.persist.pop_front()
    }

    /// 2. What leaves; nothing while [`Self::poll_persist`] has more.
    pub fn poll_transmit(&mut self) -> Option<Frame> {
        if self.persist.is_empty() { self.transmit.pop_front() } else { None }
    }

    /// Local training to be done, and what its updates go into; nothing while [`Self::poll_persist`] has more.
    pub fn poll_work(&mut self) -> Option<(Work, UnitSum)> {
        if !self.persist.is_empty() {
            return None;
        }
        let work = self.work.take()?;
        let terms = &self.origin.as_ref()?.terms;
        let path = self.plan.local_path(work.round.0);
        let sample = self.origin.as_ref()?.sample.clone();
        let units = UnitSum::new(&self.plan, &self.id(), work.round, terms)
            .of_sample(sample)
            .correcting(work.correction.clone(), path);
        Some((work, units))
    }

    /// 3. When to call back. A client has no deadlines of its own; the transport's idle timeout ends a dead connection.
    pub fn poll_timeout(&self) -> Option<Tick> {
        None
    }

    /// 4. What to tell people.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// How this client's part ended, once it has.
    pub fn outcome(&self) -> Option<&ClientOutcome> {
        match &self.state {
            State::Done(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Whether this client's part is over.
    pub fn is_finished(&self) -> bool {
        self.outcome().is_some()
    }

    /// The last model of a completed run.
    pub fn last_model(&self) -> Option<&FlatParams> {
        matches!(self.state, State::Done(ClientOutcome::Completed)).then(|| self.chain.params())
    }

    /// This site's own ledger; `None` without DP.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// This client's id.
    pub fn id(&self) -> ClientId {
        self.identity.client_id()
    }

    /// The largest frames that may come.
    pub fn limits(&self) -> Limits {
        crate::coordinator::limits(&self.plan)
    }

    fn is_open(&self, round: RoundId, attempt: AttemptId) -> bool {
        self.point.is_some_and(|p| p.round == round && p.attempt == attempt)
    }

    /// Drops the open attempt; its secrets are zeroised by their types.
    fn forget_attempt(&mut self) {
        self.work = None;
        self.point = None;
        self.advert_waits = false;
        if !matches!(self.state, State::Done(_) | State::Offline | State::Greeting) {
            self.state = State::Idle;
        }
    }

    fn refuse(&mut self, reason: &str) {
        let refusal = Refusal { reason: reason.to_owned() };
        self.send(Kind::Abort, &refusal);
    }

    fn send(&mut self, kind: Kind, message: &impl Encode) {
        let point = self.point.unwrap_or(LedgerPoint {
            run: self.run.unwrap_or(RunId([0; 16])),
            round: RoundId(0),
            attempt: AttemptId(0),
        });
        let body = Bytes::from(message.to_bytes());
        self.transmit.push_back(Frame { kind, run: point.run, round: point.round, attempt: point.attempt, body });
    }
}
