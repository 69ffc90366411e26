//! Convolutions over time, then statistics of what they found.
use burn::tensor::Tensor;

use crate::batch::Batch;
use crate::kernels::Kernels;
use crate::layers::{convolutions, statistics};
use crate::pass::Pass;

/// Frames `[rows, inputs]` to channels `[rows, c]`, to their mean and standard deviation `[n, 2c]`, to `[n, classes]`.
pub(super) fn logits<B: Kernels>(layers: usize, pass: &mut Pass<'_, B>, batch: &Batch<B::Plain>) -> Tensor<B, 2> {
    let x = convolutions(pass, "conv", layers, &batch.frames);
    let pooled = statistics(x, &batch.frames.clips);
    pass.linear("output", pooled)
}
