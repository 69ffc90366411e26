//! From a site's sum to the only thing that may leave: with this attempt's own noise.
use sottovoce_dp::{LayerPlan, NoiseShare, NonPrivateAcknowledged, Private};
use sottovoce_encode::SiteSum;
use sottovoce_secagg::{LayerKey, Masking};

use super::ClientEngine;
use crate::fault::ProtocolFault;

pub(super) fn privatise_fault(source: impl std::error::Error + Send + Sync + 'static) -> ProtocolFault {
    ProtocolFault::Privatise(Box::new(source))
}

impl ClientEngine {
    /// Adds this site's noise share, sized for the honest survivors that the quorum guarantees; or, in a run that takes the surplus off, the base and
    /// the layers that follow from the set of dealers. Drawn anew for each attempt.
    pub(super) fn privatise(&mut self, sum: SiteSum, masking: &Masking) -> Result<Private, ProtocolFault> {
        let encode = *sum.plan();
        match self.plan.spec().privacy {
            Some(privacy) => {
                let (z, sensitivity) = (privacy.noise_multiplier, encode.squared_sensitivity());
                let noised = if let Some(rule) = masking.layer_rule() {
                    let layers = LayerPlan::new(z, sensitivity, rule).map_err(privatise_fault)?;
                    let keys = masking.layer_keys();
                    let seeds: Vec<&[u8; 32]> = keys.iter().map(LayerKey::bytes).collect();
                    self.noise.add_layered(sum, &layers, &seeds).map_err(privatise_fault)?
                } else {
                    let share = NoiseShare::joint(z, sensitivity, masking.honest_floor()).map_err(privatise_fault)?;
                    self.noise.add(sum, &share).map_err(privatise_fault)?
                };
                noised.wrap(&encode).map_err(privatise_fault)
            }
            None => Private::without_noise(
                sum,
                &encode,
                NonPrivateAcknowledged::i_understand_that_this_run_is_not_private(),
            )
            .map_err(privatise_fault),
        }
    }
}
