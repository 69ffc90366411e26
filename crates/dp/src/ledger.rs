//! The rules of the privacy ledger: charge before release, and never forget.
//!
//! Pure: [`Ledger`] says what to write, `sottovoce-store` makes it durable, and the caller reveals nothing before that. A
//! reservation is resolved once, by release or, if nothing left the process, by void. What was reserved and not resolved
//! (a crash) counts as spent for ever. Only the filter's additive state is compared with the budget; the ε shown is for
//! people.
//!
//! Why a filter and not a running ε: noise multipliers may be chosen in view of earlier results. Stopping when Σ μ² would pass a bound
//! fixed in advance keeps (ε, δ) under such adaptivity (see [`crate::gdp`]); natural filters for other trade-off functions do not
//! (arXiv 2602.06756).
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sottovoce_types::{AttemptId, Delta, Epsilon, NoiseMultiplier, RoundId, RunId, Unit};

use crate::event::{Ends, plus};
use crate::{Bracket, Charge, DpEvent, exact_serde, gdp, zcdp};

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

/// Which additive quantity is bounded. Chosen when the ledger is opened: a filter may not change in view of results.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Filter {
    /// Σ μ²: exact, for Gaussian releases alone.
    #[default]
    Gdp,
    /// Σ ρ: 5 to 10 % more ε, and also covers discrete Gaussian counts.
    Zcdp,
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
        "the {filter:?} filter cannot account for {event}: open the ledger with the Zcdp filter, or check the event's numbers"
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
        let limit = match filter {
            Filter::Gdp => {
                let mu = gdp::mu_budget(budget.epsilon, budget.delta);
                (mu * mu).next_down().max(0.0)
            }
            Filter::Zcdp => zcdp::rho_budget(budget.epsilon, budget.delta),
        };
        Self { budget, filter, limit, charges: BTreeMap::new() }
    }

    /// The ledger that wrote `entries`, for the budget that the run is configured with. An opening entry decides the filter;
    /// without one it is [`Filter::Gdp`].
    ///
    /// Entries may exceed the budget (an older file without an opening): then nothing more can be reserved.
    ///
    /// # Errors
    /// [`LedgerError`] when no ledger could have written them.
    pub fn replay(budget: Budget, entries: impl IntoIterator<Item = LedgerEntry>) -> Result<Self, LedgerError> {
        let mut ledger = Self::new(budget);
        for (index, entry) in entries.into_iter().enumerate() {
            match entry {
                LedgerEntry::Opened { .. } if index > 0 => return Err(LedgerError::OpenedTwice),
                LedgerEntry::Opened { budget: found, .. } if found != budget => {
                    return Err(LedgerError::OtherBudget { found });
                }
                LedgerEntry::Opened { filter, .. } => ledger = Self::with_filter(budget, filter),
                LedgerEntry::Reserved { key, event } => {
                    if ledger.contains(&key) {
                        return Err(LedgerError::Duplicate { key });
                    }
                    if ledger.cost(&event).is_none() {
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
        LedgerEntry::Opened { budget: self.budget, filter: self.filter }
    }

    /// Whether the budget covers `event`.
    ///
    /// # Errors
    /// [`ReserveError`] when it does not, or the filter cannot bound it.
    pub fn check(&self, event: &DpEvent) -> Result<(), ReserveError> {
        let cost = self.cost(event);
        let cost = cost.ok_or(ReserveError::NotAccountable { event: event.clone(), filter: self.filter })?;
        let spent = self.spent();
        let would_be = plus(spent, cost);
        if would_be.1 <= self.limit {
            return Ok(());
        }
        let exhausted = BudgetExhausted {
            spent_epsilon: self.epsilon_of(spent).upper,
            would_be: self.epsilon_of(would_be).upper,
            budget: self.budget,
        };
        Err(exhausted.into())
    }

    /// μ of everything charged and not voided, upper end. Under the zCDP filter it is √(2ρ), for display.
    pub fn spent_mu(&self) -> f64 {
        let upper = self.spent().1;
        let mu_squared = if self.filter == Filter::Gdp { upper } else { 2.0 * upper };
        if mu_squared == 0.0 { 0.0 } else { mu_squared.sqrt().next_up() }
    }

    /// ε of everything charged and not voided, at the budget's δ.
    pub fn epsilon_spent(&self) -> Bracket {
        self.epsilon_of(self.spent())
    }

    /// The budget's ε less what is spent, at least 0. For display: ε does not add, the filter's state does.
    pub fn epsilon_left(&self) -> f64 {
        (self.budget.epsilon.value() - self.epsilon_spent().upper).max(0.0)
    }

    /// How many more rounds with noise multiplier `z` the budget covers.
    pub fn rounds_left(&self, z: NoiseMultiplier) -> u64 {
        let Some(cost) = self.cost(&DpEvent::gaussian(z)) else { return 0 };
        let mut spent = plus(self.spent(), cost);
        let mut rounds = 0;
        // Bounded: beyond a million rounds the answer is of no use to anybody.
        while spent.1 <= self.limit && rounds < 1_000_000 {
            spent = plus(spent, cost);
            rounds += 1;
        }
        rounds
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
    pub fn filter(&self) -> Filter {
        self.filter
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

    /// What the filter adds for an event.
    fn cost(&self, event: &DpEvent) -> Option<Ends> {
        match self.filter {
            Filter::Gdp => event.mu_squared(),
            Filter::Zcdp => {
                // zCDP alone gives no lower bound on ε; the Gaussian part does.
                let lower = event.mu_squared().map_or(0.0, |(lower, _)| lower / 2.0);
                event.rho().map(|upper| (lower, upper))
            }
        }
    }

    /// Recomputed from the entries in key order, so that voids leave no rounding behind and a replay gives the same bits.
    fn spent(&self) -> Ends {
        let live = self.charges.values().filter(|(_, state)| *state != State::Voided);
        live.fold((0.0, 0.0), |sum, (event, _)| plus(sum, self.cost(event).expect("checked when it was charged")))
    }

    fn epsilon_of(&self, (lower, upper): Ends) -> Bracket {
        if upper == 0.0 {
            return Bracket::ZERO;
        }
        let delta = self.budget.delta;
        match self.filter {
            Filter::Gdp => Bracket {
                lower: gdp::epsilon(lower.sqrt().next_down().max(0.0), delta).lower,
                upper: gdp::epsilon(upper.sqrt().next_up(), delta).upper,
            },
            Filter::Zcdp => Bracket {
                lower: gdp::epsilon((2.0 * lower).sqrt().next_down().max(0.0), delta).lower,
                upper: zcdp::epsilon(upper, delta),
            },
        }
    }
}
