//! Pearson's correlation over rows that belong to clusters.
use sottovoce_types::Interval;

use crate::random::Stream;
use crate::stats::normal_quantile;

/// Permutations behind a p-value: the smallest that can be told is 1 / 2000.
const PERMUTATIONS: usize = 1999;

/// A correlation between two sets of rows, one row a cluster.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Correlation {
    /// Pearson's r over all entries.
    pub r: f64,
    /// 95 % interval: Fisher's z, with the spread of z under permutation of whole rows as its standard error.
    pub ci95: Interval,
    /// Fraction of permutations of rows (the identity counted) whose r is at least as large.
    pub p_value: f64,
}

/// Pearson's r; `None` when a side does not vary or the lengths differ.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() != y.len() || x.is_empty() {
        return None;
    }
    let n = x.len() as f64;
    let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut sxy, mut sxx, mut syy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        sxy += (a - mx) * (b - my);
        sxx += (a - mx).powi(2);
        syy += (b - my).powi(2);
    }
    // Rounding leaves about 1e-32 where every row equals the mean.
    let spread = (sxx * syy).sqrt();
    (sxx > 1e-24 && syy > 1e-24).then(|| (sxy / spread).clamp(-1.0, 1.0))
}

/// The correlation between the rows of `guesses` and of `truths`, row i of both belonging to cluster i. Entries of one
/// row are not independent, so whole rows are permuted: with the truths dealt to the wrong clusters, what is left is
/// chance. `None` when a side does not vary.
pub fn clustered_correlation(guesses: &[Vec<f64>], truths: &[Vec<f64>], seed: u64) -> Option<Correlation> {
    let flat = |rows: &[Vec<f64>]| rows.concat();
    let x = flat(guesses);
    let r = pearson(&x, &flat(truths))?;
    let mut stream = Stream::new("permute-rows", seed);
    let mut order: Vec<usize> = (0..truths.len()).collect();
    let (mut at_least, mut sum_z, mut sum_zz) = (1u32, 0.0, 0.0);
    for _ in 0..PERMUTATIONS {
        stream.shuffle(&mut order);
        let y: Vec<f64> = order.iter().flat_map(|&i| truths[i].iter().copied()).collect();
        let permuted = pearson(&x, &y).unwrap_or(0.0);
        at_least += u32::from(permuted >= r - 1e-12);
        let z = fisher(permuted);
        sum_z += z;
        sum_zz += z * z;
    }
    let n = PERMUTATIONS as f64;
    let spread = (sum_zz / n - (sum_z / n).powi(2)).max(0.0).sqrt();
    let half = normal_quantile(0.975) * spread;
    let z = fisher(r);
    let ci95 = Interval { low: (z - half).tanh(), high: (z + half).tanh() };
    Some(Correlation { r, ci95, p_value: f64::from(at_least) / (n + 1.0) })
}

/// Fisher's z = artanh r, kept finite at |r| = 1.
fn fisher(r: f64) -> f64 {
    r.clamp(-1.0 + 1e-12, 1.0 - 1e-12).atanh()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(stream: &mut Stream, n: usize) -> Vec<Vec<f64>> {
        (0..n).map(|_| (0..4).map(|_| stream.normal()).collect()).collect()
    }

    #[test]
    fn what_does_not_vary_has_no_correlation() {
        assert_eq!(pearson(&[1.0, 1.0], &[0.0, 1.0]), None);
        assert_eq!(pearson(&[1.0], &[0.0, 1.0]), None);
        assert!((pearson(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn unrelated_rows_are_at_chance_and_related_rows_are_not() {
        let mut s = Stream::new("rows", 1);
        let mut below = 0;
        for rep in 0..40 {
            let c = clustered_correlation(&rows(&mut s, 12), &rows(&mut s, 12), rep).unwrap();
            below += u32::from(c.p_value < 0.05);
        }
        // Bin(40, 0.05) exceeds 8 with probability below 1e-4.
        assert!(below <= 8, "{below} of 40 unrelated pairs called related");

        let truth = rows(&mut s, 12);
        let noisy: Vec<Vec<f64>> = truth.iter().map(|r| r.iter().map(|v| v + 0.5 * s.normal()).collect()).collect();
        let c = clustered_correlation(&noisy, &truth, 1).unwrap();
        assert!(c.p_value < 0.002 && c.ci95.low > 0.4, "{c:?}");
    }
}
