//! How the released mean moves the model: the server's optimiser, and what it carries from round to round.
//!
//! Everything here is post-processing of what a round released: it costs no privacy, and depends on nobody's data but through
//! the released mean.
mod fedadagrad;
mod fedadam;
mod fedavg;
mod fedavgm;
mod fedyogi;
mod moments;
mod spec;
mod state;

pub use spec::{ServerOutOfRange, ServerRule, ServerSpec};
pub use state::{ServerState, ServerStateError};

use sottovoce_types::Digest;

use crate::plan::RunPlan;

/// One server optimiser. θ `[d]` moves by a step that is made of the released mean `[d]` and of what earlier steps left.
///
/// Arithmetic is in f64, θ is rounded once a step.
trait ServerOptimiser: Send {
    /// θ_t becomes θ_{t+1}.
    fn step(&mut self, theta: &mut [f32], mean: &[f32]);

    /// What it carries to the next round, by name: `[d]` each.
    fn carried(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        Vec::new()
    }
}

/// θ ← θ + step.
fn moved(theta: f32, step: f64) -> f32 {
    #[allow(clippy::cast_possible_truncation, reason = "parameters are f32; the step is computed in f64")]
    let next = (f64::from(theta) + step) as f32;
    next
}

fn optimiser(spec: &ServerSpec, dim: usize) -> Box<dyn ServerOptimiser> {
    let rate = spec.learning_rate;
    match spec.rule {
        ServerRule::FedAvg => Box::new(fedavg::FedAvg { rate }),
        ServerRule::FedAvgM { momentum } => Box::new(fedavgm::FedAvgM::new(rate, momentum, dim)),
        ServerRule::FedAdagrad { beta1, tau } => {
            Box::new(moments::Moments::new(rate, beta1, tau, fedadagrad::Sum, dim))
        }
        ServerRule::FedAdam { beta1, beta2, tau } => {
            Box::new(moments::Moments::new(rate, beta1, tau, fedadam::Average { beta2 }, dim))
        }
        ServerRule::FedYogi { beta1, beta2, tau } => {
            Box::new(moments::Moments::new(rate, beta1, tau, fedyogi::Signed { beta2 }, dim))
        }
    }
}

/// The optimiser of a run with all that it carries.
pub(crate) struct Server {
    optimiser: Box<dyn ServerOptimiser>,
}

impl Server {
    /// As a run begins.
    pub(crate) fn new(plan: &RunPlan) -> Self {
        Self { optimiser: optimiser(&plan.spec().server, plan.layout().len()) }
    }

    /// As it was after the model that `state` belongs to; without a state, as a run begins.
    pub(crate) fn restore(
        plan: &RunPlan,
        model: Digest,
        state: Option<&ServerState>,
    ) -> Result<Self, ServerStateError> {
        let mut server = Self::new(plan);
        let Some(state) = state else { return Ok(server) };
        if state.model() != model {
            return Err(ServerStateError::OtherModel { expected: model, found: state.model() });
        }
        let mut left = state.vectors().clone();
        for (name, vector) in server.optimiser.carried() {
            let found = left.remove(name).ok_or(ServerStateError::Missing { name })?;
            if found.len() != vector.len() {
                return Err(ServerStateError::Length { name, expected: vector.len(), found: found.len() });
            }
            *vector = found;
        }
        match left.into_keys().next() {
            Some(name) => Err(ServerStateError::Unknown { name }),
            None => Ok(server),
        }
    }

    /// θ_t becomes θ_{t+1}.
    pub(crate) fn step(&mut self, theta: &mut [f32], mean: &[f32]) {
        self.optimiser.step(theta, mean);
    }

    /// What must be durable with the model that was just made; `None` where the model is all.
    pub(crate) fn state(&mut self, model: Digest) -> Option<ServerState> {
        let mut state = ServerState::of(model);
        for (name, vector) in self.optimiser.carried() {
            state.keep(name, vector.clone());
        }
        (!state.vectors().is_empty()).then_some(state)
    }
}

#[cfg(test)]
mod tests;
