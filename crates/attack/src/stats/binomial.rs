//! The normal and the binomial distribution, and exact intervals for a proportion.
use sottovoce_types::Interval;
use statrs::function::beta::beta_reg;
use statrs::function::erf::{erfc, erfc_inv};

/// Φ(x), the standard normal distribution function.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * erfc(-x / std::f64::consts::SQRT_2)
}

/// Φ⁻¹(p); −∞ at 0 and +∞ at 1.
pub fn normal_quantile(p: f64) -> f64 {
    if p <= 0.0 {
        f64::NEG_INFINITY
    } else if p >= 1.0 {
        f64::INFINITY
    } else {
        -std::f64::consts::SQRT_2 * erfc_inv(2.0 * p)
    }
}

/// P\[Bin(n, p) ≤ k\], through the regularised incomplete beta function: I_{1−p}(n − k, k + 1).
pub fn binomial_cdf(k: u64, n: u64, p: f64) -> f64 {
    if k >= n || p <= 0.0 {
        1.0
    } else if p >= 1.0 {
        0.0
    } else {
        beta_reg((n - k) as f64, (k + 1) as f64, 1.0 - p)
    }
}

/// The upper end of the one-sided exact interval for a proportion at level 1 − `alpha` (Clopper and Pearson 1934):
/// the largest p under which `successes` or fewer of `trials` still have probability `alpha`. 1 without trials.
pub fn clopper_pearson_upper(successes: u64, trials: u64, alpha: f64) -> f64 {
    if successes >= trials {
        return 1.0;
    }
    // P[Bin(n, p) ≤ k] falls with p: bisection keeps `low` where it is above alpha and returns the safe end.
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if binomial_cdf(successes, trials, middle) > alpha { low = middle } else { high = middle }
    }
    high
}

/// The two-sided exact interval for a proportion at level 1 − `alpha` (Clopper and Pearson 1934).
pub fn clopper_pearson(successes: u64, trials: u64, alpha: f64) -> Interval {
    let high = clopper_pearson_upper(successes, trials, alpha / 2.0);
    // Swapping success and failure mirrors the interval.
    let low = 1.0 - clopper_pearson_upper(trials.saturating_sub(successes), trials, alpha / 2.0);
    Interval { low, high }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    }

    #[test]
    fn clopper_pearson_agrees_with_closed_forms_and_with_the_sum_of_terms() {
        // No success in n trials: 1 − (α/2)^{1/n}. All: (α/2)^{1/n}.
        close(clopper_pearson(0, 100, 0.05).high, 1.0 - 0.025f64.powf(0.01));
        close(clopper_pearson(0, 100, 0.05).low, 0.0);
        close(clopper_pearson(100, 100, 0.05).low, 0.025f64.powf(0.01));
        // 4 of 20, by bisection on the sums of binomial terms themselves (Python, math.comb): 0.05733, 0.43661.
        let four = clopper_pearson(4, 20, 0.05);
        assert!((four.low - 0.05733).abs() < 1e-5 && (four.high - 0.43661).abs() < 1e-5, "{four:?}");
    }

    #[test]
    fn without_trials_a_proportion_is_unknown() {
        assert_eq!(clopper_pearson(0, 0, 0.05), Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn the_normal_quantile_inverts_the_distribution_function() {
        close(normal_quantile(0.975), 1.959_963_985);
        for x in [-6.0, -2.5, -0.1, 0.0, 1.3, 5.0] {
            assert!((normal_quantile(normal_cdf(x)) - x).abs() < 1e-6, "{x}");
        }
        assert!(normal_quantile(0.0) < f64::MIN && normal_quantile(1.0) > f64::MAX);
    }

    #[test]
    fn the_binomial_distribution_function_is_the_sum_of_its_terms() {
        // Bin(4, 0.3): 0.2401 + 0.4116 = 0.6517 for k ≤ 1.
        close(binomial_cdf(1, 4, 0.3), 0.6517);
        close(binomial_cdf(4, 4, 0.3), 1.0);
    }
}
