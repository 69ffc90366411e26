//! DP-FTRL by banded matrix factorisation (BandMF) for fixed cohorts: noise that is correlated over rounds, so that the sums of
//! updates, which are what a model is made of, carry less of it at the same ε.
//!
//! * [`FixedCohorts`]: who joins which round. No secrecy and no sampling: the guarantee rests on the pause between two rounds of one
//!   unit alone.
//! * [`BandedToeplitz`]: the matrix C, in exact fixed point; [`MatrixMechanism`]: its sensitivity in exact integers, the noise
//!   that a target needs, the one event that the whole training costs, and the error of prefix sums.
//! * [`CorrelatedNoise`]: round(σ·(C⁻¹Z)_t), exactly, on real normal deviates.
//!
//! Sources: Denisov, McMahan, Rush, Smith & Thakurta 2022 (factorisations, adaptivity); Choquette-Choo et al. 2023, "(Amplified)
//! Banded Matrix Factorization" (sensitivity of banded matrices); Fichtenberger, Henzinger & Upadhyay 2023 and Kalinin & Lampert
//! 2024 (the coefficients). Arguments: `proof.md` beside this file. Evidence: `tests/matrix.rs`.
//!
//! # What is supported
//! One source of noise that holds for all rounds: one site that trains alone, or a central curator. The sum over clients who
//! each draw correlated noise of at least 4 grid steps is covered too (`proof.md`, 5), but only by those honest clients who are
//! in *every* round of the training: a client that drops out of one round takes the later rows' correlation with it, so
//! what remains guaranteed is the noise of those who never dropped out. The federation, which must survive dropouts,
//! therefore does not use this module.
//!
//! ```
//! use sottovoce_dp::matrix::{BandedToeplitz, CorrelatedNoise, FixedCohorts, MatrixMechanism};
//! use sottovoce_types::{Delta, Epsilon};
//!
//! let (rounds, dim, clip_steps) = (20, 4, 1u128 << 16);
//! let cohorts = FixedCohorts::new(5)?;
//! let matrix = BandedToeplitz::square_root(5, rounds)?;
//! let mechanism = MatrixMechanism::new(matrix.clone(), cohorts.participation(rounds)?)?;
//! let z = mechanism.calibrate(Epsilon::new(8.0)?, Delta::new(1e-6)?); // charge Charge::every_unit(z) once, before round 0
//! let sigma = mechanism.row_sigma(z, clip_steps * clip_steps)?;
//! let mut noise = CorrelatedNoise::new(matrix, sigma, dim, [0; 32]); // a secret seed from the operating system
//! for round in 0..rounds {
//!     let members: Vec<u64> = cohorts.members(100, round).collect();
//!     assert_eq!(members.len(), 20);
//!     let mut noised = vec![0i64; 4]; // the sum of their clipped integer updates
//!     noise.add_next_row(&mut noised)?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
mod cohorts;
mod correlated;
mod mechanism;
mod toeplitz;

pub use cohorts::{FixedCohorts, Participation};
pub use correlated::{CorrelatedNoise, RowError};
pub use mechanism::{MatrixMechanism, PrefixError};
pub use toeplitz::{BandedToeplitz, MatrixError};
