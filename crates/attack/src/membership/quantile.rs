//! M8, quantile regression: how sure would the model be of such a clip, had it not seen it? No shadows.
use sottovoce_types::Examples;

use super::MembershipError;
use super::pooled::one_vector_each;

/// Formula and paper.
pub(super) const CITATION: &str = "M8: (phi - mu(x, y)) / sigma(x, y), a Gaussian head that is fitted to public clips: the order of its quantiles. Bertran, Tang, \
                                   Kearns, Morgenstern, Roth, Wu, \"Scalable Membership Inference Attacks via Quantile Regression\", NeurIPS 2023 \
                                   (arXiv:2307.03694); linear in features and class, variance by Harvey, Econometrica 44(3), 1976";

/// Ridge penalties for each public clip, of the mean and of the log-variance.
const RIDGE: [f64; 2] = [0.1, 1.0];
/// −E[log χ²₁]: what the log of a squared residual is short of the log of its variance (Harvey 1976).
const LOG_CHI2: f64 = 1.270_362_845_461_478;

/// Scores `[n]` of clips from φ `[n]`, and a regression on a population's.
///
/// # Errors
/// [`MembershipError::Width`] when the features differ, [`MembershipError::FewPublic`] when the population has fewer than 20 clips.
pub fn quantile(
    (phi, clips): (&[f64], &Examples),
    (public_phi, public): (&[f64], &Examples),
    classes: usize,
) -> Result<Vec<f64>, MembershipError> {
    if clips.width != public.width {
        return Err(MembershipError::Width { members: clips.width, non_members: public.width });
    }
    if public.len() < 20 {
        return Err(MembershipError::FewPublic { found: public.len() });
    }
    // Both or neither: a population of one frame each beside clips of many would have other features.
    let mut all = clips.clone();
    all.append(public);
    let all = one_vector_each(&all);
    let place: Vec<usize> = (0..all.len()).collect();
    let (of_clips, of_public) = place.split_at(clips.len());
    let rows = standardised(&all.select(of_clips), &all.select(of_public), classes);
    Ok(gaussian_head(phi, &rows.0, public_phi, &rows.1))
}

type Rows = Vec<Vec<f64>>;

/// Features on the population's scale, then one column a class.
fn standardised(clips: &Examples, public: &Examples, classes: usize) -> (Rows, Rows) {
    let n = public.len() as f64;
    let mean = |j| (0..public.len()).map(|i| f64::from(public.row(i)[j])).sum::<f64>() / n;
    let means: Vec<f64> = (0..public.width).map(mean).collect();
    let deviation = |(j, m): (usize, &f64)| {
        ((0..public.len()).map(|i| (f64::from(public.row(i)[j]) - m).powi(2)).sum::<f64>() / n).sqrt().max(1e-9)
    };
    let deviations: Vec<f64> = means.iter().enumerate().map(deviation).collect();
    let rows = |set: &Examples| -> Rows {
        let row = |i: usize| {
            let scaled =
                set.row(i).iter().zip(means.iter().zip(&deviations)).map(|(x, (m, s))| (f64::from(*x) - m) / s);
            scaled.chain((0..classes).map(|c| f64::from(u8::from(usize::from(set.labels[i]) == c)))).collect()
        };
        (0..set.len()).map(row).collect()
    };
    (rows(clips), rows(public))
}

/// (φ − μ(x)) / σ(x), with μ and log σ² each a ridge regression on the population's rows.
pub fn gaussian_head(phi: &[f64], rows: &[Vec<f64>], public_phi: &[f64], public: &[Vec<f64>]) -> Vec<f64> {
    let mean = Ridge::fit(public, public_phi, RIDGE[0]);
    let logs: Vec<f64> = public
        .iter()
        .zip(public_phi)
        .map(|(row, phi)| ((phi - mean.at(row)).powi(2) + 1e-12).ln() + LOG_CHI2)
        .collect();
    let log_variance = Ridge::fit(public, &logs, RIDGE[1]);
    phi.iter().zip(rows).map(|(phi, row)| (phi - mean.at(row)) / (0.5 * log_variance.at(row)).exp()).collect()
}

/// Linear, with an intercept that is not penalised.
struct Ridge {
    weights: Vec<f64>,
    intercept: f64,
}

impl Ridge {
    /// min Σ (y − w·x − b)² + n·λ‖w‖², on centred columns by Cholesky.
    fn fit(rows: &[Vec<f64>], y: &[f64], lambda: f64) -> Self {
        let (n, p) = (rows.len() as f64, rows[0].len());
        let means: Vec<f64> = (0..p).map(|j| rows.iter().map(|r| r[j]).sum::<f64>() / n).collect();
        let level = y.iter().sum::<f64>() / n;
        let (mut a, mut b) = (vec![vec![0.0; p]; p], vec![0.0; p]);
        for (row, y) in rows.iter().zip(y) {
            let centred: Vec<f64> = row.iter().zip(&means).map(|(x, m)| x - m).collect();
            for i in 0..p {
                b[i] += centred[i] * (y - level);
                for j in 0..=i {
                    a[i][j] += centred[i] * centred[j];
                }
            }
        }
        (0..p).for_each(|i| a[i][i] += n * lambda);
        let weights = cholesky_solve(a, b);
        let intercept = level - weights.iter().zip(&means).map(|(w, m)| w * m).sum::<f64>();
        Self { weights, intercept }
    }

    fn at(&self, row: &[f64]) -> f64 {
        self.intercept + self.weights.iter().zip(row).map(|(w, x)| w * x).sum::<f64>()
    }
}

/// A x = b with A positive definite, given by its lower triangle.
fn cholesky_solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let p = b.len();
    for i in 0..p {
        for j in 0..=i {
            let sum = a[i][j] - (0..j).map(|k| a[i][k] * a[j][k]).sum::<f64>();
            a[i][j] = if i == j { sum.sqrt() } else { sum / a[j][j] };
        }
        b[i] = (b[i] - (0..i).map(|k| a[i][k] * b[k]).sum::<f64>()) / a[i][i];
    }
    for i in (0..p).rev() {
        b[i] = (b[i] - (i + 1..p).map(|k| a[k][i] * b[k]).sum::<f64>()) / a[i][i];
    }
    b
}
