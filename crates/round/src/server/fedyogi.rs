//! FedYogi (Reddi et al. 2021, Algorithm 2): v ← v − (1 − β₂)·Δ²·sign(v − Δ²). v moves by an amount that Δ² sets, and not v, so
//! that it forgets large means more slowly than FedAdam does.
use super::moments::SecondMoment;

#[derive(Clone)]
pub(super) struct Signed {
    pub(super) beta2: f64,
}

impl SecondMoment for Signed {
    fn next(&self, v: f64, square: f64) -> f64 {
        let step = (1.0 - self.beta2) * square;
        match v.total_cmp(&square) {
            std::cmp::Ordering::Greater => v - step,
            std::cmp::Ordering::Less => v + step,
            std::cmp::Ordering::Equal => v,
        }
    }
}
