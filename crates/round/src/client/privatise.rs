//! From raw updates to the only thing that may leave: clip, quantise, sum, noise.
use sottovoce_dp::{NoiseShare, NonPrivateAcknowledged, Private};
use sottovoce_encode::{Clipped, SiteSum};
use sottovoce_types::{ClientId, Unit, Update};

use super::ClientEngine;
use crate::fault::ProtocolFault;
use crate::plan::RunPlan;

/// Example weights are counted in units of this many examples, so that one client's weight is at most 1; larger sites
/// weigh as much as one with this many. Only without DP.
pub const WEIGHT_CAP_EXAMPLES: u32 = 4096;

/// A site handed over more units than the manifest lets it contribute.
#[derive(Debug, thiserror::Error)]
#[error("this site trained {found} units, the manifest declares {declared}: correct the manifest or the partition")]
pub struct TooManyUnits {
    /// Units trained.
    pub found: usize,
    /// Units declared.
    pub declared: u32,
}

fn privatise_fault(source: impl std::error::Error + Send + Sync + 'static) -> ProtocolFault {
    ProtocolFault::Privatise(Box::new(source))
}

/// Clips each unit's update, truncates it to the grid, and sums: one unit moves the result by at most C in L2.
///
/// With a privacy unit, an update that is not finite counts as zero. Whether a unit's training diverges depends on its data, and
/// a coordinator that chooses the model can make it depend on what it likes: a refusal would be a release without noise
/// that no ledger charges.
///
/// # Errors
/// [`ProtocolFault::Privatise`] for too many units, and, without a privacy unit, for values that are not finite.
pub fn site_sum(plan: &RunPlan, client: &ClientId, updates: &[Update]) -> Result<SiteSum, ProtocolFault> {
    let declared = plan.units_of(client);
    if updates.len() > usize::try_from(declared).unwrap_or(usize::MAX) {
        return Err(privatise_fault(TooManyUnits { found: updates.len(), declared }));
    }
    let mut sum = SiteSum::empty(plan.encode());
    for update in updates {
        let clipped = match Clipped::new(update, plan.spec().clip) {
            Ok(clipped) => clipped,
            Err(_) if plan.spec().unit != Unit::None => continue,
            Err(not_finite) => return Err(privatise_fault(not_finite)),
        };
        let quantised = if plan.spec().unit == Unit::None {
            if update.examples == 0 {
                continue;
            }
            let weight = f64::from(update.examples.min(WEIGHT_CAP_EXAMPLES)) / f64::from(WEIGHT_CAP_EXAMPLES);
            clipped.quantise_weighted(plan.encode(), weight).map_err(privatise_fault)?
        } else {
            clipped.quantise(plan.encode()).map_err(privatise_fault)?
        };
        sum.add(quantised).map_err(privatise_fault)?;
    }
    Ok(sum)
}

impl ClientEngine {
    /// Adds this site's noise share, sized for the honest survivors that the quorum guarantees.
    pub(super) fn privatise(&mut self, sum: SiteSum, honest_floor: u32) -> Result<Private, ProtocolFault> {
        let encode = self.plan.encode();
        match self.plan.spec().privacy {
            Some(privacy) => {
                let share = NoiseShare::new(privacy.noise_multiplier, encode.clip_steps(), honest_floor)
                    .map_err(privatise_fault)?;
                let noised = self.noise.add(sum, &share).map_err(privatise_fault)?;
                noised.wrap(encode).map_err(privatise_fault)
            }
            None => {
                Private::without_noise(sum, encode, NonPrivateAcknowledged::i_understand_that_this_run_is_not_private())
                    .map_err(privatise_fault)
            }
        }
    }
}
