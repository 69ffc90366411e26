//! L2 clipping of one privacy unit's update.
use sottovoce_types::{ClipNorm, Update};

use crate::exact;
use crate::plan::EncodePlan;
use crate::quantise::{QuantiseError, Quantised};

/// An update holds a NaN or an infinity: training diverged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("coordinate {index} of the update is not a finite number: training diverged; lower the learning rate")]
pub struct NonFinite {
    /// The first such coordinate.
    pub index: usize,
}

/// One privacy unit's update with L2 norm at most C: `[d]`, f64.
///
/// The only way to integers leads through here. An unclipped update cannot be quantised:
/// ```compile_fail
/// # use sottovoce_encode::{EncodePlan, Quantised};
/// # use sottovoce_types::Update;
/// fn skip_clipping(update: Update, plan: &EncodePlan) -> Quantised {
///     update.quantise(plan).unwrap()
/// }
/// ```
/// nor can a `Clipped` be written down:
/// ```compile_fail
/// # use sottovoce_encode::Clipped;
/// let forged = Clipped { values: vec![1e9], scaled: false };
/// ```
pub struct Clipped {
    values: Vec<f64>,
    scaled: bool,
}

impl Clipped {
    /// Scales `update` `[d]` to L2 norm at most `clip`; an update within the bound stays as it is.
    ///
    /// The bound is met with a margin of (d + 8)·2^−52, which exceeds every rounding error on the way to the grid
    /// (`proof.md`, 3): an honest update never fails the integer check of [`Clipped::quantise`].
    ///
    /// # Errors
    /// [`NonFinite`] for a NaN or an infinity.
    pub fn new(update: &Update, clip: ClipNorm) -> Result<Self, NonFinite> {
        if let Some(index) = update.values.iter().position(|v| !v.is_finite()) {
            return Err(NonFinite { index });
        }
        let dim = i64::try_from(update.values.len()).expect("a vector in memory");
        let bound = clip.value() * (1.0 - exact::to_f64(dim.saturating_add(8)) * f64::EPSILON);
        let norm = update.norm();
        let scaled = norm > bound;
        let factor = if scaled { bound / norm } else { 1.0 };
        Ok(Self { values: update.values.iter().map(|&v| f64::from(v) * factor).collect(), scaled })
    }

    /// Rotates if the plan does, truncates toward zero onto its grid and checks Σ x² ≤ (2^clip_bits)² in exact integers. A plan that counts unclipped
    /// units gets ±steps as one more coordinate, by whether the update was within the bound, and the joint norm is checked too.
    ///
    /// # Errors
    /// [`QuantiseError`] when the lengths differ, the plan is weighted, or the norm exceeds the bound (which only an
    /// update clipped to a larger norm than the plan's can do).
    pub fn quantise(self, plan: &EncodePlan) -> Result<Quantised, QuantiseError> {
        Quantised::plain(self.values, plan, self.scaled)
    }

    /// The same with every coordinate times `weight`, and ⌊weight·2^clip_bits⌋ as one more coordinate: weighted
    /// averaging for runs without a privacy unit.
    ///
    /// # Errors
    /// As [`Clipped::quantise`], and when `weight` is not in (0, 1] or the plan is not weighted.
    pub fn quantise_weighted(self, plan: &EncodePlan, weight: f64) -> Result<Quantised, QuantiseError> {
        Quantised::weighted(self.values, plan, weight)
    }

    /// Whether the update was longer than the bound. Private to the site: to publish it costs budget.
    pub fn was_scaled(&self) -> bool {
        self.scaled
    }
}
