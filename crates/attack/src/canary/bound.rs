//! From error counts to a lower bound on μ, and the power of that bound.
use crate::stats::{binomial_cdf, clopper_pearson_upper, normal_cdf, normal_quantile};

/// [`detectable_shortfall`] when no shortfall would be caught. Finite, because JSON has no infinity; larger than any
/// gate.
pub const NOT_DETECTABLE: f64 = f64::MAX;

/// The largest shortfall that is searched: noise at a 64th of what was claimed.
const SEARCH_END: f64 = 64.0;

/// The power at which a shortfall counts as detectable.
const POWER: f64 = 0.95;

/// Errors of a membership test whose threshold was fixed in advance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ErrorCounts {
    /// Canaries that were in.
    pub included: u64,
    /// Of those, how many were called out (false negatives).
    pub missed: u64,
    /// Canaries that were out.
    pub excluded: u64,
    /// Of those, how many were called in (false positives).
    pub false_alarms: u64,
}

/// A lower bound on μ at level 1 − `alpha`: Φ⁻¹(1 − FPR_hi) − Φ⁻¹(FNR_hi), each rate at its one-sided Clopper-Pearson
/// bound at α/2. A μ-GDP mechanism has FNR ≥ Φ(Φ⁻¹(1 − FPR) − μ) for every test (Dong, Roth, Su 2022, Definition 3), so a
/// larger bound contradicts μ. Valid for independent trials: orthonormal canaries, a fixed threshold. At most 0 means
/// nothing.
pub fn gdp_mu_lower(errors: ErrorCounts, alpha: f64) -> f64 {
    let fpr = clopper_pearson_upper(errors.false_alarms, errors.excluded, alpha / 2.0);
    let fnr = clopper_pearson_upper(errors.missed, errors.included, alpha / 2.0);
    // Φ⁻¹(1 − p) = −Φ⁻¹(p), which keeps the digits of a small p.
    let mu = -normal_quantile(fpr) - normal_quantile(fnr);
    if mu.is_nan() { f64::NEG_INFINITY } else { mu }
}

/// The smallest factor k by which noise could fall short (σ/k, so kμ) and be called a violation of `mu_claimed` with
/// probability 0.95, with `canaries` canaries, half of them in. [`NOT_DETECTABLE`] when there is none up to 64.
///
/// Exact for Gaussian scores: both error rates are Φ(−kμ/2), both counts binomial.
pub fn detectable_shortfall(canaries: u64, mu_claimed: f64, alpha: f64) -> f64 {
    let n = canaries / 2;
    // quantiles[k] = Φ⁻¹ of the upper bound for k errors in n, while one side alone could still make a violation.
    let mut quantiles = Vec::new();
    for errors in 0..n {
        let q = normal_quantile(clopper_pearson_upper(errors, n, alpha / 2.0));
        if -q - quantiles.first().copied().unwrap_or(q) <= mu_claimed {
            break;
        }
        quantiles.push(q);
    }
    // allowed[a] = the most errors on the other side that still make a violation with a errors on this one.
    let allowed: Vec<u64> =
        quantiles.iter().map(|q| quantiles.partition_point(|other| -q - other > mu_claimed) as u64 - 1).collect();
    let power = |k: f64| {
        let p = normal_cdf(-k * mu_claimed / 2.0);
        let mut below = 0.0;
        let mut power = 0.0;
        for (errors, &most) in (0u64..).zip(&allowed) {
            let up_to = binomial_cdf(errors, n, p);
            power += (up_to - below) * binomial_cdf(most, n, p);
            below = up_to;
        }
        power
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

    #[test]
    fn more_canaries_see_smaller_shortfalls() {
        let k: Vec<f64> = [50, 200, 1000, 5000].iter().map(|&m| detectable_shortfall(m, 1.5, 0.05)).collect();
        assert!(k.is_sorted_by(|a, b| a > b) && k[3] > 1.0 && k[3] < 1.15, "{k:?}");
        assert!(detectable_shortfall(4, 3.0, 0.05) >= NOT_DETECTABLE);
    }
}
