//! From what an audit found to its report: families of attacks with their controls, curves with their ceilings, and what was not tested.
mod rows;
mod untested;

use std::collections::BTreeMap;

use anyhow::Result;
use sottovoce_attack::bound::NOT_DETECTABLE;
use sottovoce_attack::gate::Curve;
use sottovoce_attack::inversion::Panel;
use sottovoce_attack::scores::{Described, Scored, Scores};
use sottovoce_attack::stats::roc_over_clusters;
use sottovoce_dp::accountant::Adjacency;
use sottovoce_report::audit::{
    AuditCurve, AuditFamily, AuditFinding, AuditHeader, AuditReport, AuditVerdict, CurvePoint, ExposedUnit, Histogram,
    ScoreRow, SliceRow, TrueAndRecovered, WholeTraining,
};
use sottovoce_secagg::MaskSuite;
use sottovoce_types::{AttackScore, SCHEMA_VERSION, Unit, Vantage, Verdict};

use super::canaries::Canaries;
use super::membership::Membership;
use super::{Audited, Told};
use crate::study;

/// What the parts of an audit came to.
pub(super) struct Found<'a> {
    pub(super) attacks: &'a [AttackScore],
    pub(super) membership: &'a Membership,
    pub(super) gallery: &'a [Panel],
    pub(super) canaries: Option<&'a Canaries>,
    pub(super) whole: Option<&'a (WholeTraining, Scores)>,
    /// What was said while it ran.
    pub(super) remarks: Vec<String>,
    pub(super) wall_s: f64,
}

/// The report, and every score.
pub(super) fn lay_out(audited: &Audited<'_>, told: &Told, found: &Found<'_>) -> Result<(AuditReport, Vec<ScoreRow>)> {
    let mut scores: Vec<Scores> = found.membership.scores.clone();
    scores.extend(found.canaries.map(canary_scores));
    scores.extend(found.whole.map(|(_, scores)| scores.clone()));
    let report = AuditReport {
        schema: SCHEMA_VERSION,
        header: header(audited, told, found)?,
        verdict: verdict(found),
        families: families(audited, found, &scores)?,
        slices: found.membership.slices.iter().map(slice_row).collect(),
        exposed: found.membership.exposed.iter().map(exposed).collect(),
        reconstructions: found.gallery.iter().map(reconstruction).collect(),
        not_tested: untested::list(audited, found),
    };
    let rows = scores.iter().flat_map(|s| {
        s.units.iter().map(|u| ScoreRow {
            attack: s.of.attack.to_owned(),
            unit: u.unit.clone(),
            score: u.score,
            member: u8::from(u.truth),
            cluster: u.cluster.clone(),
            run: u.run,
        })
    });
    Ok((report, rows.collect()))
}

fn header(audited: &Audited<'_>, told: &Told, found: &Found<'_>) -> Result<AuditHeader> {
    let (config, plan) = (audited.config, audited.plan);
    let spec = plan.spec();
    let mut views: Vec<Vantage> = Vec::new();
    let seen = found.attacks.iter().filter(|a| a.control_of.is_none()).map(|a| a.vantage);
    for view in seen.chain(found.canaries.map(|_| Vantage::Auditor)) {
        if !views.contains(&view) {
            views.push(view);
        }
    }
    let guarantee = study::guarantees(plan, &plan.event().self_composed(audited.rounds))?;
    let guarantee =
        guarantee.into_iter().find(|g| matches!(g.vantage, Vantage::Coordinator | Vantage::CoordinatorPlain));
    let mechanism = match spec.privacy {
        None => format!("no clip, no noise; aggregation {}", config.aggregation.mode.name()),
        Some(privacy) => format!(
            "each unit's update clipped to L2 norm {}, discrete Gaussian noise with multiplier {:.4} in shares of the clients, aggregation {}{}",
            spec.clip.value(),
            privacy.noise_multiplier.value(),
            config.aggregation.mode.name(),
            plan.sampling().map_or(String::new(), |q| format!(", each unit in a round with probability {q}")),
        ),
    };
    let shadows = audited.config.audit.attacks.iter().any(|a| super::membership::needs_shadows(*a));
    let members = audited.partition.pooled();
    Ok(AuditHeader {
        run: config.run.name.clone(),
        synthetic: told.synthetic,
        unit: spec.unit,
        units: plan.total_units(),
        views,
        mechanism,
        accountant: guarantee.as_ref().map_or_else(|| "none".to_owned(), |g| g.basis.clone()),
        epsilon: guarantee.as_ref().and_then(|g| g.epsilon),
        delta: spec.privacy.map(|p| p.delta.value()),
        members: members.len(),
        non_members: audited.partition.holdout.len(),
        speakers: members.speakers().len(),
        shadows: if shadows { audited.shadow_models()? } else { 0 },
        clients: usize::try_from(plan.manifest().len())?,
        rounds: audited.rounds,
        seeds: format!(
            "run and audit {}, partition {}; noise of the gate's canaries from the operating system, so that no two audits are alike",
            config.run.seed, config.partition.seed
        ),
        config_sha256: config.digest(),
        model_sha256: audited.model.digest(),
        wall_s: found.wall_s,
    })
}

fn verdict(found: &Found<'_>) -> AuditVerdict {
    let canary = found.canaries.map(|c| &c.audit);
    let gated = found.canaries.map(|c| c.report.verdict);
    let verdicts: Vec<Verdict> = gated.into_iter().chain(found.whole.map(|(w, _)| w.verdict)).collect();
    let findings = found.canaries.into_iter().flat_map(|c| c.report.findings.iter().map(move |f| (c, f)));
    let finding = |(c, f): (&Canaries, &sottovoce_attack::gate::Finding)| AuditFinding {
        verdict: f.verdict,
        component: f.component.clone(),
        text: f.to_string(),
        narrowed: c.narrowed.iter().map(ToString::to_string).collect(),
        reproducer: f.reproducer.clone(),
    };
    AuditVerdict {
        verdict: (!verdicts.is_empty()).then(|| sottovoce_attack::gate::worst(verdicts)),
        epsilon_claimed: canary.map(|c| c.epsilon_claimed),
        epsilon_lower: canary.map(|c| c.epsilon_lower),
        delta: canary.map(|c| c.delta),
        bound: "gdp-clopper-pearson, threshold fixed at half the signal".to_owned(),
        alpha: canary.map_or(0.0, |c| 1.0 - c.confidence),
        canaries: canary.map_or(0, |c| c.canaries),
        power: canary.map(|c| c.detectable_noise_shortfall).filter(|k| *k < NOT_DETECTABLE),
        findings: findings.map(finding).collect(),
        whole_training: found.whole.map(|(w, _)| w.clone()),
    }
}

/// The gate's canaries as units that an attack scores.
fn canary_scores(canaries: &Canaries) -> Scores {
    let of = Described { attack: "canary", vantage: Vantage::Auditor, citation: sottovoce_attack::canary::METHOD };
    let trials = canaries.trials.included().iter().zip(canaries.trials.scores());
    let unit = |(i, (&truth, &score)): (usize, (&bool, &f64))| Scored {
        unit: format!("canary-{}", i + 1),
        score,
        truth,
        cluster: format!("canary-{}", i + 1),
        run: 0,
        slices: BTreeMap::default(),
    };
    Scores { of, units: trials.enumerate().map(unit).collect() }
}

fn families(audited: &Audited<'_>, found: &Found<'_>, scores: &[Scores]) -> Result<Vec<AuditFamily>> {
    let mut families = rows::families(found.attacks, scores, audited.config.run.seed)?;
    for scores in scores {
        let place = rows::family_of(scores.of.attack);
        let Some(family) = families.iter_mut().find(|f| f.name == place.name()) else { continue };
        family.curves.push(curve(audited, scores)?);
    }
    Ok(families)
}

/// False-positive rates of a curve: six a decade from one over the number of non-members on, and the two that are reported.
fn grid(non_members: u64) -> Vec<f64> {
    let least = 1.0 / non_members.max(1) as f64;
    let mut at: Vec<f64> = (0..=36).map(|k| 10f64.powf(-f64::from(k) / 6.0)).filter(|x| *x >= least).collect();
    at.extend([least, 0.001, 0.01].into_iter().filter(|x| *x >= least));
    at.sort_by(f64::total_cmp);
    at.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    at
}

fn curve(audited: &Audited<'_>, scores: &Scores) -> Result<AuditCurve> {
    let trials = scores.trials_of_speakers();
    let side =
        |truth: bool| -> Vec<f64> { scores.units.iter().filter(|u| u.truth == truth).map(|u| u.score).collect() };
    let (members, non_members) = (side(true), side(false));
    let at = grid(non_members.len() as u64);
    let found = roc_over_clusters(&trials, &at, audited.config.run.seed)?;
    let point =
        |((p, band), &asked): (&(sottovoce_attack::stats::RocPoint, sottovoce_types::Interval), &f64)| CurvePoint {
            fpr: asked,
            tpr: p.tpr,
            band: *band,
            simultaneous: p.simultaneous,
            false_positives: p.false_positives,
            true_positives: p.true_positives,
        };
    let (ceiling, ceiling_note) = ceiling(audited, scores, &at)?;
    Ok(AuditCurve {
        attack: scores.of.attack.to_owned(),
        members: members.len() as u64,
        non_members: non_members.len() as u64,
        points: found.iter().zip(&at).map(point).collect(),
        ceiling,
        ceiling_note,
        histogram: Histogram::of(&members, &non_members),
    })
}

/// What the accountant allows, where its unit is the attack's; else why there is no line.
fn ceiling(audited: &Audited<'_>, scores: &Scores, at: &[f64]) -> Result<(Option<Vec<[f64; 2]>>, String)> {
    let spec = audited.plan.spec();
    let attack = scores.of.attack;
    let Some(privacy) = spec.privacy else {
        return Ok((None, "No ceiling: nothing is noised, so that the accountant allows everything.".to_owned()));
    };
    let is_canary = matches!(rows::family_of(attack), rows::Family::Canaries);
    let of = if is_canary || attack.starts_with("membership-speaker") { Unit::Speaker } else { Unit::Utterance };
    if !is_canary && of != spec.unit {
        let asked = if of == Unit::Speaker { "a speaker" } else { "a clip" };
        return Ok((
            None,
            format!("No ceiling: the guarantee is about one {}, this attack about {asked}.", spec.unit.name()),
        ));
    }
    let plain = spec.suite == MaskSuite::None;
    if plain && scores.of.vantage == Vantage::Coordinator {
        return Ok((None, "No ceiling: without masks the coordinator sees more than the sums.".to_owned()));
    }
    // Canaries are in every round, whatever the sampling.
    let curve = if is_canary {
        Curve::gaussian((audited.rounds.max(1) as f64).sqrt() / privacy.noise_multiplier.value())
    } else {
        Curve::of_event(&audited.plan.event().self_composed(audited.rounds.max(1)), Adjacency::AddOrRemoveOne)?
    };
    let line = at.iter().map(|&x| [x, 1.0 - curve.miss_rate(x)]).collect();
    let who = if is_canary { "a canary is a unit" } else { "the attack's unit is the guarantee's" };
    Ok((
        Some(line),
        format!(
            "Ceiling: the accountant's trade-off curve ({curve}), since {who}. It bounds what is expected, not one sample."
        ),
    ))
}

fn slice_row(s: &sottovoce_attack::membership::SliceScore) -> SliceRow {
    SliceRow {
        attack: s.attack.clone(),
        key: s.key.clone(),
        value: s.value.clone(),
        members: s.members,
        non_members: s.non_members,
        auc: s.auc,
        ci95: s.ci95,
        refused: s.refused.clone(),
    }
}

fn exposed(e: &sottovoce_attack::membership::Exposed) -> ExposedUnit {
    ExposedUnit {
        attack: e.attack.clone(),
        unit: e.unit.clone(),
        false_positive_rate: e.false_positive_rate,
        models: e.models,
    }
}

fn reconstruction(p: &Panel) -> TrueAndRecovered {
    TrueAndRecovered {
        attack: p.attack.to_owned(),
        clip: p.clip.clone(),
        frames: p.frames,
        width: p.width,
        truth: p.truth.clone(),
        recovered: p.recovered.clone(),
        snr_db: p.snr_db,
        mse: p.mse,
        blind_mse: p.blind_mse,
        rank: p.rank,
        blind_rank: p.blind_rank,
        candidates: p.candidates,
    }
}
