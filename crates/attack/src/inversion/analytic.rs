//! Analytic inversion of a first fully connected layer (R1), and the label of a single example (R2).
use crate::linear::{dot, norm};

/// What a first layer's update says of the inputs that made it.
#[derive(Clone, PartialEq, Debug)]
pub struct Analytic {
    /// Rank of [ΔW | Δb], at most the number of examples: ∇W = δᵀX. 1 for one example.
    pub rank: usize,
    /// Inputs, the most certain first.
    pub candidates: Vec<Candidate>,
}

/// An input, or a mixture of several.
#[derive(Clone, PartialEq, Debug)]
pub struct Candidate {
    /// ΔW_i / Δb_i, `[inputs]`.
    pub values: Vec<f64>,
    /// Units whose ratio it is. Two that agree were active for one and the same example, whose input it then is exactly; one alone may be a
    /// mixture, Σ δ_e·x_e / Σ δ_e.
    pub units: usize,
}

/// x = ∇W_i / ∇b_i for every unit i with ∇b_i ≠ 0: whatever the loss, learning rate or clipping factor, they cancel. `weight` is
/// `[units, inputs]`; `tolerance` is the relative size of what rounding leaves.
///
/// After Geiping, Bauermeister, Dröge & Moeller 2020 (arXiv:2003.14053), Proposition 3.1; rank after Dimitrov et al. 2024 (SPEAR,
/// arXiv:2403.03945), Theorem 3.1.
pub fn analytic(weight: &[f64], bias: &[f64], tolerance: f64) -> Analytic {
    let inputs = weight.len().checked_div(bias.len()).unwrap_or(0);
    let rows: Vec<Vec<f64>> =
        bias.iter().zip(weight.chunks_exact(inputs.max(1))).map(|(b, w)| [w, &[*b]].concat()).collect();
    let rank = rank(&rows, tolerance);
    let largest = bias.iter().fold(0.0f64, |m, b| m.max(b.abs()));
    let mut units: Vec<usize> = (0..bias.len()).filter(|&i| bias[i].abs() > tolerance * largest).collect();
    units.sort_by(|&a, &b| bias[b].abs().total_cmp(&bias[a].abs()));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &unit in &units {
        let ratio = |i: usize| rows[i][..inputs].iter().map(|w| w / rows[i][inputs]).collect::<Vec<f64>>();
        let own = ratio(unit);
        // How far a ratio may be off grows as its bias shrinks.
        let near = |other: &[f64], i: usize| {
            let apart: Vec<f64> = own.iter().zip(other).map(|(a, b)| a - b).collect();
            let slack = tolerance * (largest / rows[unit][inputs].abs() + largest / rows[i][inputs].abs());
            norm(&apart) <= slack * norm(other).max(1.0)
        };
        match groups.iter_mut().find(|g| rank == 1 || near(&ratio(g[0]), g[0])) {
            Some(group) => group.push(unit),
            None => groups.push(vec![unit]),
        }
    }
    // Of units that agree, the ratio that fits all of them best: min Σ_i ‖ΔW_i − Δb_i·x‖².
    let fitted = |group: &Vec<usize>| {
        let weight: f64 = group.iter().map(|&i| bias[i] * bias[i]).sum();
        let column = |j: usize| group.iter().map(|&i| bias[i] * rows[i][j]).sum::<f64>() / weight;
        Candidate { values: (0..inputs).map(column).collect(), units: group.len() }
    };
    groups.sort_by_key(|g| std::cmp::Reverse(g.len()));
    Analytic { rank, candidates: groups.iter().map(fitted).collect() }
}

/// Rank by Gram-Schmidt with pivoting: directions above `tolerance` of the largest row.
fn rank(rows: &[Vec<f64>], tolerance: f64) -> usize {
    let mut left: Vec<Vec<f64>> = rows.to_vec();
    let floor = tolerance * left.iter().map(|r| norm(r)).fold(0.0, f64::max);
    let mut found = 0;
    loop {
        let Some(longest) = left.iter().max_by(|a, b| norm(a).total_cmp(&norm(b))) else { return found };
        let length = norm(longest);
        if length <= floor || length.is_nan() || found == left.len() {
            return found;
        }
        let direction: Vec<f64> = longest.iter().map(|v| v / length).collect();
        for row in &mut left {
            let along = dot(row, &direction);
            for (v, d) in row.iter_mut().zip(&direction) {
                *v -= along * d;
            }
        }
        found += 1;
    }
}

/// The label of a single example from the update of the last layer's bias (R2): its gradient is p − y, whose only entry below 0 is the
/// label's (iDLG; Zhao, Mopuri & Bilen 2020, arXiv:2001.02610, Eq. 4), and the update goes downhill. `None` when no entry stands out.
pub fn label_of_one(bias_update: &[f64]) -> Option<u16> {
    let above: Vec<usize> = (0..bias_update.len()).filter(|&c| bias_update[c] > 0.0).collect();
    // Rounding may leave other entries a hair above 0.
    let top = above.into_iter().max_by(|&a, &b| bias_update[a].total_cmp(&bias_update[b]))?;
    u16::try_from(top).ok()
}

/// The labels of `n` examples: n_c ≈ n·(p̄_c + Δb_c / (η·steps)), dealt out by largest remainders.
pub fn labels_of_many(bias_update: &[f64], mean_prediction: &[f64], rate_times_steps: f64, n: usize) -> Vec<u16> {
    let share = |c: usize| (mean_prediction[c] + bias_update[c] / rate_times_steps).max(0.0);
    let total: f64 = (0..bias_update.len()).map(share).sum::<f64>().max(f64::MIN_POSITIVE);
    let wanted: Vec<f64> = (0..bias_update.len()).map(|c| n as f64 * share(c) / total).collect();
    let mut counts: Vec<usize> = wanted.iter().map(|w| w.floor() as usize).collect();
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[b].fract().total_cmp(&wanted[a].fract()));
    let missing = n - counts.iter().sum::<usize>().min(n);
    for &c in order.iter().cycle().take(missing) {
        counts[c] += 1;
    }
    (0u16..).zip(counts).flat_map(|(c, k)| std::iter::repeat_n(c, k)).take(n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ΔW = −η·Σ_e δ_e x_eᵀ for given δ `[units, examples]`.
    fn update(delta: &[Vec<f64>], x: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
        let row = |d: &Vec<f64>| {
            (0..x[0].len()).map(|j| -0.1 * d.iter().zip(x).map(|(d, x)| d * x[j]).sum::<f64>()).collect::<Vec<_>>()
        };
        (delta.iter().flat_map(row).collect(), delta.iter().map(|d| -0.1 * d.iter().sum::<f64>()).collect())
    }

    #[test]
    fn one_example_is_read_off_exactly_and_the_rank_says_that_it_is_one() {
        let x = vec![vec![0.3, -1.2, 2.0]];
        let (w, b) = update(&[vec![0.5], vec![0.0], vec![-0.2]], &x);
        let found = analytic(&w, &b, 1e-9);
        assert_eq!((found.rank, found.candidates.len(), found.candidates[0].units), (1, 1, 2));
        assert!(found.candidates[0].values.iter().zip(&x[0]).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn units_that_agree_were_active_for_one_example_and_the_others_are_mixtures() {
        let x = vec![vec![1.0, 0.0, 0.5], vec![0.0, 2.0, -1.0]];
        // Two units see the first example alone, two the second, one both.
        let delta = [vec![0.5, 0.0], vec![-0.3, 0.0], vec![0.0, 0.4], vec![0.0, 0.1], vec![0.2, 0.3]];
        let (w, b) = update(&delta, &x);
        let found = analytic(&w, &b, 1e-9);
        assert_eq!(found.rank, 2);
        let exact: Vec<&Candidate> = found.candidates.iter().filter(|c| c.units == 2).collect();
        assert_eq!(exact.len(), 2);
        for x in &x {
            let hit = |c: &&Candidate| c.values.iter().zip(x).all(|(a, b)| (a - b).abs() < 1e-12);
            assert!(exact.iter().any(hit));
        }
        let mixture = found.candidates.iter().find(|c| c.units == 1).unwrap();
        assert!((mixture.values[0] - 0.4).abs() < 1e-12 && (mixture.values[1] - 1.2).abs() < 1e-12);
    }

    #[test]
    fn labels_come_out_of_the_last_bias() {
        assert_eq!(label_of_one(&[-0.02, 0.05, -0.03]), Some(1));
        assert_eq!(label_of_one(&[-0.02, 0.0, -0.03]), None);
        // Two of class 0, one of class 2, p uniform, η·steps = 0.1.
        let bias: Vec<f64> = [2.0, 0.0, 1.0].map(|n| -0.1 * (1.0 / 3.0 - n / 3.0)).to_vec();
        assert_eq!(labels_of_many(&bias, &[1.0 / 3.0; 3], 0.1, 3), [0, 0, 2]);
        assert_eq!(labels_of_many(&[0.0; 3], &[1.0 / 3.0; 3], 0.1, 4).len(), 4);
    }
}
