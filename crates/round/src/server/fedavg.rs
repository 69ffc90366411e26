//! FedAvg (McMahan et al. 2017, Algorithm 1): θ ← θ + η · mean.
use super::{ServerOptimiser, moved};

#[derive(Clone)]
pub(super) struct FedAvg {
    pub(super) rate: f64,
}

impl ServerOptimiser for FedAvg {
    fn step(&mut self, theta: &mut [f32], mean: &[f32]) {
        for (theta, m) in theta.iter_mut().zip(mean) {
            *theta = moved(*theta, self.rate * f64::from(*m));
        }
    }

    fn boxed(&self) -> Box<dyn ServerOptimiser> {
        Box::new(self.clone())
    }
}
