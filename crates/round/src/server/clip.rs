//! Adaptive clipping (Andrew et al. 2021): C follows a quantile of the units' update norms.
//!
//! Each unit says in one more coordinate of the same masked vector whether it was within C_t. With b̄ the noisy share of *un*clipped
//! among the public number of units,
//!
//! C_{t+1} = C_t · exp(−η·(b̄ − γ))    (§2.1, geometric update).
//!
//! More unclipped than γ: C is too large and shrinks. The share of *clipped* in the place of b̄ runs the other way, to 0 or away.
use std::ops::RangeInclusive;

use sottovoce_encode::exact;
use sottovoce_types::{ClipNorm, NoiseMultiplier, Sha256Writer, Unit};

/// What a plan says of adaptive clipping; its clipping norm is C_1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdaptiveClip {
    /// γ, between 0 and 1: the share of units that should be within C.
    pub quantile: f64,
    /// η, above 0.
    pub learning_rate: f64,
    /// σ_b, above 0: standard deviation of the noise on the count of unclipped units. `None` for
    /// [`AdaptiveClip::usual_count_noise`].
    pub count_noise: Option<f64>,
}

/// Adaptive clipping that cannot be, or that costs more than it can bring.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AdaptiveClipRefused {
    /// No units to count.
    #[error(
        "adaptive clipping counts speakers or utterances, and privacy.unit is `{unit}`: a handful of sites is too few to count under noise"
    )]
    Unit {
        /// The unit.
        unit: &'static str,
    },
    /// A number out of range.
    #[error("privacy.{key} must be {must}, but is {is}")]
    OutOfRange {
        /// The key of `[privacy]`.
        key: &'static str,
        /// The range.
        must: &'static str,
        /// The number.
        is: f64,
    },
    /// The count would take the noise that updates need.
    #[error(
        "with a noise multiplier of {noise_multiplier:.3}, clip_count_noise = {count_noise:.3} would make the noise on updates {} \
         times as large, and at most {MOST_NOISE} times is accepted: set it to at least {least:.3}, or set the clipping norm by hand",
        if factor.is_finite() { format!("{factor:.2}") } else { "infinitely many".to_owned() }
    )]
    Unaffordable {
        /// σ_b.
        count_noise: f64,
        /// z.
        noise_multiplier: f64,
        /// Noise on updates over what it would be without the count.
        factor: f64,
        /// The least σ_b that is accepted.
        least: f64,
    },
    /// The count would say nothing.
    #[error(
        "the count of unclipped among {units} units would be known to within {count_noise:.2} (one standard deviation), more than half \
         of them: with this noise multiplier adaptive clipping needs {needed} units or more; set the clipping norm by hand, or lower \
         the noise"
    )]
    Blind {
        /// Units of the federation.
        units: u64,
        /// σ_b.
        count_noise: f64,
        /// Units for which it would do.
        needed: u64,
    },
}

/// The noise on updates may grow by this factor for the sake of the count.
const MOST_NOISE: f64 = 1.25;
/// σ_b over z of a default that makes the noise on updates grow by a tenth: (1 − 1.1⁻²)^(−1/2) / 2.
const USUAL_OVER_Z: f64 = 1.2;
/// C stays within this factor of the plan's, up and down.
const FARTHEST: f64 = 1_048_576.0;

impl AdaptiveClip {
    /// σ_b where none is given: a twentieth of the units (Andrew et al. 2021, §3.1), or where that would take too much of the
    /// noise, 1.2·z, which makes the noise on updates a tenth larger.
    pub fn usual_count_noise(units: u64, z: NoiseMultiplier) -> f64 {
        (exact::u64_to_f64(units) / 20.0).max(USUAL_OVER_Z * z.value())
    }

    /// Whether the numbers are in their ranges.
    ///
    /// # Errors
    /// [`AdaptiveClipRefused::OutOfRange`], by the key.
    pub fn check(&self) -> Result<(), AdaptiveClipRefused> {
        let positive = |v: f64| v.is_finite() && v > 0.0;
        let refuse = |key, must, is| Err(AdaptiveClipRefused::OutOfRange { key, must, is });
        if !(self.quantile > 0.0 && self.quantile < 1.0) {
            return refuse("clip_quantile", "above 0 and below 1", self.quantile);
        }
        if !positive(self.learning_rate) {
            return refuse("clip_learning_rate", "finite and above 0", self.learning_rate);
        }
        match self.count_noise {
            Some(noise) if !positive(noise) => refuse("clip_count_noise", "finite and above 0", noise),
            _ => Ok(()),
        }
    }

    /// k: what one unclipped unit counts in grid steps, where C is `clip_steps`, so that the noise on the count is σ_b at most
    /// (`encode/proof.md`, 6).
    ///
    /// # Errors
    /// [`AdaptiveClipRefused`].
    pub(crate) fn count_steps(
        &self,
        unit: Unit,
        units: u64,
        z: NoiseMultiplier,
        clip_steps: u64,
    ) -> Result<u64, AdaptiveClipRefused> {
        if !matches!(unit, Unit::Speaker | Unit::Utterance) {
            return Err(AdaptiveClipRefused::Unit { unit: unit.name() });
        }
        self.check()?;
        let z = z.value();
        let usual = || Self::usual_count_noise(units, NoiseMultiplier::new(z).expect("it was one"));
        let count_noise = self.count_noise.unwrap_or_else(usual);
        // (z/2σ_b)² of the noise's precision goes to the count.
        let spent = (z / (2.0 * count_noise)).powi(2);
        let factor = if spent < 1.0 { (1.0 - spent).sqrt().recip() } else { f64::INFINITY };
        if factor > MOST_NOISE {
            let least = z / (2.0 * (1.0 - MOST_NOISE.powi(-2)).sqrt());
            return Err(AdaptiveClipRefused::Unaffordable { count_noise, noise_multiplier: z, factor, least });
        }
        if count_noise > exact::u64_to_f64(units) / 2.0 {
            let needed = exact::truncate((2.0 * count_noise).ceil()).and_then(|n| u64::try_from(n).ok());
            return Err(AdaptiveClipRefused::Blind { units, count_noise, needed: needed.unwrap_or(u64::MAX) });
        }
        let steps = z * exact::u64_to_f64(clip_steps) / (4.0 * count_noise * count_noise - z * z).sqrt();
        // At most 0.75·C by the check above, so that it is an integer.
        Ok(exact::truncate(steps.ceil()).and_then(|n| u64::try_from(n).ok()).unwrap_or(clip_steps).max(1))
    }

    /// C_{t+1} from C_t and the noisy share of unclipped units, within the plan's limits.
    pub(crate) fn next(&self, first: ClipNorm, clip: ClipNorm, unclipped: f64) -> ClipNorm {
        let next = clip.value() * libm::exp(-self.learning_rate * (unclipped - self.quantile));
        let (least, most) = limits(first).into_inner();
        ClipNorm::new(next.clamp(least, most)).unwrap_or(clip)
    }

    pub(crate) fn write_to(&self, w: &mut Sha256Writer) {
        w.field(b"adaptive-clip").number(self.quantile.to_bits()).number(self.learning_rate.to_bits());
        match self.count_noise {
            Some(noise) => w.field(b"count-noise").number(noise.to_bits()),
            None => w.field(b"usual-count-noise"),
        };
    }
}

/// What C may become in a run that begins from `first`.
pub(crate) fn limits(first: ClipNorm) -> RangeInclusive<f64> {
    let first = first.value();
    (first / FARTHEST).max(f64::MIN_POSITIVE)..=(first * FARTHEST).min(f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: AdaptiveClip = AdaptiveClip { quantile: 0.5, learning_rate: 0.2, count_noise: None };

    fn z(value: f64) -> NoiseMultiplier {
        NoiseMultiplier::new(value).unwrap()
    }

    fn clip(value: f64) -> ClipNorm {
        ClipNorm::new(value).unwrap()
    }

    fn steps(rule: AdaptiveClip, units: u64, noise: f64) -> Result<u64, AdaptiveClipRefused> {
        rule.count_steps(Unit::Speaker, units, z(noise), 1 << 16)
    }

    #[test]
    fn too_many_unclipped_shrink_the_norm_and_too_few_let_it_grow() {
        let next = |unclipped| RULE.next(clip(1.0), clip(2.0), unclipped).value();
        assert!((next(1.0) - 2.0 * (-0.1f64).exp()).abs() < 1e-12);
        assert!((next(0.0) - 2.0 * 0.1f64.exp()).abs() < 1e-12);
        assert!((next(0.5) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_norm_stays_within_the_plans_limits() {
        let wild = AdaptiveClip { learning_rate: 1e4, ..RULE };
        assert!((wild.next(clip(3.0), clip(3.0), 1.0).value() - 3.0 / FARTHEST).abs() < 1e-12);
        assert!((wild.next(clip(3.0), clip(3.0), 0.0).value() - 3.0 * FARTHEST).abs() < 1e-6);
    }

    #[test]
    fn the_steps_of_the_count_give_the_noise_that_was_asked_for() {
        for (sigma_b, noise) in [(5.0, 1.0), (1.8, 2.0), (40.0, 6.0)] {
            let k = steps(AdaptiveClip { count_noise: Some(sigma_b), ..RULE }, 1000, noise).unwrap();
            let (k, b) = (exact::u64_to_f64(k), 65_536.0f64);
            let sum = noise * (b * b + k * k).sqrt();
            assert!(sum / (2.0 * k) <= sigma_b && sum / (2.0 * k) > sigma_b * 0.999, "σ_b = {}", sum / (2.0 * k));
            let z_delta = (noise.powi(-2) - (2.0 * sigma_b).powi(-2)).powf(-0.5);
            assert!((sum / b / z_delta - 1.0).abs() < 1e-3);
        }
        // Half a per cent at z = 1 and σ_b = 5.
        let k = exact::u64_to_f64(steps(AdaptiveClip { count_noise: Some(5.0), ..RULE }, 100, 1.0).unwrap());
        assert!((1.0 + (k / 65_536.0).powi(2)).sqrt() < 1.0051);
    }

    #[test]
    fn what_is_unaffordable_is_refused_with_what_it_would_cost() {
        // Ten sites and σ_b = 0.5: 2σ_b = z leaves nothing for the updates.
        let error = steps(AdaptiveClip { count_noise: Some(0.5), ..RULE }, 10, 1.0).unwrap_err();
        assert!(error.to_string().contains("infinitely many times as large"), "{error}");
        let error = steps(AdaptiveClip { count_noise: Some(0.6), ..RULE }, 10, 1.0).unwrap_err();
        assert!(error.to_string().contains("1.81 times"), "{error}");
        let AdaptiveClipRefused::Unaffordable { least, .. } = error else { panic!("{error}") };
        steps(AdaptiveClip { count_noise: Some(least * 1.0001), ..RULE }, 10, 1.0).unwrap();
        assert!(steps(AdaptiveClip { count_noise: Some(least * 0.9999), ..RULE }, 10, 1.0).is_err());
        let error = steps(RULE, 16, 10.0).unwrap_err();
        assert!(matches!(error, AdaptiveClipRefused::Blind { units: 16, needed: 24, .. }), "{error}");
        steps(RULE, 24, 10.0).unwrap();
    }

    #[test]
    fn the_usual_noise_is_a_twentieth_of_the_units_where_that_is_affordable() {
        assert!((AdaptiveClip::usual_count_noise(1000, z(2.0)) - 50.0).abs() < 1e-12);
        assert!((AdaptiveClip::usual_count_noise(16, z(2.0)) - 2.4).abs() < 1e-12);
        for noise in [0.5, 2.0, 8.0] {
            let k = exact::u64_to_f64(steps(RULE, 100, noise).unwrap());
            assert!((1.0 + (k / 65_536.0).powi(2)).sqrt() < 1.101, "a tenth more noise at most");
        }
    }

    #[test]
    fn units_and_numbers_that_make_no_sense_are_refused() {
        for unit in [Unit::Client, Unit::None] {
            let error = RULE.count_steps(unit, 100, z(1.0), 1 << 16).unwrap_err();
            assert!(matches!(error, AdaptiveClipRefused::Unit { .. }), "{error}");
        }
        for (bad, key) in [
            (AdaptiveClip { quantile: 0.0, ..RULE }, "clip_quantile"),
            (AdaptiveClip { quantile: 1.0, ..RULE }, "clip_quantile"),
            (AdaptiveClip { quantile: f64::NAN, ..RULE }, "clip_quantile"),
            (AdaptiveClip { learning_rate: 0.0, ..RULE }, "clip_learning_rate"),
            (AdaptiveClip { count_noise: Some(-1.0), ..RULE }, "clip_count_noise"),
        ] {
            let error = steps(bad, 100, 1.0).unwrap_err();
            assert!(matches!(error, AdaptiveClipRefused::OutOfRange { key: k, .. } if k == key), "{error}");
        }
    }
}
