//! Exact intervals on both error rates.
use sottovoce_types::Delta;

use super::threshold::{Rates, simultaneous};
use super::{Bound, BoundError, EpsilonLower, Experiment, Needs, SpeaksOf, Strategy, admit};

/// ε ≥ ln((1 − FNR − δ) / FPR), and the same with the two swapped, at the exact upper bounds of both rates (α/2 each). Both
/// inequalities are of one event, so the larger is free (Kairouz, Oh, Viswanath 2015, Theorem 2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClopperPearson;

impl Bound for ClopperPearson {
    fn name(&self) -> &'static str {
        "clopper-pearson"
    }

    fn citation(&self) -> &'static str {
        "Jagielski, Ullman, Oprea, \"Auditing Differentially Private Machine Learning\", NeurIPS 2020; Nasr et al., \"Adversary \
         Instantiation\", IEEE S&P 2021 (arXiv:2101.04535)"
    }

    fn needs(&self) -> Needs {
        Needs::IndependentTrials
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
        Ok(self.raw(experiment, delta, alpha, strategy)? > epsilon)
    }

    fn lower(
        &self,
        experiment: &Experiment,
        delta: Delta,
        alpha: f64,
        strategy: Strategy,
    ) -> Result<EpsilonLower, BoundError> {
        let epsilon = self.raw(experiment, delta, alpha, strategy)?.max(0.0);
        Ok(EpsilonLower { epsilon, mu: None, delta: delta.value(), alpha, kind: self.kind() })
    }
}

impl ClopperPearson {
    fn raw(self, experiment: &Experiment, delta: Delta, alpha: f64, strategy: Strategy) -> Result<f64, BoundError> {
        admit(&self, experiment, alpha)?;
        let worth = |r: Rates| {
            let of = |hit: f64, alarm: f64| if hit > 0.0 { (hit / alarm).ln() } else { f64::NEG_INFINITY };
            of(1.0 - r.fnr - delta.value(), r.fpr).max(of(1.0 - r.fpr - delta.value(), r.fnr))
        };
        let rates = simultaneous(self.name(), experiment, alpha, strategy, worth)?;
        Ok(rates.into_iter().map(worth).fold(f64::NEG_INFINITY, f64::max))
    }
}
