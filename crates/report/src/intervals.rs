//! Means over runs with Student's t intervals that count what is independent.
//!
//! Folds test different speakers; seeds of one fold test the same ones and share a training set. So seeds are averaged within
//! their fold first, and the interval is over the folds' means. It is approximate: folds share training speakers, and no unbiased
//! estimate of the variance of their mean exists (Bengio & Grandvalet 2004, JMLR 5:1089).
use std::collections::BTreeMap;

use serde::Serialize;
use sottovoce_types::{Interval, SweepRow};

/// Confidence of every interval here.
const CONFIDENCE: f64 = 0.95;
/// Figures that agree to less are equal but for rounding: one clip more or less moves a UAR by far more.
const EQUAL: f64 = 1e-9;

/// What an interval counts as independent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// Folds: other speakers would give another result.
    Folds,
    /// Seeds of one fold: it covers the randomness of training alone, and says nothing about other speakers.
    Seeds,
}

/// A mean over runs.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Estimate {
    /// The mean over folds of the means over their seeds; NaN without a run.
    pub mean: f64,
    /// 95 % interval; `None` where there is one fold of one seed, and where all folds gave the same: that says how coarse the
    /// figure is (a model that always guesses one class has the UAR of guessing), and not how sure it is.
    pub ci95: Option<Interval>,
    /// What the interval is over.
    pub over: Over,
    /// Folds or seeds that it is over.
    pub independent: u32,
    /// Runs behind it.
    pub runs: u32,
}

impl Estimate {
    /// Of one figure of each row; rows without it do not count.
    pub(crate) fn of<'a>(
        rows: impl IntoIterator<Item = &'a SweepRow>,
        figure: impl Fn(&SweepRow) -> Option<f64>,
    ) -> Self {
        let values = rows.into_iter().filter_map(|row| Some((row.fold, row.seed, figure(row)?)));
        Self::over_folds(values)
    }

    /// Of `(fold, seed, value)`. Values of one fold and seed, as those of a centralised model that several cells trained, are one.
    pub fn over_folds(values: impl IntoIterator<Item = (Option<u32>, u64, f64)>) -> Self {
        let mut by_fold: BTreeMap<Option<u32>, BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
        for (fold, seed, value) in values {
            by_fold.entry(fold).or_default().entry(seed).or_default().push(value);
        }
        let seeds = |of: &BTreeMap<u64, Vec<f64>>| -> Vec<f64> { of.values().map(|v| mean(v)).collect() };
        let by_fold: Vec<Vec<f64>> = by_fold.values().map(seeds).collect();
        let runs = by_fold.iter().map(Vec::len).sum::<usize>() as u32;
        let (over, independent) = match by_fold.as_slice() {
            [] => (Over::Seeds, Vec::new()),
            [one] => (Over::Seeds, one.clone()),
            folds => (Over::Folds, folds.iter().map(|seeds| mean(seeds)).collect()),
        };
        let (mean, ci95) = t_interval(&independent);
        Self { mean, ci95, over, independent: independent.len() as u32, runs }
    }

    /// Of a quantity that cannot be below 0 or above 1: its interval ends there, which costs no coverage.
    pub(crate) fn of_a_fraction(self) -> Self {
        let ci95 = self.ci95.map(|ci| Interval { low: ci.low.max(0.0), high: ci.high.min(1.0) });
        Self { ci95, ..self }
    }

    /// The smallest distance from zero that the whole interval stays within: a difference of which this is the estimate is no
    /// larger, with the interval's confidence. `None` without an interval.
    pub fn within(&self) -> Option<f64> {
        self.ci95.map(|ci| ci.low.abs().max(ci.high.abs()))
    }
}

/// Mean of independent values, and Student's t interval for it: mean ± t(0.975, n − 1)·s/√n.
fn t_interval(values: &[f64]) -> (f64, Option<Interval>) {
    let (n, mean) = (values.len() as f64, mean(values));
    if values.len() < 2 {
        return (mean, None);
    }
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    if variance.sqrt() < EQUAL {
        return (mean, None);
    }
    let half = student_t(CONFIDENCE, values.len() as u32 - 1) * (variance / n).sqrt();
    (mean, Some(Interval { low: mean - half, high: mean + half }))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The t with P(|T| ≤ t) = `confidence` for `df` ≥ 1 degrees of freedom, by halving an interval around it.
fn student_t(confidence: f64, df: u32) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while central(high, df) < confidence {
        (low, high) = (high, high * 2.0);
    }
    // 2^-60 of the first interval is below the last digit of a double.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if central(middle, df) < confidence {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// P(|T| ≤ t) for whole degrees of freedom: a finite sum (Abramowitz & Stegun 1964, 26.7.3 for odd df and 26.7.4 for even).
fn central(t: f64, df: u32) -> f64 {
    let theta = (t / f64::from(df).sqrt()).atan();
    let (sin, cos) = theta.sin_cos();
    // Odd: 1, 2/3, 2·4/(3·5), ... times cos, cos³, ...; even: 1, 1/2, 1·3/(2·4), ... times 1, cos², ...
    let odd = df % 2 == 1;
    let (mut term, mut sum) = (if odd { cos } else { 1.0 }, 0.0);
    let first = if odd { 3 } else { 2 };
    for k in (first..=df).step_by(2) {
        sum += term;
        term *= cos * cos * f64::from(k - 1) / f64::from(k);
    }
    if odd { (theta + sin * sum) * std::f64::consts::FRAC_2_PI } else { sin * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, within: f64) {
        assert!((a - b).abs() <= within, "{a} and {b}");
    }

    #[test]
    fn t_quantiles_are_those_of_the_tables() {
        for (df, t) in [
            (1, 12.706_205),
            (2, 4.302_653),
            (3, 3.182_446),
            (4, 2.776_445),
            (5, 2.570_582),
            (9, 2.262_157),
            (30, 2.042_272),
        ] {
            close(student_t(0.95, df), t, 1e-6);
        }
        close(student_t(0.90, 4), 2.131_847, 1e-6);
    }

    #[test]
    fn t_quantiles_are_those_of_another_implementation() {
        use statrs::distribution::{ContinuousCDF as _, StudentsT};
        for df in (1..=60).chain([100, 999]) {
            let peer = StudentsT::new(0.0, 1.0, f64::from(df)).unwrap();
            for confidence in [0.5, 0.9, 0.95, 0.99] {
                let t = student_t(confidence, df);
                close(1.0 - 2.0 * peer.sf(t), confidence, 1e-9);
            }
        }
    }

    /// Three folds of three seeds: fold means 0.50, 0.60, 0.70, so the mean is 0.60, s = 0.10, and the interval
    /// 0.60 ± 4.302653 × 0.10 / √3 = 0.60 ± 0.248414.
    const RUNS: [(Option<u32>, u64, f64); 9] = [
        (Some(1), 1, 0.49),
        (Some(1), 2, 0.50),
        (Some(1), 3, 0.51),
        (Some(2), 1, 0.59),
        (Some(2), 2, 0.60),
        (Some(2), 3, 0.61),
        (Some(3), 1, 0.69),
        (Some(3), 2, 0.70),
        (Some(3), 3, 0.71),
    ];

    #[test]
    fn the_interval_is_over_folds_after_averaging_their_seeds() {
        let estimate = Estimate::over_folds(RUNS);
        let ci = estimate.ci95.unwrap();
        close(estimate.mean, 0.60, 1e-12);
        close(ci.low, 0.60 - 0.248_414, 1e-6);
        close(ci.high, 0.60 + 0.248_414, 1e-6);
        assert_eq!((estimate.over, estimate.independent, estimate.runs), (Over::Folds, 3, 9));
        close(estimate.within().unwrap(), 0.848_414, 1e-6);
    }

    /// The slip: nine runs taken for nine independent ones.
    fn all_runs_independent(values: &[(Option<u32>, u64, f64)]) -> Interval {
        let values: Vec<f64> = values.iter().map(|(_, _, v)| *v).collect();
        t_interval(&values).1.unwrap()
    }

    #[test]
    fn runs_taken_for_independent_give_an_interval_too_narrow_where_seeds_of_a_fold_agree() {
        let (right, wrong) = (Estimate::over_folds(RUNS).ci95.unwrap(), all_runs_independent(&RUNS));
        // s² = 0.0606/8, t(0.975, 8) = 2.306004.
        close(wrong.high - wrong.low, 2.0 * 2.306_004 * (0.0606f64 / 8.0 / 9.0).sqrt(), 1e-6);
        assert!((wrong.high - wrong.low) * 3.0 < right.high - right.low);
    }

    /// Draws that look normal: sums of twelve uniforms of a linear congruential generator (Knuth's MMIX constants).
    struct Draws(u64);

    impl Draws {
        fn normal(&mut self) -> f64 {
            let mut uniform = || {
                self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (self.0 >> 11) as f64 / (1u64 << 53) as f64
            };
            (0..12).map(|_| uniform()).sum::<f64>() - 6.0
        }
    }

    #[test]
    fn intervals_over_folds_cover_the_truth_as_often_as_they_say_and_the_slip_does_not() {
        let mut draws = Draws(1);
        let (mut right, mut wrong) = (0, 0);
        for _ in 0..2000 {
            let mut runs = Vec::new();
            for fold in 1..=5 {
                let of_fold = draws.normal();
                runs.extend((1..=4).map(|seed| (Some(fold), seed, of_fold + 0.3 * draws.normal())));
            }
            let holds = |ci: Interval| ci.low <= 0.0 && 0.0 <= ci.high;
            right += u32::from(holds(Estimate::over_folds(runs.clone()).ci95.unwrap()));
            wrong += u32::from(holds(all_runs_independent(&runs)));
        }
        // 1900 expected, with a standard deviation of 10.
        assert!((1860..=1940).contains(&right), "{right} of 2000 cover");
        assert!(wrong < 1500, "{wrong} of 2000 cover where all runs are taken for independent");
    }

    #[test]
    fn one_fold_gives_an_interval_over_seeds_and_says_so() {
        let estimate = Estimate::over_folds([(Some(2), 1, 0.4), (Some(2), 2, 0.6)]);
        assert_eq!((estimate.over, estimate.independent), (Over::Seeds, 2));
        // s/√2 = 0.1, t(0.975, 1) = 12.706205.
        close(estimate.ci95.unwrap().high, 0.5 + 1.270_620_5, 1e-6);
        let one = Estimate::over_folds([(None, 1, 0.4)]);
        assert_eq!((one.ci95, one.within(), one.independent), (None, None, 1));
        let none = Estimate::over_folds([]);
        assert!(none.mean.is_nan() && none.ci95.is_none() && none.runs == 0);
    }

    #[test]
    fn folds_that_all_give_the_same_give_no_interval_rather_than_one_without_width() {
        let estimate = Estimate::over_folds([(Some(1), 1, 0.1 + 0.1), (Some(2), 1, 0.2), (Some(3), 1, 0.3 - 0.1)]);
        assert_eq!((estimate.ci95, estimate.within(), estimate.independent), (None, None, 3));
        assert!(Estimate::over_folds([(Some(1), 1, 0.2), (Some(2), 1, 0.2001)]).ci95.is_some());
    }

    #[test]
    fn an_interval_of_a_fraction_ends_where_fractions_end() {
        let ci = Estimate::over_folds([(Some(1), 1, 0.1), (Some(2), 1, 0.9)]).of_a_fraction().ci95.unwrap();
        assert_eq!((ci.low.to_bits(), ci.high.to_bits()), (0.0f64.to_bits(), 1.0f64.to_bits()));
    }

    #[test]
    fn what_several_cells_found_of_one_fold_and_seed_counts_once() {
        let twice = RUNS.into_iter().chain(RUNS).chain([RUNS[0]]);
        let (once, twice) = (Estimate::over_folds(RUNS), Estimate::over_folds(twice));
        close(once.mean, twice.mean, 1e-12);
        close(once.ci95.unwrap().low, twice.ci95.unwrap().low, 1e-12);
        assert_eq!(twice.runs, 9);
    }

    #[test]
    fn a_fold_with_fewer_seeds_weighs_as_much_as_any_other() {
        let estimate = Estimate::over_folds([(Some(1), 1, 0.2), (Some(1), 2, 0.2), (Some(2), 1, 0.8)]);
        close(estimate.mean, 0.5, 1e-12);
        assert_eq!(estimate.runs, 3);
    }
}
