//! M3, the calibrated loss ("Attack-R").
use super::evidence::{Evidence, loss};

/// Formula and paper.
pub(super) const CITATION: &str = "M3: score = mean_j loss(theta_j; x) - loss(theta_T; x) over models that did not train on x. Watson, Guo, Cormode, \
                                   Sablayrolles, \"On the Importance of Difficulty Calibration in Membership Inference Attacks\", ICLR 2022 \
                                   (arXiv:2111.08440); Ye et al., CCS 2022, Attack R";

/// Scores `[n]`.
pub fn reference(clips: &Evidence) -> Vec<f64> {
    let of = |(target, outside): (&f64, &Vec<f64>)| {
        outside.iter().map(|&phi| loss(phi)).sum::<f64>() / outside.len() as f64 - loss(*target)
    };
    clips.target.iter().zip(&clips.outside).map(of).collect()
}
