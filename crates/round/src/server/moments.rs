//! What FedAdagrad, FedAdam and FedYogi share (Reddi et al. 2021, Algorithm 2), with Δ the released mean:
//!
//! m ← β₁·m + (1 − β₁)·Δ, v ← (each rule's own), θ ← θ + η·m / (√v + τ), from m = 0 and v = τ².
//!
//! There is no bias correction, as in the paper: the first steps are short, by 1 − β₁.
use super::{ServerOptimiser, moved};

/// What tells the three rules apart.
pub(super) trait SecondMoment: Clone + Send + Sync + 'static {
    /// v from the v before it and Δ², for one coordinate.
    fn next(&self, v: f64, square: f64) -> f64;
}

#[derive(Clone)]
pub(super) struct Moments<S> {
    rate: f64,
    beta1: f64,
    tau: f64,
    second_moment: S,
    m: Vec<f64>,
    v: Vec<f64>,
}

impl<S: SecondMoment> Moments<S> {
    pub(super) fn new(rate: f64, beta1: f64, tau: f64, second_moment: S, dim: usize) -> Self {
        Self { rate, beta1, tau, second_moment, m: vec![0.0; dim], v: vec![tau * tau; dim] }
    }
}

impl<S: SecondMoment> ServerOptimiser for Moments<S> {
    fn step(&mut self, theta: &mut [f32], mean: &[f32]) {
        for (((theta, m), v), delta) in theta.iter_mut().zip(&mut self.m).zip(&mut self.v).zip(mean) {
            let delta = f64::from(*delta);
            *m = self.beta1 * *m + (1.0 - self.beta1) * delta;
            *v = self.second_moment.next(*v, delta * delta);
            *theta = moved(*theta, self.rate * *m / (v.sqrt() + self.tau));
        }
    }

    fn boxed(&self) -> Box<dyn ServerOptimiser> {
        Box::new(self.clone())
    }

    fn carried(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        vec![("first_moment", &mut self.m), ("second_moment", &mut self.v)]
    }
}
