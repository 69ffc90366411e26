//! Area under the ROC curve with an interval over speakers, and the true-positive rate at a small false-positive rate.
use std::cmp::Ordering;
use std::collections::BTreeMap;

use sottovoce_types::Interval;

use crate::random::Stream;
use crate::stats::{clopper_pearson, normal_quantile};

/// Resamples of a bootstrap: the error of a 2.5 % quantile is then about 0.35 percentage points.
const RESAMPLES: usize = 2000;

/// One guess: a score (higher means "member"), the truth, and the cluster that it is not independent within.
#[derive(Clone, PartialEq, Debug)]
pub struct Trial {
    /// The attacker's score; higher means positive.
    pub score: f64,
    /// The truth.
    pub positive: bool,
    /// Speaker (or client): clips of one speaker are not independent trials.
    pub cluster: String,
}

/// An area under the ROC curve.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Auc {
    /// Its value; 0.5 is guessing.
    pub value: f64,
    /// 95 % interval.
    pub ci95: Interval,
    /// Clusters behind it.
    pub clusters: usize,
}

/// A true-positive rate at a bound on the false-positive rate.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TprAtFpr {
    /// The bound on the false-positive rate.
    pub fpr: f64,
    /// True positives over positives.
    pub tpr: f64,
    /// Exact 95 % interval of the rate, as if trials were independent.
    pub ci95: Interval,
    /// False positives behind it.
    pub false_positives: u64,
}

/// A statistic that the trials cannot carry.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RocError {
    /// One side is empty.
    #[error("{positives} positive and {negatives} negative trials: both sides need at least one")]
    OneSided {
        /// Positive trials.
        positives: usize,
        /// Negative trials.
        negatives: usize,
    },
    /// A score is not a number.
    #[error("the score of trial {index} is not a finite number: did training diverge?")]
    NotFinite {
        /// Which trial.
        index: usize,
    },
    /// Too few negatives for a rate this small.
    #[error("n/a: a true-positive rate at {fpr} false positives needs {needed} non-members, there are {found}")]
    TooFewNegatives {
        /// The false-positive rate asked for.
        fpr: f64,
        /// Non-members needed: 10 / fpr.
        needed: usize,
        /// Non-members there are.
        found: usize,
    },
    /// A threshold cannot be chosen on some clusters and judged on others.
    #[error(
        "n/a: a threshold is chosen on half of the speakers and judged on the others, and {clusters} do not give two halves with both sides"
    )]
    FewClusters {
        /// Clusters there are.
        clusters: usize,
    },
}

pub(super) fn checked(trials: &[Trial]) -> Result<(), RocError> {
    if let Some(index) = trials.iter().position(|t| !t.score.is_finite()) {
        return Err(RocError::NotFinite { index });
    }
    let positives = trials.iter().filter(|t| t.positive).count();
    let negatives = trials.len() - positives;
    if positives == 0 || negatives == 0 { Err(RocError::OneSided { positives, negatives }) } else { Ok(()) }
}

/// The area under the ROC curve: P\[score of a positive > score of a negative\] + ½ P\[equal\] (Mann and Whitney 1947).
///
/// # Errors
/// [`RocError`] when a side is empty or a score is no number.
pub fn auc(trials: &[Trial]) -> Result<f64, RocError> {
    checked(trials)?;
    let ones = vec![1.0; trials.len()];
    Ok(weighted_auc(&sorted(trials), trials, &ones).expect("both sides were checked"))
}

/// [`auc`] with a 95 % interval: the hull of a bootstrap over clusters and of DeLong's (1988) normal interval, because a
/// bootstrap over few speakers is too narrow and DeLong does not know about speakers.
///
/// # Errors
/// [`RocError`] when a side is empty or a score is no number.
pub fn auc_with_interval(trials: &[Trial], seed: u64) -> Result<Auc, RocError> {
    let value = auc(trials)?;
    let order = sorted(trials);
    let mut cluster_of = BTreeMap::new();
    for t in trials {
        let next = cluster_of.len();
        cluster_of.entry(t.cluster.as_str()).or_insert(next);
    }
    let clusters = cluster_of.len();
    let members: Vec<usize> = trials.iter().map(|t| cluster_of[t.cluster.as_str()]).collect();

    let mut stream = Stream::new("bootstrap-auc", seed);
    let mut values = Vec::with_capacity(RESAMPLES);
    let mut weights = vec![0.0; trials.len()];
    for _ in 0..RESAMPLES {
        let mut drawn = vec![0.0; clusters];
        for _ in 0..clusters {
            drawn[stream.below(clusters)] += 1.0;
        }
        for (w, &c) in weights.iter_mut().zip(&members) {
            *w = drawn[c];
        }
        values.extend(weighted_auc(&order, trials, &weights));
    }
    let half = normal_quantile(0.975) * delong_variance(&order, trials).sqrt();
    let mut ci95 = Interval { low: value - half, high: value + half };
    // One cluster says nothing about how clusters differ: the bootstrap would be a point.
    if clusters > 1 && !values.is_empty() {
        values.sort_by(f64::total_cmp);
        let at = |q: f64| values[((values.len() - 1) as f64 * q).round() as usize];
        ci95 = Interval { low: ci95.low.min(at(0.025)), high: ci95.high.max(at(0.975)) };
    }
    Ok(Auc { value, ci95: Interval { low: ci95.low.max(0.0), high: ci95.high.min(1.0) }, clusters })
}

/// The true-positive rate at the largest threshold that lets at most ⌊`fpr` · n⌋ of n negatives pass.
///
/// # Errors
/// [`RocError::TooFewNegatives`] when fewer than ten negatives are expected above the threshold: such a rate is decided
/// by a handful of clips.
pub fn tpr_at_fpr(trials: &[Trial], fpr: f64) -> Result<TprAtFpr, RocError> {
    checked(trials)?;
    let negatives = trials.iter().filter(|t| !t.positive).count();
    let positives = trials.len() - negatives;
    // A hair of slack: 0.01 · 1000 must count as ten.
    if fpr * (negatives as f64) < 10.0 - 1e-9 {
        return Err(RocError::TooFewNegatives { fpr, needed: (10.0 / fpr).ceil() as usize, found: negatives });
    }
    let allowed = (fpr * negatives as f64 + 1e-9).floor() as u64;
    let (mut true_positives, mut false_positives) = (0u64, 0u64);
    let order = sorted(trials);
    let mut end = order.len();
    // From the highest score down, one group of ties at a time: a threshold cannot cut a tie.
    while end > 0 {
        let start = tie_start(&order, trials, end);
        let group = &order[start..end];
        let fp = group.iter().filter(|&&i| !trials[i].positive).count() as u64;
        if false_positives + fp > allowed {
            break;
        }
        false_positives += fp;
        true_positives += group.len() as u64 - fp;
        end = start;
    }
    let ci95 = clopper_pearson(true_positives, positives as u64, 0.05);
    Ok(TprAtFpr { fpr, tpr: true_positives as f64 / positives as f64, ci95, false_positives })
}

/// Indices by rising score.
pub(super) fn sorted(trials: &[Trial]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..trials.len()).collect();
    order.sort_by(|&a, &b| trials[a].score.total_cmp(&trials[b].score));
    order
}

fn tied(a: f64, b: f64) -> bool {
    a.partial_cmp(&b) == Some(Ordering::Equal)
}

/// Where the group of ties that ends before `end` starts.
pub(super) fn tie_start(order: &[usize], trials: &[Trial], end: usize) -> usize {
    let score = trials[order[end - 1]].score;
    let mut start = end - 1;
    while start > 0 && tied(trials[order[start - 1]].score, score) {
        start -= 1;
    }
    start
}

/// Mann-Whitney with a weight per trial; `None` when a side has no weight.
fn weighted_auc(order: &[usize], trials: &[Trial], weights: &[f64]) -> Option<f64> {
    let (mut below, mut wins, mut positives) = (0.0, 0.0, 0.0);
    let mut at = 0;
    while at < order.len() {
        let score = trials[order[at]].score;
        let (mut pos, mut neg) = (0.0, 0.0);
        while at < order.len() && tied(trials[order[at]].score, score) {
            let i = order[at];
            if trials[i].positive {
                pos += weights[i];
            } else {
                neg += weights[i];
            }
            at += 1;
        }
        wins += pos * (below + 0.5 * neg);
        below += neg;
        positives += pos;
    }
    (positives > 0.0 && below > 0.0).then(|| wins / (positives * below))
}

/// DeLong's variance of the AUC: Var(V10) / m + Var(V01) / n with the placement values of positives and negatives.
fn delong_variance(order: &[usize], trials: &[Trial]) -> f64 {
    let positives = trials.iter().filter(|t| t.positive).count() as f64;
    let negatives = trials.len() as f64 - positives;
    let (mut v10, mut v01) = (Vec::new(), Vec::new());
    let (mut pos_below, mut neg_below) = (0.0, 0.0);
    let mut at = 0;
    while at < order.len() {
        let score = trials[order[at]].score;
        let group: Vec<bool> =
            order[at..].iter().take_while(|&&i| tied(trials[i].score, score)).map(|&i| trials[i].positive).collect();
        let pos = group.iter().filter(|&&p| p).count() as f64;
        let neg = group.len() as f64 - pos;
        for &positive in &group {
            if positive {
                v10.push((neg_below + 0.5 * neg) / negatives);
            } else {
                v01.push(1.0 - (pos_below + 0.5 * pos) / positives);
            }
        }
        pos_below += pos;
        neg_below += neg;
        at += group.len();
    }
    let variance_of_mean = |v: &[f64]| {
        let n = v.len() as f64;
        let mean = v.iter().sum::<f64>() / n;
        if n < 2.0 { 0.25 } else { v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0) / n }
    };
    variance_of_mean(&v10) + variance_of_mean(&v01)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(positive: &[f64], negative: &[f64]) -> Vec<Trial> {
        let make = |positive: bool| {
            move |(i, &score): (usize, &f64)| Trial { score, positive, cluster: format!("s{}", i % 10) }
        };
        positive.iter().enumerate().map(make(true)).chain(negative.iter().enumerate().map(make(false))).collect()
    }

    #[test]
    fn the_area_counts_pairs_and_halves_ties() {
        // Pairs: (1,0) win, (1,1) tie, (2,0) win, (2,1) win: 3.5 of 4.
        assert!((auc(&trials(&[1.0, 2.0], &[0.0, 1.0])).unwrap() - 0.875).abs() < 1e-12);
        assert!((auc(&trials(&[1.0, 1.0], &[1.0])).unwrap() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn an_empty_side_and_a_diverged_loss_are_refused() {
        assert_eq!(auc(&trials(&[1.0], &[])), Err(RocError::OneSided { positives: 1, negatives: 0 }));
        assert_eq!(auc(&trials(&[f64::NAN], &[0.0])), Err(RocError::NotFinite { index: 0 }));
    }

    #[test]
    fn the_interval_covers_the_truth_about_as_often_as_it_says() {
        // Scores N(0.5, 1) against N(0, 1) with an effect per speaker that both sides share: AUC near 0.61 for a mix.
        let mut covered = 0;
        for rep in 0..60 {
            let mut s = Stream::new("coverage", rep);
            let effects: Vec<f64> = (0..10).map(|_| 0.5 * s.normal()).collect();
            let draw = |shift: f64, s: &mut Stream| -> Vec<f64> {
                (0..60).map(|i| shift + effects[i % 10] + s.normal()).collect()
            };
            let (a, b) = (draw(0.5, &mut s), draw(0.0, &mut s));
            let found = auc_with_interval(&trials(&a, &b), rep).unwrap();
            // Φ(0.5 / √(2 · 1.25)) for scores of two different speakers.
            let truth = crate::stats::normal_cdf(0.5 / 2.5f64.sqrt());
            covered += u32::from(found.ci95.low <= truth && truth <= found.ci95.high);
        }
        // 60 intervals of 95 %: fewer than 50 hits has probability below 1e-3; conservative is allowed.
        assert!(covered >= 50, "{covered} of 60");
    }

    #[test]
    fn a_rate_that_ten_false_positives_do_not_stand_behind_is_refused() {
        let negatives: Vec<f64> = (0..999).map(f64::from).collect();
        let refused = tpr_at_fpr(&trials(&[1.0], &negatives), 0.01);
        assert_eq!(refused, Err(RocError::TooFewNegatives { fpr: 0.01, needed: 1000, found: 999 }));
        assert!(refused.unwrap_err().to_string().contains("n/a"));
    }

    #[test]
    fn the_rate_at_one_percent_counts_at_most_one_percent_false_positives() {
        let negatives: Vec<f64> = (0..1000).map(f64::from).collect();
        let positives: Vec<f64> = (0..100).map(|i| 940.5 + f64::from(i)).collect();
        let found = tpr_at_fpr(&trials(&positives, &negatives), 0.01).unwrap();
        assert_eq!(found.false_positives, 10);
        // Above the ten highest negatives (990..999): positives from 989.5 on, 51 of 100.
        assert!((found.tpr - 0.51).abs() < 1e-12, "{found:?}");
        // All tied: the threshold cannot cut the tie, so nothing passes.
        let tied = tpr_at_fpr(&trials(&[1.0; 5], &[1.0; 1000]), 0.01).unwrap();
        assert_eq!((tied.false_positives, tied.tpr), (0, 0.0));
    }
}
