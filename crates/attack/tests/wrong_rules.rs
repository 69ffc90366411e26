//! Rules of published tools, written anew here and nowhere else: how often each reports a positive ε of a mechanism that releases nothing, beside
//! ours. `cargo test -p sottovoce-attack --test wrong_rules -- --nocapture` prints the rates.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs, reason = "tests")]
use sottovoce_attack::bound::{Bound, ClopperPearson, Experiment, Guesses, OneRun, Strategy, p_value};
use sottovoce_attack::stats::{binomial_cdf, clopper_pearson_upper};
use sottovoce_types::Delta;

mod draws;
use draws::Draws;

const ALPHA: f64 = 0.05;

/// The largest and the smallest count that a binomial law of `rate` gives with probability 0.999 each.
fn band(n: u64, rate: f64) -> (u64, u64) {
    let at = |p: f64| (0..=n).find(|&k| binomial_cdf(k, n, rate) >= p).unwrap();
    (at(0.001), at(0.999))
}

/// Privacy Meter's rule: guess the k₊ highest scores in and the k₋ lowest out, for all pairs of multiples of ⌊√m⌋, and report the best bound at α.
fn best_of_a_grid(e: &Experiment) -> bool {
    let m = e.scores().len();
    let mut order: Vec<usize> = (0..m).collect();
    order.sort_by(|&a, &b| e.scores()[b].total_cmp(&e.scores()[a]));
    let hits: Vec<u64> = order.iter().map(|&i| u64::from(e.included()[i])).collect();
    let (mut from_top, mut from_bottom) = (vec![0], vec![0]);
    for i in 0..m {
        from_top.push(from_top[i] + hits[i]);
        from_bottom.push(from_bottom[i] + 1 - hits[m - 1 - i]);
    }
    let step = m.isqrt();
    let mut pairs = 0;
    let mut positive = false;
    for highest in (0..=m).step_by(step) {
        for lowest in (step..=m - highest).step_by(step) {
            pairs += 1;
            let guesses = Guesses {
                canaries: m as u64,
                made: (highest + lowest) as u64,
                correct: from_top[highest] + from_bottom[lowest],
            };
            positive |= p_value(guesses, 0.0, 0.0) < ALPHA;
        }
    }
    assert_eq!(pairs, if m == 200 { 105 } else { 528 });
    positive
}

/// TF Privacy's rule: at every threshold, the ratio of the lower and the upper bound of two rates (α/2 each) in four directions, and report the best.
struct BestOfAllThresholds {
    upper: Vec<f64>,
    n: usize,
}

impl BestOfAllThresholds {
    fn new(n: usize) -> Self {
        Self { upper: (0..=n).map(|k| clopper_pearson_upper(k as u64, n as u64, ALPHA / 2.0)).collect(), n }
    }

    fn positive(&self, inside: &mut [f64], outside: &mut [f64]) -> bool {
        inside.sort_by(f64::total_cmp);
        outside.sort_by(f64::total_cmp);
        let above = |side: &[f64], t: f64| side.len() - side.partition_point(|&s| s < t);
        let lower = |k: usize| 1.0 - self.upper[self.n - k];
        let all: Vec<f64> = inside.iter().chain(outside.iter()).copied().collect();
        all.into_iter().any(|t| {
            let (hits, alarms) = (above(inside, t), above(outside, t));
            let (misses, passes) = (self.n - hits, self.n - alarms);
            [(hits, alarms), (alarms, hits), (passes, misses), (misses, passes)]
                .into_iter()
                .any(|(a, b)| lower(a) > self.upper[b])
        })
    }
}

#[test]
fn the_best_of_a_grid_of_guesses_cries_wolf_in_a_third_of_all_audits_and_ours_does_not() {
    let delta = Delta::new(1e-9).unwrap();
    for (m, repetitions, published) in [(200, 300, 0.29), (1000, 200, 0.48)] {
        let (mut theirs, mut ours) = (0, 0);
        for seed in 0..repetitions {
            let e = Draws::new(seed).gaussian(m, 0.0);
            theirs += u64::from(best_of_a_grid(&e));
            ours += u64::from(OneRun.rejects(&e, 0.0, delta, ALPHA, Strategy::Bonferroni).unwrap());
        }
        println!("m = {m}: best of a grid {theirs} of {repetitions} positive at epsilon 0, shared out {ours}");
        let (low, high) = band(repetitions, published);
        // The published rate is itself of 200 to 300 repetitions: as far again.
        let slack = (high - low) / 2;
        assert!(
            (low.saturating_sub(slack)..=high + slack).contains(&theirs),
            "{theirs} of {repetitions}, published {published}"
        );
        assert!(theirs > band(repetitions, ALPHA).1 && ours <= band(repetitions, ALPHA).1, "{theirs}, {ours}");
    }
}

#[test]
fn the_best_of_all_thresholds_cries_wolf_and_ours_does_not() {
    let delta = Delta::new(1e-9).unwrap();
    for (n, repetitions, published) in [(1000, 400, 0.13), (5000, 200, 0.175)] {
        let rule = BestOfAllThresholds::new(n);
        let (mut theirs, mut ours) = (0, 0);
        for seed in 0..repetitions {
            let mut draws = Draws::new(1000 + seed);
            let mut side = || -> Vec<f64> { (0..n).map(|_| draws.normal()).collect() };
            let (mut inside, mut outside) = (side(), side());
            theirs += u64::from(rule.positive(&mut inside, &mut outside));
            if n == 1000 {
                let e = draws.gaussian(2 * n, 0.0);
                ours += u64::from(ClopperPearson.rejects(&e, 0.0, delta, ALPHA, Strategy::Bonferroni).unwrap());
            }
        }
        println!("n = {n} a side: best of all thresholds {theirs} of {repetitions} positive at epsilon 0, ours {ours}");
        let (low, high) = band(repetitions, published);
        let slack = (high - low) / 2;
        assert!(
            (low.saturating_sub(slack)..=high + slack).contains(&theirs),
            "{theirs} of {repetitions}, published {published}"
        );
        assert!(theirs > band(repetitions, ALPHA).1 && ours <= band(repetitions, ALPHA).1, "{theirs}, {ours}");
    }
}
