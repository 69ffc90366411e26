//! Which units take part in a release, drawn in secret where the data are, and the proof that it was drawn so.
//!
//! Amplification by sampling holds against an adversary who does not know the sample. If the coordinator picks it, there is none
//! against the coordinator; so each site draws its own units by its own coins, and nobody else learns which. It holds for the law that
//! really drew: an accountant's "Poisson" over shuffled batches may be many times too low (Chua et al. 2024), and users of other
//! libraries keep meeting that mistake. So each sampler gives out, with its [`Sample`], a [`SamplingCertificate`], and that alone makes a
//! [`Charge`] with sampling in it:
//! ```compile_fail
//! # use sottovoce_dp::sampling::SamplingCertificate;
//! fn forge(other: SamplingCertificate) -> SamplingCertificate { SamplingCertificate { ..other } }
//! ```
//! A certificate pays for one release. Whoever tries again with the same sample shows two noisy sums of it, which is more than
//! two releases on samples of their own:
//! ```compile_fail
//! # use sottovoce_dp::{Charge, sampling::SamplingCertificate};
//! # use sottovoce_types::NoiseMultiplier;
//! fn twice(c: SamplingCertificate, z: NoiseMultiplier) -> (Charge, Charge) { (c.charge(z), c.charge(z)) }
//! ```
//!
//! Not hidden by any of this: how long a site trains, which grows with the number of units drawn.
//!
//! ```
//! use rand_chacha::ChaCha20Rng;
//! use rand_core::SeedableRng as _;
//! use sottovoce_dp::sampling::{SamplingProbability, poisson};
//! use sottovoce_types::NoiseMultiplier;
//!
//! let mut coins = ChaCha20Rng::from_seed([7; 32]); // of the operating system, in earnest
//! let (sample, certificate) = poisson(1000, SamplingProbability::new(0.1)?, &mut coins);
//! assert!((50..150).contains(&sample.units().count()));
//! let charge = certificate.charge(NoiseMultiplier::new(1.0)?);
//! assert_eq!(charge.event().to_string(), "Gaussian noise of multiplier 1 on a Poisson sample with q = 0.1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
mod fixed_size;
mod poisson;

use std::fmt;

use sottovoce_types::NoiseMultiplier;
use zeroize::Zeroizing;

pub use self::fixed_size::{SampleTooLarge, fixed_size};
pub use self::poisson::{SamplingProbability, SamplingProbabilityOutOfRange, poisson};
use crate::{Charge, DpEvent};

/// The units of one site that take part in one release. Secret: who is in it is what amplification rests on.
#[derive(Clone)]
pub struct Sample {
    included: Zeroizing<Vec<bool>>,
}

impl Sample {
    /// All of `units` units, and the certificate that says so.
    pub fn every_unit(units: usize) -> (Self, SamplingCertificate) {
        (Self::of(vec![true; units]), SamplingCertificate { law: Law::EveryUnit })
    }

    fn of(included: Vec<bool>) -> Self {
        Self { included: Zeroizing::new(included) }
    }

    /// Whether the unit with this index takes part; one that is not there does not.
    pub fn contains(&self, unit: usize) -> bool {
        self.included.get(unit).copied().unwrap_or(false)
    }

    /// Indices of the units that take part, in order.
    pub fn units(&self) -> impl Iterator<Item = usize> {
        self.included.iter().enumerate().filter(|(_, included)| **included).map(|(unit, _)| unit)
    }

    /// How many units it was drawn from.
    pub fn population(&self) -> usize {
        self.included.len()
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample").field("population", &self.population()).finish_non_exhaustive()
    }
}

/// How a sample was drawn, by the word of the sampler that drew it.
#[derive(Debug)]
#[must_use = "it pays for the release of its sample"]
pub struct SamplingCertificate {
    law: Law,
}

#[derive(Debug)]
enum Law {
    EveryUnit,
    Poisson(SamplingProbability),
    FixedSize { population: u64, size: u64 },
}

impl SamplingCertificate {
    /// What one release of the sample's sum costs, with Gaussian noise of multiplier `z`.
    pub fn charge(self, z: NoiseMultiplier) -> Charge {
        let gaussian = DpEvent::gaussian(z);
        Charge::certified(match self.law {
            Law::EveryUnit => gaussian,
            Law::Poisson(q) => gaussian.poisson_sampled(q.value()),
            Law::FixedSize { population, size } => DpEvent::SampledWithoutReplacement {
                source_dataset_size: population,
                sample_size: size,
                event: Box::new(gaussian),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_does_not_print_who_is_in_it() {
        let (sample, certificate) = Sample::every_unit(3);
        assert_eq!(format!("{sample:?}"), "Sample { population: 3, .. }");
        assert_eq!(sample.units().collect::<Vec<_>>(), [0, 1, 2]);
        assert!(sample.contains(2) && !sample.contains(3));
        let z = NoiseMultiplier::new(2.0).unwrap();
        assert_eq!(certificate.charge(z), Charge::every_unit(z));
    }
}
