//! The coordinator's round engine: sans-IO, deterministic given its inputs.
//!
//! A driver feeds `handle_*` and then polls in this fixed order: [`Coordinator::poll_keep`] and [`Coordinator::poll_persist`] until empty
//! (making each durable), [`Coordinator::poll_audit`], [`Coordinator::poll_recall`] and [`Coordinator::poll_transmit`] until all are empty, [`Coordinator::poll_timeout`],
//! [`Coordinator::poll_event`].
//! `poll_transmit` yields nothing while something waits to be persisted: the debit is durable before the unmask request
//! leaves.
mod attempt;
mod publish;
mod resume;

pub use self::resume::Standing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use sottovoce_dp::{Ledger, Reservation};
use sottovoce_secagg::{
    CollectingAdverts, CollectingInputs, CollectingOpenings, CollectingPicks, CollectingShares, CollectingSignatures,
    Identity,
};
use sottovoce_types::{AttemptId, ClientId, FlatParams, RoundId, RoundRecord, RunId, Tick};
use sottovoce_wire::{Decode, Encode, Frame, Kind, Limits};

use crate::audit::{AuditRequest, Keep};
use crate::fault::PeerFault;
use crate::global_model::GlobalModel;
use crate::journal::{JournalEvent, Persist};
use crate::messages::{Hello, Refusal, Welcome, kind_name};
use crate::plan::RunPlan;

/// A frame on its way to a client.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// To whom.
    pub to: ClientId,
    /// What.
    pub frame: Frame,
}

/// What is to leave, in order.
enum Outgoing {
    Frame(Transmit),
    /// The result of an earlier round, for a client that was away. The journal has it.
    Recall {
        to: ClientId,
        round: RoundId,
    },
    /// A part of an audit. The journal has what it takes.
    Audit {
        to: ClientId,
        round: RoundId,
        request: AuditRequest,
    },
}

/// How a run ended.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// All rounds were published.
    Completed,
    /// The next round would exceed the coordinator's budget.
    BudgetExhausted {
        /// The round that was not begun.
        round: RoundId,
    },
    /// The server's step made a model that holds NaN or infinity. It was not published: the last model stays, and the sum that was
    /// opened stays charged.
    ModelDiverged {
        /// The round that could not be published.
        round: RoundId,
    },
    /// Too few clients, in every attempt allowed.
    QuorumLost {
        /// The round that could not be published.
        round: RoundId,
    },
}

/// What the engine tells its surroundings; nothing depends on it.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the domain's words")]
pub enum CoordinatorEvent {
    /// A client greeted with the right plan.
    Joined { client: ClientId },
    /// A client's connection ended.
    Left { client: ClientId },
    /// A client declined an attempt, in its own words.
    Refused { client: ClientId, reason: String },
    /// An attempt began.
    AttemptOpened { round: RoundId, attempt: AttemptId, cohort: u32 },
    /// The ledger's charge changed: an attempt reserved its cost, or gave it back. `epsilon_spent` is that of all `charges` that
    /// stand, at the budget's δ.
    Charged { charges: u64, epsilon_spent: f64 },
    /// A phase of an attempt began, and is waited for so long.
    PhaseOpened { round: RoundId, attempt: AttemptId, phase: &'static str, lasts_ms: u64 },
    /// A phase closed.
    PhaseClosed { round: RoundId, attempt: AttemptId, phase: &'static str, answered: u32, missing: Vec<ClientId> },
    /// The debit is about to be durable, and the unmask request to leave.
    UnmaskRequested { round: RoundId, attempt: AttemptId, survivors: u32 },
    /// A model was published.
    Published { record: Box<RoundRecord> },
    /// An attempt ended without a model.
    AttemptAborted { round: RoundId, attempt: AttemptId, reason: String },
    /// The run is over.
    Finished { outcome: Outcome },
}

/// Where the engine is.
enum Phase {
    /// Before [`Coordinator::start`].
    Idle,
    /// Waiting for members.
    Gathering {
        open_at: Tick,
    },
    Adverts(Box<CollectingAdverts>),
    Picks(Box<CollectingPicks>),
    Shares(Box<CollectingShares>),
    Inputs(Box<CollectingInputs>),
    Signatures(Box<CollectingSignatures>),
    Openings(Box<CollectingOpenings>),
    Done(Outcome),
}

impl Phase {
    fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Gathering { .. } => "gathering",
            Self::Adverts(_) => "adverts",
            Self::Picks(_) => "picks",
            Self::Shares(_) => "shares",
            Self::Inputs(_) => "inputs",
            Self::Signatures(_) => "signatures",
            Self::Openings(_) => "openings",
            Self::Done(_) => "done",
        }
    }
}

/// The coordinator's engine.
pub struct Coordinator {
    plan: Arc<RunPlan>,
    identity: Identity,
    run: RunId,
    ledger: Option<Ledger>,
    reservation: Option<Reservation>,
    model: GlobalModel,
    /// The round that is open or comes next.
    round: RoundId,
    /// The attempt that is open, or was last.
    attempt: AttemptId,
    phase: Phase,
    deadline: Option<Tick>,
    /// Told to stop: nothing is begun any more.
    stopping: bool,
    round_began: Tick,
    /// Connected clients, and whether each has greeted.
    connected: BTreeMap<ClientId, bool>,
    /// Clients that declined or broke this attempt.
    gone: BTreeSet<ClientId>,
    /// Clients that were asked to train in this attempt.
    asked: BTreeSet<ClientId>,
    /// The last round and attempt of this run with a client's masked input.
    last_inputs: BTreeMap<ClientId, (RoundId, AttemptId)>,
    persist: VecDeque<Persist>,
    /// What is to be kept for audits.
    keep: VecDeque<Keep>,
    transmit: VecDeque<Outgoing>,
    events: VecDeque<CoordinatorEvent>,
}

impl Coordinator {
    /// A new run from the plan's initial model.
    pub fn new(plan: Arc<RunPlan>, identity: Identity, run: RunId) -> Self {
        let model = GlobalModel::first(&plan);
        let ledger = plan.budget().map(|budget| Ledger::with_filter(budget, plan.filter()));
        let mut engine = Self::at(plan, identity, run, model, ledger, RoundId(1), AttemptId(0));
        let event = JournalEvent::RunStarted { run, plan: engine.plan.digest(), seed_model: engine.model.digest() };
        let mut begin = Persist::entry(event, engine.ledger.as_ref().map(Ledger::opened));
        begin.checkpoint = Some(engine.params().clone());
        engine.persist.push_back(begin);
        engine
    }

    fn at(
        plan: Arc<RunPlan>,
        identity: Identity,
        run: RunId,
        model: GlobalModel,
        ledger: Option<Ledger>,
        round: RoundId,
        attempt: AttemptId,
    ) -> Self {
        Self {
            plan,
            identity,
            run,
            ledger,
            reservation: None,
            model,
            round,
            attempt,
            phase: Phase::Idle,
            deadline: None,
            stopping: false,
            round_began: Tick(0),
            connected: BTreeMap::new(),
            gone: BTreeSet::new(),
            asked: BTreeSet::new(),
            last_inputs: BTreeMap::new(),
            persist: VecDeque::new(),
            keep: VecDeque::new(),
            transmit: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Begins: members are given the plan's join time to connect.
    pub fn start(&mut self, now: Tick) {
        if matches!(self.phase, Phase::Idle) {
            self.gather(now, now.after_ms(self.plan.spec().deadlines.join_ms));
        }
    }

    /// A client connected; its identity was checked by the transport.
    pub fn handle_connect(&mut self, _now: Tick, client: ClientId) {
        self.connected.insert(client, false);
    }

    /// A client's connection ended.
    pub fn handle_disconnect(&mut self, now: Tick, client: ClientId) {
        if self.connected.remove(&client).is_some() {
            self.events.push_back(CoordinatorEvent::Left { client });
            self.advance(now);
        }
    }

    /// A frame from a connected client.
    ///
    /// # Errors
    /// [`PeerFault`] when it breaks the protocol: the engine's state is as if the frame had not come, and the driver
    /// closes that connection.
    pub fn handle_frame(&mut self, now: Tick, from: ClientId, frame: &Frame) -> Result<(), PeerFault> {
        let what = kind_name(frame.kind);
        match frame.kind {
            Kind::Hello => return self.greet(now, from, &frame.body),
            Kind::Advert
            | Kind::Picks
            | Kind::Shares
            | Kind::MaskedInput
            | Kind::SurvivorSignature
            | Kind::Opening
            | Kind::Abort
            | Kind::WantResult
            | Kind::WantAudit => {}
            _ => return Err(PeerFault::WrongRole(from, what)),
        }
        if self.connected.get(&from) != Some(&true) {
            return Err(PeerFault::NotGreeted(from, what));
        }
        if frame.kind == Kind::WantResult {
            return self.recall(from, frame);
        }
        if frame.kind == Kind::WantAudit {
            return self.show(from, frame);
        }
        if frame.run != self.run || (frame.round, frame.attempt) > (self.round, self.attempt) {
            return Err(PeerFault::WrongAttempt(from, what));
        }
        // An answer to an attempt that is over: late, not wrong.
        if (frame.round, frame.attempt) == (self.round, self.attempt) {
            if frame.kind == Kind::Abort {
                let reason = Refusal::from_bytes(&frame.body).reason;
                // Told once an attempt: a member must not be able to fill a log.
                if self.gone.insert(from) {
                    self.events.push_back(CoordinatorEvent::Refused { client: from, reason });
                }
            } else if !self.gone.contains(&from) {
                self.answer(from, frame)?;
            }
            self.advance(now);
        }
        Ok(())
    }

    /// The time given by [`Self::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Tick) {
        self.advance(now);
    }

    /// Told to stop: begins nothing any more. An attempt that has not been debited is given up, and what it reserved is given
    /// back: nothing was revealed. One that has been is paid for, and goes on to its end, the phase's deadline at the latest.
    /// What is to be durable is polled as ever; [`Self::is_stopped`] says when nothing is open.
    pub fn stop(&mut self, now: Tick) {
        self.stopping = true;
        match self.phase {
            Phase::Adverts(_) | Phase::Picks(_) | Phase::Shares(_) | Phase::Inputs(_) | Phase::Signatures(_) => {
                self.abort_attempt(now, "the coordinator was told to stop");
            }
            Phase::Idle | Phase::Gathering { .. } => self.gather(now, now),
            Phase::Openings(_) | Phase::Done(_) => {}
        }
    }

    /// Whether it was told to stop and no attempt is open any more.
    pub fn is_stopped(&self) -> bool {
        self.stopping && !matches!(self.phase, Phase::Openings(_))
    }

    /// 1. What must be durable before anything below leaves; nothing while [`Self::poll_keep`] has more.
    pub fn poll_persist(&mut self) -> Option<Persist> {
        if self.keep.is_empty() { self.persist.pop_front() } else { None }
    }

    /// 0. What is to be kept for audits ([`crate::Journal::keep`]): before everything else, so that a round that is durable can be
    ///    audited, wherever the process dies.
    pub fn poll_keep(&mut self) -> Option<Keep> {
        self.keep.pop_front()
    }

    /// 2. A published result to be read from the journal ([`crate::Journal::result`]) and given to [`Self::handle_recalled`]; nothing while
    ///    [`Self::poll_persist`] has more, nor before what leaves earlier has left.
    pub fn poll_recall(&self) -> Option<RoundId> {
        match (self.is_kept(), self.transmit.front()) {
            (true, Some(Outgoing::Recall { round, .. })) => Some(*round),
            _ => None,
        }
    }

    /// 2. as well: what a client asks for to audit a sum, to be read from the journal ([`crate::audit_answer`]) and given to
    ///    [`Self::handle_audited`], under the same conditions.
    pub fn poll_audit(&self) -> Option<(RoundId, AuditRequest)> {
        match (self.is_kept(), self.transmit.front()) {
            (true, Some(Outgoing::Audit { round, request, .. })) => Some((*round, *request)),
            _ => None,
        }
    }

    /// The answer that [`Self::poll_audit`] asked for.
    pub fn handle_audited(&mut self, answer: Bytes) {
        if let Some(Outgoing::Audit { to, round, .. }) = self.transmit.front() {
            let frame = Frame { kind: Kind::Audit, run: self.run, round: *round, attempt: AttemptId(0), body: answer };
            let transmit = Transmit { to: *to, frame };
            self.transmit.pop_front();
            self.transmit.push_front(Outgoing::Frame(transmit));
        }
    }

    /// Whether all that must be written is.
    fn is_kept(&self) -> bool {
        self.persist.is_empty() && self.keep.is_empty()
    }

    /// The result that [`Self::poll_recall`] asked for.
    pub fn handle_recalled(&mut self, result: Bytes) {
        if let Some(Outgoing::Recall { to, round }) = self.transmit.front() {
            let frame = Frame { kind: Kind::Result, run: self.run, round: *round, attempt: AttemptId(0), body: result };
            let transmit = Transmit { to: *to, frame };
            self.transmit.pop_front();
            self.transmit.push_front(Outgoing::Frame(transmit));
        }
    }

    /// 3. What leaves; nothing while one of the above has more.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if !self.is_kept() || !matches!(self.transmit.front(), Some(Outgoing::Frame(_))) {
            return None;
        }
        match self.transmit.pop_front() {
            Some(Outgoing::Frame(transmit)) => Some(transmit),
            _ => None,
        }
    }

    /// 4. When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Tick> {
        match self.phase {
            // With too few members the opening time passes in vain: only a greeting or the deadline changes anything.
            Phase::Gathering { open_at } if self.enough_joined() => Some(open_at),
            _ => self.deadline,
        }
    }

    /// 5. What to tell people.
    pub fn poll_event(&mut self) -> Option<CoordinatorEvent> {
        self.events.pop_front()
    }

    /// How the run ended, once it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.phase {
            Phase::Done(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Whether the run is over.
    pub fn is_finished(&self) -> bool {
        self.outcome().is_some()
    }

    /// The current model.
    pub fn params(&self) -> &FlatParams {
        self.model.params()
    }

    /// The run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<RunPlan> {
        &self.plan
    }

    /// The largest frames that may come.
    pub fn limits(&self) -> Limits {
        limits(&self.plan)
    }

    /// The coordinator's own privacy ledger; `None` without DP.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    fn tell_charges(&mut self) {
        if let Some(ledger) = &self.ledger {
            let charges = u64::try_from(ledger.charges()).unwrap_or(u64::MAX);
            let epsilon_spent = ledger.epsilon_spent().upper;
            self.events.push_back(CoordinatorEvent::Charged { charges, epsilon_spent });
        }
    }

    fn greet(&mut self, now: Tick, from: ClientId, body: &[u8]) -> Result<(), PeerFault> {
        if self.plan.manifest().member(&from).is_none() {
            return Err(PeerFault::NotAMember(from));
        }
        let hello = Hello::decode_exact(&(), body).map_err(|source| PeerFault::Malformed {
            client: from,
            what: "Hello",
            source,
        })?;
        let ours = self.plan.digest();
        if hello.plan != ours {
            return Err(PeerFault::DifferentPlan { client: from, theirs: hello.plan, ours });
        }
        self.connected.insert(from, true);
        self.events.push_back(CoordinatorEvent::Joined { client: from });
        let last_input = self.last_inputs.get(&from).copied().unwrap_or_default();
        self.send(from, Kind::Welcome, &Welcome { plan: ours, last_input, published: self.model.rounds() });
        match &self.phase {
            Phase::Done(Outcome::Completed) => self.send_last_model(from),
            // It may still train: the roster is not fixed before the adverts close.
            Phase::Adverts(_) if !self.asked.contains(&from) => self.ask_to_train(from),
            // It reconnected in a later phase of an attempt whose secrets it may have lost: it waits for the next.
            Phase::Adverts(_)
            | Phase::Picks(_)
            | Phase::Shares(_)
            | Phase::Inputs(_)
            | Phase::Signatures(_)
            | Phase::Openings(_)
                if self.asked.contains(&from) =>
            {
                self.gone.insert(from);
            }
            _ => {}
        }
        self.advance(now);
        Ok(())
    }

    /// One result at a time for each client: it asks for the next when it has one.
    fn recall(&mut self, to: ClientId, frame: &Frame) -> Result<(), PeerFault> {
        let round = frame.round;
        if frame.run != self.run || round.0 == 0 || round.0 > self.model.rounds() {
            return Err(PeerFault::WrongAttempt(to, kind_name(frame.kind)));
        }
        if !self.transmit.iter().any(|out| matches!(out, Outgoing::Recall { to: other, .. } if *other == to)) {
            self.transmit.push_back(Outgoing::Recall { to, round });
        }
        Ok(())
    }

    /// One part of an audit at a time for each client, of rounds whose sum is out: what it is shown, the coordinator had from the inputs and
    /// the opening of that sum, and nothing of an attempt that was not opened is ever kept for this.
    fn show(&mut self, to: ClientId, frame: &Frame) -> Result<(), PeerFault> {
        let (what, round) = (kind_name(frame.kind), frame.round);
        if frame.run != self.run || round.0 == 0 || round.0 > self.model.rounds() {
            return Err(PeerFault::WrongAttempt(to, what));
        }
        let request = AuditRequest::decode_exact(&(), &frame.body).map_err(|source| PeerFault::Malformed {
            client: to,
            what,
            source,
        })?;
        if !self.transmit.iter().any(|out| matches!(out, Outgoing::Audit { to: other, .. } if *other == to)) {
            self.transmit.push_back(Outgoing::Audit { to, round, request });
        }
        Ok(())
    }

    /// Clients that are connected, greeted and still in this attempt.
    fn present(&self, client: &ClientId) -> bool {
        self.connected.get(client) == Some(&true) && !self.gone.contains(client)
    }

    fn enough_joined(&self) -> bool {
        self.joined().count() >= usize::try_from(self.plan.spec().n_min).unwrap_or(usize::MAX)
    }

    fn joined(&self) -> impl Iterator<Item = ClientId> + '_ {
        self.connected.iter().filter(|(_, greeted)| **greeted).map(|(&id, _)| id)
    }

    fn send(&mut self, to: ClientId, kind: Kind, message: &impl Encode) {
        self.send_bytes(to, kind, Bytes::from(message.to_bytes()));
    }

    fn send_bytes(&mut self, to: ClientId, kind: Kind, body: Bytes) {
        let frame = Frame { kind, run: self.run, round: self.round, attempt: self.attempt, body };
        self.transmit.push_back(Outgoing::Frame(Transmit { to, frame }));
    }
}

/// The largest frames that either side of a plan may send.
pub(crate) fn limits(plan: &RunPlan) -> Limits {
    let members = usize::try_from(plan.manifest().len()).unwrap_or(usize::MAX);
    let degrees = plan.degrees();
    Limits::new(members, plan.encode().words())
        .with_degrees(degrees.picks, degrees.holders, degrees.dealers)
        .with_kem(plan.spec().key_agreement.is_hybrid())
        .with_layers(usize::try_from(plan.layers_per_client()).unwrap_or(usize::MAX))
}
