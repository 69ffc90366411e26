//! Rows of C⁻¹Z, scaled and rounded on the real numbers.
use std::collections::VecDeque;

use num_bigint::BigInt;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use zeroize::{Zeroize as _, Zeroizing};

use super::BandedToeplitz;
use super::toeplitz::scale_down;
use crate::noise::{Digits, Normal, Sigma};

/// A row was not drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// All rounds that the training was charged for have had their row.
    #[error("all {rounds} rows are drawn: a longer training needs a matrix, and a charge, of its own")]
    Finished {
        /// T.
        rounds: u32,
    },
    /// The vector has another length than the noise.
    #[error("the vector has {got} coordinates, the noise {expected}")]
    Length {
        /// Of the vector.
        got: usize,
        /// Of the noise.
        expected: u32,
    },
}

/// Noise of a whole training: row t is round(σ·w_t), w_t = z_t − Σ_{j=1}^{b−1} c_j·w_{t−j}, in every coordinate, with z_t independent standard
/// normal *real* numbers (Karney's algorithm on ChaCha20).
///
/// The stream of z_t in coordinate i is number (t, i) of one key, so all digits of all deviates can be drawn again. The last b − 1 rows of
/// w are kept in fixed point with 64 bits after the point and a proven error bound; where the interval straddles a rounding
/// boundary, that coordinate is computed again from the start with as many digits as it takes (`proof.md`, 4). The same
/// seed gives the same rows, so a restart recreates the state by drawing the earlier rows again and dropping them.
///
/// The seed makes all noise of the training. It must come from the operating system, be kept secret for as long as
/// anything released matters, and serve one training only: a row that is added to two different vectors reveals their difference.
pub struct CorrelatedNoise {
    matrix: BandedToeplitz,
    sigma: Sigma,
    dim: u32,
    seed: Zeroizing<[u8; 32]>,
    next: u32,
    /// Bits after the binary point, at most 64.
    bits: u32,
    /// Error of w_t in units of 2^−bits.
    errors: Vec<u64>,
    /// w_{t−1}, w_{t−2}, …
    recent: VecDeque<Zeroizing<Vec<i128>>>,
    refined: u64,
}

impl CorrelatedNoise {
    /// Noise for `dim` coordinates with row deviation `sigma` in grid steps ([`super::MatrixMechanism::row_sigma`]).
    pub fn new(matrix: BandedToeplitz, sigma: Sigma, dim: u32, mut seed: [u8; 32]) -> Self {
        let errors = matrix.error_units();
        let kept = Zeroizing::new(seed);
        seed.zeroize();
        Self { matrix, sigma, dim, seed: kept, next: 0, bits: 64, errors, recent: VecDeque::new(), refined: 0 }
    }

    /// Adds the next row to `vector`, wrapping: a refusal for its values would depend on the data. On integers, x + round(σ·w) is
    /// round(x + σ·w).
    ///
    /// # Errors
    /// [`RowError`] after the last round and for another length; no row is used up.
    pub fn add_next_row(&mut self, vector: &mut [i64]) -> Result<(), RowError> {
        let rounds = self.matrix.rounds();
        if self.next == rounds {
            return Err(RowError::Finished { rounds });
        }
        if u32::try_from(vector.len()) != Ok(self.dim) {
            return Err(RowError::Length { got: vector.len(), expected: self.dim });
        }
        let error = i128::from(self.errors[index(self.next)]);
        let mut row = Zeroizing::new(self.carried_over());
        for ((w, x), coordinate) in row.iter_mut().zip(vector).zip(0..) {
            *w = self.deviate(self.next, coordinate).fixed(self.bits) - scale_down(*w);
            let noise = round_interval(self.sigma, *w, error, self.bits).unwrap_or_else(|| {
                self.refined += 1;
                self.refine(coordinate)
            });
            *x = x.wrapping_add(noise);
        }
        self.recent.push_front(row);
        self.recent.truncate(self.matrix.coefficients().len() - 1);
        self.next += 1;
        Ok(())
    }

    /// How many values needed more than 64 bits after the point so far.
    pub fn refined(&self) -> u64 {
        self.refined
    }

    /// Σ_{j ≥ 1} c_j·w_{t−j} for every coordinate, with 20 bits more after the point.
    fn carried_over(&self) -> Vec<i128> {
        let mut sums = vec![0i128; index(self.dim)];
        for (&c, row) in self.matrix.coefficients().iter().skip(1).zip(&self.recent) {
            // |w| is below 2^26 but for an event of probability e^(−2^19) (a deviate beyond 2^10), so a product has at most 64 + 26 + 20
            // bits, and 2^16 bands add 16.
            for (sum, &w) in sums.iter_mut().zip(row.iter()) {
                *sum += i128::from(c) * w;
            }
        }
        sums
    }

    /// The deviate z of a round and coordinate, from the start of its own stream.
    fn deviate(&self, round: u32, coordinate: u32) -> Deviate {
        let mut stream = ChaCha20Rng::from_seed(*self.seed);
        stream.set_stream((u64::from(round) << 32) | u64::from(coordinate));
        let mut digits = Stream(stream);
        Deviate { normal: Normal::draw(&mut digits), digits }
    }

    /// round(σ·w) of the present round in one coordinate, with more and more digits until all numbers in the interval round alike.
    #[cold]
    fn refine(&self, coordinate: u32) -> i64 {
        let mut bits = self.bits;
        loop {
            bits += 64;
            let mut history = Vec::new();
            for round in 0..=self.next {
                let products = self.matrix.coefficients().iter().skip(1).zip(history.iter().rev());
                let sum: BigInt = products.map(|(&c, w): (_, &BigInt)| w * c).sum();
                let half = BigInt::from(1u32 << (BandedToeplitz::FRACTION_BITS - 1));
                let carried: BigInt = (sum + half) >> BandedToeplitz::FRACTION_BITS;
                history.push(self.deviate(round, coordinate).fixed_big(bits) - carried);
            }
            let w = history.last().expect("at least round 0");
            if let Some(rounded) = round_interval_big(self.sigma, w, self.errors[index(self.next)], bits) {
                // σ is at most 2^40 and |w| below 2^23 but for an event of probability e^(−2^13).
                return i64::try_from(rounded).expect("a normal deviate below 2^7");
            }
        }
    }
}

/// 32-bit digits from a deviate's own stream.
struct Stream(ChaCha20Rng);

impl Digits for Stream {
    const BITS: u32 = 32;
    type Number = ();

    #[inline]
    fn open(&mut self) {}

    #[inline]
    fn draw(&mut self, (): &(), _place: usize) -> u64 {
        u64::from(self.0.next_u32())
    }
}

/// ±(k + x), whose further digits follow in its stream.
struct Deviate {
    normal: Normal<Stream>,
    digits: Stream,
}

impl Deviate {
    /// In units of 2^−bits, cut toward 0: off by less than one unit. `bits` ≤ 64.
    #[inline]
    fn fixed(&mut self, bits: u32) -> i128 {
        let high = self.normal.fraction.digit(&mut self.digits, 0);
        let low = self.normal.fraction.digit(&mut self.digits, 1);
        let known = (i128::from(self.normal.whole) << 64) | i128::from((high << 32) | low);
        let magnitude = known >> (64 - bits);
        if self.normal.negative { -magnitude } else { magnitude }
    }

    /// The same for any number of bits.
    fn fixed_big(&mut self, bits: u32) -> BigInt {
        let words = bits.div_ceil(32);
        let mut known = BigInt::from(self.normal.whole);
        for place in 0..index(words) {
            known = (known << 32) + self.normal.fraction.digit(&mut self.digits, place);
        }
        let magnitude = known >> (32 * words - bits);
        if self.normal.negative { -magnitude } else { magnitude }
    }
}

/// The common ⌊σ·y + 1/2⌋ of all y within `error` of `w`, in units of 2^−bits, if they have one and it takes no more than 127 bits to see.
#[inline]
fn round_interval(sigma: Sigma, w: i128, error: i128, bits: u32) -> Option<i64> {
    let shift = Sigma::FRACTION_BITS + bits;
    let floor = |end: i128| -> Option<i128> {
        Some(i128::from(sigma.raw()).checked_mul(end)?.checked_add(1 << (shift - 1))? >> shift)
    };
    let (low, high) = (floor(w - error)?, floor(w + error)?);
    if low == high { i64::try_from(low).ok() } else { None }
}

fn round_interval_big(sigma: Sigma, w: &BigInt, error: u64, bits: u32) -> Option<BigInt> {
    let shift = Sigma::FRACTION_BITS + bits;
    let floor = |end: BigInt| -> BigInt { (end * sigma.raw() + (BigInt::from(1) << (shift - 1))) >> shift };
    let (low, high) = (floor(w - error), floor(w + error));
    (low == high).then_some(low)
}

fn index(value: u32) -> usize {
    usize::try_from(value).expect("a usize has 32 bits here")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noise(raw: u64, bits: u32) -> CorrelatedNoise {
        let matrix = BandedToeplitz::square_root(4, 12).unwrap();
        let mut noise = CorrelatedNoise::new(matrix, Sigma::from_raw(raw).unwrap(), 300, [5; 32]);
        noise.bits = bits;
        noise
    }

    fn rows(noise: &mut CorrelatedNoise) -> Vec<Vec<i64>> {
        (0..12)
            .map(|_| {
                let mut row = vec![0; 300];
                noise.add_next_row(&mut row).unwrap();
                row
            })
            .collect()
    }

    #[test]
    fn claim_few_bits_and_forced_refinement_give_the_same_integers() {
        // σ = 0.5, 37.2…, 2^16, 2^40.
        for raw in [1 << 15, 2_441_357, 1 << 32, 1 << 56] {
            let mut plain = noise(raw, 64);
            let expected = rows(&mut plain);
            for bits in [5, 12, 33] {
                let mut narrow = noise(raw, bits);
                assert_eq!(rows(&mut narrow), expected, "{bits} bits at sigma {raw} / 2^16");
                assert!(narrow.refined() > plain.refined() || bits == 33, "{bits} bits at {raw}: nothing was refined");
            }
        }
    }

    #[test]
    fn without_the_tracked_error_the_integers_differ() {
        let mut wrong = noise(2_441_357, 12);
        wrong.errors.fill(0);
        assert_ne!(rows(&mut wrong), rows(&mut noise(2_441_357, 64)));
    }

    #[test]
    fn claim_fixed_point_stays_within_its_error_bound() {
        // The same w with 64 and 192 bits; and bounds that a worst case could nearly reach are not vacuous: errors exceed 1 unit.
        let mut coarse = noise(1 << 16, 20);
        let mut largest = 0;
        for round in 0..12u32 {
            let mut row = vec![0; 300];
            coarse.add_next_row(&mut row).unwrap();
            let mut history = Vec::<BigInt>::new();
            for t in 0..=round {
                let sum: BigInt =
                    coarse.matrix.coefficients().iter().skip(1).zip(history.iter().rev()).map(|(&c, w)| w * c).sum();
                history.push(coarse.deviate(t, 7).fixed_big(192) - (sum >> 20u32));
            }
            let fine: BigInt = history.last().unwrap() >> (192 - 20 - 10);
            let error = (BigInt::from(coarse.recent[0][7] << 10) - fine).magnitude().clone();
            let error = u64::try_from(error).unwrap();
            assert!(error <= (coarse.errors[round as usize] << 10) + 1, "round {round}: {error} / 2^10 units");
            largest = largest.max(error);
        }
        assert!(largest > 1 << 9, "the bound is never tested: {largest} / 2^10 units");
    }

    #[test]
    fn one_band_is_independent_rounded_gaussian_noise() {
        let matrix = BandedToeplitz::square_root(1, 2).unwrap();
        let sigma = Sigma::from_raw(1000 << 16).unwrap();
        let mut noise = CorrelatedNoise::new(matrix, sigma, 3, [1; 32]);
        for round in 0..2 {
            let mut row = [0; 3];
            noise.add_next_row(&mut row).unwrap();
            for (coordinate, got) in (0..).zip(row) {
                let mut stream = ChaCha20Rng::from_seed([1; 32]);
                stream.set_stream((round << 32) | coordinate);
                // Karney's sampler on the same stream makes the same real number.
                let mut digits = Stream(stream);
                let mut y = Deviate { normal: Normal::draw(&mut digits), digits };
                let value = sigma.to_f64() * exact_float(y.fixed(40)) / 2f64.powi(40);
                assert_eq!(got, sottovoce_encode::exact::truncate(value.round()).unwrap());
            }
        }
    }

    fn exact_float(v: i128) -> f64 {
        sottovoce_encode::exact::to_f64(i64::try_from(v).unwrap())
    }

    #[test]
    fn rows_beyond_the_last_and_other_lengths_are_refused() {
        let mut noise = noise(1 << 20, 64);
        let short = noise.add_next_row(&mut [0; 299]);
        assert_eq!(short, Err(RowError::Length { got: 299, expected: 300 }));
        rows(&mut noise);
        assert_eq!(noise.add_next_row(&mut [0; 300]), Err(RowError::Finished { rounds: 12 }));
    }

    #[test]
    fn a_value_beyond_127_bits_is_left_to_arbitrary_precision() {
        let sigma = Sigma::from_raw(1 << 56).unwrap();
        assert_eq!(round_interval(sigma, 1 << 80, 1, 64), None);
        assert_eq!(round_interval_big(sigma, &(BigInt::from(1) << 80), 1, 64), Some(BigInt::from(1u64 << 56)));
    }

    proptest! {
        #[test]
        fn arbitrary_precision_agrees_with_127_bits(
            raw in 1u64..=(1 << 56), w in -(1i128 << 68)..(1i128 << 68), error in 0u64..1000, bits in 1u32..=64,
        ) {
            let sigma = Sigma::from_raw(raw).unwrap();
            let w = w >> (64 - bits);
            let big = round_interval_big(sigma, &BigInt::from(w), error, bits).map(|v| i64::try_from(v).unwrap());
            prop_assert_eq!(round_interval(sigma, w, i128::from(error), bits), big);
        }
    }
}
