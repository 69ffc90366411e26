//! Draws of the integration tests.
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sottovoce_attack::bound::{Design, Experiment};
use sottovoce_attack::stats::normal_quantile;

/// A seeded stream.
pub(crate) struct Draws(ChaCha20Rng);

impl Draws {
    /// Of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    /// A fair coin.
    pub(crate) fn coin(&mut self) -> bool {
        self.0.next_u32() & 1 == 1
    }

    /// Standard normal, by inversion.
    pub(crate) fn normal(&mut self) -> f64 {
        normal_quantile((((self.0.next_u64() >> 11) as f64) + 0.5) / (1u64 << 53) as f64)
    }

    /// `canaries` ideal canaries of a μ-GDP mechanism: a coin each, N(μ, 1) in and N(0, 1) out.
    pub(crate) fn gaussian(&mut self, canaries: usize, mu: f64) -> Experiment {
        let included: Vec<bool> = (0..canaries).map(|_| self.coin()).collect();
        let scores = included.iter().map(|&i| if i { mu + self.normal() } else { self.normal() }).collect();
        Experiment::new(included, scores, Design::CoinAndIndependent).unwrap()
    }
}
