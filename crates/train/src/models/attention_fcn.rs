//! Convolutions over time, then a mean that attention weighs (Zhang et al., "Attention Based Fully Convolutional Network for Speech
//! Emotion Recognition", APSIPA 2018).
use burn::tensor::Tensor;

use crate::batch::Batch;
use crate::kernels::Kernels;
use crate::layers::{attention_pooling, convolutions};
use crate::pass::Pass;

/// Frames `[rows, inputs]` to channels `[rows, c]`, to their weighted mean `[n, c]`, to `[n, classes]`.
pub(super) fn logits<B: Kernels>(layers: usize, pass: &mut Pass<'_, B>, batch: &Batch<B::Plain>) -> Tensor<B, 2> {
    let x = convolutions(pass, "conv", layers, &batch.frames);
    let pooled = attention_pooling(pass, x, &batch.frames.clips);
    pass.linear("output", pooled)
}
