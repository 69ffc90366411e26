//! Privacy units: one Update for each, made from the model and that unit's data alone.
use sottovoce_types::{Examples, FlatParams, TrainJob, Update};

use crate::small::of_unit;
use crate::trainer::{TrainError, Trainer};

/// The Update of one privacy unit: it trains alone from θ_t.
///
/// Its order of examples has its own seed, from `job.seed` and the unit's name, so that its Update does not depend on which other
/// units were drawn.
///
/// # Errors
/// As [`Trainer::train`].
pub fn unit_update(
    trainer: &Trainer,
    global: &FlatParams,
    job: &TrainJob,
    name: &str,
    data: &Examples,
) -> Result<Update, TrainError> {
    trainer.train(global, data, &of_unit(job, name))
}

/// The Update of one utterance, the only example of `data`: a step downhill along the gradient of its own loss, for the mean that is
/// released to be multiplied by the learning rate (DP-FedSGD).
///
/// Alone in its batch, although [`Trainer::gradients`] gives many at once: how a matrix product rounds depends on how many rows it
/// has, so that beside other utterances the last bits of one's gradient would depend on theirs, and a value that is no number would
/// pass from one to its neighbour. Then removing one utterance would move more than one clipped update, and the sensitivity
/// that the noise is made for would not hold.
///
/// # Errors
/// As [`Trainer::gradients`].
pub fn utterance_update(
    trainer: &Trainer,
    global: &FlatParams,
    job: &TrainJob,
    data: &Examples,
) -> Result<Update, TrainError> {
    assert_eq!(data.len(), 1, "one utterance at a time");
    let mut update = None;
    trainer.gradients(global, data, job, &mut |u| update = Some(u))?;
    Ok(update.expect("one example has one gradient"))
}
