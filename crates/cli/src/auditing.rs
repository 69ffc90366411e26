//! The attacks of this version on one run, each with its control.
mod membership;
mod shadows;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use sottovoce_attack::canary::{CanaryClaim, CanaryDesign, Mutation, Pipeline, PipelineSpec, run_canaries};
use sottovoce_attack::label_profile::{
    self, InferSpec, MeanPrediction, ObserveSpec, Profiles, Role, Scale, infer_from_view, last_layer_bias,
};
use sottovoce_attack::membership::{Exposed, SliceScore};
use sottovoce_attack::scores::Scores;
use sottovoce_config::{AggregationMode, AttackName, Config};
use sottovoce_dp::{OsNoise, gdp};
use sottovoce_round::RunPlan;
use sottovoce_secagg::honest_floor;
use sottovoce_train::{Partition, Trainer};
use sottovoce_transcript::Transcript;
use sottovoce_types::{AttackScore, CanaryAudit, ClientId, Epsilon, Examples, FlatParams, RoundRecord};

use crate::output::Output;
use crate::study;

/// Rounds of the simulated run without masks that is the label-profile attack's control.
const CONTROL_ROUNDS: u64 = 4;
/// Confidence of the canaries' lower bound.
const CONFIDENCE: f64 = 0.99;
/// Noise that falls short by more than this factor must be caught with probability 0.95, or the audit is inconclusive.
const MAX_SHORTFALL: f64 = 1.5;

/// What an audit found.
pub struct Audit {
    /// Scores, controls among them.
    pub attacks: Vec<AttackScore>,
    /// Empirical epsilon beside the claim; `None` without DP.
    pub canary: Option<CanaryAudit>,
    /// The scores behind `attacks`, one list an attack.
    pub scores: Vec<Scores>,
    /// Areas by emotion, sex and speaker.
    pub slices: Vec<SliceScore>,
    /// The clips and speakers that each attack is surest of.
    pub exposed: Vec<Exposed>,
}

/// C of each of `records`, where the run clips; the plan's, where it does not adapt.
pub fn clips_of(records: &[RoundRecord], plan: &RunPlan) -> Vec<f64> {
    records.iter().map(|r| r.clip_l2.unwrap_or_else(|| plan.spec().clip.value())).collect()
}

/// What is audited.
pub struct Audited<'a> {
    /// The config.
    pub config: &'a Config,
    /// The plan.
    pub plan: &'a RunPlan,
    /// Evaluates models.
    pub trainer: &'a Trainer,
    /// Who had what.
    pub partition: &'a Partition,
    /// The released model.
    pub model: &'a FlatParams,
    /// The initial model, and one a round.
    pub models: &'a [FlatParams],
    /// [`clips_of`] the rounds.
    pub clips: Vec<f64>,
    /// What the coordinator saw.
    pub transcript: &'a Transcript,
    /// Rounds published.
    pub rounds: u64,
}

impl Audited<'_> {
    /// Runs the attacks that the config names.
    pub fn audit(&self, workspace: &Path, output: &Output) -> Result<Audit> {
        let wanted = &self.config.audit.attacks;
        let mut attacks = Vec::new();
        let membership = self.membership(workspace, output)?;
        attacks.extend(membership.records);
        if wanted.contains(&AttackName::LabelProfile) {
            attacks.extend(self.label_profile(workspace, output)?);
        }
        let canary = if wanted.contains(&AttackName::Canary) { self.canary()? } else { None };
        let (scores, slices, exposed) = (membership.scores, membership.slices, membership.exposed);
        Ok(Audit { attacks, canary, scores, slices, exposed })
    }

    fn label_profile(&self, workspace: &Path, output: &Output) -> Result<Vec<AttackScore>> {
        let truths = profiles(self.plan, self.partition, self.trainer.spec().classes());
        let guesses = infer_profiles(self.plan, self.transcript)?;
        let seed = self.config.run.seed;
        let attack = match label_profile::score(&guesses, &truths, Role::Attack, seed) {
            Ok(scores) => scores,
            Err(error) => {
                output.remark(format!("label profiles are not audited: {error}"));
                return Ok(Vec::new());
            }
        };
        // The same attack on the same federation without masks and without noise: it must win.
        let mut config = self.config.clone();
        config.aggregation.mode = AggregationMode::Plain;
        config.privacy.drop_unit();
        config.run.rounds = self.config.run.rounds.min(CONTROL_ROUNDS);
        config.run.evaluate_every = 0;
        config.privacy.epsilon = None;
        config.privacy.noise_multiplier = None;
        config.privacy.epsilon_budget = None;
        let control = study::simulate(&config, workspace, false, output)?;
        let truths = profiles(&control.plan, &control.partition, self.trainer.spec().classes());
        let guesses = infer_profiles(&control.plan, &control.transcript)?;
        let control = label_profile::score(&guesses, &truths, Role::ControlWithoutMasks, seed)?;
        Ok(vec![attack.correlation, attack.top1, control.correlation, control.top1])
    }

    fn canary(&self) -> Result<Option<CanaryAudit>> {
        let spec = self.plan.spec();
        let Some(privacy) = spec.privacy else { return Ok(None) };
        let rounds = u32::try_from(self.rounds.max(1))?;
        let mu = f64::from(rounds).sqrt() / privacy.noise_multiplier.value();
        let claimed = gdp::epsilon(mu, privacy.delta).upper;
        let canaries = usize::try_from(self.config.audit.canaries)?;
        let pipeline = PipelineSpec {
            clip: spec.clip,
            clip_bits: spec.clip_bits,
            lanes: spec.lanes,
            rotation: spec.rotation,
            noise_multiplier: privacy.noise_multiplier,
            honest: honest_floor(spec.n_min, spec.max_corrupt),
            canaries,
        };
        let claim = CanaryClaim {
            epsilon: Epsilon::new(claimed)?,
            delta: privacy.delta,
            confidence: CONFIDENCE,
            max_shortfall: MAX_SHORTFALL,
        };
        let design = CanaryDesign { canaries, rounds, seed: self.config.run.seed };
        Ok(Some(canary_audit(pipeline, Mutation::None, design, claim)?))
    }
}

/// Runs canaries through the pipeline, with a defect or none, and noise from the operating system.
pub fn canary_audit(
    pipeline: PipelineSpec,
    mutation: Mutation,
    design: CanaryDesign,
    claim: CanaryClaim,
) -> Result<CanaryAudit> {
    let mut pipeline = Pipeline::new(pipeline, mutation, OsNoise)?;
    let trials = run_canaries(design, |included| pipeline.round(included))?;
    Ok(trials.audit(claim))
}

fn infer_profiles(plan: &RunPlan, transcript: &Transcript) -> Result<Profiles> {
    let layout = plan.layout();
    let bias = last_layer_bias(layout).ok_or_else(|| anyhow::anyhow!("the model has no last-layer bias"))?;
    let classes = bias.len();
    let units: BTreeMap<ClientId, u32> = plan.manifest().keys().keys().map(|id| (*id, plan.units_of(id))).collect();
    let seen = ObserveSpec { encode: *plan.encode(), message: plan.message_ctx(), bias, units };
    let spec = InferSpec { classes, scale: Scale::Unknown, mean_prediction: MeanPrediction::Uniform };
    Ok(infer_from_view(&transcript.coordinator(), &seen, &spec)?)
}

/// What share of each client's training clips is of each class: the truth that only the auditor has.
fn profiles(plan: &RunPlan, partition: &Partition, classes: usize) -> Profiles {
    let by_name: BTreeMap<&str, ClientId> =
        plan.manifest().members().iter().map(|m| (m.name.as_str(), ClientId::of_public_key(&m.public_key.0))).collect();
    let share = |data: &Examples| -> Vec<f64> {
        let count = |class: usize| data.labels.iter().filter(|&&l| usize::from(l) == class).count();
        (0..classes).map(|class| count(class) as f64 / data.len().max(1) as f64).collect()
    };
    partition.clients.iter().filter_map(|c| Some((*by_name.get(c.name.as_str())?, share(&c.train)))).collect()
}
