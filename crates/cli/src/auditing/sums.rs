//! What a sum still says of one client (M13): the distinguisher at the run's cohort, and in a cohort of two as its control.
use anyhow::Result;
use rayon::prelude::*;
use sottovoce_attack::Attack as _;
use sottovoce_attack::distinguisher::{CohortPoint, DISTINGUISHER, Distinguisher, Other, against_cohort_size};
use sottovoce_train::{TrainError, unit_update};
use sottovoce_types::{AttackScore, Examples, SCHEMA_VERSION};

use super::Audited;
use crate::output::Output;

/// Sums of each size.
const TRIALS: usize = 400;
/// Clients made of each speaker: of every clip, and of clips left out in turn.
const REPLICAS: usize = 4;

/// Whether one clip of one client shows in the sum of the first round.
pub fn audit(audited: &Audited<'_>, output: &Output) -> Result<Vec<AttackScore>> {
    let (spec, model) = (audited.plan.spec(), audited.plan.initial_params());
    let job = spec.job.in_round(1, spec.rounds);
    let contribution = |name: &str, data: &Examples| -> Result<Vec<f64>, TrainError> {
        let update = unit_update(audited.trainer, &model, &job, name, data)?;
        let shrink = (spec.clip.value() / update.norm().max(1e-300)).min(1.0);
        Ok(update.values.iter().map(|&v| shrink * f64::from(v)).collect())
    };
    let several = |data: &Examples| -> Result<Vec<Other>, TrainError> {
        let speakers = data.by_speaker();
        let jobs: Vec<(usize, usize)> = (0..speakers.len()).flat_map(|s| (0..REPLICAS).map(move |r| (s, r))).collect();
        let one = |&(s, replica): &(usize, usize)| {
            let (name, own) = &speakers[s];
            let kept: Vec<usize> = (0..own.len()).filter(|i| replica == 0 || i % REPLICAS != replica).collect();
            let values = contribution(&format!("{name} {replica}"), &own.select(&kept))?;
            Ok(Other { speaker: name.clone(), values })
        };
        jobs.par_iter().map(one).collect()
    };
    let Some(victim) = audited.partition.clients.first().and_then(|c| c.train.by_speaker().into_iter().next()) else {
        return Ok(Vec::new());
    };
    let others = audited.partition.pooled().filter(|m| m.speaker != victim.0);
    let shadows: Vec<Vec<f64>> = several(&audited.partition.test)?.into_iter().map(|o| o.values).collect();
    let (speakers, others) = (others.speakers().len(), several(&others)?);
    let without: Vec<usize> = (1..victim.1.len()).collect();
    let (present, absent) = (contribution(&victim.0, &victim.1)?, contribution(&victim.0, &victim.1.select(&without))?);
    let units = usize::try_from(audited.plan.total_units())?.max(2);
    let mut cohorts: Vec<usize> = [2, 4, 8, 16, 32, 64, 128].into_iter().filter(|&n| n < units).collect();
    cohorts.push(units);
    cohorts.retain(|&n| n <= speakers + 1);
    let noise = spec.privacy.map_or(0.0, |p| p.noise_multiplier.value() * spec.clip.value());
    let seed = audited.config.run.seed;
    let curve = |noise| against_cohort_size((&absent, &present), &shadows, &others, &cohorts, noise, TRIALS, seed);
    let (noisy, clean) = match (curve(noise), curve(0.0)) {
        (Ok(noisy), Ok(clean)) => (noisy, clean),
        (Err(error), _) | (_, Err(error)) => {
            output.remark(format!("the secure-aggregation distinguisher is not audited: {error}"));
            return Ok(Vec::new());
        }
    };
    let (Some(run), Some(two)) = (noisy.last(), clean.first()) else { return Ok(Vec::new()) };
    Ok(vec![record(run, &noisy, None), record(two, &clean, Some(DISTINGUISHER))])
}

fn record(at: &CohortPoint, curve: &[CohortPoint], control_of: Option<&str>) -> AttackScore {
    let of = Distinguisher.describe();
    let points: Vec<String> =
        curve.iter().map(|p| format!("{:.2} ({:.2}) at {}", p.d_prime, p.measured_d_prime, p.cohort)).collect();
    let what = match control_of {
        None => "the largest sum below, with the run's noise",
        Some(_) => "two units in one sum without noise, and must win",
    };
    AttackScore {
        schema: SCHEMA_VERSION,
        attack: of.attack.into(),
        control_of: control_of.map(Into::into),
        vantage: of.vantage,
        metric: "auc".into(),
        value: at.auc.value,
        ci95: at.auc.ci95,
        chance: 0.5,
        trials: u32::try_from(at.auc.clusters).unwrap_or(u32::MAX),
        citation: of.citation.into(),
        note: format!(
            "Whether one clip of a unit is in the sum of round 1: {what}; the interval is over {} speakers that sums were drawn from. d' by the attacker's model (and measured) by units in the sum: {}.",
            at.speakers,
            points.join(", ")
        ),
    }
}
