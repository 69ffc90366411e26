//! What the honest noise of one opened sum is, in exact integers: for receipts.
use std::fmt;

use num_bigint::BigUint;
use serde::{Deserialize, Serialize};
use sottovoce_encode::exact;
use sottovoce_types::{LayerSet, NoiseMultiplier};

use super::layers::LayerPlan;
use super::rounded_gaussian::Sigma;
use super::share::{NoiseShare, target};

/// The noise of an opened sum. Variances are in squares of 2^−16 grid steps.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KeptNoise {
    /// Square of the L2 sensitivity, in squares of grid steps.
    pub squared_sensitivity: Exact,
    /// What each client added: a share, or a base and all layers.
    pub added_per_client: Exact,
    /// What of it is left in the sum.
    pub kept_per_client: Exact,
    /// What the honest survivors' noise adds up to at least.
    pub honest: Exact,
    /// The same as a noise multiplier: standard deviation over sensitivity, rounded down to 2^−32, and never below what is charged where it is reached.
    pub noise_multiplier: f64,
    /// Whether it is what the ledger charges for, or more.
    pub reaches_what_is_charged: bool,
}

/// A large number in decimal digits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Exact(String);

impl Exact {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&BigUint> for Exact {
    fn from(n: &BigUint) -> Self {
        Self(n.to_string())
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl KeptNoise {
    /// Of a sum of whole shares, of which so many are honest.
    pub fn of_shares(share: &NoiseShare, honest_survivors: u32) -> Self {
        let each = BigUint::from(share.sigma().raw()) * share.sigma().raw();
        Self::new(share.noise_multiplier(), share.squared_sensitivity(), (&each, &each), honest_survivors)
    }

    /// Of a sum from which layers were taken off, after so many dropouts; `None` where more dropped out than are tolerated.
    pub fn of_layers(plan: &LayerPlan, dropouts: u32) -> Option<Self> {
        let off = plan.rule().surplus(dropouts)?;
        let (added, kept) = (plan.kept(LayerSet::EMPTY), plan.kept(off));
        let (z, sensitivity) = (plan.noise_multiplier(), plan.base().squared_sensitivity());
        Some(Self::new(z, sensitivity, (&added, &kept), plan.rule().honest() - dropouts))
    }

    fn new(
        z: NoiseMultiplier,
        squared_sensitivity: u128,
        (added, kept): (&BigUint, &BigUint),
        honest_survivors: u32,
    ) -> Self {
        let honest = kept * honest_survivors;
        let (numerator, denominator) = target(z, squared_sensitivity);
        let reaches = &honest * denominator >= numerator;
        // honest / (C²·2^32) = z²; its root in steps of 2^−32.
        let steps = ((&honest << (64 - 2 * Sigma::FRACTION_BITS)) / squared_sensitivity).sqrt();
        let rounded = u64::try_from(steps).map_or(f64::MAX, exact::u64_to_f64) / 4_294_967_296.0;
        Self {
            squared_sensitivity: (&BigUint::from(squared_sensitivity)).into(),
            added_per_client: added.into(),
            kept_per_client: kept.into(),
            honest: (&honest).into(),
            noise_multiplier: if reaches { rounded.max(z.value()) } else { rounded },
            reaches_what_is_charged: reaches,
        }
    }
}

#[cfg(test)]
mod tests {
    use sottovoce_types::LayerRule;

    use super::*;

    #[test]
    fn the_noise_of_a_sum_is_as_by_hand() {
        let z = NoiseMultiplier::new(2.0).unwrap();
        let share = NoiseShare::new(z, 1 << 20, 4).unwrap();
        let kept = KeptNoise::of_shares(&share, 4);
        assert_eq!(kept.added_per_client.as_str(), (1u128 << 72).to_string());
        assert_eq!(kept.honest.as_str(), (1u128 << 74).to_string());
        assert!(kept.reaches_what_is_charged && (kept.noise_multiplier - 2.0).abs() < 1e-15);
        // Nine survive: √(9/4) of it; three: less than what is charged, and it says so.
        assert!((KeptNoise::of_shares(&share, 9).noise_multiplier - 3.0).abs() < 1e-9);
        let short = KeptNoise::of_shares(&share, 3);
        assert!(!short.reaches_what_is_charged && (short.noise_multiplier - 3f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn layers_keep_little_more_than_what_is_charged_where_shares_keep_much_more() {
        let (z, rule) = (NoiseMultiplier::new(1.0).unwrap(), LayerRule::new(10, 7, 3).unwrap());
        let plan = LayerPlan::new(z, 1 << 40, rule).unwrap();
        let multipliers: Vec<f64> = (0..4).map(|j| KeptNoise::of_layers(&plan, j).unwrap().noise_multiplier).collect();
        assert!(multipliers.iter().all(|m| (1.0..1.04).contains(m)), "{multipliers:?}");
        assert_eq!(KeptNoise::of_layers(&plan, 4), None);
        let share = NoiseShare::joint(z, 1 << 40, 4).unwrap();
        assert!(KeptNoise::of_shares(&share, 7).noise_multiplier > 1.32, "seven honest survivors without removal");
    }
}
