//! From a site's sum to the only thing that may leave: with this attempt's own noise.
use sottovoce_dp::{NoiseShare, NonPrivateAcknowledged, Private};
use sottovoce_encode::SiteSum;

use super::ClientEngine;
use crate::fault::ProtocolFault;

pub(super) fn privatise_fault(source: impl std::error::Error + Send + Sync + 'static) -> ProtocolFault {
    ProtocolFault::Privatise(Box::new(source))
}

impl ClientEngine {
    /// Adds this site's noise share, sized for the honest survivors that the quorum guarantees. Drawn anew for each attempt.
    pub(super) fn privatise(&mut self, sum: SiteSum, honest_floor: u32) -> Result<Private, ProtocolFault> {
        let encode = *sum.plan();
        match self.plan.spec().privacy {
            Some(privacy) => {
                let share = NoiseShare::joint(privacy.noise_multiplier, encode.squared_sensitivity(), honest_floor)
                    .map_err(privatise_fault)?;
                let noised = self.noise.add(sum, &share).map_err(privatise_fault)?;
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
