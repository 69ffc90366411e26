//! Gradient inversion by descent on the inputs (R3).
use sottovoce_train::TrainError;

use super::oracle::Oracle;
use crate::linear::{dot, norm};
use crate::random::Stream;

/// How inputs are searched for. Geiping, Bauermeister, Dröge & Moeller 2020, "Inverting Gradients" (arXiv:2003.14053): cosine loss
/// (Eq. 4), total variation, Adam on the signs of the gradient, step decay.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CosineSettings {
    /// Steps of the descent.
    pub iterations: u32,
    /// Length of the first steps, in standard deviations of a feature; a tenth after 3/8, 5/8 and 7/8 of them.
    pub step: f64,
    /// Weight of the total variation over time; of one frame there is none.
    pub total_variation: f64,
    /// Starts; the one whose update is closest in the end is kept.
    pub restarts: u32,
    /// Features are kept within ± this, in standard deviations.
    pub range: f64,
}

impl Default for CosineSettings {
    fn default() -> Self {
        Self { iterations: 800, step: 0.1, total_variation: 1e-3, restarts: 2, range: 6.0 }
    }
}

/// What was found.
pub(super) struct Found {
    /// X `[n, frames, width]`.
    pub(super) x: Vec<f64>,
    /// Cosine between its update and the one observed.
    pub(super) cosine: f64,
}

/// X whose update points where `observed` points, starting from draws around `mean` with `deviation`, `[width]` both.
pub(super) fn invert(
    oracle: &Oracle<'_>,
    observed: &[f64],
    (mean, deviation): (&[f64], &[f64]),
    (examples, frames): (usize, usize),
    settings: &CosineSettings,
    stream: &mut Stream,
) -> Result<Found, TrainError> {
    let width = mean.len();
    let mut best: Option<Found> = None;
    for _ in 0..settings.restarts.max(1) {
        // In standard deviations: the same step suits all features.
        let mut z: Vec<f64> = (0..examples * frames * width).map(|_| stream.normal()).collect();
        let scaled = |z: &[f64]| -> Vec<f64> {
            z.iter().enumerate().map(|(i, z)| mean[i % width] + deviation[i % width] * z).collect()
        };
        let mut adam = Adam::new(z.len());
        let mut closest = (f64::INFINITY, z.clone());
        for iteration in 0..settings.iterations {
            let (distance, gradient) = oracle.descend(&scaled(&z), |update| one_minus_cosine(update, observed))?;
            if distance < closest.0 {
                closest = (distance, z.clone());
            }
            let mut slope: Vec<f64> = gradient.iter().enumerate().map(|(i, g)| g * deviation[i % width]).collect();
            add_total_variation(&z, &mut slope, (frames, width), settings.total_variation);
            let done = f64::from(iteration) / f64::from(settings.iterations);
            let decays = [3.0 / 8.0, 5.0 / 8.0, 7.0 / 8.0].iter().filter(|&&at| done >= at).count();
            let step = settings.step * 0.1f64.powi(i32::try_from(decays).unwrap_or(0));
            adam.step(&mut z, &slope, step);
            for v in &mut z {
                *v = v.clamp(-settings.range, settings.range);
            }
        }
        if best.as_ref().is_none_or(|b| 1.0 - closest.0 > b.cosine) {
            best = Some(Found { x: scaled(&closest.1), cosine: 1.0 - closest.0 });
        }
    }
    Ok(best.expect("one start at least"))
}

/// 1 − cos(a, b), and its gradient by a.
fn one_minus_cosine(a: &[f64], b: &[f64]) -> (f64, Vec<f64>) {
    let (la, lb) = (norm(a), norm(b));
    if la <= 0.0 || lb <= 0.0 {
        return (1.0, vec![0.0; a.len()]);
    }
    let cosine = dot(a, b) / (la * lb);
    (1.0 - cosine, a.iter().zip(b).map(|(a, b)| cosine * a / (la * la) - b / (la * lb)).collect())
}

/// Adds the slope of weight · mean |x_{t+1} − x_t|.
fn add_total_variation(z: &[f64], slope: &mut [f64], (frames, width): (usize, usize), weight: f64) {
    if frames < 2 || weight <= 0.0 {
        return;
    }
    let scale = weight / z.len() as f64;
    for (i, value) in z.iter().enumerate() {
        if i / width % frames + 1 < frames {
            let rises = scale * (z[i + width] - value).signum();
            slope[i] -= rises;
            slope[i + width] += rises;
        }
    }
}

/// Adam (Kingma & Ba 2015) on signs.
struct Adam {
    first: Vec<f64>,
    second: Vec<f64>,
    steps: i32,
}

impl Adam {
    fn new(n: usize) -> Self {
        Self { first: vec![0.0; n], second: vec![0.0; n], steps: 0 }
    }

    fn step(&mut self, x: &mut [f64], slope: &[f64], rate: f64) {
        const BETAS: (f64, f64) = (0.9, 0.999);
        self.steps = self.steps.saturating_add(1);
        let corrections = (1.0 - BETAS.0.powi(self.steps), 1.0 - BETAS.1.powi(self.steps));
        for (i, value) in x.iter_mut().enumerate() {
            let sign = if slope[i] > 0.0 {
                1.0
            } else if slope[i] < 0.0 {
                -1.0
            } else {
                0.0
            };
            self.first[i] = BETAS.0 * self.first[i] + (1.0 - BETAS.0) * sign;
            self.second[i] = BETAS.1 * self.second[i] + (1.0 - BETAS.1) * sign * sign;
            *value -= rate * (self.first[i] / corrections.0) / ((self.second[i] / corrections.1).sqrt() + 1e-8);
        }
    }
}
