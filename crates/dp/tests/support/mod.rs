//! Exact bin probabilities and the tests that samplers must pass.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::cast_precision_loss, reason = "test statistics on counts far below 2^53")]
use statrs::distribution::{ChiSquared, ContinuousCDF};
use statrs::function::erf::erfc;

/// Q(t), upper tail of the standard normal law.
pub(crate) fn upper_tail(t: f64) -> f64 {
    0.5 * erfc(t / std::f64::consts::SQRT_2)
}

/// P[lo ≤ R ≤ hi] for R = round(σX), from the tail on the side where nothing cancels.
pub(crate) fn probability(lo: i64, hi: i64, sigma: f64) -> f64 {
    let (a, b) = ((lo as f64 - 0.5) / sigma, (hi as f64 + 0.5) / sigma);
    if a >= 0.0 { upper_tail(a) - upper_tail(b) } else { upper_tail(-b) - upper_tail(-a) }
}

/// Bins of whole integers, each expected to hold at least 50 of `n` samples, with open tails.
pub(crate) struct Bins {
    /// Least integer of every bin but the first.
    starts: Vec<i64>,
    probabilities: Vec<f64>,
}

impl Bins {
    pub(crate) fn new(sigma: f64, n: usize) -> Self {
        let least = 50.0 / n as f64;
        #[expect(clippy::cast_possible_truncation, reason = "a few sigma")]
        let reach = (sigma * 8.0) as i64 + 2;
        // At most about 60 bins: fine enough to see shape, few enough to keep power against a wrong scale.
        #[expect(clippy::cast_possible_truncation, reason = "a few sigma")]
        let width = ((sigma / 8.0) as i64).max(1);
        let (mut starts, mut probabilities) = (vec![], vec![]);
        let mut lo = -reach;
        let mut below = upper_tail((reach as f64 + 0.5) / sigma);
        while lo <= reach {
            below += probability(lo, lo + width - 1, sigma);
            lo += width;
            if below >= least {
                probabilities.push(below);
                starts.push(lo);
                below = 0.0;
            }
        }
        // What is left above the last start joins the last bin.
        *probabilities.last_mut().unwrap() += below;
        starts.pop();
        Self { starts, probabilities }
    }

    pub(crate) fn counts(&self, samples: &[i64]) -> Vec<u64> {
        let mut counts = vec![0; self.probabilities.len()];
        for x in samples {
            counts[self.starts.partition_point(|s| s <= x)] += 1;
        }
        counts
    }

    /// p-value of Pearson's chi-square test of `samples` against the exact probabilities.
    pub(crate) fn p_value(&self, samples: &[i64]) -> f64 {
        let n = samples.len() as f64;
        let statistic = self.counts(samples).iter().zip(&self.probabilities).fold(0.0, |sum, (&seen, p)| {
            let expected = n * p;
            sum + (seen as f64 - expected).powi(2) / expected
        });
        1.0 - ChiSquared::new(self.probabilities.len() as f64 - 1.0).unwrap().cdf(statistic)
    }

    /// p-value of the chi-square test that two samples of equal size have one law.
    pub(crate) fn p_value_of_two(&self, a: &[i64], b: &[i64]) -> f64 {
        assert_eq!(a.len(), b.len());
        let statistic = self.counts(a).iter().zip(self.counts(b)).fold(0.0, |sum, (&x, y)| {
            let (x, y) = (x as f64, y as f64);
            if x + y == 0.0 { sum } else { sum + (x - y).powi(2) / (x + y) }
        });
        1.0 - ChiSquared::new(self.probabilities.len() as f64 - 1.0).unwrap().cdf(statistic)
    }
}

/// Standard scores of the sample's mean, variance and fourth moment under N(0, σ²) with the variance 1/12 of rounding.
pub(crate) fn moment_scores(samples: &[i64], sigma: f64) -> [f64; 3] {
    let n = samples.len() as f64;
    let sd = (sigma * sigma + 1.0 / 12.0).sqrt();
    let sums = samples.iter().fold([0.0; 3], |s, &x| {
        let u = x as f64 / sd;
        [s[0] + u, s[1] + u * u, s[2] + u.powi(4)]
    });
    // Of u: mean 0 variance 1; of u²: 1 and 2; of u⁴: 3 and 96.
    [sums[0] / n.sqrt(), (sums[1] - n) / (2.0 * n).sqrt(), (sums[2] - 3.0 * n) / (96.0 * n).sqrt()]
}

/// Points and weights of Gauss-Legendre quadrature on [−1, 1], by Newton's method on the Legendre polynomial.
pub(crate) fn gauss_legendre(points: u32) -> Vec<(f64, f64)> {
    let n = f64::from(points);
    let evaluate = |x: f64| {
        let (mut before, mut here) = (1.0, x);
        for k in 2..=points {
            let k = f64::from(k);
            (before, here) = (here, ((2.0 * k - 1.0) * x * here - (k - 1.0) * before) / k);
        }
        (here, n * (x * here - before) / (x * x - 1.0))
    };
    (0..points)
        .map(|i| {
            let mut x = (std::f64::consts::PI * (f64::from(i) + 0.75) / (n + 0.5)).cos();
            for _ in 0..10 {
                let (value, slope) = evaluate(x);
                x -= value / slope;
            }
            let slope = evaluate(x).1;
            (x, 2.0 / ((1.0 - x * x) * slope * slope))
        })
        .collect()
}

/// Density at `v` of the sum of `n` independent uniforms on [−1/2, 1/2]: the recursion of B-splines (de Boor), all of whose
/// terms are positive.
pub(crate) fn uniform_sum_density(n: usize, v: f64) -> f64 {
    if n == 1 {
        return if (-0.5..0.5).contains(&v) { 1.0 } else { 0.0 };
    }
    let half = n as f64 / 2.0;
    if v.abs() >= half {
        return 0.0;
    }
    ((half + v) * uniform_sum_density(n - 1, v + 0.5) + (half - v) * uniform_sum_density(n - 1, v - 0.5))
        / (n as f64 - 1.0)
}
