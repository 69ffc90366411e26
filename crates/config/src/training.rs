//! `[training]`: how a client trains.
use serde::{Deserialize, Serialize};
use sottovoce_types::{ClassWeights, Device, LocalOptimiser, OutOfRange, Schedule, TrainJob};

use crate::error::Problem;

/// What an example of each class counts: `none`, `balanced`, or a number for each class.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct ClassWeightsKey(pub ClassWeights);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Word(String),
    Numbers(Vec<f64>),
}

/// What was written names no class weights.
#[derive(Debug, thiserror::Error)]
#[error("class weights are `none`, `balanced`, or a list of one number for each class")]
struct NoClassWeights;

impl TryFrom<Written> for ClassWeightsKey {
    type Error = NoClassWeights;
    fn try_from(written: Written) -> Result<Self, NoClassWeights> {
        match written {
            Written::Word(word) if word == "none" => Ok(Self(ClassWeights::None)),
            Written::Word(word) if word == "balanced" => Ok(Self(ClassWeights::Balanced)),
            Written::Word(_) => Err(NoClassWeights),
            Written::Numbers(weights) => Ok(Self(ClassWeights::Given(weights))),
        }
    }
}

impl From<ClassWeightsKey> for Written {
    fn from(key: ClassWeightsKey) -> Self {
        match key.0 {
            ClassWeights::None => Self::Word("none".into()),
            ClassWeights::Balanced => Self::Word("balanced".into()),
            ClassWeights::Given(weights) => Self::Numbers(weights),
        }
    }
}

/// `[training]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// Passes over a unit's examples in one round.
    pub epochs: u32,
    /// So many steps instead; 0 for none.
    pub steps: u32,
    /// Examples of one pass through the model.
    pub batch: u32,
    /// Batches whose gradients make one step.
    pub accumulate: u32,
    /// The local optimiser.
    pub optimiser: LocalOptimiser,
    /// Learning rate.
    pub learning_rate: f64,
    /// How it changes over the rounds.
    pub schedule: Schedule,
    /// Rounds in which it rises.
    pub warmup_rounds: u32,
    /// Momentum.
    pub momentum: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// FedProx's μ.
    pub proximal_mu: f64,
    /// Share of the target that all classes have.
    pub label_smoothing: f64,
    /// What an example of each class counts.
    pub class_weights: ClassWeightsKey,
    /// Where training runs.
    pub device: Device,
}

impl Default for Training {
    fn default() -> Self {
        let job = TrainJob::default();
        Self {
            epochs: 2,
            steps: 0,
            batch: 16,
            accumulate: job.accumulate,
            optimiser: job.optimiser,
            learning_rate: 0.05,
            schedule: job.schedule,
            warmup_rounds: job.warmup_rounds,
            momentum: job.momentum,
            weight_decay: job.weight_decay,
            proximal_mu: job.proximal_mu,
            label_smoothing: job.label_smoothing,
            class_weights: ClassWeightsKey(job.class_weights),
            device: Device::default(),
        }
    }
}

impl Training {
    /// The job that travels to clients.
    pub fn job(&self, seed: u64) -> TrainJob {
        TrainJob {
            epochs: self.epochs,
            steps: self.steps,
            batch: self.batch,
            accumulate: self.accumulate,
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            warmup_rounds: self.warmup_rounds,
            momentum: self.momentum,
            weight_decay: self.weight_decay,
            proximal_mu: self.proximal_mu,
            optimiser: self.optimiser,
            label_smoothing: self.label_smoothing,
            class_weights: self.class_weights.0.clone(),
            seed,
        }
    }

    /// Whether the job is possible.
    pub(crate) fn check(&self, classes: usize) -> Result<(), (&'static str, Problem)> {
        self.job(0).check(classes).map_err(|OutOfRange { what, must, is }| {
            let key = match what {
                "the batch" => "training.batch",
                "the number of accumulated batches" => "training.accumulate",
                "the momentum" => "training.momentum",
                "the weight decay" => "training.weight_decay",
                "FedProx's mu" => "training.proximal_mu",
                "label smoothing" => "training.label_smoothing",
                "the learning rate" => "training.learning_rate",
                _ => "training.class_weights",
            };
            (key, Problem::OutOfRange { must, is })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn every_key_reaches_the_job() {
        let config = Config::parse(
            "[training]\nepochs = 3\nbatch = 4\naccumulate = 5\noptimiser = \"adamw\"\nlearning_rate = 0.5\nschedule = \"cosine\"\n\
             warmup_rounds = 2\nweight_decay = 0.25\nproximal_mu = 0.125\nlabel_smoothing = 0.1\n\
             class_weights = [1, 2, 3, 4, 5]\ndevice = \"cpu\"\n",
            &[] as &[&str],
        )
        .unwrap_or_else(|e| panic!("{}", e.render(false)));
        let expected = TrainJob {
            epochs: 3,
            steps: 0,
            batch: 4,
            accumulate: 5,
            learning_rate: 0.5,
            schedule: Schedule::Cosine,
            warmup_rounds: 2,
            momentum: 0.0,
            weight_decay: 0.25,
            proximal_mu: 0.125,
            optimiser: LocalOptimiser::AdamW,
            label_smoothing: 0.1,
            class_weights: ClassWeights::Given(vec![1.0, 2.0, 3.0, 4.0, 5.0]),
            seed: 9,
        };
        assert_eq!(config.training.job(9), expected);
        assert_eq!(Config::parse(&config.to_toml(), &[] as &[&str]).unwrap(), config);
        let balanced = Config::parse("", &["training.class_weights=balanced", "training.device=cuda:1"]).unwrap();
        assert_eq!(balanced.training.job(1).class_weights, ClassWeights::Balanced);
        assert_eq!(balanced.training.device, Device::Cuda(1));
    }

    #[test]
    fn a_job_that_is_not_possible_is_refused_at_its_key() {
        for (set, key, says) in [
            ("training.class_weights=[1, 2]", "training.class_weights", "that of the classes"),
            ("training.class_weights=heavy", "training.class_weights", "balanced"),
            ("training.label_smoothing=1", "training.label_smoothing", "[0, 1)"),
            ("training.accumulate=0", "training.accumulate", "at least 1"),
            ("training.device=gpu", "training.device", "cuda:0"),
            ("training.schedule=step", "training.schedule", "cosine"),
        ] {
            let error = Config::parse("", &[set]).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(says), "{error}");
        }
        let both = Config::parse("", &["training.optimiser=adamw", "training.momentum=0.9"]).unwrap_err().to_string();
        assert!(both.contains("training.momentum") && both.contains("AdamW"), "{both}");
    }
}
