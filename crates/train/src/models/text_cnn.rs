//! How it is said beside what is said (Tripathi et al., "Deep Learning based Emotion Recognition System Using Speech Features and
//! Transcriptions", 2019): convolutions over the frames, and one over the words (Kim 2014).
//!
//! In CREMA-D and RAVDESS every sentence is spoken in every emotion, so that words tell nothing there; in IEMOCAP they do.
use burn::tensor::backend::Backend;

use crate::batch::Batch;
use crate::layers::{convolutions, mean, side_by_side, statistics};
use crate::pass::{Pass, Value};

/// Frames `[rows, inputs]` to statistics `[n, 2c]`, words `[rows, vocabulary]` to their vectors, through a convolution and to its
/// mean `[n, t]`; both to `[n, classes]`.
pub(super) fn logits<B: Backend>(layers: usize, pass: &mut Pass<'_, B>, batch: &Batch<B>) -> Value<B> {
    let frames = pass.input(batch.frames.values.clone());
    let x = convolutions(pass, "conv", layers, frames, &batch.frames.clips);
    let heard = statistics(pass, &x, &batch.frames.clips);
    let words = batch.words.as_ref().expect("a batch of this model has words");
    let vectors = pass.table("words.weight", &words.value());
    let read = convolutions(pass, "text_conv", 1, vectors, &words.clips);
    let read = mean(pass, &read, &words.clips);
    let both = side_by_side(pass, &heard, &read);
    pass.linear("output", &both)
}
