//! One training run against a whole trade-off curve.
use sottovoce_dp::gdp;
use sottovoce_types::{Delta, Epsilon};

use super::gaussian::epsilon_of;
use super::guesses::guesses;
use super::{Bound, BoundError, EpsilonLower, Experiment, Guesses, Needs, SpeaksOf, Strategy, admit, largest_rejected};
use crate::gate::Curve;

/// The curves that [`FDpOneRun`] tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// Gaussian mechanisms.
    Gaussian,
    /// f_{ε,δ}(x) = max(0, 1 − δ − e^ε·x, e^(−ε)·(1 − δ − x)): whatever satisfies (ε, δ).
    ApproximateDp,
}

/// Rejects a trade-off curve f by the number of right guesses of one run (Mahloujifar, Melis, Chaudhuri 2024, Algorithm 3
/// with abstentions). Of m canaries c' are guessed, c rightly. From r = αc/m and h = α(c' − c)/m, for i = c − 1 … 0:
/// h ← max(h, f⁻¹(1 − r)), r ← r + i/(c' − i)·Δh. f is rejected when r + h > c'/m. Tighter than [`super::OneRun`],
/// because it uses the curve and not one point of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FDpOneRun {
    /// Which curves.
    pub family: Family,
}

/// Whether `curve` is rejected by `guesses` at level `alpha`.
pub(crate) fn rejects_curve(curve: &Curve, guesses: Guesses, alpha: f64) -> bool {
    let (m, made, correct) = (guesses.canaries as f64, guesses.made as f64, guesses.correct as f64);
    let mut r = alpha * correct / m;
    let mut h = alpha * (made - correct) / m;
    for i in (0..guesses.correct).rev() {
        // The curves are symmetric, so f⁻¹ = f.
        let next = h.max(curve.miss_rate(1.0 - r));
        if next <= h {
            // Neither can change any more.
            break;
        }
        r = (r + i as f64 / (made - i as f64) * (next - h)).min(1.0);
        h = next;
    }
    r + h > made / m
}

impl Bound for FDpOneRun {
    fn name(&self) -> &'static str {
        match self.family {
            Family::Gaussian => "f-dp-one-run-gaussian",
            Family::ApproximateDp => "f-dp-one-run",
        }
    }

    fn citation(&self) -> &'static str {
        "Mahloujifar, Melis, Chaudhuri, \"Auditing f-Differential Privacy in One Run\", 2024 (arXiv:2410.22235), Algorithm 3"
    }

    fn needs(&self) -> Needs {
        Needs::Coins
    }

    fn speaks_of(&self) -> SpeaksOf {
        match self.family {
            Family::Gaussian => SpeaksOf::GaussianMechanisms,
            Family::ApproximateDp => SpeaksOf::AnyMechanism,
        }
    }

    fn rejects(
        &self,
        experiment: &Experiment,
        epsilon: f64,
        delta: Delta,
        alpha: f64,
        strategy: Strategy,
    ) -> Result<bool, BoundError> {
        let all = self.guesses(experiment, delta, alpha, strategy)?;
        let curve = match self.family {
            // The μ whose ε is no smaller than what is claimed, so that rounding never makes an alarm.
            Family::Gaussian => match Epsilon::new(epsilon) {
                Ok(e) => Curve::gaussian(gdp::mu_budget(e, delta)),
                Err(_) => Curve::gaussian(0.0),
            },
            Family::ApproximateDp => Curve::approximate(epsilon, delta.value()),
        };
        Ok(all.into_iter().any(|(g, share)| rejects_curve(&curve, g, share)))
    }

    fn lower(
        &self,
        experiment: &Experiment,
        delta: Delta,
        alpha: f64,
        strategy: Strategy,
    ) -> Result<EpsilonLower, BoundError> {
        let all = self.guesses(experiment, delta, alpha, strategy)?;
        let found = largest_rejected(|x| {
            let curve = self.curve(x, delta);
            all.iter().any(|(g, share)| rejects_curve(&curve, *g, *share))
        });
        let (epsilon, mu) = match self.family {
            Family::Gaussian => (epsilon_of(found, delta), Some(found)),
            Family::ApproximateDp => (found, None),
        };
        Ok(EpsilonLower { epsilon, mu, delta: delta.value(), alpha, kind: self.kind() })
    }
}

impl FDpOneRun {
    /// The family's curve: of μ, or of ε at `delta`.
    fn curve(self, parameter: f64, delta: Delta) -> Curve {
        match self.family {
            Family::Gaussian => Curve::gaussian(parameter),
            Family::ApproximateDp => Curve::approximate(parameter, delta.value()),
        }
    }

    fn guesses(
        self,
        experiment: &Experiment,
        delta: Delta,
        alpha: f64,
        strategy: Strategy,
    ) -> Result<Vec<(Guesses, f64)>, BoundError> {
        admit(&self, experiment, alpha)?;
        let worth = |g: Guesses| largest_rejected(|x| rejects_curve(&self.curve(x, delta), g, alpha));
        guesses(self.name(), experiment, alpha, strategy, worth)
    }
}
