//! What burn's own layers are too slow for, on every backend.
//!
//! A convolution is one matrix product over overlapping windows that are never copied; a recurrent layer is a loop over frames
//! with fused gates. The way back of each is written out.
mod convolution;
mod recurrence;
#[cfg(test)]
mod tests;

pub(crate) use self::convolution::{convolve, input_gradient, windows};
pub(crate) use self::recurrence::{Direction, Recurrence};
