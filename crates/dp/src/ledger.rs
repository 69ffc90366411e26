//! The rules of the privacy ledger: charge before release, and never forget.
//!
//! Pure: [`Ledger`] says what to write, `sottovoce-store` makes it durable, and the caller reveals nothing before that. A
//! reservation is resolved once, by release or, if nothing left the process, by void. What was reserved and not resolved
//! (a crash) counts as spent for ever. Only the filter's additive state is compared with the budget; the ε shown is for
//! people.
//!
//! Why a filter and not a running ε: noise may be chosen in view of earlier results. See [`Filter`].
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sottovoce_types::{AttemptId, Delta, Epsilon, RoundId, RunId, Unit};

use crate::event::Ends;
use crate::filter::Filter;
use crate::{Bracket, Charge, DpEvent, exact_serde};

/// What may be spent in all.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Budget {
    /// ε.
    #[serde(with = "exact_serde")]
    pub epsilon: Epsilon,
    /// δ; below one over the number of units.
    #[serde(with = "exact_serde")]
    pub delta: Delta,
    /// Whose ε it is. Charges of two units do not add up: the ledger of one is refused for the other.
    pub unit: Unit,
}

/// One attempt at one round. Each is charged by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct LedgerKey {
    /// The run.
    pub run: RunId,
    /// The round.
    pub round: RoundId,
    /// The attempt at it.
    pub attempt: AttemptId,
}

impl fmt::Display for LedgerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {} attempt {} of run {}", self.round, self.attempt, self.run)
    }
}

/// What is written down, in order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum LedgerEntry {
    /// The ledger was opened. Optional; when there, the first.
    Opened {
        /// Its budget.
        budget: Budget,
        /// Its filter.
        filter: Filter,
    },
    /// Charged. Durable before anything is revealed.
    Reserved {
        /// The attempt.
        key: LedgerKey,
        /// Its cost.
        event: DpEvent,
    },
    /// Revealed; the charge is final.
    Released {
        /// The attempt.
        key: LedgerKey,
    },
    /// Nothing was revealed; the charge is taken back.
    Voided {
        /// The attempt.
        key: LedgerKey,
    },
}

/// The budget does not cover a release.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "the privacy budget is exhausted: epsilon {spent_epsilon:.4} is spent, this release would make it {would_be:.4}, and the \
     budget is {} at delta {}: use more noise, fewer rounds, or a budget that every site agrees to",
    budget.epsilon, budget.delta
)]
pub struct BudgetExhausted {
    /// ε spent so far, upper end.
    pub spent_epsilon: f64,
    /// What it would become, upper end.
    pub would_be: f64,
    /// The budget.
    pub budget: Budget,
}

/// A release cannot be reserved. The ledger is as it was.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// Over budget.
    #[error(transparent)]
    BudgetExhausted(#[from] BudgetExhausted),
    /// The attempt was charged before. A retry is a new attempt with fresh noise and its own charge.
    #[error("{key} is in the ledger already: a retry is a new attempt and is charged again")]
    Duplicate {
        /// The attempt.
        key: LedgerKey,
    },
    /// The event is malformed, or this ledger's filter cannot bound it.
    #[error(
        "this ledger's filter, {}, cannot account for {event}: open the ledger with one that can, or check the event's numbers",
        filter.name()
    )]
    NotAccountable {
        /// The event.
        event: DpEvent,
        /// The ledger's filter.
        filter: Filter,
    },
}

/// Entries that no ledger could have written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The journal was opened with another budget or filter. A spent budget cannot be changed afterwards.
    #[error("the journal was opened with epsilon {} and delta {} per {}, not with the budget asked for now: go on with that budget. What was spent stays spent; under a new state directory the two budgets add up", found.epsilon, found.delta, found.unit.name())]
    OtherBudget {
        /// The journal's.
        found: Budget,
    },
    /// The journal holds a release without protection: no budget covers what comes after it.
    #[error(
        "this state directory took part in a run without differential privacy: no epsilon holds for its data from there on; use another state directory for other data, or privacy.unit = \"none\""
    )]
    NonPrivateBefore,
    /// A run without differential privacy would go on from a ledger.
    #[error(
        "this state directory holds a privacy ledger, and a run without differential privacy would make its epsilon untrue: set privacy.unit as before, or use another state directory and count that ledger as void"
    )]
    NonPrivateNow,
    /// A cap on ε where there is no ε.
    #[error(
        "this site caps its epsilon (privacy.site_epsilon_cap = {cap}), and a run without differential privacy has none that is below it: take \
         no part, or take the cap away if these data need no protection"
    )]
    CapWithoutPrivacy {
        /// The cap.
        cap: Epsilon,
    },
    /// The journal was opened with a filter that cannot bound what is to come. A filter cannot be changed in view of results.
    #[error(
        "this ledger was opened with the filter of {}, which cannot bound {event}: go on with a run that it can bound, or use a new state directory; the budgets of the two then add up",
        filter.name()
    )]
    OtherFilter {
        /// The journal's.
        filter: Filter,
        /// What is to be charged.
        event: DpEvent,
    },
    /// The opening claims more than its budget covers.
    #[error(
        "the journal's opening says that its budget covers more than it does: it was edited, or another version wrote it"
    )]
    Opening,
    /// An opening in the middle.
    #[error("the journal has a second opening: two runs share it, or it was edited")]
    OpenedTwice,
    /// Reserved twice.
    #[error("the journal reserves {key} twice: two processes write it, or it was edited")]
    Duplicate {
        /// The attempt.
        key: LedgerKey,
    },
    /// Resolved without a reservation, or twice.
    #[error("the journal resolves {key}, which has no open reservation: entries were lost or edited")]
    NotOpen {
        /// The attempt.
        key: LedgerKey,
    },
    /// A charge that the filter cannot bound.
    #[error("the journal charges {event} for {key}, which its filter cannot bound")]
    NotAccountable {
        /// The attempt.
        key: LedgerKey,
        /// The event.
        event: DpEvent,
    },
}

/// Proof that a release is charged. Hand it to [`Ledger::release`] or [`Ledger::void`]; dropped, the charge stays.
///
/// There is one for a charge, so a charge cannot be taken back after its release:
/// ```compile_fail
/// # use sottovoce_dp::{Ledger, Reservation};
/// fn both(ledger: &mut Ledger, r: Reservation) { ledger.release(r); ledger.void(r); }
/// ```
/// ```compile_fail
/// # use sottovoce_dp::Reservation;
/// fn copy(r: &Reservation) -> Reservation { r.clone() }
/// ```
/// and nobody else makes one:
/// ```compile_fail
/// # use sottovoce_dp::{DpEvent, LedgerKey, Reservation};
/// fn forge(key: LedgerKey) -> Reservation { Reservation { key, event: DpEvent::NonPrivate } }
/// ```
#[must_use = "resolve it by release or void; dropped, it stays charged"]
#[derive(Debug)]
pub struct Reservation {
    key: LedgerKey,
    event: DpEvent,
}

impl Reservation {
    /// The attempt.
    pub fn key(&self) -> LedgerKey {
        self.key
    }

    /// What was charged.
    pub fn event(&self) -> &DpEvent {
        &self.event
    }

    fn into_key(self) -> LedgerKey {
        self.key
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Reserved,
    Released,
    Voided,
}

/// One party's account of what it has revealed, or let be revealed.
#[derive(Clone, PartialEq, Debug)]
pub struct Ledger {
    budget: Budget,
    filter: Filter,
    /// The filter's bound, rounded down.
    limit: f64,
    charges: BTreeMap<LedgerKey, (DpEvent, State)>,
}

impl Ledger {
    /// An empty ledger for Gaussian releases.
    pub fn new(budget: Budget) -> Self {
        Self::with_filter(budget, Filter::Gdp)
    }

    /// An empty ledger with a filter. The bound is computed here, once.
    pub fn with_filter(budget: Budget, filter: Filter) -> Self {
        let limit = filter.limit(budget);
        Self { budget, filter, limit, charges: BTreeMap::new() }
    }

    /// The ledger that wrote `entries`, for the budget that the run is configured with. An opening entry decides the filter; without one
    /// it is [`Filter::Gdp`].
    ///
    /// # Errors
    /// As [`Ledger::replay_under`].
    pub fn replay(budget: Budget, entries: impl IntoIterator<Item = LedgerEntry>) -> Result<Self, LedgerError> {
        Self::replay_under(budget, Filter::Gdp, entries)
    }

    /// The same, where a ledger without an opening entry is one of `filter`.
    ///
    /// Entries may exceed the budget (an older file without an opening): then nothing more can be reserved.
    ///
    /// # Errors
    /// [`LedgerError`] when no ledger could have written them.
    pub fn replay_under(
        budget: Budget,
        filter: Filter,
        entries: impl IntoIterator<Item = LedgerEntry>,
    ) -> Result<Self, LedgerError> {
        let mut ledger = Self::with_filter(budget, filter);
        for (index, entry) in entries.into_iter().enumerate() {
            match entry {
                LedgerEntry::Opened { .. } if index > 0 => return Err(LedgerError::OpenedTwice),
                LedgerEntry::Opened { budget: found, .. } if found != budget => {
                    return Err(LedgerError::OtherBudget { found });
                }
                LedgerEntry::Opened { filter, .. } if filter == ledger.filter => {}
                LedgerEntry::Opened { filter, .. } if !filter.holds(budget) => return Err(LedgerError::Opening),
                LedgerEntry::Opened { filter, .. } => ledger = Self::with_filter(budget, filter),
                LedgerEntry::Reserved { key, event } => {
                    if ledger.contains(&key) {
                        return Err(LedgerError::Duplicate { key });
                    }
                    if ledger.filter.cost(&event).is_none() {
                        return Err(LedgerError::NotAccountable { key, event });
                    }
                    ledger.charges.insert(key, (event, State::Reserved));
                }
                LedgerEntry::Released { key } => ledger.resolve(key, State::Released)?,
                LedgerEntry::Voided { key } => ledger.resolve(key, State::Voided)?,
            }
        }
        Ok(ledger)
    }

    /// Charges a release. Make the entry durable, then reveal, then [`Ledger::release`].
    ///
    /// # Errors
    /// [`ReserveError`]; nothing is charged then, and nothing may be revealed.
    pub fn reserve(&mut self, key: LedgerKey, charge: Charge) -> Result<(Reservation, LedgerEntry), ReserveError> {
        let event = charge.into_event();
        if self.contains(&key) {
            return Err(ReserveError::Duplicate { key });
        }
        self.check(&event)?;
        self.charges.insert(key, (event.clone(), State::Reserved));
        Ok((Reservation { key, event: event.clone() }, LedgerEntry::Reserved { key, event }))
    }

    /// Notes that the release happened. The charge is final.
    ///
    /// # Panics
    /// When `reservation` was made by another ledger, which is a bug of the caller.
    pub fn release(&mut self, reservation: Reservation) -> LedgerEntry {
        let key = reservation.into_key();
        self.resolve(key, State::Released).expect("a reservation is open in the ledger that made it");
        LedgerEntry::Released { key }
    }

    /// Takes the charge back. Only for a release of which nothing left the process.
    ///
    /// # Panics
    /// When `reservation` was made by another ledger, which is a bug of the caller.
    pub fn void(&mut self, reservation: Reservation) -> LedgerEntry {
        let key = reservation.into_key();
        self.resolve(key, State::Voided).expect("a reservation is open in the ledger that made it");
        LedgerEntry::Voided { key }
    }

    /// The first entry to write.
    pub fn opened(&self) -> LedgerEntry {
        LedgerEntry::Opened { budget: self.budget, filter: self.filter.clone() }
    }

    /// Whether the budget covers `event`.
    ///
    /// # Errors
    /// [`ReserveError`] when it does not, or the filter cannot bound it.
    pub fn check(&self, event: &DpEvent) -> Result<(), ReserveError> {
        let cost = self.filter.cost(event);
        let cost =
            cost.ok_or_else(|| ReserveError::NotAccountable { event: event.clone(), filter: self.filter.clone() })?;
        let spent = self.spent();
        let would_be = self.filter.plus(spent, cost);
        if would_be.1 <= self.limit {
            return Ok(());
        }
        let exhausted = BudgetExhausted {
            spent_epsilon: self.filter.epsilon_of(spent, self.budget.delta).upper,
            would_be: self.filter.epsilon_of(would_be, self.budget.delta).upper,
            budget: self.budget,
        };
        Err(exhausted.into())
    }

    /// What was charged and not voided, as one event: for accountants.
    pub fn spent_event(&self) -> DpEvent {
        let mut counts: Vec<(&DpEvent, u64)> = Vec::new();
        for event in self.live() {
            match counts.iter_mut().find(|(known, _)| *known == event) {
                Some((_, count)) => *count += 1,
                None => counts.push((event, 1)),
            }
        }
        let mut events: Vec<DpEvent> =
            counts.into_iter().map(|(event, count)| event.clone().self_composed(count)).collect();
        match events.len() {
            0 => DpEvent::NoOp,
            1 => events.remove(0),
            _ => DpEvent::Composed { events },
        }
    }

    /// Attempts charged and not voided.
    pub fn charges(&self) -> usize {
        self.live().count()
    }

    /// ε of everything charged and not voided, at the budget's δ.
    pub fn epsilon_spent(&self) -> Bracket {
        self.filter.epsilon_of(self.spent(), self.budget.delta)
    }

    /// The budget's ε less what is spent, at least 0. For display: ε does not add, the filter's state does.
    pub fn epsilon_left(&self) -> f64 {
        (self.budget.epsilon.value() - self.epsilon_spent().upper).max(0.0)
    }

    /// How many more releases of `event` the budget covers.
    pub fn releases_left(&self, event: &DpEvent) -> u64 {
        let Some(cost) = self.filter.cost(event) else { return 0 };
        let mut spent = self.filter.plus(self.spent(), cost);
        let mut releases = 0;
        // Bounded: beyond a million the answer is of no use to anybody.
        while spent.1 <= self.limit && releases < 1_000_000 {
            spent = self.filter.plus(spent, cost);
            releases += 1;
        }
        releases
    }

    /// Whether the filter has a bound for `event` at all.
    ///
    /// # Errors
    /// [`LedgerError::OtherFilter`].
    pub fn accounts_for(&self, event: &DpEvent) -> Result<(), LedgerError> {
        match self.filter.cost(event) {
            Some(_) => Ok(()),
            None => Err(LedgerError::OtherFilter { filter: self.filter.clone(), event: event.clone() }),
        }
    }

    /// Attempts charged and neither released nor voided: in progress, or cut off by a crash.
    pub fn unresolved(&self) -> impl Iterator<Item = LedgerKey> {
        self.charges.iter().filter(|(_, (_, state))| *state == State::Reserved).map(|(key, _)| *key)
    }

    /// Whether the attempt was ever charged, voided or not.
    pub fn contains(&self, key: &LedgerKey) -> bool {
        self.charges.contains_key(key)
    }

    /// The budget.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// The filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    fn resolve(&mut self, key: LedgerKey, to: State) -> Result<(), LedgerError> {
        match self.charges.get_mut(&key) {
            Some((_, state @ State::Reserved)) => {
                *state = to;
                Ok(())
            }
            _ => Err(LedgerError::NotOpen { key }),
        }
    }

    /// Charges that are not voided, in key order.
    fn live(&self) -> impl Iterator<Item = &DpEvent> {
        self.charges.values().filter(|(_, state)| *state != State::Voided).map(|(event, _)| event)
    }

    /// Recomputed from the entries in key order, so that voids leave no rounding behind and a replay gives the same bits.
    fn spent(&self) -> Ends {
        let cost = |event| self.filter.cost(event).expect("checked when it was charged");
        self.live().fold((0.0, 0.0), |sum, event| self.filter.plus(sum, cost(event)))
    }
}
