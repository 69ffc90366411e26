//! Convolutions over time, then a mean that attention weighs (Zhang et al., "Attention Based Fully Convolutional Network for Speech
//! Emotion Recognition", APSIPA 2018).
use burn::tensor::backend::Backend;

use crate::batch::Batch;
use crate::layers::{attention_pooling, convolutions};
use crate::pass::{Pass, Value};

/// Frames `[rows, inputs]` to channels `[rows, c]`, to their weighted mean `[n, c]`, to `[n, classes]`.
pub(super) fn logits<B: Backend>(layers: usize, pass: &mut Pass<'_, B>, batch: &Batch<B>) -> Value<B> {
    let frames = pass.input(batch.frames.values.clone());
    let x = convolutions(pass, "conv", layers, frames, &batch.frames.clips);
    let pooled = attention_pooling(pass, &x, &batch.frames.clips);
    pass.linear("output", &pooled)
}
