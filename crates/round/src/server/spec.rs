//! Which server optimiser a plan asks for.
use sottovoce_types::Sha256Writer;

/// The rule by which the released mean Δ moves the model.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ServerRule {
    /// θ ← θ + η·Δ (McMahan et al. 2017, Algorithm 1).
    FedAvg,
    /// Momentum on the mean (Hsu, Qi & Brown 2019, §4.3).
    FedAvgM {
        /// β, in [0, 1).
        momentum: f64,
    },
    /// Steps divided by the root of the sum of squares (Reddi et al. 2021, Algorithm 2).
    FedAdagrad {
        /// β₁, in [0, 1).
        beta1: f64,
        /// τ, above 0: how adaptive the steps are.
        tau: f64,
    },
    /// By the root of a running average of squares (Reddi et al. 2021, Algorithm 2).
    FedAdam {
        /// β₁, in [0, 1).
        beta1: f64,
        /// β₂, in [0, 1).
        beta2: f64,
        /// τ, above 0.
        tau: f64,
    },
    /// By the root of an average that forgets more slowly (Reddi et al. 2021, Algorithm 2).
    FedYogi {
        /// β₁, in [0, 1).
        beta1: f64,
        /// β₂, in [0, 1).
        beta2: f64,
        /// τ, above 0.
        tau: f64,
    },
    /// FedAvg's step, with control variates against client drift (Karimireddy et al. 2020, Algorithm 1, option II).
    Scaffold,
}

impl ServerRule {
    /// The word used in configs and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::FedAvg => "fedavg",
            Self::FedAvgM { .. } => "fedavgm",
            Self::FedAdagrad { .. } => "fedadagrad",
            Self::FedAdam { .. } => "fedadam",
            Self::FedYogi { .. } => "fedyogi",
            Self::Scaffold => "scaffold",
        }
    }

    /// Its numbers, each with the key that sets it.
    fn numbers(&self) -> Vec<(&'static str, f64)> {
        match *self {
            Self::FedAvg | Self::Scaffold => vec![],
            Self::FedAvgM { momentum } => vec![("momentum", momentum)],
            Self::FedAdagrad { beta1, tau } => vec![("beta1", beta1), ("tau", tau)],
            Self::FedAdam { beta1, beta2, tau } | Self::FedYogi { beta1, beta2, tau } => {
                vec![("beta1", beta1), ("beta2", beta2), ("tau", tau)]
            }
        }
    }
}

/// The server's part of a plan.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ServerSpec {
    /// The rule.
    pub rule: ServerRule,
    /// η, above 0.
    pub learning_rate: f64,
}

/// FedAvg that moves by the whole mean.
impl Default for ServerSpec {
    fn default() -> Self {
        Self { rule: ServerRule::FedAvg, learning_rate: 1.0 }
    }
}

/// A number of the server's optimiser is out of range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("server.{key} must be {must}, but is {is}")]
pub struct ServerOutOfRange {
    /// The key of `[server]`.
    pub key: &'static str,
    /// The range.
    pub must: &'static str,
    /// The number.
    pub is: f64,
}

impl ServerSpec {
    /// Whether clients need a control variate.
    pub fn is_scaffold(&self) -> bool {
        self.rule == ServerRule::Scaffold
    }

    /// Whether every number is in its range.
    ///
    /// # Errors
    /// [`ServerOutOfRange`] that names the key.
    pub fn check(&self) -> Result<(), ServerOutOfRange> {
        let rate = ("learning_rate", self.learning_rate);
        for (key, is) in std::iter::once(rate).chain(self.rule.numbers()) {
            let (must, ok) = match key {
                "learning_rate" | "tau" => ("finite and above 0", is.is_finite() && is > 0.0),
                _ => ("at least 0 and below 1", (0.0..1.0).contains(&is)),
            };
            if !ok {
                return Err(ServerOutOfRange { key, must, is });
            }
        }
        Ok(())
    }

    pub(crate) fn write_to(&self, w: &mut Sha256Writer) {
        w.field(self.rule.name().as_bytes()).number(self.learning_rate.to_bits());
        for (key, number) in self.rule.numbers() {
            w.field(key.as_bytes()).number(number.to_bits());
        }
    }
}
