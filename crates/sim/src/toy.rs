//! Trainers without a model: for tests of everything around training.
use sottovoce_round::{LocalTrainer, TrainFailed, UnitSum, Work};
use sottovoce_types::Update;

/// Moves the parameters a fixed fraction of the way to a target: local training of a quadratic loss.
#[derive(Clone, Debug)]
pub struct TargetTrainer {
    /// Where each privacy unit wants the parameters: one `[d]` vector a unit.
    pub targets: Vec<Vec<f32>>,
    /// Fraction of the way, 0 to 1.
    pub step: f32,
}

impl LocalTrainer for TargetTrainer {
    fn train(&mut self, work: &Work, units: &mut UnitSum) -> Result<(), TrainFailed> {
        for target in &self.targets {
            let values = work.params.values().iter().zip(target).map(|(g, t)| self.step * (t - g)).collect();
            units.add(&Update { values, examples: 1 })?;
        }
        Ok(())
    }
}

/// A client that sends the same poisoned direction in every round, as large as it likes.
#[derive(Clone, Debug)]
pub struct PoisonedTrainer {
    /// The update, `[d]`.
    pub direction: Vec<f32>,
}

impl LocalTrainer for PoisonedTrainer {
    fn train(&mut self, _work: &Work, units: &mut UnitSum) -> Result<(), TrainFailed> {
        Ok(units.add(&Update { values: self.direction.clone(), examples: 1 })?)
    }
}
