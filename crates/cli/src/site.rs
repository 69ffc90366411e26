//! Local training at one site: what its privacy units are, and one update for each.
use sottovoce_round::{LocalTrainer, TrainFailed};
use sottovoce_train::{TrainError, Trainer, unit_updates};
use sottovoce_types::{Examples, FlatParams, TrainJob, Unit, Update};

/// A site's data, cut into its privacy units.
pub struct SiteTrainer {
    trainer: Trainer,
    units: Vec<(String, Examples)>,
    /// Whether there is a privacy unit, so that nothing may show that one of them diverged.
    private: bool,
}

impl SiteTrainer {
    /// One unit per speaker, or the whole site as one.
    pub fn new(trainer: Trainer, unit: Unit, data: &Examples) -> Self {
        let units = match unit {
            Unit::Speaker | Unit::Utterance => data.by_speaker(),
            Unit::Client | Unit::None => vec![("site".to_owned(), data.clone())],
        };
        Self { trainer, units, private: unit != Unit::None }
    }
}

impl LocalTrainer for SiteTrainer {
    fn train(&mut self, global: &FlatParams, job: &TrainJob) -> Result<Vec<Update>, TrainFailed> {
        let mut updates = Vec::with_capacity(self.units.len());
        for unit in &self.units {
            match unit_updates(&self.trainer, global, job, std::slice::from_ref(unit)) {
                Ok(of_unit) => updates.extend(of_unit),
                // Whether a unit diverges depends on its data, and the coordinator chooses the model: a site that then sat
                // out would answer questions about one speaker, without noise and without a charge.
                Err(diverged @ TrainError::Diverged { .. }) if self.private => {
                    tracing::warn!(%diverged, "one unit contributes nothing to this round; the site takes part all the same");
                    updates.push(Update { values: vec![0.0; global.values().len()], examples: 0 });
                }
                Err(error) => return Err(TrainFailed(Box::new(error))),
            }
        }
        Ok(updates)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use sottovoce_train::Device;
    use sottovoce_types::{LocalOptimiser, ModelSpec, Utterance};

    use super::*;

    fn two_speakers() -> Examples {
        let utterance = |speaker: &str, i: u16| Utterance {
            path: format!("{speaker}/{i}.wav"),
            annotation: sottovoce_types::Annotation::new(speaker, sottovoce_types::Emotion::Neutral),
            sha256: sottovoce_types::Digest::default(),
            width: 1,
            // Only the second speaker's features are far from 0.
            mfcc: vec![if speaker == "loud" { 1e4 } else { 1e-4 } * f32::from(i + 1); 4],
        };
        let all: Vec<_> = ["calm", "loud"].iter().flat_map(|s| (0..2).map(|i| utterance(s, i))).collect();
        let labels = sottovoce_types::LabelSet::five();
        sottovoce_audio::examples(&all, &labels, sottovoce_types::Standardisation::None)
    }

    #[test]
    fn claim_no_data_dependent_refusal_a_unit_whose_training_diverges_does_not_show() {
        let data = two_speakers();
        let spec = ModelSpec::Dnn { inputs: data.width, hidden: vec![], classes: 5 };
        let trainer = Trainer::new(spec.clone(), Device::Cpu).unwrap();
        let job = TrainJob {
            epochs: 1,
            batch: 1,
            learning_rate: 0.1,
            momentum: 0.0,
            weight_decay: 0.0,
            proximal_mu: 0.0,
            optimiser: LocalOptimiser::Sgd,
            seed: 1,
            ..TrainJob::default()
        };
        // Finite, as a coordinator may send it: it overflows on large features alone.
        let mut trap = spec.initialise(1);
        let weights = data.width * 5;
        trap.values_mut()[..weights].fill(1e35);
        let mut site = SiteTrainer::new(trainer.clone(), Unit::Speaker, &data);
        let updates = site.train(&trap, &job).unwrap();
        assert_eq!(updates.len(), 2, "the site takes part, with every unit");
        assert!(updates[1].values.iter().all(|v| *v == 0.0));
        assert_ne!(updates[0].values, updates[1].values, "the unit beside it is trained as ever");
        // Without a privacy unit nothing is promised, and the fault is told.
        assert!(SiteTrainer::new(trainer, Unit::None, &data).train(&trap, &job).is_err());
    }
}
