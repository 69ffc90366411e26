//! Scores with the design that they came from.
use std::collections::BTreeSet;

use super::{BoundError, Needs};
use crate::scores::Scores;
use crate::stats::binomial_cdf;

/// The probability below which a count of inclusions is no work of fair coins.
const NO_COIN: f64 = 1e-9;

/// How canaries came to be in or out, and whether their scores depend on one another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Design {
    /// One run (or several, with canaries of their own); each canary was in by its own fair coin. Their scores may depend on
    /// one another in any way.
    CoinInOneRun,
    /// Each trial is a mechanism of its own: one canary a run, or canaries on orthonormal directions under independent noise, in by
    /// coins or by turns.
    IndependentTrials,
    /// Both: coins, and given the coins the scores are independent. The white-box canaries of [`crate::canary`].
    CoinAndIndependent,
    /// Members and non-members as they were found. No bound on ε follows.
    Observed,
}

impl Design {
    /// Whether a proof that needs `needs` holds under it.
    pub fn offers(self, needs: Needs) -> bool {
        match (self, needs) {
            (Self::Observed, _)
            | (Self::CoinInOneRun, Needs::IndependentTrials)
            | (Self::IndependentTrials, Needs::Coins) => false,
            (Self::CoinInOneRun, Needs::Coins)
            | (Self::IndependentTrials, Needs::IndependentTrials)
            | (Self::CoinAndIndependent, _) => true,
        }
    }

    /// In words, for errors and tables.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::CoinInOneRun => "one run, each canary in by its own coin",
            Self::IndependentTrials => "independent trials",
            Self::CoinAndIndependent => "independent trials, each canary in by its own coin",
            Self::Observed => "members and non-members as they were found",
        }
    }
}

/// Truths and scores of canaries, checked, with their design.
#[derive(Clone, PartialEq, Debug)]
pub struct Experiment {
    included: Vec<bool>,
    scores: Vec<f64>,
    design: Design,
}

impl Experiment {
    /// `included` and `scores`, `[canaries]` each; a higher score means "in".
    ///
    /// # Errors
    /// [`BoundError`] when a side is empty, lengths differ, a score is no number, or a design with coins has a count of
    /// inclusions that fair coins hardly give.
    pub fn new(included: Vec<bool>, scores: Vec<f64>, design: Design) -> Result<Self, BoundError> {
        if included.len() != scores.len() {
            return Err(BoundError::Lengths { scores: scores.len(), truths: included.len() });
        }
        if let Some(index) = scores.iter().position(|s| !s.is_finite()) {
            return Err(BoundError::NotFinite { index });
        }
        let (canaries, inside) = (included.len(), included.iter().filter(|&&i| i).count());
        if inside == 0 || inside == canaries {
            return Err(BoundError::OneSided { included: inside, excluded: canaries - inside });
        }
        if design.offers(Needs::Coins) {
            let fewer = inside.min(canaries - inside) as u64;
            let probability = 2.0 * binomial_cdf(fewer, canaries as u64, 0.5);
            if probability < NO_COIN {
                return Err(BoundError::NoCoin { included: inside, canaries, probability });
            }
        }
        Ok(Self { included, scores, design })
    }

    /// An attack's scores under a design.
    ///
    /// # Errors
    /// As [`Experiment::new`], and when two units share a cluster in one run: clips of one speaker do not come and go one by
    /// one.
    pub fn of_scores(scores: &Scores, design: Design) -> Result<Self, BoundError> {
        let mut seen = BTreeSet::new();
        if let Some(again) = scores.units.iter().find(|u| !seen.insert((u.cluster.as_str(), u.run))) {
            return Err(BoundError::Clustered { cluster: again.cluster.clone() });
        }
        let (included, values) = scores.units.iter().map(|u| (u.truth, u.score)).unzip();
        Self::new(included, values, design)
    }

    /// Which were in.
    pub fn included(&self) -> &[bool] {
        &self.included
    }

    /// Their scores.
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// How they came about.
    pub fn design(&self) -> Design {
        self.design
    }

    /// The canaries whose indices these are. Unchecked: a part of few canaries may have an empty side, which certifies nothing.
    pub(super) fn part(&self, indices: &[usize]) -> Self {
        Self {
            included: indices.iter().map(|&i| self.included[i]).collect(),
            scores: indices.iter().map(|&i| self.scores[i]).collect(),
            design: self.design,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(inside: usize, canaries: usize, design: Design) -> Result<Experiment, BoundError> {
        Experiment::new((0..canaries).map(|i| i < inside).collect(), vec![0.0; canaries], design)
    }

    #[test]
    fn what_no_experiment_can_be_is_refused() {
        assert!(matches!(with(0, 4, Design::IndependentTrials), Err(BoundError::OneSided { .. })));
        let lengths = Experiment::new(vec![true, false], vec![0.0], Design::CoinInOneRun);
        assert_eq!(lengths, Err(BoundError::Lengths { scores: 1, truths: 2 }));
        let nan = Experiment::new(vec![true, false], vec![0.0, f64::NAN], Design::CoinInOneRun);
        assert_eq!(nan, Err(BoundError::NotFinite { index: 1 }));
    }

    #[test]
    fn an_inclusion_that_is_no_coin_is_refused_where_a_proof_needs_coins() {
        assert!(matches!(with(900, 1000, Design::CoinInOneRun), Err(BoundError::NoCoin { included: 900, .. })));
        assert!(with(900, 1000, Design::IndependentTrials).is_ok());
        // Four standard deviations: rare, and no proof of anything.
        assert!(with(563, 1000, Design::CoinInOneRun).is_ok());
    }
}
