//! Reproducible draws: the order of examples, who gets which speakers, bootstrap resamples.
//!
//! None of these protects anything; the noise that does is drawn in `sottovoce-dp`. The generator is ChaCha20, so the
//! same seed gives the same draws on every machine and in every release.
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sottovoce_types::Sha256Writer;

/// The purposes that draws are kept apart by.
pub(crate) mod purpose {
    /// Order of examples in local training.
    pub(crate) const ORDER: &str = "sottovoce/1/train/order";
    /// One seed per privacy unit out of a job's seed.
    pub(crate) const UNIT: &str = "sottovoce/1/train/unit";
    /// Speakers and clips to clients.
    pub(crate) const PARTITION: &str = "sottovoce/1/train/partition";
    /// Speakers of a bootstrap resample.
    pub(crate) const BOOTSTRAP: &str = "sottovoce/1/train/bootstrap";
}

/// A stream of draws for one purpose.
pub(crate) struct Draws(ChaCha20Rng);

impl Draws {
    pub(crate) fn new(purpose: &str, seed: u64) -> Self {
        Self(ChaCha20Rng::from_seed(*Sha256Writer::new(purpose).number(seed).finish().as_bytes()))
    }

    /// Uniform in `0..n`, without bias: values in the incomplete last block of 2^64 are drawn again.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        assert!(n > 0, "a draw from nothing");
        let rest = (u64::MAX % n + 1) % n;
        loop {
            let x = self.0.next_u64();
            if x <= u64::MAX - rest {
                return (x % n) as usize;
            }
        }
    }

    /// Fisher–Yates.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// A Dirichlet(α, …, α) draw of `k` weights that sum to 1.
    ///
    /// Gamma draws divided by their sum, in logarithms so that a small α does not underflow to 0/0.
    pub(crate) fn dirichlet(&mut self, alpha: f64, k: usize) -> Vec<f64> {
        let logs: Vec<f64> = (0..k).map(|_| self.ln_gamma_variate(alpha)).collect();
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logs.iter().map(|l| (l - top).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|w| w / sum).collect()
    }

    /// The logarithm of a Gamma(α, 1) draw: Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables",
    /// ACM TOMS 26(3), 2000; for α < 1 their §6: Gamma(α + 1)·U^(1/α).
    fn ln_gamma_variate(&mut self, alpha: f64) -> f64 {
        if alpha < 1.0 {
            return self.ln_gamma_variate(alpha + 1.0) + self.open_unit().ln() / alpha;
        }
        let d = alpha - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.open_unit().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return (d * v).ln();
            }
        }
    }

    /// Standard normal, Box and Muller (1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.open_unit().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.open_unit()).cos()
    }

    /// Uniform in (0, 1): the middle of one of 2^53 equal cells.
    fn open_unit(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_seeds_give_different_streams_and_the_same_pair_the_same() {
        let first = |purpose, seed| Draws::new(purpose, seed).below(usize::MAX);
        assert_eq!(first(purpose::ORDER, 1), first(purpose::ORDER, 1));
        assert_ne!(first(purpose::ORDER, 1), first(purpose::ORDER, 2));
        assert_ne!(first(purpose::ORDER, 1), first(purpose::PARTITION, 1));
    }

    #[test]
    fn dirichlet_weights_have_the_mean_and_variance_of_the_distribution() {
        // Dirichlet(α, …) of k parts: mean 1/k, variance (k − 1) / (k²·(kα + 1)). 20,000 draws: the mean's standard
        // error is below 0.004 and the variance's below 0.004 for the α used; 0.02 is five of them.
        let k = 5usize;
        for alpha in [0.1, 0.5, 1.0, 10.0] {
            let mut draws = Draws::new("test", 11);
            let first: Vec<f64> = (0..20_000).map(|_| draws.dirichlet(alpha, k)[0]).collect();
            let mean = first.iter().sum::<f64>() / first.len() as f64;
            let variance = first.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / first.len() as f64;
            let k = k as f64;
            assert!((mean - 1.0 / k).abs() < 0.02, "mean {mean} at alpha {alpha}");
            let expected = (k - 1.0) / (k * k * (k * alpha + 1.0));
            assert!((variance / expected - 1.0).abs() < 0.1, "variance {variance}, not {expected}, at alpha {alpha}");
        }
    }

    #[test]
    fn a_tiny_alpha_gives_weights_and_not_zero_over_zero() {
        let mut draws = Draws::new("test", 1);
        for _ in 0..1000 {
            let weights = draws.dirichlet(1e-3, 5);
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{weights:?}");
        }
    }

    #[test]
    fn draws_below_n_reach_every_value_about_equally() {
        let mut draws = Draws::new("test", 2);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[draws.below(7)] += 1;
        }
        // Standard deviation of a count is 93; 500 is more than five of them.
        assert!(counts.iter().all(|c| c.abs_diff(10_000) < 500), "{counts:?}");
    }
}
