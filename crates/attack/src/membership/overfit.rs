//! The control of the membership attack: on a model that remembers its training clips, the attack must win.
use sottovoce_train::{Device, DeviceError, EvaluateError, TrainError, Trainer};
use sottovoce_types::{AttackScore, Examples, LocalOptimiser, ModelSpec, TrainJob};

use crate::membership::pooled::one_vector_each;
use crate::membership::{LOSS_THRESHOLD, Losses, MembershipError, loss_threshold};

/// The control's name in records.
pub const OVERFIT_CONTROL: &str = "membership-loss-threshold-overfit";

/// How the model that remembers is trained. The default is one wide hidden layer and far too many epochs.
#[derive(Clone, PartialEq, Debug)]
pub struct OverfitSpec {
    /// Width of the hidden layer.
    pub hidden: usize,
    /// Passes over the members.
    pub epochs: u32,
    /// Clips a step.
    pub batch: u32,
    /// Learning rate.
    pub learning_rate: f64,
    /// Momentum.
    pub momentum: f64,
    /// Seed of initialisation and order.
    pub seed: u64,
}

impl Default for OverfitSpec {
    fn default() -> Self {
        Self { hidden: 256, epochs: 100, batch: 16, learning_rate: 0.05, momentum: 0.9, seed: 1 }
    }
}

/// Why the control could not be made.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverfitError {
    /// No device to train on.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Training failed.
    #[error("training the overfit control: {0}")]
    Train(#[from] TrainError),
    /// Its losses could not be taken.
    #[error("evaluating the overfit control: {0}")]
    Evaluate(#[from] EvaluateError),
    /// The attack could not be scored.
    #[error(transparent)]
    Membership(#[from] MembershipError),
}

/// Trains a wide model on `members` until it remembers them and runs M1 on it; clips of many frames as the mean and deviation of each
/// coefficient, for it is fully connected whatever model is attacked. The score is the control of
/// [`loss_threshold`]: its interval must lie above 0.5, or the attack's failure on the real model shows nothing.
///
/// # Errors
/// [`OverfitError`] when training, evaluation or scoring fails.
pub fn overfit_control(
    members: &Examples,
    non_members: &Examples,
    classes: usize,
    spec: &OverfitSpec,
    device: Device,
) -> Result<AttackScore, OverfitError> {
    let (members, non_members) = (&one_vector_each(members), &one_vector_each(non_members));
    let model = ModelSpec::Dnn { inputs: members.width, hidden: vec![spec.hidden], classes };
    let trainer = Trainer::new(model.clone(), device)?;
    let job = TrainJob {
        epochs: spec.epochs,
        batch: spec.batch,
        learning_rate: spec.learning_rate,
        momentum: spec.momentum,
        weight_decay: 0.0,
        proximal_mu: 0.0,
        optimiser: LocalOptimiser::Sgd,
        seed: spec.seed,
        ..TrainJob::default()
    };
    let trained = trainer.train_centralised(&model.initialise(spec.seed), members, &job, |_| ())?;
    let mut score = {
        let (inside, outside) = (trainer.losses(&trained, members)?, trainer.losses(&trained, non_members)?);
        let (who_in, who_out) = (speakers(members), speakers(non_members));
        let members = Losses { losses: &inside, speakers: &who_in };
        loss_threshold(members, Losses { losses: &outside, speakers: &who_out }, spec.seed)?.auc
    };
    score.attack = OVERFIT_CONTROL.into();
    score.control_of = Some(LOSS_THRESHOLD.into());
    score.note = format!(
        "The same attack on a model of {} hidden units trained for {} epochs without privacy: it must win, or the \
         attack's failure shows nothing.",
        spec.hidden, spec.epochs
    );
    Ok(score)
}

fn speakers(examples: &Examples) -> Vec<String> {
    examples.meta.iter().map(|m| m.speaker.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::halves_within_speakers;
    use crate::membership::tests::toy;

    #[test]
    fn membership_wins_on_a_model_that_remembers() {
        let (members, non_members) = halves_within_speakers(&toy(8, 20, 4), 4);
        let spec = OverfitSpec { hidden: 64, epochs: 60, ..OverfitSpec::default() };
        let score = overfit_control(&members, &non_members, 4, &spec, Device::Cpu).unwrap();
        assert!(score.ci95.low > 0.6, "{score:?}");
        assert_eq!(score.control_of.as_deref(), Some(LOSS_THRESHOLD));
    }

    #[test]
    fn clips_of_many_frames_are_remembered_by_their_mean_and_deviation() {
        let frames = {
            let pooled = toy(8, 20, 4);
            let mut frames = Examples::empty(pooled.width);
            for i in 0..pooled.len() {
                let twice: Vec<f32> = pooled.row(i).iter().chain(pooled.row(i)).copied().collect();
                frames.push(&twice, pooled.labels[i], pooled.meta[i].clone());
            }
            frames
        };
        let (members, non_members) = halves_within_speakers(&frames, 4);
        let spec = OverfitSpec { hidden: 64, epochs: 60, ..OverfitSpec::default() };
        let score = overfit_control(&members, &non_members, 4, &spec, Device::Cpu).unwrap();
        assert!(score.ci95.low > 0.6, "{score:?}");
    }

    #[test]
    fn membership_is_at_chance_on_a_model_that_has_not_trained() {
        let (members, non_members) = halves_within_speakers(&toy(8, 20, 4), 4);
        let spec = OverfitSpec { hidden: 64, epochs: 0, ..OverfitSpec::default() };
        let score = overfit_control(&members, &non_members, 4, &spec, Device::Cpu).unwrap();
        assert!(score.ci95.low <= 0.5 && 0.5 <= score.ci95.high, "{score:?}");
    }
}
