//! A whole training with canaries in it (D4, D5): the run's federation again, with its speech, and m canary units beside the real ones. The
//! model is thrown away.
use std::time::Instant;

use anyhow::{Context as _, Result};
use rayon::prelude::*;
use sottovoce_attack::bound::{Bound, Design, Experiment, FDpOneRun, Family, OneRun, Strategy, certifiable};
use sottovoce_attack::canary::{Mutation, PipelineSpec, WholeRun, audit_whole_run};
use sottovoce_attack::gate::Policy;
use sottovoce_attack::scores::Scores;
use sottovoce_dp::OsNoise;
use sottovoce_report::audit::WholeTraining;
use sottovoce_round::{RunPlan, ServerSteps};
use sottovoce_train::{ClientData, Partition, TrainError, Trainer};
use sottovoce_types::{Delta, FlatParams, TrainJob, Update, Verdict};

use super::Audited;
use super::canaries::canary_claim;
use crate::exit::usage;
use crate::output::Output;
use crate::site::SiteTrainer;

/// The bounds for one run, which are held against the claim together.
fn bounds() -> [&'static dyn Bound; BOUNDS] {
    [&OneRun, &FDpOneRun { family: Family::Gaussian }]
}

/// How many they are.
pub const BOUNDS: usize = 2;

/// The federation, to be trained again.
struct Training<'a> {
    plan: &'a RunPlan,
    sites: Vec<SiteTrainer>,
}

impl<'a> Training<'a> {
    fn new(plan: &'a RunPlan, trainer: &Trainer, partition: &Partition) -> Self {
        let site = |c: &ClientData| SiteTrainer::new(trainer.clone(), plan.spec().unit, &c.train);
        Self { plan, sites: partition.clients.iter().map(site).collect() }
    }

    fn units(&self) -> u64 {
        self.sites.iter().map(|s| s.units() as u64).sum()
    }

    fn updates(&self, model: &FlatParams, job: &TrainJob) -> Result<Vec<Update>, TrainError> {
        let all: Vec<(usize, usize)> =
            self.sites.iter().enumerate().flat_map(|(s, site)| (0..site.units()).map(move |u| (s, u))).collect();
        all.par_iter().map(|&(site, unit)| self.sites[site].update_from(unit, model, job)).collect()
    }

    fn scores(&self, pipeline: PipelineSpec, rounds: u64, seed: u64, output: &Output) -> Result<Scores> {
        let plan = self.plan;
        let (spec, mut model) = (plan.spec(), plan.initial_params());
        let dim = model.values().len();
        let mut server = ServerSteps::new(&spec.server, dim).context("the server's step is known")?;
        let rounds = u32::try_from(rounds.max(1))?;
        let run = WholeRun { pipeline, dim, units: self.units(), rounds, seed };
        let clip = spec.clip.value();
        let units = plan.expected_units(self.units()).max(1.0);
        let bar = output.progress("a training with canaries", u64::from(rounds));
        let train = |round: u32, released: &[f64]| {
            if round > 1 {
                #[allow(clippy::cast_possible_truncation, reason = "models are of f32")]
                let mean: Vec<f32> = released.iter().map(|v| (v * clip / units) as f32).collect();
                server.step(model.values_mut(), &mean);
            }
            bar.inc(1);
            self.updates(&model, &spec.job.in_round(u64::from(round), spec.rounds))
        };
        let scores = audit_whole_run(run, Mutation::None, OsNoise, train)?;
        bar.finish_and_clear();
        Ok(scores)
    }
}

/// Trains with canaries, and holds the bounds for one run against the claim: at α = 0.01 together, and what trips again, with fresh coins and
/// noise, at 10⁻⁶. `None` without DP.
pub fn audit(audited: &Audited<'_>, output: &Output) -> Result<Option<(WholeTraining, Scores)>> {
    let Some((pipeline, claim)) = canary_claim(audited.config, audited.plan, audited.rounds)? else { return Ok(None) };
    can_follow(audited)?;
    let started = Instant::now();
    let (seed, policy) = (audited.config.run.seed, Policy::default());
    let training = Training::new(audited.plan, audited.trainer, audited.partition);
    let scores = training.scores(pipeline, audited.rounds, seed, output)?;
    let (claimed, delta) = (claim.epsilon.value(), claim.delta);
    let alpha = policy.first_alpha / BOUNDS as f64;
    let first = lower(&scores, delta, alpha)?;
    let mut verdict = match most(pipeline.canaries, delta, alpha)? {
        power if power <= claimed => Verdict::Inconclusive,
        _ => Verdict::NoViolation,
    };
    if first.iter().any(|(_, epsilon)| *epsilon > claimed) {
        let again = lower(&training.scores(pipeline, audited.rounds, !seed, output)?, delta, policy.second_alpha)?;
        let tripped_again =
            |((_, first), (_, again)): (&(String, f64), &(String, f64))| *first > claimed && *again > claimed;
        if first.iter().zip(&again).any(tripped_again) {
            verdict = Verdict::Violation;
        }
    }
    let whole = WholeTraining {
        verdict,
        canaries: pipeline.canaries,
        epsilon_claimed: claimed,
        bounds: first,
        alpha: policy.first_alpha,
        wall_s: started.elapsed().as_secs_f64(),
    };
    Ok(Some((whole, scores)))
}

fn lower(scores: &Scores, delta: Delta, alpha: f64) -> Result<Vec<(String, f64)>> {
    let experiment = Experiment::of_scores(scores, Design::CoinInOneRun)?;
    let one = |b: &&'static dyn Bound| {
        Ok((b.name().to_owned(), b.lower(&experiment, delta, alpha, Strategy::Bonferroni)?.epsilon))
    };
    bounds().iter().map(one).collect()
}

/// The largest ε that the bounds could certify of so many canaries.
pub fn most(canaries: usize, delta: Delta, alpha: f64) -> Result<f64> {
    let of: Result<Vec<f64>, _> = bounds().iter().map(|b| certifiable(*b, canaries, delta, alpha)).collect();
    Ok(of?.into_iter().fold(0.0, f64::max))
}

/// Whether the training can be followed outside the protocol.
fn can_follow(audited: &Audited<'_>) -> Result<()> {
    let dim = audited.plan.layout().len();
    match ServerSteps::new(&audited.plan.spec().server, dim) {
        Some(_) => Ok(()),
        None => Err(usage(
            "audit.attacks names canaries-in-training, which does not follow server.optimiser = \"scaffold\": leave it out",
        )),
    }
}

/// Seconds that one round of it takes, by training one round of every unit.
pub fn seconds_of_a_round(plan: &RunPlan, trainer: &Trainer, partition: &Partition) -> Result<f64> {
    let started = Instant::now();
    let spec = plan.spec();
    Training::new(plan, trainer, partition).updates(&plan.initial_params(), &spec.job.in_round(1, spec.rounds))?;
    Ok(started.elapsed().as_secs_f64())
}
