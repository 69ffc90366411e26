//! Rényi differential privacy at real orders (Mironov 2017), of Gaussian releases with and without sampling.
//!
//! Every value is an upper end: the quadrature error is bounded (`proof.md`, 1), and rounding is added. What composes is added; the
//! conversion to (ε, δ) is Canonne, Kamath & Steinke 2020, Prop. 12, at whichever order is best.
use std::f64::consts::PI;

use sottovoce_types::Delta;

use super::{Adjacency, without_replacement};
use crate::DpEvent;

/// Orders from which a ledger's Rényi filter is chosen ([`crate::Filter::renyi_for`]).
pub const FILTER_ORDERS: &[f64] = &[
    1.05, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 14.0, 16.0,
    20.0, 24.0, 28.0, 32.0, 40.0, 48.0, 56.0, 64.0, 80.0, 96.0, 128.0, 192.0, 256.0, 512.0,
];

/// The least and the greatest order that the optimum over orders is looked for in, less 1.
const EXCESS: std::ops::RangeInclusive<f64> = 1e-2..=2e4;

/// ε(α) of one step of the Gaussian mechanism with noise multiplier `z` on a Poisson sample with probability `q`, add or remove
/// one unit: D_α((1−q)·N(0,z²) + q·N(1,z²) ‖ N(0,z²)), which is the larger of the two directions (Mironov, Talwar & Zhang 2019, Thm. 5).
///
/// Finite for every finite α > 1, `q` in \[0, 1\] and `z` > 0; NaN otherwise.
pub fn poisson_gaussian(q: f64, z: f64, alpha: f64) -> f64 {
    if !(alpha > 1.0 && alpha.is_finite() && (0.0..=1.0).contains(&q) && z > 0.0) {
        return f64::NAN;
    }
    if q >= 1.0 {
        return (alpha / (2.0 * z * z)).next_up().next_up().next_up();
    }
    // ln(1−q+q·e^(x/z − 1/2z²)) for x in units of z, without leaving the logarithm.
    let (ln_out, ln_in) = ((-q).ln_1p(), q.ln());
    let density_ratio = |t: f64| ln_sum(ln_out, ln_in + t / z - 0.5 / (z * z));
    divergence(alpha, alpha / z, 0.99 * PI * z, |t| alpha * density_ratio(t)).min(by_convexity(
        q,
        alpha,
        alpha / (2.0 * z * z),
    ))
}

/// The same where neighbouring data sets differ by one unit in another's place: D_α of (1−q)·N(0,z²) + q·N(1,z²) from
/// (1−q)·N(0,z²) + q·N(−1,z²), which is its own mirror image.
pub fn poisson_gaussian_replace(q: f64, z: f64, alpha: f64) -> f64 {
    if !(alpha > 1.0 && alpha.is_finite() && (0.0..=1.0).contains(&q) && z > 0.0) {
        return f64::NAN;
    }
    if q >= 1.0 {
        return (2.0 * alpha / (z * z)).next_up().next_up().next_up();
    }
    let (ln_out, ln_in) = ((-q).ln_1p(), q.ln());
    let ratio = |t: f64| ln_sum(ln_out, ln_in + t / z - 0.5 / (z * z));
    // P^α·Q^(1−α) = φ·r(t)^α·r(−t)^(1−α). Its logarithm falls from (2α−1)/z on at least as that of a normal density.
    let strip = z * (0.99 * PI).min(2.0 / alpha.sqrt());
    divergence(alpha, (2.0 * alpha - 1.0) / z, strip, |t| alpha * ratio(t) + (1.0 - alpha) * ratio(-t))
        .min(by_convexity(q, alpha, 2.0 * alpha / (z * z)))
}

/// Beyond so many points another bound is taken: it is for noise of a thousandth of the clipping norm, where nothing is protected.
const MOST_POINTS: f64 = 4e6;

/// ln(1 − q + q·e^((α−1)·unsampled))/(α − 1): D_α is at most the mixture's of its parts, e^((α−1)·D_α) being jointly convex. Never less than the
/// divergence, and finite.
fn by_convexity(q: f64, alpha: f64, unsampled: f64) -> f64 {
    let log = ln_sum((-q).ln_1p(), q.ln() + (alpha - 1.0) * unsampled);
    ((log + f64::EPSILON * 16.0 * (log.abs() + (alpha - 1.0) * unsampled + 1.0)) / (alpha - 1.0)).next_up()
}

/// ln ∫ φ(t)·e^exponent(t) dt / (α − 1) by the trapezoid rule, rounded up; exponent′ is between 0 and `steepest`.
///
/// The error of the rule is at most 2·e^(a²/2 + 1/2)/(e^(2πa/h) − 1) of the integral, where a is at most `strip`, the half-width of a strip about the
/// real line in which the integrand is analytic and at most e^(a²/2 + 1/2) times its value on the line; with h = a/8 that is below 1e-20
/// (`proof.md`, 1). Beyond the ends the integrand falls at least as fast as e^(−12·distance), so that what is left out is less than a
/// twelfth of its end values.
fn divergence(alpha: f64, steepest: f64, strip: f64, exponent: impl Fn(f64) -> f64) -> f64 {
    const REACH: f64 = 12.0;
    let step = strip.min(1.0) / 8.0;
    let (first, last) = (-REACH, steepest + REACH);
    let points = ((last - first) / step).ceil();
    if points > MOST_POINTS {
        return f64::INFINITY;
    }
    let log_density = |t: f64| exponent(t) - t * t / 2.0;
    // Beside the sum, the same sum of what each exponent may be off by, in units of its last place.
    let (mut largest, mut sum, mut off) = (f64::NEG_INFINITY, 0.0f64, 0.0f64);
    let mut k = 0.0;
    while k <= points {
        let t = first + k * step;
        let value = log_density(t);
        let units = 8.0 * (t * t / 2.0 + (value + t * t / 2.0).abs() + 1.0);
        if value > largest {
            let fall = (largest - value).exp();
            (sum, off) = (sum * fall + 1.0, off * fall + units);
            largest = value;
        } else {
            let weight = (value - largest).exp();
            (sum, off) = (sum + weight, off + weight * units);
        }
        k += 1.0;
    }
    let ends = ((log_density(first) - largest).exp() + (log_density(last) - largest).exp()) / (REACH * step);
    let normaliser = step / (2.0 * PI).sqrt();
    let log = largest + ((sum + ends) * normaliser).ln();
    // The mean error of the exponents; a unit for each addition and each rescaling; the logarithm's own.
    let rounding = f64::EPSILON * (off / sum + 2.0 * points + 16.0 + 4.0 * log.abs());
    ((log + rounding).max(0.0) / (alpha - 1.0)).next_up()
}

/// ln(e^a + e^b).
pub(super) fn ln_sum(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    high + (low - high).exp().ln_1p()
}

/// ε(α) of a whole event under a relation; `None` for what has no such bound. Upper end.
pub fn of_event_under(event: &DpEvent, alpha: f64, adjacency: Adjacency) -> Option<f64> {
    let replace = adjacency == Adjacency::ReplaceOne;
    let ok = |value: f64| (value.is_finite() && value >= 0.0).then_some(value);
    match event {
        DpEvent::NoOp => Some(0.0),
        DpEvent::Gaussian { noise_multiplier: z } if valid(*z) => {
            let sensitivity = if replace { 4.0 } else { 1.0 };
            ok((sensitivity * alpha / (2.0 * z * z)).next_up().next_up().next_up())
        }
        // A curve of one unit's coming or going; two of them make a replacement, which costs 4ρ by group privacy.
        DpEvent::ZCdp { rho } if rho.is_finite() && *rho >= 0.0 => {
            ok((if replace { 4.0 } else { 1.0 } * rho * alpha).next_up())
        }
        DpEvent::PoissonSampled { sampling_probability: q, event } => match event.as_ref() {
            DpEvent::Gaussian { noise_multiplier: z } if valid(*z) => {
                ok(if replace { poisson_gaussian_replace(*q, *z, alpha) } else { poisson_gaussian(*q, *z, alpha) })
            }
            DpEvent::NoOp => Some(0.0),
            _ => None,
        },
        DpEvent::SampledWithoutReplacement { source_dataset_size: n, sample_size: m, event } if replace => {
            match event.as_ref() {
                DpEvent::Gaussian { noise_multiplier: z } if valid(*z) => {
                    ok(without_replacement::gaussian(*n, *m, *z, alpha))
                }
                DpEvent::NoOp => Some(0.0),
                _ => None,
            }
        }
        DpEvent::SelfComposed { event, count } => {
            let one = of_event_under(event, alpha, adjacency)?;
            ok((one * sottovoce_encode::exact::u64_to_f64(*count)).next_up().next_up())
        }
        DpEvent::Composed { events } => events.iter().try_fold(0.0, |sum: f64, event| {
            let one = of_event_under(event, alpha, adjacency)?;
            ok((sum + one).next_up())
        }),
        _ => None,
    }
}

/// The same for one unit more or less, which is what a ledger's filter adds up.
pub fn of_event(event: &DpEvent, alpha: f64) -> Option<f64> {
    of_event_under(event, alpha, Adjacency::AddOrRemoveOne)
}

fn valid(z: f64) -> bool {
    z.is_finite() && z > 0.0
}

/// What is added to ε(α) on the way to (ε, δ): ln(1 − 1/α) − ln(αδ)/(α − 1), rounded up (Canonne, Kamath & Steinke 2020, Prop. 12).
pub fn conversion(alpha: f64, delta: Delta) -> f64 {
    let excess = alpha - 1.0;
    let terms = [-(1.0 / excess).ln_1p(), -(alpha * delta.value()).ln() / excess];
    terms[0] + terms[1] + 8.0 * f64::EPSILON * (terms[0].abs() + terms[1].abs())
}

/// The least ε over orders, and the order: `curve` is ε(α), with every α valid, so that an inexact minimum costs tightness alone.
pub fn epsilon(curve: impl Fn(f64) -> f64, delta: Delta) -> (f64, f64) {
    let at = |log: f64| {
        let alpha = 1.0 + log.exp();
        let value = curve(alpha) + conversion(alpha, delta);
        if value.is_nan() { f64::INFINITY } else { value.max(0.0) }
    };
    let (low, high) = (EXCESS.start().ln(), EXCESS.end().ln());
    let coarse = 24u32;
    let spacing = (high - low) / f64::from(coarse);
    let (mut best, mut worse) = ((f64::INFINITY, low), 0);
    for i in 0..=coarse {
        let log = low + spacing * f64::from(i);
        let value = at(log);
        if value < best.0 {
            (best, worse) = ((value, log), 0);
        } else if best.0.is_finite() {
            // ε falls and then rises with the order, and large orders take long.
            worse += 1;
            if worse == 3 {
                break;
            }
        }
    }
    // Golden section between its neighbours.
    let shrink = (5f64.sqrt() - 1.0) / 2.0;
    let (mut a, mut b) = ((best.1 - spacing).max(low), (best.1 + spacing).min(high));
    let (mut c, mut d) = (b - shrink * (b - a), a + shrink * (b - a));
    let (mut at_c, mut at_d) = (at(c), at(d));
    for _ in 0..26 {
        if at_c <= at_d {
            (b, d, at_d) = (d, c, at_c);
            c = b - shrink * (b - a);
            at_c = at(c);
        } else {
            (a, c, at_c) = (c, d, at_d);
            d = a + shrink * (b - a);
            at_d = at(d);
        }
    }
    let found = if at_c <= at_d { (at_c, c) } else { (at_d, d) };
    let (value, log) = if found.0 <= best.0 { found } else { best };
    (value, 1.0 + log.exp())
}
