//! Noisy counts, by OpenDP: its discrete Gaussian mechanism (Canonne, Kamath & Steinke 2020) is ρ-zCDP.
//!
//! Vector noise is ours (`crate::noise`); one number a round is where OpenDP's exact rational sampler is fast enough and its
//! proofs are welcome. It draws from its own generator, reseeded from the operating system, so a count cannot be made
//! repeatable. The event is zCDP: a discrete Gaussian is *not* dominated by the Gaussian trade-off curve, so a ledger that pays for
//! counts is opened with [`crate::Filter::Zcdp`].
//!
//! ```
//! use sottovoce_dp::{Budget, Filter, Ledger, LedgerKey, scalar::CountQuery};
//! use sottovoce_types::{AttemptId, Delta, Epsilon, RoundId, RunId, Unit};
//!
//! let budget = Budget { epsilon: Epsilon::new(1.0)?, delta: Delta::new(1e-6)?, unit: Unit::Speaker };
//! let mut ledger = Ledger::with_filter(budget, Filter::Zcdp);
//! let query = CountQuery::new(1, 20.0)?; // one unit changes the count by at most 1; noise of standard deviation 20
//! let key = LedgerKey { run: RunId([0; 16]), round: RoundId(1), attempt: AttemptId(1) };
//! let (reservation, _entry) = ledger.reserve(key, query.charge())?;
//! let noisy = query.release(1000, &reservation)?;
//! ledger.release(reservation);
//! assert!((noisy - 1000).abs() < 400); // 20 standard deviations
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
use opendp::core::Measurement;
use opendp::domains::AtomDomain;
use opendp::measurements::make_gaussian;
use opendp::measures::ZeroConcentratedDivergence;
use opendp::metrics::AbsoluteDistance;

use crate::{Charge, DpEvent, Reservation};

/// A count cannot be released.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScalarError {
    /// OpenDP refused the parameters.
    #[error("sensitivity {sensitivity} and scale {scale} make no mechanism: both must be above 0 and finite")]
    Parameters {
        /// By how much one unit changes the count.
        sensitivity: u32,
        /// Standard deviation.
        scale: f64,
    },
    /// The reservation is for something else, so this release is not paid for.
    #[error("the reservation is for {reserved}, but the count costs {cost}: reserve the count's own event")]
    NotReserved {
        /// What was reserved.
        reserved: DpEvent,
        /// What is asked for.
        cost: DpEvent,
    },
    /// OpenDP could not draw noise. Nothing was released.
    #[error("the noise could not be drawn; nothing was released")]
    Draw,
}

type Mechanism = Measurement<AtomDomain<i64>, AbsoluteDistance<i64>, ZeroConcentratedDivergence, i64>;

/// A count to which one privacy unit contributes at most `sensitivity`, released with discrete Gaussian noise.
pub struct CountQuery {
    mechanism: Mechanism,
    rho: f64,
}

impl CountQuery {
    /// With noise of standard deviation `scale` (the discrete Gaussian's parameter σ), in counts.
    ///
    /// # Errors
    /// [`ScalarError::Parameters`] when either is 0 or `scale` is not finite and positive.
    pub fn new(sensitivity: u32, scale: f64) -> Result<Self, ScalarError> {
        let refused = || ScalarError::Parameters { sensitivity, scale };
        if sensitivity == 0 || !(scale.is_finite() && scale > 0.0) {
            return Err(refused());
        }
        let mechanism =
            make_gaussian(AtomDomain::<i64>::new_non_nan(), AbsoluteDistance::<i64>::default(), scale, None)
                .map_err(|_| refused())?;
        // OpenDP rounds ρ = (sensitivity / scale)² / 2 up.
        let rho = mechanism.map(&i64::from(sensitivity)).map_err(|_| refused())?;
        if rho.is_finite() { Ok(Self { mechanism, rho }) } else { Err(refused()) }
    }

    /// What it costs.
    pub fn charge(&self) -> Charge {
        Charge::certified(DpEvent::ZCdp { rho: self.rho })
    }

    /// `count` plus fresh noise. The reservation shows that the release is charged; make its entry durable first.
    ///
    /// # Errors
    /// [`ScalarError::NotReserved`] when the reservation is for another event.
    pub fn release(&self, count: i64, reservation: &Reservation) -> Result<i64, ScalarError> {
        let cost = self.charge();
        if reservation.event() != cost.event() {
            let (reserved, cost) = (reservation.event().clone(), cost.event().clone());
            return Err(ScalarError::NotReserved { reserved, cost });
        }
        self.mechanism.invoke(&count).map_err(|_| ScalarError::Draw)
    }
}
