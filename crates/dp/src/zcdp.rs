//! Zero-concentrated differential privacy: for scalar releases by the discrete Gaussian, which no Gaussian trade-off curve
//! dominates.
//!
//! ρ-zCDP composes by addition, adaptively and as a filter (Feldman & Zrnic 2021, whose Rényi filter at order α has the budget ρα:
//! Σ ρ_t ≤ ρ keeps every order within its own). Conversion: Canonne, Kamath & Steinke 2020, Prop. 12:
//! ε = min over α > 1 of ρα + ln(1 − 1/α) − ln(αδ)/(α − 1).
//! Every α gives a valid ε, so an inexact minimum costs tightness and never soundness.
use sottovoce_types::{Delta, Epsilon};

use crate::bracket::last_that_holds;

/// An ε (safe end) such that ρ-zCDP implies (ε, `delta`)-DP.
pub fn epsilon(rho: f64, delta: Delta) -> f64 {
    if rho <= 0.0 {
        return 0.0;
    }
    if !rho.is_finite() {
        return f64::INFINITY;
    }
    // Golden section over t = ln(α − 1). The minimum lies near α = 1 + √(ln(1/δ)/ρ); e^±40 around 1 holds it for every
    // ρ and δ that occur.
    let at = |t: f64| conversion(rho, delta.value(), t.exp());
    let shrink = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (-40.0, 40.0);
    let (mut left, mut right) = (high - shrink * (high - low), low + shrink * (high - low));
    let (mut f_left, mut f_right) = (at(left), at(right));
    // 80·0.618^80 < 1e-14
    for _ in 0..80 {
        if f_left <= f_right {
            (high, right, f_right) = (right, left, f_left);
            left = high - shrink * (high - low);
            f_left = at(left);
        } else {
            (low, left, f_left) = (left, right, f_right);
            right = low + shrink * (high - low);
            f_right = at(right);
        }
    }
    f_left.min(f_right).max(0.0)
}

/// The conversion at α = 1 + `excess`, plus a bound on its own rounding.
fn conversion(rho: f64, delta: f64, excess: f64) -> f64 {
    let alpha = 1.0 + excess;
    // ln(1 − 1/α) = ln(excess/α) = −ln(1 + 1/excess)
    let terms = [rho * alpha, -(1.0 / excess).ln_1p(), -(alpha * delta).ln() / excess];
    terms.iter().sum::<f64>() + 8.0 * f64::EPSILON * terms.iter().map(|t| t.abs()).sum::<f64>()
}

/// The largest ρ (safe end) whose ε at `delta` is at most `epsilon`.
pub fn rho_budget(target: Epsilon, delta: Delta) -> f64 {
    let fits = |rho: f64| epsilon(rho, delta) <= target.value();
    let mut high = 1.0;
    while fits(high) {
        high *= 2.0;
    }
    last_that_holds(0.0, high, fits)
}
