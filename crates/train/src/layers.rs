//! What models are built of, besides the products with parameters that [`Pass`](crate::pass::Pass) watches.
use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::activation::{relu, softmax};

use crate::batch::{Clips, Frames};
use crate::kernels::{Direction, Kernels};
use crate::pass::Pass;

/// Added to a variance before its root: its slope stays finite where nothing varies, as over a single frame.
const VARIANCE_FLOOR: f32 = 1e-5;

/// Convolutions `name.0`, `name.1`, … with ReLU after each, over `[rows, in]`: `[rows, channels of the last]`, zeros outside the
/// clips' own frames, so that the next convolution finds there what it would at the end of a clip by itself.
pub(crate) fn convolutions<B: Kernels>(
    pass: &mut Pass<'_, B>,
    name: &str,
    count: usize,
    frames: &Frames<B::Plain>,
) -> Tensor<B, 2> {
    let x = B::constant(frames.values.clone());
    convolutions_over(pass, name, count, x, &frames.clips)
}

/// As [`convolutions`], over what other layers made.
pub(crate) fn convolutions_over<B: Kernels>(
    pass: &mut Pass<'_, B>,
    name: &str,
    count: usize,
    mut x: Tensor<B, 2>,
    clips: &Clips,
) -> Tensor<B, 2> {
    let mask = B::constant(clips.mask(&x.device()));
    for i in 0..count {
        x = relu(pass.convolution(&format!("{name}.{i}"), x)) * mask.clone();
    }
    x
}

/// The states of `lstm`, of one direction: `[rows, in]` to `[rows, h]`, zeros outside the clips' own frames.
pub(crate) fn lstm<B: Kernels>(
    pass: &mut Pass<'_, B>,
    direction: Direction,
    frames: &Frames<B::Plain>,
) -> Tensor<B, 2> {
    let suffix = match direction {
        Direction::Forward => "",
        Direction::Reverse => "_reverse",
    };
    let named = |part: &str| format!("lstm.{part}_l0{suffix}");
    let biases = [named("bias_ih"), named("bias_hh")];
    let biases: Vec<&str> = biases.iter().map(String::as_str).collect();
    let x = B::constant(frames.values.clone());
    let (gates, site) = pass.affine(&named("weight_ih"), &biases, x);
    let recurrent = pass.matrix(&named("weight_hh"));
    let states = B::recur(gates, recurrent, &frames.clips, direction);
    pass.also(site, &named("weight_hh"), || before(B::value(&states), &frames.clips, direction));
    states
}

/// The state that each frame was reached from: 0 at a clip's first one.
fn before<B: Kernels<Plain = B>>(states: Tensor<B, 2>, clips: &Clips, direction: Direction) -> Tensor<B, 2> {
    let (n, period, width) = (clips.len(), clips.period(), states.dims()[1]);
    let nothing = Tensor::zeros([n, 1, width], &states.device());
    let states = states.reshape([n, period, width]);
    let shifted = match direction {
        Direction::Forward => Tensor::cat(vec![nothing, states.slice([0..n, 0..period - 1, 0..width])], 1),
        Direction::Reverse => Tensor::cat(vec![states.slice([0..n, 1..period, 0..width]), nothing], 1),
    };
    shifted.reshape([n * period, width])
}

/// The mean of each clip's own frames, `[n, width]`; 0 for a clip without any.
pub(crate) fn mean<B: Kernels>(x: Tensor<B, 2>, clips: &Clips) -> Tensor<B, 2> {
    let weights = B::constant(clips.mean_weights(&x.device()));
    weighted(x, weights, clips)
}

/// Mean and standard deviation over each clip's own frames, `[n, 2·width]` (statistics pooling, Snyder et al. 2018). `x` is 0
/// outside of them.
pub(crate) fn statistics<B: Kernels>(x: Tensor<B, 2>, clips: &Clips) -> Tensor<B, 2> {
    let (n, period, width) = (clips.len(), clips.period(), x.dims()[1]);
    let weights = B::constant(clips.mean_weights(&x.device()));
    let mean = weighted(x.clone(), weights.clone(), clips);
    let centred = x.reshape([n, period, width]) - mean.clone().reshape([n, 1, width]);
    // Frames of nobody have weight 0.
    let variance = weighted((centred.clone() * centred).reshape([n * period, width]), weights, clips);
    Tensor::cat(vec![mean, (variance + VARIANCE_FLOOR).sqrt()], 1)
}

/// The mean of each clip's own frames, weighted by what `attention.hidden` and `attention.score` make of each (Zhang et al. 2018):
/// `[n, width]`.
pub(crate) fn attention_pooling<B: Kernels>(pass: &mut Pass<'_, B>, x: Tensor<B, 2>, clips: &Clips) -> Tensor<B, 2> {
    let hidden = pass.linear("attention.hidden", x.clone()).tanh();
    let score = pass.linear("attention.score", hidden).reshape([clips.len(), 1, clips.period()]);
    let score = score + B::constant(clips.attention_mask(&x.device()));
    weighted(x, softmax(score, 2), clips)
}

/// Σ_t w_t·x_t for each clip: weights `[n, 1, period]`, x `[rows, width]`, to `[n, width]`.
fn weighted<B: Kernels>(x: Tensor<B, 2>, weights: Tensor<B, 3>, clips: &Clips) -> Tensor<B, 2> {
    let (n, width) = (clips.len(), x.dims()[1]);
    weights.matmul(x.reshape([n, clips.period(), width])).reshape([n, width])
}

/// Each row brought to mean 0 and variance 1, then scaled by `name.weight` and moved by `name.bias` (Ba et al. 2016).
pub(crate) fn layer_norm<B: Kernels>(pass: &mut Pass<'_, B>, name: &str, x: Tensor<B, 2>) -> Tensor<B, 2> {
    let centred = x.clone() - x.mean_dim(1);
    let variance = (centred.clone() * centred.clone()).mean_dim(1);
    pass.scale(name, centred / (variance + 1e-5).sqrt())
}

/// Self-attention of each clip's own frames on each other, with `heads` heads (Vaswani et al. 2017, §3.2): `[rows, width]`.
pub(crate) fn self_attention<B: Kernels>(
    pass: &mut Pass<'_, B>,
    name: &str,
    heads: usize,
    x: Tensor<B, 2>,
    clips: &Arc<Clips>,
) -> Tensor<B, 2> {
    let (n, t, [rows, width]) = (clips.len(), clips.period(), x.dims());
    let own = width / heads;
    let device = x.device();
    let projected = pass.affine(&format!("{name}.in_proj_weight"), &[&format!("{name}.in_proj_bias")], x).0;
    let part = |k: usize| -> Tensor<B, 4> {
        let part = projected.clone().slice([0..rows, k * width..(k + 1) * width]);
        part.reshape([n, t, heads, own]).swap_dims(1, 2)
    };
    let (query, key, value) = (part(0), part(1), part(2));
    let scores = query.matmul(key.transpose()) / (own as f64).sqrt();
    let mask = clips.attention_mask::<B::Plain>(&device).reshape([n, 1, 1, t]);
    let weights = softmax(scores + B::constant(mask), 3);
    let mixed = weights.matmul(value).swap_dims(1, 2).reshape([rows, width]);
    pass.linear(&format!("{name}.out_proj"), mixed)
}
