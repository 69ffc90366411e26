//! The attacks of this version on one run, each with its control.
pub mod canaries;
mod control;
mod gradient_cosine;
mod membership;
pub mod power;
mod reconstruction;
mod report;
mod sex;
mod shadows;
mod sums;
pub mod whole_training;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use sottovoce_attack::Attack as _;
use sottovoce_attack::canary::Mutation;
use sottovoce_attack::gate::GateReport;
use sottovoce_attack::inversion::Panel;
use sottovoce_attack::label_profile::{self, InferSpec, LabelProfile, MeanPrediction, Profiles, Role, Scale};
use sottovoce_attack::membership::{Exposed, SliceScore};
use sottovoce_attack::scores::Scores;
use sottovoce_attack::view::Observed;
use sottovoce_config::{AttackName, Config};
use sottovoce_report::audit::{AuditReport, ScoreRow};
use sottovoce_round::RunPlan;
use sottovoce_secagg::MaskSuite;
use sottovoce_train::{Partition, Trainer};
use sottovoce_transcript::Transcript;
use sottovoce_types::{AttackScore, CanaryAudit, ClientId, Examples, FlatParams, RoundRecord, Vantage, Verdict};

use self::canaries::{Canaries, Gated};
use crate::output::Output;
use crate::study;

/// Rounds of the simulated run without masks that is the label-profile attack's control.
const CONTROL_ROUNDS: u64 = 4;

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
    /// All of it, laid out.
    pub report: AuditReport,
    /// Every score of every attack.
    pub score_rows: Vec<ScoreRow>,
    /// The worst of what was held against a claim; `None` where nothing was.
    pub verdict: Option<Verdict>,
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

/// What a report says of a run beside what is audited.
#[derive(Clone, Debug)]
pub struct Told {
    /// Whether the speech is synthetic.
    pub synthetic: bool,
    /// A command that audits this run, as a shell takes it.
    pub again: String,
}

impl Told {
    /// Of the run that lies, or will lie, at `run`; `set` are overrides as given.
    pub fn new(run: &Path, set: &[String], synthetic: bool) -> Self {
        let mut again = format!("sottovoce audit run {}", quoted(&run.display().to_string()));
        for set in set {
            again.push_str(&format!(" --set {}", quoted(set)));
        }
        Self { synthetic, again }
    }
}

/// As a POSIX shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

impl Audited<'_> {
    /// Runs the attacks that the config names.
    pub fn audit(&self, workspace: &Path, output: &Output) -> Result<Audit> {
        let synthetic = self.config.corpus.kind == sottovoce_config::CorpusKind::Synthetic;
        self.audit_and_tell(&Told::new(Path::new("RUN"), &[], synthetic), workspace, output)
    }

    /// The same of a run that lies somewhere, so that what is found can be done again.
    pub fn audit_and_tell(&self, told: &Told, workspace: &Path, output: &Output) -> Result<Audit> {
        let (began, said) = (Instant::now(), output.remarks().len());
        let wanted = |name| self.config.audit.attacks.contains(&name);
        let mut attacks = Vec::new();
        let mut membership = self.membership(workspace, output)?;
        attacks.append(&mut membership.records);
        if wanted(AttackName::MembershipGradientCosine) {
            let (records, scores) = gradient_cosine::audit(self, output)?;
            attacks.extend(records);
            membership.scores.extend(scores);
        }
        if wanted(AttackName::LabelProfile) {
            attacks.extend(self.label_profile(workspace, output)?);
        }
        if wanted(AttackName::SexInference) {
            attacks.extend(sex::audit(self, workspace, output)?);
        }
        let mut gallery = Vec::new();
        if wanted(AttackName::Inversion) {
            let (scores, panels) = reconstruction::audit(self, output)?;
            attacks.extend(scores);
            gallery = panels;
        }
        if wanted(AttackName::SecaggDistinguisher) {
            attacks.extend(sums::audit(self, output)?);
        }
        let gated = Gated { rounds: 1..=self.rounds.max(1), mutation: Mutation::None, again: told.again.clone() };
        let canaries = if wanted(AttackName::Canary) { canaries::audit(self.config, self.plan, &gated)? } else { None };
        let whole = if wanted(AttackName::CanariesInTraining) { whole_training::audit(self, output)? } else { None };
        if self.plan.spec().suite == MaskSuite::None {
            // The bytes were read as what they are.
            for score in attacks.iter_mut().filter(|a| a.vantage == Vantage::Coordinator) {
                score.vantage = Vantage::CoordinatorPlain;
            }
        }
        let found = report::Found {
            attacks: &attacks,
            membership: &membership,
            gallery: &gallery,
            canaries: canaries.as_ref(),
            whole: whole.as_ref(),
            remarks: output.remarks().split_off(said),
            wall_s: began.elapsed().as_secs_f64(),
        };
        let (report, score_rows) = report::lay_out(self, told, &found)?;
        let verdict = report.verdict.verdict;
        let (canary, gate) = canaries.map(|Canaries { audit, report, .. }| (audit, report)).unzip();
        let membership::Membership { scores, slices, exposed, .. } = membership;
        Ok(Audit { attacks, canary, gate, scores, slices, exposed, gallery, report, score_rows, verdict })
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
