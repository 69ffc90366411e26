//! M7, a likelihood ratio with Bayesian variances: best where shadows are few.
use statrs::function::gamma::ln_gamma;

use super::evidence::{Evidence, moments};

/// Formula and paper.
pub(super) const CITATION: &str = "M7: log t_in(phi) - log t_out(phi), Student-t predictives under a normal-inverse-gamma prior whose parameters are the \
                                   moments of all clips. After Braennvall, \"Exponential-Family Membership Inference: From LiRA and RMIA to BaVarIA\", \
                                   2026, BaVarIA-t (arXiv:2603.11799); the prior's moment estimates are ours";

/// σ² ~ InverseGamma(α, β), μ | σ² ~ N(m, σ²/κ).
#[derive(Clone, Copy, PartialEq, Debug)]
struct Prior {
    m: f64,
    kappa: f64,
    alpha: f64,
    beta: f64,
}

/// α beyond which a prior variance is as good as known.
const SURE: f64 = 1e6;

impl Prior {
    /// By moments over all clips of one side. With s_i² the variances and x̄_i the means of the clips, ν = mean(n_i − 1):
    /// w = Σ(n_i − 1)s_i² / Σ(n_i − 1);  m = mean x̄_i;  κ = w / (Var x̄_i − w·mean(1/n_i));
    /// Var σ² = (Var s_i² − 2w²/ν) / (1 + 2/ν);  α = 2 + w²/Var σ²;  β = w·(α − 1).
    fn of(side: &[Vec<f64>]) -> Self {
        let clips = side.len() as f64;
        let own: Vec<(f64, f64, f64)> = side
            .iter()
            .map(|v| {
                let (mean, squares) = moments(v);
                (v.len() as f64, mean, squares)
            })
            .collect();
        let degrees = own.iter().map(|(n, ..)| n - 1.0).sum::<f64>();
        let nu = degrees / clips;
        let w = (own.iter().map(|(.., s)| s).sum::<f64>() / degrees).max(1e-12);
        let (m, spread) = moments(&own.iter().map(|(_, mean, _)| *mean).collect::<Vec<_>>());
        let between = spread / clips - w * own.iter().map(|(n, ..)| 1.0 / n).sum::<f64>() / clips;
        let (_, spread) = moments(&own.iter().map(|(n, _, s)| s / (n - 1.0)).collect::<Vec<_>>());
        let of_variance = (spread / clips - 2.0 * w * w / nu) / (1.0 + 2.0 / nu);
        let alpha = if of_variance > 0.0 { (2.0 + w * w / of_variance).min(SURE) } else { SURE };
        Self { m, kappa: w / between.max(1e-6 * w), alpha, beta: w * (alpha - 1.0) }
    }

    /// log of the predictive density of one more value after `seen`: t with 2α' degrees of freedom, location m', scale² β'(κ' + 1)/(α'κ').
    fn log_predictive(&self, x: f64, seen: &[f64]) -> f64 {
        let n = seen.len() as f64;
        let (mean, squares) = moments(seen);
        let kappa = self.kappa + n;
        let m = (self.kappa * self.m + n * mean) / kappa;
        let alpha = self.alpha + 0.5 * n;
        let beta = self.beta + 0.5 * squares + 0.5 * self.kappa * n * (mean - self.m).powi(2) / kappa;
        let (df, scale2) = (2.0 * alpha, beta * (kappa + 1.0) / (alpha * kappa));
        ln_gamma(0.5 * (df + 1.0))
            - ln_gamma(0.5 * df)
            - 0.5 * (df * std::f64::consts::PI * scale2).ln()
            - 0.5 * (df + 1.0) * ((x - m).powi(2) / (df * scale2)).ln_1p()
    }
}

/// Scores `[n]`; each side of each clip needs two shadows at least.
pub fn bavaria(clips: &Evidence) -> Vec<f64> {
    let (inside, outside) = (Prior::of(&clips.inside), Prior::of(&clips.outside));
    let sides = clips.inside.iter().zip(&clips.outside);
    let of = |(&x, (i, o)): (&f64, (&Vec<f64>, &Vec<f64>))| inside.log_predictive(x, i) - outside.log_predictive(x, o);
    clips.target.iter().zip(sides).map(of).collect()
}
