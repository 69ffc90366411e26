//! The discrete Gaussian and the discrete Laplace law, exactly: Canonne, Kamath & Steinke 2020, "The Discrete Gaussian for Differential
//! Privacy", Algorithms 1 to 3, on 128-bit integers with the caller's generator.
//!
//! They are the second samplers: for releases of which zCDP or pure DP is wanted, and oracles for others' samplers. *Not* for the sums of
//! model updates: no Gaussian trade-off curve dominates the discrete Gaussian (at σ = 1, δ = 10⁻⁵ its ε is 4.430, the Gaussian's 4.377), so the
//! accountants of this crate charge it by zCDP alone, ρ = Δ²/2σ².
use rand_core::CryptoRng;

/// A positive rational scale whose parts are small enough that no product below overflows 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Scale {
    numerator: u64,
    denominator: u64,
}

/// A scale that the samplers cannot compute with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a scale of {numerator}/{denominator} is not between 1/2^20 and 2^20 with both parts from 1 to 2^20")]
pub struct ScaleOutOfRange {
    /// Its numerator.
    pub numerator: u64,
    /// Its denominator.
    pub denominator: u64,
}

impl Scale {
    const MOST: u64 = 1 << 20;

    fn new(numerator: u64, denominator: u64) -> Result<Self, ScaleOutOfRange> {
        let fits = |part| (1..=Self::MOST).contains(&part);
        if fits(numerator) && fits(denominator) {
            Ok(Self { numerator, denominator })
        } else {
            Err(ScaleOutOfRange { numerator, denominator })
        }
    }
}

/// Integer noise of a law.
pub trait IntegerNoise {
    /// Fills `out` with independent samples.
    fn fill<R: CryptoRng + ?Sized>(&self, rng: &mut R, out: &mut [i64]);
}

impl IntegerNoise for super::RoundedGaussian {
    fn fill<R: CryptoRng + ?Sized>(&self, rng: &mut R, out: &mut [i64]) {
        Self::fill(self, rng, out);
    }
}

/// P\[x\] ∝ e^(−|x|/t) on the integers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiscreteLaplace {
    scale: Scale,
}

impl DiscreteLaplace {
    /// With scale t = `numerator` / `denominator`.
    ///
    /// # Errors
    /// [`ScaleOutOfRange`].
    pub fn new(numerator: u64, denominator: u64) -> Result<Self, ScaleOutOfRange> {
        Ok(Self { scale: Scale::new(numerator, denominator)? })
    }

    /// Algorithm 2, with its t the numerator here, its s the denominator.
    fn sample<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> i64 {
        let Scale { numerator: t, denominator: s } = self.scale;
        loop {
            let u = below(t.into(), rng);
            if !bernoulli_exp_of_fraction(u, t.into(), rng) {
                continue;
            }
            let mut v = 0u128;
            while bernoulli_exp_of_fraction(1, 1, rng) {
                v += 1;
            }
            let magnitude = (u + u128::from(t) * v) / u128::from(s);
            let negative = rng.next_u32() & 1 == 1;
            if negative && magnitude == 0 {
                continue;
            }
            // v exceeds 2^40 with probability e^(−2^40).
            let magnitude = i64::try_from(magnitude).expect("a geometric number below 2^40");
            return if negative { -magnitude } else { magnitude };
        }
    }
}

impl IntegerNoise for DiscreteLaplace {
    fn fill<R: CryptoRng + ?Sized>(&self, rng: &mut R, out: &mut [i64]) {
        out.fill_with(|| self.sample(rng));
    }
}

/// P\[x\] ∝ e^(−x²/2σ²) on the integers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiscreteGaussian {
    sigma: Scale,
}

impl DiscreteGaussian {
    /// With σ = `numerator` / `denominator`.
    ///
    /// # Errors
    /// [`ScaleOutOfRange`].
    pub fn new(numerator: u64, denominator: u64) -> Result<Self, ScaleOutOfRange> {
        Ok(Self { sigma: Scale::new(numerator, denominator)? })
    }

    /// Algorithm 3: a discrete Laplace of scale t = ⌊σ⌋ + 1, kept with probability e^(−(|y| − σ²/t)²/2σ²).
    fn sample<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> i64 {
        let (n, d) = (u128::from(self.sigma.numerator), u128::from(self.sigma.denominator));
        let t = n / d + 1;
        let laplace =
            DiscreteLaplace { scale: Scale { numerator: u64::try_from(t).expect("at most 2^20 + 1"), denominator: 1 } };
        loop {
            let y = laplace.sample(rng);
            // (|y| − n²/(d²t))² · d²/(2n²) = (|y|·d²·t − n²)² / (2·n²·d²·t²). The parts are below 2^20, so that n² and d²·t² ≤ (n + d)² are below 2^42; a
            // |y| above 2^20·t has probability e^(−2^20), and would be refused by the check.
            let difference = (u128::from(y.unsigned_abs()) * d * d * t).abs_diff(n * n);
            let denominator = 2 * n * n * d * d * t * t;
            let Some(numerator) = difference.checked_mul(difference) else { continue };
            if bernoulli_exp(numerator, denominator, rng) {
                return y;
            }
        }
    }
}

impl IntegerNoise for DiscreteGaussian {
    fn fill<R: CryptoRng + ?Sized>(&self, rng: &mut R, out: &mut [i64]) {
        out.fill_with(|| self.sample(rng));
    }
}

/// True with probability e^(−numerator/denominator): Algorithm 1 for whole parts, then for the rest.
fn bernoulli_exp<R: CryptoRng + ?Sized>(numerator: u128, denominator: u128, rng: &mut R) -> bool {
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    for _ in 0..whole {
        if !bernoulli_exp_of_fraction(1, 1, rng) {
            return false;
        }
    }
    bernoulli_exp_of_fraction(rest, denominator, rng)
}

/// The same for a fraction of at most 1: the run of trials of probability x/k, k = 1, 2, …, ends at an odd k.
fn bernoulli_exp_of_fraction<R: CryptoRng + ?Sized>(numerator: u128, denominator: u128, rng: &mut R) -> bool {
    let mut k = 1u128;
    // numerator/(denominator·k): first one of k, then the fraction, so that the product never overflows.
    while below(k, rng) == 0 && below(denominator, rng) < numerator {
        k += 1;
    }
    k % 2 == 1
}

/// Uniform below `n`, exactly: as many bits as `n` has, until they are below.
fn below<R: CryptoRng + ?Sized>(n: u128, rng: &mut R) -> u128 {
    let bits = u128::BITS - (n - 1).leading_zeros();
    if bits == 0 {
        return 0;
    }
    loop {
        let mut word = u128::from(rng.next_u64());
        if bits > 64 {
            word = (word << 64) | u128::from(rng.next_u64());
        } else {
            word <<= 64;
        }
        let candidate = word >> (128 - bits);
        if candidate < n {
            return candidate;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng as _;

    use super::*;

    #[test]
    fn scales_that_could_overflow_are_refused() {
        for (n, d) in [(0, 1), (1, 0), ((1 << 20) + 1, 1), (1, (1 << 20) + 1)] {
            assert!(DiscreteGaussian::new(n, d).is_err() && DiscreteLaplace::new(n, d).is_err(), "{n}/{d}");
        }
        // The largest that is taken: no product overflows.
        let mut rng = rand_chacha::ChaCha20Rng::from_seed([1; 32]);
        let mut out = [0; 50];
        for (n, d) in [(1 << 20, 1), (1 << 20, 1 << 20), (1, 1 << 20), ((1 << 20) - 1, 3)] {
            DiscreteGaussian::new(n, d).unwrap().fill(&mut rng, &mut out);
        }
    }
}
