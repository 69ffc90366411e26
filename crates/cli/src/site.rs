//! Local training at one site: what its privacy units are, and one update for each.
use rayon::prelude::*;
use sottovoce_round::{LocalTrainer, TrainFailed, UnitSum, Work};
use sottovoce_train::{TrainError, Trainer, unit_update, utterance_update};
use sottovoce_types::{Examples, FlatParams, TrainJob, Unit, Update};

/// Units that are trained before their updates are added, for each core.
const UNITS_A_CORE: usize = 4;

/// A site's data, cut into its privacy units.
pub struct SiteTrainer {
    trainer: Trainer,
    /// What has an update: a speaker or the whole site, with a name; one utterance.
    parts: Vec<(String, Examples)>,
    unit: Unit,
}

impl SiteTrainer {
    /// One unit per speaker, per utterance, or the whole site as one.
    pub fn new(trainer: Trainer, unit: Unit, data: &Examples) -> Self {
        let parts = match unit {
            Unit::Speaker => data.by_speaker(),
            Unit::Utterance => (0..data.len()).map(|i| (data.meta[i].path.clone(), data.select(&[i]))).collect(),
            Unit::Client | Unit::None => vec![("site".to_owned(), data.clone())],
        };
        Self { trainer, parts, unit }
    }
}

impl SiteTrainer {
    /// Units at this site.
    pub fn units(&self) -> usize {
        self.parts.len()
    }

    /// What one unit contributes that trains from `params`, without a correction of the server's.
    pub fn update_from(&self, unit: usize, params: &FlatParams, job: &TrainJob) -> Result<Update, TrainError> {
        let (name, data) = &self.parts[unit];
        match self.unit {
            Unit::Utterance => utterance_update(&self.trainer, params, job, data),
            _ => unit_update(&self.trainer, params, job, name, data),
        }
    }

    /// What one unit contributes.
    fn update_of(&self, (name, data): &(String, Examples), work: &Work) -> Result<Update, TrainFailed> {
        let (trainer, params, job) = (&self.trainer, &work.params, &work.job);
        let trained = match (self.unit, &work.correction) {
            (Unit::Utterance, _) => utterance_update(trainer, params, job, data),
            (_, Some(correction)) => trainer.train_corrected(params, data, job, correction),
            _ => unit_update(trainer, params, job, name, data),
        };
        trained.or_else(|error| nothing_of(error, self.unit, params))
    }
}

impl LocalTrainer for SiteTrainer {
    fn train(&mut self, work: &Work, units: &mut UnitSum) -> Result<(), TrainFailed> {
        // On all cores, a few at a time, and added in their order: what is held is a few updates, and the sum is the same.
        let drawn: Vec<usize> = (0..self.parts.len()).filter(|unit| units.takes(*unit)).collect();
        for some in drawn.chunks(UNITS_A_CORE * rayon::current_num_threads()) {
            let updates: Vec<_> = some.par_iter().map(|unit| self.update_of(&self.parts[*unit], work)).collect();
            let updates = some.iter().zip(updates);
            updates.into_iter().try_for_each(|(unit, update)| Ok::<(), TrainFailed>(units.add(*unit, &update?)?))?;
        }
        Ok(())
    }
}

/// What a unit whose training diverged contributes: nothing, and nobody is told.
///
/// Whether it diverges depends on its data, and the coordinator chooses the model: a site that then sat out would answer questions
/// about one unit, without noise and without a charge. Without a privacy unit nothing is promised, and the fault is told.
fn nothing_of(error: TrainError, unit: Unit, params: &FlatParams) -> Result<Update, TrainFailed> {
    match error {
        diverged @ TrainError::Diverged { .. } if unit != Unit::None => {
            tracing::warn!(%diverged, "one unit contributes nothing to this round; the site takes part all the same");
            Ok(Update { values: vec![0.0; params.values().len()], examples: 0 })
        }
        other => Err(TrainFailed(Box::new(other))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use sottovoce_round::{
        Deadlines, Manifest, Member, PrivacyPlan, PublicKey, RoundTerms, RunPlan, RunSpec, ServerSpec,
    };
    use sottovoce_secagg::graph::MaskGraph;
    use sottovoce_secagg::{Identity, KeyAgreement, MaskSuite};
    use sottovoce_train::Device;
    use sottovoce_types::{
        AttemptId, ClientId, ClipNorm, Delta, Digest, Epsilon, InputKind, Lanes, ModelSpec, NoiseMultiplier, Rotation,
        RoundId, TrainJob, Utterance,
    };

    use super::*;

    fn two_speakers() -> Examples {
        let utterance = |speaker: &str, i: u16| Utterance {
            path: format!("{speaker}/{i}.wav"),
            annotation: sottovoce_types::Annotation::new(speaker, sottovoce_types::Emotion::Neutral),
            sha256: Digest::default(),
            width: 1,
            // Only the second speaker's features are far from 0.
            mfcc: vec![if speaker == "loud" { 1e4 } else { 1e-4 } * f32::from(i + 1); 4],
        };
        let all: Vec<_> = ["calm", "loud"].iter().flat_map(|s| (0..2).map(|i| utterance(s, i))).collect();
        let labels = sottovoce_types::LabelSet::five();
        sottovoce_audio::examples(&all, &labels, InputKind::Statistics, &sottovoce_audio::Scaling::None)
    }

    /// Two members of four units each.
    fn plan(model: ModelSpec, unit: Unit) -> RunPlan {
        let private = unit != Unit::None;
        let key = |i: u8| PublicKey(Identity::from_seed([i; 32]).public_key());
        let member = |i: u8| Member { name: format!("site {i}"), public_key: key(i), units: 4 };
        let manifest = Manifest::new("sites".into(), key(100), vec![member(1), member(2)]).unwrap();
        let privacy = PrivacyPlan {
            noise_multiplier: NoiseMultiplier::new(2.0).unwrap(),
            sampling: None,
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
            rotation: Rotation::None,
            privacy: private.then_some(privacy),
            n_min: 2,
            max_corrupt: 0,
            graph: MaskGraph::Complete,
            suite: MaskSuite::Aes256Ctr,
            deadlines: Deadlines { join_ms: 1, advert_ms: 1, phase_ms: 1 },
            adaptive_clip: None,
            server: ServerSpec::default(),
            max_attempts: 1,
            key_agreement: KeyAgreement::X25519,
            audit_chunks: 0,
            noise_removal: sottovoce_types::NoiseRemoval::None,
        };
        RunPlan::new(spec, Arc::new(manifest)).unwrap()
    }

    /// What a site trains, and the sum of its units in grid steps.
    fn trained(site: &mut SiteTrainer, plan: &RunPlan, params: FlatParams) -> Result<(usize, Vec<i64>), TrainFailed> {
        let member = ClientId::of_public_key(&Identity::from_seed([1; 32]).public_key());
        let mut units = UnitSum::new(plan, &member, RoundId(1), &RoundTerms::first(plan));
        let job = plan.spec().job.in_round(1, 1);
        site.train(&Work { round: RoundId(1), attempt: AttemptId(1), params, job, correction: None }, &mut units)?;
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

    #[test]
    fn an_utterances_update_is_minus_its_gradient_and_each_is_clipped_by_itself() {
        let data = two_speakers().filter(|m| m.speaker == "calm");
        let spec = ModelSpec::Dnn { inputs: data.width, hidden: vec![], classes: 5 };
        let trainer = Trainer::new(spec.clone(), Device::Cpu).unwrap();
        let plan = plan(spec.clone(), Unit::Utterance);
        let start = spec.initialise(1);
        let sum = |data: &Examples, rate: f64| {
            let member = ClientId::of_public_key(&Identity::from_seed([1; 32]).public_key());
            let mut units = UnitSum::new(&plan, &member, RoundId(1), &RoundTerms::first(&plan));
            let job = TrainJob { learning_rate: rate, ..plan.spec().job.clone() };
            let work = Work { round: RoundId(1), attempt: AttemptId(1), params: start.clone(), job, correction: None };
            SiteTrainer::new(trainer.clone(), Unit::Utterance, data).train(&work, &mut units).unwrap();
            (units.added(), units.into_site_sum().unwrap().into_coords())
        };
        let (units, both) = sum(&data, 0.1);
        assert_eq!(units, 2, "one update an utterance");
        assert_eq!(both, sum(&data, 0.7).1, "the learning rate is the coordinator's to apply");
        let alone = |i: usize| sum(&data.select(&[i]), 0.1).1;
        assert_eq!(both, alone(0).iter().zip(alone(1)).map(|(a, b)| a + b).collect::<Vec<_>>());
        // The softmax cross-entropy's gradient at the output bias is p − 1 at the label: the update's is positive there alone.
        let label = usize::from(data.labels[0]);
        let bias = &alone(0)[data.width * 5..];
        assert!(bias.iter().enumerate().all(|(c, v)| (*v > 0) == (c == label)), "{bias:?}");
    }

    #[test]
    fn scaffolds_correction_reaches_every_local_step() {
        let data = two_speakers().filter(|m| m.speaker == "calm");
        let spec = ModelSpec::Dnn { inputs: data.width, hidden: vec![], classes: 5 };
        let mut site = SiteTrainer::new(Trainer::new(spec.clone(), Device::Cpu).unwrap(), Unit::None, &data);
        let plan = plan(spec.clone(), Unit::None);
        let params = spec.initialise(1);
        let member = ClientId::of_public_key(&Identity::from_seed([1; 32]).public_key());
        let mut moved = |correction: Option<f32>| {
            let mut units = UnitSum::new(&plan, &member, RoundId(1), &RoundTerms::first(&plan));
            let job = TrainJob { steps: 3, learning_rate: 0.01, batch: 2, ..TrainJob::default() };
            let correction = correction.map(|c| vec![c; params.values().len()]);
            let work = Work { round: RoundId(1), attempt: AttemptId(1), params: params.clone(), job, correction };
            site.train(&work, &mut units).unwrap();
            units.into_site_sum().unwrap().into_coords()[0]
        };
        let (without, zero, with) = (moved(None), moved(Some(0.0)), moved(Some(1.0)));
        // Weighted by two examples of 4096: −K·η = −0.03 in grid steps, near enough for gradients that hardly change on the way.
        let step = plan.encode().step() * 4096.0 / 2.0;
        #[allow(clippy::cast_precision_loss, reason = "a ratio for a test")]
        let difference = (with - zero) as f64 * step;
        assert!((difference + 0.03).abs() < 1e-3, "{difference}");
        assert!(without != with);
    }
}
