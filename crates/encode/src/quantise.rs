//! Truncation onto the integer grid, and a site's sum of its units.
use sottovoce_types::Rotation;

use crate::exact;
use crate::plan::{EncodePlan, Extra};

/// An update cannot become integers of this plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantiseError {
    /// The integer vector is longer than C: the update was clipped to a larger norm than the plan's.
    #[error("the squared norm of the integer update exceeds that of the plan's clipping norm: clip to the plan's norm")]
    NormExceeded,
    /// The update has another number of parameters than the plan.
    #[error("the plan has {expected} parameters, the update {found}")]
    WrongLength {
        /// Parameters of the plan.
        expected: usize,
        /// Values of the update.
        found: usize,
    },
    /// Plain quantisation under a weighted plan or the reverse.
    #[error("the plan {} a weight coordinate: use the other quantise", if *plan_is_weighted { "has" } else { "has not" })]
    OtherMode {
        /// Whether the plan carries a weight coordinate.
        plan_is_weighted: bool,
    },
    /// The weight is not in (0, 1].
    #[error("a weight must be above 0 and at most 1, but is {weight}")]
    Weight {
        /// What was given.
        weight: f64,
    },
}

/// One privacy unit's update in grid steps: `[coords]`, L2 norm at most 2^clip_bits, checked in integers; together with a count of
/// unclipped units at most √([`EncodePlan::squared_sensitivity`]).
///
/// Nothing else can make one:
/// ```compile_fail
/// # use sottovoce_encode::{EncodePlan, Quantised};
/// fn forge(plan: EncodePlan) -> Quantised { Quantised { coords: vec![1 << 60], plan } }
/// ```
/// and it cannot be counted twice:
/// ```compile_fail
/// # use sottovoce_encode::{Quantised, SiteSum};
/// fn twice(sum: &mut SiteSum, q: Quantised) { sum.add(q); sum.add(q); }
/// ```
pub struct Quantised {
    coords: Vec<i64>,
    plan: EncodePlan,
}

impl Quantised {
    pub(crate) fn plain(values: Vec<f64>, plan: &EncodePlan, scaled: bool) -> Result<Self, QuantiseError> {
        if plan.spec().extra == Extra::Weight {
            return Err(QuantiseError::OtherMode { plan_is_weighted: true });
        }
        let mut coords = on_grid(values, plan, 1.0)?;
        if let Extra::Unclipped { steps } = plan.spec().extra {
            let steps = i64::try_from(steps).map_err(|_| QuantiseError::NormExceeded)?;
            coords.push(if scaled { -steps } else { steps });
        }
        // Of the vector as it is sent, whatever was put into it.
        if squared_norm(&coords) > plan.squared_sensitivity() {
            return Err(QuantiseError::NormExceeded);
        }
        Ok(Self { coords, plan: *plan })
    }

    pub(crate) fn weighted(values: Vec<f64>, plan: &EncodePlan, weight: f64) -> Result<Self, QuantiseError> {
        if plan.spec().extra != Extra::Weight {
            return Err(QuantiseError::OtherMode { plan_is_weighted: false });
        }
        if !(weight > 0.0 && weight <= 1.0) {
            return Err(QuantiseError::Weight { weight });
        }
        let mut coords = on_grid(values, plan, weight)?;
        // At most 2^clip_bits ≤ 2^40, since the weight is at most 1.
        let steps = exact::power_of_two(plan.spec().clip_bits) * weight;
        coords.push(exact::truncate(steps).expect("at most 2^40"));
        Ok(Self { coords, plan: *plan })
    }
}

/// ⌊weight · value / step⌋ toward zero, of the rotated values where the plan rotates, and the integer norm check; then clamped to
/// [`EncodePlan::coordinate_bound`]. The clamp shortens, refuses nothing and is each unit's own, so the sensitivity stays what it is.
fn on_grid(mut values: Vec<f64>, plan: &EncodePlan, weight: f64) -> Result<Vec<i64>, QuantiseError> {
    if values.len() != plan.spec().dim {
        return Err(QuantiseError::WrongLength { expected: plan.spec().dim, found: values.len() });
    }
    let mut scale = plan.steps_per_unit() * weight;
    if let Some(rotator) = plan.rotator() {
        rotator.forward(&mut values);
        scale /= rotator.scale();
    }
    let bound = u128::from(plan.clip_steps()).pow(2);
    let mut coords = Vec::with_capacity(plan.coords());
    for value in &values {
        let x = exact::truncate(value * scale).ok_or(QuantiseError::NormExceeded)?;
        coords.push(x);
    }
    // Data-dependent only for a caller that clipped to another norm than the plan's: see `Clipped::new`.
    if squared_norm(&coords) > bound {
        return Err(QuantiseError::NormExceeded);
    }
    if plan.spec().rotation != Rotation::None {
        let most = i64::try_from(plan.coordinate_bound()).map_err(|_| QuantiseError::NormExceeded)?;
        for x in &mut coords {
            *x = (*x).clamp(-most, most);
        }
    }
    Ok(coords)
}

/// Σ x², saturating: |x| < 2^63 gives x² < 2^126, and the bounds compared with are far below 2^128.
fn squared_norm(coords: &[i64]) -> u128 {
    coords.iter().fold(0u128, |sum, x| sum.saturating_add(u128::from(x.unsigned_abs()).pow(2)))
}

/// A unit cannot be added to this sum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SiteSumError {
    /// The site has more units than the whole federation was planned for.
    #[error("the plan has room for {max_units} units over all clients, and this site alone has more: raise max_units")]
    TooManyUnits {
        /// The plan's bound.
        max_units: u64,
    },
    /// The unit was quantised for another plan, so its norm bound is another.
    #[error("the unit was quantised for another plan than the sum's")]
    OtherPlan,
}

/// A site's sum over its privacy units, in grid steps: `[coords]`. Adding or removing one unit moves it by at most
/// √([`EncodePlan::squared_sensitivity`]) in L2: 2^clip_bits where nothing is counted (`proof.md`, 2 and 6).
///
/// A copy may be kept for a further attempt: it is no release, and each attempt draws noise and is charged for itself.
#[derive(Clone)]
pub struct SiteSum {
    coords: Vec<i64>,
    units: u64,
    plan: EncodePlan,
}

impl SiteSum {
    /// No units yet. A site without any still takes part: it adds its noise share to zero.
    pub fn empty(plan: &EncodePlan) -> Self {
        Self { coords: vec![0; plan.coords()], units: 0, plan: *plan }
    }

    /// Adds one unit.
    ///
    /// # Errors
    /// [`SiteSumError`]; the sum is then as it was.
    pub fn add(&mut self, unit: Quantised) -> Result<(), SiteSumError> {
        if unit.plan != self.plan {
            return Err(SiteSumError::OtherPlan);
        }
        let max_units = self.plan.spec().max_units;
        if self.units == max_units {
            return Err(SiteSumError::TooManyUnits { max_units });
        }
        for (sum, x) in self.coords.iter_mut().zip(unit.coords) {
            // |sum| ≤ max_units · 2^clip_bits, which the plan has shown to fit a lane of at most 64 bits.
            *sum += x;
        }
        self.units += 1;
        Ok(())
    }

    /// Units added so far.
    pub fn units(&self) -> u64 {
        self.units
    }

    /// The plan that it was made for.
    pub fn plan(&self) -> &EncodePlan {
        &self.plan
    }

    /// The integers `[coords]`, **not noised**: for `sottovoce-dp` and for tests. They open no door; only `dp` makes what
    /// a client may submit.
    pub fn into_coords(self) -> Vec<i64> {
        self.coords
    }
}
