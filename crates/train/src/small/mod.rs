//! Small fully connected models without a tensor library, for attacks that train hundreds of them ("shadow models").
//!
//! A model of some thousand parameters and its mini-batch fit into a core's first cache, and a tensor library spends most of its time
//! between the products. Here one model trains in plain loops, and many models train side by side on all cores without sharing
//! anything. What comes out is what [`Trainer`](crate::Trainer) gives: the same loss, the same optimisers, the same order of
//! examples, up to how sums are rounded.
//!
//! Why not one product of a mini-batch with the first layers of all models, in which the losses of those that do not train on an example are set to
//! zero: where each trains on half of the examples, half of that product is thrown away, its operands leave the first cache, and every model would
//! have to see its examples in one common order, which is not how it would train alone.
mod passes;
mod product;

use sottovoce_types::{Examples, FlatParams, LocalOptimiser, ModelSpec, Sha256Writer, TrainJob};

use self::passes::Passes;
use crate::loss::Loss;
use crate::optimiser::{BETAS, EPSILON};
use crate::random::{Draws, purpose};
use crate::trainer::{InputError, TrainError, Trainer};

/// Trains fully connected models on some examples of a set, by their indices: no copies of the set are made.
///
/// It holds the memory of its passes, so that each thread has its own; a clone is one.
#[derive(Clone, Debug)]
pub struct SmallDnn {
    trainer: Trainer,
    passes: Passes,
}

impl SmallDnn {
    /// The trainer's model on the CPU; `None` where it is not fully connected.
    pub fn new(trainer: &Trainer) -> Option<Self> {
        let ModelSpec::Dnn { inputs, hidden, classes } = trainer.spec() else { return None };
        let widths: Vec<usize> = [*inputs].into_iter().chain(hidden.iter().copied()).chain([*classes]).collect();
        Some(Self { trainer: trainer.clone(), passes: Passes::new(&widths) })
    }

    /// Whether parameters and examples fit the model: asked once for a set, because the methods below do not.
    ///
    /// # Errors
    /// As [`Trainer::train`].
    pub fn check(&self, params: &FlatParams, data: &Examples, job: &TrainJob) -> Result<(), TrainError> {
        job.check(self.trainer.spec().classes())?;
        Ok(self.trainer.check_inputs(params, data)?)
    }

    /// θ after training from `start` `[d]` on the examples `members` of `data`: [`Trainer::train_centralised`] on
    /// `data.select(members)`, with the schedule where `scheduled`.
    ///
    /// # Errors
    /// [`TrainError::Diverged`]; [`InputError::OtherModel`] when `start` has another length.
    pub fn fit(
        &mut self,
        start: &[f32],
        data: &Examples,
        members: &[usize],
        job: &TrainJob,
        scheduled: bool,
    ) -> Result<Vec<f32>, TrainError> {
        self.passes.load(start).ok_or(self.other_model(start))?;
        let n = members.len();
        if n == 0 || (job.epochs == 0 && job.steps == 0) {
            return Ok(start.to_vec());
        }
        let labels = members.iter().map(|&i| data.labels[i]);
        let loss = Loss::of_labels(&job.class_weights, job.label_smoothing, labels, self.trainer.spec().classes());
        let targets = loss.by_label();
        let mut draws = Draws::new(purpose::ORDER, job.seed);
        let mut order: Vec<usize> = (0..n).collect();
        let mut rule = Rule::new(job, self.passes.params().to_vec());
        let step = (job.batch as usize).saturating_mul(job.accumulate as usize);
        let (mut steps, mut epoch) = (0, 0u32);
        let mut batch = Vec::with_capacity(step.min(n));
        loop {
            epoch += 1;
            if scheduled {
                rule.learning_rate = job.learning_rate_at(epoch.into(), job.epochs.into());
            }
            draws.shuffle(&mut order);
            let mut total = 0.0;
            for examples in order.chunks(step) {
                batch.clear();
                batch.extend(examples.iter().map(|&i| members[i]));
                let weight = loss.weight(data, &batch);
                total += self.passes.gradient(data, &batch, &targets);
                if weight > 0.0 {
                    let (params, gradient) = self.passes.params_and_gradient();
                    rule.step(params, gradient, weight);
                }
                steps += 1;
                if job.steps == steps {
                    break;
                }
            }
            if !total.is_finite() {
                return Err(TrainError::Diverged { epoch, learning_rate: job.learning_rate });
            }
            if if job.steps > 0 { steps == job.steps } else { epoch == job.epochs } {
                break;
            }
        }
        let trained = self.passes.unload();
        if trained.iter().all(|v| v.is_finite()) {
            Ok(trained)
        } else {
            Err(TrainError::Diverged { epoch, learning_rate: job.learning_rate })
        }
    }

    /// θ_local − θ of one privacy unit, `[d]`: [`unit_update`](crate::unit_update) on `data.select(members)`.
    ///
    /// # Errors
    /// As [`Self::fit`].
    pub fn unit_update(
        &mut self,
        global: &[f32],
        data: &Examples,
        members: &[usize],
        job: &TrainJob,
        name: &str,
    ) -> Result<Vec<f32>, TrainError> {
        let mut update = self.fit(global, data, members, &of_unit(job, name), false)?;
        update.iter_mut().zip(global).for_each(|(local, global)| *local -= global);
        Ok(update)
    }

    /// Σ of the gradients of the examples `members`, each clipped to `clip` in L2, `[d]`: [`Trainer::clipped_gradient`], whose caveat on
    /// sensitivity holds here as well. By "ghost clipping": the norm of a linear layer's gradient is ‖δ‖·√(‖a‖² + 1).
    ///
    /// # Errors
    /// [`InputError::OtherModel`] when `params` has another length.
    pub fn clipped_gradient(
        &mut self,
        params: &[f32],
        data: &Examples,
        members: &[usize],
        job: &TrainJob,
        clip: f32,
    ) -> Result<Vec<f32>, TrainError> {
        self.passes.load(params).ok_or(self.other_model(params))?;
        let labels = members.iter().map(|&i| data.labels[i]);
        let loss = Loss::of_labels(&job.class_weights, job.label_smoothing, labels, self.trainer.spec().classes());
        Ok(self.passes.clipped_gradient(data, members, &loss.by_label(), clip))
    }

    /// Logits of all examples, `[n, classes]` row by row.
    ///
    /// # Errors
    /// [`InputError::OtherModel`] when `params` has another length.
    pub fn logits(&mut self, params: &[f32], data: &Examples) -> Result<Vec<f32>, TrainError> {
        self.passes.load(params).ok_or(self.other_model(params))?;
        Ok(self.passes.logits(data))
    }

    fn other_model(&self, found: &[f32]) -> InputError {
        InputError::OtherModel { expected: self.trainer.spec().layout().len(), found: found.len() }
    }
}

/// The job of the unit `name`: its order of examples has a seed of its own.
pub(crate) fn of_unit(job: &TrainJob, name: &str) -> TrainJob {
    let digest = Sha256Writer::new(purpose::UNIT).number(job.seed).field(name.as_bytes()).finish();
    let mut seed = [0; 8];
    seed.copy_from_slice(&digest.as_bytes()[..8]);
    TrainJob { seed: u64::from_le_bytes(seed), ..job.clone() }
}

/// [`crate::optimiser::Optimiser`] on plain numbers: the same rules in the same order.
struct Rule {
    learning_rate: f64,
    momentum: f32,
    weight_decay: f64,
    proximal_mu: f32,
    anchor: Vec<f32>,
    adam: bool,
    /// Velocity, or Adam's first moment.
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

impl Rule {
    fn new(job: &TrainJob, anchor: Vec<f32>) -> Self {
        let (adam, d) = (job.optimiser == LocalOptimiser::AdamW, anchor.len());
        Self {
            learning_rate: job.learning_rate,
            momentum: job.momentum as f32,
            weight_decay: job.weight_decay,
            proximal_mu: job.proximal_mu as f32,
            anchor,
            adam,
            first: vec![0.0; d],
            second: vec![0.0; if adam { d } else { 0 }],
            steps: 0,
        }
    }

    fn step(&mut self, theta: &mut [f32], gradient: &mut [f32], weight: f64) {
        let share = (1.0 / weight) as f32;
        for g in gradient.iter_mut() {
            *g *= share;
        }
        if self.proximal_mu > 0.0 {
            for ((g, t), a) in gradient.iter_mut().zip(&*theta).zip(&self.anchor) {
                *g += (t - a) * self.proximal_mu;
            }
        }
        self.steps += 1;
        if self.adam { self.adam_step(theta, gradient) } else { self.sgd_step(theta, gradient) }
    }

    fn sgd_step(&mut self, theta: &mut [f32], gradient: &[f32]) {
        let (rate, decay, momentum) = (self.learning_rate as f32, self.weight_decay as f32, self.momentum);
        // The velocity begins at 0, so that the first one is the first gradient.
        for ((t, v), g) in theta.iter_mut().zip(&mut self.first).zip(gradient) {
            *v = *v * momentum + (g + *t * decay);
            *t -= *v * rate;
        }
    }

    fn adam_step(&mut self, theta: &mut [f32], gradient: &[f32]) {
        let (b1, b2) = BETAS;
        let (rate, kept) = (self.learning_rate as f32, (1.0 - self.learning_rate * self.weight_decay) as f32);
        let (c1, c2) = ((1.0 - b1.powi(self.steps)) as f32, (1.0 - b2.powi(self.steps)) as f32);
        let (b1, b2, d1, d2) = (b1 as f32, b2 as f32, (1.0 - b1) as f32, (1.0 - b2) as f32);
        let epsilon = EPSILON as f32;
        for (((t, m), v), g) in theta.iter_mut().zip(&mut self.first).zip(&mut self.second).zip(gradient) {
            *m = *m * b1 + g * d1;
            *v = *v * b2 + g * g * d2;
            *t = *t * kept - (*m / c1) / ((*v / c2).sqrt() + epsilon) * rate;
        }
    }
}
