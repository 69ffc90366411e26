//! From an attack's scores to records: areas, rates where they are permitted, slices, and the clips that are exposed most.
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sottovoce_types::{AttackScore, Examples, Interval, SCHEMA_VERSION};

use super::{MembershipError, RATES};
use crate::scores::{Described, Scored, Scores};
use crate::stats::{Auc, RocError, auc_with_interval, tpr_over_clusters};

/// Fewest members and fewest non-members of a slice.
pub const LEAST_OF_A_SLICE: usize = 20;

/// Names to slice by, in the order of reports.
pub const SLICES: [&str; 3] = ["emotion", "sex", "speaker"];

/// One target's scores `[n]` with whose each clip is, and how the clip may be sliced. `classes` are the emotions by class.
pub fn scored(
    of: Described,
    values: &[f64],
    clips: &Examples,
    member: &[bool],
    classes: &[String],
    run: u32,
) -> Scores {
    let unit = |i: usize| {
        let meta = &clips.meta[i];
        let mut slices = BTreeMap::from([("speaker".to_owned(), meta.speaker.clone())]);
        if let Some(emotion) = classes.get(usize::from(clips.labels[i])) {
            slices.insert("emotion".into(), emotion.clone());
        }
        if let Some(sex) = meta.sex {
            slices.insert("sex".into(), sex.name().into());
        }
        let (unit, cluster) = (meta.path.clone(), meta.speaker.clone());
        Scored { unit, score: values[i], truth: member[i], cluster, run, slices }
    };
    Scores { of, units: (0..values.len()).map(unit).collect() }
}

/// Area, and true-positive rates where at least ten false positives stand behind them.
///
/// # Errors
/// [`MembershipError::Roc`] when a side is empty or a score is no number.
pub fn records(scores: &Scores, seed: u64) -> Result<Vec<AttackScore>, MembershipError> {
    let trials = scores.trials();
    let auc = area(scores, seed)?;
    let (members, runs) = (trials.iter().filter(|t| t.positive).count(), runs(scores));
    let targets = match runs {
        1 => "one model".to_owned(),
        n => format!("{n} models, each of them the target once"),
    };
    let base = AttackScore {
        schema: SCHEMA_VERSION,
        attack: scores.of.attack.into(),
        control_of: None,
        vantage: scores.of.vantage,
        metric: "auc".into(),
        value: auc.value,
        ci95: auc.ci95,
        chance: 0.5,
        trials: u32::try_from(trials.len()).unwrap_or(u32::MAX),
        citation: scores.of.citation.into(),
        note: format!(
            "{members} members against {} non-members, {} clusters, {targets}; an area near 0.5 is no proof of privacy.",
            trials.len() - members,
            auc.clusters
        ),
    };
    let mut out = vec![base.clone()];
    for fpr in RATES {
        match tpr_over_clusters(&scores.trials_of_speakers(), fpr, seed) {
            Ok(rate) => out.push(AttackScore {
                metric: format!("tpr@fpr={fpr}"),
                value: rate.tpr,
                ci95: rate.ci95,
                chance: fpr,
                note: format!(
                    "{} false positives stand behind this rate; the interval also resamples clusters.",
                    rate.false_positives
                ),
                ..base.clone()
            }),
            Err(RocError::TooFewNegatives { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(out)
}

/// The area under the ROC curve. Of several targets, its interval is the hull of resampling speakers of each model, speakers, and models: both
/// a speaker under all models and a model's errors go together.
fn area(scores: &Scores, seed: u64) -> Result<Auc, RocError> {
    let mut auc = auc_with_interval(&scores.trials(), seed)?;
    if runs(scores) > 1 {
        for trials in [scores.trials_of_speakers(), scores.trials_of_runs()] {
            let ci95 = auc_with_interval(&trials, seed)?.ci95;
            auc.ci95 = Interval { low: auc.ci95.low.min(ci95.low), high: auc.ci95.high.max(ci95.high) };
        }
    }
    Ok(auc)
}

fn runs(scores: &Scores) -> usize {
    scores.units.iter().map(|u| u.run).collect::<BTreeSet<_>>().len()
}

/// One slice of an attack's scores.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SliceScore {
    /// Name of the attack.
    pub attack: String,
    /// What is sliced by.
    pub key: String,
    /// Which slice.
    pub value: String,
    /// Members in it.
    pub members: usize,
    /// Non-members in it.
    pub non_members: usize,
    /// Area under the ROC curve within it; `None` where it is refused.
    pub auc: Option<f64>,
    /// Its 95 % interval.
    pub ci95: Option<Interval>,
    /// Why it is refused.
    pub refused: Option<String>,
}

/// Areas by emotion, sex and speaker; refused, and said so, where a slice has fewer than [`LEAST_OF_A_SLICE`] members or non-members.
///
/// # Errors
/// [`MembershipError::Roc`] when a score is no number.
pub fn by_slice(scores: &Scores, seed: u64) -> Result<Vec<SliceScore>, MembershipError> {
    let mut out = Vec::new();
    for key in SLICES {
        for value in scores.values_of(key) {
            let trials = scores.slice(key, &value).trials();
            let members = trials.iter().filter(|t| t.positive).count();
            let non_members = trials.len() - members;
            let few = members.min(non_members) < LEAST_OF_A_SLICE;
            let area = if few { None } else { Some(auc_with_interval(&trials, seed)?) };
            out.push(SliceScore {
                attack: scores.of.attack.into(),
                key: key.into(),
                value,
                members,
                non_members,
                auc: area.map(|a| a.value),
                ci95: area.map(|a| a.ci95),
                refused: few.then(|| {
                    format!("n/a: an area needs {LEAST_OF_A_SLICE} members and {LEAST_OF_A_SLICE} non-members")
                }),
            });
        }
    }
    Ok(out)
}

/// A member that the attack is sure of.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Exposed {
    /// Name of the attack.
    pub attack: String,
    /// The clip's path, or the speaker.
    pub unit: String,
    /// Whose it is.
    pub cluster: String,
    /// Share of the non-members of the same model that score at least as high, mean over the models that trained on it: what accusing it costs.
    pub false_positive_rate: f64,
    /// Mean of its scores under those models.
    pub score: f64,
    /// How many those are.
    pub models: usize,
}

/// The `most` members that an attack would accuse first.
pub fn most_exposed(scores: &Scores, most: usize) -> Vec<Exposed> {
    let mut innocent: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    scores.units.iter().filter(|u| !u.truth).for_each(|u| innocent.entry(u.run).or_default().push(u.score));
    for s in innocent.values_mut() {
        s.sort_by(f64::total_cmp);
    }
    let mut by_unit: BTreeMap<&str, Exposed> = BTreeMap::new();
    for u in scores.units.iter().filter(|u| u.truth) {
        let Some(others) = innocent.get(&u.run) else { continue };
        let above = others.len() - others.partition_point(|s| *s < u.score);
        let e = by_unit.entry(&u.unit).or_insert_with(|| Exposed {
            attack: scores.of.attack.into(),
            unit: u.unit.clone(),
            cluster: u.cluster.clone(),
            false_positive_rate: 0.0,
            score: 0.0,
            models: 0,
        });
        e.false_positive_rate += above as f64 / others.len() as f64;
        e.score += u.score;
        e.models += 1;
    }
    let mean = |mut e: Exposed| {
        e.false_positive_rate /= e.models as f64;
        e.score /= e.models as f64;
        e
    };
    let mut all: Vec<Exposed> = by_unit.into_values().map(mean).collect();
    all.sort_by(|a, b| a.false_positive_rate.total_cmp(&b.false_positive_rate).then(b.score.total_cmp(&a.score)));
    all.truncate(most);
    all
}

#[cfg(test)]
mod tests {
    use sottovoce_types::Vantage;

    use super::*;
    use crate::membership::tests::toy;

    fn some(runs: u32) -> Scores {
        let clips = toy(6, 30, 1);
        let classes = ["angry", "fear", "happy", "sad"].map(String::from);
        let of = Described { attack: "membership-test", vantage: Vantage::Released, citation: "none" };
        let mut all = Scores { of, units: Vec::new() };
        for run in 0..runs {
            let member: Vec<bool> = (0..clips.len()).map(|i| (i + run as usize).is_multiple_of(2)).collect();
            let values: Vec<f64> =
                (0..clips.len()).map(|i| (i * 37 % 101) as f64 + if member[i] { 40.0 } else { 0.0 }).collect();
            all.units.extend(scored(of, &values, &clips, &member, &classes, run).units);
        }
        all
    }

    #[test]
    fn records_say_how_many_stand_behind_them_and_leave_out_rates_that_nobody_does() {
        let one = records(&some(1), 1).unwrap();
        assert_eq!(one.len(), 1, "90 non-members carry no rate at 1 %");
        assert!(
            one[0].value > 0.7 && one[0].note.contains("90 members against 90 non-members") && one[0].trials == 180
        );
        let many = records(&some(12), 1).unwrap();
        assert_eq!(many[1].metric, "tpr@fpr=0.01");
        assert!(many[0].note.contains("12 models"));
    }

    #[test]
    fn over_several_models_the_interval_is_over_models_too() {
        // Whole models lean one way: by speakers of each model alone that would hardly show.
        let mut scores = some(12);
        let mut shift = crate::random::Stream::new("lean", 1);
        let lean: Vec<f64> = (0..12).map(|_| 60.0 * shift.normal()).collect();
        for u in scores.units.iter_mut().filter(|u| u.truth) {
            u.score += lean[u.run as usize];
        }
        let found = records(&scores, 1).unwrap()[0].clone();
        let alone = auc_with_interval(&scores.trials(), 1).unwrap().ci95;
        let (wide, narrow) = (found.ci95.high - found.ci95.low, alone.high - alone.low);
        assert!(wide > 1.5 * narrow, "{wide} and {narrow}");
    }

    #[test]
    fn a_slice_with_too_few_is_refused_by_name() {
        let slices = by_slice(&some(1), 1).unwrap();
        let of = |key: &str| slices.iter().filter(|s| s.key == key).collect::<Vec<_>>();
        assert_eq!((of("emotion").len(), of("speaker").len(), of("sex").len()), (4, 6, 0));
        // 15 of each side of each speaker.
        assert!(of("speaker").iter().all(|s| s.auc.is_none() && s.refused.as_ref().unwrap().contains("20 members")));
        let carried = of("emotion");
        let carried: Vec<_> = carried.iter().filter(|s| s.members.min(s.non_members) >= 20).collect();
        assert!(!carried.is_empty() && carried.iter().all(|s| s.refused.is_none() && s.auc.unwrap() > 0.6));
        assert!(by_slice(&some(2), 1).unwrap().iter().filter(|s| s.key == "speaker").all(|s| s.auc.is_some()));
    }

    #[test]
    fn the_most_exposed_are_members_that_no_innocent_clip_outscores() {
        let scores = some(2);
        let top = most_exposed(&scores, 20);
        assert_eq!(top.len(), 20);
        assert!(top[0].false_positive_rate < 0.02 && top[0].false_positive_rate <= top[19].false_positive_rate);
        // Each clip is in one of the two models.
        assert!(top.iter().all(|e| e.models == 1));
        let innocent = Scores { units: scores.units.into_iter().filter(|u| !u.truth).collect(), ..scores };
        assert!(most_exposed(&innocent, 20).is_empty());
    }

    #[test]
    fn scores_of_several_models_go_out_as_csv_and_come_back() {
        let scores = some(2);
        let mut csv = Vec::new();
        scores.write_csv(&mut csv).unwrap();
        assert!(csv.starts_with(b"unit,score,member,cluster,run,emotion,speaker\n"));
        assert_eq!(Scores::read_csv(scores.of, csv.as_slice()).unwrap().0, scores);
    }
}
