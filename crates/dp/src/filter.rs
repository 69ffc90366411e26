//! Which additive quantity a ledger bounds: the privacy filter that its budget is turned into.
//!
//! A filter lets noise and sampling be chosen in view of earlier results and still keeps (ε, δ), as long as its own quantity stays
//! below a bound fixed in advance: Σ μ² under Gaussian DP (Smith & Thakurta 2022; Koskela, Tobaben & Honkela 2022), Σ ε(α) at one Rényi
//! order chosen in advance (Feldman & Zrnic 2021, Thm. 3.1; Lécuyer 2021), of which zCDP is the case of all orders at once. Trade-off
//! functions and privacy loss distributions have no such filter (arXiv 2602.06756); so [`Filter::Schedule`], which charges by them, takes
//! one kind of release alone, written down before the first: with nothing to adapt but when to stop, what is quoted is the cost of all
//! that could still come.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sottovoce_encode::exact;
use sottovoce_types::Delta;

use crate::accountant::{self, Accountant, Adjacency, rdp};
use crate::event::Ends;
use crate::ledger::Budget;
use crate::{Bracket, DpEvent, exact_serde, gdp, zcdp};

/// Which additive quantity is bounded. Chosen when the ledger is opened: a filter may not change in view of results.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub enum Filter {
    /// Σ μ²: exact, for Gaussian releases without sampling alone.
    #[default]
    Gdp,
    /// Σ ρ: 5 to 10 % more ε, and also covers discrete Gaussian counts.
    Zcdp,
    /// Σ ε(α) at one order: covers sampled releases too, whatever their rates and noise.
    Rdp {
        /// α, above 1.
        #[serde(with = "exact_serde")]
        order: f64,
    },
    /// One release, the same again and again, accounted for by its privacy loss distribution.
    Schedule(Schedule),
}

/// A release that is made again and again, and how often a budget covers it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schedule {
    event: DpEvent,
    most: u64,
    /// ε after so many, as far as anybody asked. Shared by copies: a simulation has a ledger a client.
    #[serde(skip)]
    known: Arc<Mutex<BTreeMap<(u64, u64), Bracket>>>,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        (&self.event, self.most) == (&other.event, other.most)
    }
}

impl Schedule {
    /// The release.
    pub fn event(&self) -> &DpEvent {
        &self.event
    }

    /// How many of them the budget covers.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// ε after `count` of them; unbounded where no accountant can say.
    fn epsilon(&self, count: u64, delta: Delta) -> Bracket {
        let key = (count, delta.value().to_bits());
        let known =
            |at: &Mutex<BTreeMap<_, Bracket>>| at.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some(bracket) = known(&self.known) {
            return bracket;
        }
        let bracket = cost_of_all(&self.event, count, delta);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, bracket);
        bracket
    }
}

fn cost_of_all(event: &DpEvent, count: u64, delta: Delta) -> Bracket {
    if count == 0 {
        return Bracket::ZERO;
    }
    let all = event.clone().self_composed(count);
    accountant::epsilon(&all, delta, Accountant::Auto, Adjacency::AddOrRemoveOne)
        .map_or(Bracket::UNBOUNDED, |accounted| accounted.bracket)
}

impl Filter {
    /// The tight filter of a run that makes one kind of release: closed form without sampling, otherwise a schedule. `hint` is about how
    /// many there will be; it saves time and decides nothing.
    pub fn of_run(event: &DpEvent, budget: Budget, hint: u64) -> Self {
        if event.mu_squared().is_some() {
            return Self::Gdp;
        }
        let mut schedule = Schedule { event: event.clone(), most: 0, known: Arc::default() };
        let covered = |count: u64| schedule.epsilon(count, budget.delta).upper <= budget.epsilon.value();
        schedule.most = last_covered(hint.clamp(1, MOST_RELEASES), covered);
        Self::Schedule(schedule)
    }

    /// The Rényi filter at the order that covers most releases of `event`, for ledgers whose releases are not known in advance.
    /// `None` where the event has no Rényi bound.
    pub fn renyi_for(event: &DpEvent, budget: Budget) -> Option<Self> {
        let covered = |order: &f64| {
            let filter = Self::Rdp { order: *order };
            let (limit, cost) = (filter.limit(budget), filter.cost(event)?.1);
            Some(if cost > 0.0 { limit / cost } else { f64::INFINITY })
        };
        let orders = rdp::FILTER_ORDERS.iter().map(|order| covered(order).map(|times| (times, *order)));
        let best = orders.collect::<Option<Vec<_>>>()?.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(Self::Rdp { order: best.1 })
    }

    /// The bound on the sum of costs, rounded down.
    pub(crate) fn limit(&self, budget: Budget) -> f64 {
        match self {
            Self::Gdp => {
                let mu = gdp::mu_budget(budget.epsilon, budget.delta);
                (mu * mu).next_down().max(0.0)
            }
            Self::Zcdp => zcdp::rho_budget(budget.epsilon, budget.delta),
            Self::Rdp { order } => {
                let limit = budget.epsilon.value() - rdp::conversion(*order, budget.delta);
                // NaN for an order that is none: no budget.
                if limit > 0.0 { limit.next_down().max(0.0) } else { 0.0 }
            }
            Self::Schedule(schedule) => exact::u64_to_f64(schedule.most),
        }
    }

    /// Whether what the filter says of itself holds: for one that was read from a file.
    pub(crate) fn holds(&self, budget: Budget) -> bool {
        match self {
            Self::Gdp | Self::Zcdp => true,
            Self::Rdp { order } => order.is_finite() && *order > 1.0,
            Self::Schedule(schedule) => {
                schedule.epsilon(schedule.most, budget.delta).upper <= budget.epsilon.value()
                    && schedule.most <= MOST_RELEASES
            }
        }
    }

    /// What an event adds, both ends; `None` when the filter cannot bound it.
    pub(crate) fn cost(&self, event: &DpEvent) -> Option<Ends> {
        if *event == DpEvent::NonPrivate {
            return Some((f64::INFINITY, f64::INFINITY));
        }
        match self {
            Self::Gdp => event.mu_squared(),
            Self::Zcdp => {
                // zCDP alone gives no lower bound on ε; the Gaussian part does.
                let lower = event.mu_squared().map_or(0.0, |(lower, _)| lower / 2.0);
                event.rho().map(|upper| (lower, upper))
            }
            Self::Rdp { order } => rdp::of_event(event, *order).map(|upper| (0.0, upper)),
            Self::Schedule(schedule) => (*event == schedule.event).then_some((1.0, 1.0)),
        }
    }

    /// Adds two sums of costs, rounded outward where they are not whole numbers.
    pub(crate) fn plus(&self, a: Ends, b: Ends) -> Ends {
        match self {
            Self::Schedule(_) => (a.0 + b.0, a.1 + b.1),
            _ => crate::event::plus(a, b),
        }
    }

    /// ε of a sum of costs.
    pub(crate) fn epsilon_of(&self, (lower, upper): Ends, delta: Delta) -> Bracket {
        if upper == 0.0 {
            return Bracket::ZERO;
        }
        if upper.is_infinite() {
            return Bracket::UNBOUNDED;
        }
        match self {
            Self::Gdp => Bracket {
                lower: gdp::epsilon(lower.sqrt().next_down().max(0.0), delta).lower,
                upper: gdp::epsilon(upper.sqrt().next_up(), delta).upper,
            },
            Self::Zcdp => Bracket {
                lower: gdp::epsilon((2.0 * lower).sqrt().next_down().max(0.0), delta).lower,
                upper: zcdp::epsilon(upper, delta),
            },
            Self::Rdp { order } => {
                Bracket { lower: 0.0, upper: (upper + rdp::conversion(*order, delta)).next_up().max(0.0) }
            }
            Self::Schedule(schedule) => match exact::truncate(upper).map(u64::try_from) {
                Some(Ok(count)) => schedule.epsilon(count, delta),
                _ => Bracket::UNBOUNDED,
            },
        }
    }

    /// In words, for ledgers that people read.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gdp => "Gaussian DP",
            Self::Zcdp => "zCDP",
            Self::Rdp { .. } => "Rényi DP",
            Self::Schedule(_) => "committed schedule",
        }
    }
}

/// More releases than anybody makes.
const MOST_RELEASES: u64 = 1 << 24;

/// The greatest count up to [`MOST_RELEASES`] that is covered, given that fewer are wherever more are; searched outward from `hint`.
fn last_covered(hint: u64, covered: impl Fn(u64) -> bool) -> u64 {
    let (mut good, mut bad, mut stride) = (0, MOST_RELEASES + 1, 1);
    let mut at = hint;
    loop {
        if covered(at) {
            good = at;
            at = at.saturating_add(stride);
        } else {
            bad = at;
            at = at.saturating_sub(stride);
        }
        stride = stride.saturating_mul(2);
        if at <= good || at >= bad {
            break;
        }
    }
    while bad - good > 1 {
        let middle = u64::midpoint(good, bad);
        if covered(middle) { good = middle } else { bad = middle }
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_count_that_is_covered_is_found_from_any_hint() {
        for most in [0, 1, 2, 99, 100, 101, 5000, MOST_RELEASES] {
            for hint in [1, 2, 50, 100, 101, 1000, MOST_RELEASES] {
                assert_eq!(last_covered(hint, |count| count <= most), most, "from {hint}");
            }
        }
    }
}
