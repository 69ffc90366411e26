//! The two operations that burn's own layers are too slow for, on every backend, with and without a tape of gradients.
//!
//! A convolution is one matrix product over overlapping windows that are never copied; a recurrent layer is a loop over frames
//! with fused gates. Each has its backward pass written out and entered into burn's tape as one step.
mod convolution;
mod recurrence;
mod tape;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

pub(crate) use self::convolution::windows;
pub(crate) use self::recurrence::{Direction, Recurrence};
use crate::batch::Clips;

/// A backend that models are written for: plain, or with a tape above a plain one.
pub(crate) trait Kernels: Backend {
    /// The backend of what no gradient is asked for: itself, or the one below the tape.
    type Plain: Recurrence + Backend<Device = Self::Device>;

    /// Whether there is a tape.
    const TAPED: bool;

    /// A tensor that no gradient is asked for.
    fn constant<const D: usize>(tensor: Tensor<Self::Plain, D>) -> Tensor<Self, D>;

    /// A tensor whose gradient will be asked for, where there is a tape.
    fn watched<const D: usize>(tensor: Tensor<Self::Plain, D>) -> Tensor<Self, D>;

    /// The value alone.
    fn value<const D: usize>(tensor: &Tensor<Self, D>) -> Tensor<Self::Plain, D>;

    /// Convolution over rows: `x` `[m, in]`, `weight` `[out, in, k]` with k odd, to `[m, out]`: row r of the result sees rows
    /// r − k/2 to r + k/2 of `x`, and zeros beyond its ends. The gradient of `weight` is not the tape's business
    /// ([`Use::Windows`](crate::pass::Use)).
    fn convolve(x: Tensor<Self, 2>, weight: Tensor<Self::Plain, 3>) -> Tensor<Self, 2>;

    /// The states `[m, h]` of a recurrent layer: `gates` `[m, 4h]` is what the inputs and biases give, `weight` `[4h, h]` acts on
    /// the state. Gates in the order input, forget, cell, output. Outside a clip's own frames the state is 0. The gradient of
    /// `gates` is that of all pre-activations; that of `weight` is made from it.
    fn recur(
        gates: Tensor<Self, 2>,
        weight: Tensor<Self::Plain, 2>,
        clips: &Arc<Clips>,
        direction: Direction,
    ) -> Tensor<Self, 2>;
}

/// A plain backend is its own.
macro_rules! plain {
    ($backend:ty) => {
        impl Kernels for $backend {
            type Plain = Self;
            const TAPED: bool = false;

            fn constant<const D: usize>(tensor: Tensor<Self, D>) -> Tensor<Self, D> {
                tensor
            }

            fn watched<const D: usize>(tensor: Tensor<Self, D>) -> Tensor<Self, D> {
                tensor
            }

            fn value<const D: usize>(tensor: &Tensor<Self, D>) -> Tensor<Self, D> {
                tensor.clone()
            }

            fn convolve(x: Tensor<Self, 2>, weight: Tensor<Self, 3>) -> Tensor<Self, 2> {
                convolution::convolve(x, weight)
            }

            fn recur(
                gates: Tensor<Self, 2>,
                weight: Tensor<Self, 2>,
                clips: &Arc<Clips>,
                direction: Direction,
            ) -> Tensor<Self, 2> {
                Self::run(gates, weight, clips, direction).states
            }
        }
    };
}

plain!(burn::backend::Flex);
#[cfg(feature = "cuda")]
plain!(burn::backend::Cuda);
