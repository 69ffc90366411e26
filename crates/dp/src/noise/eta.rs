//! How far the sum of several rounded Gaussian shares is from one rounded Gaussian: the bound of `sum_of_shares.md`.
//!
//! Not charged by the ledger: at the 4 grid steps that [`super::NoiseShare`] demands it is below every float's last place. It is
//! here to be printed and to be tested.
use std::f64::consts::{LN_10, PI};
use std::ops::RangeInclusive;

use super::rounded_gaussian::Sigma;

/// Shells of Z^n that are counted one by one; what lies beyond is bounded as a whole.
const SHELLS: u8 = 16;

/// An upper bound of log10 η(s, n), over all n in `shares`: the law of one coordinate of the sum of n independent shares
/// round(N(0, s²)) is within a factor 1 ± η of a rounded N(0, ns²) (`sum_of_shares.md`, theorem 1). `sigma` is s, in grid steps.
///
/// −∞ when no sum has two shares; +∞ when `sigma` is too small for a bound. The last digits are rounded up by 10^−9.
///
/// # Panics
/// When the range is empty.
pub fn log10_eta(sigma: Sigma, shares: RangeInclusive<u32>) -> f64 {
    assert!(!shares.is_empty(), "at least one number of shares");
    let (least, most) = (f64::from((*shares.start()).max(2)), *shares.end());
    if most < 2 {
        return f64::NEG_INFINITY;
    }
    let rate = 2.0 * PI * PI * sigma.to_f64() * sigma.to_f64(); // −ln q
    let counts = shell_sizes(most);
    let inner = (1..SHELLS).map(|t| counts[usize::from(t)].ln() - rate * exponent(f64::from(t), least));
    let Some(outer) = beyond(rate, f64::from(most)) else { return f64::INFINITY };
    let logs: Vec<f64> = inner.chain([outer]).collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|l| (l - largest).exp()).sum();
    (largest + sum.ln()) / LN_10 + 1e-9
}

/// What `rounds` rounds of `coordinates` coordinates cost in ε beyond the Gaussian mechanism, when each has this log10 η:
/// 2dT·ln(1/(1 − η)) (`sum_of_shares.md`, theorem 2). δ grows by a factor of e to the half of it. Infinite from η = 1.
pub fn extra_epsilon(log10_eta: f64, coordinates: u64, rounds: u64) -> f64 {
    let eta = 10f64.powf(log10_eta);
    if eta >= 1.0 {
        return f64::INFINITY;
    }
    let factors = sottovoce_encode::exact::u64_to_f64(coordinates) * sottovoce_encode::exact::u64_to_f64(rounds);
    // 10^x carries a relative error of about |x|·2^−50 here, and the products a few units more.
    -2.0 * factors * (-eta).ln_1p() * (1.0 + 1e-9)
}

/// A lower bound of |w|² for a dual vector whose shortest preimage in Z^n has squared norm t, for every n ≥ `least`:
/// t(1 − t/n) up to t = n/2, then t/2. It grows with n.
fn exponent(t: f64, least: f64) -> f64 {
    if 2.0 * t <= least { t - t * t / least } else { t / 2.0 }
}

/// How many z in Z^n have |z|² = t, for t below [`SHELLS`]: the coefficients of (1 + 2x + 2x⁴ + 2x⁹ + …)^n. All terms are positive, so
/// the relative error stays below 10^−11.
fn shell_sizes(n: u32) -> Vec<f64> {
    let product = |a: &[f64], b: &[f64]| -> Vec<f64> {
        (0..usize::from(SHELLS)).map(|t| (0..=t).map(|i| a[i] * b[t - i]).sum()).collect()
    };
    let mut square = vec![0.0; usize::from(SHELLS)];
    let mut power = square.clone();
    (square[0], square[1], square[4], square[9], power[0]) = (1.0, 2.0, 2.0, 2.0, 1.0);
    let mut left = n;
    while left > 0 {
        if left & 1 == 1 {
            power = product(&power, &square);
        }
        square = product(&square, &square);
        left >>= 1;
    }
    power
}

/// ln of a bound of Σ y^|z|² over |z|² ≥ T = [`SHELLS`], y = √q: (y/Y)^T·θ(Y)^n for any y ≤ Y < 1. `None` when y is above the Y that suits.
fn beyond(rate: f64, n: f64) -> Option<f64> {
    let shells = f64::from(SHELLS);
    let wide = (shells / (2.0 * n)).min(0.5);
    let log_ratio = -rate / 2.0 - wide.ln();
    let theta_less_one = 2.0 * wide + 2.0 * wide.powi(4) / (1.0 - wide);
    (log_ratio <= 0.0).then(|| shells * log_ratio + n * theta_less_one.ln_1p())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sigma(raw: u64) -> Sigma {
        Sigma::from_raw(raw).unwrap()
    }

    #[test]
    fn shells_are_counted_as_by_hand() {
        for n in [2u32, 3, 5] {
            let mut counted = vec![0.0; usize::from(SHELLS)];
            let reach = 3i32; // 4² is beyond the shells
            let mut z = vec![-reach; n as usize];
            'all: loop {
                let square = z.iter().map(|v| v * v).sum::<i32>();
                if square < i32::from(SHELLS) {
                    counted[usize::try_from(square).unwrap()] += 1.0;
                }
                for v in &mut z {
                    *v += 1;
                    if *v <= reach {
                        continue 'all;
                    }
                    *v = -reach;
                }
                break;
            }
            assert_eq!(shell_sizes(n), counted);
        }
    }

    #[test]
    fn the_bound_contains_the_series_of_the_dual_lattice() {
        // n = 2: A*_1 is Z/√2. n = 3: A*_2 is hexagonal, |w|² = (2/3)(i² + ij + j²).
        for raw in [1 << 15, 3 << 14, 1 << 16] {
            let rate = 2.0 * PI * PI * sigma(raw).to_f64().powi(2);
            let two: f64 = (1..20).map(|j| 2.0 * (-rate * f64::from(j * j) / 2.0).exp()).sum();
            let pairs = (-20i32..=20).flat_map(|i| (-20i32..=20).map(move |j| (i, j)));
            let three: f64 = pairs
                .filter(|&p| p != (0, 0))
                .map(|(i, j)| (-rate * 2.0 / 3.0 * f64::from(i * i + i * j + j * j)).exp())
                .sum();
            for (n, exact) in [(2, two), (3, three)] {
                let bound = 10f64.powf(log10_eta(sigma(raw), n..=n));
                // n = 2 counts each of its shortest vectors twice.
                assert!(bound >= exact && bound < exact * 2.6, "n {n}: {bound} for {exact}");
            }
        }
    }

    #[test]
    fn the_bound_covers_every_number_of_shares_in_its_range() {
        for raw in [1 << 16, 4 << 16, 1000 << 16] {
            let all = log10_eta(sigma(raw), 2..=300);
            for n in 2..=300 {
                assert!(log10_eta(sigma(raw), n..=n) <= all, "n {n}");
            }
        }
    }

    #[test]
    fn claim_at_4_grid_steps_the_sum_costs_nothing_that_a_float_could_show() {
        // The closed corollary: η ≤ 6n·e^(−π²s²).
        for n in [2u32, 3, 10, 1000, 1_000_000, u32::MAX] {
            let closed = (6.0 * f64::from(n)).log10() - 16.0 * PI * PI / LN_10;
            let bound = log10_eta(sigma(4 << 16), 2..=n);
            assert!(bound < closed && bound > closed - 1.0, "n {n}: {bound} against {closed}");
        }
        let bound = log10_eta(sigma(4 << 16), 2..=1_000_000);
        let extra = extra_epsilon(bound, 1_000_000, 1000);
        assert!(extra > 0.0 && extra < 1e-52, "{extra:e}");
    }

    #[test]
    fn one_share_costs_nothing_and_too_little_noise_has_no_bound() {
        assert!(extra_epsilon(log10_eta(sigma(1), 1..=1), 1, 1) <= 0.0);
        let tiny = log10_eta(sigma(1 << 12), 2..=2);
        assert!(tiny.is_infinite() && extra_epsilon(tiny, 1, 1).is_infinite());
        assert!(extra_epsilon(0.1, 1, 1).is_infinite());
        assert!((extra_epsilon(-10.0, 1000, 10) / 2e-6 - 1.0).abs() < 1e-8);
    }
}
