//! Named streams of randomness: one seed, one stream for each purpose, so that a bootstrap can never share draws with a
//! shuffle or with a canary's coin.
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sottovoce_types::Sha256Writer;

/// A seeded stream, apart from every stream of another label.
pub(crate) struct Stream(ChaCha20Rng);

impl Stream {
    /// The stream `label` of `seed`.
    pub(crate) fn new(label: &str, seed: u64) -> Self {
        let key = Sha256Writer::new("sottovoce/1/attack").field(label.as_bytes()).number(seed).finish();
        Self(ChaCha20Rng::from_seed(*key.as_bytes()))
    }

    /// The generator itself, for samplers that draw their own way.
    pub(crate) fn rng(&mut self) -> &mut ChaCha20Rng {
        &mut self.0
    }

    /// A fair coin.
    pub(crate) fn coin(&mut self) -> bool {
        self.0.next_u32() & 1 == 1
    }

    /// Uniform in 0..n, `n` > 0. The multiply-shift bias is below n / 2^64: nothing beside a bootstrap's own error.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// Shuffles in place (Fisher-Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// Uniform in [0, 1), 53 bits.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by inversion.
    pub(crate) fn normal(&mut self) -> f64 {
        crate::stats::normal_quantile(self.uniform().max(1e-300))
    }
}
