//! What a threshold is worth to an attacker who must decide.
use sottovoce_types::Interval;

use super::clopper_pearson;
use super::roc::{RocError, Trial, checked};

/// Decisions at a threshold that was fixed in advance.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Decision {
    /// True-positive rate.
    pub tpr: f64,
    /// False-positive rate.
    pub fpr: f64,
    /// (TPR + 1 − FPR)/2; 0.5 is guessing.
    pub balanced_accuracy: f64,
    /// 95 % interval of it: from exact intervals of both rates at 97.5 %, so that it holds for independent trials and no
    /// normal law is assumed.
    pub ci95: Interval,
    tpr_in: Interval,
    fpr_in: Interval,
}

/// The probability that a unit which is called a member is one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ppv {
    /// How likely a unit is a member before the attack.
    pub prior: f64,
    /// Positive predictive value; NaN never: it is `prior` where nothing is called a member.
    pub value: f64,
    /// 95 % interval.
    pub ci95: Interval,
}

/// Priors at which [`Decision::ppv`] is reported: an attack that is right on a balanced set may be wrong nearly always on a population.
pub const PRIORS: [f64; 3] = [0.01, 0.1, 0.5];

/// What "positive, when the score is `threshold` or more" gets right. The threshold must not come from these trials.
///
/// # Errors
/// [`RocError`] when a side is empty or a score is no number.
pub fn decide(trials: &[Trial], threshold: f64) -> Result<Decision, RocError> {
    checked(trials)?;
    let count = |positive: bool| {
        let side = trials.iter().filter(|t| t.positive == positive);
        let called = side.clone().filter(|t| t.score >= threshold).count() as u64;
        (called, side.count() as u64)
    };
    let ((hits, positives), (alarms, negatives)) = (count(true), count(false));
    // Both hold together with probability 0.95.
    let (tpr_in, fpr_in) = (clopper_pearson(hits, positives, 0.025), clopper_pearson(alarms, negatives, 0.025));
    let (tpr, fpr) = (hits as f64 / positives as f64, alarms as f64 / negatives as f64);
    let balanced = |tpr: f64, fpr: f64| 0.5 * (tpr + 1.0 - fpr);
    Ok(Decision {
        tpr,
        fpr,
        balanced_accuracy: balanced(tpr, fpr),
        ci95: Interval { low: balanced(tpr_in.low, fpr_in.high), high: balanced(tpr_in.high, fpr_in.low) },
        tpr_in,
        fpr_in,
    })
}

impl Decision {
    /// The positive predictive value where a share `prior` of all units are members.
    pub fn ppv(&self, prior: f64) -> Ppv {
        let of = |tpr, fpr| Self::ppv_of(tpr, fpr, prior);
        let ci95 = Interval { low: of(self.tpr_in.low, self.fpr_in.high), high: of(self.tpr_in.high, self.fpr_in.low) };
        Ppv { prior, value: of(self.tpr, self.fpr), ci95 }
    }

    /// The predictive value of these rates: `prior` where nothing is called a member.
    pub(super) fn ppv_of(tpr: f64, fpr: f64, prior: f64) -> f64 {
        let called = prior * tpr + (1.0 - prior) * fpr;
        if called > 0.0 { prior * tpr / called } else { prior }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(hits: u32, positives: u32, alarms: u32, negatives: u32) -> Vec<Trial> {
        let side = |positive: bool, called: u32, all: u32| {
            (0..all).map(move |i| Trial { score: f64::from(u8::from(i < called)), positive, cluster: String::new() })
        };
        side(true, hits, positives).chain(side(false, alarms, negatives)).collect()
    }

    #[test]
    fn rates_and_values_are_those_of_the_counts() {
        let d = decide(&trials(80, 100, 10, 200), 0.5).unwrap();
        assert!((d.balanced_accuracy - 0.875).abs() < 1e-12, "{d:?}");
        assert!(d.ci95.low < 0.875 && d.ci95.high > 0.875 && d.ci95.low > 0.78);
        // 0.01·0.8 / (0.01·0.8 + 0.99·0.05) = 0.1391: seven of eight accusations are false.
        let rare = d.ppv(0.01);
        assert!((rare.value - 0.139_130).abs() < 1e-5, "{rare:?}");
        assert!(rare.ci95.low < rare.value && rare.value < rare.ci95.high);
        assert!((d.ppv(0.5).value - 0.8 / 0.85).abs() < 1e-12);
    }

    #[test]
    fn who_accuses_nobody_is_left_with_the_prior_and_one_side_is_refused() {
        let d = decide(&trials(0, 10, 0, 10), 0.5).unwrap();
        assert!((d.ppv(0.1).value - 0.1).abs() < 1e-12);
        assert!(decide(&trials(1, 1, 0, 0), 0.5).is_err());
    }
}
