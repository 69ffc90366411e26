//! The training loop, on any backend.
use burn::tensor::{ElementConversion as _, Tensor};
use sottovoce_types::{Examples, FlatParams, ModelSpec, TrainJob};

use crate::batch::Batch;
use crate::kernels::Recurrence;
use crate::loss::{Loss, cross_entropy};
use crate::models;
use crate::optimiser::Optimiser;
use crate::pass::{Backward, Parameters, Pass, read};
use crate::random::{Draws, purpose};
use crate::trainer::{EpochLoss, TrainError};

/// Examples of one pass without training.
const FORWARD_BATCH: usize = 64;

/// What is trained, how, on what.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) spec: &'a ModelSpec,
    pub(crate) job: &'a TrainJob,
    pub(crate) data: &'a Examples,
    /// Added to every gradient, `[d]`.
    pub(crate) correction: Option<&'a [f32]>,
    /// Whether the learning rate follows the job's schedule from epoch to epoch; in a federation it is the round's.
    pub(crate) scheduled: bool,
}

impl<'a> Run<'a> {
    pub(crate) fn new(spec: &'a ModelSpec, job: &'a TrainJob, data: &'a Examples) -> Self {
        Self { spec, job, data, correction: None, scheduled: false }
    }

    fn loss(&self) -> Loss {
        Loss::new(&self.job.class_weights, self.job.label_smoothing, self.data, self.spec.classes())
    }
}

/// θ after local training from `start`.
pub(crate) fn fit<B: Recurrence>(
    device: &B::Device,
    start: &FlatParams,
    run: &Run<'_>,
    on_epoch: &mut dyn FnMut(EpochLoss),
) -> Result<FlatParams, TrainError> {
    let (job, n) = (run.job, run.data.len());
    let loss = run.loss();
    let mut draws = Draws::new(purpose::ORDER, job.seed);
    let mut order: Vec<usize> = (0..n).collect();
    let mut params = Parameters::<B>::upload(start, device);
    let correction = run.correction.map(|c| Tensor::<B, 1>::from_floats(c, device));
    let mut optimiser = Optimiser::new(job, &params.flat, correction);
    let (batch, step) = (job.batch as usize, (job.batch as usize).saturating_mul(job.accumulate as usize));
    let (mut steps, mut epoch) = (0, 0u32);
    let diverged = |epoch| TrainError::Diverged { epoch, learning_rate: job.learning_rate };
    let mut not_finite = None;
    loop {
        epoch += 1;
        if run.scheduled {
            optimiser.set_learning_rate(job.learning_rate_at(epoch.into(), job.epochs.into()));
        }
        draws.shuffle(&mut order);
        let (mut total, mut total_weight) = (Tensor::<B, 1>::zeros([1], device), 0.0);
        for examples in order.chunks(step) {
            // Batches of one step are one larger batch: their gradients are added before they are divided.
            let weight = loss.weight(run.data, examples);
            let mut gradient: Option<Tensor<B, 1>> = None;
            for examples in examples.chunks(batch).flat_map(|b| in_memory(run.spec, run.data, b)) {
                let (of_batch, backward) = differentiate(run, &params, &loss, examples, device);
                total = total + of_batch;
                let sum = backward.sum();
                gradient = Some(match gradient {
                    Some(g) => g + sum,
                    None => sum,
                });
            }
            total_weight += weight;
            // Examples of classes that weigh nothing ask for no step.
            if let Some(gradient) = gradient.filter(|_| weight > 0.0) {
                params = params.with(optimiser.step(params.flat.clone(), gradient / weight));
            }
            steps += 1;
            if job.steps == steps {
                break;
            }
        }
        // Read once an epoch, since reading waits for the device. NaN and infinity stay in a sum once they are in it.
        let mean = total.into_scalar().elem::<f64>() / if total_weight > 0.0 { total_weight } else { 1.0 };
        if !mean.is_finite() {
            // A unit of a federation trains to its end all the same: how soon a site answers would tell that one of its units
            // diverged, and the coordinator chooses the model.
            let first = *not_finite.get_or_insert(epoch);
            if run.scheduled {
                return Err(diverged(first));
            }
        }
        on_epoch(EpochLoss { epoch, loss: mean });
        let over = if job.steps > 0 { steps == job.steps } else { epoch == job.epochs };
        if over {
            break;
        }
    }
    if let Some(first) = not_finite {
        return Err(diverged(first));
    }
    let trained = params.download();
    // The last step's parameters have not been through a loss.
    if trained.values().iter().all(|v| v.is_finite()) { Ok(trained) } else { Err(diverged(epoch)) }
}

/// Cells of the attention of one pass, at most: a few tensors of 64 MiB.
const ATTENTION_CELLS: usize = 1 << 24;

/// A batch in as many parts as its memory asks for: one, but for self-attention, whose weights are heads · frames² for each clip. Their
/// gradients add up to the batch's.
fn in_memory<'a>(spec: &ModelSpec, data: &Examples, batch: &'a [usize]) -> impl Iterator<Item = &'a [usize]> + use<'a> {
    let clips = match spec {
        ModelSpec::LstmTransformer { heads, .. } => {
            let longest = batch.iter().map(|&i| data.frames(i)).max().unwrap_or(1);
            (ATTENTION_CELLS / (heads * longest * longest)).max(1)
        }
        _ => batch.len().max(1),
    };
    batch.chunks(clips)
}

/// Σ ℓ_i over some examples, and the way back from it.
fn differentiate<B: Recurrence>(
    run: &Run<'_>,
    params: &Parameters<B>,
    loss: &Loss,
    examples: &[usize],
    device: &B::Device,
) -> (Tensor<B, 1>, Backward<B>) {
    let batch = Batch::<B>::new(run.spec, run.data, examples, device);
    let mut pass = Pass::training(params);
    let logits = models::logits(run.spec, &mut pass, &batch);
    let (sum, gradient) = cross_entropy(logits.tensor.clone(), loss.targets(run.data, examples, device));
    (sum, pass.backward(&logits, gradient))
}

/// Each example's gradient, `[examples of a batch, d]` row by row, a batch at a time.
pub(crate) fn gradients<B: Recurrence>(
    device: &B::Device,
    start: &FlatParams,
    run: &Run<'_>,
    sink: &mut dyn FnMut(Vec<f32>),
) {
    by_batch::<B>(device, start, run, &mut |backward| sink(read(backward.each())));
}

/// Norms `[n]` of the gradients, and the sum `[d]` of what is left of them after clipping.
pub(crate) fn clipped_gradient<B: Recurrence>(
    device: &B::Device,
    start: &FlatParams,
    run: &Run<'_>,
    clip: f32,
) -> (Vec<f32>, Vec<f32>) {
    let (mut norms, mut sum) = (Vec::new(), Tensor::<B, 1>::zeros([start.values().len()], device));
    by_batch::<B>(device, start, run, &mut |backward| {
        norms.extend(read(backward.norms()));
        sum = sum.clone() + backward.clipped_sum(clip);
    });
    (norms, read(sum))
}

/// ∂ℓ/∂x of the mean loss ℓ over all examples, frame by frame as the examples hold them.
pub(crate) fn input_gradient<B: Recurrence>(device: &B::Device, start: &FlatParams, run: &Run<'_>) -> Vec<f32> {
    let (params, loss) = (Parameters::<B>::upload(start, device), run.loss());
    let all: Vec<usize> = (0..run.data.len()).collect();
    let weight = loss.weight(run.data, &all).max(f64::MIN_POSITIVE);
    let mut gradient = Vec::with_capacity(run.data.features.len());
    for examples in all.chunks(run.job.batch as usize).flat_map(|b| in_memory(run.spec, run.data, b)) {
        let batch = Batch::<B>::new(run.spec, run.data, examples, device);
        let mut pass = Pass::to_inputs(&params);
        let logits = models::logits(run.spec, &mut pass, &batch);
        let (_, of_loss) = cross_entropy(logits.tensor.clone(), loss.targets(run.data, examples, device));
        let input = pass.backward(&logits, of_loss).input.expect("every model begins from its inputs");
        gradient.extend(batch.frames.clips.own_rows(&read(input / weight), run.data.width));
    }
    gradient
}

fn by_batch<B: Recurrence>(device: &B::Device, start: &FlatParams, run: &Run<'_>, each: &mut dyn FnMut(Backward<B>)) {
    let (params, loss) = (Parameters::<B>::upload(start, device), run.loss());
    let all: Vec<usize> = (0..run.data.len()).collect();
    for examples in all.chunks(run.job.batch as usize).flat_map(|b| in_memory(run.spec, run.data, b)) {
        each(differentiate(run, &params, &loss, examples, device).1);
    }
}

/// Logits `[n, classes]` row by row.
pub(crate) fn forward<B: Recurrence>(
    device: &B::Device,
    spec: &ModelSpec,
    params: &FlatParams,
    data: &Examples,
) -> Vec<f32> {
    let params = Parameters::<B>::upload(params, device);
    let all: Vec<usize> = (0..data.len()).collect();
    let of_batch = |examples: &[usize]| {
        let batch = Batch::<B>::new(spec, data, examples, device);
        read(models::logits(spec, &mut Pass::inference(&params), &batch).tensor)
    };
    all.chunks(FORWARD_BATCH).flat_map(|b| in_memory(spec, data, b)).flat_map(of_batch).collect()
}

/// Multiplies two square matrices of `n` rows once on the CPU, for benches that set a model beside what its products alone cost;
/// returns the numbers in the result.
pub fn square_product(n: usize) -> usize {
    let device = burn::backend::flex::FlexDevice;
    let a = Tensor::<burn::backend::Flex, 2>::ones([n, n], &device);
    read(a.clone().matmul(a)).len()
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::backend::flex::FlexDevice;
    use sottovoce_types::ExampleMeta;

    use super::*;

    #[test]
    fn self_attention_over_long_clips_takes_a_batch_in_parts_and_their_gradients_add_up_to_it() {
        let spec = ModelSpec::LstmTransformer { inputs: 1, hidden: 2, heads: 2, feed_forward: 2, classes: 2 };
        let mut data = Examples::empty(1);
        for i in 0..3u16 {
            data.push(&[0.1 * f32::from(i + 1); 2000], i % 2, ExampleMeta::default());
        }
        let parts = |spec| in_memory(spec, &data, &[0, 1, 2]).map(<[usize]>::len).collect::<Vec<_>>();
        // 2 heads · 2000² · 2 clips are 2⁴ · 10⁶ cells.
        assert_eq!(parts(&spec), [2, 1]);
        assert_eq!(parts(&ModelSpec::Lstm { inputs: 1, hidden: 2, bidirectional: false, classes: 2 }), [3]);
    }

    #[test]
    fn a_unit_that_diverges_trains_as_many_epochs_as_any_other() {
        let spec = ModelSpec::Dnn { inputs: 2, hidden: vec![], classes: 2 };
        let mut data = Examples::empty(2);
        data.push(&[1.0, -1.0], 0, ExampleMeta::default());
        let mut trap = spec.initialise(1);
        trap.values_mut().fill(f32::MAX);
        trap.values_mut()[0] = f32::MIN;
        let job = TrainJob { epochs: 4, ..TrainJob::default() };
        let epochs = |start: &FlatParams, scheduled| {
            let mut epochs = 0;
            let run = Run { scheduled, ..Run::new(&spec, &job, &data) };
            let trained = fit::<Flex>(&FlexDevice, start, &run, &mut |_| epochs += 1);
            (epochs, trained.err().map(|e| matches!(e, TrainError::Diverged { epoch: 1, .. })))
        };
        assert_eq!(epochs(&spec.initialise(1), false), (4, None));
        assert_eq!(epochs(&trap, false), (4, Some(true)), "and it is still told that it diverged, and when");
        assert_eq!(epochs(&trap, true), (0, Some(true)), "nobody waits for a centralised run that diverged");
    }
}
