//! Local training at one site: what its privacy units are, and one update for each.
use sottovoce_round::{LocalTrainer, TrainFailed, UnitSum, Work};
use sottovoce_train::{TrainError, Trainer, unit_updates};
use sottovoce_types::{Examples, Unit, Update};

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
    fn train(&mut self, work: &Work, units: &mut UnitSum) -> Result<(), TrainFailed> {
        for unit in &self.units {
            match unit_updates(&self.trainer, &work.params, &work.job, std::slice::from_ref(unit)) {
                Ok(of_unit) => of_unit.iter().try_for_each(|update| units.add(update))?,
                // Whether a unit diverges depends on its data, and the coordinator chooses the model: a site that then sat
                // out would answer questions about one speaker, without noise and without a charge.
                Err(diverged @ TrainError::Diverged { .. }) if self.private => {
                    tracing::warn!(%diverged, "one unit contributes nothing to this round; the site takes part all the same");
                    units.add(&Update { values: vec![0.0; work.params.values().len()], examples: 0 })?;
                }
                Err(error) => return Err(TrainFailed(Box::new(error))),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use sottovoce_round::{Deadlines, Manifest, Member, PrivacyPlan, PublicKey, RunPlan, RunSpec};
    use sottovoce_secagg::{Identity, MaskSuite};
    use sottovoce_train::Device;
    use sottovoce_types::{
        AttemptId, ClientId, ClipNorm, Delta, Digest, Epsilon, FlatParams, Lanes, ModelSpec, NoiseMultiplier, RoundId,
        TrainJob, Utterance,
    };

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

    /// Two members of four units each.
    fn plan(model: ModelSpec, unit: Unit) -> RunPlan {
        let private = unit != Unit::None;
        let key = |i: u8| PublicKey(Identity::from_seed([i; 32]).public_key());
        let member = |i: u8| Member { name: format!("site {i}"), public_key: key(i), units: 4 };
        let manifest = Manifest::new("sites".into(), key(100), vec![member(1), member(2)]).unwrap();
        let privacy = PrivacyPlan {
            noise_multiplier: NoiseMultiplier::new(2.0).unwrap(),
            delta: Delta::new(1e-5).unwrap(),
            epsilon_budget: Epsilon::new(8.0).unwrap(),
        };
        let spec = RunSpec {
            name: "sites".into(),
            rounds: 1,
            model,
            init_seed: 1,
            job: TrainJob { batch: 1, ..TrainJob::default() },
            features: Digest::default(),
            unit,
            clip: ClipNorm::new(1.0).unwrap(),
            clip_bits: if private { 16 } else { 36 },
            lanes: Lanes::new(1).unwrap(),
            privacy: private.then_some(privacy),
            n_min: 2,
            max_corrupt: 0,
            suite: MaskSuite::Aes256Ctr,
            deadlines: Deadlines { join_ms: 1, advert_ms: 1, phase_ms: 1 },
            server_learning_rate: 1.0,
            max_attempts: 1,
        };
        RunPlan::new(spec, Arc::new(manifest)).unwrap()
    }

    /// What a site trains, and the sum of its units in grid steps.
    fn trained(site: &mut SiteTrainer, plan: &RunPlan, params: FlatParams) -> Result<(u32, Vec<i64>), TrainFailed> {
        let member = ClientId::of_public_key(&Identity::from_seed([1; 32]).public_key());
        let mut units = UnitSum::new(plan, &member);
        let job = plan.spec().job.in_round(1, 1);
        site.train(&Work { round: RoundId(1), attempt: AttemptId(1), params, job }, &mut units)?;
        Ok((units.added(), units.into_site_sum().unwrap().into_coords()))
    }

    #[test]
    fn claim_no_data_dependent_refusal_a_unit_whose_training_diverges_does_not_show() {
        let data = two_speakers();
        let spec = ModelSpec::Dnn { inputs: data.width, hidden: vec![], classes: 5 };
        let trainer = Trainer::new(spec.clone(), Device::Cpu).unwrap();
        // Finite, as a coordinator may send it: it overflows on large features alone.
        let mut trap = spec.initialise(1);
        let weights = data.width * 5;
        trap.values_mut()[..weights].fill(1e35);
        let private = plan(spec.clone(), Unit::Speaker);
        let both = trained(&mut SiteTrainer::new(trainer.clone(), Unit::Speaker, &data), &private, trap.clone());
        let (units, with) = both.unwrap();
        assert_eq!(units, 2, "the site takes part, with every unit");
        let calm = data.filter(|m| m.speaker == "calm");
        let alone = trained(&mut SiteTrainer::new(trainer.clone(), Unit::Speaker, &calm), &private, trap.clone());
        assert_eq!(with, alone.unwrap().1, "it counts as zero, and the unit beside it is trained as ever");
        // Without a privacy unit nothing is promised, and the fault is told.
        let open = plan(spec, Unit::None);
        let failed = trained(&mut SiteTrainer::new(trainer, Unit::None, &data), &open, trap).unwrap_err();
        assert!(failed.0.to_string().contains("diverged"), "{}", failed.0);
    }
}
