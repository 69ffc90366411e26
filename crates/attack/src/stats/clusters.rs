//! Means and unweighted average recall over speakers.
use std::collections::BTreeMap;

use sottovoce_types::Interval;
use statrs::distribution::{ContinuousCDF as _, StudentsT};

use crate::random::Stream;
use crate::stats::{RocError, Trial, normal_quantile};

/// Resamples of a bootstrap: as for areas under the curve.
const RESAMPLES: usize = 2000;

/// The unweighted average recall of guessing between two classes.
pub const UAR_CHANCE: f64 = 0.5;

/// The mean of values that belong to clusters, with its 95 % interval: the hull of a bootstrap over clusters and of Student's t over
/// the clusters' means. Of one cluster, from −∞ to ∞: it says nothing about how clusters differ.
pub fn mean_with_interval(values: &[f64], clusters: &[&str], seed: u64) -> (f64, Interval) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (value, cluster) in values.iter().zip(clusters) {
        let sum = sums.entry(cluster).or_default();
        *sum = (sum.0 + value, sum.1 + 1.0);
    }
    let sums: Vec<(f64, f64)> = sums.into_values().collect();
    let k = sums.len() as f64;
    if sums.len() < 2 {
        return (mean, Interval { low: f64::NEG_INFINITY, high: f64::INFINITY });
    }
    let means: Vec<f64> = sums.iter().map(|(sum, n)| sum / n).collect();
    let centre = means.iter().sum::<f64>() / k;
    let variance = means.iter().map(|m| (m - centre).powi(2)).sum::<f64>() / (k - 1.0);
    let t = StudentsT::new(0.0, 1.0, k - 1.0).map_or(normal_quantile(0.975), |t| t.inverse_cdf(0.975));
    let half = t * (variance / k).sqrt();
    let mut stream = Stream::new("bootstrap-mean", seed);
    let drawn: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let (sum, n) = (0..sums.len()).fold((0.0, 0.0), |(sum, n), _| {
                let (s, m) = sums[stream.below(sums.len())];
                (sum + s, n + m)
            });
            sum / n
        })
        .collect();
    let (low, high) = percentiles(drawn);
    (mean, Interval { low: low.min(mean - half), high: high.max(mean + half) })
}

/// The unweighted average recall of two classes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Uar {
    /// Mean of the two recalls; 0.5 is guessing.
    pub value: f64,
    /// 95 % interval.
    pub ci95: Interval,
    /// Clusters of the positive class, and of the other.
    pub clusters: (usize, usize),
}

/// UAR of guesses "positive" where the score is above 0, each cluster (speaker) counting once however often it was guessed at: the
/// mean over the two classes of their clusters' share of right guesses.
///
/// The interval is the hull of a bootstrap over the clusters of each class and of Wilson's interval (1927) for each recall with the
/// *clusters* as trials, joined by the method of variance estimates recovery (Zou & Donner 2008): a bootstrap of clusters that were
/// all guessed right would be a point.
///
/// # Errors
/// [`RocError`] when a class has no trial, or a score is no number.
pub fn uar_with_interval(trials: &[Trial], seed: u64) -> Result<Uar, RocError> {
    if let Some(index) = trials.iter().position(|t| !t.score.is_finite()) {
        return Err(RocError::NotFinite { index });
    }
    let shares = |positive: bool| -> Vec<f64> {
        let mut by_cluster: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for t in trials.iter().filter(|t| t.positive == positive) {
            let (right, all) = by_cluster.entry(t.cluster.as_str()).or_default();
            // A score of exactly 0 decides nothing.
            let hit = if t.score == 0.0 { 0.5 } else { f64::from(u8::from((t.score > 0.0) == positive)) };
            *right += hit;
            *all += 1.0;
        }
        by_cluster.into_values().map(|(right, all)| right / all).collect()
    };
    let (yes, no) = (shares(true), shares(false));
    if yes.is_empty() || no.is_empty() {
        return Err(RocError::OneSided { positives: yes.len(), negatives: no.len() });
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (p, q) = (mean(&yes), mean(&no));
    let value = 0.5 * (p + q);
    let (of_p, of_q) = (wilson(p, yes.len()), wilson(q, no.len()));
    let below = 0.5 * (p - of_p.low).hypot(q - of_q.low);
    let above = 0.5 * (of_p.high - p).hypot(of_q.high - q);
    let mut stream = Stream::new("bootstrap-uar", seed);
    let mut again = |v: &[f64]| (0..v.len()).map(|_| v[stream.below(v.len())]).sum::<f64>() / v.len() as f64;
    let drawn = (0..RESAMPLES).map(|_| 0.5 * (again(&yes) + again(&no))).collect();
    let (low, high) = percentiles(drawn);
    let ci95 = Interval { low: low.min(value - below).max(0.0), high: high.max(value + above).min(1.0) };
    Ok(Uar { value, ci95, clusters: (yes.len(), no.len()) })
}

/// Wilson's score interval of a share `p` of `n` trials.
fn wilson(p: f64, n: usize) -> Interval {
    let (n, z) = (n as f64, normal_quantile(0.975));
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    Interval { low: centre - half, high: centre + half }
}

fn percentiles(mut drawn: Vec<f64>) -> (f64, f64) {
    drawn.sort_by(f64::total_cmp);
    let at = |q: f64| drawn[((drawn.len() - 1) as f64 * q).round() as usize];
    (at(0.025), at(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(score: f64, positive: bool, speaker: usize) -> Trial {
        Trial { score, positive, cluster: format!("s{speaker}") }
    }

    #[test]
    fn coverage_over_speakers_is_what_the_interval_promises() {
        // Speakers differ in how often they are guessed right; twelve of each class, five guesses each.
        let mut s = Stream::new("uar", 1);
        let (mut uar_misses, mut mean_misses) = (0, 0);
        for rep in 0..300 {
            let mut trials = Vec::new();
            let (mut values, mut clusters) = (Vec::new(), Vec::new());
            for speaker in 0..24 {
                let right = 0.4 + 0.5 * s.uniform();
                let name = format!("s{speaker}");
                let shift = s.normal();
                for _ in 0..5 {
                    let positive = speaker % 2 == 0;
                    let hit = s.uniform() < right;
                    trials.push(trial(if hit == positive { 1.0 } else { -1.0 }, positive, speaker));
                    values.push(shift + 0.2 * s.normal());
                    clusters.push(name.clone());
                }
            }
            let found = uar_with_interval(&trials, rep).unwrap();
            assert_eq!(found.clusters, (12, 12));
            uar_misses += u32::from(!(found.ci95.low..=found.ci95.high).contains(&0.65));
            let names: Vec<&str> = clusters.iter().map(String::as_str).collect();
            let (_, ci95) = mean_with_interval(&values, &names, rep);
            mean_misses += u32::from(!(ci95.low..=ci95.high).contains(&0.0));
        }
        // Bin(300, 0.05) exceeds 30 with probability below 1e-3.
        assert!(uar_misses <= 30 && mean_misses <= 30, "{uar_misses} and {mean_misses} of 300 missed");
    }

    #[test]
    fn few_speakers_that_were_all_guessed_right_leave_a_wide_interval() {
        let trials: Vec<Trial> = (0..4).map(|i| trial(if i % 2 == 0 { 1.0 } else { -1.0 }, i % 2 == 0, i)).collect();
        let found = uar_with_interval(&trials, 1).unwrap();
        assert!((found.value - 1.0).abs() < 1e-12 && found.ci95.low < 0.6, "{found:?}");
        // Clips of one speaker are no more trials than the speaker.
        let again: Vec<Trial> = trials.iter().cycle().take(400).cloned().collect();
        assert_eq!(uar_with_interval(&again, 1).unwrap(), found);
    }

    #[test]
    fn guessing_one_class_for_all_is_chance_and_a_class_without_trials_is_refused() {
        let trials: Vec<Trial> = (0..20).map(|i| trial(1.0, i < 15, i)).collect();
        assert!((uar_with_interval(&trials, 1).unwrap().value - UAR_CHANCE).abs() < 1e-12);
        assert!(matches!(uar_with_interval(&trials[..15], 1), Err(RocError::OneSided { .. })));
        let bad = [trial(f64::NAN, true, 0), trial(0.0, false, 1)];
        assert!(matches!(uar_with_interval(&bad, 1), Err(RocError::NotFinite { index: 0 })));
        let (_, one) = mean_with_interval(&[1.0, 2.0], &["a", "a"], 1);
        assert!(one.low.is_infinite() && one.high.is_infinite());
    }
}
