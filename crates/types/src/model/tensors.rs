//! Which tensors each architecture has, and what they are before training.
use super::ModelSpec;

/// What a tensor holds before training.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Start {
    /// Uniform in ±bound.
    Uniform(f64),
    /// The same everywhere.
    Constant(f32),
}

pub(super) type Tensors = Vec<(String, Vec<usize>, Start)>;

/// ±1/√fan_in, PyTorch's default for linear and convolutional layers (and, with the width of the state, for recurrent ones).
fn fan_in(inputs: usize) -> Start {
    #[allow(clippy::cast_precision_loss, reason = "a layer has fewer than 2^52 inputs")]
    Start::Uniform(1.0 / (inputs.max(1) as f64).sqrt())
}

impl ModelSpec {
    /// Every tensor, in the order of the flat vector: its name, shape and start.
    pub(super) fn tensors(&self) -> Tensors {
        let mut out = Tensors::new();
        match self {
            Self::Dnn { inputs, hidden, classes } => {
                let outputs = hidden.iter().copied().chain([*classes]);
                let inputs = [*inputs].into_iter().chain(hidden.iter().copied());
                for (i, (inputs, outputs)) in inputs.zip(outputs).enumerate() {
                    linear(&mut out, &format!("layers.{i}"), inputs, outputs);
                }
            }
            Self::Cnn { inputs, channels, kernel, classes } => {
                let last = convolutions(&mut out, "conv", *inputs, channels, *kernel);
                linear(&mut out, "output", 2 * last, *classes);
            }
            Self::Lstm { inputs, hidden, bidirectional, classes } => {
                lstm(&mut out, *inputs, *hidden, "");
                if *bidirectional {
                    lstm(&mut out, *inputs, *hidden, "_reverse");
                }
                linear(&mut out, "output", hidden * (1 + usize::from(*bidirectional)), *classes);
            }
            Self::LstmTransformer { inputs, hidden, feed_forward, classes, .. } => {
                lstm(&mut out, *inputs, *hidden, "");
                encoder(&mut out, *hidden, *feed_forward);
                linear(&mut out, "output", *hidden, *classes);
            }
            Self::AttentionFcn { inputs, channels, kernel, attention, classes } => {
                let last = convolutions(&mut out, "conv", *inputs, channels, *kernel);
                linear(&mut out, "attention.hidden", last, *attention);
                linear(&mut out, "attention.score", *attention, 1);
                linear(&mut out, "output", last, *classes);
            }
            Self::TextCnn { inputs, channels, kernel, vocabulary, embedding, text_channels, text_kernel, classes } => {
                let last = convolutions(&mut out, "conv", *inputs, channels, *kernel);
                out.push(("words.weight".into(), vec![*vocabulary, *embedding], fan_in(*embedding)));
                let text = convolutions(&mut out, "text_conv", *embedding, &[*text_channels], *text_kernel);
                linear(&mut out, "output", 2 * last + text, *classes);
            }
        }
        out
    }
}

fn linear(out: &mut Tensors, name: &str, inputs: usize, outputs: usize) {
    out.push((format!("{name}.weight"), vec![outputs, inputs], fan_in(inputs)));
    out.push((format!("{name}.bias"), vec![outputs], fan_in(inputs)));
}

/// `{name}.{i}.weight` `[out, in, kernel]` and its bias; returns the channels of the last.
fn convolutions(out: &mut Tensors, name: &str, inputs: usize, channels: &[usize], kernel: usize) -> usize {
    let mut before = inputs;
    for (i, &after) in channels.iter().enumerate() {
        let start = fan_in(before * kernel);
        out.push((format!("{name}.{i}.weight"), vec![after, before, kernel], start));
        out.push((format!("{name}.{i}.bias"), vec![after], start));
        before = after;
    }
    before
}

/// One direction of `torch.nn.LSTM`: gates in the order input, forget, cell, output.
fn lstm(out: &mut Tensors, inputs: usize, hidden: usize, suffix: &str) {
    let start = fan_in(hidden);
    out.push((format!("lstm.weight_ih_l0{suffix}"), vec![4 * hidden, inputs], start));
    out.push((format!("lstm.weight_hh_l0{suffix}"), vec![4 * hidden, hidden], start));
    out.push((format!("lstm.bias_ih_l0{suffix}"), vec![4 * hidden], start));
    out.push((format!("lstm.bias_hh_l0{suffix}"), vec![4 * hidden], start));
}

/// `torch.nn.TransformerEncoderLayer` with its defaults but for dropout: norm after each part, ReLU.
fn encoder(out: &mut Tensors, width: usize, feed_forward: usize) {
    let ones = |out: &mut Tensors, name: &str| {
        out.push((format!("encoder.{name}.weight"), vec![width], Start::Constant(1.0)));
        out.push((format!("encoder.{name}.bias"), vec![width], Start::Constant(0.0)));
    };
    out.push(("encoder.self_attn.in_proj_weight".into(), vec![3 * width, width], fan_in(width)));
    out.push(("encoder.self_attn.in_proj_bias".into(), vec![3 * width], Start::Constant(0.0)));
    out.push(("encoder.self_attn.out_proj.weight".into(), vec![width, width], fan_in(width)));
    out.push(("encoder.self_attn.out_proj.bias".into(), vec![width], Start::Constant(0.0)));
    linear(out, "encoder.linear1", width, feed_forward);
    linear(out, "encoder.linear2", feed_forward, width);
    ones(out, "norm1");
    ones(out, "norm2");
}
