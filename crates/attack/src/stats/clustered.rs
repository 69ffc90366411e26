//! ROC curves and decisions with intervals over clusters: clips of one speaker go together.
use std::collections::BTreeMap;

use sottovoce_types::Interval;

use super::bands::{RocPoint, roc, steps};
use super::decision::{Decision, PRIORS, Ppv, decide};
use super::roc::{RocError, TprAtFpr, Trial, checked, sorted, tie_start, tpr_at_fpr};
use crate::random::Stream;

/// Resamples of a bootstrap: the error of a 2.5 % quantile is then about 0.5 percentage points.
const RESAMPLES: usize = 1000;

/// Points of the ROC curve at the rising false-positive rates `at`, each with a 95 % interval of its true-positive rate: the hull
/// of a bootstrap over clusters and of the exact interval at its threshold, because a bootstrap over few speakers is too narrow, and
/// the exact one knows neither of speakers nor that the threshold is estimated. It is right for one rate that was named in advance.
///
/// # Errors
/// [`RocError`] when a side is empty or a score is no number.
pub fn roc_over_clusters(trials: &[Trial], at: &[f64], seed: u64) -> Result<Vec<(RocPoint, Interval)>, RocError> {
    let points = roc(trials, at)?;
    let clusters = Clusters::of(trials);
    let order = sorted(trials);
    let mut drawn: Vec<Vec<f64>> = vec![Vec::with_capacity(RESAMPLES); at.len()];
    clusters.resample("bootstrap-roc", seed, |weight| {
        if let Some(rates) = weighted_rates(&order, trials, weight, at) {
            drawn.iter_mut().zip(rates).for_each(|(all, rate)| all.push(rate));
        }
    });
    let with_band = |(point, drawn): (RocPoint, Vec<f64>)| (point, hull(point.pointwise, drawn, clusters.count));
    Ok(points.into_iter().zip(drawn).map(with_band).collect())
}

/// [`tpr_at_fpr`] with the interval of [`roc_over_clusters`].
///
/// # Errors
/// [`RocError::TooFewNegatives`] as there.
pub fn tpr_over_clusters(trials: &[Trial], fpr: f64, seed: u64) -> Result<TprAtFpr, RocError> {
    let rate = tpr_at_fpr(trials, fpr)?;
    let found = roc_over_clusters(trials, &[fpr], seed)?;
    Ok(TprAtFpr { ci95: found.first().map_or(rate.ci95, |(_, band)| *band), ..rate })
}

/// What an attacker gets right who chooses a threshold on some clusters and decides about others.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Judged {
    /// (TPR + 1 − FPR)/2; 0.5 is guessing.
    pub balanced_accuracy: f64,
    /// 95 % interval: the hull of the exact one and of a bootstrap over clusters.
    pub ci95: Interval,
    /// True-positive rate.
    pub tpr: f64,
    /// False-positive rate.
    pub fpr: f64,
    /// Of those accused, how many are members, at each of [`PRIORS`].
    pub ppv: [Ppv; 3],
}

/// Clusters are cut into two halves at random; in each, the threshold with the largest TPR − FPR is chosen, and it decides about the
/// other half. So no threshold is judged on the scores that it was chosen on.
///
/// # Errors
/// [`RocError::FewClusters`] when some half would lack a side; otherwise as [`roc`].
pub fn judge_across_clusters(trials: &[Trial], seed: u64) -> Result<Judged, RocError> {
    checked(trials)?;
    let clusters = Clusters::of(trials);
    let half_of = clusters.halves(trials, seed);
    let mut decided = Vec::with_capacity(trials.len());
    for half in [0, 1] {
        let of = |which: usize| -> Vec<Trial> {
            trials.iter().zip(&half_of).filter(|(_, h)| **h == which).map(|(t, _)| t.clone()).collect()
        };
        let (own, other) = (of(half), of(1 - half));
        let threshold = best_threshold(&own).ok_or(RocError::FewClusters { clusters: clusters.count })?;
        decided.extend(other.into_iter().map(|t| Trial { score: f64::from(u8::from(t.score >= threshold)), ..t }));
    }
    let d = decide(&decided, 0.5)?;
    let again = Clusters::of(&decided);
    let (mut balanced, mut values) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    again.resample("bootstrap-decision", seed, |weight| {
        let share = |positive: bool| {
            let side = || decided.iter().zip(weight).filter(move |(t, _)| t.positive == positive);
            let all: f64 = side().map(|(_, w)| w).sum();
            (all > 0.0).then(|| side().filter(|(t, _)| t.score > 0.5).map(|(_, w)| w).sum::<f64>() / all)
        };
        let (Some(tpr), Some(fpr)) = (share(true), share(false)) else { return };
        balanced.push(0.5 * (tpr + 1.0 - fpr));
        for (values, prior) in values.iter_mut().zip(PRIORS) {
            values.push(Decision::ppv_of(tpr, fpr, prior));
        }
    });
    let mut of_prior = values.into_iter().zip(PRIORS).map(|(drawn, prior)| {
        let exact = d.ppv(prior);
        Ppv { ci95: hull(exact.ci95, drawn, again.count), ..exact }
    });
    let mut next = || of_prior.next().expect("as many as there are priors");
    Ok(Judged {
        balanced_accuracy: d.balanced_accuracy,
        ci95: hull(d.ci95, balanced, again.count),
        tpr: d.tpr,
        fpr: d.fpr,
        ppv: [next(), next(), next()],
    })
}

/// The threshold with the largest TPR − FPR; `None` where a side is empty.
fn best_threshold(trials: &[Trial]) -> Option<f64> {
    let positives = trials.iter().filter(|t| t.positive).count();
    let negatives = trials.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let gain = |&(_, fp, tp): &(f64, u64, u64)| tp as f64 / positives as f64 - fp as f64 / negatives as f64;
    steps(trials).into_iter().max_by(|a, b| gain(a).total_cmp(&gain(b))).map(|step| step.0)
}

/// True-positive rates at `at` under weights; `None` when a side has no weight.
fn weighted_rates(order: &[usize], trials: &[Trial], weight: &[f64], at: &[f64]) -> Option<Vec<f64>> {
    let total = |positive: bool| -> f64 {
        trials.iter().zip(weight).filter(|(t, _)| t.positive == positive).map(|(_, w)| w).sum()
    };
    let (positives, negatives) = (total(true), total(false));
    if positives <= 0.0 || negatives <= 0.0 {
        return None;
    }
    let mut rates = Vec::with_capacity(at.len());
    let (mut above, mut alarms) = (0.0, 0.0);
    let mut end = order.len();
    while end > 0 && rates.len() < at.len() {
        let start = tie_start(order, trials, end);
        let side = |positive: bool| -> f64 {
            order[start..end].iter().filter(|&&i| trials[i].positive == positive).map(|&i| weight[i]).sum()
        };
        let (hits, more) = (side(true), side(false));
        // A rate that this group of ties would exceed stays before it.
        while rates.len() < at.len() && alarms + more > at[rates.len()] * negatives + 1e-9 {
            rates.push(above / positives);
        }
        above += hits;
        alarms += more;
        end = start;
    }
    rates.resize(at.len(), 1.0);
    Some(rates)
}

/// One cluster says nothing about how clusters differ: then the exact interval stands alone.
fn hull(exact: Interval, mut drawn: Vec<f64>, clusters: usize) -> Interval {
    if clusters < 2 || drawn.is_empty() {
        return exact;
    }
    drawn.sort_by(f64::total_cmp);
    let at = |q: f64| drawn[((drawn.len() - 1) as f64 * q).round() as usize];
    Interval { low: exact.low.min(at(0.025)), high: exact.high.max(at(0.975)) }
}

struct Clusters {
    count: usize,
    of: Vec<usize>,
}

impl Clusters {
    fn of(trials: &[Trial]) -> Self {
        let mut names = BTreeMap::new();
        let of = |t| {
            let next = names.len();
            *names.entry(t).or_insert(next)
        };
        let of = trials.iter().map(|t| t.cluster.as_str()).map(of).collect();
        Self { count: names.len(), of }
    }

    /// Hands over a weight for each trial: how often its cluster was drawn.
    fn resample(&self, label: &str, seed: u64, mut of: impl FnMut(&[f64])) {
        let mut stream = Stream::new(label, seed);
        let mut weight = vec![0.0; self.of.len()];
        for _ in 0..RESAMPLES {
            let mut drawn = vec![0.0; self.count];
            for _ in 0..self.count {
                drawn[stream.below(self.count)] += 1.0;
            }
            weight.iter_mut().zip(&self.of).for_each(|(w, &c)| *w = drawn[c]);
            of(&weight);
        }
    }

    /// 0 or 1 for each trial. Clusters that hold one side only are cut apart, so that each half gets some of either.
    fn halves(&self, trials: &[Trial], seed: u64) -> Vec<usize> {
        let mut sides = vec![(false, false); self.count];
        for (t, &c) in trials.iter().zip(&self.of) {
            if t.positive { sides[c].0 = true } else { sides[c].1 = true }
        }
        let mut stream = Stream::new("decision-halves", seed);
        let mut half = vec![0; self.count];
        for kind in [(true, true), (true, false), (false, true)] {
            let mut own: Vec<usize> = (0..self.count).filter(|&c| sides[c] == kind).collect();
            stream.shuffle(&mut own);
            own.into_iter().enumerate().for_each(|(place, c)| half[c] = place % 2);
        }
        self.of.iter().map(|&c| half[c]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{normal_cdf, normal_quantile};

    /// `speakers` of 20 members and 20 others each; whoever is easy to find is so in all clips.
    fn spoken(speakers: usize, effect: f64, seed: u64) -> Vec<Trial> {
        let mut s = Stream::new("spoken", seed);
        let mut trials = Vec::new();
        for speaker in 0..speakers {
            let shift = effect * s.normal();
            for positive in [true, false] {
                for _ in 0..20 {
                    let score = if positive { 1.0 + shift } else { 0.0 } + s.normal();
                    trials.push(Trial { score, positive, cluster: format!("s{speaker}") });
                }
            }
        }
        trials
    }

    #[test]
    fn the_band_covers_over_speakers_and_the_exact_one_does_not() {
        // Members N(1, 1 + 1) over all speakers against N(0, 1): the curve at 0.2 is Φ((1 − z) / √2).
        let truth = normal_cdf((1.0 - normal_quantile(0.8)) / 2f64.sqrt());
        let (mut covered, mut exact) = (0, 0);
        for seed in 0..100 {
            let found = roc_over_clusters(&spoken(30, 1.0, seed), &[0.2], seed).unwrap();
            let (point, band) = found[0];
            covered += u32::from((band.low..=band.high).contains(&truth));
            exact += u32::from((point.pointwise.low..=point.pointwise.high).contains(&truth));
        }
        // Bin(100, 0.95) is below 87 with probability below 1e-3.
        assert!(covered >= 87, "{covered} of 100");
        assert!(exact < 80, "this test has no power: {exact}");
    }

    #[test]
    fn rates_of_the_clustered_curve_are_those_of_the_plain_one() {
        let trials = spoken(60, 0.0, 3);
        let at = [0.01, 0.1, 0.5, 1.0];
        let (plain, clustered) = (roc(&trials, &at).unwrap(), roc_over_clusters(&trials, &at, 1).unwrap());
        assert!(plain.iter().zip(&clustered).all(|(a, (b, band))| a == b && band.low <= b.tpr && b.tpr <= band.high));
        let order = sorted(&trials);
        let rates = weighted_rates(&order, &trials, &vec![1.0; trials.len()], &at).unwrap();
        assert!(rates.iter().zip(&plain).all(|(a, b)| (a - b.tpr).abs() < 1e-12), "{rates:?}");
        let rate = tpr_over_clusters(&trials, 0.01, 1).unwrap();
        assert!((rate.tpr - plain[0].tpr).abs() < 1e-12 && rate.false_positives == 12);
        assert!(matches!(tpr_over_clusters(&trials, 0.001, 1), Err(RocError::TooFewNegatives { needed: 10_000, .. })));
    }

    #[test]
    fn a_threshold_is_judged_on_speakers_that_it_was_not_chosen_on() {
        // Nothing to find: a threshold chosen on the same scores seems to find something nearly always.
        let (mut above, mut on_itself) = (0, 0);
        for seed in 0..100 {
            let mut s = Stream::new("null", seed);
            let one = |i: usize, s: &mut Stream| Trial {
                score: s.normal(),
                positive: i.is_multiple_of(2),
                cluster: format!("s{}", i % 10),
            };
            let trials: Vec<Trial> = (0..100).map(|i| one(i / 10, &mut s)).collect();
            above += u32::from(judge_across_clusters(&trials, seed).unwrap().balanced_accuracy > 0.5);
            let own = decide(&trials, best_threshold(&trials).unwrap()).unwrap();
            on_itself += u32::from(own.balanced_accuracy > 0.5);
        }
        // Bin(100, 0.5) exceeds 66 with probability below 1e-3.
        assert!(above <= 66, "{above}");
        assert!(on_itself > 95, "this test has no power: {on_itself}");
        // Φ(1/2) of both sides.
        let found = judge_across_clusters(&spoken(30, 0.0, 1), 1).unwrap();
        assert!((found.balanced_accuracy - 0.69).abs() < 0.05, "{found:?}");
        assert!(found.ci95.low < found.balanced_accuracy && found.balanced_accuracy < found.ci95.high);
        assert!(found.ppv[0].value < 0.1 && (found.ppv[2].value - 0.69).abs() < 0.06, "{found:?}");
    }

    #[test]
    fn one_speaker_cannot_be_both_chosen_on_and_judged() {
        assert_eq!(judge_across_clusters(&spoken(1, 0.0, 1), 1), Err(RocError::FewClusters { clusters: 1 }));
        let found = roc_over_clusters(&spoken(1, 0.0, 1), &[0.5], 1).unwrap();
        assert_eq!(found[0].1, found[0].0.pointwise);
    }
}
