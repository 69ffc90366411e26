//! A recurrent layer whose states attend to each other. Their order needs no encoding: a state knows what came before it.
use crate::batch::Batch;
use crate::kernels::{Direction, Recurrence};
use crate::layers::{layer_norm, lstm, mean, self_attention, sum};
use crate::pass::{Pass, Value};

/// Frames `[rows, inputs]` to states `[rows, h]`, through one encoder layer (norm after each part, Vaswani et al. 2017, §3.1) to
/// `[rows, h]`, to their mean `[n, h]`, to `[n, classes]`.
pub(super) fn logits<B: Recurrence>(heads: usize, pass: &mut Pass<'_, B>, batch: &Batch<B>) -> Value<B> {
    let clips = &batch.frames.clips;
    let x = lstm(pass, Direction::Forward, &batch.frames);
    let attended = self_attention(pass, "encoder.self_attn", heads, &x, clips);
    let x = sum(pass, &x, &attended);
    let x = layer_norm(pass, "encoder.norm1", &x);
    let inner = pass.linear_relu("encoder.linear1", &x);
    let fed = pass.linear("encoder.linear2", &inner);
    let x = sum(pass, &x, &fed);
    let x = layer_norm(pass, "encoder.norm2", &x);
    let pooled = mean(pass, &x, clips);
    pass.linear("output", &pooled)
}
