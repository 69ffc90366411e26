//! (ε, δ) of events, certified at both ends.
//!
//! * [`rdp`]: Rényi DP at real orders. Looser, composes by addition, and is a filter.
//! * [`pld`]: privacy loss distributions of Gaussian releases on Poisson samples, convolved. Tight, for a schedule that was fixed in
//!   advance: an upper and a lower end, with every rounding and truncation on the safe side.
//! * [`crate::gdp`]: the closed form without sampling.
//!
//! Why each number is a bound: `proof.md` beside this file. Evidence: `tests/accountants.rs`.
//!
//! ```
//! use sottovoce_dp::DpEvent;
//! use sottovoce_dp::accountant::{Accountant, Adjacency, epsilon};
//! use sottovoce_types::Delta;
//!
//! let training = DpEvent::Gaussian { noise_multiplier: 1.0 }.poisson_sampled(0.01).self_composed(1000);
//! let found = epsilon(&training, Delta::new(1e-5)?, Accountant::Auto, Adjacency::AddOrRemoveOne)?;
//! assert!(found.bracket.lower <= 1.82824 && 1.82822 <= found.bracket.upper); // dp_accounting's PLD says 1.82824
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
mod calibrate;
pub mod pld;
pub mod rdp;
pub mod without_replacement;

pub use self::calibrate::{Calibrated, calibrate_noise_multiplier};

use sottovoce_types::{Delta, Epsilon};

use crate::{Bracket, DpEvent, gdp, zcdp};

/// What neighbouring data sets differ by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Adjacency {
    /// One unit more or less.
    #[default]
    AddOrRemoveOne,
    /// One unit in another's place.
    ReplaceOne,
    /// One unit whose contribution is zero in its place ("zero-out"): the numbers of add-or-remove, for a public number of units.
    ReplaceSpecial,
}

impl Adjacency {
    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::AddOrRemoveOne => "add-remove",
            Self::ReplaceOne => "replace",
            Self::ReplaceSpecial => "zero-out",
        }
    }

    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::AddOrRemoveOne => "one unit more or less",
            Self::ReplaceOne => "one unit in another's place",
            Self::ReplaceSpecial => "one unit zeroed out",
        }
    }
}

/// How events are accounted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Accountant {
    /// The tightest that can: closed form without sampling, otherwise privacy loss distributions, otherwise Rényi DP.
    #[default]
    Auto,
    /// Privacy loss distributions.
    Pld,
    /// Rényi DP.
    Rdp,
    /// Gaussian DP, in closed form.
    Gdp,
    /// Zero-concentrated DP.
    Zcdp,
}

impl Accountant {
    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Pld => "pld",
            Self::Rdp => "rdp",
            Self::Gdp => "gdp",
            Self::Zcdp => "zcdp",
        }
    }

    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Auto => "the tightest accountant that can",
            Self::Pld => "privacy loss distribution, certified bracket",
            Self::Rdp => "Rényi DP over real orders",
            Self::Gdp => "GDP, closed form",
            Self::Zcdp => "zCDP",
        }
    }
}

/// What an accountant found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Accounted {
    /// The exact value for the mechanism described lies between; where an accountant has no lower end, it is 0.
    pub bracket: Bracket,
    /// Which one it was; never [`Accountant::Auto`].
    pub accountant: Accountant,
    /// Under which relation.
    pub adjacency: Adjacency,
}

/// No number, and why.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The accountant has no bound for it.
    #[error("the {} accountant has no bound for {event} under the relation {}: {mend}", accountant.name(), adjacency.name())]
    NotAccountable {
        /// The accountant.
        accountant: Accountant,
        /// What it was asked for.
        event: DpEvent,
        /// The relation.
        adjacency: Adjacency,
        /// What can be done.
        mend: &'static str,
    },
    /// No noise is enough.
    #[error("no noise multiplier up to {most} keeps this within epsilon {target}")]
    NotCalibrated {
        /// The target.
        target: f64,
        /// Where the search ended.
        most: f64,
    },
}

const PLD_IS_FOR: &str = "it is for Gaussian releases on Poisson samples, on everybody or, under the relation replace, on samples of a fixed size; use rdp";

/// ε at `delta`.
///
/// # Errors
/// [`AccountError::NotAccountable`].
pub fn epsilon(
    event: &DpEvent,
    delta: Delta,
    accountant: Accountant,
    adjacency: Adjacency,
) -> Result<Accounted, AccountError> {
    let refuse =
        |accountant, mend| Err(AccountError::NotAccountable { accountant, event: event.clone(), adjacency, mend });
    let found = |bracket, accountant| Ok(Accounted { bracket, accountant, adjacency });
    // Replacing a unit moves a sum by twice the norm that its coming or going does.
    let sensitivity = if adjacency == Adjacency::ReplaceOne { 2.0 } else { 1.0 };
    match accountant {
        Accountant::Auto => {
            let best = if *event == DpEvent::NonPrivate || event.mu_squared().is_some() {
                Accountant::Gdp
            } else if pld::accounts_for(event, adjacency) {
                Accountant::Pld
            } else {
                Accountant::Rdp
            };
            let best = epsilon(event, delta, best, adjacency)?;
            let may_be_beaten = pld::has_slack(event) || best.bracket.upper.is_infinite();
            if best.accountant == Accountant::Pld && may_be_beaten {
                let other = epsilon(event, delta, Accountant::Rdp, adjacency)?;
                if other.bracket.upper < best.bracket.upper {
                    let lower = best.bracket.lower;
                    return found(Bracket { lower, ..other.bracket }, Accountant::Rdp);
                }
            }
            Ok(best)
        }
        Accountant::Gdp => match event.mu_squared() {
            Some((lower, upper)) => {
                let lower = (lower.sqrt() * sensitivity).next_down().next_down().max(0.0);
                let upper = (upper.sqrt() * sensitivity).next_up().next_up();
                let upper = if event.mu_squared() == Some((0.0, 0.0)) { 0.0 } else { upper };
                let bracket =
                    Bracket { lower: gdp::epsilon(lower, delta).lower, upper: gdp::epsilon(upper, delta).upper };
                found(bracket, Accountant::Gdp)
            }
            None => refuse(Accountant::Gdp, "it is for Gaussian releases without sampling; use pld or rdp"),
        },
        Accountant::Zcdp => match event.rho() {
            Some(rho) => {
                let rho = (rho * sensitivity * sensitivity).next_up();
                let rho = if event.rho() == Some(0.0) { 0.0 } else { rho };
                found(Bracket { lower: 0.0, upper: zcdp::epsilon(rho, delta) }, Accountant::Zcdp)
            }
            None => refuse(Accountant::Zcdp, "sampled releases have no useful zCDP bound; use rdp"),
        },
        Accountant::Rdp => match rdp::of_event_under(event, 2.0, adjacency) {
            Some(_) => {
                let curve = |alpha| rdp::of_event_under(event, alpha, adjacency).unwrap_or(f64::INFINITY);
                let upper = if curve(2.0) == 0.0 { 0.0 } else { rdp::epsilon(curve, delta).0 };
                found(Bracket { lower: 0.0, upper }, Accountant::Rdp)
            }
            None => refuse(
                Accountant::Rdp,
                "check its numbers; samples of a fixed size are accounted for under the relation replace alone",
            ),
        },
        Accountant::Pld => match pld::epsilon(event, delta, adjacency) {
            Some(bracket) => found(bracket, Accountant::Pld),
            None => refuse(Accountant::Pld, PLD_IS_FOR),
        },
    }
}

/// δ at `epsilon`, by the closed form or by privacy loss distributions.
///
/// # Errors
/// [`AccountError::NotAccountable`] for what neither has a bound for.
pub fn delta(event: &DpEvent, epsilon: Epsilon, adjacency: Adjacency) -> Result<Accounted, AccountError> {
    match pld::delta(event, epsilon.value(), adjacency) {
        Some(bracket) => Ok(Accounted { bracket, accountant: Accountant::Pld, adjacency }),
        None => Err(AccountError::NotAccountable {
            accountant: Accountant::Pld,
            event: event.clone(),
            adjacency,
            mend: PLD_IS_FOR,
        }),
    }
}
