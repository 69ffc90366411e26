//! Specs that travel: what training, whose privacy.
use serde::{Deserialize, Serialize};

use crate::{OutOfRange, Sha256Writer};

/// The local optimiser.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocalOptimiser {
    /// Stochastic gradient descent, with momentum where asked for.
    #[default]
    Sgd,
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2), β = (0.9, 0.999), ε = 10⁻⁸: PyTorch's.
    #[serde(rename = "adamw")]
    AdamW,
}

impl LocalOptimiser {
    /// The word used in configs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::AdamW => "adamw",
        }
    }
}

/// How the learning rate changes over a run's rounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It does not.
    #[default]
    Constant,
    /// In a straight line to 0 after the last round.
    Linear,
    /// Along half a cosine to 0 after the last round (Loshchilov & Hutter 2017, Eq. 5, without restarts).
    Cosine,
}

impl Schedule {
    /// The word used in configs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Cosine => "cosine",
        }
    }

    /// The share of the learning rate that is used when `done` of the run is over, 0 to 1.
    pub fn factor(self, done: f64) -> f64 {
        let done = done.clamp(0.0, 1.0);
        match self {
            Self::Constant => 1.0,
            Self::Linear => 1.0 - done,
            // Not the system's cosine: a model that every party computes by itself must come out the same on every machine.
            Self::Cosine => 0.5 * (1.0 + libm::cos(std::f64::consts::PI * done)),
        }
    }
}

/// What an example of each class counts in the loss.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// The same.
    #[default]
    None,
    /// n / (classes · n_c) among the examples that one unit trains on (scikit-learn's `balanced`); 0 for a class that it lacks.
    Balanced,
    /// Public numbers, one for each class.
    Given(Vec<f64>),
}

/// Local training of one unit in one round.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TrainJob {
    /// Passes over the unit's examples.
    pub epochs: u32,
    /// So many steps instead of `epochs`, for every unit alike; 0 for none.
    pub steps: u32,
    /// Examples of one pass through the model.
    pub batch: u32,
    /// Batches whose gradients make one step.
    pub accumulate: u32,
    /// Learning rate at the start of the run.
    pub learning_rate: f64,
    /// How it changes over the rounds.
    pub schedule: Schedule,
    /// Rounds in which it rises in a straight line from 0, before `schedule` takes over.
    pub warmup_rounds: u32,
    /// Momentum; 0 for none.
    pub momentum: f64,
    /// L2 penalty (SGD), or decoupled decay (AdamW).
    pub weight_decay: f64,
    /// FedProx's μ: pull towards θ_t; 0 for none (Li et al. 2020, Eq. 2).
    pub proximal_mu: f64,
    /// Optimiser.
    pub optimiser: LocalOptimiser,
    /// Share of the target that is spread evenly over all classes (Szegedy et al. 2016, §7; PyTorch's `label_smoothing`).
    pub label_smoothing: f64,
    /// What an example of each class counts.
    pub class_weights: ClassWeights,
    /// Seed of the order of examples.
    pub seed: u64,
}

impl Default for TrainJob {
    fn default() -> Self {
        Self {
            epochs: 1,
            steps: 0,
            batch: 16,
            accumulate: 1,
            learning_rate: 0.1,
            schedule: Schedule::Constant,
            warmup_rounds: 0,
            momentum: 0.0,
            weight_decay: 0.0,
            proximal_mu: 0.0,
            optimiser: LocalOptimiser::Sgd,
            label_smoothing: 0.0,
            class_weights: ClassWeights::None,
            seed: 1,
        }
    }
}

impl TrainJob {
    /// Whether every number is in its range.
    ///
    /// # Errors
    /// [`OutOfRange`] that names the number.
    pub fn check(&self, classes: usize) -> Result<(), OutOfRange> {
        let refuse = |what, must, is| Err(OutOfRange { what, must, is });
        if self.batch == 0 {
            return refuse("the batch", "at least 1", 0.0);
        }
        if self.accumulate == 0 {
            return refuse("the number of accumulated batches", "at least 1", 0.0);
        }
        let positive = |v: f64| v.is_finite() && v >= 0.0;
        let rules = [
            ("the learning rate", "finite and at least 0", self.learning_rate, positive(self.learning_rate)),
            ("the momentum", "in [0, 1)", self.momentum, (0.0..1.0).contains(&self.momentum)),
            ("the weight decay", "finite and at least 0", self.weight_decay, positive(self.weight_decay)),
            ("FedProx's mu", "finite and at least 0", self.proximal_mu, positive(self.proximal_mu)),
            ("label smoothing", "in [0, 1)", self.label_smoothing, (0.0..1.0).contains(&self.label_smoothing)),
        ];
        if let Some((what, must, is, _)) = rules.into_iter().find(|(.., ok)| !ok) {
            return refuse(what, must, is);
        }
        if self.optimiser == LocalOptimiser::AdamW && self.momentum > 0.0 {
            return refuse("the momentum", "0 with AdamW, which has its own", self.momentum);
        }
        if let ClassWeights::Given(weights) = &self.class_weights {
            #[allow(clippy::cast_precision_loss, reason = "for an error text")]
            if weights.len() != classes {
                return refuse("the number of class weights", "that of the classes", weights.len() as f64);
            }
            if let Some(&bad) = weights.iter().find(|w| !positive(**w)) {
                return refuse("a class weight", "finite and at least 0", bad);
            }
            if weights.iter().all(|w| *w == 0.0) {
                return refuse("the largest class weight", "above 0", 0.0);
            }
        }
        Ok(())
    }

    /// The learning rate of round `round` of `rounds`, counted from 1.
    pub fn learning_rate_at(&self, round: u64, rounds: u64) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "fewer than 2^53 rounds")]
        let (begun, all, warmup) =
            (round.saturating_sub(1) as f64, rounds.max(1) as f64, f64::from(self.warmup_rounds));
        if begun < warmup {
            return self.learning_rate * (begun + 1.0) / (warmup + 1.0);
        }
        let rest = (all - warmup).max(1.0);
        self.learning_rate * self.schedule.factor((begun - warmup) / rest)
    }

    /// The job of round `round` of `rounds`, counted from 1: its learning rate is that of the round, and changes no more.
    #[must_use]
    pub fn in_round(&self, round: u64, rounds: u64) -> Self {
        Self {
            learning_rate: self.learning_rate_at(round, rounds),
            schedule: Schedule::Constant,
            warmup_rounds: 0,
            ..self.clone()
        }
    }

    /// Writes every field into a digest.
    pub fn write_to(&self, w: &mut Sha256Writer) {
        for n in [self.epochs, self.steps, self.batch, self.accumulate, self.warmup_rounds] {
            w.number(n.into());
        }
        w.number(self.seed);
        for v in [self.learning_rate, self.momentum, self.weight_decay, self.proximal_mu, self.label_smoothing] {
            w.number(v.to_bits());
        }
        w.field(self.optimiser.name().as_bytes()).field(self.schedule.name().as_bytes());
        match &self.class_weights {
            ClassWeights::None => w.field(b"none"),
            ClassWeights::Balanced => w.field(b"balanced"),
            ClassWeights::Given(weights) => {
                w.field(b"given").number(weights.len() as u64);
                weights.iter().fold(w, |w, v| w.number(v.to_bits()))
            }
        };
    }
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
    fn the_learning_rate_warms_up_and_then_follows_its_schedule() {
        let rates = |schedule, warmup_rounds| -> Vec<f64> {
            let job = TrainJob { learning_rate: 1.0, schedule, warmup_rounds, ..TrainJob::default() };
            (1..=5).map(|round| (1e6 * job.learning_rate_at(round, 5)).round() / 1e6).collect()
        };
        assert_eq!(rates(Schedule::Constant, 0), [1.0; 5]);
        assert_eq!(rates(Schedule::Linear, 0), [1.0, 0.8, 0.6, 0.4, 0.2]);
        // ½(1 + cos(π·k/5)).
        assert_eq!(rates(Schedule::Cosine, 0), [1.0, 0.904_508, 0.654_508, 0.345_492, 0.095_492]);
        assert_eq!(rates(Schedule::Constant, 4), [0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!(rates(Schedule::Linear, 1), [0.5, 1.0, 0.75, 0.5, 0.25]);
        // The job of a round does not change again.
        let job = TrainJob { learning_rate: 1.0, schedule: Schedule::Linear, ..TrainJob::default() }.in_round(3, 5);
        assert!((job.learning_rate - 0.6).abs() < 1e-12 && job.in_round(5, 5) == job);
    }

    #[test]
    fn every_field_is_in_the_digest() {
        let digest = |job: &TrainJob| {
            let mut w = Sha256Writer::new("test");
            job.write_to(&mut w);
            w.finish()
        };
        let base = TrainJob::default();
        let others = [
            TrainJob { epochs: 2, ..base.clone() },
            TrainJob { steps: 2, ..base.clone() },
            TrainJob { batch: 2, ..base.clone() },
            TrainJob { accumulate: 2, ..base.clone() },
            TrainJob { learning_rate: 0.2, ..base.clone() },
            TrainJob { schedule: Schedule::Cosine, ..base.clone() },
            TrainJob { warmup_rounds: 2, ..base.clone() },
            TrainJob { momentum: 0.5, ..base.clone() },
            TrainJob { weight_decay: 0.5, ..base.clone() },
            TrainJob { proximal_mu: 0.5, ..base.clone() },
            TrainJob { optimiser: LocalOptimiser::AdamW, ..base.clone() },
            TrainJob { label_smoothing: 0.5, ..base.clone() },
            TrainJob { class_weights: ClassWeights::Balanced, ..base.clone() },
            TrainJob { class_weights: ClassWeights::Given(vec![1.0, 2.0]), ..base.clone() },
            TrainJob { class_weights: ClassWeights::Given(vec![1.0, 3.0]), ..base.clone() },
            TrainJob { seed: 2, ..base.clone() },
        ];
        let mut all: Vec<_> = others.iter().chain([&base]).map(digest).collect();
        all.sort_unstable_by_key(|d| d.0);
        all.dedup();
        assert_eq!(all.len(), others.len() + 1);
    }

    #[test]
    fn a_job_that_is_not_possible_is_refused_by_name() {
        let base = TrainJob::default();
        assert_eq!(base.check(5), Ok(()));
        for (bad, says) in [
            (TrainJob { batch: 0, ..base.clone() }, "batch"),
            (TrainJob { accumulate: 0, ..base.clone() }, "accumulated"),
            (TrainJob { learning_rate: f64::NAN, ..base.clone() }, "learning rate"),
            (TrainJob { momentum: 1.0, ..base.clone() }, "momentum"),
            (TrainJob { momentum: 0.5, optimiser: LocalOptimiser::AdamW, ..base.clone() }, "AdamW"),
            (TrainJob { weight_decay: -1.0, ..base.clone() }, "decay"),
            (TrainJob { proximal_mu: f64::INFINITY, ..base.clone() }, "mu"),
            (TrainJob { label_smoothing: 1.0, ..base.clone() }, "smoothing"),
            (TrainJob { class_weights: ClassWeights::Given(vec![1.0]), ..base.clone() }, "number of class weights"),
            (TrainJob { class_weights: ClassWeights::Given(vec![0.0; 5]), ..base.clone() }, "largest"),
            (TrainJob { class_weights: ClassWeights::Given(vec![1.0, 1.0, 1.0, 1.0, -1.0]), ..base.clone() }, "weight"),
        ] {
            let error = bad.check(5).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
