//! Figures of a classifier from its logits, by scikit-learn's definitions.
//!
//! Macro averages run over all classes of the label set with `zero_division=0`; the UAR (scikit-learn's
//! `balanced_accuracy_score`) runs over the classes that occur. `tests/vectors/metrics.json` holds scikit-learn's own
//! answers.
use std::collections::BTreeMap;

use sottovoce_types::{ClassMetrics, Examples, Interval, LabelSet, Metrics};

use crate::random::{Draws, purpose};

/// Resamples behind a 95 % interval: the 2.5 % quantile then rests on 25 of them.
pub const BOOTSTRAP_RESAMPLES: usize = 1000;

/// Seed of the resamples: the same model on the same data has the same interval.
const BOOTSTRAP_SEED: u64 = 1;

/// `confusion[truth][predicted]`.
type Confusion = Vec<Vec<u32>>;

/// All figures of `logits` `[n, classes]`, with n > 0.
pub(crate) fn score(logits: &[f32], data: &Examples, labels: &LabelSet) -> Metrics {
    let classes = labels.emotions().len();
    let by_speaker = confusions(logits, data, classes);
    let confusion = sum(by_speaker.values(), classes);
    let per_class = per_class(&confusion, labels);
    let mean = |figure: fn(&ClassMetrics) -> f64| per_class.iter().map(figure).sum::<f64>() / classes as f64;
    let (accuracy_ci95, uar_ci95) = intervals(&by_speaker.values().collect::<Vec<_>>(), classes);
    Metrics {
        accuracy: accuracy(&confusion),
        uar: uar(&confusion),
        macro_precision: mean(|c| c.precision),
        macro_recall: mean(|c| c.recall),
        macro_f1: mean(|c| c.f1),
        loss: cross_entropies(logits, &data.labels, classes).iter().sum::<f64>() / data.len() as f64,
        accuracy_ci95,
        uar_ci95,
        uar_chance: 1.0 / classes as f64,
        per_class,
        confusion,
        examples: data.len() as u32,
        speakers: by_speaker.len() as u32,
    }
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
    let at = argmax(row);
    let top = f64::from(row[at]);
    let others = row.iter().enumerate().filter(|&(c, _)| c != at).map(|(_, &z)| (f64::from(z) - top).exp());
    (top, others.sum::<f64>().ln_1p())
}

/// Ties go to the lowest class, as in NumPy's `argmax`.
fn argmax(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, c| if row[c] > row[best] { c } else { best })
}

/// One confusion matrix per speaker.
fn confusions<'a>(logits: &[f32], data: &'a Examples, classes: usize) -> BTreeMap<&'a str, Confusion> {
    let mut out = BTreeMap::new();
    for ((row, &truth), meta) in logits.chunks_exact(classes).zip(&data.labels).zip(&data.meta) {
        let own = out.entry(meta.speaker.as_str()).or_insert_with(|| vec![vec![0; classes]; classes]);
        own[usize::from(truth)][argmax(row)] += 1;
    }
    out
}

fn sum<'a>(parts: impl IntoIterator<Item = &'a Confusion>, classes: usize) -> Confusion {
    let mut total = vec![vec![0; classes]; classes];
    for part in parts {
        for (into, from) in total.iter_mut().flatten().zip(part.iter().flatten()) {
            *into += from;
        }
    }
    total
}

fn per_class(confusion: &Confusion, labels: &LabelSet) -> Vec<ClassMetrics> {
    let ratio = |a: u32, b: u32| if b == 0 { 0.0 } else { f64::from(a) / f64::from(b) };
    let figures = |(c, label): (usize, String)| {
        let right = confusion[c][c];
        let support: u32 = confusion[c].iter().sum();
        let predicted: u32 = confusion.iter().map(|row| row[c]).sum();
        // F1 = 2·right / (support + predicted), which is 0 where precision or recall is.
        ClassMetrics {
            label,
            precision: ratio(right, predicted),
            recall: ratio(right, support),
            f1: ratio(2 * right, support + predicted),
            support,
        }
    };
    labels.names().into_iter().enumerate().map(figures).collect()
}

fn accuracy(confusion: &Confusion) -> f64 {
    let right: u32 = (0..confusion.len()).map(|c| confusion[c][c]).sum();
    f64::from(right) / f64::from(confusion.iter().flatten().sum::<u32>())
}

fn uar(confusion: &Confusion) -> f64 {
    let recall = |(c, row): (usize, &Vec<u32>)| match row.iter().sum::<u32>() {
        0 => None,
        support => Some(f64::from(row[c]) / f64::from(support)),
    };
    let recalls: Vec<f64> = confusion.iter().enumerate().filter_map(recall).collect();
    recalls.iter().sum::<f64>() / recalls.len() as f64
}

/// 95 % intervals of accuracy and UAR: percentile bootstrap over whole speakers, since clips of one speaker are not
/// independent (Field and Welsh, "Bootstrapping clustered data", JRSS B 69(3), 2007). One speaker gives no width.
fn intervals(by_speaker: &[&Confusion], classes: usize) -> (Interval, Interval) {
    let mut draws = Draws::new(purpose::BOOTSTRAP, BOOTSTRAP_SEED);
    let (mut accuracies, mut uars) = (Vec::new(), Vec::new());
    for _ in 0..BOOTSTRAP_RESAMPLES {
        let resample = (0..by_speaker.len()).map(|_| by_speaker[draws.below(by_speaker.len())]);
        let confusion = sum(resample, classes);
        accuracies.push(accuracy(&confusion));
        uars.push(uar(&confusion));
    }
    (central_95(accuracies), central_95(uars))
}

fn central_95(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    Interval { low: quantile(&values, 0.025), high: quantile(&values, 0.975) }
}

/// Linear interpolation between order statistics (NumPy's default).
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - place.floor()) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use sottovoce_types::ExampleMeta;

    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        truth: Vec<u16>,
        logits: Vec<Vec<f32>>,
        accuracy: f64,
        uar: f64,
        macro_precision: f64,
        macro_recall: f64,
        macro_f1: f64,
        loss: f64,
        precision: Vec<f64>,
        recall: Vec<f64>,
        f1: Vec<f64>,
        support: Vec<u32>,
        confusion: Confusion,
    }

    #[derive(Deserialize)]
    struct Vectors {
        cases: Vec<Vector>,
    }

    fn examples(truth: &[u16], speakers: usize) -> Examples {
        let mut out = Examples::empty(0);
        for (i, &label) in truth.iter().enumerate() {
            out.push(
                &[],
                label,
                ExampleMeta { path: i.to_string(), speaker: (i % speakers).to_string(), sex: None, group: None },
            );
        }
        out
    }

    #[test]
    fn every_figure_is_scikit_learns() {
        let vectors: Vectors = serde_json::from_str(include_str!("../tests/vectors/metrics.json")).unwrap();
        assert!(vectors.cases.len() >= 3);
        for v in vectors.cases {
            let logits: Vec<f32> = v.logits.concat();
            let m = score(&logits, &examples(&v.truth, 4), &LabelSet::five());
            let per_class = |figure: fn(&ClassMetrics) -> f64| m.per_class.iter().map(figure).collect::<Vec<_>>();
            // 1e-12: both sides add a few hundred numbers of order 1 in f64.
            let same = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{}: {a} is not {b}", v.name);
            same(m.accuracy, v.accuracy);
            same(m.uar, v.uar);
            same(m.macro_precision, v.macro_precision);
            same(m.macro_recall, v.macro_recall);
            same(m.macro_f1, v.macro_f1);
            same(m.loss, v.loss);
            for (ours, theirs) in [
                (per_class(|c| c.precision), &v.precision),
                (per_class(|c| c.recall), &v.recall),
                (per_class(|c| c.f1), &v.f1),
            ] {
                ours.iter().zip(theirs).for_each(|(a, b)| same(*a, *b));
            }
            assert_eq!(m.per_class.iter().map(|c| c.support).collect::<Vec<_>>(), v.support);
            assert_eq!(m.confusion, v.confusion);
        }
    }

    #[test]
    fn an_interval_over_one_speaker_has_no_width_and_over_many_it_holds_the_estimate() {
        let truth: Vec<u16> = (0..200).map(|i| i % 5).collect();
        // Right on three of four.
        let logits: Vec<f32> = (0..200u16)
            .flat_map(|i| (0..5).map(move |c| if c == (i + u16::from((i / 5) % 4 == 3)) % 5 { 1.0 } else { 0.0 }))
            .collect();
        let one = score(&logits, &examples(&truth, 1), &LabelSet::five());
        assert_eq!((one.accuracy_ci95.low, one.accuracy_ci95.high), (one.accuracy, one.accuracy));
        let many = score(&logits, &examples(&truth, 23), &LabelSet::five());
        assert!(many.accuracy_ci95.low < many.accuracy && many.accuracy < many.accuracy_ci95.high);
        assert!(many.uar_ci95.low < many.uar && many.uar < many.uar_ci95.high);
        assert_eq!(many, score(&logits, &examples(&truth, 23), &LabelSet::five()));
        assert_eq!(many.speakers, 23);
    }

    #[test]
    fn losses_of_well_fitted_examples_stay_apart() {
        let losses = cross_entropies(&[40.0, 0.0, 41.0, 0.0], &[0, 0], 2);
        assert!(losses[0] > losses[1] && losses[1] > 0.0, "{losses:?}");
        let sum: f64 = softmax(&[1000.0, 999.0]).sum();
        assert!((sum - 1.0).abs() < 1e-12);
    }
}
