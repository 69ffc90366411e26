//! Privacy units: one Update for each.
use sottovoce_types::{Examples, FlatParams, Sha256Writer, TrainJob, Update};

use crate::random::purpose;
use crate::trainer::{TrainError, Trainer};

/// One Update per privacy unit of a site: each trains alone from θ_t, in the order given.
///
/// Each unit's order of examples has its own seed, from `job.seed` and the unit's name, so that a unit's Update does
/// not depend on which other units were drawn.
///
/// # Errors
/// As [`Trainer::train`], at the first unit that fails.
pub fn unit_updates(
    trainer: &Trainer,
    global: &FlatParams,
    job: &TrainJob,
    units: &[(String, Examples)],
) -> Result<Vec<Update>, TrainError> {
    let train = |(name, data): &(String, Examples)| {
        let digest = Sha256Writer::new(purpose::UNIT).number(job.seed).field(name.as_bytes()).finish();
        let mut seed = [0; 8];
        seed.copy_from_slice(&digest.as_bytes()[..8]);
        trainer.train(global, data, &TrainJob { seed: u64::from_le_bytes(seed), ..job.clone() })
    };
    units.iter().map(train).collect()
}

/// One Update per utterance of a site: a step downhill along the gradient of its own loss, for the mean that is released to be
/// multiplied by the learning rate (DP-FedSGD).
///
/// # Errors
/// As [`Trainer::gradients`].
pub fn utterance_updates(
    trainer: &Trainer,
    global: &FlatParams,
    job: &TrainJob,
    data: &Examples,
    sink: &mut dyn FnMut(Update),
) -> Result<(), TrainError> {
    trainer.gradients(global, data, job, sink)
}
