//! One training run, many canaries.
use sottovoce_types::Delta;
use statrs::function::factorial::ln_binomial;

use super::guesses::guesses;
use super::{Bound, BoundError, EpsilonLower, Experiment, Guesses, Needs, SpeaksOf, Strategy, admit, largest_rejected};
use crate::stats::binomial_cdf;

/// With q = e^ε/(1 + e^ε) and W ~ Bin(r, q): r guesses of which v are right reject (ε, δ) when
/// P\[W ≥ v\] + 2mδ·max_{1 ≤ i ≤ v} P\[v > W ≥ v − i\]/i < α.
///
/// It needs no independence between scores, so black-box scores of one ordinary training run will do, and pays for it: 1000
/// canaries of a mechanism with ε = 8 certify about 2.9.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OneRun;

/// The p-value of (ε, δ) against these guesses (Steinke, Nasr, Jagielski 2023, Theorem 5.2).
pub fn p_value(guesses: Guesses, epsilon: f64, delta: f64) -> f64 {
    let Guesses { canaries, made: r, correct: v } = guesses;
    if v == 0 {
        return 1.0;
    }
    // A guess is wrong with probability 1 − q = 1/(1 + e^ε), written so that it keeps its digits.
    let odds = (-epsilon).exp();
    let wrong = odds / (1.0 + odds);
    // P[W ≥ v] = P[r − W ≤ r − v], and r − W ~ Bin(r, 1 − q).
    let beta = binomial_cdf(r - v, r, wrong);
    if delta <= 0.0 {
        return beta;
    }
    // P[W = k] = C(r, k)·(1 + e^(−ε))^(−r)·e^(−ε(r − k)), and P[v > W ≥ v − i] adds up terms downwards from v − 1. Their running mean is largest where the terms, which rise to
    // the mode and then fall, come down to it.
    let probability = |k: u64| (ln_binomial(r, k) - r as f64 * odds.ln_1p() - (r - k) as f64 * epsilon).exp();
    let mut k = v - 1;
    let mut term = probability(k);
    let (mut sum, mut steepest) = (0.0, 0.0f64);
    for i in 1..=v {
        sum += term;
        let mean = sum / i as f64;
        if mean < steepest && term < mean && (k as f64) < r as f64 * (1.0 - wrong) {
            break;
        }
        steepest = steepest.max(mean);
        if k == 0 {
            break;
        }
        // P[W = k − 1] = P[W = k]·k/(r − k + 1)·(1 − q)/q.
        term = if term > 0.0 { term * k as f64 / (r - k + 1) as f64 * odds } else { probability(k - 1) };
        k -= 1;
    }
    (beta + 2.0 * canaries as f64 * delta * steepest).min(1.0)
}

impl Bound for OneRun {
    fn name(&self) -> &'static str {
        "one-run"
    }

    fn citation(&self) -> &'static str {
        "Steinke, Nasr, Jagielski, \"Privacy Auditing with One (1) Training Run\", NeurIPS 2023 (arXiv:2305.08846), Theorem 5.2"
    }

    fn needs(&self) -> Needs {
        Needs::Coins
    }

    fn speaks_of(&self) -> SpeaksOf {
        SpeaksOf::AnyMechanism
    }

    fn rejects(
        &self,
        experiment: &Experiment,
        epsilon: f64,
        delta: Delta,
        alpha: f64,
        strategy: Strategy,
    ) -> Result<bool, BoundError> {
        let all = self.guesses(experiment, delta, alpha, strategy)?;
        Ok(all.into_iter().any(|(g, share)| p_value(g, epsilon, delta.value()) < share))
    }

    fn lower(
        &self,
        experiment: &Experiment,
        delta: Delta,
        alpha: f64,
        strategy: Strategy,
    ) -> Result<EpsilonLower, BoundError> {
        let all = self.guesses(experiment, delta, alpha, strategy)?;
        let rejected = |e: f64| all.iter().any(|(g, share)| p_value(*g, e, delta.value()) < *share);
        Ok(EpsilonLower {
            epsilon: largest_rejected(rejected),
            mu: None,
            delta: delta.value(),
            alpha,
            kind: self.kind(),
        })
    }
}

impl OneRun {
    fn guesses(
        self,
        experiment: &Experiment,
        delta: Delta,
        alpha: f64,
        strategy: Strategy,
    ) -> Result<Vec<(Guesses, f64)>, BoundError> {
        admit(&self, experiment, alpha)?;
        let worth = |g: Guesses| largest_rejected(|e| p_value(g, e, delta.value()) < alpha);
        guesses(self.name(), experiment, alpha, strategy, worth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_and_its_steepest_mean_are_the_sums_of_terms() {
        for (r, v, e, delta) in [(20, 17, 0.7, 1e-3), (50, 30, 2.0, 1e-2), (10, 10, 1.0, 1e-4), (8, 1, 0.0, 1e-2)] {
            let g = Guesses { canaries: 60, made: r, correct: v };
            let q = 1.0 / (1.0 + f64::exp(-e));
            let term = |k: u64| (ln_binomial(r, k)).exp() * q.powf(k as f64) * (1.0 - q).powf((r - k) as f64);
            let beta: f64 = (v..=r).map(term).sum();
            let mean = |i: u64| (v - i..v).map(term).sum::<f64>() / i as f64;
            let alpha = (1..=v).map(mean).fold(0.0, f64::max);
            let expected = (beta + 2.0 * 60.0 * delta * alpha).min(1.0);
            assert!((p_value(g, e, delta) - expected).abs() < 1e-9, "{r} {v}: {expected}");
        }
    }
}
