//! Upper bounds on both error rates at one threshold, or at all of them at once.
use super::{BoundError, Experiment, Strategy};
use crate::random::Stream;
use crate::stats::clopper_pearson_upper;

/// Errors of a membership test whose threshold was fixed in advance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ErrorCounts {
    /// Canaries that were in.
    pub included: u64,
    /// Of those, how many were called out (false negatives).
    pub missed: u64,
    /// Canaries that were out.
    pub excluded: u64,
    /// Of those, how many were called in (false positives).
    pub false_alarms: u64,
}

impl ErrorCounts {
    /// Errors of the test "in, when the score is `threshold` or more".
    pub fn at(experiment: &Experiment, threshold: f64) -> Self {
        let mut counts = Self::default();
        for (&inside, &score) in experiment.included().iter().zip(experiment.scores()) {
            if inside {
                counts.included += 1;
                counts.missed += u64::from(score < threshold);
            } else {
                counts.excluded += 1;
                counts.false_alarms += u64::from(score >= threshold);
            }
        }
        counts
    }
}

/// Upper bounds on the two error rates of one test.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Rates {
    /// On the rate of false alarms.
    pub(super) fpr: f64,
    /// On the rate of misses.
    pub(super) fnr: f64,
}

/// Both rates of a test fixed in advance, at one-sided level α/2 each (Clopper and Pearson 1934).
pub(super) fn rates(counts: ErrorCounts, alpha: f64) -> Rates {
    Rates {
        fpr: clopper_pearson_upper(counts.false_alarms, counts.excluded, alpha / 2.0),
        fnr: clopper_pearson_upper(counts.missed, counts.included, alpha / 2.0),
    }
}

/// Rates that all hold together with probability 1 − `alpha`. `worth` ranks thresholds where one is chosen on a part of the
/// canaries. `bound` names the caller in errors.
///
/// Under [`Strategy::Bonferroni`] they are rates at *every* threshold, chosen on the data or not: of n canaries on one side let
/// U(k) be the Clopper-Pearson bound at level a. Some threshold with k or fewer errors has a true rate above U(k) exactly
/// when the (k + 1)-th order statistic of that side lies beyond the U(k)-quantile, which has probability a. So k is
/// rounded up to one of a fixed grid of ranks, and α/2 a side is shared out among the ranks, not among the thresholds.
pub(super) fn simultaneous(
    bound: &'static str,
    experiment: &Experiment,
    alpha: f64,
    strategy: Strategy,
    worth: impl Fn(Rates) -> f64,
) -> Result<Vec<Rates>, BoundError> {
    match strategy {
        Strategy::Explicit(threshold) => Ok(vec![rates(ErrorCounts::at(experiment, threshold), alpha)]),
        Strategy::Split { fraction, seed } => {
            let (choosing, judged) = split(experiment, fraction, seed)?;
            let threshold = best_threshold(&choosing, alpha, worth);
            Ok(vec![rates(ErrorCounts::at(&judged, threshold), alpha)])
        }
        Strategy::Bonferroni => Ok(at_every_threshold(experiment, alpha)),
        Strategy::Guesses { .. } => Err(BoundError::Strategy {
            bound,
            strategy: strategy.name(),
            mend: "it judges a threshold; give one, split, or share alpha out",
        }),
    }
}

/// A share of the canaries to choose on, by lot and without regard to who was in, and the others.
pub(super) fn split(experiment: &Experiment, fraction: f64, seed: u64) -> Result<(Experiment, Experiment), BoundError> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(BoundError::OutOfRange { what: "the share to choose on", range: "in (0, 1)", value: fraction });
    }
    let canaries = experiment.scores().len();
    let mut order: Vec<usize> = (0..canaries).collect();
    Stream::new("split-canaries", seed).shuffle(&mut order);
    let cut = ((canaries as f64 * fraction).round() as usize).clamp(1, canaries - 1);
    Ok((experiment.part(&order[..cut]), experiment.part(&order[cut..])))
}

/// Counts at every distinct score as the threshold, from the highest down.
fn counts_at_every_threshold(experiment: &Experiment) -> Vec<(f64, ErrorCounts)> {
    let mut order: Vec<usize> = (0..experiment.scores().len()).collect();
    order.sort_by(|&a, &b| experiment.scores()[b].total_cmp(&experiment.scores()[a]));
    let mut counts = ErrorCounts::at(experiment, f64::INFINITY);
    let mut out = Vec::new();
    for (place, &i) in order.iter().enumerate() {
        if experiment.included()[i] {
            counts.missed -= 1;
        } else {
            counts.false_alarms += 1;
        }
        let score = experiment.scores()[i];
        // A threshold cannot cut a tie.
        if order.get(place + 1).is_none_or(|&next| experiment.scores()[next] < score) {
            out.push((score, counts));
        }
    }
    out
}

/// The threshold that is worth most on these canaries; the middle of their scores where none is worth anything.
fn best_threshold(experiment: &Experiment, alpha: f64, worth: impl Fn(Rates) -> f64) -> f64 {
    let all = counts_at_every_threshold(experiment);
    let mut best = (f64::NEG_INFINITY, all.get(all.len() / 2).map_or(0.0, |(score, _)| *score));
    let table = |errors: &mut dyn Iterator<Item = (u64, u64)>| -> Vec<f64> {
        errors.map(|(k, n)| clopper_pearson_upper(k, n, alpha / 2.0)).collect()
    };
    let Some((_, counts)) = all.first() else { return best.1 };
    let (n_in, n_out) = (counts.included, counts.excluded);
    let fnr = table(&mut (0..=n_in).map(|k| (k, n_in)));
    let fpr = table(&mut (0..=n_out).map(|k| (k, n_out)));
    for (threshold, counts) in &all {
        let value = worth(Rates { fpr: fpr[counts.false_alarms as usize], fnr: fnr[counts.missed as usize] });
        if value > best.0 {
            best = (value, *threshold);
        }
    }
    best.1
}

fn at_every_threshold(experiment: &Experiment, alpha: f64) -> Vec<Rates> {
    let all = counts_at_every_threshold(experiment);
    let Some((_, counts)) = all.first() else { return Vec::new() };
    let side = |n: u64| -> Vec<(u64, f64)> {
        let ranks = ranks(n);
        let level = alpha / 2.0 / ranks.len().max(1) as f64;
        ranks.iter().map(|&k| (k, clopper_pearson_upper(k, n, level))).collect()
    };
    let (fnr, fpr) = (side(counts.included), side(counts.excluded));
    let upper = |side: &[(u64, f64)], errors: u64| {
        side.get(side.partition_point(|(rank, _)| *rank < errors)).map_or(1.0, |(_, bound)| *bound)
    };
    all.iter().map(|(_, c)| Rates { fpr: upper(&fpr, c.false_alarms), fnr: upper(&fnr, c.missed) }).collect()
}

/// Error counts below n at which rates are bounded: every one up to 4, then a quarter more each time.
fn ranks(n: u64) -> Vec<u64> {
    let mut ranks = Vec::new();
    let mut k = 0;
    while k < n {
        ranks.push(k);
        k += (k / 4).max(1);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::Design;

    fn experiment(inside: &[f64], outside: &[f64]) -> Experiment {
        let included = inside.iter().map(|_| true).chain(outside.iter().map(|_| false)).collect();
        let scores = inside.iter().chain(outside).copied().collect();
        Experiment::new(included, scores, Design::IndependentTrials).unwrap()
    }

    #[test]
    fn counts_at_every_threshold_are_counts_at_each() {
        let e = experiment(&[3.0, 2.0, 2.0, 0.0], &[2.0, 1.0, 0.0]);
        let all = counts_at_every_threshold(&e);
        assert_eq!(all.iter().map(|(t, _)| *t).collect::<Vec<_>>(), [3.0, 2.0, 1.0, 0.0]);
        for (threshold, counts) in all {
            assert_eq!(counts, ErrorCounts::at(&e, threshold), "{threshold}");
        }
    }

    #[test]
    fn rates_at_every_threshold_hold_together_as_often_as_they_say() {
        // Uniform scores on both sides: the true rates at threshold t are t and 1 − t. α = 0.1; the wrong input is the bound
        // without its share: every threshold at α/2 a side.
        let (mut broken, mut naive) = (0, 0);
        for seed in 0..300 {
            let mut s = Stream::new("simultaneous", seed);
            let scores: Vec<f64> = (0..200).map(|_| s.uniform()).collect();
            let e = experiment(&scores[..100], &scores[100..]);
            let all = counts_at_every_threshold(&e);
            let bounds = at_every_threshold(&e, 0.1);
            // The largest true rates of tests with these counts: just above this score the misses are all scores up to it.
            let wrong = |r: Rates, t: f64| r.fnr < t - 1e-12 || r.fpr < 1.0 - t - 1e-12;
            broken += u64::from(all.iter().zip(&bounds).any(|((t, _), r)| wrong(*r, *t)));
            naive += u64::from(all.iter().any(|(t, c)| wrong(rates(*c, 0.1), *t)));
        }
        // Bin(300, 0.1) exceeds 48 with probability below 1e-3.
        assert!(broken <= 48, "{broken} of 300");
        assert!(naive > 100, "no power: {naive}");
    }

    #[test]
    fn ranks_start_with_every_count_and_thin_out() {
        assert_eq!(ranks(13), [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12]);
        assert!(ranks(0).is_empty() && ranks(2500).len() < 40);
    }

    #[test]
    fn a_split_puts_every_canary_on_one_side() {
        let scores: Vec<f64> = (0..50).map(f64::from).collect();
        let e = experiment(&scores[..25], &scores[25..]);
        let (a, b) = split(&e, 0.4, 3).unwrap();
        let mut together: Vec<f64> = a.scores().iter().chain(b.scores()).copied().collect();
        together.sort_by(f64::total_cmp);
        assert_eq!((a.scores().len(), together), (20, scores));
        assert!(split(&e, 1.0, 3).is_err());
    }
}
