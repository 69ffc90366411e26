//! What an attack is: something that takes one view, what its adversary knows besides, and a seed.
use std::collections::BTreeMap;

use crate::scores::{Described, Scored, Scores};

/// An attack, typed by what its adversary sees.
///
/// The view is an associated type, so that what an attack could read stands in its signature and the compiler holds it to that: an
/// attack on [`crate::view::ServerSecAgg`] has no way to a single update. Truths are not among the arguments. They join what was
/// found afterwards ([`Guesses::against`]), out of the attack's reach.
pub trait Attack {
    /// What the adversary sees.
    type View<'a>;
    /// What it knows besides: its own speech, its own models.
    type Aux<'a>;
    /// What it comes to: [`Guesses`], profiles, reconstructions.
    type Found;
    /// Why it could not be made.
    type Error;

    /// Its name, its vantage and its source.
    fn describe(&self) -> Described;

    /// Makes the attack. The same view, knowledge and seed give the same result.
    ///
    /// # Errors
    /// [`Self::Error`].
    fn run(&self, view: &Self::View<'_>, aux: &Self::Aux<'_>, seed: u64) -> Result<Self::Found, Self::Error>;
}

/// One score a unit, without any truth: higher means "yes".
#[derive(Clone, PartialEq, Debug)]
pub struct Guesses {
    /// Which attack.
    pub of: Described,
    /// The unit's name and its score.
    pub scores: Vec<(String, f64)>,
}

/// What the auditor knows of a unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Truth {
    /// The answer.
    pub positive: bool,
    /// What the unit is not independent within: its speaker.
    pub cluster: String,
    /// Names to slice by.
    pub slices: BTreeMap<String, String>,
}

/// What the auditor knows, by unit.
pub type Truths = BTreeMap<String, Truth>;

impl Guesses {
    /// The guesses about units whose truth is known, as scores of one run.
    pub fn against(&self, truths: &Truths, run: u32) -> Scores {
        let scored = |(unit, score): &(String, f64)| {
            let truth = truths.get(unit)?;
            Some(Scored {
                unit: unit.clone(),
                score: *score,
                truth: truth.positive,
                cluster: truth.cluster.clone(),
                run,
                slices: truth.slices.clone(),
            })
        };
        Scores { of: self.of, units: self.scores.iter().filter_map(scored).collect() }
    }
}
