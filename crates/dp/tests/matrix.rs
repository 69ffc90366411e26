//! BandMF: sensitivity against all participation patterns, errors of prefix sums against closed values, and the law of the noise.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(clippy::cast_precision_loss, reason = "small integers")]
mod support;

use proptest::prelude::*;
use sottovoce_dp::matrix::{
    BandedToeplitz, CorrelatedNoise, FixedCohorts, MatrixError, MatrixMechanism, Participation,
};
use sottovoce_dp::noise::log10_eta;
use sottovoce_dp::{Budget, Charge, DpEvent, Ledger, LedgerKey, ShareError, Sigma};
use sottovoce_types::{AttemptId, Delta, Epsilon, NoiseMultiplier, RoundId, RunId, Unit};
use support::{gauss_legendre, uniform_sum_density, upper_tail};

const ONE: u32 = 1 << 20;

fn mechanism(bands: u32, rounds: u32, at_most: u32, separation: u32) -> MatrixMechanism {
    let matrix = BandedToeplitz::square_root(bands, rounds).unwrap();
    MatrixMechanism::new(matrix, Participation::new(at_most, separation).unwrap()).unwrap()
}

/// The largest ‖C·u‖² over all patterns with at most `at_most` rounds at least `separation` apart and all u that are ±1 on the
/// pattern and 0 elsewhere, in 2^−40, by trying all.
fn by_brute_force(c: &BandedToeplitz, at_most: u32, separation: usize) -> u128 {
    let rounds = c.rounds() as usize;
    let mut worst = 0;
    for pattern in 0u32..1 << rounds {
        let joined: Vec<usize> = (0..rounds).filter(|t| pattern >> t & 1 == 1).collect();
        if pattern.count_ones() > at_most || joined.windows(2).any(|w| w[1] - w[0] < separation) {
            continue;
        }
        for signs in 0u32..1 << joined.len() {
            let mut image = vec![0i128; rounds];
            for (i, &t) in joined.iter().enumerate() {
                let sign = 1 - 2 * i128::from(signs >> i & 1);
                for (y, &raw) in image[t..].iter_mut().zip(c.coefficients()) {
                    *y += sign * i128::from(raw);
                }
            }
            worst = worst.max(image.iter().map(|y| y.unsigned_abs().pow(2)).sum());
        }
    }
    worst
}

#[test]
fn claim_the_sensitivity_is_that_of_the_worst_participation() {
    for rounds in 1..=9u32 {
        for bands in 1..=rounds.min(4) {
            for separation in bands..=bands + 1 {
                for at_most in 1..=rounds {
                    let m = mechanism(bands, rounds, at_most, separation);
                    let brute = by_brute_force(m.matrix(), at_most, separation as usize);
                    assert_eq!(
                        m.squared_sensitivity(),
                        brute,
                        "{rounds} rounds, {bands} bands, {at_most} × {separation}"
                    );
                    assert!(brute <= u128::from(at_most) * m.matrix().squared_column(0));
                }
            }
        }
    }
}

#[test]
fn the_formula_is_wrong_for_closer_participations_and_they_are_refused() {
    for bands in 2..=4u32 {
        let c = BandedToeplitz::square_root(bands, 9).unwrap();
        let formula = |times: u32| (0..times).map(|i| c.squared_column(i * (bands - 1))).sum::<u128>();
        assert!(by_brute_force(&c, 2, bands as usize - 1) > formula(2), "overlapping columns add up to more");
        let close = Participation::new(2, bands - 1).unwrap();
        assert_eq!(MatrixMechanism::new(c, close).unwrap_err(), MatrixError::TooClose { separation: bands - 1, bands });
    }
}

/// z² · sensitivity² · clip² in exact integers against σ².
fn variances(m: &MatrixMechanism, sigma_raw: u64, z: u32, clip: u128) -> (u128, u128) {
    // σ²·2^40 against z²·S·clip², σ = raw / 2^16, S in 2^−40.
    (u128::from(sigma_raw).pow(2) << 8, u128::from(z).pow(2) * m.squared_sensitivity() * clip * clip)
}

#[test]
fn claim_the_row_noise_reaches_the_target_in_exact_integers_and_is_charged_once() {
    let m = mechanism(5, 20, 4, 5);
    let clip = 1u128 << 16;
    let sigma = m.row_sigma(NoiseMultiplier::new(3.0).unwrap(), clip * clip).unwrap();
    let (has, needs) = variances(&m, sigma.raw(), 3, clip);
    assert!(has >= needs);
    assert!(variances(&m, sigma.raw() - 1, 3, clip).0 < needs, "no more than needed");
    // A column's norm forgotten, or the participations: caught.
    let one_column = (9.0f64 * 65536.0 * 65536.0).sqrt();
    assert!(sigma.to_f64() > one_column * 2.0 * 1.2 && sigma.to_f64() < one_column * 2.0 * 1.4);
    let charged = m.noise_multiplier(sigma, clip * clip).unwrap().value();
    assert!(charged <= 3.0 + 1e-5 && charged > 3.0 - 1e-12, "{charged}");
    // noise_multiplier is a safe end: the σ that it would need is not above the one that it was given.
    let back = m.row_sigma(NoiseMultiplier::new(charged).unwrap(), clip * clip).unwrap();
    assert!(back <= sigma);
    assert_eq!(m.event(sigma, clip * clip), Some(DpEvent::Gaussian { noise_multiplier: charged }));
    assert_eq!(m.noise_multiplier(sigma, 0), None);
    assert!(matches!(m.row_sigma(NoiseMultiplier::new(0.1).unwrap(), 1), Err(ShareError::TooSmall { .. })));
    assert!(matches!(m.row_sigma(NoiseMultiplier::new(3.0).unwrap(), u128::MAX), Err(ShareError::TooLarge)));
}

#[test]
fn claim_a_ledger_accepts_the_calibrated_training_once() {
    let (epsilon, delta) = (Epsilon::new(2.0).unwrap(), Delta::new(1e-6).unwrap());
    let m = mechanism(8, 64, 8, 8);
    let z = m.calibrate(epsilon, delta);
    let mut ledger = Ledger::new(Budget { epsilon, delta, unit: Unit::Speaker });
    let key = |round| LedgerKey { run: RunId([0; 16]), round: RoundId(round), attempt: AttemptId(1) };
    let (reservation, _) = ledger.reserve(key(1), Charge::every_unit(z)).unwrap();
    ledger.release(reservation);
    assert!(ledger.reserve(key(2), Charge::every_unit(z)).is_err(), "a second training is not covered");
}

#[test]
fn claim_prefix_errors_are_those_computed_by_hand() {
    // T = b = 2: C⁻¹ = [1; −1/2 1], B = [1; 1/2 1]; variances 1 and 5/4; sensitivity² 5/4.
    let two = mechanism(2, 2, 1, 2).prefix_error();
    assert!((two.mean - 1.125 * 1.25).abs() < 1e-15 && (two.max - 1.25 * 1.25).abs() < 1e-15);
    // T = b: C·C = A, so B = C. With c² = 1, 1/4, 9/64, 25/256.
    let four = mechanism(4, 4, 1, 4).prefix_error();
    let sums = [1.0, 1.25, 1.390_625, 1.488_281_25];
    assert!((four.max - sums[3] * sums[3]).abs() < 1e-14, "{four:?}");
    assert!((four.mean - sums.iter().sum::<f64>() / 4.0 * sums[3]).abs() < 1e-14);
    // Independent noise: variances 1, …, T.
    let plain = mechanism(1, 4, 1, 4).prefix_error();
    assert!((plain.mean - 2.5).abs() < 1e-15 && (plain.max - 4.0).abs() < 1e-15);
}

#[test]
fn claim_prefix_sums_are_less_noisy_than_with_independent_noise_at_the_same_epsilon() {
    for (bands, rounds) in [(2u32, 2u32), (4, 32), (8, 64), (16, 64), (10, 200)] {
        let participation = FixedCohorts::new(bands).unwrap().participation(rounds).unwrap();
        let error = |b: u32| {
            let c = BandedToeplitz::square_root(b, rounds).unwrap();
            MatrixMechanism::new(c, participation).unwrap().prefix_error()
        };
        let (banded, plain) = (error(bands), error(1));
        assert!(banded.mean < plain.mean && banded.max < plain.max, "{bands}: {banded:?} {plain:?}");
        // More bands help at one schedule, down to less than half the variance from 8 bands on.
        assert!(bands < 8 || banded.mean < plain.mean / 2.0, "{bands}: {banded:?} {plain:?}");
    }
    // Rising coefficients are worse than independent noise, and it shows.
    let wrong = BandedToeplitz::with_coefficients(vec![ONE, ONE / 64, ONE, ONE / 64], 16).unwrap();
    let participation = Participation::new(4, 4).unwrap();
    let wrong = MatrixMechanism::new(wrong, participation).unwrap().prefix_error();
    assert!(wrong.mean > mechanism(1, 16, 4, 4).prefix_error().mean);
}

const DIM: u32 = 20_000;
const ROUNDS: u32 = 8;
const SIGMA: f64 = 65_536.0;

fn rows(bands: u32, seed: u8) -> Vec<Vec<f64>> {
    let matrix = BandedToeplitz::square_root(bands, ROUNDS).unwrap();
    let mut noise = CorrelatedNoise::new(matrix, Sigma::from_raw(1 << 32).unwrap(), DIM, [seed; 32]);
    (0..ROUNDS)
        .map(|_| {
            let mut row = vec![0; DIM as usize];
            noise.add_next_row(&mut row).unwrap();
            row.into_iter().map(|v| v as f64 / SIGMA).collect()
        })
        .collect()
}

/// C applied to rows: what should be independent standard normal (rounding adds 1e-5).
fn unmixed(bands: u32, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let matrix = BandedToeplitz::square_root(bands, ROUNDS).unwrap();
    let c: Vec<f64> = matrix.coefficients().iter().map(|&c| f64::from(c) / f64::from(ONE)).collect();
    (0..rows.len())
        .map(|t| {
            (0..DIM as usize).map(|i| c.iter().zip(rows[..=t].iter().rev()).map(|(c, row)| c * row[i]).sum()).collect()
        })
        .collect()
}

/// The largest |score| of all variances, fourth moments and correlations between rounds, each standard normal if the rows are white.
fn whiteness(z: &[Vec<f64>]) -> f64 {
    let n = f64::from(DIM);
    let mut worst = 0.0f64;
    for s in 0..z.len() {
        let moment = |p: i32| z[s].iter().map(|v| v.powi(p)).sum::<f64>();
        worst = worst
            .max(((moment(2) - n) / (2.0 * n).sqrt()).abs())
            .max(((moment(4) - 3.0 * n) / (96.0 * n).sqrt()).abs());
        for t in 0..s {
            let product: f64 = z[s].iter().zip(&z[t]).map(|(a, b)| a * b).sum();
            worst = worst.max((product / n.sqrt()).abs());
        }
    }
    worst
}

#[test]
fn claim_c_times_the_rows_is_white_noise() {
    // 44 scores; 5.5 is exceeded by one of them with probability 2e-6.
    let sampled = rows(4, 21);
    let worst = whiteness(&unmixed(4, &sampled));
    assert!(worst < 5.5, "{worst}");
    assert!(whiteness(&sampled) > 20.0, "the rows themselves are correlated");
    assert!(whiteness(&unmixed(4, &rows(1, 21))) > 20.0, "independent noise in place of correlated is caught");
    assert!(whiteness(&unmixed(4, &rows(3, 21))) > 20.0, "one band less is caught");
}

/// Score of the correlation of neighbouring coordinates, in pairs.
fn neighbours(row: &[f64]) -> f64 {
    let pairs = row.chunks_exact(2);
    let n = pairs.len() as f64;
    (pairs.map(|p| p[0] * p[1]).sum::<f64>() / n.sqrt()).abs()
}

#[test]
fn claim_coordinates_are_independent() {
    for row in unmixed(4, &rows(4, 22)) {
        assert!(neighbours(&row) < 5.5);
        // A stream that forgets the last bit of the coordinate's number is caught.
        let repeated: Vec<f64> = row.chunks_exact(2).flat_map(|p| [p[0], p[0]]).collect();
        assert!(neighbours(&repeated) > 20.0);
    }
}

#[test]
fn claim_noise_on_integers_is_added_and_repeats_from_its_seed() {
    let matrix = BandedToeplitz::square_root(3, 5).unwrap();
    let sigma = Sigma::from_raw(100 << 16).unwrap();
    let make = |seed| CorrelatedNoise::new(matrix.clone(), sigma, 50, [seed; 32]);
    let (mut zero, mut data, mut other) = (make(1), make(1), make(2));
    for round in 0..5 {
        let (mut a, mut b, mut c) = (vec![0i64; 50], (0..50).map(|i| i * round).collect::<Vec<i64>>(), vec![0i64; 50]);
        zero.add_next_row(&mut a).unwrap();
        data.add_next_row(&mut b).unwrap();
        other.add_next_row(&mut c).unwrap();
        assert!(a.iter().zip(&b).zip(0..).all(|((a, b), i)| b - a == i * round));
        assert_ne!(a, c);
    }
}

proptest! {
    #[test]
    fn the_charge_never_exceeds_what_the_noise_affords(
        bands in 1u32..12, rounds in 12u32..60, raw in 1u64 << 30..1 << 50, clip_bits in 20u32..40,
    ) {
        // From 20 bits on the squared sensitivity is a whole number, so nothing is rounded but the multiplier.
        let m = mechanism(bands, rounds, rounds, bands);
        let (sigma, clip) = (Sigma::from_raw(raw).unwrap(), 1u128 << clip_bits);
        let z = m.noise_multiplier(sigma, clip * clip).unwrap();
        // σ of that multiplier, in exact integers, is not above σ; that of one 3e-9 larger is, σ's resolution being 1e-9.
        prop_assert!(m.row_sigma(z, clip * clip).unwrap() <= sigma);
        let more = NoiseMultiplier::new(z.value() * (1.0 + 3e-9)).unwrap();
        prop_assert!(m.row_sigma(more, clip * clip).unwrap() > sigma);
    }
}

/// The law of (R_1, R_2), R_1 = round(σz_1), R_2 = round(σ(z_2 − c·z_1)), for |r_t| ≤ reach.
fn law_of_two_rounds(sigma: f64, c: f64, reach: i64) -> Vec<Vec<f64>> {
    let points = gauss_legendre(24);
    let density = |x: f64| (-(x / sigma).powi(2) / 2.0).exp() / (sigma * std::f64::consts::TAU.sqrt());
    let between = |low: f64, high: f64| {
        if low >= 0.0 { upper_tail(low) - upper_tail(high) } else { upper_tail(-high) - upper_tail(-low) }
    };
    let cell = |a: i64, b: i64| {
        let at = |&(x, weight): &(f64, f64)| {
            let g = a as f64 + x / 2.0;
            let mean = -c * g;
            weight / 2.0 * density(g) * between((b as f64 - 0.5 - mean) / sigma, (b as f64 + 0.5 - mean) / sigma)
        };
        points.iter().map(at).sum::<f64>()
    };
    (-reach..=reach).map(|a| (-reach..=reach).map(|b| cell(a, b)).collect()).collect()
}

#[test]
fn claim_the_sum_of_two_clients_correlated_rows_is_as_close_to_a_gaussian_as_proven() {
    // Two clients, two rounds, c = 1/2, σ = 0.75: the exact law of the summed rows, against the main term of proof.md, 5.
    let (sigma, c, reach, wide) = (0.75f64, 0.5f64, 3i64, 8i64);
    let one = law_of_two_rounds(sigma, c, wide);
    let at = |a: i64, b: i64| one[usize::try_from(a + wide).unwrap()][usize::try_from(b + wide).unwrap()];
    assert!((one.iter().flatten().sum::<f64>() - 1.0).abs() < 1e-9);
    let summed = |a: i64, b: i64| -> f64 {
        let terms =
            (a.max(0) - wide..=a.min(0) + wide).flat_map(|i| (b.max(0) - wide..=b.min(0) + wide).map(move |j| (i, j)));
        terms.map(|(i, j)| at(i, j) * at(a - i, b - j)).sum()
    };
    let points: Vec<(f64, f64)> = [-1.0, 0.0]
        .iter()
        .flat_map(|left| gauss_legendre(16).into_iter().map(move |(x, w)| (left + f64::midpoint(x, 1.0), w / 2.0)))
        .map(|(v, w)| (v, w * uniform_sum_density(2, v)))
        .collect();
    // sup |ln(law / main term)|, the main term being a rounding of N(0, 2σ²(CᵀC)⁻¹): its precision matrix is CᵀC/(2σ²),
    // CᵀC = [1 + c², c; c, 1], of determinant 1.
    let distance_to = |c: f64| -> f64 {
        let variance = 2.0 * sigma * sigma;
        let density = |x: f64, y: f64| {
            (-((1.0 + c * c) * x * x + 2.0 * c * x * y + y * y) / (2.0 * variance)).exp()
                / (std::f64::consts::TAU * variance)
        };
        let main = |a: i64, b: i64| -> f64 {
            let inner = |v: f64| points.iter().map(|(u, w)| w * density(a as f64 + v, b as f64 + u)).sum::<f64>();
            points.iter().map(|(v, w)| w * inner(*v)).sum()
        };
        let pairs = (-reach..=reach).flat_map(|a| (-reach..=reach).map(move |b| (a, b)));
        pairs.map(|(a, b)| (summed(a, b) / main(a, b)).ln().abs()).fold(0.0, f64::max)
    };
    let allowed = |raw: u64| {
        let eta = 10f64.powf(log10_eta(Sigma::from_raw(raw).unwrap(), 2..=2));
        -(2.0 - (1.0 + eta).powi(2)).ln()
    };
    let (distance, raw) = (distance_to(c), 49_152); // 0.75·2^16
    assert!(distance <= allowed(raw), "{distance} above {}", allowed(raw));
    assert!(distance > allowed(raw * 92_682 / 65_536), "the wrong bound with the exponent doubled is caught");
    assert!(distance_to(0.0) > allowed(raw), "a main term without the correlation is caught");
}
