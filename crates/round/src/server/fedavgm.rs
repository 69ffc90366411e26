//! FedAvgM (Hsu, Qi & Brown 2019, §4.3): v ← β·v + mean, θ ← θ + η·v. Without dampening, as there: with β = 0.9 and a mean that
//! stays, steps grow to ten times FedAvg's.
use super::{ServerOptimiser, moved};

#[derive(Clone)]
pub(super) struct FedAvgM {
    rate: f64,
    momentum: f64,
    velocity: Vec<f64>,
}

impl FedAvgM {
    pub(super) fn new(rate: f64, momentum: f64, dim: usize) -> Self {
        Self { rate, momentum, velocity: vec![0.0; dim] }
    }
}

impl ServerOptimiser for FedAvgM {
    fn step(&mut self, theta: &mut [f32], mean: &[f32]) {
        for ((theta, v), m) in theta.iter_mut().zip(&mut self.velocity).zip(mean) {
            *v = self.momentum * *v + f64::from(*m);
            *theta = moved(*theta, self.rate * *v);
        }
    }

    fn boxed(&self) -> Box<dyn ServerOptimiser> {
        Box::new(self.clone())
    }

    fn carried(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        vec![("velocity", &mut self.velocity)]
    }
}
