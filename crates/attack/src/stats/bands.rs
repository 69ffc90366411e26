//! The ROC curve with 95 % bands.
use sottovoce_types::Interval;

use super::roc::{RocError, Trial, sorted, tie_start};
use super::{clopper_pearson, roc::checked};

/// One point of a ROC curve, at the largest threshold that lets no more than the asked share of negatives pass.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RocPoint {
    /// Scores from here on are called positive; infinite where nothing is.
    pub threshold: f64,
    /// False positives.
    pub false_positives: u64,
    /// True positives.
    pub true_positives: u64,
    /// False-positive rate.
    pub fpr: f64,
    /// True-positive rate.
    pub tpr: f64,
    /// Exact 95 % interval of the true-positive rate at this threshold (Clopper and Pearson 1934): right for one point that was
    /// named in advance.
    pub pointwise: Interval,
    /// Where the whole curve lies at this false-positive rate, with probability 0.95 for all points together: the empirical
    /// distributions of both sides are within √(ln(2/α)/2n) of the true ones everywhere (Dvoretzky, Kiefer, Wolfowitz 1956, with
    /// the constant of Massart 1990), α = 0.025 each. Right whatever point is looked at.
    pub simultaneous: Interval,
}

/// Points of the ROC curve at the false-positive rates `at`, each in [0, 1]. Both intervals hold for independent trials.
///
/// # Errors
/// [`RocError`] when a side is empty or a score is no number.
pub fn roc(trials: &[Trial], at: &[f64]) -> Result<Vec<RocPoint>, RocError> {
    checked(trials)?;
    let positives = trials.iter().filter(|t| t.positive).count() as u64;
    let negatives = trials.len() as u64 - positives;
    let steps = steps(trials);
    let reach = |n: u64| ((2.0f64 / 0.025).ln() / (2.0 * n as f64)).sqrt();
    let (of_positives, of_negatives) = (reach(positives), reach(negatives));
    // The last step that lets no more than this share of negatives pass.
    let last = |share: f64| {
        let allowed = (share.clamp(0.0, 1.0) * negatives as f64 + 1e-9).floor() as u64;
        steps[steps.partition_point(|s| s.1 <= allowed) - 1]
    };
    let rate = |true_positives: u64| true_positives as f64 / positives as f64;
    Ok(at
        .iter()
        .map(|&asked| {
            let (threshold, false_positives, true_positives) = last(asked);
            // The curve at x is the distribution of positives at a quantile of negatives that is only known to within
            // `of_negatives`.
            let low = if asked < of_negatives { 0.0 } else { rate(last(asked - of_negatives).2) - of_positives };
            let beyond = asked + of_negatives;
            let high = if beyond >= 1.0 { 1.0 } else { rate(next(&steps, beyond, negatives)) + of_positives };
            RocPoint {
                threshold,
                false_positives,
                true_positives,
                fpr: false_positives as f64 / negatives as f64,
                tpr: rate(true_positives),
                pointwise: clopper_pearson(true_positives, positives, 0.05),
                simultaneous: Interval { low: low.max(0.0), high: high.min(1.0) },
            }
        })
        .collect())
}

/// True positives at the first step whose share of negatives is `share` or more.
fn next(steps: &[(f64, u64, u64)], share: f64, negatives: u64) -> u64 {
    let at = steps.partition_point(|s| (s.1 as f64) < share * negatives as f64);
    steps[at.min(steps.len() - 1)].2
}

/// (threshold, false positives, true positives) from "nothing is positive" down, one group of ties at a time.
pub(super) fn steps(trials: &[Trial]) -> Vec<(f64, u64, u64)> {
    let order = sorted(trials);
    let mut steps = vec![(f64::INFINITY, 0, 0)];
    let (mut false_positives, mut true_positives) = (0u64, 0u64);
    let mut end = order.len();
    while end > 0 {
        let start = tie_start(&order, trials, end);
        for &i in &order[start..end] {
            if trials[i].positive {
                true_positives += 1;
            } else {
                false_positives += 1;
            }
        }
        steps.push((trials[order[start]].score, false_positives, true_positives));
        end = start;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use crate::stats::{normal_cdf, normal_quantile};

    fn trials(positive: &[f64], negative: &[f64]) -> Vec<Trial> {
        let make = |positive: bool| move |&score: &f64| Trial { score, positive, cluster: String::new() };
        positive.iter().map(make(true)).chain(negative.iter().map(make(false))).collect()
    }

    #[test]
    fn points_count_what_passes_and_cut_no_tie() {
        let found = roc(&trials(&[3.0, 2.0, 1.0, 0.0], &[2.0, 1.0, 0.5, 0.0]), &[0.0, 0.25, 0.5, 1.0]).unwrap();
        let counts: Vec<(u64, u64)> = found.iter().map(|p| (p.false_positives, p.true_positives)).collect();
        assert_eq!(counts, [(0, 1), (1, 2), (2, 3), (4, 4)]);
        assert_eq!((found[0].threshold, found[3].tpr), (3.0, 1.0));
        let all_tied = roc(&trials(&[1.0; 3], &[1.0; 3]), &[0.5]).unwrap();
        assert_eq!((all_tied[0].false_positives, all_tied[0].true_positives), (0, 0));
        assert!(roc(&trials(&[1.0], &[]), &[0.5]).is_err());
    }

    #[test]
    fn the_band_covers_the_whole_curve_and_pointwise_intervals_do_not() {
        // N(1, 1) against N(0, 1): the curve is Φ(1 + Φ⁻¹(x)).
        let at: Vec<f64> = (1..100).map(|i| f64::from(i) / 100.0).collect();
        let (mut whole, mut points) = (0, 0);
        for seed in 0..100 {
            let mut s = Stream::new("roc-band", seed);
            let mut draw = |shift: f64| -> Vec<f64> { (0..200).map(|_| shift + s.normal()).collect() };
            let (a, b) = (draw(1.0), draw(0.0));
            let found = roc(&trials(&a, &b), &at).unwrap();
            let truth = |x: f64| normal_cdf(1.0 + normal_quantile(x));
            let within = |p: &RocPoint, i: Interval, x: f64| i.low <= truth(x) && truth(x) <= i.high && p.tpr <= 1.0;
            whole += u64::from(found.iter().zip(&at).all(|(p, &x)| within(p, p.simultaneous, x)));
            points += u64::from(found.iter().zip(&at).all(|(p, &x)| within(p, p.pointwise, x)));
        }
        // Bin(100, 0.95) is below 87 with probability below 1e-3.
        assert!(whole >= 87, "{whole} of 100 curves covered");
        assert!(points < 60, "this test has no power: {points}");
    }
}
