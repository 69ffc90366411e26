//! The last two stages before secure aggregation. Only this crate makes them.
use sottovoce_encode::{EncodePlan, SiteSum};
use sottovoce_types::{Lanes, RingVec};

/// The vector was made for another plan than the one it is wrapped for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// Another plan.
    #[error("the vector was encoded for another plan than this round's: encode it again for this round")]
    OtherPlan,
}

/// A site's sum with its share of the noise, in grid steps: `[coords]`. Not printable, not clonable; made by a
/// [`crate::NoiseSource`] alone:
/// ```compile_fail
/// # use sottovoce_dp::Noised;
/// # use sottovoce_encode::EncodePlan;
/// fn forge(plan: EncodePlan) -> Noised { Noised { coords: vec![0], plan } }
/// ```
/// ```compile_fail
/// # use sottovoce_dp::Noised;
/// fn print(n: &Noised) -> String { format!("{n:?}") }
/// ```
pub struct Noised {
    coords: Vec<i64>,
    plan: EncodePlan,
}

impl Noised {
    pub(crate) fn new(coords: Vec<i64>, plan: EncodePlan) -> Self {
        Self { coords, plan }
    }

    /// The plan that it was encoded for.
    pub(crate) fn plan(&self) -> &EncodePlan {
        &self.plan
    }

    /// The coordinates, for more noise.
    pub(crate) fn coords_mut(&mut self) -> &mut [i64] {
        &mut self.coords
    }

    /// Packs into lanes mod 2^64.
    ///
    /// There is no range check, on purpose. Packing is linear over Z, so the sum over clients of packed vectors is a function
    /// of the sum of their integers, whatever their size: post-processing. A refusal or a clamp at one client would
    /// depend on that client's data. A coordinate beyond its lane, which the plan makes less likely than 1e-30, spoils
    /// the decoded average and no privacy.
    ///
    /// # Errors
    /// [`WrapError`] when `plan` is not the one that the sum was made for.
    pub fn wrap(self, plan: &EncodePlan) -> Result<Private, WrapError> {
        if self.plan != *plan {
            return Err(WrapError::OtherPlan);
        }
        Ok(Private { ring: pack_linearly(&self.coords, plan.lanes()) })
    }
}

/// Said by whoever runs without a privacy unit.
#[derive(Clone, Copy, Debug)]
pub struct NonPrivateAcknowledged(());

impl NonPrivateAcknowledged {
    /// The run has no privacy unit: sums leave without noise, and no ε may be quoted for it.
    pub fn i_understand_that_this_run_is_not_private() -> Self {
        Self(())
    }
}

/// The only input that a client may submit to secure aggregation.
///
/// It cannot be made from a raw vector:
/// ```compile_fail
/// # use sottovoce_dp::Private;
/// # use sottovoce_types::RingVec;
/// fn forge(raw: RingVec) -> Private { Private { ring: raw } }
/// ```
/// nor used for two attempts:
/// ```compile_fail
/// # use sottovoce_dp::Private;
/// fn twice(p: Private) { let (_a, _b) = (p.into_ring(), p.into_ring()); }
/// ```
pub struct Private {
    ring: RingVec,
}

impl Private {
    /// The packed vector, `[words]`.
    pub fn into_ring(self) -> RingVec {
        self.ring
    }

    /// A site's sum without any noise, for runs without a privacy unit.
    ///
    /// # Errors
    /// [`WrapError`] when `plan` is not the one that the sum was made for.
    pub fn without_noise(
        sum: SiteSum,
        plan: &EncodePlan,
        _acknowledged: NonPrivateAcknowledged,
    ) -> Result<Self, WrapError> {
        Noised { plan: *sum.plan(), coords: sum.into_coords() }.wrap(plan)
    }
}

/// Σ v_l·2^(w·l) mod 2^64 of each group of lanes: the packing of [`RingVec::pack`], defined for all integers.
fn pack_linearly(values: &[i64], lanes: Lanes) -> RingVec {
    RingVec::from_words(words_of(values, lanes).collect(), lanes)
}

/// The words of that packing, one for each group of lanes.
pub(crate) fn words_of(values: &[i64], lanes: Lanes) -> impl Iterator<Item = u64> {
    let bits = lanes.bits();
    values.chunks(lanes.count()).map(move |group| {
        // Horner's rule from the highest lane. A shift by 64 happens to a single lane only, and then the word is still 0.
        group.iter().rev().fold(0u64, |word, v| word.checked_shl(bits).unwrap_or(0).wrapping_add(v.cast_unsigned()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn linear_packing_is_the_checked_packing_where_that_is_defined(
            count in 1u8..=6, values in prop::collection::vec(-511i64..=511, 0..20),
        ) {
            let lanes = Lanes::new(count).unwrap();
            prop_assert_eq!(pack_linearly(&values, lanes), RingVec::pack(&values, lanes).unwrap());
        }

        #[test]
        fn packing_any_integers_commutes_with_adding_them(
            count in 1u8..=6, pairs in prop::collection::vec((any::<i64>(), any::<i64>()), 0..20),
        ) {
            let lanes = Lanes::new(count).unwrap();
            let (a, b): (Vec<i64>, Vec<i64>) = pairs.iter().copied().unzip();
            let sum: Vec<i64> = pairs.iter().map(|(a, b)| a.wrapping_add(*b)).collect();
            let mut packed = pack_linearly(&a, lanes);
            packed.add(&pack_linearly(&b, lanes));
            prop_assert_eq!(packed, pack_linearly(&sum, lanes));
        }
    }
}
