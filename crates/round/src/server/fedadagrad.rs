//! FedAdagrad (Reddi et al. 2021, Algorithm 2): v ← v + Δ². The paper's experiments set β₁ = 0 for it (Appendix D).
use super::moments::SecondMoment;

#[derive(Clone)]
pub(super) struct Sum;

impl SecondMoment for Sum {
    fn next(&self, v: f64, square: f64) -> f64 {
        v + square
    }
}
