//! FedAdam (Reddi et al. 2021, Algorithm 2): v ← β₂·v + (1 − β₂)·Δ².
use super::moments::SecondMoment;

#[derive(Clone)]
pub(super) struct Average {
    pub(super) beta2: f64,
}

impl SecondMoment for Average {
    fn next(&self, v: f64, square: f64) -> f64 {
        self.beta2 * v + (1.0 - self.beta2) * square
    }
}
