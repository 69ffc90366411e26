//! The attacks of this version on one run, each with its control.
mod control;
mod membership;
pub mod power;
mod reconstruction;
mod sex;
mod shadows;
mod sums;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use sottovoce_attack::Attack as _;
use sottovoce_attack::bound::NOT_DETECTABLE;
use sottovoce_attack::canary::{
    CanaryClaim, CanaryDesign, CanaryTrials, Mutation, Pipeline, PipelineSpec, run_canaries,
};
use sottovoce_attack::gate::{Curve, GateReport, GateTest, Policy, StageOf, gate};
use sottovoce_attack::inversion::Panel;
use sottovoce_attack::label_profile::{self, InferSpec, LabelProfile, MeanPrediction, Profiles, Role, Scale};
use sottovoce_attack::membership::{Exposed, SliceScore};
use sottovoce_attack::scores::Scores;
use sottovoce_attack::view::Observed;
use sottovoce_config::{AttackName, Config};
use sottovoce_dp::{OsNoise, gdp};
use sottovoce_round::RunPlan;
use sottovoce_secagg::{MaskSuite, honest_floor};
use sottovoce_train::{Partition, Trainer};
use sottovoce_transcript::Transcript;
use sottovoce_types::{AttackScore, CanaryAudit, ClientId, Epsilon, Examples, FlatParams, RoundRecord, Vantage};

use crate::output::Output;
use crate::study;

/// Rounds of the simulated run without masks that is the label-profile attack's control.
const CONTROL_ROUNDS: u64 = 4;
/// Confidence of the canaries' lower bound.
const CONFIDENCE: f64 = 0.99;

/// What an audit found.
pub struct Audit {
    /// Scores, controls among them.
    pub attacks: Vec<AttackScore>,
    /// Empirical epsilon beside the claim; `None` without DP.
    pub canary: Option<CanaryAudit>,
    /// What the gate says of the canaries; `None` without DP.
    pub gate: Option<GateReport>,
    /// The scores behind `attacks`, one list an attack.
    pub scores: Vec<Scores>,
    /// Areas by emotion, sex and speaker.
    pub slices: Vec<SliceScore>,
    /// The clips and speakers that each attack is surest of.
    pub exposed: Vec<Exposed>,
    /// What the control of the reconstruction recovered, beside the truth.
    pub gallery: Vec<Panel>,
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
        if wanted.contains(&AttackName::SexInference) {
            attacks.extend(sex::audit(self, workspace, output)?);
        }
        let mut gallery = Vec::new();
        if wanted.contains(&AttackName::Inversion) {
            let (scores, panels) = reconstruction::audit(self, output)?;
            attacks.extend(scores);
            gallery = panels;
        }
        if wanted.contains(&AttackName::SecaggDistinguisher) {
            attacks.extend(sums::audit(self, output)?);
        }
        let (canary, gate) =
            if wanted.contains(&AttackName::Canary) { self.canary(workspace)?.unzip() } else { (None, None) };
        if self.plan.spec().suite == MaskSuite::None {
            // The bytes were read as what they are.
            for score in attacks.iter_mut().filter(|a| a.vantage == Vantage::Coordinator) {
                score.vantage = Vantage::CoordinatorPlain;
            }
        }
        let (scores, slices, exposed) = (membership.scores, membership.slices, membership.exposed);
        Ok(Audit { attacks, canary, gate, scores, slices, exposed, gallery })
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
        let rounds = self.config.run.rounds.min(CONTROL_ROUNDS);
        let config = control::config(self.config, self.partition.clients.len(), rounds)?;
        let control = study::simulate(&config, workspace, false, output)?;
        let truths = profiles(&control.plan, &control.partition, self.trainer.spec().classes());
        let guesses = infer_profiles(&control.plan, &control.transcript)?;
        let control = label_profile::score(&guesses, &truths, Role::ControlWithoutMasks, seed)?;
        Ok(vec![attack.correlation, attack.top1, control.correlation, control.top1])
    }

    /// Canaries in all rounds, against the accountant's curve, in two stages.
    fn canary(&self, workspace: &Path) -> Result<Option<(CanaryAudit, GateReport)>> {
        let Some((pipeline, claim)) = canary_claim(self.config, self.plan, self.rounds)? else { return Ok(None) };
        let z = pipeline.noise_multiplier.value();
        let rounds = u32::try_from(self.rounds.max(1))?;
        let seed = self.config.run.seed;
        let run = workspace.parent().unwrap_or(workspace).display();
        let mut of_first = None;
        let test = GateTest {
            component: "clip, quantise, noise share, sum, decode".to_owned(),
            rounds: 1..=u64::from(rounds),
            declared: Curve::gaussian(f64::from(rounds).sqrt() / z),
            canaries: pipeline.canaries as u64,
            reproducer: format!("sottovoce audit run {run} --set 'audit.attacks=[\"canary\"]'"),
            run: Box::new(|stage| {
                let seed = 2 * seed + u64::from(stage == StageOf::Second);
                let design = CanaryDesign { canaries: pipeline.canaries, rounds, seed };
                let trials = canaries(pipeline, Mutation::None, design)?;
                let errors = trials.errors();
                if stage == StageOf::First {
                    of_first = Some(trials);
                }
                anyhow::Ok(errors)
            }),
        };
        let report = gate(vec![test], Policy::default())?;
        let trials = of_first.context("the gate ran its test")?;
        // The gate decides, not the bound at one level: its verdict, and its power.
        let power = report.findings.iter().map(|f| f.detectable_noise_shortfall).fold(0.0, f64::max);
        let canary = CanaryAudit {
            verdict: report.verdict,
            detectable_noise_shortfall: power.min(NOT_DETECTABLE),
            ..trials.audit(claim)
        };
        Ok(Some((canary, report)))
    }
}

/// What canaries of a plan are put through, and what the accountant says of `rounds` rounds; `None` without DP.
pub fn canary_claim(config: &Config, plan: &RunPlan, rounds: u64) -> Result<Option<(PipelineSpec, CanaryClaim)>> {
    let spec = plan.spec();
    let Some(privacy) = spec.privacy else { return Ok(None) };
    let rounds = u32::try_from(rounds.max(1))?;
    let mu = f64::from(rounds).sqrt() / privacy.noise_multiplier.value();
    let pipeline = PipelineSpec {
        clip: spec.clip,
        clip_bits: spec.clip_bits,
        lanes: spec.lanes,
        rotation: spec.rotation,
        noise_multiplier: privacy.noise_multiplier,
        honest: honest_floor(spec.n_min, spec.max_corrupt),
        canaries: usize::try_from(config.audit.canaries)?,
    };
    let claim = CanaryClaim {
        epsilon: Epsilon::new(gdp::epsilon(mu, privacy.delta).upper)?,
        delta: privacy.delta,
        confidence: CONFIDENCE,
        max_shortfall: Policy::default().max_shortfall,
    };
    Ok(Some((pipeline, claim)))
}

/// Runs canaries through the pipeline, with a defect or none, and noise from the operating system.
pub fn canaries(pipeline: PipelineSpec, mutation: Mutation, design: CanaryDesign) -> Result<CanaryTrials> {
    let mut pipeline = Pipeline::new(pipeline, mutation, OsNoise)?;
    Ok(run_canaries(design, |included| pipeline.round(included))?)
}

fn infer_profiles(plan: &RunPlan, transcript: &Transcript) -> Result<Profiles> {
    let observed = Observed::new(transcript, Arc::new(plan.clone()))?;
    let classes = plan.spec().model.classes();
    let spec = InferSpec { classes, scale: Scale::Unknown, mean_prediction: MeanPrediction::Uniform };
    Ok(LabelProfile::new(spec).run(&observed.masked_taken_for_plain()?, &(), plan.spec().job.seed)?)
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
