//! A recurrent layer, read in one direction or both.
use burn::tensor::Tensor;

use crate::batch::Batch;
use crate::kernels::{Direction, Kernels};
use crate::layers::{lstm, mean};
use crate::pass::Pass;

/// Frames `[rows, inputs]` to states `[rows, h]` in each direction, to their mean `[n, h or 2h]`, to `[n, classes]`.
pub(super) fn logits<B: Kernels>(
    bidirectional: bool,
    pass: &mut Pass<'_, B>,
    batch: &Batch<B::Plain>,
) -> Tensor<B, 2> {
    let mut states = lstm(pass, Direction::Forward, &batch.frames);
    if bidirectional {
        let backward = lstm(pass, Direction::Reverse, &batch.frames);
        states = Tensor::cat(vec![states, backward], 1);
    }
    let pooled = mean(states, &batch.frames.clips);
    pass.linear("output", pooled)
}
