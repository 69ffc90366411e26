//! Stochastic gradient descent with PyTorch's conventions, on the device.
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use sottovoce_types::TrainJob;

/// θ ← θ − η·v with v ← m·v + g and g = ∇ℓ + λ·θ + μ·(θ − θ_t).
///
/// λ (weight decay) falls on biases too and v starts at the first g, both as in PyTorch's SGD; μ·(θ − θ_t) is the
/// gradient of FedProx's (μ/2)·‖θ − θ_t‖² (Li et al., "Federated Optimization in Heterogeneous Networks", MLSys 2020,
/// Eq. 2), with θ_t the parameters at the first step.
pub(crate) struct Sgd<B: AutodiffBackend> {
    learning_rate: f64,
    momentum: f64,
    weight_decay: f64,
    proximal_mu: f64,
    /// v per parameter tensor, flat, in the order in which the module shows them.
    velocity: Vec<Tensor<B::InnerBackend, 1>>,
    /// θ_t per parameter tensor, likewise.
    anchor: Vec<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> Sgd<B> {
    pub(crate) fn new(job: &TrainJob) -> Self {
        Self {
            learning_rate: job.learning_rate,
            momentum: job.momentum,
            weight_decay: job.weight_decay,
            proximal_mu: job.proximal_mu,
            velocity: Vec::new(),
            anchor: Vec::new(),
        }
    }

    /// One step on every parameter of the model.
    pub(crate) fn step<M: Module<B>>(&mut self, model: M, gradients: &B::Gradients) -> M {
        model.map(&mut Step { sgd: self, gradients, slot: 0 })
    }

    /// One step on one parameter tensor, flat.
    fn stepped(
        &mut self,
        slot: usize,
        theta: Tensor<B::InnerBackend, 1>,
        gradient: Tensor<B::InnerBackend, 1>,
    ) -> Tensor<B::InnerBackend, 1> {
        let mut g = gradient;
        if self.weight_decay > 0.0 {
            g = g + theta.clone() * self.weight_decay;
        }
        if self.proximal_mu > 0.0 {
            if self.anchor.len() == slot {
                self.anchor.push(theta.clone());
            }
            g = g + (theta.clone() - self.anchor[slot].clone()) * self.proximal_mu;
        }
        if self.momentum > 0.0 {
            if self.velocity.len() == slot {
                self.velocity.push(g);
            } else {
                self.velocity[slot] = self.velocity[slot].clone() * self.momentum + g;
            }
            g = self.velocity[slot].clone();
        }
        theta - g * self.learning_rate
    }
}

/// Visits the parameters in the module's order.
struct Step<'a, B: AutodiffBackend> {
    sgd: &'a mut Sgd<B>,
    gradients: &'a B::Gradients,
    slot: usize,
}

impl<B: AutodiffBackend> ModuleMapper<B> for Step<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let gradient = tensor.grad(self.gradients).expect("every parameter takes part in the loss");
        let shape = tensor.dims();
        let theta = self.sgd.stepped(self.slot, tensor.inner().flatten(0, D - 1), gradient.flatten(0, D - 1));
        self.slot += 1;
        Param::from_mapped_value(id, Tensor::from_inner(theta.reshape(shape)).require_grad(), mapper)
    }
}
