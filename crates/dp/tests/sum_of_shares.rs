//! The law of the sum of rounded Gaussian shares, computed, against the bound of `noise/sum_of_shares.md`; and that bound's
//! exponents against the published τ for discrete Gaussians (`vectors/kairouz-tau.json`: mpmath 1.4.1, not this code).
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(clippy::cast_precision_loss, reason = "small integers")]
mod support;

use serde_json::Value;
use sottovoce_dp::Sigma;
use sottovoce_dp::noise::distributed_discrete::log10_tau;
use sottovoce_dp::noise::{extra_epsilon, log10_eta};
use support::{gauss_legendre, probability, uniform_sum_density};

/// (s·2^16, s): 0.5, 0.7 and 1 grid steps, where the difference is large enough to be seen. 0.7 is rounded to a multiple of 2^−16.
fn sigmas() -> [Sigma; 3] {
    [1 << 15, 45_875, 1 << 16].map(|raw| Sigma::from_raw(raw).unwrap())
}

/// P[ΣR = r] for |r| ≤ `reach`, R_i = round(N(0, s²)), by n − 1 convolutions.
fn law_of_the_sum(sigma: f64, n: usize, reach: i64) -> Vec<f64> {
    let wide = 2 * reach; // the shares that are cut off lie beyond 12 deviations of the sum
    let one: Vec<f64> = (-wide..=wide).map(|r| probability(r, r, sigma)).collect();
    let mut sum = one.clone();
    for _ in 1..n {
        sum = (-wide..=wide)
            .map(|r| {
                ((r - wide).max(-wide)..=(r + wide).min(wide))
                    .map(|k| sum[usize::try_from(k + wide).unwrap()] * one[usize::try_from(r - k + wide).unwrap()])
                    .sum()
            })
            .collect();
    }
    (-reach..=reach).map(|r| sum[usize::try_from(r + wide).unwrap()]).collect()
}

/// The main term of the proof: P[ρ(G) = r] = ∫ b_n(v)·φ(r + v) dv, G ~ N(0, ns²), b_n the density of the sum of n uniforms on
/// [−1/2, 1/2]. Between its knots b_n is a polynomial, so 24 Gauss-Legendre points a piece leave no visible error.
fn rounded_gaussian_sum(sigma: f64, n: usize, reach: i64) -> Vec<f64> {
    let deviation = sigma * (n as f64).sqrt();
    let density = |x: f64| (-(x / deviation).powi(2) / 2.0).exp() / (deviation * std::f64::consts::TAU.sqrt());
    let points = gauss_legendre(24);
    (-reach..=reach)
        .map(|r| {
            (0..n)
                .map(|piece| {
                    let left = piece as f64 - n as f64 / 2.0;
                    let at = |(x, weight): &(f64, f64)| {
                        let v = left + (x + 1.0) / 2.0;
                        weight / 2.0 * uniform_sum_density(n, v) * density(r as f64 + v)
                    };
                    points.iter().map(at).sum::<f64>()
                })
                .sum()
        })
        .collect()
}

/// sup |ln(P[ΣR = r] / P[ρ(G) = r])| over |r| ≤ ⌈6 deviations⌉.
fn distance(sigma: f64, n: usize) -> f64 {
    let reach = sottovoce_encode::exact::truncate((6.0 * sigma * (n as f64).sqrt()).ceil()).unwrap();
    let (law, main) = (law_of_the_sum(sigma, n, reach), rounded_gaussian_sum(sigma, n, reach));
    law.iter().zip(&main).map(|(p, m)| (p / m).ln().abs()).fold(0.0, f64::max)
}

/// −ln(1 − η), what theorem 1 allows the distance to be.
fn allowed(sigma: Sigma, n: u32) -> f64 {
    extra_epsilon(log10_eta(sigma, n..=n), 1, 1) / 2.0
}

#[test]
fn the_computed_distances_are_those_found_with_60_digits() {
    // To the digits that the 60-digit computation was written down with.
    for (sigma, n, expected) in
        [(0.5, 2, 0.163), (0.5, 8, 0.0914), (0.7, 5, 2.2e-3), (1.0, 2, 7.1e-5), (1.0, 8, 1.4e-7)]
    {
        let got = distance(sigma, n);
        assert!((got / expected - 1.0).abs() < 0.04, "s {sigma}, n {n}: {got:e}, expected {expected:e}");
    }
}

#[test]
fn the_law_and_the_main_term_are_probabilities() {
    for (sigma, n) in [(0.5, 2), (0.7, 5), (1.0, 8)] {
        for mass in [law_of_the_sum(sigma, n, 40), rounded_gaussian_sum(sigma, n, 40)] {
            assert!((mass.iter().sum::<f64>() - 1.0).abs() < 1e-13);
        }
    }
}

#[test]
fn claim_the_exact_law_of_the_sum_stays_within_the_proven_bound() {
    let mut loosest = 0.0f64;
    for sigma in sigmas() {
        for n in 2..=8u32 {
            let measured = distance(sigma.to_f64(), n as usize);
            let bound = allowed(sigma, n);
            assert!(measured > 1e-9, "below this the floats decide: {measured:e}");
            assert!(measured <= bound, "s {sigma}, n {n}: {measured:e} above {bound:e}");
            loosest = loosest.max(bound / measured);
            // The wrong bound with the exponent doubled, which is the right one at √2·s, is caught.
            let doubled = Sigma::from_raw(sigma.raw() * 92_682 / 65_536).unwrap();
            assert!(measured > allowed(doubled, n), "s {sigma}, n {n}: the wrong exponent passes");
        }
    }
    assert!(loosest < 10.0, "the bound says little: it is {loosest} times the truth");
}

#[test]
fn the_exponents_are_those_of_the_published_correction() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/kairouz-tau.json")).unwrap();
    let rows = vectors.pointer("/kairouz_tau/values").unwrap().as_array().unwrap();
    assert!(rows.len() >= 21, "rows were lost");
    for row in rows {
        let sigma: f64 = row["sigma_over_gamma"].as_str().unwrap().parse().unwrap();
        let n = u32::try_from(row["n"].as_u64().unwrap()).unwrap();
        let tau = row["log10_tau"].as_f64().unwrap();
        assert!((log10_tau(sigma, n) - tau).abs() < 1e-12 * tau.abs().max(1.0), "{row}");
        if sigma >= 1.0 {
            // Both say 2 shares are the worst: 4q^(1/2) in ours against 10q^(1/2), of which 4/10 is −0.4 in log10; what is left at
            // σ = 1 comes from the next terms.
            let fixed =
                Sigma::from_raw(u64::try_from(sottovoce_encode::exact::truncate(sigma * 65536.0).unwrap()).unwrap());
            let ours = log10_eta(fixed.unwrap(), 2..=2);
            let pair = log10_tau(sigma, 2);
            assert!((ours - pair + 0.398).abs() < 1e-3, "{row}: {ours} against {pair}");
        }
    }
}
