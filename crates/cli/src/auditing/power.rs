//! What canaries could find, known before any is placed.
use sottovoce_attack::bound::{NOT_DETECTABLE, detectable_shortfall_in_stages, expected_mu_lower};
use sottovoce_attack::gate::Policy;
use sottovoce_dp::gdp;
use sottovoce_types::{Delta, NoiseMultiplier};

/// α of the bound that is expected.
pub const ALPHA: f64 = 0.05;

/// What so many canaries could find in so many rounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CanaryPower {
    /// Canaries.
    pub canaries: u64,
    /// The smallest factor by which noise could fall short and be caught with probability 0.95; [`NOT_DETECTABLE`] where there is none.
    pub detectable_noise_shortfall: f64,
    /// The lower bound on ε that a sound mechanism would get, at 95 %.
    pub epsilon_lower_expected: f64,
}

impl CanaryPower {
    /// Of `canaries` in `rounds` rounds with noise `z` each, under the gate's policy.
    pub fn new(canaries: u64, rounds: u64, z: NoiseMultiplier, delta: Delta) -> Self {
        let policy = Policy::default();
        let mu = (rounds.max(1) as f64).sqrt() / z.value();
        Self {
            canaries,
            detectable_noise_shortfall: detectable_shortfall_in_stages(
                canaries,
                mu,
                &[policy.first_alpha, policy.second_alpha],
            ),
            epsilon_lower_expected: gdp::epsilon(expected_mu_lower(canaries, mu, ALPHA).max(1e-9), delta).lower,
        }
    }

    /// Whether any shortfall would surely be caught.
    pub fn detects(&self) -> bool {
        self.detectable_noise_shortfall < NOT_DETECTABLE
    }
}
