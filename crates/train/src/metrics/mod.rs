//! Figures of a classifier from its logits, by scikit-learn's definitions.
//!
//! Macro and weighted averages run over all classes of the label set with `zero_division=0`; the UAR (scikit-learn's
//! `balanced_accuracy_score`) runs over the classes that occur. `tests/vectors/metrics.json` holds scikit-learn's own
//! answers, and NumPy's for calibration.
mod bootstrap;
mod by_sex;
mod calibration;
mod confusion;

use std::collections::BTreeMap;

use sottovoce_types::{ClassMetrics, ExampleMeta, Examples, LabelSet, Metrics};

pub use self::bootstrap::BOOTSTRAP_RESAMPLES;
use self::bootstrap::{central_95, resample};
use self::by_sex::by_sex;
use self::calibration::calibration;
use self::confusion::Confusion;

/// Seed of the resamples over all speakers.
const BOOTSTRAP_SEED: u64 = 1;

/// All figures of `logits` `[n, classes]`, with n > 0.
pub(crate) fn score(logits: &[f32], data: &Examples, labels: &LabelSet) -> Metrics {
    let classes = labels.emotions().len();
    let predicted = logits.chunks_exact(classes).map(argmax);
    let outcomes: Vec<_> = data.labels.iter().map(|&truth| usize::from(truth)).zip(predicted).collect();
    let by_speaker = by_speaker(data.meta.iter().zip(&outcomes), classes);
    let confusion = Confusion::sum(by_speaker.values(), classes);
    let per_class = confusion.per_class(labels);
    let mean = |figure: fn(&ClassMetrics) -> f64| per_class.iter().map(figure).sum::<f64>() / classes as f64;
    let resampled = resample(&by_speaker.values().collect::<Vec<_>>(), classes, BOOTSTRAP_SEED);
    let (by_sex, sex_gap) = by_sex(&data.meta, &outcomes, classes);
    Metrics {
        accuracy: confusion.accuracy(),
        uar: confusion.uar(),
        macro_precision: mean(|c| c.precision),
        macro_recall: mean(|c| c.recall),
        macro_f1: confusion.macro_f1(),
        weighted_precision: Metrics::weighted(&per_class, |c| c.precision),
        weighted_recall: Metrics::weighted(&per_class, |c| c.recall),
        weighted_f1: Metrics::weighted(&per_class, |c| c.f1),
        loss: cross_entropies(logits, &data.labels, classes).iter().sum::<f64>() / data.len() as f64,
        accuracy_ci95: resampled.as_ref().map(|r| central_95(&r.accuracy)),
        uar_ci95: resampled.as_ref().map(|r| central_95(&r.uar)),
        macro_f1_ci95: resampled.as_ref().map(|r| central_95(&r.macro_f1)),
        uar_chance: 1.0 / classes as f64,
        per_class,
        confusion: confusion.rows(),
        calibration: Some(calibration(logits, &data.labels, classes)),
        by_sex,
        sex_gap,
        examples: data.len() as u32,
        speakers: by_speaker.len() as u32,
    }
}

/// One confusion matrix per speaker, of outcomes (truth, predicted).
fn by_speaker<'a>(
    outcomes: impl IntoIterator<Item = (&'a ExampleMeta, &'a (usize, usize))>,
    classes: usize,
) -> BTreeMap<&'a str, Confusion> {
    let mut out = BTreeMap::new();
    for (meta, &(truth, predicted)) in outcomes {
        let own = out.entry(meta.speaker.as_str()).or_insert_with(|| Confusion::empty(classes));
        own.count(truth, predicted);
    }
    out
}

/// Softmax of one row, in f64.
pub(crate) fn softmax(row: &[f32]) -> impl Iterator<Item = f64> {
    let (top, excess) = log_sum_exp(row);
    row.iter().map(move |&z| (f64::from(z) - top - excess).exp())
}

/// −log p_y of each row, in f64.
pub(crate) fn cross_entropies(logits: &[f32], labels: &[u16], classes: usize) -> Vec<f64> {
    let rows = logits.chunks_exact(classes).zip(labels);
    let loss = |(row, &y): (&[f32], &u16)| {
        let (top, excess) = log_sum_exp(row);
        (top - f64::from(row[usize::from(y)])) + excess
    };
    rows.map(loss).collect()
}

/// log Σ exp z as (max z, the rest). Kept apart, the rest stays exact where it is far smaller than the maximum: the
/// losses of examples learnt by heart.
fn log_sum_exp(row: &[f32]) -> (f64, f64) {
    let (top, others) = top_and_others(row);
    (top, others.ln_1p())
}

/// max z, and Σ exp(z − max z) over all classes but the one that has it.
fn top_and_others(row: &[f32]) -> (f64, f64) {
    let at = argmax(row);
    let top = f64::from(row[at]);
    let others = row.iter().enumerate().filter(|&(c, _)| c != at).map(|(_, &z)| (f64::from(z) - top).exp());
    (top, others.sum())
}

/// Ties go to the lowest class, as in NumPy's `argmax`.
fn argmax(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, c| if row[c] > row[best] { c } else { best })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use sottovoce_types::{Calibration, Sex};

    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        truth: Vec<u16>,
        logits: Vec<Vec<f32>>,
        sex: Vec<Option<Sex>>,
        accuracy: f64,
        uar: f64,
        macro_precision: f64,
        macro_recall: f64,
        macro_f1: f64,
        weighted_precision: f64,
        weighted_recall: f64,
        weighted_f1: f64,
        loss: f64,
        precision: Vec<f64>,
        recall: Vec<f64>,
        f1: Vec<f64>,
        support: Vec<u32>,
        confusion: Vec<Vec<u32>>,
        calibration: Calibration,
        by_sex: BTreeMap<Sex, Group>,
    }

    #[derive(Deserialize)]
    struct Group {
        examples: u32,
        accuracy: f64,
        uar: f64,
        recall: Vec<Option<f64>>,
    }

    fn vectors() -> Vec<Vector> {
        #[derive(Deserialize)]
        struct Vectors {
            cases: Vec<Vector>,
        }
        let read: Vectors = serde_json::from_str(include_str!("../../tests/vectors/metrics.json")).unwrap();
        assert_eq!(read.cases.len(), 12);
        read.cases
    }

    /// Of two sexes, when told, each of two speakers or more.
    fn examples(truth: &[u16], sex: &[Option<Sex>], speakers: usize) -> Examples {
        let mut out = Examples::empty(0);
        for (i, &label) in truth.iter().enumerate() {
            let sex = sex.get(i).copied().flatten();
            let speaker = format!("{sex:?} {}", i % speakers);
            out.push(&[], label, ExampleMeta { path: i.to_string(), speaker, sex, group: None });
        }
        out
    }

    fn scored(v: &Vector) -> Metrics {
        score(&v.logits.concat(), &examples(&v.truth, &v.sex, 4), &LabelSet::five())
    }

    /// 1e-12: both sides add a few hundred numbers of order 1 in f64; `loss` reaches 400.
    fn same(name: &str, ours: f64, theirs: f64) {
        assert!((ours - theirs).abs() <= 1e-12 * theirs.abs().max(1.0), "{name}: {ours} is not {theirs}");
    }

    fn same_options(name: &str, ours: Option<f64>, theirs: Option<f64>) {
        assert_eq!(ours.is_some(), theirs.is_some(), "{name}");
        ours.zip(theirs).into_iter().for_each(|(a, b)| same(name, a, b));
    }

    #[test]
    fn every_figure_is_scikit_learns() {
        for v in vectors() {
            let m = scored(&v);
            let per_class = |figure: fn(&ClassMetrics) -> f64| m.per_class.iter().map(figure).collect::<Vec<_>>();
            for (ours, theirs) in [
                (m.accuracy, v.accuracy),
                (m.uar, v.uar),
                (m.macro_precision, v.macro_precision),
                (m.macro_recall, v.macro_recall),
                (m.macro_f1, v.macro_f1),
                (m.weighted_precision, v.weighted_precision),
                (m.weighted_recall, v.weighted_recall),
                (m.weighted_f1, v.weighted_f1),
                (m.loss, v.loss),
            ] {
                same(&v.name, ours, theirs);
            }
            for (ours, theirs) in [
                (per_class(|c| c.precision), &v.precision),
                (per_class(|c| c.recall), &v.recall),
                (per_class(|c| c.f1), &v.f1),
            ] {
                assert_eq!(ours.len(), theirs.len());
                ours.iter().zip(theirs).for_each(|(a, b)| same(&v.name, *a, *b));
            }
            assert_eq!(m.per_class.iter().map(|c| c.support).collect::<Vec<_>>(), v.support);
            assert_eq!(m.confusion, v.confusion);
        }
    }

    #[test]
    fn calibration_is_numpys() {
        for v in vectors() {
            let (ours, theirs) = (scored(&v).calibration.unwrap(), &v.calibration);
            same(&v.name, ours.expected_calibration_error, theirs.expected_calibration_error);
            same(&v.name, ours.brier, theirs.brier);
            same(&v.name, ours.mean_confidence, theirs.mean_confidence);
            assert_eq!((ours.bins.len(), theirs.bins.len()), (15, 15));
            for (ours, theirs) in ours.bins.iter().zip(&theirs.bins) {
                same(&v.name, ours.low, theirs.low);
                same(&v.name, ours.high, theirs.high);
                assert_eq!(ours.count, theirs.count, "{}, up to {}", v.name, ours.high);
                same_options(&v.name, ours.confidence, theirs.confidence);
                same_options(&v.name, ours.accuracy, theirs.accuracy);
            }
        }
    }

    #[test]
    fn figures_by_sex_are_scikit_learns() {
        let mut groups = 0;
        for v in vectors() {
            let m = scored(&v);
            assert_eq!(
                m.by_sex.iter().map(|g| g.sex).collect::<Vec<_>>(),
                v.by_sex.keys().copied().collect::<Vec<_>>()
            );
            for (ours, theirs) in m.by_sex.iter().zip(v.by_sex.values()) {
                groups += 1;
                assert_eq!((ours.examples, ours.recall.len()), (theirs.examples, theirs.recall.len()));
                same(&v.name, ours.accuracy, theirs.accuracy);
                same(&v.name, ours.uar, theirs.uar);
                ours.recall.iter().zip(&theirs.recall).for_each(|(a, b)| same_options(&v.name, *a, *b));
            }
        }
        assert_eq!(groups, 2);
    }

    #[test]
    fn an_interval_over_one_speaker_is_absent_and_over_many_it_holds_the_estimate() {
        let truth: Vec<u16> = (0..200).map(|i| i % 5).collect();
        // Right on three of four.
        let logits: Vec<f32> = (0..200u16)
            .flat_map(|i| (0..5).map(move |c| if c == (i + u16::from((i / 5) % 4 == 3)) % 5 { 1.0 } else { 0.0 }))
            .collect();
        let over = |speakers| score(&logits, &examples(&truth, &[], speakers), &LabelSet::five());
        let one = over(1);
        assert_eq!((one.speakers, one.accuracy_ci95, one.uar_ci95, one.macro_f1_ci95), (1, None, None, None));
        let many = over(23);
        for (figure, interval) in [
            (many.accuracy, many.accuracy_ci95.unwrap()),
            (many.uar, many.uar_ci95.unwrap()),
            (many.macro_f1, many.macro_f1_ci95.unwrap()),
        ] {
            assert!(interval.low < figure && figure < interval.high, "{figure} {interval:?}");
        }
        assert_eq!(many, over(23));
        assert_eq!((many.speakers, over(2).accuracy_ci95.is_some()), (23, true));
    }

    #[test]
    fn losses_of_well_fitted_examples_stay_apart() {
        let losses = cross_entropies(&[40.0, 0.0, 41.0, 0.0], &[0, 0], 2);
        assert!(losses[0] > losses[1] && losses[1] > 0.0, "{losses:?}");
        let sum: f64 = softmax(&[1000.0, 999.0]).sum();
        assert!((sum - 1.0).abs() < 1e-12);
    }
}
