//! One step on θ from one gradient, on the device, with PyTorch's conventions.
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use sottovoce_types::{LocalOptimiser, TrainJob};

/// AdamW's β₁, β₂ and ε: PyTorch's defaults.
pub(crate) const BETAS: (f64, f64) = (0.9, 0.999);
pub(crate) const EPSILON: f64 = 1e-8;

/// What every step adds to the gradient, and the optimiser's own memory.
///
/// g = ∇ℓ + μ·(θ − θ_t) + correction: the second is the gradient of FedProx's (μ/2)·‖θ − θ_t‖² (Li et al., "Federated Optimization
/// in Heterogeneous Networks", MLSys 2020, Eq. 2), the third SCAFFOLD's c − c_i (Karimireddy et al., ICML 2020, Algorithm 1).
pub(crate) struct Optimiser<B: Backend> {
    learning_rate: f64,
    momentum: f64,
    weight_decay: f64,
    proximal_mu: f64,
    /// θ_t, `[d]`.
    anchor: Tensor<B, 1>,
    correction: Option<Tensor<B, 1>>,
    rule: Rule<B>,
}

enum Rule<B: Backend> {
    /// θ ← θ − η·v, v ← m·v + g + λ·θ; v starts at the first g and λ falls on biases too, both as in PyTorch's SGD.
    Sgd { velocity: Option<Tensor<B, 1>> },
    /// θ ← θ − η·(m̂ / (√v̂ + ε) + λ·θ) (Loshchilov & Hutter 2019, Algorithm 2).
    AdamW { moments: Option<(Tensor<B, 1>, Tensor<B, 1>)>, steps: i32 },
}

impl<B: Backend> Optimiser<B> {
    pub(crate) fn new(job: &TrainJob, start: &Tensor<B, 1>, correction: Option<Tensor<B, 1>>) -> Self {
        Self {
            learning_rate: job.learning_rate,
            momentum: job.momentum,
            weight_decay: job.weight_decay,
            proximal_mu: job.proximal_mu,
            anchor: start.clone(),
            correction,
            rule: match job.optimiser {
                LocalOptimiser::Sgd => Rule::Sgd { velocity: None },
                LocalOptimiser::AdamW => Rule::AdamW { moments: None, steps: 0 },
            },
        }
    }

    pub(crate) fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    /// θ after one step.
    pub(crate) fn step(&mut self, theta: Tensor<B, 1>, gradient: Tensor<B, 1>) -> Tensor<B, 1> {
        let mut g = gradient;
        if self.proximal_mu > 0.0 {
            g = g + (theta.clone() - self.anchor.clone()) * self.proximal_mu;
        }
        if let Some(correction) = &self.correction {
            g = g + correction.clone();
        }
        match &mut self.rule {
            Rule::Sgd { velocity } => {
                if self.weight_decay > 0.0 {
                    g = g + theta.clone() * self.weight_decay;
                }
                if self.momentum > 0.0 {
                    if let Some(velocity) = velocity.take() {
                        g = velocity * self.momentum + g;
                    }
                    *velocity = Some(g.clone());
                }
                theta - g * self.learning_rate
            }
            Rule::AdamW { moments, steps } => {
                let (b1, b2) = BETAS;
                *steps += 1;
                let square = g.clone() * g.clone();
                let (m, v) = match moments.take() {
                    Some((m, v)) => (m * b1 + g * (1.0 - b1), v * b2 + square * (1.0 - b2)),
                    None => (g * (1.0 - b1), square * (1.0 - b2)),
                };
                *moments = Some((m.clone(), v.clone()));
                let m = m / (1.0 - b1.powi(*steps));
                let v = v / (1.0 - b2.powi(*steps));
                let kept = theta * (1.0 - self.learning_rate * self.weight_decay);
                kept - m / (v.sqrt() + EPSILON) * self.learning_rate
            }
        }
    }
}
