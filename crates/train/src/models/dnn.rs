//! Fully connected layers on statistics of a clip.
use burn::tensor::backend::Backend;

use crate::batch::Batch;
use crate::pass::{Pass, Value};

/// Linear layers with ReLU between: `[n, inputs]` to `[n, classes]`.
pub(super) fn logits<B: Backend>(hidden: usize, pass: &mut Pass<'_, B>, batch: &Batch<B>) -> Value<B> {
    let mut x = pass.input(batch.frames.values.clone());
    for i in 0..hidden {
        x = pass.linear_relu(&format!("layers.{i}"), &x);
    }
    pass.linear(&format!("layers.{hidden}"), &x)
}
