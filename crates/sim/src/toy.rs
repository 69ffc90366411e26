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
        for (unit, target) in self.targets.iter().enumerate() {
            if units.takes(unit) {
                let values = work.params.values().iter().zip(target).map(|(g, t)| self.step * (t - g)).collect();
                units.add(unit, &Update { values, examples: 1 })?;
            }
        }
        Ok(())
    }
}

/// Local SGD on f(y) = h/2·‖y − a‖²: K = `job.steps` exact gradient steps, with SCAFFOLD's correction where there is one.
#[derive(Clone, Debug)]
pub struct QuadraticTrainer {
    /// h.
    pub curvature: f64,
    /// a, `[d]`.
    pub target: Vec<f32>,
    /// Examples that it says it has.
    pub examples: u32,
}

impl LocalTrainer for QuadraticTrainer {
    fn train(&mut self, work: &Work, units: &mut UnitSum) -> Result<(), TrainFailed> {
        let local = |(i, theta): (usize, &f32)| {
            let (start, target) = (f64::from(*theta), f64::from(self.target[i]));
            let correction = work.correction.as_ref().map_or(0.0, |c| f64::from(c[i]));
            let step = |y: f64| y - work.job.learning_rate * (self.curvature * (y - target) + correction);
            let end = (0..work.job.steps).fold(start, |y, _| step(y));
            #[allow(clippy::cast_possible_truncation, reason = "updates are f32")]
            let moved = (end - start) as f32;
            moved
        };
        let values = work.params.values().iter().enumerate().map(local).collect();
        Ok(units.add(0, &Update { values, examples: self.examples })?)
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
        Ok(units.add(0, &Update { values: self.direction.clone(), examples: 1 })?)
    }
}
