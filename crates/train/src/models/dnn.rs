//! Fully connected layers on statistics of a clip.
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::batch::Batch;
use crate::kernels::Kernels;
use crate::pass::Pass;

/// Linear layers with ReLU between: `[n, inputs]` to `[n, classes]`.
pub(super) fn logits<B: Kernels>(hidden: usize, pass: &mut Pass<'_, B>, batch: &Batch<B::Plain>) -> Tensor<B, 2> {
    let mut x = B::constant(batch.frames.values.clone());
    for i in 0..hidden {
        x = relu(pass.linear(&format!("layers.{i}"), x));
    }
    pass.linear(&format!("layers.{hidden}"), x)
}
