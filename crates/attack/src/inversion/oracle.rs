//! What updates inputs would give, and the way back from an update to the inputs.
use sottovoce_train::{TrainError, Trainer};
use sottovoce_types::{ExampleMeta, Examples, FlatParams, TrainJob};

use super::mlp::Mlp;
use crate::linear::norm;

/// Local steps that are unrolled at most: each is one more pass there and back for every step of the descent.
const MOST_STEPS: u32 = 32;

/// Local training of one client, as far as the attacker can repeat it: full batches in one order.
pub(super) enum Oracle<'a> {
    /// Exactly, all steps unrolled.
    Exact { mlp: Mlp, theta: Vec<f64>, targets: Vec<f64>, rate: f64, steps: u32 },
    /// One step of any model; second derivatives are differences of first ones along the direction (as Dang et al. 2021,
    /// arXiv:2104.07815, Eq. 5, avoid double backpropagation).
    Differences { trainer: &'a Trainer, params: &'a FlatParams, labels: Vec<u16>, frames: usize, width: usize },
}

impl<'a> Oracle<'a> {
    pub(super) fn new(
        trainer: &'a Trainer,
        params: &'a FlatParams,
        job: &TrainJob,
        labels: &[u16],
        frames: usize,
    ) -> Self {
        let (spec, width) = (trainer.spec(), trainer.spec().inputs());
        let Some(mlp) = Mlp::of(spec) else {
            return Self::Differences { trainer, params, labels: labels.to_vec(), frames, width };
        };
        let (classes, smoothing) = (spec.classes(), job.label_smoothing);
        let target = |&label: &u16| {
            let own = move |c: usize| f64::from(u8::from(c == usize::from(label)));
            (0..classes).map(move |c| (1.0 - smoothing) * own(c) + smoothing / classes as f64)
        };
        Self::Exact {
            mlp,
            theta: params.values().iter().map(|&v| f64::from(v)).collect(),
            targets: labels.iter().flat_map(target).collect(),
            rate: job.learning_rate,
            steps: steps_of(job, labels.len()).min(MOST_STEPS),
        }
    }

    /// The update Δ `[d]` that X gives, and for `of`(Δ) = (D, ∂D/∂Δ) the pair (D, ∂D/∂X).
    pub(super) fn descend(
        &self,
        x: &[f64],
        of: impl Fn(&[f64]) -> (f64, Vec<f64>),
    ) -> Result<(f64, Vec<f64>), TrainError> {
        match self {
            Self::Exact { mlp, theta, targets, rate, steps } => {
                let mut path = vec![theta.clone()];
                for _ in 0..*steps {
                    let now = path.last().expect("the start at least");
                    let gradient = mlp.derivatives(now, x, targets).theta;
                    path.push(now.iter().zip(&gradient).map(|(t, g)| t - rate * g).collect());
                }
                let end = path.pop().expect("the start at least");
                let update: Vec<f64> = end.iter().zip(theta).map(|(e, s)| e - s).collect();
                let (value, mut lambda) = of(&update);
                // ∂D/∂X = −η·Σ_k ∂⟨λ_{k+1}, g(θ_k, X)⟩/∂X with λ_k = λ_{k+1} − η·H(θ_k)·λ_{k+1}.
                let mut gradient = vec![0.0; x.len()];
                for theta in path.iter().rev() {
                    let (_, along) = mlp.along(theta, &lambda, x, targets);
                    gradient.iter_mut().zip(&along.x).for_each(|(g, r)| *g -= rate * r);
                    lambda.iter_mut().zip(&along.theta).for_each(|(l, h)| *l -= rate * h);
                }
                Ok((value, gradient))
            }
            Self::Differences { trainer, params, labels, frames, width } => {
                let data = examples(x, labels, *frames, *width);
                let job = TrainJob { batch: u32::try_from(labels.len()).unwrap_or(u32::MAX), ..TrainJob::default() };
                let sum = trainer.clipped_gradient(params, &data, &job, f32::INFINITY)?.sum;
                let update: Vec<f64> = sum.iter().map(|&g| -f64::from(g) / labels.len() as f64).collect();
                let (value, lambda) = of(&update);
                let length = norm(&lambda);
                if length <= 0.0 {
                    return Ok((value, vec![0.0; x.len()]));
                }
                let theta: Vec<f64> = params.values().iter().map(|&v| f64::from(v)).collect();
                // Of f32 gradients: a step this long is far above their rounding and still short beside θ.
                let step = 1e-3 * norm(&theta).max(1e-3) / length;
                let moved = |by: f64| {
                    let mut moved = (*params).clone();
                    for (value, l) in moved.values_mut().iter_mut().zip(&lambda) {
                        *value += (by * l) as f32;
                    }
                    trainer.input_gradient(&moved, &data, &job)
                };
                let (after, before) = (moved(step)?, moved(-step)?);
                let slope = |(a, b): (&f32, &f32)| -(f64::from(*a) - f64::from(*b)) / (2.0 * step);
                Ok((value, after.iter().zip(&before).map(slope).collect()))
            }
        }
    }
}

/// Local steps over `n` examples.
pub(super) fn steps_of(job: &TrainJob, n: usize) -> u32 {
    let a_step = (job.batch * job.accumulate).max(1);
    let per_epoch = u32::try_from(n).unwrap_or(u32::MAX).div_ceil(a_step).max(1);
    if job.steps > 0 { job.steps } else { job.epochs.saturating_mul(per_epoch) }
}

pub(super) fn examples(x: &[f64], labels: &[u16], frames: usize, width: usize) -> Examples {
    let mut data = Examples::empty(width);
    for (row, &label) in x.chunks_exact(frames * width).zip(labels) {
        let row: Vec<f32> = row.iter().map(|&v| v as f32).collect();
        data.push(&row, label, ExampleMeta::default());
    }
    data
}
