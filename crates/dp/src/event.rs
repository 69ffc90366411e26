//! What a release costs; names as in Google's `dp_accounting`, so that users can compare one to one.
use serde::{Deserialize, Serialize};
use sottovoce_types::NoiseMultiplier;

use crate::exact_serde;

/// One release.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DpEvent {
    /// The Gaussian mechanism, or post-processing of it (the rounded Gaussian is).
    Gaussian {
        /// Standard deviation of the noise on the sum over the L2 sensitivity.
        #[serde(with = "exact_serde")]
        noise_multiplier: f64,
    },
    /// A ρ-zCDP release (Bun & Steinke 2016), such as a discrete Gaussian count.
    ZCdp {
        /// The parameter ρ.
        #[serde(with = "exact_serde")]
        rho: f64,
    },
    /// A release without protection. No budget covers it.
    NonPrivate,
}

impl DpEvent {
    /// The Gaussian mechanism with a checked multiplier.
    pub fn gaussian(z: NoiseMultiplier) -> Self {
        Self::Gaussian { noise_multiplier: z.value() }
    }

    /// μ² of the event under Gaussian differential privacy, both ends; `None` when it has no such bound.
    pub(crate) fn mu_squared(&self) -> Option<(f64, f64)> {
        match *self {
            Self::Gaussian { noise_multiplier: z } if z.is_finite() && z > 0.0 => {
                // Two roundings, each within half a unit in the last place: two steps outward contain the exact value.
                let nearest = 1.0 / (z * z);
                Some((nearest.next_down().next_down().max(0.0), nearest.next_up().next_up()))
            }
            Self::NonPrivate => Some((f64::INFINITY, f64::INFINITY)),
            // The discrete Gaussian is not dominated by the continuous one as a trade-off function, only in zCDP.
            _ => None,
        }
    }

    /// ρ of the event, upper end; `None` when the event is malformed.
    pub(crate) fn rho(&self) -> Option<f64> {
        match *self {
            Self::ZCdp { rho } if rho.is_finite() && rho >= 0.0 => Some(rho),
            Self::ZCdp { .. } => None,
            _ => self.mu_squared().map(|(_, upper)| upper / 2.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_json_bit_for_bit() {
        for z in [0.1 + 0.2, 1.0 / 3.0, 5e-324, 6.002_287_123_456_789e-3, f64::INFINITY] {
            let event = DpEvent::Gaussian { noise_multiplier: z };
            let back: DpEvent = serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
            assert_eq!(back, event);
        }
    }

    #[test]
    fn malformed_events_have_no_cost_that_could_be_charged() {
        for z in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(DpEvent::Gaussian { noise_multiplier: z }.rho(), None);
        }
        for rho in [-0.1, f64::NAN, f64::INFINITY] {
            assert_eq!(DpEvent::ZCdp { rho }.rho(), None);
        }
    }
}
