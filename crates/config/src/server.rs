//! `[server]`: how the released mean moves the model.
use serde::{Deserialize, Serialize};
use sottovoce_round::{ServerRule, ServerSpec};

use crate::error::Problem;

/// The rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerOptimiser {
    /// θ ← θ + learning rate × mean.
    #[default]
    Fedavg,
    /// With momentum.
    Fedavgm,
    /// Divided by the root of the sum of squares.
    Fedadagrad,
    /// By the root of a running average of squares.
    Fedadam,
    /// By the root of one that forgets more slowly.
    Fedyogi,
    /// FedAvg's step, with control variates against client drift.
    Scaffold,
}

impl ServerOptimiser {
    /// The word used in configs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fedavg => "fedavg",
            Self::Fedavgm => "fedavgm",
            Self::Fedadagrad => "fedadagrad",
            Self::Fedadam => "fedadam",
            Self::Fedyogi => "fedyogi",
            Self::Scaffold => "scaffold",
        }
    }
}

/// `[server]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// The rule.
    pub optimiser: ServerOptimiser,
    /// Its learning rate.
    pub learning_rate: f64,
    /// FedAvgM's β.
    pub momentum: f64,
    /// β₁ of the adaptive rules.
    pub beta1: f64,
    /// β₂ of FedAdam and FedYogi.
    pub beta2: f64,
    /// τ of the adaptive rules.
    pub tau: f64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            optimiser: ServerOptimiser::default(),
            learning_rate: 1.0,
            momentum: 0.9,
            beta1: 0.9,
            beta2: 0.99,
            tau: 1e-3,
        }
    }
}

impl Server {
    /// What the plan asks of the server.
    pub(crate) fn spec(&self) -> ServerSpec {
        let Self { momentum, beta1, beta2, tau, .. } = *self;
        let rule = match self.optimiser {
            ServerOptimiser::Fedavg => ServerRule::FedAvg,
            ServerOptimiser::Fedavgm => ServerRule::FedAvgM { momentum },
            ServerOptimiser::Fedadagrad => ServerRule::FedAdagrad { beta1, tau },
            ServerOptimiser::Fedadam => ServerRule::FedAdam { beta1, beta2, tau },
            ServerOptimiser::Fedyogi => ServerRule::FedYogi { beta1, beta2, tau },
            ServerOptimiser::Scaffold => ServerRule::Scaffold,
        };
        ServerSpec { rule, learning_rate: self.learning_rate }
    }

    /// The keys that the rule looks at.
    fn heeded(&self) -> &'static [&'static str] {
        match self.optimiser {
            ServerOptimiser::Fedavg | ServerOptimiser::Scaffold => &[],
            ServerOptimiser::Fedavgm => &["server.momentum"],
            ServerOptimiser::Fedadagrad => &["server.beta1", "server.tau"],
            ServerOptimiser::Fedadam | ServerOptimiser::Fedyogi => &["server.beta1", "server.beta2", "server.tau"],
        }
    }

    /// Numbers in their range, and none that the rule would not look at.
    pub(crate) fn check(&self) -> Result<(), (&'static str, Problem)> {
        let defaults = Self::default();
        let all = [
            ("server.momentum", self.momentum, defaults.momentum),
            ("server.beta1", self.beta1, defaults.beta1),
            ("server.beta2", self.beta2, defaults.beta2),
            ("server.tau", self.tau, defaults.tau),
        ];
        for (key, is, default) in all {
            if is.to_bits() != default.to_bits() && !self.heeded().contains(&key) {
                return Err((key, Problem::NotHeeded { optimiser: self.optimiser.name(), default }));
            }
        }
        self.spec().check().map_err(|bad| {
            let key = all.iter().map(|(key, ..)| *key).find(|key| key.ends_with(bad.key));
            (key.unwrap_or("server.learning_rate"), Problem::OutOfRange { must: bad.must, is: bad.is })
        })
    }
}
