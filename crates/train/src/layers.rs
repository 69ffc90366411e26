//! What models are built of besides layers with parameters, each with its way back.
use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;

use crate::batch::{Clips, Frames};
use crate::kernels::{Direction, Recurrence};
use crate::pass::{Pass, Value};

/// Added to a variance before its root: its slope stays finite where nothing varies, as over a single frame.
const VARIANCE_FLOOR: f32 = 1e-5;

/// Convolutions `name.0`, `name.1`, … with ReLU after each, over `[rows, in]`: `[rows, channels of the last]`, zeros outside the
/// clips' own frames, so that the next convolution finds there what it would at the end of a clip by itself.
pub(crate) fn convolutions<B: Backend>(
    pass: &mut Pass<'_, B>,
    name: &str,
    count: usize,
    mut x: Value<B>,
    clips: &Clips,
) -> Value<B> {
    let mask = clips.mask(&x.tensor.device());
    for i in 0..count {
        x = pass.convolution_relu(&format!("{name}.{i}"), &x, &mask);
    }
    x
}

/// The states of `lstm`, of one direction: `[rows, in]` to `[rows, h]`, zeros outside the clips' own frames.
pub(crate) fn lstm<B: Recurrence>(pass: &mut Pass<'_, B>, direction: Direction, frames: &Frames<B>) -> Value<B> {
    let suffix = match direction {
        Direction::Forward => "",
        Direction::Reverse => "_reverse",
    };
    let named = |part: &str| format!("lstm.{part}_l0{suffix}");
    let biases = [named("bias_ih"), named("bias_hh")];
    let biases: Vec<&str> = biases.iter().map(String::as_str).collect();
    let inputs = pass.input(frames.values.clone());
    let (gates, site) = pass.affine(&named("weight_ih"), &biases, &inputs);
    let recurrent = pass.matrix(&named("weight_hh"));
    let clips = Arc::clone(&frames.clips);
    let place = gates.place();
    // Moved, not copied: all gates are the largest thing there is.
    let run = B::run(gates.tensor, recurrent.clone(), &clips, direction);
    let states = run.states.clone();
    pass.also(site, &named("weight_hh"), || before(states.clone(), &clips, direction));
    pass.step([place], states, move |gradient| [B::gate_gradients(run, &recurrent, &clips, direction, gradient)])
}

/// The state that each frame was reached from: 0 at a clip's first one.
fn before<B: Backend>(states: Tensor<B, 2>, clips: &Clips, direction: Direction) -> Tensor<B, 2> {
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
pub(crate) fn mean<B: Backend>(pass: &mut Pass<'_, B>, x: &Value<B>, clips: &Clips) -> Value<B> {
    let (n, [rows, width]) = (clips.len(), x.dims());
    let weights = clips.mean_weights(&x.tensor.device());
    let mean = weighted(x.tensor.clone(), weights.clone());
    pass.step([x.place()], mean, move |gradient| {
        [spread(weights, gradient.reshape([n, 1, width])).reshape([rows, width])]
    })
}

/// Mean and standard deviation over each clip's own frames, `[n, 2·width]` (statistics pooling, Snyder et al. 2018). `x` is 0
/// outside of them.
pub(crate) fn statistics<B: Backend>(pass: &mut Pass<'_, B>, x: &Value<B>, clips: &Clips) -> Value<B> {
    let (n, period, [rows, width]) = (clips.len(), clips.period(), x.dims());
    let weights = clips.mean_weights(&x.tensor.device());
    let mean = weighted(x.tensor.clone(), weights.clone());
    let ones = Tensor::ones([n, 1, period], &x.tensor.device());
    let everywhere = move |weights: Tensor<B, 3>, per_clip: Tensor<B, 2>| {
        spread(weights, per_clip.reshape([n, 1, width])).reshape([rows, width])
    };
    let centred = x.tensor.clone() - everywhere(ones, mean.clone());
    // Frames of nobody have weight 0.
    let deviation = (weighted(centred.clone() * centred.clone(), weights.clone()) + VARIANCE_FLOOR).sqrt();
    let both = Tensor::cat(vec![mean, deviation.clone()], 1);
    // ∂σ/∂x_t = w_t·(x_t − μ)/σ: what μ does to σ is nothing, since Σ w·(x − μ) = 0.
    pass.step([x.place()], both, move |gradient| {
        let of_mean = gradient.clone().slice([0..n, 0..width]);
        let of_deviation = gradient.slice([0..n, width..2 * width]) / deviation;
        [centred * everywhere(weights.clone(), of_deviation) + everywhere(weights, of_mean)]
    })
}

/// The mean of each clip's own frames, weighted by what `attention.hidden` and `attention.score` make of each (Zhang et al. 2018):
/// `[n, width]`.
pub(crate) fn attention_pooling<B: Backend>(pass: &mut Pass<'_, B>, x: &Value<B>, clips: &Clips) -> Value<B> {
    let (n, period, [rows, width]) = (clips.len(), clips.period(), x.dims());
    let hidden = pass.linear("attention.hidden", x);
    let hidden = tanh(pass, &hidden);
    let score = pass.linear("attention.score", &hidden);
    let mask = clips.attention_mask(&x.tensor.device());
    let weights = softmax(score.tensor.clone().reshape([n, period]) + mask, 1);
    let values = x.tensor.clone();
    let pooled = weighted(values.clone(), weights.clone().reshape([n, 1, period]));
    pass.step([x.place(), score.place()], pooled, move |gradient| {
        let gradient = gradient.reshape([n, 1, width]);
        let of_weights = gradient.clone().matmul(values.reshape([n, period, width]).transpose());
        let of_score = softmax_gradient(weights.clone(), of_weights.reshape([n, period]));
        [spread(weights.reshape([n, 1, period]), gradient).reshape([rows, width]), of_score.reshape([rows, 1])]
    })
}

/// Σ_t w_t·x_t for each clip: x `[rows, width]`, weights `[n, 1, period]`, to `[n, width]`.
fn weighted<B: Backend>(x: Tensor<B, 2>, weights: Tensor<B, 3>) -> Tensor<B, 2> {
    let ([n, _, period], width) = (weights.dims(), x.dims()[1]);
    weights.matmul(x.reshape([n, period, width])).reshape([n, width])
}

/// w_t·g for each frame: weights `[n, 1, period]`, g `[n, 1, width]`, to `[n, period, width]`. A product, because adding what is
/// broadcast over three dimensions goes value by value on the CPU.
fn spread<B: Backend>(weights: Tensor<B, 3>, gradient: Tensor<B, 3>) -> Tensor<B, 3> {
    weights.swap_dims(1, 2).matmul(gradient)
}

/// The gradient before a softmax of each row, from its result p and the gradient g of it: p ⊙ (g − Σ p·g).
fn softmax_gradient<B: Backend>(p: Tensor<B, 2>, gradient: Tensor<B, 2>) -> Tensor<B, 2> {
    let mean = (p.clone() * gradient.clone()).sum_dim(1);
    p * (gradient - mean)
}

/// The hyperbolic tangent of each value.
fn tanh<B: Backend>(pass: &mut Pass<'_, B>, x: &Value<B>) -> Value<B> {
    let y = x.tensor.clone().tanh();
    pass.step([x.place()], y.clone(), move |gradient| [gradient * ((y.clone() * y).neg() + 1.0)])
}

/// The sum of two values.
pub(crate) fn sum<B: Backend>(pass: &mut Pass<'_, B>, a: &Value<B>, b: &Value<B>) -> Value<B> {
    let sum = a.tensor.clone() + b.tensor.clone();
    pass.step([a.place(), b.place()], sum, |gradient| [gradient.clone(), gradient])
}

/// Two values side by side, `[m, a + b]`.
pub(crate) fn side_by_side<B: Backend>(pass: &mut Pass<'_, B>, a: &Value<B>, b: &Value<B>) -> Value<B> {
    let ([m, left], right) = (a.dims(), b.dims()[1]);
    let both = Tensor::cat(vec![a.tensor.clone(), b.tensor.clone()], 1);
    pass.step([a.place(), b.place()], both, move |gradient| {
        [gradient.clone().slice([0..m, 0..left]), gradient.slice([0..m, left..left + right])]
    })
}

/// Each row brought to mean 0 and variance 1, then scaled by `name.weight` and moved by `name.bias` (Ba et al. 2016).
pub(crate) fn layer_norm<B: Backend>(pass: &mut Pass<'_, B>, name: &str, x: &Value<B>) -> Value<B> {
    let centred = x.tensor.clone() - x.tensor.clone().mean_dim(1);
    let deviation = ((centred.clone() * centred.clone()).mean_dim(1) + VARIANCE_FLOOR).sqrt();
    let normal = centred / deviation.clone();
    let y = normal.clone();
    let normalised = pass.step([x.place()], normal, move |gradient| {
        let along = (gradient.clone() * y.clone()).mean_dim(1);
        [(gradient.clone() - gradient.mean_dim(1) - y * along) / deviation]
    });
    pass.scale(name, &normalised)
}

/// Self-attention of each clip's own frames on each other, with `heads` heads (Vaswani et al. 2017, §3.2): `[rows, width]`.
pub(crate) fn self_attention<B: Backend>(
    pass: &mut Pass<'_, B>,
    name: &str,
    heads: usize,
    x: &Value<B>,
    clips: &Clips,
) -> Value<B> {
    let (n, t, [rows, width]) = (clips.len(), clips.period(), x.dims());
    let own = width / heads;
    let projected = pass.affine(&format!("{name}.in_proj_weight"), &[&format!("{name}.in_proj_bias")], x).0;
    // `[rows, 3·width]` to query, key and value, `[n·heads, t, own]` each.
    let cut = projected.tensor.clone().reshape([n, t, 3, heads, own]).permute([2, 0, 3, 1, 4]);
    let part = |k: usize| -> Tensor<B, 3> {
        cut.clone().slice([k..k + 1, 0..n, 0..heads, 0..t, 0..own]).reshape([n * heads, t, own])
    };
    let (query, key, value) = (part(0), part(1), part(2));
    let scale = 1.0 / (own as f64).sqrt();
    let scores =
        query.clone().matmul(key.clone().transpose()) * scale + everyones_mask(clips, heads, &x.tensor.device());
    let weights = softmax(scores.reshape([n * heads * t, t]), 1);
    let by_head = weights.clone().reshape([n * heads, t, t]);
    let mixed =
        by_head.clone().matmul(value.clone()).reshape([n, heads, t, own]).swap_dims(1, 2).reshape([rows, width]);
    let mixed = pass.step([projected.place()], mixed, move |gradient| {
        let gradient = gradient.reshape([n, t, heads, own]).swap_dims(1, 2).reshape([n * heads, t, own]);
        let of_value = by_head.transpose().matmul(gradient.clone());
        let of_weights = gradient.matmul(value.transpose()).reshape([n * heads * t, t]);
        let of_scores = (softmax_gradient(weights, of_weights) * scale).reshape([n * heads, t, t]);
        let of_query = of_scores.clone().matmul(key);
        let of_key = of_scores.transpose().matmul(query);
        let all: Tensor<B, 4> = Tensor::stack(vec![of_query, of_key, of_value], 0);
        [all.reshape([3, n, heads, t, own]).permute([1, 3, 0, 2, 4]).reshape([rows, 3 * width])]
    });
    pass.linear(&format!("{name}.out_proj"), &mixed)
}

/// The attention mask of each clip for every head and every frame that looks: `[n·heads, t, t]`.
fn everyones_mask<B: Backend>(clips: &Clips, heads: usize, device: &B::Device) -> Tensor<B, 3> {
    let (n, t) = (clips.len(), clips.period());
    let mask = clips.attention_mask::<B>(device).reshape([n, 1, t]).repeat_dim(1, heads).reshape([n * heads, 1, t]);
    spread(Tensor::ones([n * heads, 1, t], device), mask)
}
