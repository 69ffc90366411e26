//! Bounds on mechanisms that keep their promise exactly.
use serde::Serialize;
use sottovoce_dp::gdp;
use sottovoce_types::Delta;

use crate::bound::{self, Bound, BoundError, Design, Experiment, Needs, SpeaksOf, Strategy};
use crate::random::Stream;
use crate::stats::binomial_cdf;

/// Mechanisms simulated for each row.
const REPETITIONS: u64 = 1000;
/// Canaries of each.
const CANARIES: usize = 200;
/// α of every bound.
const ALPHA: f64 = 0.05;
/// ε of the mechanisms that release something.
const EPSILON: f64 = 2.0;
/// μ of the Gaussian ones.
const MU: f64 = 1.0;

/// How often one bound with one strategy called a private mechanism broken.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NullRow {
    /// The bound.
    pub bound: &'static str,
    /// The strategy.
    pub strategy: &'static str,
    /// The mechanism, in words.
    pub mechanism: String,
    /// α of the bound.
    pub alpha: f64,
    /// Mechanisms simulated.
    pub repetitions: u64,
    /// False alarms among them.
    pub alarms: u64,
    /// The most that a binomial law of α allows with probability 0.999.
    pub allowed: u64,
    /// Whether it stays within. Credible intervals promise nothing and always pass.
    pub passed: bool,
}

/// What is simulated.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Mechanism {
    /// Scores have nothing to do with who was in.
    Nothing,
    /// Randomised response (Warner 1965): the coin is told rightly with probability e^ε/(1 + e^ε). Exactly ε, and no auditor can do better.
    RandomisedResponse,
    /// The Gaussian mechanism: N(μ, 1) for who was in, N(0, 1) for who was out. Exactly μ-GDP.
    Gaussian,
}

/// Every bound with every strategy that it has, on ε = 0 and on exactly what is claimed. `repetitions` of `None` is 1000.
///
/// # Errors
/// [`BoundError`], which would be a defect of the suite.
pub fn null_suite(repetitions: Option<u64>) -> Result<Vec<NullRow>, BoundError> {
    let repetitions = repetitions.unwrap_or(REPETITIONS);
    let mut rows = Vec::new();
    for bound in bound::all() {
        for strategy in strategies(bound.as_ref()) {
            let exact = match bound.speaks_of() {
                SpeaksOf::AnyMechanism => Mechanism::RandomisedResponse,
                SpeaksOf::GaussianMechanisms => Mechanism::Gaussian,
            };
            for mechanism in [Mechanism::Nothing, exact] {
                let mut alarms = 0;
                for seed in 0..repetitions {
                    alarms += u64::from(false_alarm(bound.as_ref(), strategy, mechanism, seed)?);
                }
                let allowed =
                    (0..=repetitions).find(|&k| binomial_cdf(k, repetitions, ALPHA) >= 0.999).unwrap_or(repetitions);
                let credible = bound.kind() == bound::Kind::Credible;
                rows.push(NullRow {
                    bound: bound.name(),
                    strategy: strategy.name(),
                    mechanism: mechanism.in_words(),
                    alpha: ALPHA,
                    repetitions,
                    alarms,
                    allowed,
                    passed: credible || alarms <= allowed,
                });
            }
        }
    }
    Ok(rows)
}

impl Mechanism {
    fn in_words(self) -> String {
        match self {
            Self::Nothing => "releases nothing".to_owned(),
            Self::RandomisedResponse => format!("randomised response, epsilon = {EPSILON}"),
            Self::Gaussian => format!("Gaussian, mu = {MU}"),
        }
    }

    fn run(self, seed: u64) -> Result<Experiment, BoundError> {
        let mut s = Stream::new("null-suite", seed);
        let included: Vec<bool> = (0..CANARIES).map(|_| s.coin()).collect();
        let right = 1.0 / (1.0 + (-EPSILON).exp());
        let scores = included
            .iter()
            .map(|&inside| match self {
                Self::Nothing => s.normal(),
                Self::RandomisedResponse => f64::from(u8::from((s.uniform() < right) == inside)),
                Self::Gaussian => MU * f64::from(u8::from(inside)) + s.normal(),
            })
            .collect();
        Experiment::new(included, scores, Design::CoinAndIndependent)
    }
}

fn strategies(bound: &dyn Bound) -> Vec<Strategy> {
    let explicit = Strategy::Explicit(0.5);
    let split = Strategy::Split { fraction: 0.3, seed: 1 };
    match (bound.needs(), bound.kind()) {
        (_, bound::Kind::Credible) => vec![explicit],
        (Needs::Coins, _) => vec![explicit, Strategy::Guesses { fraction: 1.0 }, split, Strategy::Bonferroni],
        (Needs::IndependentTrials, _) => vec![explicit, split, Strategy::Bonferroni],
    }
}

fn false_alarm(bound: &dyn Bound, strategy: Strategy, mechanism: Mechanism, seed: u64) -> Result<bool, BoundError> {
    let delta = Delta::new(1e-9).expect("a constant in range");
    let claimed = match mechanism {
        Mechanism::Nothing => 0.0,
        Mechanism::RandomisedResponse => EPSILON,
        Mechanism::Gaussian => gdp::epsilon(MU, delta).upper,
    };
    let strategy = match strategy {
        Strategy::Split { fraction, .. } => Strategy::Split { fraction, seed },
        other => other,
    };
    bound.rejects(&mechanism.run(seed)?, claimed, delta, ALPHA, strategy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claim_no_bound_cries_wolf_more_often_than_alpha() {
        let rows = null_suite(Some(300)).unwrap();
        assert_eq!(rows.len(), 2 * (3 + 4 + 4 + 4 + 3 + 1));
        for row in &rows {
            assert!(row.passed, "{row:?}");
        }
        // A suite on which nothing ever alarms would pass with any bound: explicit thresholds alarm about as often as they may.
        let exact =
            rows.iter().filter(|r| r.strategy == "explicit" && r.bound == "one-run").map(|r| r.alarms).sum::<u64>();
        assert!(exact > 8, "{exact}");
    }
}
