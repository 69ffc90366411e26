//! Gaussian differential privacy: the exact accountant of rounds in which every unit takes part.
//!
//! One release with noise multiplier z is μ-GDP with μ = 1/z, and releases compose to μ² = Σ μ_t², adaptively too (Dong, Roth &
//! Su 2022, Cor. 3.3; as a filter: Smith & Thakurta 2022; Koskela, Tobaben & Honkela 2022). The conversion is Balle & Wang 2018,
//! Theorem 8 (Dong, Roth & Su, Cor. 2.13):
//! δ(ε) = Φ(μ/2 − ε/μ) − e^ε·Φ(−μ/2 − ε/μ).
//! It is tight, so both ends of a [`Bracket`] differ by rounding alone.
use sottovoce_types::{Delta, Epsilon, NoiseMultiplier};

use crate::Bracket;
use crate::bracket::last_that_holds;
use crate::normal::{RELATIVE_ERROR, upper_tail_scaled};

/// δ at `epsilon` of a μ-GDP release, to nearest within rounding (see [`epsilon`] for certified ends).
///
/// `mu` ≥ 0 may be infinite; `epsilon` ≥ 0.
pub fn delta(mu: f64, epsilon: f64) -> f64 {
    let bounds = delta_bounds(mu, epsilon);
    f64::midpoint(bounds.lower, bounds.upper)
}

/// δ with both ends certified.
fn delta_bounds(mu: f64, epsilon: f64) -> Bracket {
    if mu <= 0.0 {
        return Bracket::ZERO;
    }
    let (half, slope) = (mu / 2.0, epsilon / mu);
    // With a = μ/2 − ε/μ and c = μ/2 + ε/μ we have c² − a² = 2ε, so e^ε·φ(c) = φ(a): the second term is e^(−a²/2)·Q(c)e^(c²/2), and no
    // exponential of ε is ever taken. This holds at any μ; the naive formula overflows from μ ≈ 37.
    let (a, c) = (half - slope, half + slope);
    if a < -40.0 {
        // Q(40) < e^−800, below the smallest positive float; and the products below would be 0·∞.
        return Bracket { lower: 0.0, upper: f64::MIN_POSITIVE };
    }
    if !c.is_finite() {
        return Bracket { lower: 0.0, upper: 1.0 };
    }
    let weight = (-a * a / 2.0).exp();
    let first = if a <= 0.0 { weight * upper_tail_scaled(-a) } else { 1.0 - weight * upper_tail_scaled(a) };
    let second = weight * upper_tail_scaled(c);
    // a carries an absolute error of at most 2u·c (u = 2^−53), and d ln Q(t)/dt is at most t + 1; the exponential and the products
    // add a few u more, which RELATIVE_ERROR covers.
    let relative = RELATIVE_ERROR + 2.0 * f64::EPSILON * (a.abs() + 1.0) * (c + 1.0);
    let error = relative * (first + second);
    let nearest = first - second;
    Bracket { lower: (nearest - error).max(0.0), upper: (nearest + error).min(1.0) }
}

/// ε at `delta` of a μ-GDP release. `mu` = √Σ 1/z² over rounds; 0 gives 0, infinity no bound.
pub fn epsilon(mu: f64, delta: Delta) -> Bracket {
    if mu.is_nan() || mu.is_infinite() {
        return Bracket::UNBOUNDED;
    }
    let target = delta.value();
    let enough = |e: f64| delta_bounds(mu, e).upper <= target;
    let too_little = |e: f64| delta_bounds(mu, e).lower > target;
    let mut high = 1.0;
    while !enough(high) {
        high *= 2.0;
        if high.is_infinite() {
            return Bracket::UNBOUNDED;
        }
    }
    let upper = if enough(0.0) { 0.0 } else { last_that_holds(high, 0.0, enough) };
    let lower = if too_little(0.0) { last_that_holds(0.0, high, too_little) } else { 0.0 };
    Bracket { lower, upper }
}

/// The largest μ (safe end) whose ε at `delta` is at most `epsilon`: the budget of the GDP filter is its square.
pub fn mu_budget(epsilon: Epsilon, delta: Delta) -> f64 {
    let fits = |mu: f64| delta_bounds(mu, epsilon.value()).upper <= delta.value();
    let mut high = 1.0;
    while fits(high) {
        high *= 2.0;
    }
    last_that_holds(0.0, high, fits)
}

/// The smallest noise multiplier (safe end) with which `steps` rounds stay within (`epsilon`, `delta`), for a privacy unit
/// that is in every round. A [`crate::Ledger`] of that budget accepts exactly so many.
///
/// # Panics
/// When `steps` is 0.
pub fn calibrate(epsilon: Epsilon, delta: Delta, steps: u64) -> NoiseMultiplier {
    assert!(steps > 0, "at least one round");
    let rounds = sottovoce_encode::exact::u64_to_f64(steps);
    // The ledger adds `steps` charges and rounds each addition up; the margin is twice what that can amount to.
    let margin = 4.0 * (rounds + 8.0) * f64::EPSILON;
    let z = rounds.sqrt() / mu_budget(epsilon, delta) * (1.0 + margin);
    // Tiny budgets give huge multipliers, never NaN: mu_budget is at least the smallest positive float.
    NoiseMultiplier::new(z.min(f64::MAX)).expect("above 0: the square root of at least 1 over a finite budget")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_released_costs_nothing_and_infinite_mu_has_no_bound() {
        let d = Delta::new(1e-5).unwrap();
        assert_eq!(epsilon(0.0, d), Bracket::ZERO);
        assert_eq!(epsilon(f64::INFINITY, d), Bracket::UNBOUNDED);
        assert_eq!(epsilon(f64::NAN, d), Bracket::UNBOUNDED);
    }

    proptest! {
        #[test]
        fn epsilon_is_a_narrow_bracket_and_grows_with_mu(mu in 1e-3f64..300.0, log_delta in -12.0f64..-1.0) {
            let d = Delta::new(10f64.powf(log_delta)).unwrap();
            let (here, more) = (epsilon(mu, d), epsilon(mu * 1.01, d));
            prop_assert!(here.lower <= here.upper);
            prop_assert!(here.upper - here.lower <= 1e-9 * here.upper + 1e-12, "{}", here);
            prop_assert!(more.upper >= here.lower);
            prop_assert!(delta(mu, here.upper) <= d.value() * (1.0 + 1e-9));
        }

        #[test]
        fn calibrated_noise_stays_within_its_budget(e in 0.01f64..100.0, log_delta in -12.0f64..-2.0, steps in 1u64..5000) {
            let (e, d) = (Epsilon::new(e).unwrap(), Delta::new(10f64.powf(log_delta)).unwrap());
            let z = calibrate(e, d, steps).value();
            let mu = sottovoce_encode::exact::u64_to_f64(steps).sqrt() / z;
            let spent = epsilon(mu, d);
            prop_assert!(spent.upper <= e.value());
            prop_assert!(spent.lower >= e.value() * (1.0 - 1e-8), "{}", spent);
        }
    }
}
