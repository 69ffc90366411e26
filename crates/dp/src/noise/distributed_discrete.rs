//! The published accounting of a *different* noise, for comparison: sums of discrete Gaussian shares (Kairouz, Liu & Steinke 2021,
//! "The Distributed Discrete Gaussian Mechanism for Federated Learning with Secure Aggregation", arXiv 2102.06387).
//!
//! Nothing here draws that noise, and no ledger charges by these formulas: our shares are rounded Gaussians (`sum_of_shares.md`).
//! Both corrections come from the same dual lattice, so τ is an independent check of our exponents.

/// log10 τ, per coordinate, for `shares` discrete Gaussians of standard deviation `sigma` grid steps:
/// τ = 10·Σ_{k=1}^{n−1} e^(−2π²σ²·k/(k+1)) (Proposition 14 with Equation 17). −∞ for one share.
pub fn log10_tau(sigma: f64, shares: u32) -> f64 {
    let rate = 2.0 * std::f64::consts::PI.powi(2) * sigma * sigma;
    // The first term is the largest; the rest is added relative to it, so that nothing underflows.
    let relative: f64 = (1..shares).map(|k| (-rate * (f64::from(k) / (f64::from(k) + 1.0) - 0.5)).exp()).sum();
    1.0 + relative.log10() - rate / 2.0 / std::f64::consts::LN_10
}

/// A query that is answered with a sum of discrete Gaussian shares.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DiscreteSum {
    /// Standard deviation of one share, in grid steps.
    pub sigma: f64,
    /// How many shares are summed.
    pub shares: u32,
    /// L2 sensitivity, in grid steps.
    pub l2: f64,
    /// L1 sensitivity, in grid steps.
    pub l1: f64,
    /// Dimension.
    pub coordinates: f64,
}

impl DiscreteSum {
    /// The Rényi divergence of order `alpha` > 1, the least of three bounds (Proposition 14):
    /// αΔ₂²/2 + τd; (α/2)(Δ₂² + 2Δ₁τ + τ²d); (α/2)(Δ₂ + τ√d)², with sensitivities in standard deviations of the sum.
    pub fn renyi(&self, alpha: f64) -> f64 {
        let tau = 10f64.powf(log10_tau(self.sigma, self.shares));
        let deviation = f64::from(self.shares).sqrt() * self.sigma;
        let (l2, l1) = (self.l2 / deviation, self.l1 / deviation);
        let separate = alpha * l2 * l2 / 2.0 + tau * self.coordinates;
        let expanded = alpha / 2.0 * (l2 * l2 + 2.0 * l1 * tau + tau * tau * self.coordinates);
        let joined = alpha / 2.0 * (l2 + tau * self.coordinates.sqrt()).powi(2);
        separate.min(expanded).min(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_three_bounds_is_the_least_somewhere() {
        let base = DiscreteSum { sigma: 1.0, shares: 2, l2: 1.0, l1: 1.0, coordinates: 1.0 };
        let tau = 10f64.powf(log10_tau(1.0, 2));
        let l2 = 1.0 / 2f64.sqrt();
        let close = |got: f64, expected: f64| assert!((got / expected - 1.0).abs() < 1e-12, "{got} {expected}");
        // One coordinate that moves by one step: 2Δ₁τ of the second and third is α/2 times smaller than 2τ at small orders.
        close(base.renyi(1.1), 0.55 * (l2 * l2 + 2.0 * l2 * tau + tau * tau));
        // A high order: the first does not grow with it.
        close(base.renyi(1e4), 5e3 * l2 * l2 + tau);
        // Many coordinates, all moved: Δ₁ = √d·Δ₂ or more, and the third is below the second.
        let spread = DiscreteSum { l1: 2000.0, coordinates: 1e6, ..base };
        close(spread.renyi(1.1), 0.55 * (l2 + tau * 1e3).powi(2));
        // A sparse change in many coordinates: the second.
        let sparse = DiscreteSum { coordinates: 1e6, ..base };
        close(sparse.renyi(1.1), 0.55 * (l2 * l2 + 2.0 * l2 * tau + tau * tau * 1e6));
    }

    #[test]
    fn one_share_needs_no_correction() {
        let one = DiscreteSum { sigma: 2.0, shares: 1, l2: 1.0, l1: 1.0, coordinates: 1e6 };
        assert!((one.renyi(2.0) - 0.25).abs() < 1e-15);
    }
}
