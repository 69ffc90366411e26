//! Local training at one site: what its privacy units are, and one update for each.
use sottovoce_round::{LocalTrainer, TrainFailed};
use sottovoce_train::{Trainer, unit_updates};
use sottovoce_types::{Examples, FlatParams, TrainJob, Unit, Update};

/// A site's data, cut into its privacy units.
pub struct SiteTrainer {
    trainer: Trainer,
    units: Vec<(String, Examples)>,
}

impl SiteTrainer {
    /// One unit per speaker, or the whole site as one.
    pub fn new(trainer: Trainer, unit: Unit, data: &Examples) -> Self {
        let units = match unit {
            Unit::Speaker | Unit::Utterance => data.by_speaker(),
            Unit::Client | Unit::None => vec![("site".to_owned(), data.clone())],
        };
        Self { trainer, units }
    }
}

impl LocalTrainer for SiteTrainer {
    fn train(&mut self, global: &FlatParams, job: &TrainJob) -> Result<Vec<Update>, TrainFailed> {
        unit_updates(&self.trainer, global, job, &self.units).map_err(|e| TrainFailed(Box::new(e)))
    }
}
