//! Architectures: which tensors a model has, under which names, and what they are before training.
//!
//! Names and shapes are those that PyTorch's own layers have, so that a checkpoint loads into `torch.nn` by
//! `load_state_dict` (`docs/pytorch/models.py` holds the modules). What a model computes stands in `sottovoce-train`; here is
//! only what a coordinator without a machine-learning library must know.
mod tensors;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::tensors::Start;
use crate::{FlatParams, OutOfRange, ParamLayout, Sha256Writer};

/// A model's architecture.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ModelSpec {
    /// Fully connected layers with ReLU between, on statistics of a clip.
    Dnn {
        /// Features per example.
        inputs: usize,
        /// Width of each hidden layer; none for softmax regression.
        hidden: Vec<usize>,
        /// Classes.
        classes: usize,
    },
    /// Convolutions over time with ReLU, then mean and standard deviation over the frames, then one linear layer.
    Cnn {
        /// Features per frame.
        inputs: usize,
        /// Output channels of each convolution.
        channels: Vec<usize>,
        /// Frames that a convolution sees; odd.
        kernel: usize,
        /// Classes.
        classes: usize,
    },
    /// A recurrent layer, then the mean of its states over the frames, then one linear layer.
    Lstm {
        /// Features per frame.
        inputs: usize,
        /// Width of the state, in each direction.
        hidden: usize,
        /// Whether a second layer reads the frames from the end.
        bidirectional: bool,
        /// Classes.
        classes: usize,
    },
    /// A recurrent layer, then one transformer encoder layer on its states, then their mean, then one linear layer.
    LstmTransformer {
        /// Features per frame.
        inputs: usize,
        /// Width of the state and of the transformer.
        hidden: usize,
        /// Heads of the self-attention; divides `hidden`.
        heads: usize,
        /// Width of the transformer's feed-forward part.
        feed_forward: usize,
        /// Classes.
        classes: usize,
    },
    /// Convolutions over time with ReLU, then a mean over the frames weighted by attention, then one linear layer.
    AttentionFcn {
        /// Features per frame.
        inputs: usize,
        /// Output channels of each convolution.
        channels: Vec<usize>,
        /// Frames that a convolution sees; odd.
        kernel: usize,
        /// Width of the layer that scores a frame.
        attention: usize,
        /// Classes.
        classes: usize,
    },
    /// The convolutional model beside one on the words of the transcript; both statistics go into one linear layer.
    TextCnn {
        /// Features per frame.
        inputs: usize,
        /// Output channels of each convolution over the frames.
        channels: Vec<usize>,
        /// Frames that a convolution sees; odd.
        kernel: usize,
        /// Rows of the table of words, the first of which stands for no word.
        vocabulary: usize,
        /// Width of a word's vector.
        embedding: usize,
        /// Output channels of the convolution over the words.
        text_channels: usize,
        /// Words that it sees; odd.
        text_kernel: usize,
        /// Classes.
        classes: usize,
    },
}

/// What one example of a model is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum InputKind {
    /// One vector of statistics.
    Statistics,
    /// Frames, as many as the clip has.
    Frames,
    /// Frames, and the words that are said.
    FramesAndWords,
}

impl ModelSpec {
    /// Most parameters that a model may have: beyond it a spec is a mistake, or an attack on memory.
    pub const MAX_PARAMETERS: usize = 1 << 26;

    /// Most frames that a convolution may see.
    pub const MAX_KERNEL: usize = 1023;

    /// Whether the architecture is possible.
    ///
    /// # Errors
    /// [`OutOfRange`] that names the width at fault.
    pub fn check(&self) -> Result<(), OutOfRange> {
        #[allow(clippy::cast_precision_loss, reason = "for an error text")]
        let refuse = |what, must, is: usize| Err(OutOfRange { what, must, is: is as f64 });
        let sizes = self.sizes();
        if let Some((what, is)) = sizes.iter().find(|(_, n)| *n == 0 || *n > 1 << 16) {
            return refuse(what, "between 1 and 65536", *is);
        }
        for (what, kernel) in sizes.iter().filter(|(what, _)| what.contains("kernel")) {
            if kernel % 2 == 0 {
                return refuse(what, "odd, so that a frame has as many neighbours on either side", *kernel);
            }
            // A clip has as much margin as its windows reach over: memory and time grow with the kernel, whatever the clip.
            if *kernel > Self::MAX_KERNEL {
                return refuse(what, "at most 1023", *kernel);
            }
        }
        match self {
            Self::Cnn { channels, .. } | Self::AttentionFcn { channels, .. } | Self::TextCnn { channels, .. }
                if channels.is_empty() =>
            {
                return refuse("the number of convolutions", "at least 1", 0);
            }
            Self::LstmTransformer { hidden, heads, .. } if hidden % heads != 0 => {
                return refuse("the number of heads", "a divisor of the width of the state", *heads);
            }
            Self::TextCnn { vocabulary, .. } if *vocabulary < 2 => {
                return refuse("the vocabulary", "at least 2: no word, and one word", *vocabulary);
            }
            _ => {}
        }
        // Widths are below 2^16 + 1, so no tensor's length overflows.
        let parameters = self
            .tensors()
            .iter()
            .fold(0usize, |n, (_, shape, _)| n.saturating_add(shape.iter().fold(1usize, |m, w| m.saturating_mul(*w))));
        if parameters > Self::MAX_PARAMETERS {
            return refuse("the number of parameters", "at most 2^26", parameters);
        }
        Ok(())
    }

    /// The word used in configs and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dnn { .. } => "dnn",
            Self::Cnn { .. } => "cnn",
            Self::Lstm { .. } => "lstm",
            Self::LstmTransformer { .. } => "lstm-transformer",
            Self::AttentionFcn { .. } => "attention-fcn",
            Self::TextCnn { .. } => "text-cnn",
        }
    }

    /// What one example is.
    pub fn input_kind(&self) -> InputKind {
        match self {
            Self::Dnn { .. } => InputKind::Statistics,
            Self::TextCnn { .. } => InputKind::FramesAndWords,
            _ => InputKind::Frames,
        }
    }

    /// Features of one frame, or of one vector of statistics.
    pub fn inputs(&self) -> usize {
        match self {
            Self::Dnn { inputs, .. }
            | Self::Cnn { inputs, .. }
            | Self::Lstm { inputs, .. }
            | Self::LstmTransformer { inputs, .. }
            | Self::AttentionFcn { inputs, .. }
            | Self::TextCnn { inputs, .. } => *inputs,
        }
    }

    /// Classes that the model tells apart.
    pub fn classes(&self) -> usize {
        match self {
            Self::Dnn { classes, .. }
            | Self::Cnn { classes, .. }
            | Self::Lstm { classes, .. }
            | Self::LstmTransformer { classes, .. }
            | Self::AttentionFcn { classes, .. }
            | Self::TextCnn { classes, .. } => *classes,
        }
    }

    /// Which tensors the model has, in the order of the flat vector.
    pub fn layout(&self) -> ParamLayout {
        ParamLayout::new(self.tensors().into_iter().map(|(name, shape, _)| (name, shape)))
    }

    /// Writes into a digest what tells architectures apart: two that differ in their heads alone have the same tensors, and would
    /// train on the same parameters without noticing.
    pub fn write_to(&self, w: &mut Sha256Writer) {
        w.field(self.name().as_bytes()).field(self.layout().digest().as_bytes());
        if let Self::LstmTransformer { heads, .. } = self {
            w.number(*heads as u64);
        }
    }

    /// Initial parameters, the same bits on every machine: drawn from SHA-256 of seed and position, so that a coordinator
    /// without a machine-learning library has them too. PyTorch's defaults, but for the attention's input projection and the
    /// table of words, which are uniform here as well.
    pub fn initialise(&self, seed: u64) -> FlatParams {
        let mut values = Vec::new();
        for (_, shape, start) in self.tensors() {
            for _ in 0..shape.iter().product::<usize>() {
                values.push(match start {
                    Start::Constant(value) => value,
                    Start::Uniform(bound) => {
                        let position = values.len() as u64;
                        let digest = Sha256Writer::new("sottovoce/1/init").number(seed).number(position).finish();
                        let bytes = digest.as_bytes();
                        // 24 bits: every value k / 2^24 is exact in f32.
                        let k = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
                        let unit = f64::from(k) / f64::from(1u32 << 24);
                        #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is the point")]
                        let value = (bound * (2.0 * unit - 1.0)) as f32;
                        value
                    }
                });
            }
        }
        FlatParams::new(Arc::new(self.layout()), values).expect("one value per parameter of the layout")
    }

    /// All widths, each with its name for errors.
    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let mut sizes = vec![("the features of a frame", self.inputs()), ("the number of classes", self.classes())];
        match self {
            Self::Dnn { hidden, .. } => sizes.extend(hidden.iter().map(|&n| ("the width of a hidden layer", n))),
            Self::Cnn { channels, kernel, .. } => {
                sizes.push(("the kernel", *kernel));
                sizes.extend(channels.iter().map(|&n| ("the channels of a convolution", n)));
            }
            Self::Lstm { hidden, .. } => sizes.push(("the width of the state", *hidden)),
            Self::LstmTransformer { hidden, heads, feed_forward, .. } => sizes.extend([
                ("the width of the state", *hidden),
                ("the number of heads", *heads),
                ("the width of the feed-forward part", *feed_forward),
            ]),
            Self::AttentionFcn { channels, kernel, attention, .. } => {
                sizes.extend([("the kernel", *kernel), ("the width of the attention", *attention)]);
                sizes.extend(channels.iter().map(|&n| ("the channels of a convolution", n)));
            }
            Self::TextCnn { channels, kernel, vocabulary, embedding, text_channels, text_kernel, .. } => {
                sizes.extend([
                    ("the kernel", *kernel),
                    ("the vocabulary", *vocabulary),
                    ("the width of a word's vector", *embedding),
                    ("the channels of the convolution over words", *text_channels),
                    ("the kernel of the convolution over words", *text_kernel),
                ]);
                sizes.extend(channels.iter().map(|&n| ("the channels of a convolution", n)));
            }
        }
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Vec<ModelSpec> {
        vec![
            ModelSpec::Dnn { inputs: 65, hidden: vec![16], classes: 5 },
            ModelSpec::Cnn { inputs: 13, channels: vec![8, 6], kernel: 5, classes: 5 },
            ModelSpec::Lstm { inputs: 13, hidden: 8, bidirectional: true, classes: 5 },
            ModelSpec::LstmTransformer { inputs: 13, hidden: 8, heads: 2, feed_forward: 16, classes: 5 },
            ModelSpec::AttentionFcn { inputs: 13, channels: vec![12], kernel: 5, attention: 4, classes: 5 },
            ModelSpec::TextCnn {
                inputs: 13,
                channels: vec![12],
                kernel: 5,
                vocabulary: 64,
                embedding: 6,
                text_channels: 8,
                text_kernel: 3,
                classes: 5,
            },
        ]
    }

    #[test]
    fn initial_parameters_are_the_same_for_the_same_seed_and_within_their_bound() {
        let spec = ModelSpec::Dnn { inputs: 65, hidden: vec![16], classes: 5 };
        let a = spec.initialise(7);
        assert_eq!(a, spec.initialise(7));
        assert_ne!(a.digest(), spec.initialise(8).digest());
        assert_eq!(a.values().len(), 65 * 16 + 16 + 16 * 5 + 5);
        assert!(a.values().iter().all(|v| v.abs() <= 0.25 + 1e-6));
    }

    #[test]
    fn parameters_are_counted_as_pytorch_counts_them() {
        // `sum(p.numel() for p in model.parameters())` of the modules in docs/pytorch/models.py.
        let counts: Vec<usize> = every_kind().iter().map(|s| s.initialise(1).values().len()).collect();
        assert_eq!(counts, [1141, 528 + 246 + 65, 1557, 736 + 600 + 45, 792 + 52 + 5 + 65, 792 + 384 + 152 + 165]);
    }

    #[test]
    fn architectures_with_the_same_tensors_have_different_digests() {
        let digest = |spec: &ModelSpec| {
            let mut w = Sha256Writer::new("test");
            spec.write_to(&mut w);
            w.finish()
        };
        let heads = |heads| ModelSpec::LstmTransformer { inputs: 13, hidden: 8, heads, feed_forward: 16, classes: 5 };
        assert_eq!(heads(2).layout(), heads(4).layout(), "what makes them hard to tell apart");
        let mut all: Vec<_> = every_kind().iter().chain([&heads(4)]).map(digest).collect();
        all.sort_unstable_by_key(|d| d.0);
        all.dedup();
        assert_eq!(all.len(), 7);
    }

    #[test]
    fn what_cannot_be_built_is_refused_by_name() {
        for spec in every_kind() {
            assert_eq!(spec.check(), Ok(()), "{spec:?}");
        }
        for (bad, says) in [
            (ModelSpec::Dnn { inputs: 0, hidden: vec![], classes: 5 }, "features"),
            (ModelSpec::Dnn { inputs: 65_536, hidden: vec![65_536], classes: 5 }, "parameters"),
            (ModelSpec::Cnn { inputs: 13, channels: vec![8], kernel: 4, classes: 5 }, "odd"),
            (ModelSpec::Cnn { inputs: 13, channels: vec![8], kernel: 1025, classes: 5 }, "1023"),
            (ModelSpec::Cnn { inputs: 13, channels: vec![], kernel: 5, classes: 5 }, "convolutions"),
            (ModelSpec::Lstm { inputs: 13, hidden: usize::MAX, bidirectional: true, classes: 5 }, "state"),
            (ModelSpec::LstmTransformer { inputs: 13, hidden: 8, heads: 3, feed_forward: 8, classes: 5 }, "divisor"),
        ] {
            let error = bad.check().unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
