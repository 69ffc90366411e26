//! Ridge regression on few rows of many features, in its dual form, for features that will come with known noise.
//!
//! With m shadow updates and d parameters, m ≪ d, the solution lies in the span of the rows: w = Xᵀ(XXᵀ + λI)⁻¹y (Saunders, Gammerman &
//! Vovk 1998). It is exact on *all* parameters of a layer and costs m³; a random projection to fewer would only approximate it.
//!
//! Where what is asked about carries noise of variance r_j in feature j and the rows do not, the expected error of w is larger by
//! Σ_j r_j·w_j². Fitting with that term is fitting infinitely many noisy copies of every row (Bishop 1995, "Training with noise is
//! equivalent to Tikhonov regularization"): feature j is penalised by λ + W·r_j instead of λ, W being the sum of the rows' weights.

use crate::linear::{dot, solve_positive};

/// A linear score fitted to rows.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Ridge {
    weights: Vec<f64>,
    mean: Vec<f64>,
    /// The penalty that grouped cross-validation chose, relative to the mean squared length of a row.
    pub(super) penalty: f64,
    /// Expected weighted squared error on groups left out, per row.
    pub(super) error: f64,
}

/// Penalties tried, relative to the mean squared length of a row.
const PENALTIES: [f64; 8] = [1e-4, 1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Rows with what each should come to, and the variance of the noise in each feature of rows to come.
pub(super) struct Training<'a> {
    pub(super) rows: &'a [Vec<f64>],
    pub(super) positive: &'a [bool],
    /// Rows of one group (speaker) are left out together.
    pub(super) groups: &'a [usize],
    pub(super) noise: &'a [f64],
}

impl Training<'_> {
    /// Each class weighs as much as the other.
    fn weights(&self) -> Vec<f64> {
        let m = self.rows.len();
        let yes = self.positive.iter().filter(|p| **p).count();
        let weight = |&p: &bool| 0.5 * m as f64 / if p { yes } else { m - yes }.max(1) as f64;
        self.positive.iter().map(weight).collect()
    }

    /// The table under a penalty λ, and how each feature is shrunk: 1 / √(1 + W·r_j / λ).
    fn table(&self, lambda: f64) -> (Table, Vec<f64>) {
        let weight = self.weights();
        let total: f64 = weight.iter().sum();
        let shrink: Vec<f64> = self.noise.iter().map(|r| (1.0 + total * r / lambda).sqrt().recip()).collect();
        let rows: Vec<Vec<f64>> =
            self.rows.iter().map(|row| row.iter().zip(&shrink).map(|(v, s)| v * s).collect()).collect();
        let noise: Vec<f64> = self.noise.iter().zip(&shrink).map(|(r, s)| r * s * s).collect();
        let noisy = noise.iter().any(|r| *r > 0.0);
        let products = |by: Option<&[f64]>| -> Vec<Vec<f64>> {
            let scaled = |row: &Vec<f64>| match by {
                Some(by) => row.iter().zip(by).map(|(v, r)| v * r).collect(),
                None => row.clone(),
            };
            rows.iter().map(&scaled).map(|a| rows.iter().map(|b| dot(&a, b)).collect()).collect()
        };
        let table = Table {
            gram: products(None),
            noise: noisy.then(|| products(Some(&noise))),
            target: self.positive.iter().map(|&p| if p { 1.0 } else { -1.0 }).collect(),
            weight,
        };
        (table, shrink)
    }

    /// The mean squared length of a row from the mean of all.
    fn length(&self) -> f64 {
        let m = self.rows.len().max(1) as f64;
        let width = self.rows.first().map_or(0, Vec::len);
        let of_feature = |j: usize| {
            let mean = self.rows.iter().map(|r| r[j]).sum::<f64>() / m;
            self.rows.iter().map(|r| (r[j] - mean).powi(2)).sum::<f64>() / m
        };
        (0..width).map(of_feature).sum::<f64>().max(f64::MIN_POSITIVE)
    }
}

impl Ridge {
    /// Fits ±1 targets. The penalty is chosen by the expected squared error on groups left out, one at a time.
    pub(super) fn fit(training: &Training<'_>) -> Self {
        let Training { rows, groups, .. } = training;
        let (m, length) = (rows.len(), training.length());
        let mut names: Vec<usize> = groups.to_vec();
        names.sort_unstable();
        names.dedup();
        let quiet = training.noise.iter().all(|r| *r <= 0.0);
        let once = quiet.then(|| training.table(length));
        let error = |penalty: f64| -> f64 {
            let lambda = penalty * length;
            let own = if quiet { None } else { Some(training.table(lambda)) };
            let (table, _) = own.as_ref().or(once.as_ref()).expect("one of the two");
            let of_group = |&group: &usize| -> f64 {
                let (left, kept): (Vec<usize>, Vec<usize>) = (0..m).partition(|&i| groups[i] == group);
                table.error(&kept, &left, lambda)
            };
            names.iter().map(of_group).sum()
        };
        let errors: Vec<f64> = PENALTIES.iter().map(|&p| error(p)).collect();
        let best = (0..PENALTIES.len()).min_by(|&a, &b| errors[a].total_cmp(&errors[b])).unwrap_or(0);
        let lambda = PENALTIES[best] * length;
        let (table, shrink) = training.table(lambda);
        let all: Vec<usize> = (0..m).collect();
        let dual = table.solve(&all, lambda).unwrap_or_else(|| vec![0.0; m]);
        let total: f64 = table.weight.iter().sum();
        let column = |j: usize, by: &[f64]| rows.iter().zip(by).map(|(r, w)| w * r[j]).sum::<f64>();
        let mean: Vec<f64> = (0..shrink.len()).map(|j| column(j, &table.weight) / total).collect();
        let spare: f64 = dual.iter().sum();
        let weights = (0..shrink.len()).map(|j| shrink[j] * shrink[j] * (column(j, &dual) - spare * mean[j])).collect();
        Self { weights, mean, penalty: PENALTIES[best], error: errors[best] / m.max(1) as f64 }
    }

    /// Above 0 for the positive class.
    pub(super) fn score(&self, row: &[f64]) -> f64 {
        row.iter().zip(&self.mean).zip(&self.weights).map(|((v, m), w)| (v - m) * w).sum()
    }
}

/// Products of rows, and what each row should come to.
struct Table {
    /// x_i·x_j, not centred: who is left out must not be in the centre either, or a left-out row would be minus the sum of the others.
    gram: Vec<Vec<f64>>,
    /// Σ_k r_k·x_ik·x_jk; `None` without noise.
    noise: Option<Vec<Vec<f64>>>,
    target: Vec<f64>,
    weight: Vec<f64>,
}

impl Table {
    /// ⟨x_i − μ, x_j − μ⟩ for i in `of` and j in `kept`, μ being the weighted mean of the kept rows.
    fn centred(&self, products: &[Vec<f64>], of: &[usize], kept: &[usize]) -> Vec<Vec<f64>> {
        let total: f64 = kept.iter().map(|&l| self.weight[l]).sum();
        let towards = |i: usize| kept.iter().map(|&l| self.weight[l] * products[i][l]).sum::<f64>() / total;
        let of_kept: Vec<f64> = kept.iter().map(|&j| towards(j)).collect();
        let length = kept.iter().zip(&of_kept).map(|(&j, t)| self.weight[j] * t).sum::<f64>() / total;
        let row = |&i: &usize| {
            let own = towards(i);
            kept.iter().zip(&of_kept).map(|(&j, t)| products[i][j] - own - t + length).collect()
        };
        of.iter().map(row).collect()
    }

    /// α of (K + λ·W⁻¹)·α = y on the kept rows; `None` where it is not positive.
    fn solve(&self, kept: &[usize], lambda: f64) -> Option<Vec<f64>> {
        let mut k = self.centred(&self.gram, kept, kept);
        for (i, &place) in kept.iter().enumerate() {
            k[i][i] += lambda / self.weight[place];
        }
        solve_positive(&k, &kept.iter().map(|&i| self.target[i]).collect::<Vec<_>>())
    }

    /// Expected weighted squared error on rows left out, had they noise.
    fn error(&self, kept: &[usize], left: &[usize], lambda: f64) -> f64 {
        let Some(dual) = self.solve(kept, lambda) else { return f64::INFINITY };
        let scores = self.centred(&self.gram, left, kept);
        let of_noise = self.noise.as_ref().map_or(0.0, |noise| {
            let rows = self.centred(noise, kept, kept);
            rows.iter().zip(&dual).map(|(row, a)| a * dot(row, &dual)).sum::<f64>()
        });
        let one =
            |(&i, row): (&usize, &Vec<f64>)| self.weight[i] * ((dot(row, &dual) - self.target[i]).powi(2) + of_noise);
        left.iter().zip(&scores).map(one).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn accuracy(ridge: &Ridge, rows: &[Vec<f64>], positive: &[bool]) -> f64 {
        let right = rows.iter().zip(positive).filter(|(r, p)| (ridge.score(r) > 0.0) == **p).count();
        right as f64 / rows.len() as f64
    }

    fn draw(s: &mut Stream, n: usize, shift: f64) -> (Vec<Vec<f64>>, Vec<bool>) {
        let positive: Vec<bool> = (0..n).map(|i| i % 3 == 0).collect();
        let row = |p: &bool| {
            let mut row: Vec<f64> = (0..200).map(|_| s.normal()).collect();
            row[7] += if *p { shift } else { -shift };
            row
        };
        (positive.iter().map(row).collect(), positive)
    }

    #[test]
    fn a_direction_that_tells_classes_apart_is_found_among_many_that_do_not() {
        let mut s = Stream::new("ridge", 1);
        let groups: Vec<usize> = (0..60).collect();
        let (test, truth) = draw(&mut s, 90, 6.0);
        let mut fit = |shift| {
            let (rows, positive) = draw(&mut s, 60, shift);
            Ridge::fit(&Training { rows: &rows, positive: &positive, groups: &groups, noise: &[0.0; 200] })
        };
        let (fitted, nothing) = (fit(6.0), fit(0.0));
        assert!(accuracy(&fitted, &test, &truth) > 0.9);
        // Without the shift nothing is learnt, and a large penalty is chosen.
        assert!(
            nothing.penalty > fitted.penalty && nothing.error > fitted.error,
            "{} and {}",
            nothing.penalty,
            fitted.penalty
        );
    }

    #[test]
    fn known_noise_moves_the_weight_to_features_that_have_none() {
        // Two features say the same; one will be noisy.
        let mut s = Stream::new("ridge", 3);
        let positive: Vec<bool> = (0..40).map(|i| i % 2 == 0).collect();
        let sign = |p: bool| if p { 1.0 } else { -1.0 };
        let rows: Vec<Vec<f64>> =
            positive.iter().map(|&p| (0..2).map(|_| sign(p) + 0.5 * s.normal()).collect()).collect();
        let groups: Vec<usize> = (0..40).collect();
        let fit = |noise: [f64; 2]| {
            Ridge::fit(&Training { rows: &rows, positive: &positive, groups: &groups, noise: &noise })
        };
        let noisy: Vec<Vec<f64>> =
            (0..2000).map(|i| vec![sign(i % 2 == 0) + 5.0 * s.normal(), sign(i % 2 == 0) + 0.5 * s.normal()]).collect();
        let truth: Vec<bool> = (0..2000).map(|i| i % 2 == 0).collect();
        let (blunt, adaptive) = (fit([0.0; 2]), fit([25.0, 0.0]));
        assert!(adaptive.weights[0].abs() < 0.2 * adaptive.weights[1], "{:?}", adaptive.weights);
        assert!(accuracy(&adaptive, &noisy, &truth) > 0.9 && accuracy(&blunt, &noisy, &truth) < 0.75);
    }

    #[test]
    fn the_primal_score_is_the_dual_one() {
        let mut s = Stream::new("ridge", 2);
        let rows: Vec<Vec<f64>> = (0..7).map(|_| (0..4).map(|_| s.normal() + 3.0).collect()).collect();
        let positive = [true, false, true, true, false, false, true];
        let training =
            Training { rows: &rows, positive: &positive, groups: &[0, 1, 2, 3, 4, 5, 6], noise: &[0.0, 0.2, 0.0, 3.0] };
        let fitted = Ridge::fit(&training);
        let lambda = fitted.penalty * training.length();
        let (table, _) = training.table(lambda);
        let all: Vec<usize> = (0..7).collect();
        let dual = table.solve(&all, lambda).unwrap();
        for (row, k) in rows.iter().zip(table.centred(&table.gram, &all, &all)) {
            assert!((fitted.score(row) - dot(&k, &dual)).abs() < 1e-9);
        }
    }
}
