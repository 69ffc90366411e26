//! A recurrent layer whose states attend to each other. Their order needs no encoding: a state knows what came before it.
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::batch::Batch;
use crate::kernels::{Direction, Kernels};
use crate::layers::{layer_norm, lstm, mean, self_attention};
use crate::pass::Pass;

/// Frames `[rows, inputs]` to states `[rows, h]`, through one encoder layer (norm after each part, Vaswani et al. 2017, §3.1) to
/// `[rows, h]`, to their mean `[n, h]`, to `[n, classes]`.
pub(super) fn logits<B: Kernels>(heads: usize, pass: &mut Pass<'_, B>, batch: &Batch<B::Plain>) -> Tensor<B, 2> {
    let clips = &batch.frames.clips;
    let x = lstm(pass, Direction::Forward, &batch.frames);
    let attended = self_attention(pass, "encoder.self_attn", heads, x.clone(), clips);
    let x = layer_norm(pass, "encoder.norm1", x + attended);
    let inner = relu(pass.linear("encoder.linear1", x.clone()));
    let fed = pass.linear("encoder.linear2", inner);
    let x = layer_norm(pass, "encoder.norm2", x + fed);
    let pooled = mean(x, clips);
    pass.linear("output", pooled)
}
