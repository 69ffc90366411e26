//! What a ledger is asked to charge.
use sottovoce_types::NoiseMultiplier;

use crate::DpEvent;

/// The cost of one release, made by whoever knows how its data were chosen.
///
/// Amplification by sampling holds for the sampler that really drew, and for no other: a Poisson ε over shuffled batches may
/// be many times too low (Chua et al. 2024). So an event with sampling in it becomes a charge only through the certificate that a
/// sampler gives out with its sample ([`crate::sampling`]); nobody writes one down:
/// ```compile_fail
/// # use sottovoce_dp::{Charge, DpEvent};
/// let shuffled = DpEvent::Gaussian { noise_multiplier: 1.0 }.poisson_sampled(0.01);
/// let charge = Charge { event: shuffled };
/// ```
/// ```compile_fail
/// # use sottovoce_dp::{DpEvent, Ledger, LedgerKey};
/// fn claim(ledger: &mut Ledger, key: LedgerKey) {
///     let shuffled = DpEvent::Gaussian { noise_multiplier: 1.0 }.poisson_sampled(0.01);
///     ledger.reserve(key, shuffled);
/// }
/// ```
/// nor is one sample's charge enough for two releases:
/// ```compile_fail
/// # use sottovoce_dp::{Charge, Ledger, LedgerKey};
/// fn twice(ledger: &mut Ledger, a: LedgerKey, b: LedgerKey, charge: Charge) {
///     let _first = ledger.reserve(a, charge);
///     let _second = ledger.reserve(b, charge);
/// }
/// ```
#[derive(PartialEq, Debug)]
pub struct Charge {
    event: DpEvent,
}

impl Charge {
    /// Every unit takes part: nothing is claimed from sampling, so this is right whatever was chosen.
    pub fn every_unit(z: NoiseMultiplier) -> Self {
        Self { event: DpEvent::gaussian(z) }
    }

    /// A release without protection.
    pub fn non_private() -> Self {
        Self { event: DpEvent::NonPrivate }
    }

    /// What honest sites charge for `event`, by the word of a plan: for a coordinator, which holds no data and cannot draw. Its
    /// ledger plans; the sites' ledgers, which charge by certificates alone, are those that bind.
    pub fn on_the_word_of_the_plan(event: DpEvent) -> Self {
        Self { event }
    }

    /// For this crate's mechanisms and samplers, which know what they did.
    pub(crate) fn certified(event: DpEvent) -> Self {
        Self { event }
    }

    /// What it costs.
    pub fn event(&self) -> &DpEvent {
        &self.event
    }

    pub(crate) fn into_event(self) -> DpEvent {
        self.event
    }
}
