//! μ from both error rates: the bound for Gaussian mechanisms.
use sottovoce_dp::gdp;
use sottovoce_types::Delta;

use super::threshold::{Rates, rates, simultaneous};
use super::{Bound, BoundError, EpsilonLower, ErrorCounts, Experiment, Needs, SpeaksOf, Strategy, admit};
use crate::stats::normal_quantile;

/// A lower bound on μ at level 1 − `alpha`: Φ⁻¹(1 − FPR_hi) − Φ⁻¹(FNR_hi), each rate at its one-sided Clopper-Pearson
/// bound at α/2. A μ-GDP mechanism has FNR ≥ Φ(Φ⁻¹(1 − FPR) − μ) for every test (Dong, Roth, Su 2022, Definition 3), so a
/// larger bound contradicts μ. Valid for independent trials: orthonormal canaries, a fixed threshold. At most 0 means
/// nothing.
pub fn gdp_mu_lower(errors: ErrorCounts, alpha: f64) -> f64 {
    mu(rates(errors, alpha))
}

fn mu(r: Rates) -> f64 {
    // Φ⁻¹(1 − p) = −Φ⁻¹(p), which keeps the digits of a small p.
    let mu = -normal_quantile(r.fpr) - normal_quantile(r.fnr);
    if mu.is_nan() { f64::NEG_INFINITY } else { mu }
}

/// [`gdp_mu_lower`], and the ε(δ) of that μ. It contradicts a claim of Gaussian differential privacy; of a mechanism that is
/// (ε, δ) and not Gaussian it says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GdpClopperPearson;

impl Bound for GdpClopperPearson {
    fn name(&self) -> &'static str {
        "gdp-clopper-pearson"
    }

    fn citation(&self) -> &'static str {
        "Nasr et al., \"Tight Auditing of Differentially Private Machine Learning\", USENIX Security 2023 (arXiv:2302.07956); Dong, \
         Roth, Su, \"Gaussian Differential Privacy\", JRSS B 2022, Corollary 2.13"
    }

    fn needs(&self) -> Needs {
        Needs::IndependentTrials
    }

    fn speaks_of(&self) -> SpeaksOf {
        SpeaksOf::GaussianMechanisms
    }

    fn rejects(
        &self,
        experiment: &Experiment,
        epsilon: f64,
        delta: Delta,
        alpha: f64,
        strategy: Strategy,
    ) -> Result<bool, BoundError> {
        Ok(self.lower(experiment, delta, alpha, strategy)?.epsilon > epsilon)
    }

    fn lower(
        &self,
        experiment: &Experiment,
        delta: Delta,
        alpha: f64,
        strategy: Strategy,
    ) -> Result<EpsilonLower, BoundError> {
        admit(self, experiment, alpha)?;
        let found = simultaneous(self.name(), experiment, alpha, strategy, mu)?;
        let mu = found.into_iter().map(mu).fold(f64::NEG_INFINITY, f64::max).max(0.0);
        Ok(EpsilonLower {
            epsilon: epsilon_of(mu, delta),
            mu: Some(mu),
            delta: delta.value(),
            alpha,
            kind: self.kind(),
        })
    }
}

/// The lower end of ε at δ of a μ-GDP mechanism.
pub(super) fn epsilon_of(mu: f64, delta: Delta) -> f64 {
    if mu > 0.0 { gdp::epsilon(mu, delta).lower } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfect_scores_certify_what_so_many_trials_can_and_no_trials_certify_nothing() {
        let perfect = ErrorCounts { included: 500, missed: 0, excluded: 500, false_alarms: 0 };
        // 1 − 0.025^{1/500} = 0.00735; −2·Φ⁻¹(0.00735) = 4.88.
        assert!((gdp_mu_lower(perfect, 0.05) - 4.88).abs() < 0.01);
        assert!(gdp_mu_lower(ErrorCounts::default(), 0.05) <= 0.0);
        let hopeless = ErrorCounts { included: 5, missed: 5, excluded: 5, false_alarms: 5 };
        assert!(gdp_mu_lower(hopeless, 0.05) <= 0.0);
    }
}
