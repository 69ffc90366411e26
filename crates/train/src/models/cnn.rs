//! Convolutions over time, then statistics of what they found.
use burn::tensor::backend::Backend;

use crate::batch::Batch;
use crate::layers::{convolutions, statistics};
use crate::pass::{Pass, Value};

/// Frames `[rows, inputs]` to channels `[rows, c]`, to their mean and standard deviation `[n, 2c]`, to `[n, classes]`.
pub(super) fn logits<B: Backend>(layers: usize, pass: &mut Pass<'_, B>, batch: &Batch<B>) -> Value<B> {
    let frames = pass.input(batch.frames.values.clone());
    let x = convolutions(pass, "conv", layers, frames, &batch.frames.clips);
    let pooled = statistics(pass, &x, &batch.frames.clips);
    pass.linear("output", &pooled)
}
