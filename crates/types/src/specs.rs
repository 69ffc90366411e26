//! Specs that travel: what model, what training, whose privacy.
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{FlatParams, ParamLayout, Sha256Writer};

/// A model's architecture.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ModelSpec {
    /// Fully connected layers with ReLU between, on fixed-width examples.
    Dnn {
        /// Features per example.
        inputs: usize,
        /// Width of each hidden layer.
        hidden: Vec<usize>,
        /// Classes.
        classes: usize,
    },
}

impl ModelSpec {
    /// Which tensors the model has. Fully connected layer i is `layers.{i}.weight` `[out, in]` (PyTorch's order) and
    /// `layers.{i}.bias` `[out]`.
    pub fn layout(&self) -> ParamLayout {
        ParamLayout::new(self.dense_shapes().into_iter().enumerate().flat_map(|(i, (inputs, outputs))| {
            [(format!("layers.{i}.weight"), vec![outputs, inputs]), (format!("layers.{i}.bias"), vec![outputs])]
        }))
    }

    /// Classes that the model tells apart.
    pub fn classes(&self) -> usize {
        match self {
            Self::Dnn { classes, .. } => *classes,
        }
    }

    /// Initial parameters, the same bits on every machine: uniform in ±1/√fan_in (PyTorch's default for linear layers),
    /// drawn from SHA-256 of seed and position, so that a coordinator without a machine-learning library has them too.
    pub fn initialise(&self, seed: u64) -> FlatParams {
        let layout = self.layout();
        let mut values = Vec::with_capacity(layout.len());
        for (inputs, outputs) in self.dense_shapes() {
            #[allow(clippy::cast_precision_loss, reason = "a layer has fewer than 2^52 inputs")]
            let bound = 1.0 / (inputs.max(1) as f64).sqrt();
            for _ in 0..inputs * outputs + outputs {
                let digest = Sha256Writer::new("sottovoce/1/init").number(seed).number(values.len() as u64).finish();
                let bytes = digest.as_bytes();
                // 24 bits: every value k / 2^24 is exact in f32.
                let k = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
                let unit = f64::from(k) / f64::from(1u32 << 24);
                #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is the point")]
                values.push((bound * (2.0 * unit - 1.0)) as f32);
            }
        }
        FlatParams::new(Arc::new(layout), values).expect("one value per parameter of the layout")
    }

    fn dense_shapes(&self) -> Vec<(usize, usize)> {
        match self {
            Self::Dnn { inputs, hidden, classes } => {
                let outputs = hidden.iter().copied().chain([*classes]);
                let inputs = [*inputs].into_iter().chain(hidden.iter().copied());
                inputs.zip(outputs).collect()
            }
        }
    }
}

/// The local optimiser.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocalOptimiser {
    /// Stochastic gradient descent, with momentum where asked for.
    #[default]
    Sgd,
}

/// Local training of one unit in one round.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TrainJob {
    /// Passes over the unit's examples.
    pub epochs: u32,
    /// Examples per step.
    pub batch: u32,
    /// Learning rate.
    pub learning_rate: f64,
    /// Momentum; 0 for none.
    pub momentum: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// FedProx's μ: pull towards θ_t; 0 for none (Li et al. 2020, Eq. 2).
    pub proximal_mu: f64,
    /// Optimiser.
    pub optimiser: LocalOptimiser,
    /// Seed of the order of examples.
    pub seed: u64,
}

/// What neighbouring data sets differ by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// All of one speaker's utterances.
    #[default]
    Speaker,
    /// One utterance.
    Utterance,
    /// All of one client's data.
    Client,
    /// No differential privacy: epsilon is infinite.
    None,
}

impl Unit {
    /// The word used in configs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Speaker => "speaker",
            Self::Utterance => "utterance",
            Self::Client => "client",
            Self::None => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_parameters_are_the_same_for_the_same_seed_and_within_their_bound() {
        let spec = ModelSpec::Dnn { inputs: 65, hidden: vec![16], classes: 5 };
        let a = spec.initialise(7);
        assert_eq!(a, spec.initialise(7));
        assert_ne!(a.digest(), spec.initialise(8).digest());
        assert_eq!(a.values().len(), 65 * 16 + 16 + 16 * 5 + 5);
        assert!(a.values().iter().all(|v| v.abs() <= 0.25 + 1e-6));
    }
}
