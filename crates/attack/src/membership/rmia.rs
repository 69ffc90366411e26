//! M6, the relative attack.
use super::evidence::{Evidence, View, probability};
use crate::stats::{Trial, auc};

/// Formula and paper.
pub(super) const CITATION: &str = "M6: P_z[r(x) / r(z) >= gamma], r(x) = p(x) / p_bar(x), p_bar = ((1 + a) mean_out p + (1 - a)) / 2, gamma = 2, a tuned on a \
                                   shadow that is no reference. Zarifzadeh, Liu, Shokri, \"Low-Cost High-Power Membership Inference Attacks\", ICML 2024, offline (arXiv:2312.03262)";

/// γ.
pub const GAMMA: f64 = 2.0;

/// r(x) = p(x) / p̄(x), `[n]`.
pub fn ratios(clips: &Evidence, a: f64) -> Vec<f64> {
    let of = |(&target, outside): (&f64, &Vec<f64>)| {
        let mean = outside.iter().map(|&phi| probability(phi)).sum::<f64>() / outside.len() as f64;
        probability(target) / (0.5 * ((1.0 + a) * mean + (1.0 - a))).max(1e-300)
    };
    clips.target.iter().zip(&clips.outside).map(of).collect()
}

/// Scores `[n]`: the share of public clips z with r(x) ≥ γ·r(z).
pub fn rmia(clips: &Evidence, population: &Evidence, a: f64, gamma: f64) -> Vec<f64> {
    let mut public = ratios(population, a);
    public.sort_by(f64::total_cmp);
    let of = |r: f64| public.partition_point(|z| gamma * z <= r) as f64 / public.len().max(1) as f64;
    ratios(clips, a).into_iter().map(of).collect()
}

/// The a of 0, 0.1, … 1 with the largest area on the shadow that the attack rehearses on; the smallest of several.
///
/// Not on the shadow whose memberships are the complement of the target's: that would tell the attack the truth.
pub fn tuned(view: &View) -> f64 {
    let shadow = &view.rehearsal;
    let area = |a: f64| {
        let scores = rmia(&shadow.clips, &shadow.population, a, GAMMA);
        let trial = |(score, positive): (f64, &bool)| Trial { score, positive: *positive, cluster: String::new() };
        let trials: Vec<Trial> = scores.into_iter().zip(&shadow.member).map(trial).collect();
        auc(&trials).unwrap_or(0.5)
    };
    let grid = (0..=10).map(|k| f64::from(k) / 10.0);
    grid.map(|a| (a, area(a))).reduce(|best, next| if next.1 > best.1 { next } else { best }).map_or(0.0, |(a, _)| a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn some(n: usize, stream: &mut Stream) -> Evidence {
        let target = (0..n).map(|_| 2.0 * stream.normal()).collect();
        let outside = (0..n).map(|_| (0..4).map(|_| stream.normal()).collect()).collect();
        Evidence { target, inside: vec![Vec::new(); n], outside }
    }

    fn area(scores: &[f64], member: &[bool]) -> f64 {
        let trials: Vec<Trial> = scores
            .iter()
            .zip(member)
            .map(|(&score, &positive)| Trial { score, positive, cluster: String::new() })
            .collect();
        auc(&trials).unwrap()
    }

    #[test]
    fn on_one_target_the_public_clips_leave_the_roc_curve_as_it_is() {
        let mut stream = Stream::new("rmia", 1);
        let clips = some(60, &mut stream);
        let member: Vec<bool> = (0..60).map(|_| stream.coin()).collect();
        let r = ratios(&clips, 0.3);
        // Any population ranks no two clips against r(x): the score is a step function of it that never falls.
        let scores = rmia(&clips, &some(25, &mut stream), 0.3, GAMMA);
        for i in 0..60 {
            assert!((0..60).all(|j| scores[i] <= scores[j] || r[i] > r[j]));
        }
        // One with a step between any two clips ranks as r(x) alone does. Under γ = 1 the clips themselves are one.
        let dense = rmia(&clips, &clips, 0.3, 1.0);
        assert!((area(&dense, &member) - area(&r, &member)).abs() < 1e-12);
    }

    #[test]
    fn over_several_targets_the_public_clips_do_matter() {
        // One target is sure of everything, another of nothing: r alone takes all clips of the former for members.
        let evidence = |target: Vec<f64>| {
            let n = target.len();
            Evidence { target, inside: vec![Vec::new(); n], outside: vec![vec![0.0, 0.1]; n] }
        };
        let (sure, unsure) = (evidence(vec![6.0, 4.0]), evidence(vec![-1.0, -3.0]));
        let public = |at: f64| evidence(vec![at]);
        let member = [true, false, true, false];
        let r: Vec<f64> = [&sure, &unsure].into_iter().flat_map(|e| ratios(e, 1.0)).collect();
        let scores: Vec<f64> = [(&sure, public(5.0)), (&unsure, public(-2.0))]
            .into_iter()
            .flat_map(|(e, z)| rmia(e, &z, 1.0, 1.0))
            .collect();
        assert!(area(&scores, &member) > area(&r, &member), "{scores:?} {r:?}");
    }
}
