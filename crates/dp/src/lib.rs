//! Differential privacy: exact integer noise, what it costs, and the ledger that enforces the budget.
//!
//! * [`noise`]: the rounded Gaussian, exactly sampled, and each client's share of it. [`NoiseSource`] turns a site's sum of
//!   clipped integer updates into [`Noised`], and [`Private`] is the only thing that a client may submit.
//! * [`gdp`], [`zcdp`]: (ε, δ) of what was released, as a [`Bracket`] whose upper end is safe.
//! * [`matrix`]: noise correlated over rounds for fixed cohorts (BandMF), charged once for a whole training.
//! * [`ledger`]: charge before release; what was reserved and not resolved counts as spent.
//! * [`sampling`]: secret samples of units, and the certificates without which no amplification is charged.
//! * [`scalar`]: noisy counts, made by `opendp`.
//!
//! The relation is add or remove one privacy unit (one speaker or one utterance, as the run says); noise multipliers are
//! standard deviation over that unit's clipping norm. Not here: sampling amplification, networks, keys, models, files.
//! Start with [`NoiseShare`] and [`Ledger`].
//!
//! ```
//! use sottovoce_dp::{Budget, Charge, Ledger, LedgerKey, gdp};
//! use sottovoce_types::{AttemptId, Delta, Epsilon, RoundId, RunId, Unit};
//!
//! let budget = Budget { epsilon: Epsilon::new(8.0)?, delta: Delta::new(1e-5)?, unit: Unit::Speaker };
//! let z = gdp::calibrate(budget.epsilon, budget.delta, 2); // noise for two rounds
//! let mut ledger = Ledger::new(budget);
//! let key = |round| LedgerKey { run: RunId([0; 16]), round: RoundId(round), attempt: AttemptId(1) };
//! for round in 1..=2 {
//!     let (reservation, _entry) = ledger.reserve(key(round), Charge::every_unit(z))?; // make the entry durable, then reveal
//!     ledger.release(reservation);
//! }
//! assert!(ledger.reserve(key(3), Charge::every_unit(z)).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Errors
//! [`ShareError`] refuses noise too small for its proof, [`NoiseError`] a machine without randomness, [`ReserveError`] what the
//! budget does not cover, [`LedgerError`] a journal that contradicts itself.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]
#![deny(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, clippy::cast_lossless)]

pub mod accountant;
mod bracket;
mod charge;
mod event;
mod exact_serde;
mod filter;
pub mod gdp;
pub mod ledger;
pub mod matrix;
pub mod noise;
mod normal;
mod private;
pub mod sampling;
pub mod scalar;
pub mod zcdp;

pub use bracket::Bracket;
pub use charge::Charge;
pub use event::DpEvent;
pub use filter::{Filter, Schedule};
pub use ledger::{Budget, BudgetExhausted, Ledger, LedgerEntry, LedgerError, LedgerKey, Reservation, ReserveError};
pub use noise::{
    Exact, KeptNoise, LayerError, LayerPlan, NOISE_CHUNK_WORDS, NoiseError, NoiseKind, NoiseShare, NoiseSource,
    OsNoise, RoundedGaussian, SeededNoise, ShareError, Sigma,
};
pub use private::{Noised, NonPrivateAcknowledged, Private, WrapError};
