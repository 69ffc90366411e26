//! ε at δ of μ-Gaussian differential privacy, to the precision of a drawing.
//!
//! Only the curve over rounds is drawn with this; every ε that a report states in words or tables is the accountant's.

/// The smallest ε with δ(ε) ≤ `delta`, where δ(ε) = Φ(−ε/μ + μ/2) − e^ε·Φ(−ε/μ − μ/2) (Dong, Roth and Su 2022,
/// Corollary 2.13); 0 for μ = 0, `NaN` outside the ranges of μ and δ.
pub(crate) fn epsilon(mu: f64, delta: f64) -> f64 {
    if !(mu.is_finite() && mu >= 0.0 && delta > 0.0 && delta < 1.0) {
        return f64::NAN;
    }
    if mu == 0.0 || delta_of(mu, 0.0) <= delta {
        return 0.0;
    }
    let mut high = 1.0;
    while delta_of(mu, high) > delta {
        high *= 2.0;
    }
    let mut low = 0.0;
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if delta_of(mu, middle) > delta { low = middle } else { high = middle }
    }
    high
}

fn delta_of(mu: f64, epsilon: f64) -> f64 {
    let tail = |z: f64| ln_upper_tail(z);
    tail(epsilon / mu - mu / 2.0).exp() - (epsilon + tail(epsilon / mu + mu / 2.0)).exp()
}

/// ln P\[N(0, 1) > z\], by the Chebyshev fit of the complementary error function in Press et al., "Numerical Recipes",
/// §6.2 (relative error below 1.2e-7).
fn ln_upper_tail(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    let fit = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let polynomial = fit.iter().rev().fold(0.0, |sum, c| sum * t + c);
    let ln_tail = (0.5 * t).ln() - x * x + polynomial;
    if z >= 0.0 { ln_tail } else { (-ln_tail.exp()).ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_passes_through_known_pairs() {
        // δ = 1e-5: μ for each ε by bisection with Python's math.erfc, to five decimals.
        for (eps, mu) in [(1.0, 0.26805), (2.0, 0.50155), (4.0, 0.92493), (8.0, 1.66603), (16.0, 2.90548)] {
            let found = epsilon(mu, 1e-5);
            assert!((found / eps - 1.0).abs() < 5e-4, "ε({mu}) = {found}, not {eps}");
        }
    }

    #[test]
    fn what_has_no_epsilon_is_not_a_number() {
        assert!(epsilon(0.0, 1e-5).abs() < 1e-12);
        assert!(epsilon(f64::NAN, 1e-5).is_nan());
        assert!(epsilon(1.0, 0.0).is_nan());
        assert!(epsilon(60.0, 1e-5).is_finite());
    }
}
