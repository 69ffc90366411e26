//! Why a plan is refused, with the mend.
use crate::plan::MAX_CLIP_BITS;

/// The plan could overflow, or is empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Headroom {
    /// The worst case of the sum does not fit its lane.
    #[error(
        "a coordinate of the sum can need {needed_bits} bits, but {lanes} lanes leave {available_bits}: {}",
        mend(*excess_bits, *lanes_that_fit, *rotation_fits)
    )]
    TooNarrow {
        /// Bits of the worst case, sign included.
        needed_bits: u32,
        /// Bits of a lane.
        available_bits: u32,
        /// Lanes asked for.
        lanes: usize,
        /// How many clip_bits fewer would fit (noise shrinks with the grid).
        excess_bits: u32,
        /// The most lanes that would fit with these clip_bits, if any.
        lanes_that_fit: Option<u8>,
        /// Whether it would fit as it is with a rotation.
        rotation_fits: bool,
    },
    /// A rotated update would vanish between the steps of the grid.
    #[error(
        "a rotation spreads an update over {dim} coordinates, which leaves each fewer than {MIN_SPREAD_STEPS} of 2^{clip_bits} grid \
         steps: use at least {needed} clip_bits, or rotation = \"none\""
    )]
    TooCoarse {
        /// Parameters.
        dim: usize,
        /// What was asked for.
        clip_bits: u32,
        /// The fewest that do.
        needed: u32,
    },
    /// clip_bits is out of range.
    #[error("clip_bits must be 1 to {MAX_CLIP_BITS}, but is {clip_bits}")]
    ClipBits {
        /// What was asked for.
        clip_bits: u32,
    },
    /// No parameters or no units.
    #[error("{what} must be at least 1")]
    Empty {
        /// Which of the two.
        what: &'static str,
    },
}

/// The fewest grid steps in C/√d, a coordinate's root mean square when an update of norm C is spread evenly. Truncation toward zero
/// takes about half a step of each: with 4 steps, a tenth of the update.
pub(crate) const MIN_SPREAD_STEPS: u128 = 4;

fn mend(excess_bits: u32, lanes_that_fit: Option<u8>, rotation_fits: bool) -> String {
    let fewer_lanes = lanes_that_fit.map_or(String::new(), |n| format!(", or at most {n} lanes"));
    let rotation = if rotation_fits { ", or rotation = \"hadamard\"" } else { "" };
    format!("use {excess_bits} fewer clip_bits{fewer_lanes}{rotation}")
}
