//! What a run leaves behind, in schema-versioned records.
use serde::{Deserialize, Serialize};

use crate::{Digest, Interval, Metrics, Unit};

/// Version of every record and JSON object that Sottovoce writes.
pub const SCHEMA_VERSION: u32 = 1;

/// From where an adversary looks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vantage {
    /// Who reads the network: datagrams under TLS.
    Network,
    /// The coordinator with secure aggregation: every model and every sum, no single update.
    Coordinator,
    /// The coordinator of a run without secure aggregation: every single update. Only in simulated controls.
    CoordinatorPlain,
    /// The coordinator together with f corrupt clients.
    Collusion,
    /// Another client.
    PeerClient,
    /// Whoever holds the released models.
    Released,
    /// Whoever sees any of this and knows which units were drawn in each round, for example from how long a site trained.
    KnowsSample,
    /// The auditor, who instruments the code and places canaries.
    Auditor,
}

impl Vantage {
    /// The word used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Coordinator => "coordinator",
            Self::CoordinatorPlain => "coordinator-plain",
            Self::Collusion => "collusion",
            Self::PeerClient => "peer-client",
            Self::Released => "released",
            Self::KnowsSample => "knows-sample",
            Self::Auditor => "auditor",
        }
    }
}

/// The guarantee against one vantage.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EpsilonByVantage {
    /// Against whom.
    pub vantage: Vantage,
    /// ε; `None` is infinity.
    pub epsilon: Option<f64>,
    /// δ.
    pub delta: f64,
    /// Accountant and assumptions, in words.
    pub basis: String,
}

/// One line of `rounds.jsonl`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RoundRecord {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// SHA-256 of the resolved config.
    pub config_sha256: Digest,
    /// Round, from 1.
    pub round: u64,
    /// Attempt that was published, from 1.
    pub attempt: u32,
    /// Clients on the roster.
    pub cohort: u32,
    /// Clients whose input is in the sum.
    pub contributors: u32,
    /// Clients lost in this round.
    pub dropouts: u32,
    /// SHA-256 of the model after the round.
    pub model_sha256: Digest,
    /// L2 norm of the mean update.
    pub mean_update_l2: f64,
    /// Attempts that were charged so far (0 without DP).
    pub charges: u64,
    /// ε spent so far at the run's δ, by the coordinator's ledger (0 without DP).
    pub epsilon_spent: f64,
    /// Milliseconds on the driver's clock (virtual in simulations).
    pub duration_ms: u64,
    /// Evaluation on unseen speakers, where one was made.
    pub metrics: Option<Metrics>,
    /// The round's clipping norm C, where it adapts from round to round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_l2: Option<f64>,
    /// The noisy share of units within it, from which the next round's followed: released with the mean, so it may lie outside of 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclipped_fraction: Option<f64>,
}

/// One line of `attacks.jsonl`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AttackScore {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// Name of the attack.
    pub attack: String,
    /// The attack whose control this is; `None` for the attack itself.
    pub control_of: Option<String>,
    /// From where it looks.
    pub vantage: Vantage,
    /// What is measured, for example `auc`.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// 95 % interval.
    pub ci95: Interval,
    /// The value of blind guessing.
    pub chance: f64,
    /// Independent trials behind it.
    pub trials: u32,
    /// Source of the attack.
    pub citation: String,
    /// What it means, in one sentence.
    pub note: String,
}

/// The verdict of a canary audit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The empirical lower bound is below the claimed bound.
    NoViolation,
    /// The empirical lower bound exceeds the claimed bound: the implementation is wrong.
    Violation,
    /// Too little power to tell.
    Inconclusive,
}

/// Empirical epsilon beside the accountant's.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CanaryAudit {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// The method.
    pub method: String,
    /// ε that the accountant claims for the audited steps.
    pub epsilon_claimed: f64,
    /// δ of both.
    pub delta: f64,
    /// Lower bound on ε at `confidence`.
    pub epsilon_lower: f64,
    /// Confidence of the lower bound.
    pub confidence: f64,
    /// Canaries.
    pub canaries: u32,
    /// Rounds combined.
    pub rounds: u32,
    /// Smallest factor by which noise could fall short and still be caught with probability 0.95.
    pub detectable_noise_shortfall: f64,
    /// The verdict.
    pub verdict: Verdict,
}

/// `metrics.json`: a finished run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunSummary {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// Name of the run.
    pub name: String,
    /// SHA-256 of the resolved config.
    pub config_sha256: Digest,
    /// Corpus, in words; says "synthetic" where it is.
    pub corpus: String,
    /// Whether the speech is synthetic, so that the figures say nothing about people.
    pub synthetic: bool,
    /// Class names in order.
    pub labels: Vec<String>,
    /// How train and test were split.
    pub split: String,
    /// The privacy unit.
    pub unit: Unit,
    /// Units in training.
    pub units: u32,
    /// Clients.
    pub clients: u32,
    /// Rounds published.
    pub rounds: u64,
    /// The model's architecture, in words (`dnn`, `cnn`, …); empty in files of earlier versions.
    #[serde(default)]
    pub model: String,
    /// Parameters of the model.
    pub parameters: u64,
    /// How sums are formed: `secure` or `plain`.
    pub aggregation: String,
    /// Where noise came from: `os` or `seeded`.
    pub noise_source: String,
    /// Client dropouts survived.
    pub dropouts: u32,
    /// SHA-256 of the last model.
    pub model_sha256: Digest,
    /// ε by vantage.
    pub privacy: Vec<EpsilonByVantage>,
    /// Evaluation of the last model.
    pub metrics: Metrics,
    /// Centralised training on the same split, where it was done.
    pub centralised: Option<Metrics>,
    /// Mean of local training alone, where it was done.
    pub local_only_uar: Option<f64>,
    /// Seconds by the wall.
    pub wall_s: f64,
}
