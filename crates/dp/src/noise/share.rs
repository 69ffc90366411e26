//! One client's share of the noise, so that the honest survivors' shares alone make up the target.
use num_bigint::BigUint;
use sottovoce_encode::exact;
use sottovoce_types::NoiseMultiplier;

use super::rounded_gaussian::{RoundedGaussian, Sigma};

/// The share cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ShareError {
    /// Below 4 grid steps the sum of rounded shares is too far from a rounded sum (`sum_of_shares.md`).
    #[error(
        "one client's noise has a standard deviation of {sigma} grid steps, and the proof needs 4: \
         raise clip_bits by {more_clip_bits}"
    )]
    TooSmall {
        /// Standard deviation of a share, in grid steps.
        sigma: f64,
        /// How much finer the grid must be.
        more_clip_bits: u32,
    },
    /// Above 2^40 grid steps the sampler's fixed point ends.
    #[error(
        "one client's noise has a standard deviation above 2^40 grid steps: lower clip_bits or the noise multiplier"
    )]
    TooLarge,
    /// Nobody to share among, or an empty grid.
    #[error("{what} must be at least 1")]
    Zero {
        /// Which of the two.
        what: &'static str,
    },
}

/// The noise that each client adds: rounded Gaussian with σ² · honest_survivors ≥ (z·C)², in exact integers.
///
/// `honest_survivors` is the number of honest clients that the secure aggregation guarantees in any sum that it opens; the
/// others may subtract their own noise. More survivors mean more noise than the accountant charges for, never less.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NoiseShare {
    sigma: Sigma,
    noise_multiplier: NoiseMultiplier,
    squared_sensitivity: u128,
    honest_survivors: u32,
}

impl NoiseShare {
    /// The smallest share in steps of 2^−16 that meets the bound, for noise multiplier `z`, a clipping norm of `clip_steps` grid
    /// steps and `honest_survivors` clients.
    ///
    /// # Errors
    /// [`ShareError`] when it is below 4 or above 2^40 grid steps, or an argument is 0.
    pub fn new(z: NoiseMultiplier, clip_steps: u64, honest_survivors: u32) -> Result<Self, ShareError> {
        if clip_steps == 0 {
            return Err(ShareError::Zero { what: "clip_steps" });
        }
        Self::joint(z, u128::from(clip_steps).pow(2), honest_survivors)
    }

    /// The same for an integer sum whose L2 sensitivity is the root of `squared_sensitivity`: that of a vector and a count that
    /// are released together is no integer.
    ///
    /// # Errors
    /// As [`NoiseShare::new`].
    pub fn joint(z: NoiseMultiplier, squared_sensitivity: u128, honest_survivors: u32) -> Result<Self, ShareError> {
        if squared_sensitivity == 0 {
            return Err(ShareError::Zero { what: "the sensitivity" });
        }
        if honest_survivors == 0 {
            return Err(ShareError::Zero { what: "honest_survivors" });
        }
        let raw = smallest_raw(z, squared_sensitivity, (1, honest_survivors.into()));
        let raw = u64::try_from(raw).map_err(|_| ShareError::TooLarge)?;
        let sigma = Sigma::from_raw(raw).map_err(|_| ShareError::TooLarge)?;
        if raw < SMALLEST {
            let short_by = SMALLEST.div_ceil(raw); // at least 2
            let more_clip_bits = u64::BITS - (short_by - 1).leading_zeros(); // ⌈log2⌉
            return Err(ShareError::TooSmall { sigma: sigma.to_f64(), more_clip_bits });
        }
        Ok(Self { sigma, noise_multiplier: z, squared_sensitivity, honest_survivors })
    }

    /// Standard deviation of one share.
    pub fn sigma(&self) -> Sigma {
        self.sigma
    }

    /// The law of one share.
    pub fn law(&self) -> RoundedGaussian {
        RoundedGaussian::new(self.sigma)
    }

    /// What the accountant charges for a sum that holds the honest shares.
    pub fn noise_multiplier(&self) -> NoiseMultiplier {
        self.noise_multiplier
    }

    /// The square of the L2 sensitivity, in grid steps, that it was made for.
    pub fn squared_sensitivity(&self) -> u128 {
        self.squared_sensitivity
    }

    /// Honest clients that it counts on.
    pub fn honest_survivors(&self) -> u32 {
        self.honest_survivors
    }

    /// Grid steps that `sigmas` standard deviations of one share stay within, rounding included.
    pub fn tail(&self, sigmas: u32) -> u64 {
        self.tail_of_sum(1, sigmas)
    }

    /// The same for the sum of the shares of all `clients`: the noise tail of an encoding plan. 13 standard deviations are left
    /// with probability below 1e-37 a coordinate.
    pub fn tail_of_sum(&self, clients: u32, sigmas: u32) -> u64 {
        let scaled = BigUint::from(self.sigma.raw()) * sigmas;
        let root = ceil_sqrt(&(&scaled * &scaled * clients));
        let steps = ceil_div_power_of_two(root, Sigma::FRACTION_BITS);
        // Each share is off by at most half a step from its Gaussian.
        let total = steps + clients.div_ceil(2);
        u64::try_from(total).unwrap_or(u64::MAX)
    }
}

/// 4 grid steps: the least standard deviation of a rounded Gaussian in a sum (`sum_of_shares.md`).
pub(super) const SMALLEST: u64 = 4 << Sigma::FRACTION_BITS;

/// z² · C² · 2^32, the variance that the honest noise must reach in squares of 2^−16 grid steps, as numerator and denominator: the float z
/// is the dyadic rational that it is.
pub(super) fn target(z: NoiseMultiplier, squared_sensitivity: u128) -> (BigUint, BigUint) {
    let z = exact::dyadic(z.value()).expect("a noise multiplier is finite");
    let square = BigUint::from(z.mantissa) * z.mantissa * squared_sensitivity;
    // z² · C² · 2^32 = square · 2^(2·exponent)
    let exponent = z.exponent + i32::try_from(Sigma::FRACTION_BITS).expect("16");
    let twice = 2 * exponent.unsigned_abs();
    if exponent >= 0 { (square << twice, BigUint::from(1u8)) } else { (square, BigUint::from(1u8) << twice) }
}

/// The smallest S with S² ≥ z² · C² · 2^32 · a/b for the fraction (a, b); `squared_sensitivity` is C².
pub(super) fn smallest_raw(z: NoiseMultiplier, squared_sensitivity: u128, (a, b): (u128, u128)) -> BigUint {
    let (numerator, denominator) = target(z, squared_sensitivity);
    let (numerator, denominator) = (numerator * a, denominator * b);
    // S² ≥ q for an integer S exactly when S² ≥ ⌈q⌉.
    let quotient = (numerator + (&denominator - 1u8)) / denominator;
    ceil_sqrt(&quotient)
}

pub(super) fn ceil_sqrt(n: &BigUint) -> BigUint {
    let root = n.sqrt();
    if &(&root * &root) < n { root + 1u8 } else { root }
}

pub(super) fn ceil_div_power_of_two(n: BigUint, bits: u32) -> BigUint {
    (n + ((1u64 << bits) - 1)) >> bits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn z(value: f64) -> NoiseMultiplier {
        NoiseMultiplier::new(value).unwrap()
    }

    #[test]
    fn noise_too_small_for_its_proof_is_refused_with_the_mend() {
        let error = NoiseShare::new(z(1.0), 1 << 4, 64).unwrap_err();
        assert_eq!(error, ShareError::TooSmall { sigma: 2.0, more_clip_bits: 1 });
        assert!(NoiseShare::new(z(1.0), 1 << 5, 64).is_ok());
        assert!(matches!(NoiseShare::new(z(5e-324), 1 << 40, 1), Err(ShareError::TooSmall { .. })));
    }

    #[test]
    fn shares_beyond_the_sampler_and_empty_shares_are_refused() {
        assert_eq!(NoiseShare::new(z(f64::MAX), 1 << 40, 1), Err(ShareError::TooLarge));
        assert_eq!(NoiseShare::new(z(1.1), 1 << 40, 1), Err(ShareError::TooLarge));
        assert!(NoiseShare::new(z(1.0), 1 << 40, 1).is_ok());
        assert_eq!(NoiseShare::new(z(1.0), 1 << 20, 0), Err(ShareError::Zero { what: "honest_survivors" }));
        assert_eq!(NoiseShare::new(z(1.0), 0, 1), Err(ShareError::Zero { what: "clip_steps" }));
    }

    #[test]
    fn the_tail_of_a_sum_grows_as_its_standard_deviation() {
        let share = NoiseShare::new(z(1.0), 1 << 20, 4).unwrap();
        assert_eq!(share.sigma().raw(), 1 << 35); // 2^20 / √4
        assert_eq!(share.tail(13), 13 * (1 << 19) + 1);
        assert_eq!(share.tail_of_sum(16, 13), 4 * 13 * (1 << 19) + 8);
    }

    proptest! {
        #[test]
        fn claim_the_joint_noise_is_that_of_the_papers_rule(
            multiplier in 0.3f64..20.0, excess in 1.05f64..30.0, honest in 1u32..50,
        ) {
            // Andrew et al. 2021: z_Δ = (z⁻² − (2σ_b)⁻²)^(−1/2), with σ_b above z / 2.
            let (bits, count_noise) = (24u32, multiplier / 2.0 * excess);
            let clip = 2f64.powi(24);
            let ideal = multiplier * clip / (4.0 * count_noise * count_noise - multiplier * multiplier).sqrt();
            let k = u128::try_from(exact::truncate(ideal.ceil()).unwrap()).unwrap();
            let share = NoiseShare::joint(z(multiplier), (1u128 << (2 * bits)) + k * k, honest).unwrap();
            let total = share.sigma().to_f64() * f64::from(honest).sqrt();
            let z_delta = (multiplier.powi(-2) - (2.0 * count_noise).powi(-2)).powf(-0.5);
            prop_assert!((total / clip / z_delta - 1.0).abs() < 1e-5, "{} is not {}", total / clip, z_delta);
            let k = exact::u64_to_f64(u64::try_from(k).unwrap());
            prop_assert!((total / (2.0 * k) / count_noise - 1.0).abs() < 1e-5);
            // Noise for the parameters alone is less than the joint release needs, and is caught.
            let alone = NoiseShare::new(z(multiplier), 1 << bits, honest).unwrap();
            prop_assert!(alone.sigma() < share.sigma() && share.squared_sensitivity() > alone.squared_sensitivity());
        }

        #[test]
        fn claim_the_honest_shares_alone_reach_the_target_variance_in_exact_integers(
            multiplier in 0.01f64..500.0, clip_bits in 16u32..=30, honest in 1u32..500,
        ) {
            let Ok(share) = NoiseShare::new(z(multiplier), 1 << clip_bits, honest) else { return Ok(()) };
            // z·C·2^16 = m·2^(e + clip_bits + 16); multiply both sides by 2^(−2e), e < 0 here.
            let d = exact::dyadic(multiplier).unwrap();
            let down = d.exponent.unsigned_abs();
            let target = BigUint::from(d.mantissa) << (clip_bits + 16);
            let variance = |raw: u64| (BigUint::from(raw) * raw * honest) << (2 * down);
            let raw = share.sigma().raw();
            prop_assert!(variance(raw) >= &target * &target);
            prop_assert!(variance(raw - 1) < &target * &target, "no more than needed");
            prop_assert!(variance(raw / 2) < &target * &target, "half the noise is caught");
        }
    }
}
