//! Integer noise: round(σ·X) with X standard normal, sampled exactly, at about a third of the keystream's speed.
//!
//! On integer inputs, adding rounded Gaussian noise is post-processing of the Gaussian mechanism, so the accountant in
//! [`crate::gdp`] applies as it is; the discrete Gaussian is only covered by zCDP. Arguments: `block/proof.md` (exactness of the
//! sampler), `sum_of_shares.md` (the sum of shares) and `proof.md` (calibration, wrap-around). Evidence:
//! `tests/sampler_statistics.rs`, `tests/noise_shares.rs`, `tests/sum_of_shares.rs`.
//!
//! # Timing
//! The sampler's running time depends on the random digits and slightly on the value drawn, like every rejection sampler's.
//! A whole vector is drawn in one call before anything is sent, so an observer of the network sees the total over
//! all coordinates at most. No constant-time mode exists yet.
mod block;
mod discrete;
pub mod distributed_discrete;
mod eta;
mod karney;
mod kept;
mod layers;
mod rounded_gaussian;
mod share;
mod source;

pub use discrete::{DiscreteGaussian, DiscreteLaplace, IntegerNoise, ScaleOutOfRange};
pub use eta::{extra_epsilon, log10_eta};
pub(crate) use karney::{Digits, Normal};
pub use kept::{Exact, KeptNoise};
pub use layers::{LayerError, LayerPlan, NOISE_CHUNK_WORDS};
pub use rounded_gaussian::{RoundedGaussian, Sigma, SigmaOutOfRange};
pub use share::{NoiseShare, ShareError};
pub use source::{NoiseError, NoiseKind, NoiseSource, OsNoise, SeededNoise};
