//! Trainers without a model: for tests of everything around training.
use sottovoce_round::{LocalTrainer, TrainFailed};
use sottovoce_types::{FlatParams, TrainJob, Update};

/// Moves the parameters a fixed fraction of the way to a target: local training of a quadratic loss.
#[derive(Clone, Debug)]
pub struct TargetTrainer {
    /// Where each privacy unit wants the parameters: one `[d]` vector a unit.
    pub targets: Vec<Vec<f32>>,
    /// Fraction of the way, 0 to 1.
    pub step: f32,
}

impl LocalTrainer for TargetTrainer {
    fn train(&mut self, global: &FlatParams, _job: &TrainJob) -> Result<Vec<Update>, TrainFailed> {
        let towards = |target: &Vec<f32>| Update {
            values: global.values().iter().zip(target).map(|(g, t)| self.step * (t - g)).collect(),
            examples: 1,
        };
        Ok(self.targets.iter().map(towards).collect())
    }
}

/// A client that sends the same poisoned direction in every round, as large as it likes.
#[derive(Clone, Debug)]
pub struct PoisonedTrainer {
    /// The update, `[d]`.
    pub direction: Vec<f32>,
}

impl LocalTrainer for PoisonedTrainer {
    fn train(&mut self, _global: &FlatParams, _job: &TrainJob) -> Result<Vec<Update>, TrainFailed> {
        Ok(vec![Update { values: self.direction.clone(), examples: 1 }])
    }
}
