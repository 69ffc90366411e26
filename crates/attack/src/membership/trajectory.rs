//! M9, the slope over a federation's models: what a clip's score does while the model trains. No shadows.
use super::evidence::{loss, probability};

/// Formula and paper.
pub(super) const CITATION: &str = "M9: score = least-squares slope of the clip's signal over the released models. Chang, Edwards, Paul, \
                                   Shokri, \"Efficient Privacy Auditing in Federated Learning\", USENIX Security 2024 (FTA)";

/// What is followed over the rounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// φ.
    Logit,
    /// p of the true class.
    Confidence,
    /// −ℓ.
    Loss,
}

/// Scores `[n]` from φ of each released model, `[models][n]`; 0 for one model alone.
pub fn trajectory(phi: &[Vec<f64>], signal: Signal) -> Vec<f64> {
    let of = |phi: f64| match signal {
        Signal::Logit => phi,
        Signal::Confidence => probability(phi),
        Signal::Loss => -loss(phi),
    };
    let middle = (phi.len() as f64 - 1.0) / 2.0;
    let times: Vec<f64> = (0..phi.len()).map(|t| t as f64 - middle).collect();
    let squares = times.iter().map(|t| t * t).sum::<f64>().max(f64::MIN_POSITIVE);
    let clips = phi.first().map_or(0, Vec::len);
    (0..clips).map(|i| times.iter().zip(phi).map(|(t, row)| t * of(row[i])).sum::<f64>() / squares).collect()
}
