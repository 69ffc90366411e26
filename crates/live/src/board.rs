//! The state of a run as far as it may be shown.
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use sottovoce_round::{CoordinatorEvent, Deadlines, MAX_REASON, Outcome, RunPlan};
use sottovoce_types::{AttemptId, ClientId, Digest, RoundId, RoundRecord, RunId, Unit};

/// The phases that an attempt can have, in order.
pub const PHASES: [&str; 6] = ["adverts", "picks", "shares", "inputs", "signatures", "openings"];

/// Rounds that are kept; the run directory has all of them.
const MOST_ROUNDS: usize = 2_000;

/// Attempts given up, and refusals, that are kept.
const MOST_TROUBLES: usize = 50;

/// What does not change in a run.
#[derive(Clone, PartialEq, Debug)]
pub struct About {
    /// The run.
    pub run: RunId,
    /// Its name in the config.
    pub name: String,
    /// The federation's name in the manifest.
    pub federation: String,
    /// What every party agreed on.
    pub plan: Digest,
    /// What neighbouring data sets differ by.
    pub unit: Unit,
    /// Rounds planned.
    pub rounds: u64,
    /// Members needed for an attempt.
    pub n_min: u32,
    /// How long is waited.
    pub deadlines: Deadlines,
    /// The cap on ε, and δ; `None` without DP.
    pub budget: Option<(f64, f64)>,
    /// Members and their names.
    pub members: Vec<(ClientId, String)>,
}

impl About {
    /// Of a run under this plan.
    pub fn of(plan: &RunPlan, run: RunId) -> Self {
        let manifest = plan.manifest();
        let name = |id: &ClientId| manifest.member(id).map_or_else(|| id.to_string(), |m| clean(&m.name));
        Self {
            run,
            name: clean(&plan.spec().name),
            federation: clean(manifest.federation()),
            plan: plan.digest(),
            unit: plan.spec().unit,
            rounds: plan.spec().rounds,
            n_min: plan.spec().n_min,
            deadlines: plan.spec().deadlines,
            budget: plan.budget().map(|b| (b.epsilon.value(), b.delta.value())),
            members: manifest.keys().keys().map(|id| (*id, name(id))).collect(),
        }
    }
}

/// Where a member is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// Not connected.
    Away,
    /// Connected and greeted.
    Present,
}

/// Why a member is out of the attempt that is open, or was last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absence {
    /// It declined.
    Declined,
    /// Its connection ended. Where it came back it may have lost the attempt's secrets, and waits for the next.
    Left,
    /// This phase closed while it was still connected, and without it.
    Late(&'static str),
}

/// What may be shown of a member.
#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    /// Its name in the manifest.
    pub name: String,
    /// Whether it is connected.
    pub presence: Presence,
    /// Whether it is out of the attempt.
    pub absence: Option<Absence>,
    /// Phases that closed without it while it was connected, since the coordinator started.
    pub late: u64,
    /// Attempts that it declined, since the coordinator started.
    pub declined: u64,
}

/// A phase that closed.
#[derive(Clone, PartialEq, Debug)]
pub struct ClosedPhase {
    /// Which.
    pub phase: &'static str,
    /// Clients that answered.
    pub answered: u32,
    /// Those whose answer was still owed.
    pub missing: Vec<ClientId>,
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenPhase {
    /// One of [`PHASES`]; `gathering` while members are waited for.
    pub phase: &'static str,
    /// When it began, in milliseconds since 1970.
    pub since_ms: u64,
    /// When it closes at the latest, in milliseconds since 1970.
    pub closes_ms: u64,
}

/// The attempt that is open, or was last.
#[derive(Clone, PartialEq, Debug)]
pub struct Attempt {
    /// Its round.
    pub round: RoundId,
    /// Which attempt at it.
    pub attempt: AttemptId,
    /// Clients that were asked to train.
    pub cohort: u32,
    /// Phases that closed.
    pub closed: Vec<ClosedPhase>,
    /// Whether its cost is spent whatever happens next.
    pub debited: bool,
}

/// An attempt that ended without a model.
#[derive(Clone, PartialEq, Debug)]
pub struct GivenUp {
    /// Its round.
    pub round: RoundId,
    /// Which attempt at it.
    pub attempt: AttemptId,
    /// Why.
    pub reason: String,
    /// When, in milliseconds since 1970; `None` where only the journal tells of it.
    pub at_ms: Option<u64>,
}

/// A member that declined an attempt.
#[derive(Clone, PartialEq, Debug)]
pub struct Refused {
    /// Who.
    pub client: ClientId,
    /// The attempt's round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: AttemptId,
    /// Its own words: from another machine, and never to be shown unescaped.
    pub reason: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// Where a run stands, as far as it may be shown. Its memory is bounded by the number of members, whatever they send.
#[derive(Clone, PartialEq, Debug)]
pub struct Board {
    pub(crate) about: Arc<About>,
    pub(crate) started_ms: u64,
    pub(crate) members: BTreeMap<ClientId, Member>,
    pub(crate) open: Option<OpenPhase>,
    pub(crate) attempt: Option<Attempt>,
    pub(crate) outcome: Option<String>,
    /// Newest last.
    pub(crate) rounds: VecDeque<RoundRecord>,
    pub(crate) published: u64,
    pub(crate) attempts: u64,
    /// Newest last.
    pub(crate) given_up: VecDeque<GivenUp>,
    pub(crate) given_up_total: u64,
    /// Newest last.
    pub(crate) refused: VecDeque<Refused>,
    pub(crate) refused_total: u64,
    pub(crate) late_total: u64,
    pub(crate) charges: u64,
    pub(crate) epsilon_spent: f64,
}

impl Board {
    /// A run of which nothing has happened yet: members are waited for, from now on.
    pub fn new(about: About, now_ms: u64) -> Self {
        let member = |(id, name): &(ClientId, String)| {
            let name = name.clone();
            (*id, Member { name, presence: Presence::Away, absence: None, late: 0, declined: 0 })
        };
        let mut board = Self {
            started_ms: now_ms,
            members: about.members.iter().map(member).collect(),
            about: Arc::new(about),
            open: None,
            attempt: None,
            outcome: None,
            rounds: VecDeque::new(),
            published: 0,
            attempts: 0,
            given_up: VecDeque::new(),
            given_up_total: 0,
            refused: VecDeque::new(),
            refused_total: 0,
            late_total: 0,
            charges: 0,
            epsilon_spent: 0.0,
        };
        board.gather(now_ms);
        board
    }

    /// Folds one event in.
    pub fn apply(&mut self, event: &CoordinatorEvent, now_ms: u64) {
        match event {
            CoordinatorEvent::Joined { client } => self.presence(*client, Presence::Present),
            CoordinatorEvent::Left { client } => self.left(*client),
            CoordinatorEvent::Refused { client, reason } => self.declined(*client, reason, now_ms),
            CoordinatorEvent::AttemptOpened { round, attempt, cohort } => {
                self.attempts = self.attempts.saturating_add(1);
                self.members.values_mut().for_each(|m| m.absence = None);
                let (closed, debited) = (Vec::new(), false);
                self.attempt = Some(Attempt { round: *round, attempt: *attempt, cohort: *cohort, closed, debited });
                self.open = None;
            }
            CoordinatorEvent::PhaseOpened { phase, lasts_ms, .. } => {
                self.open = Some(phase_until(phase, now_ms, *lasts_ms));
            }
            CoordinatorEvent::Charged { charges, epsilon_spent } => self.charged(*charges, *epsilon_spent),
            CoordinatorEvent::PhaseClosed { phase, answered, missing, .. } => {
                self.closed(phase, *answered, missing);
            }
            CoordinatorEvent::UnmaskRequested { .. } => {
                if let Some(attempt) = &mut self.attempt {
                    attempt.debited = true;
                }
            }
            CoordinatorEvent::Published { record } => {
                self.published(record);
                self.gather(now_ms);
            }
            CoordinatorEvent::AttemptAborted { round, attempt, reason } => {
                self.gave_up(*round, *attempt, reason, Some(now_ms));
                self.gather(now_ms);
            }
            CoordinatorEvent::Finished { outcome } => self.finished(outcome_words(outcome)),
            // An event of a later engine: nothing of it is shown before somebody decided what may be.
            _ => {}
        }
    }

    /// What the ledger holds, where no event told it: at a restart.
    pub fn charged(&mut self, charges: u64, epsilon_spent: f64) {
        self.charges = charges;
        self.epsilon_spent = epsilon_spent;
    }

    /// Told to stop: nothing is waited for any more.
    pub fn stopped(&mut self) {
        self.open = None;
        self.outcome
            .get_or_insert_with(|| "told to stop before the run was over; started again, it goes on".to_owned());
    }

    /// What does not change.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// What is waited for; `None` when the run is over.
    pub fn open(&self) -> Option<&OpenPhase> {
        self.open.as_ref()
    }

    /// The attempt that is open, or was last.
    pub fn attempt(&self) -> Option<&Attempt> {
        self.attempt.as_ref()
    }

    /// The phases of the attempt, past, open and to come. Whether clients pick whom they mask with follows from how many came, so
    /// `picks` is among them from when it is opened.
    pub fn phases(&self) -> impl Iterator<Item = &'static str> + '_ {
        let closed = |phase| self.attempt.as_ref().is_some_and(|a| a.closed.iter().any(|c| c.phase == phase));
        let open = |phase| self.open.is_some_and(|open| open.phase == phase);
        PHASES.into_iter().filter(move |phase| *phase != "picks" || closed(*phase) || open(*phase))
    }

    /// The members.
    pub fn members(&self) -> &BTreeMap<ClientId, Member> {
        &self.members
    }

    /// The members in the order of their names.
    pub fn members_by_name(&self) -> Vec<(&ClientId, &Member)> {
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_by_key(|(_, member)| &member.name);
        members
    }

    /// The last rounds published, newest last.
    pub fn rounds(&self) -> &VecDeque<RoundRecord> {
        &self.rounds
    }

    /// How the run ended, in words, once it has.
    pub fn outcome(&self) -> Option<&str> {
        self.outcome.as_deref()
    }

    /// Members that are connected.
    pub fn present(&self) -> usize {
        self.members.values().filter(|m| m.presence == Presence::Present).count()
    }

    /// A member's name; the short hash of one that is none.
    pub fn name(&self, client: &ClientId) -> String {
        self.members.get(client).map_or_else(|| client.to_string(), |m| m.name.clone())
    }

    pub(crate) fn published(&mut self, record: &RoundRecord) {
        self.published = self.published.saturating_add(1);
        self.attempt = None;
        if self.rounds.len() == MOST_ROUNDS {
            self.rounds.pop_front();
        }
        self.rounds.push_back(record.clone());
    }

    pub(crate) fn gave_up(&mut self, round: RoundId, attempt: AttemptId, reason: &str, at_ms: Option<u64>) {
        self.given_up_total = self.given_up_total.saturating_add(1);
        if self.given_up.len() == MOST_TROUBLES {
            self.given_up.pop_front();
        }
        self.given_up.push_back(GivenUp { round, attempt, reason: clean(reason), at_ms });
    }

    pub(crate) fn finished(&mut self, outcome: String) {
        self.open = None;
        self.outcome = Some(outcome);
    }

    fn gather(&mut self, now_ms: u64) {
        // As the engine: twice the join time, then the run is given up.
        self.open = Some(phase_until("gathering", now_ms, self.about.deadlines.join_ms.saturating_mul(2)));
    }

    fn presence(&mut self, client: ClientId, presence: Presence) {
        if let Some(member) = self.members.get_mut(&client) {
            member.presence = presence;
        }
    }

    fn left(&mut self, client: ClientId) {
        self.presence(client, Presence::Away);
        let in_attempt = self.open.is_some_and(|open| PHASES.contains(&open.phase));
        if let Some(member) = self.members.get_mut(&client)
            && in_attempt
        {
            member.absence.get_or_insert(Absence::Left);
        }
    }

    fn declined(&mut self, client: ClientId, reason: &str, now_ms: u64) {
        self.refused_total = self.refused_total.saturating_add(1);
        if let Some(member) = self.members.get_mut(&client) {
            member.declined = member.declined.saturating_add(1);
            member.absence = Some(Absence::Declined);
        }
        let (round, attempt) = self.attempt.as_ref().map_or_else(Default::default, |a| (a.round, a.attempt));
        if self.refused.len() == MOST_TROUBLES {
            self.refused.pop_front();
        }
        self.refused.push_back(Refused { client, round, attempt, reason: clean(reason), at_ms: now_ms });
    }

    fn closed(&mut self, phase: &'static str, answered: u32, missing: &[ClientId]) {
        for client in missing {
            let Some(member) = self.members.get_mut(client) else { continue };
            // One that left or declined is missing too, and says so by itself.
            if member.presence == Presence::Present && member.absence.is_none() {
                member.late = member.late.saturating_add(1);
                member.absence = Some(Absence::Late(phase));
                self.late_total = self.late_total.saturating_add(1);
            }
        }
        self.open = None;
        if let Some(attempt) = &mut self.attempt {
            attempt.closed.push(ClosedPhase { phase, answered, missing: missing.to_vec() });
        }
    }
}

fn phase_until(phase: &'static str, now_ms: u64, lasts_ms: u64) -> OpenPhase {
    OpenPhase { phase, since_ms: now_ms, closes_ms: now_ms.saturating_add(lasts_ms) }
}

/// Text from elsewhere, without what could steer a terminal or turn the order of what stands beside it, and not longer than a
/// reason may be.
pub(crate) fn clean(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(|c| !steers(*c)).take(MAX_REASON).collect()
}

pub(crate) fn outcome_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Completed => "completed: all rounds are published".to_owned(),
        Outcome::BudgetExhausted { round } => {
            format!("round {round} was not begun: it would exceed the privacy budget")
        }
        Outcome::ModelDiverged { round } => {
            format!("round {round}: the server's step made a model that is no longer finite, and it was not published")
        }
        Outcome::QuorumLost { round } => format!("round {round}: too few clients in every attempt allowed"),
        other => format!("{other:?}"),
    }
}
