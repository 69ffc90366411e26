//! What a Bayesian believes of ε.
use sottovoce_types::Delta;
use statrs::function::beta::{beta_reg, ln_beta};

use super::threshold::{ErrorCounts, split};
use super::{Bound, BoundError, EpsilonLower, Experiment, Kind, Needs, SpeaksOf, Strategy, admit, largest_rejected};

/// Points of the integral over the posterior of the rate of false alarms.
const POINTS: usize = 1200;

/// The lower end of a one-sided credible interval: FPR and FNR have independent Beta(½ + errors, ½ + others) posteriors
/// (Jeffreys' prior), and ε is believed to exceed the bound with probability 1 − α. Of the four edges of the privacy region only the two
/// of a test that means what its scores say are used: with all four, every mechanism has a positive bound.
///
/// It promises no rate of false alarms: never a gate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bayesian;

impl Bound for Bayesian {
    fn name(&self) -> &'static str {
        "bayesian-credible"
    }

    fn citation(&self) -> &'static str {
        "Zanella-Béguelin et al., \"Bayesian Estimation of Differential Privacy\", ICML 2023 (arXiv:2206.05199), Section 4"
    }

    fn needs(&self) -> Needs {
        Needs::IndependentTrials
    }

    fn speaks_of(&self) -> SpeaksOf {
        SpeaksOf::AnyMechanism
    }

    fn kind(&self) -> Kind {
        Kind::Credible
    }

    fn rejects(
        &self,
        experiment: &Experiment,
        epsilon: f64,
        delta: Delta,
        alpha: f64,
        strategy: Strategy,
    ) -> Result<bool, BoundError> {
        let counts = self.counts(experiment, alpha, strategy)?;
        Ok(Posterior::new(counts).exceeds(epsilon, delta.value()) > 1.0 - alpha)
    }

    fn lower(
        &self,
        experiment: &Experiment,
        delta: Delta,
        alpha: f64,
        strategy: Strategy,
    ) -> Result<EpsilonLower, BoundError> {
        let posterior = Posterior::new(self.counts(experiment, alpha, strategy)?);
        let epsilon = largest_rejected(|e| posterior.exceeds(e, delta.value()) > 1.0 - alpha);
        Ok(EpsilonLower { epsilon, mu: None, delta: delta.value(), alpha, kind: self.kind() })
    }
}

impl Bayesian {
    fn counts(self, experiment: &Experiment, alpha: f64, strategy: Strategy) -> Result<ErrorCounts, BoundError> {
        admit(&self, experiment, alpha)?;
        match strategy {
            Strategy::Explicit(threshold) => Ok(ErrorCounts::at(experiment, threshold)),
            Strategy::Split { fraction, seed } => {
                let (choosing, judged) = split(experiment, fraction, seed)?;
                // Half way between the two means: what a posterior is asked about need not be the best of anything.
                let mean = |inside: bool| {
                    let of: Vec<f64> = choosing
                        .included()
                        .iter()
                        .zip(choosing.scores())
                        .filter(|(i, _)| **i == inside)
                        .map(|(_, s)| *s)
                        .collect();
                    (!of.is_empty()).then(|| of.iter().sum::<f64>() / of.len() as f64)
                };
                let threshold = match (mean(true), mean(false)) {
                    (Some(a), Some(b)) => f64::midpoint(a, b),
                    (Some(a), None) | (None, Some(a)) => a,
                    (None, None) => 0.0,
                };
                Ok(ErrorCounts::at(&judged, threshold))
            }
            Strategy::Bonferroni | Strategy::Guesses { .. } => Err(BoundError::Strategy {
                bound: self.name(),
                strategy: strategy.name(),
                mend: "a posterior is of one threshold: give it, or split",
            }),
        }
    }
}

/// The posterior density of FPR on a grid, and the parameters of that of FNR.
struct Posterior {
    fpr: Vec<(f64, f64)>,
    fnr: (f64, f64),
}

impl Posterior {
    fn new(counts: ErrorCounts) -> Self {
        let shape = |errors: u64, n: u64| (errors as f64 + 0.5, (n - errors) as f64 + 0.5);
        let (a, b) = shape(counts.false_alarms, counts.excluded);
        // x = sin²(t) takes both ends of the density, which may be infinite there, to finite ones: dx = 2 sin t cos t dt. The
        // range is where the mass is: 12 standard deviations about the mean in t, whose variance is near 1/(4(a + b)).
        let middle = (a / (a + b)).sqrt().asin();
        let reach = 6.0 / (a + b).sqrt();
        let (from, to) = ((middle - reach).max(0.0), (middle + reach).min(std::f64::consts::FRAC_PI_2));
        let width = (to - from) / POINTS as f64;
        let weight = |t: f64| {
            let (s, c) = t.sin_cos();
            (2.0 * (a - 0.5) * s.ln() + 2.0 * (b - 0.5) * c.ln() - ln_beta(a, b)).exp() * 2.0 * width
        };
        let fpr: Vec<(f64, f64)> = (0..POINTS)
            .map(|i| {
                let t = from + (i as f64 + 0.5) * width;
                (t.sin().powi(2), weight(t))
            })
            .collect();
        let mass: f64 = fpr.iter().map(|(_, w)| w).sum();
        Self { fpr: fpr.into_iter().map(|(x, w)| (x, w / mass)).collect(), fnr: shape(counts.missed, counts.included) }
    }

    /// P\[ε > `epsilon`\]: FNR below max(1 − δ − e^ε·FPR, e^(−ε)·(1 − δ − FPR)).
    fn exceeds(&self, epsilon: f64, delta: f64) -> f64 {
        let odds = epsilon.exp();
        let below = |fpr: f64| {
            let edge = (1.0 - delta - odds * fpr).max((1.0 - delta - fpr) / odds);
            if edge <= 0.0 { 0.0 } else { beta_reg(self.fnr.0, self.fnr.1, edge.min(1.0)) }
        };
        self.fpr.iter().filter(|(_, w)| *w > 1e-14).map(|&(x, w)| w * below(x)).sum()
    }
}
