//! Independent coins: each unit takes part with probability q, whatever the others do.
use std::fmt;

use rand_core::CryptoRng;
use sottovoce_encode::exact;

use super::{Law, Sample, SamplingCertificate};

/// A sampling probability q in (0, 1].
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub struct SamplingProbability(f64);

/// A number that is no sampling probability.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("a sampling rate must be at least 1e-9 and at most 1, but is {value}")]
pub struct SamplingProbabilityOutOfRange {
    /// What was given.
    pub value: f64,
}

impl SamplingProbability {
    /// A checked q.
    ///
    /// # Errors
    /// [`SamplingProbabilityOutOfRange`] for what is not in [1e-9, 1].
    pub fn new(value: f64) -> Result<Self, SamplingProbabilityOutOfRange> {
        if (1e-9..=1.0).contains(&value) { Ok(Self(value)) } else { Err(SamplingProbabilityOutOfRange { value }) }
    }

    /// q.
    pub fn value(self) -> f64 {
        self.0
    }

    /// ⌊q·2^64⌋, from the exact dyadic value of q. What the coins compare with: never above q, and within 2^−64 of it, and what is
    /// drawn less often than it is charged for is charged for safely. `None` at q = 1.
    fn threshold(self) -> Option<u64> {
        let q = exact::dyadic(self.0).expect("a finite number");
        let scaled = u128::from(q.mantissa) << 64;
        // q ≤ 1 has exponent ≤ −52, and q ≥ 1e-9 has one above −83.
        u64::try_from(scaled >> q.exponent.unsigned_abs()).ok()
    }
}

impl fmt::Display for SamplingProbability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Tosses a coin for each of `units` units. An empty sample is a sample: its release is noise alone, and must be made.
pub fn poisson<R: CryptoRng + ?Sized>(
    units: usize,
    q: SamplingProbability,
    coins: &mut R,
) -> (Sample, SamplingCertificate) {
    let threshold = q.threshold();
    let included = (0..units).map(|_| threshold.is_none_or(|t| coins.next_u64() < t)).collect();
    (Sample::of(included), SamplingCertificate { law: Law::Poisson(q) })
}

#[cfg(test)]
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small counts of a test"
)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;
    use statrs::distribution::{ChiSquared, ContinuousCDF as _};

    use super::*;

    const UNITS: usize = 24;
    const DRAWS: usize = 40_000;

    /// χ² of how often each number of units was drawn against Binomial(24, q), and of how often each pair of neighbours was
    /// drawn together against q²; both as p-values.
    fn p_values(q: f64, mut draw: impl FnMut(u64) -> Vec<bool>) -> (f64, f64) {
        let (mut sizes, mut pairs) = (vec![0.0; UNITS + 1], vec![0.0; UNITS]);
        for i in 0..DRAWS {
            let drawn = draw(i as u64);
            sizes[drawn.iter().filter(|d| **d).count()] += 1.0;
            for (unit, pair) in pairs.iter_mut().enumerate() {
                *pair += f64::from(u8::from(drawn[unit] && drawn[(unit + 1) % UNITS]));
            }
        }
        let draws = DRAWS as f64;
        // Binomial probabilities; sizes expected less than 20 times are pooled.
        let mut probability = (1.0 - q).powi(24);
        let (mut statistic, mut cells, mut rest) = (0.0, 0.0, (0.0, 0.0));
        for (size, seen) in sizes.iter().enumerate() {
            if draws * probability >= 20.0 {
                statistic += (seen - draws * probability).powi(2) / (draws * probability);
                cells += 1.0;
            } else {
                rest = (rest.0 + seen, rest.1 + draws * probability);
            }
            probability *= (24.0 - size as f64) / (size as f64 + 1.0) * q / (1.0 - q);
        }
        statistic += (rest.0 - rest.1).powi(2) / rest.1;
        let size = ChiSquared::new(cells).unwrap().sf(statistic);
        // Each pair's count is Binomial(draws, q²): a normal test of the sum over pairs, whose covariance comes from shared units.
        let mean = draws * q * q * UNITS as f64;
        let variance = draws * UNITS as f64 * (q * q * (1.0 - q * q) + 2.0 * (q.powi(3) - q.powi(4)));
        let z = (pairs.iter().sum::<f64>() - mean) / variance.sqrt();
        (size, ChiSquared::new(1.0).unwrap().sf(z * z))
    }

    #[test]
    fn claim_coins_are_independent_with_probability_q_and_a_shuffle_is_caught() {
        for q in [0.1, 0.5] {
            let mut coins = ChaCha20Rng::from_seed([3; 32]);
            let rate = SamplingProbability::new(q).unwrap();
            let (size, pair) = p_values(q, |_| poisson(UNITS, rate, &mut coins).0.included.to_vec());
            assert!(size > 1e-3 && pair > 1e-3, "q = {q}: p = {size}, {pair}");
            // Batches of a shuffled epoch: each unit is drawn as often, but the sizes never vary.
            let every = (1.0 / q) as usize;
            let (size, _) = p_values(q, |i| (0..UNITS).map(|u| (u * 7 + i as usize).is_multiple_of(every)).collect());
            assert!(size < 1e-12, "a shuffle passes for coins: p = {size}");
            // Coins that are 5 % too generous.
            let generous = SamplingProbability::new(q * 1.05).unwrap();
            let (size, pair) = p_values(q, |_| poisson(UNITS, generous, &mut coins).0.included.to_vec());
            assert!(size < 1e-3 && pair < 1e-3, "q = {q}: p = {size}, {pair}");
        }
    }

    #[test]
    fn the_threshold_is_the_exact_probability_or_just_below() {
        let threshold = |q: f64| SamplingProbability::new(q).unwrap().threshold();
        assert_eq!(threshold(0.5), Some(1 << 63));
        assert_eq!(threshold(0.1), Some(0x1999_9999_9999_9a00), "the float 0.1, which is above a tenth");
        assert_eq!(threshold(1.0), None);
        let nearly = threshold(1.0f64.next_down()).unwrap();
        assert_eq!(nearly, u64::MAX - (1 << 11) + 1);
        let tiny = 1e-9;
        let (low, high) = (threshold(tiny).unwrap(), threshold(tiny.next_up()).unwrap());
        assert!(exact::u64_to_f64(low) <= tiny * 2f64.powi(64) && low <= high);
    }

    #[test]
    fn at_probability_one_every_unit_takes_part_and_no_rate_is_out_of_range_in_silence() {
        let mut coins = ChaCha20Rng::from_seed([4; 32]);
        let (sample, _) = poisson(100, SamplingProbability::new(1.0).unwrap(), &mut coins);
        assert_eq!(sample.units().count(), 100);
        for bad in [0.0, -0.1, 1.1, 1e-10, f64::NAN, f64::INFINITY] {
            assert!(SamplingProbability::new(bad).is_err(), "{bad}");
        }
    }
}
