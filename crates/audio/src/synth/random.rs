//! Seeded draws: every voice and every clip has its own ChaCha stream, so no order of work changes a byte.
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use sottovoce_types::Sha256Writer;

pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream of a label and numbers.
    pub(super) fn new(label: &str, numbers: &[u64]) -> Self {
        let mut writer = Sha256Writer::new(label);
        for &n in numbers {
            writer.number(n);
        }
        Self(ChaCha8Rng::from_seed(writer.finish().0))
    }

    /// Uniform in `low..high`.
    pub(super) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * f64::from(self.0.next_u32()) / 4_294_967_296.0
    }

    /// Normal with mean 0 (Box-Muller), cut at three deviations so that no voice is grotesque.
    pub(super) fn normal(&mut self, deviation: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform(0.0, 1.0)).ln()).sqrt();
        let z = radius * (std::f64::consts::TAU * self.uniform(0.0, 1.0)).cos();
        deviation * z.clamp(-3.0, 3.0)
    }

    /// Two samples of white noise, each uniform in −1..1.
    pub(super) fn noise_pair(&mut self) -> (f64, f64) {
        let bits = self.0.next_u32();
        let unit = |half: u16| f64::from(half) / 32_767.5 - 1.0;
        (unit((bits >> 16) as u16), unit((bits & 0xffff) as u16))
    }
}
