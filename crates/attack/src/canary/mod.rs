//! White-box canary audit of the noise (D1 + D6): is the mechanism that runs as private as the accountant says?
//!
//! m canary units push along m orthonormal directions, each in or out of *all* T rounds by a fair coin. Canary i's score is
//! Σ_t ⟨u_i, output_t⟩ / C. It is T or 0 plus noise of standard deviation √T·z, so the threshold T/2, fixed before
//! anything is run, turns every canary into one independent trial of the mechanism's trade-off curve. Exact bounds on
//! both error rates give a lower bound on μ, hence on ε(δ). A lower bound above the accountant's ε is a bug, at the stated
//! confidence. No violation is no proof of privacy: [`CanaryAudit::detectable_noise_shortfall`] says what would have
//! been seen.
//!
//! [`run_canaries`] drives any mechanism, [`Pipeline`] is the real one (clip, quantise, sum, noise, wrap, ring sum,
//! decode), and [`Mutation`] breaks it on purpose: the controls that the audit must catch.
mod narrow;
mod pipeline;
mod whole_run;

pub use narrow::{Narrowed, narrow};
pub(crate) use pipeline::Wiring;
pub use pipeline::{CANARY_OVERSHOOT, Mutation, Pipeline, PipelineError, PipelineSpec};
use sottovoce_dp::gdp;
use sottovoce_types::{CanaryAudit, Delta, Epsilon, SCHEMA_VERSION, Verdict};
pub use whole_run::{WholeRun, WholeRunError, audit_whole_run};

use crate::bound::{BoundError, Design, ErrorCounts, Experiment, detectable_shortfall, gdp_mu_lower};
use crate::random::Stream;

pub use crate::bound::NOT_DETECTABLE;

/// The method and its sources, as written to [`CanaryAudit::method`].
pub const METHOD: &str = "D1+D6: white-box canaries on orthonormal directions, threshold fixed at half the signal, \
                          Clopper-Pearson bounds on both error rates, mu = qnorm(1-FPR) - qnorm(FNR). After Nasr et al., \
                          \"Tight Auditing of Differentially Private Machine Learning\", USENIX Security 2023 \
                          (arXiv:2302.07956), and Dong, Roth, Su, \"Gaussian Differential Privacy\", JRSS B 2022";

/// What is put in, fixed before anything is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CanaryDesign {
    /// Canaries m.
    pub canaries: usize,
    /// Rounds T that each takes part in, or not.
    pub rounds: u32,
    /// Seed of the coins; must not be the noise's.
    pub seed: u64,
}

/// What the accountant says of the audited rounds, and how sure the audit must be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CanaryClaim {
    /// ε that the accountant claims for these rounds.
    pub epsilon: Epsilon,
    /// δ of both.
    pub delta: Delta,
    /// Confidence of the lower bound, for example 0.99.
    pub confidence: f64,
    /// The audit is inconclusive when noise could fall short by more than this factor unseen.
    pub max_shortfall: f64,
}

/// The canaries' coins and scores.
#[derive(Clone, PartialEq, Debug)]
pub struct CanaryTrials {
    included: Vec<bool>,
    scores: Vec<f64>,
    rounds: u32,
}

/// Why an audit could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CanaryError<E: std::error::Error + 'static> {
    /// Too few canaries or no rounds.
    #[error("an audit needs at least 2 canaries and 1 round, but has {canaries} and {rounds}")]
    Empty {
        /// Canaries asked for.
        canaries: usize,
        /// Rounds asked for.
        rounds: u32,
    },
    /// The mechanism did not give one finite number per canary.
    #[error("round {round} gave {found} finite projections for {expected} canaries: one for each direction")]
    Shape {
        /// The round, from 1.
        round: u32,
        /// Canaries.
        expected: usize,
        /// Finite numbers found.
        found: usize,
    },
    /// The mechanism failed.
    #[error("the audited mechanism failed in round {round}: {source}")]
    Mechanism {
        /// The round, from 1.
        round: u32,
        /// Its error.
        source: E,
    },
}

/// Tosses the coins and runs `mechanism` for every round. It is given which canaries are in and returns, for each canary,
/// the projection of the released output on its direction in units of the clipping norm: `[canaries]`.
///
/// # Errors
/// [`CanaryError`] for an empty design, a wrong number of projections, or a failure of the mechanism.
pub fn run_canaries<E: std::error::Error + 'static>(
    design: CanaryDesign,
    mut mechanism: impl FnMut(&[bool]) -> Result<Vec<f64>, E>,
) -> Result<CanaryTrials, CanaryError<E>> {
    let CanaryDesign { canaries, rounds, seed } = design;
    if canaries < 2 || rounds == 0 {
        return Err(CanaryError::Empty { canaries, rounds });
    }
    let mut stream = Stream::new("canary-coins", seed);
    let included: Vec<bool> = (0..canaries).map(|_| stream.coin()).collect();
    let mut scores = vec![0.0; canaries];
    for round in 1..=rounds {
        let projections = mechanism(&included).map_err(|source| CanaryError::Mechanism { round, source })?;
        let found = projections.iter().filter(|p| p.is_finite()).count();
        if projections.len() != canaries || found != canaries {
            return Err(CanaryError::Shape { round, expected: canaries, found });
        }
        for (score, p) in scores.iter_mut().zip(projections) {
            *score += p;
        }
    }
    Ok(CanaryTrials { included, scores, rounds })
}

impl CanaryTrials {
    /// Which canaries were in.
    pub fn included(&self) -> &[bool] {
        &self.included
    }

    /// Σ_t ⟨u_i, output_t⟩ / C of each canary.
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// Errors of the test "in, when the score exceeds T/2".
    pub fn errors(&self) -> ErrorCounts {
        let threshold = f64::from(self.rounds) / 2.0;
        let mut counts = ErrorCounts::default();
        for (&inside, &score) in self.included.iter().zip(&self.scores) {
            if inside {
                counts.included += 1;
                counts.missed += u64::from(score <= threshold);
            } else {
                counts.excluded += 1;
                counts.false_alarms += u64::from(score > threshold);
            }
        }
        counts
    }

    /// The trials for the bounds: coins, and independent given the coins.
    ///
    /// # Errors
    /// [`BoundError`] when all coins fell on one side.
    pub fn experiment(&self) -> Result<Experiment, BoundError> {
        Experiment::new(self.included.clone(), self.scores.clone(), Design::CoinAndIndependent)
    }

    /// The empirical lower bound on ε beside the claim, and the verdict.
    pub fn audit(&self, claim: CanaryClaim) -> CanaryAudit {
        let alpha = 1.0 - claim.confidence;
        let mu_lower = gdp_mu_lower(self.errors(), alpha);
        // The lower end, because it is to be a lower bound.
        let epsilon_lower = if mu_lower > 0.0 { gdp::epsilon(mu_lower, claim.delta).lower } else { 0.0 };
        let mu_claimed = gdp::mu_budget(claim.epsilon, claim.delta);
        let shortfall = detectable_shortfall(self.scores.len() as u64, mu_claimed, alpha);
        let verdict = if epsilon_lower > claim.epsilon.value() {
            Verdict::Violation
        } else if shortfall > claim.max_shortfall {
            Verdict::Inconclusive
        } else {
            Verdict::NoViolation
        };
        CanaryAudit {
            schema: SCHEMA_VERSION,
            method: METHOD.into(),
            epsilon_claimed: claim.epsilon.value(),
            delta: claim.delta.value(),
            epsilon_lower,
            confidence: claim.confidence,
            canaries: u32::try_from(self.scores.len()).unwrap_or(u32::MAX),
            rounds: self.rounds,
            detectable_noise_shortfall: shortfall,
            verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::stats::{binomial_cdf, normal_quantile};

    fn ideal(design: CanaryDesign, z: f64) -> CanaryTrials {
        let mut noise = Stream::new("ideal-noise", design.seed);
        let mechanism = |included: &[bool]| -> Result<Vec<f64>, Infallible> {
            Ok(included.iter().map(|&i| f64::from(u8::from(i)) + z * noise.normal()).collect())
        };
        run_canaries(design, mechanism).unwrap()
    }

    fn claim(mu: f64, confidence: f64) -> CanaryClaim {
        let delta = Delta::new(1e-5).unwrap();
        let epsilon = Epsilon::new(gdp::epsilon(mu, delta).upper).unwrap();
        CanaryClaim { epsilon, delta, confidence, max_shortfall: 2.0 }
    }

    /// The largest count that stays within the one-sided 99.9 % band of Bin(n, p).
    fn band(n: u64, p: f64) -> u64 {
        (0..=n).find(|&k| binomial_cdf(k, n, p) >= 0.999).unwrap()
    }

    #[test]
    fn exactly_private_mechanisms_are_called_violations_no_more_often_than_alpha() {
        const REPETITIONS: u64 = 400;
        const ALPHA: f64 = 0.05;
        let (mut violations, mut plug_in, mut positive_at_nothing) = (0, 0, 0);
        for seed in 0..REPETITIONS {
            let design = CanaryDesign { canaries: 400, rounds: 4, seed };
            // √4 / 1 = 2: the claim is exact, so every violation is a false one.
            let trials = ideal(design, 1.0);
            violations += u64::from(trials.audit(claim(2.0, 1.0 - ALPHA)).verdict == Verdict::Violation);
            // The wrong input that this test catches: error rates as counted, without their bounds.
            let e = trials.errors();
            let rate = |k: u64, n: u64| k as f64 / n as f64;
            let naive =
                -normal_quantile(rate(e.false_alarms, e.excluded)) - normal_quantile(rate(e.missed, e.included));
            plug_in += u64::from(naive > 2.0);
            // ε = 0: what is released has nothing to do with the canaries.
            positive_at_nothing += u64::from(gdp_mu_lower(ideal_nothing(design).errors(), ALPHA) > 0.0);
        }
        let allowed = band(REPETITIONS, ALPHA);
        assert!(violations <= allowed, "{violations} false violations, {allowed} allowed");
        assert!(positive_at_nothing <= allowed, "{positive_at_nothing} positive bounds at epsilon 0");
        assert!(plug_in > allowed, "this test has no power: {plug_in}");
    }

    fn ideal_nothing(design: CanaryDesign) -> CanaryTrials {
        let mut noise = Stream::new("nothing-noise", design.seed);
        let half = |included: &[bool]| -> Result<Vec<f64>, Infallible> {
            Ok(included.iter().map(|_| 0.5 + noise.normal()).collect())
        };
        run_canaries(design, half).unwrap()
    }

    #[test]
    fn the_power_that_is_printed_is_the_power_there_is() {
        let design = |seed| CanaryDesign { canaries: 600, rounds: 1, seed };
        let printed = ideal(design(0), 0.5).audit(claim(2.0, 0.95)).detectable_noise_shortfall;
        assert!((1.05..1.6).contains(&printed), "{printed}");
        let caught = (0..200)
            .filter(|&s| ideal(design(s), 0.5 / printed).audit(claim(2.0, 0.95)).verdict == Verdict::Violation)
            .count() as u64;
        // Power 0.95: fewer than the 0.1 % quantile of Bin(200, 0.95) would contradict it.
        assert!(200 - caught <= band(200, 0.05), "{caught} of 200 caught");
    }

    #[test]
    fn the_bound_of_an_exact_mechanism_is_close_to_the_truth() {
        // attacks.md 4.3: 1000 ideal canaries certify 6.65 of ε = 8 on average.
        let audit = ideal(CanaryDesign { canaries: 1000, rounds: 1, seed: 5 }, 1.0 / 1.666).audit(claim(1.666, 0.95));
        assert!((5.8..7.6).contains(&audit.epsilon_lower), "{audit:?}");
        assert_eq!(audit.verdict, Verdict::NoViolation);
    }

    #[test]
    fn an_audit_without_power_is_inconclusive_and_not_green() {
        let audit = ideal(CanaryDesign { canaries: 20, rounds: 1, seed: 5 }, 0.1).audit(claim(10.0, 0.95));
        assert_eq!(audit.verdict, Verdict::Inconclusive);
        assert!(audit.detectable_noise_shortfall >= NOT_DETECTABLE);
    }

    #[test]
    fn malformed_designs_and_outputs_are_refused() {
        let ok = |n: usize| move |_: &[bool]| -> Result<Vec<f64>, Infallible> { Ok(vec![0.0; n]) };
        let design = CanaryDesign { canaries: 3, rounds: 2, seed: 1 };
        assert!(matches!(run_canaries(CanaryDesign { canaries: 1, ..design }, ok(1)), Err(CanaryError::Empty { .. })));
        assert!(matches!(run_canaries(CanaryDesign { rounds: 0, ..design }, ok(3)), Err(CanaryError::Empty { .. })));
        assert!(matches!(run_canaries(design, ok(2)), Err(CanaryError::Shape { round: 1, .. })));
    }
}
