//! How it is said beside what is said (Tripathi et al., "Deep Learning based Emotion Recognition System Using Speech Features and
//! Transcriptions", 2019): convolutions over the frames, and one over the words (Kim 2014).
//!
//! In CREMA-D and RAVDESS every sentence is spoken in every emotion, so that words tell nothing there; in IEMOCAP they do.
use burn::tensor::Tensor;

use crate::batch::Batch;
use crate::kernels::Kernels;
use crate::layers::{convolutions, convolutions_over, mean, statistics};
use crate::pass::Pass;

/// Frames `[rows, inputs]` to statistics `[n, 2c]`, words `[rows, vocabulary]` to their vectors, through a convolution and to its
/// mean `[n, t]`; both to `[n, classes]`.
pub(super) fn logits<B: Kernels>(layers: usize, pass: &mut Pass<'_, B>, batch: &Batch<B::Plain>) -> Tensor<B, 2> {
    let x = convolutions(pass, "conv", layers, &batch.frames);
    let heard = statistics(x, &batch.frames.clips);
    let words = batch.words.as_ref().expect("a batch of this model has words");
    let vectors = pass.table("words.weight", B::constant(words.values.clone()));
    let read = convolutions_over(pass, "text_conv", 1, vectors, &words.clips);
    let read = mean(read, &words.clips);
    pass.linear("output", Tensor::cat(vec![heard, read], 1))
}
