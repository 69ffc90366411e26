//! What a release costs; names as in Google's `dp_accounting`, so that users can compare one to one.
//!
//! An event is a description, for accountants and for what-if questions: anybody may write one. What a [`crate::Ledger`] charges is a
//! [`crate::Charge`], and an event with sampling in it becomes one only with the certificate of a sampler that drew.
use std::fmt;

use serde::{Deserialize, Serialize};
use sottovoce_types::NoiseMultiplier;

use crate::exact_serde;

/// One release, or several.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
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
    /// `event` on a sample into which each unit comes independently, with the same probability, in secret.
    PoissonSampled {
        /// The probability q, in (0, 1].
        #[serde(with = "exact_serde")]
        sampling_probability: f64,
        /// What the sample goes through.
        event: Box<Self>,
    },
    /// `event` on a secret sample of fixed size, every subset of that size being as likely as another.
    SampledWithoutReplacement {
        /// Units to choose from.
        source_dataset_size: u64,
        /// Units chosen.
        sample_size: u64,
        /// What the sample goes through.
        event: Box<Self>,
    },
    /// The same release `count` times.
    SelfComposed {
        /// Each of them.
        event: Box<Self>,
        /// How many.
        count: u64,
    },
    /// One release after another.
    Composed {
        /// All of them.
        events: Vec<Self>,
    },
    /// Nothing was released.
    NoOp,
    /// A release without protection. No budget covers it.
    NonPrivate,
}

impl DpEvent {
    /// The Gaussian mechanism with a checked multiplier.
    pub fn gaussian(z: NoiseMultiplier) -> Self {
        Self::Gaussian { noise_multiplier: z.value() }
    }

    /// This release on a Poisson sample with probability `q`; at 1 it is the release itself.
    #[must_use]
    pub fn poisson_sampled(self, q: f64) -> Self {
        if q >= 1.0 { self } else { Self::PoissonSampled { sampling_probability: q, event: Box::new(self) } }
    }

    /// This release `count` times.
    #[must_use]
    pub fn self_composed(self, count: u64) -> Self {
        match count {
            0 => Self::NoOp,
            1 => self,
            _ => Self::SelfComposed { event: Box::new(self), count },
        }
    }

    /// The same releases to somebody who knows every sample: nothing is amplified.
    #[must_use]
    pub fn with_samples_known(&self) -> Self {
        self.map_leaves(&|leaf| leaf.clone(), false)
    }

    /// The same releases with the standard deviation of every Gaussian noise times `factor`: to somebody who sees one of the
    /// shares that it is made of. Other leaves stay.
    #[must_use]
    pub fn with_noise_times(&self, factor: f64) -> Self {
        let scaled = |leaf: &Self| match leaf {
            Self::Gaussian { noise_multiplier } => Self::Gaussian { noise_multiplier: noise_multiplier * factor },
            other => other.clone(),
        };
        self.map_leaves(&scaled, true)
    }

    /// The event with every leaf changed, and with its sampling or without.
    fn map_leaves(&self, change: &impl Fn(&Self) -> Self, keep_sampling: bool) -> Self {
        let inner = |event: &Self| event.map_leaves(change, keep_sampling);
        match self {
            Self::PoissonSampled { event, .. } | Self::SampledWithoutReplacement { event, .. } if !keep_sampling => {
                inner(event)
            }
            Self::PoissonSampled { sampling_probability, event } => {
                Self::PoissonSampled { sampling_probability: *sampling_probability, event: Box::new(inner(event)) }
            }
            Self::SampledWithoutReplacement { source_dataset_size, sample_size, event } => {
                Self::SampledWithoutReplacement {
                    source_dataset_size: *source_dataset_size,
                    sample_size: *sample_size,
                    event: Box::new(inner(event)),
                }
            }
            Self::SelfComposed { event, count } => Self::SelfComposed { event: Box::new(inner(event)), count: *count },
            Self::Composed { events } => Self::Composed { events: events.iter().map(inner).collect() },
            leaf => change(leaf),
        }
    }

    /// μ² of the event under Gaussian differential privacy, both ends; `None` when it has no such bound.
    pub(crate) fn mu_squared(&self) -> Option<(f64, f64)> {
        match self {
            Self::Gaussian { noise_multiplier: z } if z.is_finite() && *z > 0.0 => {
                // Two roundings, each within half a unit in the last place: two steps outward contain the exact value.
                let nearest = 1.0 / (z * z);
                Some((nearest.next_down().next_down().max(0.0), nearest.next_up().next_up()))
            }
            Self::NoOp => Some((0.0, 0.0)),
            Self::NonPrivate => Some((f64::INFINITY, f64::INFINITY)),
            Self::SelfComposed { event, count } => event.mu_squared().map(|charge| times(charge, *count)),
            Self::Composed { events } => {
                events.iter().try_fold((0.0, 0.0), |sum, event| Some(plus(sum, event.mu_squared()?)))
            }
            // The discrete Gaussian is not dominated by the continuous one as a trade-off function, only in zCDP; and a
            // sampled Gaussian is no Gaussian.
            _ => None,
        }
    }

    /// ρ of the event, upper end; `None` when the event is malformed, or has no bound by zCDP alone.
    pub(crate) fn rho(&self) -> Option<f64> {
        match self {
            Self::ZCdp { rho } if rho.is_finite() && *rho >= 0.0 => Some(*rho),
            Self::SelfComposed { event, count } => event.rho().map(|rho| times((0.0, rho), *count).1),
            Self::Composed { events } => {
                events.iter().try_fold(0.0, |sum, event| Some(plus((0.0, sum), (0.0, event.rho()?)).1))
            }
            Self::ZCdp { .. } => None,
            _ => self.mu_squared().map(|(_, upper)| upper / 2.0),
        }
    }
}

impl fmt::Display for DpEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gaussian { noise_multiplier } => write!(f, "Gaussian noise of multiplier {noise_multiplier}"),
            Self::ZCdp { rho } => write!(f, "a {rho}-zCDP release"),
            Self::PoissonSampled { sampling_probability, event } => {
                write!(f, "{event} on a Poisson sample with q = {sampling_probability}")
            }
            Self::SampledWithoutReplacement { source_dataset_size, sample_size, event } => {
                write!(f, "{event} on {sample_size} units drawn from {source_dataset_size}")
            }
            Self::SelfComposed { event, count } => write!(f, "{count} times {event}"),
            Self::Composed { events } => {
                for (i, event) in events.iter().enumerate() {
                    write!(f, "{}{event}", if i == 0 { "" } else { ", then " })?;
                }
                Ok(())
            }
            Self::NoOp => f.write_str("nothing"),
            Self::NonPrivate => f.write_str("a release without protection"),
        }
    }
}

/// Lower and upper end of an additive charge.
pub(crate) type Ends = (f64, f64);

/// Adds with both ends rounded outward.
pub(crate) fn plus(a: Ends, b: Ends) -> Ends {
    ((a.0 + b.0).next_down().max(0.0), (a.1 + b.1).next_up())
}

/// `count` times, rounded outward.
fn times(one: Ends, count: u64) -> Ends {
    // Two roundings: of the count, and of the product.
    let count = sottovoce_encode::exact::u64_to_f64(count);
    ((one.0 * count).next_down().next_down().max(0.0), (one.1 * count).next_up().next_up())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_json_bit_for_bit() {
        for z in [0.1 + 0.2, 1.0 / 3.0, 5e-324, 6.002_287_123_456_789e-3, f64::INFINITY] {
            let gaussian = DpEvent::Gaussian { noise_multiplier: z };
            let sampled = gaussian.clone().poisson_sampled(0.1).self_composed(7);
            let event = DpEvent::Composed { events: vec![gaussian, sampled, DpEvent::NoOp] };
            let back: DpEvent = serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
            assert_eq!(back, event);
        }
    }

    #[test]
    fn malformed_events_have_no_cost_that_could_be_charged() {
        for z in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(DpEvent::Gaussian { noise_multiplier: z }.self_composed(2).rho(), None);
        }
        for rho in [-0.1, f64::NAN, f64::INFINITY] {
            assert_eq!(DpEvent::Composed { events: vec![DpEvent::ZCdp { rho }] }.rho(), None);
        }
    }

    #[test]
    fn what_repeats_costs_its_sum_and_what_is_sampled_is_no_gaussian() {
        let one = DpEvent::Gaussian { noise_multiplier: 2.0 };
        let (lower, upper) = one.clone().self_composed(100).mu_squared().unwrap();
        assert!(lower <= 25.0 && upper >= 25.0 && upper - lower < 1e-12);
        let both = DpEvent::Composed { events: vec![one.clone(), DpEvent::ZCdp { rho: 0.5 }] };
        assert!((both.rho().unwrap() - 0.625).abs() < 1e-12 && both.mu_squared().is_none());
        assert_eq!(one.clone().poisson_sampled(0.5).rho(), None);
        assert_eq!(one.clone().poisson_sampled(1.0), one);
    }

    #[test]
    fn what_somebody_else_sees_of_an_event_has_less_noise_or_no_sampling() {
        let z = |noise_multiplier| DpEvent::Gaussian { noise_multiplier };
        let event = DpEvent::Composed {
            events: vec![z(4.0).poisson_sampled(0.25).self_composed(3), DpEvent::ZCdp { rho: 0.1 }],
        };
        let expected = |one: DpEvent| DpEvent::Composed { events: vec![one, DpEvent::ZCdp { rho: 0.1 }] };
        assert_eq!(event.with_samples_known(), expected(z(4.0).self_composed(3)));
        assert_eq!(event.with_noise_times(0.5), expected(z(2.0).poisson_sampled(0.25).self_composed(3)));
    }

    #[test]
    fn an_event_reads_as_a_sentence() {
        let event = DpEvent::Gaussian { noise_multiplier: 1.5 }.poisson_sampled(0.25).self_composed(3);
        assert_eq!(event.to_string(), "3 times Gaussian noise of multiplier 1.5 on a Poisson sample with q = 0.25");
    }
}
