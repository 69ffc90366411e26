//! A recurrent layer, read in one direction or both.
use crate::batch::Batch;
use crate::kernels::{Direction, Recurrence};
use crate::layers::{lstm, mean, side_by_side};
use crate::pass::{Pass, Value};

/// Frames `[rows, inputs]` to states `[rows, h]` in each direction, to their mean `[n, h or 2h]`, to `[n, classes]`.
pub(super) fn logits<B: Recurrence>(bidirectional: bool, pass: &mut Pass<'_, B>, batch: &Batch<B>) -> Value<B> {
    let mut states = lstm(pass, Direction::Forward, &batch.frames);
    if bidirectional {
        let backward = lstm(pass, Direction::Reverse, &batch.frames);
        states = side_by_side(pass, &states, &backward);
    }
    let pooled = mean(pass, &states, &batch.frames.clips);
    pass.linear("output", &pooled)
}
