//! The rounded Gaussian sampler against the exact law, with fixed seeds.
//!
//! Every test is two-sided or chi-square with a false alarm rate of at most 1e-6 (were the seed drawn anew), and shows a wrong
//! sampler that it catches: σ off by 2 %, or the usual float recipe that takes the floor.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod support;

use opendp::traits::samplers::sample_discrete_gaussian;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sottovoce_dp::{RoundedGaussian, Sigma};
use statrs::distribution::{ChiSquared, ContinuousCDF as _};
use support::{Bins, moment_scores};

const FALSE_ALARM: f64 = 1e-6;
const SAMPLES: usize = 400_000;

/// `raw` is σ·2^16.
fn ours(raw: u64, seed: u8, n: usize) -> Vec<i64> {
    let mut out = vec![0; n];
    RoundedGaussian::new(Sigma::from_raw(raw).unwrap()).fill(&mut ChaCha20Rng::from_seed([seed; 32]), &mut out);
    out
}

/// What is found in many code bases: Box-Muller in f64, then a cast that takes the floor.
fn box_muller_with_floor(sigma: f64, seed: u8, n: usize) -> Vec<i64> {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    let mut uniform = move || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
    (0..n)
        .map(|_| {
            let normal = (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
            sottovoce_encode::exact::truncate((sigma * normal).floor()).unwrap()
        })
        .collect()
}

fn chi_square_case(raw: u64, seed: u8) {
    let sigma = Sigma::from_raw(raw).unwrap().to_f64();
    let bins = Bins::new(sigma, SAMPLES);
    let off_by_two_percent = ours(raw + raw / 50, seed, SAMPLES);
    assert!(bins.p_value(&off_by_two_percent) < FALSE_ALARM, "sigma {sigma}: 2 % more must be seen");
    let too_small = ours(raw - raw / 50, seed, SAMPLES);
    assert!(bins.p_value(&too_small) < FALSE_ALARM, "sigma {sigma}: 2 % less must be seen");
    let p = bins.p_value(&ours(raw, seed, SAMPLES));
    assert!(p > FALSE_ALARM, "sigma {sigma}: p = {p:e}");
}

#[test]
fn claim_samples_follow_the_exact_law_at_sigma_one_half() {
    chi_square_case(1 << 15, 11);
}

#[test]
fn claim_samples_follow_the_exact_law_at_sigma_3() {
    chi_square_case(3 << 16, 12);
}

#[test]
fn claim_samples_follow_the_exact_law_at_sigma_50() {
    chi_square_case(50 << 16, 13);
}

#[test]
fn the_float_recipe_with_a_floor_is_caught() {
    // Its mean is −1/2: 0.17 σ at σ = 3. At σ = 50 the shift is 0.01 σ, below this test's resolution.
    for (raw, sigma) in [(1 << 15, 0.5), (3 << 16, 3.0)] {
        assert!(Bins::new(sigma, SAMPLES).p_value(&box_muller_with_floor(sigma, 14, SAMPLES)) < FALSE_ALARM);
        assert!(Bins::new(sigma, SAMPLES).p_value(&ours(raw, 14, SAMPLES)) > FALSE_ALARM);
    }
}

#[test]
fn claim_moments_up_to_the_fourth_are_right_at_sigma_1e3_and_1e6() {
    // |score| > 5.2 has probability 2e-7; three scores at two sigmas stay below 1.3e-6 together, 4e-7 each.
    for (raw, sigma) in [(1000 << 16, 1e3), (1_000_000 << 16, 1e6)] {
        let [_, variance, _] = moment_scores(&ours(raw + raw / 50, 15, SAMPLES), sigma);
        assert!(variance > 5.2, "2 % more noise must be seen: {variance}");
        let [_, variance, _] = moment_scores(&ours(raw - raw / 50, 15, SAMPLES), sigma);
        assert!(variance < -5.2, "2 % less noise must be seen: {variance}");
        let scores = moment_scores(&ours(raw, 15, SAMPLES), sigma);
        assert!(scores.iter().all(|s| s.abs() < 5.2), "sigma {sigma}: {scores:?}");
    }
}

#[test]
fn the_low_bits_at_sigma_1e6_are_uniform() {
    // At σ = 1e6 the last 8 bits of a sample are uniform to far below 1e-9. A sampler that scales a 32-bit fraction without
    // refining it leaves holes there; so does one that rounds to even numbers, the wrong input here.
    let counts = |samples: &[i64]| {
        let mut counts = [0u32; 256];
        for x in samples {
            counts[usize::try_from(x & 0xff).unwrap()] += 1;
        }
        let expected = f64::from(u32::try_from(SAMPLES).unwrap()) / 256.0;
        counts.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum::<f64>()
    };
    // Chi-square with 255 degrees of freedom exceeds 375 with probability below 1e-6.
    let samples = ours(1_000_000 << 16, 16, SAMPLES);
    assert!(counts(&samples.iter().map(|x| x & !1).collect::<Vec<_>>()) > 375.0);
    assert!(counts(&samples) < 375.0);
}

#[test]
fn claim_the_sampler_agrees_with_opendp_where_rounded_and_discrete_gaussian_coincide() {
    // For σ ≥ 10 the two laws differ by less than 1e-3 relative in variance (σ² + 1/12 against σ²) at most, at σ = 50 by 3e-5: far
    // below what 60 000 samples resolve (0.6 %). So OpenDP's exact sampler is an oracle for ours there. OpenDP takes no seed,
    // so this one test is random: its false alarm rate is 1e-9 a case.
    const N: usize = 60_000;
    for sigma in [10u32, 50] {
        let theirs: Vec<i64> =
            (0..N).map(|_| i64::try_from(sample_discrete_gaussian(sigma.into()).unwrap()).unwrap()).collect();
        let bins = Bins::new(f64::from(sigma), N);
        let raw = u64::from(sigma) << 16;
        let wrong = ours(raw + raw / 20, 17, N);
        assert!(bins.p_value_of_two(&wrong, &theirs) < 1e-9, "5 % more noise must be seen");
        let p = bins.p_value_of_two(&ours(raw, 18, N), &theirs);
        assert!(p > 1e-9, "sigma {sigma}: p = {p:e}");
    }
}

/// Probabilities of −reach..=reach under weights e^(−f(x)), and the p-value of Pearson's test with the tails pooled where fewer than 50 are
/// expected.
fn p_value_of_law(samples: &[i64], exponent: impl Fn(f64) -> f64, reach: i32) -> f64 {
    let weights: Vec<f64> = (-reach..=reach).map(|x| (-exponent(f64::from(x))).exp()).collect();
    let total: f64 = weights.iter().sum();
    let n = f64::from(u32::try_from(samples.len()).unwrap());
    let (mut statistic, mut cells, mut pooled) = (0.0, 0.0, (0.0, 0.0));
    for (x, weight) in (-reach..=reach).zip(&weights) {
        let seen = f64::from(u32::try_from(samples.iter().filter(|s| **s == i64::from(x)).count()).unwrap());
        let expected = n * weight / total;
        if expected < 50.0 {
            pooled = (pooled.0 + seen, pooled.1 + expected);
        } else {
            statistic += (seen - expected).powi(2) / expected;
            cells += 1.0;
        }
    }
    statistic += (pooled.0 - pooled.1).powi(2) / pooled.1;
    ChiSquared::new(cells).unwrap().sf(statistic)
}

#[test]
fn claim_samples_follow_the_exact_law_at_sigma_0_3_1_and_10() {
    for (raw, seed) in [(19_661, 21), (1 << 16, 22), (10 << 16, 23)] {
        chi_square_case(raw, seed);
    }
}

#[test]
fn half_a_per_cent_of_variance_is_seen_in_two_million_samples() {
    let n = 2_000_000;
    for (raw, sigma) in [(1u64 << 16, 1.0), (1000 << 16, 1e3)] {
        let [mean, variance, fourth] = moment_scores_of(&ours(raw, 24, n), sigma);
        assert!(mean.abs() < 5.2 && variance.abs() < 5.2 && fourth.abs() < 5.2, "{mean} {variance} {fourth}");
        // 0.3 % of σ is 0.6 % of variance: 0.006·√(10⁶) = 6 standard errors.
        let [_, variance, _] = moment_scores_of(&ours(raw + raw * 3 / 1000, 24, n), sigma);
        assert!(variance > 3.5, "sigma {sigma}: {variance}");
    }
}

/// As `moment_scores`; at σ = 1 the rounded law's own moments, of which 1/12 is not the whole truth, are summed.
fn moment_scores_of(samples: &[i64], sigma: f64) -> [f64; 3] {
    if sigma > 3.0 {
        return moment_scores(samples, sigma);
    }
    let law = |power: i32| -> f64 {
        (-40..=40i64)
            .map(|x| support::probability(x, x, sigma) * f64::from(i32::try_from(x).unwrap()).powi(power))
            .sum()
    };
    let (second, fourth, sixth, eighth) = (law(2), law(4), law(6), law(8));
    let _ = sixth;
    let n = f64::from(u32::try_from(samples.len()).unwrap());
    let sums = samples.iter().fold([0.0; 3], |s, &x| {
        let v = f64::from(i32::try_from(x).unwrap());
        [s[0] + v, s[1] + v * v, s[2] + v.powi(4)]
    });
    [
        sums[0] / (n * second).sqrt(),
        (sums[1] - n * second) / (n * (fourth - second * second)).sqrt(),
        (sums[2] - n * fourth) / (n * (eighth - fourth * fourth)).sqrt(),
    ]
}

#[test]
fn claim_the_tails_from_4_to_6_sigma_have_their_probability() {
    let (n, sigma) = (20_000_000, 1e6);
    let raw = 1_000_000u64 << 16;
    let mut counts = [0u32; 3];
    let mut rng = ChaCha20Rng::from_seed([25; 32]);
    let law = RoundedGaussian::new(Sigma::from_raw(raw).unwrap());
    let mut out = vec![0; 1_000_000];
    for _ in 0..n / 1_000_000 {
        law.fill(&mut rng, &mut out);
        for x in &out {
            for (count, t) in counts.iter_mut().zip([4_000_000, 4_500_000, 5_000_000]) {
                *count += u32::from(x.unsigned_abs() > t);
            }
        }
    }
    for (count, t) in counts.into_iter().zip([4.0, 4.5, 5.0]) {
        let expected = f64::from(n) * 2.0 * support::upper_tail(t);
        let score = (f64::from(count) - expected) / expected.sqrt();
        assert!(score.abs() < 5.2, "{count} beyond {t} sigma of {sigma}, expected {expected:.1}");
        // A sampler that stopped at 4.9, or whose tail were a fifth heavier, would be seen at 4.
        assert!(expected < 1000.0 || 0.2 * expected.sqrt() > 5.2);
    }
}

#[test]
fn signs_are_even_and_neighbours_independent() {
    let samples = ours(1000 << 16, 26, 1_000_000);
    let n = 1e6f64;
    let positive = f64::from(u32::try_from(samples.iter().filter(|x| **x > 0).count()).unwrap());
    let zero = f64::from(u32::try_from(samples.iter().filter(|x| **x == 0).count()).unwrap());
    assert!(((positive - (n - zero) / 2.0) / (n.sqrt() / 2.0)).abs() < 5.2);
    let correlation = |samples: &[i64], lag: usize| {
        let product = |(a, b): (&i64, &i64)| f64::from(i32::try_from(a * b / 1000).unwrap()) / 1000.0;
        samples.iter().zip(&samples[lag..]).map(product).sum::<f64>() / n.sqrt()
    };
    for lag in [1, 2, 3, 8, 512] {
        assert!(correlation(&samples, lag).abs() < 5.2, "lag {lag}");
    }
    // A generator whose every second word is used again is caught.
    let repeated: Vec<i64> = samples.chunks(2).flat_map(|pair| [pair[0], pair[0]]).collect();
    assert!(correlation(&repeated, 1) > 100.0);
}

#[test]
fn claim_two_algorithms_that_share_nothing_have_one_law() {
    for (raw, sigma) in [(1u64 << 16, 1.0), (37 << 16, 37.0)] {
        let karney = |raw: u64, seed| {
            let mut out = vec![0; SAMPLES];
            let mut rng = ChaCha20Rng::from_seed([seed; 32]);
            RoundedGaussian::new(Sigma::from_raw(raw).unwrap()).fill_by_karney(&mut rng, &mut out);
            out
        };
        let bins = Bins::new(sigma, SAMPLES);
        assert!(bins.p_value_of_two(&ours(raw, 27, SAMPLES), &karney(raw, 28)) > FALSE_ALARM);
        assert!(
            bins.p_value_of_two(&ours(raw, 27, SAMPLES), &karney(raw + raw / 50, 28)) < FALSE_ALARM,
            "2 % are seen"
        );
    }
}

#[test]
fn claim_discrete_gaussian_and_laplace_follow_their_laws_and_opendps_samples() {
    use opendp::traits::samplers::sample_discrete_laplace;
    use sottovoce_dp::noise::{DiscreteGaussian, DiscreteLaplace, IntegerNoise};

    let n = 200_000;
    let draw = |law: &dyn Fn(&mut ChaCha20Rng, &mut [i64]), seed: u8| {
        let mut out = vec![0; n];
        law(&mut ChaCha20Rng::from_seed([seed; 32]), &mut out);
        out
    };
    for (num, den) in [(1u64, 2u64), (1, 1), (10, 3), (10, 1)] {
        let sigma = f64::from(u32::try_from(num).unwrap()) / f64::from(u32::try_from(den).unwrap());
        let reach = 150;
        let gaussian = DiscreteGaussian::new(num, den).unwrap();
        let samples = draw(&|rng, out| gaussian.fill(rng, out), 31);
        assert!(p_value_of_law(&samples, |x| x * x / (2.0 * sigma * sigma), reach) > FALSE_ALARM, "Gaussian {sigma}");
        let off = sigma * 1.03;
        assert!(p_value_of_law(&samples, |x| x * x / (2.0 * off * off), reach) < FALSE_ALARM, "Gaussian {sigma}: 3 %");
        let laplace = DiscreteLaplace::new(num, den).unwrap();
        let samples = draw(&|rng, out| laplace.fill(rng, out), 32);
        assert!(p_value_of_law(&samples, |x| x.abs() / sigma, reach) > FALSE_ALARM, "Laplace {sigma}");
        let off = sigma * 1.05;
        assert!(p_value_of_law(&samples, |x| x.abs() / off, reach) < FALSE_ALARM, "Laplace {sigma}: 5 %");
    }
    // The rounded Gaussian at σ = 1/2 is another law, and is told from it.
    assert!(p_value_of_law(&ours(1 << 15, 33, n), |x| 2.0 * x * x, 40) < FALSE_ALARM);
    // OpenDP takes no seed: these are random, with a false alarm rate of 1e-9 each.
    let theirs: Vec<i64> =
        (0..40_000).map(|_| i64::try_from(sample_discrete_gaussian(2u32.into()).unwrap()).unwrap()).collect();
    assert!(p_value_of_law(&theirs, |x| x * x / 8.0, 60) > 1e-9);
    let theirs: Vec<i64> =
        (0..40_000).map(|_| i64::try_from(sample_discrete_laplace(2u32.into()).unwrap()).unwrap()).collect();
    assert!(p_value_of_law(&theirs, |x| x.abs() / 2.0, 120) > 1e-9);
}
