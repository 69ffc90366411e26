//! M4 and M5, likelihood-ratio attacks.
use super::evidence::{Evidence, moments};

/// Formulas and paper.
pub(super) const ONLINE: &str = "M4: log N(phi; mu_in, s_in^2) - log N(phi; mu_out, s_out^2), a mean and a variance for each clip. Carlini et al., \
                                 \"Membership Inference Attacks From First Principles\", S&P 2022, Algorithm 1 (arXiv:2112.03570)";
pub(super) const FIXED: &str = "M4, fixed variance: a mean for each clip, one variance for each side over all clips. Carlini et al., \
                                \"Membership Inference Attacks From First Principles\", S&P 2022, section VI-C (arXiv:2112.03570)";
pub(super) const OFFLINE: &str = "M5: P[N(mu_out, s_out^2) <= phi], scored by its argument (phi - mu_out) / s_out, which cannot round to 1. Carlini et \
                                  al., \"Membership Inference Attacks From First Principles\", S&P 2022, section VI-D (arXiv:2112.03570)";

/// Whose deviation is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variance {
    /// Each clip's own, over n − 1.
    PerClip,
    /// One for all: squared deviations from each clip's mean, over all clips. (The paper's public code takes the deviation of all numbers
    /// from one common mean, which adds how clips differ.)
    Pooled,
}

impl Variance {
    /// The paper's rule: a variance of its own for each clip from 64 shadows on.
    pub fn for_shadows(shadows: usize) -> Self {
        if shadows >= 64 { Self::PerClip } else { Self::Pooled }
    }
}

/// How an offline score is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offline {
    /// The paper's: one-sided, by the distribution function.
    Cdf,
    /// The paper's public code's: minus the log density, two-sided. To compare with published numbers; a clip that the model likes less than any shadow
    /// is accused as well.
    LogPdf,
}

/// A variance that no two shadows that agree to the bit make zero.
const LEAST_VARIANCE: f64 = 1e-12;

/// Mean and variance of one side of each clip.
fn normals(side: &[Vec<f64>], variance: Variance) -> Vec<(f64, f64)> {
    let own: Vec<(f64, f64)> = side.iter().map(|v| moments(v)).collect();
    let degrees = |v: &Vec<f64>| (v.len() as f64 - 1.0).max(1.0);
    let pooled = own.iter().map(|(_, s)| s).sum::<f64>() / side.iter().map(degrees).sum::<f64>();
    let of = |((mean, squares), v): ((f64, f64), &Vec<f64>)| {
        let variance = match variance {
            Variance::PerClip => squares / degrees(v),
            Variance::Pooled => pooled,
        };
        (mean, variance.max(LEAST_VARIANCE))
    };
    own.into_iter().zip(side).map(of).collect()
}

fn log_density(x: f64, (mean, variance): (f64, f64)) -> f64 {
    -0.5 * ((x - mean).powi(2) / variance + (std::f64::consts::TAU * variance).ln())
}

/// M4: scores `[n]`.
pub fn lira_online(clips: &Evidence, variance: Variance) -> Vec<f64> {
    let sides = normals(&clips.inside, variance).into_iter().zip(normals(&clips.outside, variance));
    clips.target.iter().zip(sides).map(|(&x, (i, o))| log_density(x, i) - log_density(x, o)).collect()
}

/// M5: scores `[n]`. Of [`Offline::Cdf`] the argument z, which ranks as Φ(z) does.
pub fn lira_offline(clips: &Evidence, variance: Variance, form: Offline) -> Vec<f64> {
    let of = |(&x, normal): (&f64, (f64, f64))| match form {
        Offline::Cdf => (x - normal.0) / normal.1.sqrt(),
        Offline::LogPdf => -log_density(x, normal),
    };
    clips.target.iter().zip(normals(&clips.outside, variance)).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_density_accuses_what_the_distribution_function_acquits() {
        let outside = vec![vec![-1.0, 0.0, 1.0]; 3];
        let clips = Evidence { target: vec![-6.0, 0.0, 6.0], inside: vec![Vec::new(); 3], outside };
        let cdf = lira_offline(&clips, Variance::PerClip, Offline::Cdf);
        assert!(cdf[0] < cdf[1] && cdf[1] < cdf[2]);
        let pdf = lira_offline(&clips, Variance::PerClip, Offline::LogPdf);
        assert!(pdf[0] > pdf[1], "the public code's form takes a hard clip for a member: {pdf:?}");
        assert_eq!((Variance::for_shadows(63), Variance::for_shadows(64)), (Variance::Pooled, Variance::PerClip));
    }
}
