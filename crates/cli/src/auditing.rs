//! The attacks of this version on one run, each with its control.
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use sottovoce_attack::bound::NOT_DETECTABLE;
use sottovoce_attack::canary::{
    CanaryClaim, CanaryDesign, CanaryTrials, Mutation, Pipeline, PipelineSpec, run_canaries,
};
use sottovoce_attack::gate::{Curve, GateReport, GateTest, Policy, StageOf, gate};
use sottovoce_attack::label_profile::{
    self, InferSpec, MeanPrediction, ObserveSpec, Profiles, Role, Scale, infer_from_view, last_layer_bias,
};
use sottovoce_attack::membership::{
    Losses, OverfitSpec, blind_baseline, loss_threshold, may_be_blind, overfit_control,
};
use sottovoce_config::{AggregationMode, AttackName, Config};
use sottovoce_dp::{OsNoise, gdp};
use sottovoce_round::RunPlan;
use sottovoce_secagg::honest_floor;
use sottovoce_train::{Partition, Trainer};
use sottovoce_transcript::Transcript;
use sottovoce_types::{AttackScore, CanaryAudit, ClientId, Epsilon, Examples, FlatParams};

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
        if wanted.contains(&AttackName::Membership) {
            attacks.extend(self.membership(output)?);
        }
        if wanted.contains(&AttackName::LabelProfile) {
            attacks.extend(self.label_profile(workspace, output)?);
        }
        let (canary, gate) =
            if wanted.contains(&AttackName::Canary) { self.canary(workspace)?.unzip() } else { (None, None) };
        Ok(Audit { attacks, canary, gate })
    }

    fn membership(&self, output: &Output) -> Result<Vec<AttackScore>> {
        let members = self.partition.pooled();
        let non_members = &self.partition.holdout;
        if non_members.is_empty() {
            output.remark("membership is not audited: partition.holdout_fraction = 0 leaves no non-members");
            return Ok(Vec::new());
        }
        let classes = self.trainer.spec().classes();
        let seed = self.config.run.seed;
        let losses = |data: &Examples| self.trainer.losses(self.model, data);
        let speakers = |data: &Examples| -> Vec<String> { data.meta.iter().map(|m| m.speaker.clone()).collect() };
        let (inside, outside) = (losses(&members)?, losses(non_members)?);
        let (inside_of, outside_of) = (speakers(&members), speakers(non_members));
        let attack = loss_threshold(
            Losses { losses: &inside, speakers: &inside_of },
            Losses { losses: &outside, speakers: &outside_of },
            seed,
        )?;
        let mut scores = attack.into_scores();
        scores.push(overfit_control(&members, non_members, classes, &OverfitSpec::default(), self.trainer.device())?);
        let blind = blind_baseline(&members, non_members, classes, seed)?;
        if !may_be_blind(&blind) {
            output.remark("membership: the blind baseline tells members from non-members without the model; the split differs, and the attack's score shows nothing");
        }
        scores.push(blind);
        Ok(scores)
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
