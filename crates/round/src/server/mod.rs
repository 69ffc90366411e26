//! How the released mean moves the model: the server's optimiser, and what it carries from round to round.
//!
//! Everything here is post-processing of what a round released: it costs no privacy, and depends on nobody's data but through
//! the released mean.
mod clip;
mod fedadagrad;
mod fedadam;
mod fedavg;
mod fedavgm;
mod fedyogi;
mod moments;
mod scaffold;
mod spec;
mod state;

pub(crate) use clip::limits;
pub use clip::{AdaptiveClip, AdaptiveClipRefused};
pub use spec::{ServerOutOfRange, ServerRule, ServerSpec};
pub use state::{ServerState, ServerStateError};

use sottovoce_types::{ClipNorm, Digest};

use crate::plan::RunPlan;
use crate::terms::RoundTerms;

/// Name of SCAFFOLD's c in a [`ServerState`].
const CONTROL: &str = "control";
/// Name of the next round's C there.
const CLIP: &str = "clip_l2";

/// One server optimiser. θ `[d]` moves by a step that is made of the released mean `[d]` and of what earlier steps left.
///
/// Arithmetic is in f64, θ is rounded once a step.
trait ServerOptimiser: Send + Sync {
    /// θ_t becomes θ_{t+1}.
    fn step(&mut self, theta: &mut [f32], mean: &[f32]);

    /// A copy with all that it carries.
    fn boxed(&self) -> Box<dyn ServerOptimiser>;

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
        ServerRule::FedAvg | ServerRule::Scaffold => Box::new(fedavg::FedAvg { rate }),
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

impl Clone for Box<dyn ServerOptimiser> {
    fn clone(&self) -> Self {
        (**self).boxed()
    }
}

/// A run's server optimiser by itself, without its messages: for whoever repeats the arithmetic, as shadow models of attacks do.
#[derive(Clone)]
pub struct ServerSteps(Box<dyn ServerOptimiser>);

impl ServerSteps {
    /// As a run of a model of `dim` parameters begins; `None` for SCAFFOLD, which is more than steps.
    pub fn new(spec: &ServerSpec, dim: usize) -> Option<Self> {
        (!spec.is_scaffold()).then(|| Self(optimiser(spec, dim)))
    }

    /// θ_t becomes θ_{t+1} by the mean of a round, `[dim]` both.
    pub fn step(&mut self, theta: &mut [f32], mean: &[f32]) {
        self.0.step(theta, mean);
    }
}

/// The optimiser of a run with all that it carries.
#[derive(Clone)]
pub(crate) struct Server {
    optimiser: Box<dyn ServerOptimiser>,
    control: Option<scaffold::Control>,
    clip: ClipNorm,
    adapts: bool,
}

impl Server {
    /// As a run begins.
    pub(crate) fn new(plan: &RunPlan) -> Self {
        let (spec, dim) = (plan.spec(), plan.layout().len());
        Self {
            optimiser: optimiser(&spec.server, dim),
            control: spec.server.is_scaffold().then(|| scaffold::Control::zeros(dim)),
            clip: spec.clip,
            adapts: spec.adaptive_clip.is_some(),
        }
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
        let mut take = |name, expected| {
            let found = left.remove(name).ok_or(ServerStateError::Missing { name })?;
            let found_len = found.len();
            if found_len == expected {
                Ok(found)
            } else {
                Err(ServerStateError::Length { name, expected, found: found_len })
            }
        };
        for (name, vector) in server.optimiser.carried() {
            *vector = take(name, vector.len())?;
        }
        if let Some(control) = &mut server.control {
            control.restore(&take(CONTROL, control.values().len())?);
        }
        if plan.spec().adaptive_clip.is_some() {
            let found = take(CLIP, 1)?[0];
            let allowed = limits(plan.spec().clip);
            let clip = ClipNorm::new(found).ok().filter(|clip| allowed.contains(&clip.value()));
            server.clip = clip.ok_or(ServerStateError::Clip { found: found.to_string() })?;
        }
        match left.into_keys().next() {
            Some(name) => Err(ServerStateError::Unknown { name }),
            None => Ok(server),
        }
    }

    /// θ_t becomes θ_{t+1}, by the released mean of `round`, to which `share` of all members contributed.
    pub(crate) fn step(&mut self, plan: &RunPlan, round: u64, theta: &mut [f32], mean: &[f32], share: f64) {
        self.optimiser.step(theta, mean);
        if let Some(control) = &mut self.control {
            control.step(plan, round, mean, share);
        }
    }

    /// C_t becomes C_{t+1}, by the released share of unclipped units.
    pub(crate) fn adapt(&mut self, plan: &RunPlan, unclipped: f64) {
        if let Some(adaptive) = &plan.spec().adaptive_clip {
            self.clip = adaptive.next(plan.spec().clip, self.clip, unclipped);
        }
    }

    /// C_t of the round that is open, or comes next.
    pub(crate) fn clip(&self) -> ClipNorm {
        self.clip
    }

    /// What the next round begins from besides the model.
    pub(crate) fn terms(&self) -> RoundTerms {
        RoundTerms { clip: self.clip, control: self.control.as_ref().map(|c| c.values().to_vec()) }
    }

    /// What must be durable with the model that was just made; `None` where the model is all.
    pub(crate) fn state(&mut self, model: Digest) -> Option<ServerState> {
        let mut state = ServerState::of(model);
        for (name, vector) in self.optimiser.carried() {
            state.keep(name, vector.clone());
        }
        if let Some(control) = &self.control {
            state.keep(CONTROL, control.to_f64());
        }
        if self.adapts {
            state.keep(CLIP, vec![self.clip.value()]);
        }
        (!state.vectors().is_empty()).then_some(state)
    }
}

#[cfg(test)]
mod tests;
