//! From one privacy unit's raw update to integers that can be summed without loss, and back.
//!
//! The stages consume each other: [`Clipped`] → [`Quantised`] → [`SiteSum`]. Noise and packing happen in
//! `sottovoce-dp`, which alone can make what a client may submit. Start with [`EncodePlan`] (every length and bound, agreed
//! before the round) and [`Clipped`].
//!
//! The sensitivity argument is in `proof.md` beside this file: after quantisation one unit moves the sum by at most
//! C = 2^clip_bits grid steps in L2, exactly, in integers; where a count of unclipped units rides along, vector and count together
//! by at most √([`EncodePlan::squared_sensitivity`]).
//!
//! With [`Rotation::Hadamard`](sottovoce_types::Rotation) a unit is rotated between clipping and the grid, and a sum is rotated back when it
//! is decoded (`rotate.rs`). A lane must hold the worst case of a single coordinate, which [`EncodePlan::new`] checks: n·C without a
//! rotation, n·κ·C/√block with one, and the noise. Signs are public and a round's own ([`EncodePlan::with_seed`],
//! [`EncodePlan::in_round`]).
//!
//! Not here: noise and masks.
//!
//! ```
//! use sottovoce_encode::{Clipped, EncodePlan, EncodeSpec, Extra, SiteSum};
//! use sottovoce_types::{ClipNorm, Lanes, RingVec, Rotation, Update};
//!
//! let clip = ClipNorm::new(1.0)?;
//! let plan = EncodePlan::new(EncodeSpec {
//!     dim: 3, clip, clip_bits: 16, lanes: Lanes::new(2).unwrap(), max_units: 4, extra: Extra::None,
//!     rotation: Rotation::None, noise_tail: 0,
//! })?;
//! let mut site = SiteSum::empty(&plan);
//! for _ in 0..2 {
//!     let update = Update { values: vec![3.0, 0.0, 4.0], examples: 1 }; // norm 5: scaled down to 1
//!     site.add(Clipped::new(&update, clip)?.quantise(&plan)?)?;
//! }
//! let sum = RingVec::pack(&site.into_coords(), plan.lanes())?;
//! let mean = plan.decode(&sum, 2.0);
//! assert!((mean[0] - 0.6).abs() < 1e-4 && (mean[2] - 0.8).abs() < 1e-4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Errors
//! [`Headroom`] refuses a plan whose worst case could leave its lane and names the mend; [`NonFinite`] a NaN or infinite
//! update; [`QuantiseError`] and [`SiteSumError`] whatever would break the sensitivity bound.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]
#![deny(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, clippy::cast_lossless)]

mod clip;
pub mod exact;
mod headroom;
mod plan;
mod quantise;
mod rotate;

pub use clip::{Clipped, NonFinite};
pub use headroom::Headroom;
pub use plan::{EncodePlan, EncodeSpec, Extra, MAX_CLIP_BITS, ZeroWeight};
pub use quantise::{QuantiseError, Quantised, SiteSum, SiteSumError};
pub use rotate::{FLATNESS, MAX_BLOCK};
