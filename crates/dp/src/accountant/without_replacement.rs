//! Rényi DP of Gaussian steps on samples of a fixed size, where neighbouring data sets differ by one unit in another's place.
//!
//! Wang, Balle & Kasiviswanathan 2019, Theorem 27: the moment of order α is at most 1 + Σ_j C(α,j)·γ^j·ζ_j, with γ the share that is drawn, and ζ_j a
//! bound on the ternary |χ|^j-divergence of three data sets' outputs. For j = 2, and beyond by 2·e^((j−1)·ε(j)), it follows from the
//! unsampled curve; for the Gaussian mechanism also 4·√(B(j′)·B(j″)), with j′ and j″ the even numbers next to j and
//! B(l) = E_Q\[(P/Q − 1)^l\], which is what their Theorem 27 takes by finite differences and what is integrated here, all terms being positive.
use std::f64::consts::{LN_2, PI};

use sottovoce_encode::exact;

use super::rdp::ln_sum;

/// Beyond this order B(l) is not looked at: the other bound is valid too.
const LARGEST_INTEGRATED: f64 = 64.0;
/// Of the trapezoid rule.
const STEP: f64 = 1.0 / 32.0;

/// ε(α) of one step on `sample` units drawn from `population`; `z` is the noise over the clipping norm of one unit, so that the
/// sensitivity to a replacement is 2. Between integers by the convexity of (α−1)·ε(α) (their Corollary 10). NaN where the numbers make
/// no sense.
pub fn gaussian(population: u64, sample: u64, z: f64, alpha: f64) -> f64 {
    let (n, m) = (exact::u64_to_f64(population), exact::u64_to_f64(sample));
    if !(alpha > 1.0 && alpha.is_finite() && z > 0.0 && m <= n && n > 0.0) {
        return f64::NAN;
    }
    if sample == 0 {
        return 0.0;
    }
    let unsampled = |order: f64| 2.0 * order / (z * z);
    let gamma = (m / n).next_up();
    let at = |order: f64| if order < 2.0 { 0.0 } else { log_moment(gamma, z, order) };
    let (low, high) = (alpha.floor(), alpha.ceil());
    let share = alpha - low;
    let log = (1.0 - share) * at(low) + share * at(high);
    // Sampling never costs more than taking everybody.
    (log / (alpha - 1.0)).next_up().next_up().min(unsampled(alpha).next_up())
}

/// ln(1 + Σ …) at an integer order, rounded up; every term is positive.
fn log_moment(gamma: f64, z: f64, order: f64) -> f64 {
    let unsampled = |order: f64| 2.0 * order / (z * z);
    let two = unsampled(2.0);
    let quadratic = (2.0 * LN_2 + two.exp_m1().ln()).min(LN_2 + two);
    let mut choose = (order * (order - 1.0) / 2.0).ln();
    let mut sum = ln_sum(0.0, 2.0 * gamma.ln() + choose + quadratic);
    let even: Vec<f64> = (1..=32u32).map(f64::from).take_while(|half| 2.0 * half <= order + 1.0).collect();
    let even: Vec<f64> = even.into_iter().map(|half| log_even_divergence(2.0 * half, 2.0 / z)).collect();
    let at_even =
        |l: f64| exact::truncate(l / 2.0 - 1.0).and_then(|i| usize::try_from(i).ok()).and_then(|i| even.get(i));
    let mut j = 3.0;
    while j <= order {
        choose += ((order - j + 1.0) / j).ln();
        let mut ternary = LN_2 + (j - 1.0) * unsampled(j);
        if let (Some(below), Some(above)) = (at_even(2.0 * (j / 2.0).floor()), at_even(2.0 * (j / 2.0).ceil())) {
            ternary = ternary.min(2.0 * LN_2 + f64::midpoint(*below, *above));
        }
        sum = ln_sum(sum, j * gamma.ln() + choose + ternary);
        j += 1.0;
    }
    sum + f64::EPSILON * 8.0 * order * (sum.abs() + 8.0)
}

/// ln B(l) = ln E[(e^(s·t − s²/2) − 1)^l], t standard normal and l even, rounded up. The integrand is entire; within 2 of the real line it is at most
/// e²·φ(t)·(e^(s·t − s²/2) + 1)^l, so that the trapezoid rule of step 1/32 is off by at most 2·e^(2 − 128π)·E[(e^… + 1)^l], which is added.
fn log_even_divergence(l: f64, s: f64) -> f64 {
    if l > LARGEST_INTEGRATED {
        return f64::INFINITY;
    }
    let (first, last) = (-14.0, l * s + 14.0);
    let points = ((last - first) / STEP).ceil();
    let (mut log, mut k) = (f64::NEG_INFINITY, 0.0);
    while k <= points {
        let t = first + k * STEP;
        let exponent = s * t - s * s / 2.0;
        // ln |e^x − 1|
        let factor = if exponent > 0.0 { exponent + (-(-exponent).exp_m1()).ln() } else { (-exponent.exp_m1()).ln() };
        let value = l * factor - t * t / 2.0;
        if value > f64::NEG_INFINITY {
            log = if log == f64::NEG_INFINITY { value } else { ln_sum(log, value) };
        }
        k += 1.0;
    }
    // E[(e^x + 1)^l] ≤ 2^l·(1 + e^(l(l−1)s²/2)).
    let strip = LN_2 + 2.0 - 128.0 * PI + l * LN_2 + ln_sum(0.0, l * (l - 1.0) * s * s / 2.0);
    // The ends: beyond them the integrand is below 1e-40 of a normal density's moments.
    let ends = l * LN_2 + ln_sum(0.0, l * (l - 1.0) * s * s / 2.0) - 98.0;
    let rule = log + (STEP / (2.0 * PI).sqrt()).ln();
    ln_sum(ln_sum(rule, strip), ends) + f64::EPSILON * points * (8.0 + rule.abs())
}
