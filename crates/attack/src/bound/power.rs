//! What an audit can see before it is run: the largest ε that it could certify, and the smallest defect that it would catch.
use sottovoce_types::Delta;

use super::{Bound, BoundError, Design, ErrorCounts, Experiment, Needs, Strategy, gdp_mu_lower};
use crate::stats::{binomial_cdf, clopper_pearson_upper, normal_cdf, normal_quantile};

/// [`detectable_shortfall`] when no shortfall would be caught. Finite, because JSON has no infinity; larger than any
/// gate.
pub const NOT_DETECTABLE: f64 = f64::MAX;

/// The largest shortfall that is searched: noise at a 64th of what was claimed.
const SEARCH_END: f64 = 64.0;

/// The power at which a shortfall counts as detectable.
const POWER: f64 = 0.95;

/// The ε that `bound` certifies from `canaries` canaries, half of them in, when every one is told rightly: no audit of so many can
/// certify more.
///
/// # Errors
/// [`BoundError`] for fewer than 2 canaries or an α out of range.
pub fn certifiable(bound: &dyn Bound, canaries: usize, delta: Delta, alpha: f64) -> Result<f64, BoundError> {
    let included: Vec<bool> = (0..canaries).map(|i| i % 2 == 0).collect();
    let scores = included.iter().map(|&i| f64::from(u8::from(i))).collect();
    let experiment = Experiment::new(included, scores, Design::CoinAndIndependent)?;
    let strategy = match bound.needs() {
        Needs::Coins => Strategy::Guesses { fraction: 1.0 },
        Needs::IndependentTrials => Strategy::Explicit(0.5),
    };
    Ok(bound.lower(&experiment, delta, alpha, strategy)?.epsilon)
}

/// The μ that [`gdp_mu_lower`] certifies of a mechanism with `mu` at the error counts that are expected: both rates Φ(−μ/2).
pub fn expected_mu_lower(canaries: u64, mu: f64, alpha: f64) -> f64 {
    let n = canaries / 2;
    let errors = (normal_cdf(-mu / 2.0) * n as f64).round() as u64;
    gdp_mu_lower(ErrorCounts { included: n, missed: errors, excluded: n, false_alarms: errors }, alpha).max(0.0)
}

/// [`detectable_shortfall_in_stages`] with one stage.
pub fn detectable_shortfall(canaries: u64, mu_claimed: f64, alpha: f64) -> f64 {
    detectable_shortfall_in_stages(canaries, mu_claimed, &[alpha])
}

/// The smallest factor k by which noise could fall short (σ/k, so kμ) and be called a violation of `mu_claimed` with
/// probability 0.95 in every one of the stages, each with fresh seeds at its own α, with `canaries` canaries, half of them
/// in. [`NOT_DETECTABLE`] when there is none up to 64.
///
/// Exact for Gaussian scores: both error rates are Φ(−kμ/2), both counts binomial.
pub fn detectable_shortfall_in_stages(canaries: u64, mu_claimed: f64, alphas: &[f64]) -> f64 {
    let stages: Vec<Stage> = alphas.iter().map(|&alpha| Stage::new(canaries / 2, mu_claimed, alpha)).collect();
    let power = |k: f64| -> f64 {
        let p = normal_cdf(-k * mu_claimed / 2.0);
        stages.iter().map(|s| s.power(p)).product()
    };
    if power(SEARCH_END) < POWER {
        return NOT_DETECTABLE;
    }
    let (mut low, mut high) = (1.0, SEARCH_END);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if power(middle) < POWER { low = middle } else { high = middle }
    }
    high
}

/// Which pairs of error counts are a violation at one α.
struct Stage {
    n: u64,
    /// allowed[a] = the most errors on the other side that still make a violation with a errors on this one.
    allowed: Vec<u64>,
}

impl Stage {
    fn new(n: u64, mu_claimed: f64, alpha: f64) -> Self {
        // quantiles[k] = Φ⁻¹ of the upper bound for k errors in n, while one side alone could still make a violation.
        let mut quantiles = Vec::new();
        for errors in 0..n {
            let q = normal_quantile(clopper_pearson_upper(errors, n, alpha / 2.0));
            if -q - quantiles.first().copied().unwrap_or(q) <= mu_claimed {
                break;
            }
            quantiles.push(q);
        }
        let allowed =
            quantiles.iter().map(|q| quantiles.partition_point(|other| -q - other > mu_claimed) as u64 - 1).collect();
        Self { n, allowed }
    }

    /// The probability of a violation when both error rates are `p`.
    fn power(&self, p: f64) -> f64 {
        let (mut below, mut power) = (0.0, 0.0);
        for (errors, &most) in (0u64..).zip(&self.allowed) {
            let up_to = binomial_cdf(errors, self.n, p);
            power += (up_to - below) * binomial_cdf(most, self.n, p);
            below = up_to;
        }
        power
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::{ClopperPearson, OneRun};

    #[test]
    fn more_canaries_see_smaller_shortfalls_and_two_stages_see_less_than_one() {
        let k: Vec<f64> = [50, 200, 1000, 5000].iter().map(|&m| detectable_shortfall(m, 1.5, 0.05)).collect();
        assert!(k.is_sorted_by(|a, b| a > b) && k[3] > 1.0 && k[3] < 1.15, "{k:?}");
        assert!(detectable_shortfall(4, 3.0, 0.05) >= NOT_DETECTABLE);
        let two = detectable_shortfall_in_stages(1000, 1.5, &[0.01, 1e-6]);
        assert!(two > detectable_shortfall(1000, 1.5, 1e-6), "{two}");
    }

    #[test]
    fn perfect_attacks_certify_the_published_ceilings() {
        // α = 0.05. One run: e^ε/(1 + e^ε) = 0.05^{1/m}. Clopper-Pearson of N a side: ln of the odds of 0.025^{1/N}.
        let delta = Delta::new(1e-12).unwrap();
        for (m, expected) in [(90, 3.39), (200, 4.19), (1000, 5.81), (5000, 7.42)] {
            let found = certifiable(&OneRun, m, delta, 0.05).unwrap();
            assert!((found - expected).abs() < 0.01, "{m}: {found}");
        }
        for (m, expected) in [(200, 3.28), (1000, 4.91), (2000, 5.60), (10_000, 7.21)] {
            let found = certifiable(&ClopperPearson, m, delta, 0.05).unwrap();
            assert!((found - expected).abs() < 0.01, "{m}: {found}");
        }
        assert!(certifiable(&OneRun, 1, delta, 0.05).is_err());
    }
}
