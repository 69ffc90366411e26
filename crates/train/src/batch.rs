//! Examples as tensors: clips of different lengths side by side, with zeros between.
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use sottovoce_types::{Examples, InputKind, ModelSpec};

use crate::pass::Value;

/// Where the rows of a batch of clips are: clip i takes rows i·period to (i+1)·period − 1, of which the first `margin` and those
/// beyond its own length belong to nobody and hold zeros.
///
/// The margin keeps clips apart for convolutions: a window that reaches over the end of one clip finds zeros before the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Clips {
    lengths: Vec<usize>,
    margin: usize,
    period: usize,
}

impl Clips {
    pub(crate) fn new(lengths: Vec<usize>, margin: usize) -> Self {
        let longest = lengths.iter().copied().max().unwrap_or(0);
        // A batch in which nobody says anything still has a frame, so that no tensor is empty.
        Self { lengths, margin, period: margin + longest.max(1) }
    }

    /// Clips.
    pub(crate) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Rows of a clip.
    pub(crate) fn period(&self) -> usize {
        self.period
    }

    /// Rows of all clips.
    pub(crate) fn rows(&self) -> usize {
        self.len() * self.period
    }

    /// Whether row `s` of clip `i` is a frame of its own.
    pub(crate) fn holds(&self, i: usize, s: usize) -> bool {
        s >= self.margin && s - self.margin < self.lengths[i]
    }

    /// The row of a clip's first frame.
    fn first(&self, i: usize) -> usize {
        i * self.period + self.margin
    }

    /// 1 at a clip's own frames, 0 elsewhere: `[rows, 1]`.
    pub(crate) fn mask<B: Backend>(&self, device: &B::Device) -> Tensor<B, 2> {
        let values = self.per_row(|_| 1.0, 0.0);
        Tensor::from_data(TensorData::new(values, [self.rows(), 1]), device)
    }

    /// 1 / length at a clip's own frames, 0 elsewhere: `[n, 1, period]`. Times values it gives their mean over time.
    pub(crate) fn mean_weights<B: Backend>(&self, device: &B::Device) -> Tensor<B, 3> {
        let values = self.per_row(|length| 1.0 / length as f32, 0.0);
        Tensor::from_data(TensorData::new(values, [self.len(), 1, self.period]), device)
    }

    /// 0 at a clip's own frames, −10⁹ elsewhere, to be added before a softmax over time: `[n, period]`.
    pub(crate) fn attention_mask<B: Backend>(&self, device: &B::Device) -> Tensor<B, 2> {
        let values = self.per_row(|_| 0.0, -1e9);
        Tensor::from_data(TensorData::new(values, [self.len(), self.period]), device)
    }

    /// The clips' own rows of `[rows, width]`, one clip after the other.
    pub(crate) fn own_rows(&self, values: &[f32], width: usize) -> Vec<f32> {
        let own = |(i, &length): (usize, &usize)| values[self.first(i) * width..][..length * width].to_vec();
        self.lengths.iter().enumerate().flat_map(own).collect()
    }

    fn per_row(&self, own: impl Fn(usize) -> f32, other: f32) -> Vec<f32> {
        let mut values = vec![other; self.rows()];
        for (i, &length) in self.lengths.iter().enumerate() {
            values[self.first(i)..][..length].fill(own(length));
        }
        values
    }
}

/// A sequence of vectors for each example.
#[derive(Clone, Debug)]
pub(crate) struct Frames<B: Backend> {
    /// `[rows, width]`, zeros where nobody's frames are.
    pub(crate) values: Tensor<B, 2>,
    /// Where whose frames are.
    pub(crate) clips: std::sync::Arc<Clips>,
}

impl<B: Backend> Frames<B> {
    /// What a model begins from.
    pub(crate) fn value(&self) -> Value<B> {
        Value::constant(self.values.clone())
    }
}

/// What goes into a model at once.
#[derive(Clone, Debug)]
pub(crate) struct Batch<B: Backend> {
    /// Statistics (one frame an example) or frames.
    pub(crate) frames: Frames<B>,
    /// Which row of the table of words each word is, one-hot `[rows, vocabulary]`; 0 everywhere where there is no word.
    pub(crate) words: Option<Frames<B>>,
}

impl<B: Backend> Batch<B> {
    /// The examples at `indices`.
    pub(crate) fn new(spec: &ModelSpec, data: &Examples, indices: &[usize], device: &B::Device) -> Self {
        let margin = match spec {
            ModelSpec::Cnn { kernel, .. }
            | ModelSpec::AttentionFcn { kernel, .. }
            | ModelSpec::TextCnn { kernel, .. } => kernel / 2,
            _ => 0,
        };
        let clips = Clips::new(indices.iter().map(|&i| data.frames(i)).collect(), margin);
        let mut values = vec![0.0; clips.rows() * data.width];
        for (place, &i) in indices.iter().enumerate() {
            let row = data.row(i);
            values[clips.first(place) * data.width..][..row.len()].copy_from_slice(row);
        }
        let frames = Frames {
            values: Tensor::from_data(TensorData::new(values, [clips.rows(), data.width]), device),
            clips: clips.into(),
        };
        let words = (spec.input_kind() == InputKind::FramesAndWords).then(|| words(spec, data, indices, device));
        Self { frames, words }
    }
}

fn words<B: Backend>(spec: &ModelSpec, data: &Examples, indices: &[usize], device: &B::Device) -> Frames<B> {
    let ModelSpec::TextCnn { vocabulary, text_kernel, .. } = spec else {
        unreachable!("only this model reads words");
    };
    let clips = Clips::new(indices.iter().map(|&i| data.words(i).len()).collect(), text_kernel / 2);
    let mut values = vec![0.0; clips.rows() * vocabulary];
    for (place, &i) in indices.iter().enumerate() {
        for (k, &hash) in data.words(i).iter().enumerate() {
            // Row 0 stands for no word.
            let row = 1 + hash as usize % (vocabulary - 1);
            values[(clips.first(place) + k) * vocabulary + row] = 1.0;
        }
    }
    let values = Tensor::from_data(TensorData::new(values, [clips.rows(), *vocabulary]), device);
    Frames { values, clips: clips.into() }
}
