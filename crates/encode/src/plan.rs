//! Every length and bound of a round's vectors, checked once.
use sottovoce_types::{ClipNorm, Digest, Lanes, RingVec, Rotation};

use crate::exact;
use crate::headroom::{Headroom, MIN_SPREAD_STEPS};
use crate::rotate::{Rotator, block_of, coordinate_bound, in_steps};

/// The finest grid: C = 2^40 steps. Beyond it f64 truncation would no longer dominate the rounding errors of clipping.
pub const MAX_CLIP_BITS: u32 = 40;

/// What a vector carries behind its d parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Extra {
    /// Nothing.
    #[default]
    None,
    /// The sum of weights, for runs without a privacy unit.
    Weight,
    /// For adaptive clipping: each unit that was within the bound as `steps`, each that was clipped as −`steps`.
    Unclipped {
        /// At least 1.
        steps: u64,
    },
}

/// What a plan is made of. Public: every client computes the same.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EncodeSpec {
    /// Parameters d.
    pub dim: usize,
    /// L2 bound C on one privacy unit's update.
    pub clip: ClipNorm,
    /// C is 2^clip_bits grid steps; 1 to [`MAX_CLIP_BITS`].
    pub clip_bits: u32,
    /// Lanes in a word.
    pub lanes: Lanes,
    /// Privacy units over all clients, at most. Public.
    pub max_units: u64,
    /// What one more coordinate carries, if there is one.
    pub extra: Extra,
    /// Whether updates are rotated before they become integers.
    pub rotation: Rotation,
    /// Grid steps that the noise of *all* clients together stays within (13 standard deviations of the sum).
    pub noise_tail: u64,
}

/// The weights of a weighted sum add to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sum of weights is {weight_steps} grid steps: no client contributed a weight")]
pub struct ZeroWeight {
    /// What the last coordinate held.
    pub weight_steps: i64,
}

/// A checked [`EncodeSpec`]: no sum of admissible inputs and noise within the stated tail leaves its lane.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EncodePlan {
    spec: EncodeSpec,
    /// Of the rotation's public signs, with the round: both 0 until they are set, and where nothing is rotated.
    seed: Digest,
    round: u64,
}

impl EncodePlan {
    /// Checks that max_units · 2^clip_bits + noise_tail, the worst case of one coordinate (all units point along one
    /// axis), fits a lane. The weight coordinate has the same bound, since a weight is at most 1; a count of unclipped units
    /// has max_units · steps + noise_tail.
    ///
    /// With a rotation a unit's coordinate is at most [`EncodePlan::coordinate_bound`] in the place of 2^clip_bits; weight and count
    /// are not rotated.
    ///
    /// # Errors
    /// [`Headroom`], with the mend.
    pub fn new(spec: EncodeSpec) -> Result<Self, Headroom> {
        let EncodeSpec { clip_bits, lanes, .. } = spec;
        if spec.dim == 0 {
            return Err(Headroom::Empty { what: "dim" });
        }
        if spec.max_units == 0 {
            return Err(Headroom::Empty { what: "max_units" });
        }
        if !(1..=MAX_CLIP_BITS).contains(&clip_bits) {
            return Err(Headroom::ClipBits { clip_bits });
        }
        let count_steps = match spec.extra {
            Extra::Unclipped { steps: 0 } => return Err(Headroom::Empty { what: "the steps of the count" }),
            Extra::Unclipped { steps } => steps,
            Extra::Weight => 1 << clip_bits,
            Extra::None => 0,
        };
        let plan = Self { spec, seed: Digest::default(), round: 0 };
        let largest = u128::from(count_steps.max(plan.coordinate_bound()));
        let worst = u128::from(spec.max_units) * largest + u128::from(spec.noise_tail);
        let needed_bits = signed_bits(worst);
        if needed_bits > lanes.bits() {
            return Err(Headroom::TooNarrow {
                needed_bits,
                available_bits: lanes.bits(),
                lanes: lanes.count(),
                excess_bits: needed_bits - lanes.bits(),
                lanes_that_fit: (1..=6u8).rev().find(|&n| Lanes::new(n).is_some_and(|l| l.bits() >= needed_bits)),
                rotation_fits: spec.rotation == Rotation::None
                    && Self::new(EncodeSpec { rotation: Rotation::Hadamard, ..spec }).is_ok(),
            });
        }
        plan.fine_enough().map(|()| plan)
    }

    fn fine_enough(&self) -> Result<(), Headroom> {
        let EncodeSpec { dim, clip_bits, rotation, .. } = self.spec;
        let spread = MIN_SPREAD_STEPS.pow(2) * u128::try_from(dim).unwrap_or(u128::MAX >> 8);
        match rotation {
            Rotation::Hadamard if spread > 1 << (2 * clip_bits) => {
                let needed = (u128::BITS - (spread - 1).leading_zeros()).div_ceil(2);
                Err(Headroom::TooCoarse { dim, clip_bits, needed })
            }
            _ => Ok(()),
        }
    }

    /// What it was made of.
    pub fn spec(&self) -> &EncodeSpec {
        &self.spec
    }

    /// The same plan for another clipping norm: the same integers, whose grid steps have another size. What was quantised under
    /// one is not added under the other.
    #[must_use]
    pub fn with_clip(&self, clip: ClipNorm) -> Self {
        Self { spec: EncodeSpec { clip, ..self.spec }, ..*self }
    }

    /// The same plan with the rotation's signs drawn from `seed`, which is public and the same for everybody; as it is where
    /// nothing is rotated.
    #[must_use]
    pub fn with_seed(&self, seed: Digest) -> Self {
        match self.spec.rotation {
            Rotation::None => *self,
            Rotation::Hadamard => Self { seed, ..*self },
        }
    }

    /// The same plan with the signs of a round. What was rotated in one is not added in another.
    #[must_use]
    pub fn in_round(&self, round: u64) -> Self {
        match self.spec.rotation {
            Rotation::None => *self,
            Rotation::Hadamard => Self { round, ..*self },
        }
    }

    /// Coordinates that one Hadamard matrix mixes: 1 where nothing is rotated.
    pub fn block(&self) -> usize {
        match self.spec.rotation {
            Rotation::None => 1,
            Rotation::Hadamard => block_of(self.spec.dim).0,
        }
    }

    /// The largest magnitude in grid steps of one unit's coordinate: 2^clip_bits; with a rotation ⌈κ·2^clip_bits/√block⌉ if that is
    /// less, κ being [`crate::FLATNESS`], to which each coordinate is clamped.
    pub fn coordinate_bound(&self) -> u64 {
        match self.spec.rotation {
            Rotation::None => self.clip_steps(),
            Rotation::Hadamard => coordinate_bound(self.spec.dim, self.clip_steps()),
        }
    }

    pub(crate) fn rotator(&self) -> Option<Rotator> {
        match self.spec.rotation {
            Rotation::None => None,
            Rotation::Hadamard => Some(Rotator::new(self.spec.dim, &self.seed, self.round)),
        }
    }

    /// Coordinates of a vector: d, and one more where it carries something extra.
    pub fn coords(&self) -> usize {
        self.spec.dim + usize::from(self.spec.extra != Extra::None)
    }

    /// Words of a packed vector.
    pub fn words(&self) -> usize {
        self.spec.lanes.words(self.coords())
    }

    /// Lanes in a word.
    pub fn lanes(&self) -> Lanes {
        self.spec.lanes
    }

    /// C in grid steps: the L2 sensitivity to one unit of the integer sum's d parameters.
    pub fn clip_steps(&self) -> u64 {
        1 << self.spec.clip_bits
    }

    /// The square of the L2 sensitivity to one unit of the whole integer sum that noise is added to, its count of unclipped units
    /// included: 4^clip_bits + steps². (`proof.md`, 6)
    pub fn squared_sensitivity(&self) -> u128 {
        let count = match self.spec.extra {
            Extra::Unclipped { steps } => u128::from(steps).pow(2),
            Extra::None | Extra::Weight => 0,
        };
        u128::from(self.clip_steps()).pow(2) + count
    }

    /// One grid step in parameter units: C / 2^clip_bits.
    pub fn step(&self) -> f64 {
        // Exact: a division by a power of two.
        self.spec.clip.value() / exact::power_of_two(self.spec.clip_bits)
    }

    /// Grid steps in one parameter unit, rounded to nearest.
    pub(crate) fn steps_per_unit(&self) -> f64 {
        exact::power_of_two(self.spec.clip_bits) / self.spec.clip.value()
    }

    /// The integers of a packed sum: `[coords]`, rotated if the plan rotates.
    ///
    /// # Panics
    /// When `sum` does not have this plan's shape, which is a bug of the caller: secure aggregation fixes it.
    pub fn decode_coords(&self, sum: &RingVec) -> Vec<i64> {
        assert_eq!((sum.words().len(), sum.lanes()), (self.words(), self.lanes()), "a sum of this plan's shape");
        sum.unpack(self.coords())
    }

    /// The mean update `[d]`: the sum over `denominator`, a public number that does not depend on who contributed.
    ///
    /// # Panics
    /// When `denominator` is not a finite number above 0, or the shape is not this plan's.
    pub fn decode(&self, sum: &RingVec, denominator: f64) -> Vec<f32> {
        assert!(denominator.is_finite() && denominator > 0.0, "a public denominator above 0");
        let scale = self.step() / denominator;
        self.scaled(&self.decode_coords(sum), scale)
    }

    /// The summed update `[d]` in parameter units.
    ///
    /// # Panics
    /// When the shape is not this plan's.
    pub fn decode_sum(&self, sum: &RingVec) -> Vec<f64> {
        let step = self.step();
        self.parameters(&self.decode_coords(sum)).into_iter().map(|x| x * step).collect()
    }

    /// The share of unclipped among `units`, a public number: as noisy as the sum, so it may lie outside of 0 to 1. A unit that
    /// contributed nothing counts as half unclipped. `None` for a plan without that count.
    ///
    /// # Panics
    /// When `units` is not a finite number above 0, or the shape is not this plan's.
    pub fn decode_unclipped(&self, sum: &RingVec, units: f64) -> Option<f64> {
        assert!(units.is_finite() && units > 0.0, "a public number of units above 0");
        let Extra::Unclipped { steps } = self.spec.extra else { return None };
        let count = exact::to_f64(self.decode_coords(sum)[self.spec.dim]) / exact::u64_to_f64(steps);
        Some(0.5 + count / (2.0 * units))
    }

    /// The weighted mean `[d]`: Σ w·x / Σ w, the weight being the last coordinate.
    ///
    /// # Errors
    /// [`ZeroWeight`] when the weights do not add to something above 0.
    ///
    /// # Panics
    /// When the plan is not weighted, or the shape is not this plan's.
    pub fn decode_weighted(&self, sum: &RingVec) -> Result<Vec<f32>, ZeroWeight> {
        assert!(self.spec.extra == Extra::Weight, "a weighted plan");
        let coords = self.decode_coords(sum);
        let weight_steps = coords[self.spec.dim];
        if weight_steps <= 0 {
            return Err(ZeroWeight { weight_steps });
        }
        Ok(self.scaled(&coords, self.spec.clip.value() / exact::to_f64(weight_steps)))
    }

    fn scaled(&self, coords: &[i64], scale: f64) -> Vec<f32> {
        self.parameters(coords).into_iter().map(|x| exact::to_f32(x * scale)).collect()
    }

    /// The d parameters in grid steps, rotated back. Of integers up to the last division by a power of two: everybody gets the same bits.
    fn parameters(&self, coords: &[i64]) -> Vec<f64> {
        let coords = &coords[..self.spec.dim];
        match self.rotator() {
            None => coords.iter().map(|&x| exact::to_f64(x)).collect(),
            Some(rotator) => rotator.inverse(coords).into_iter().map(|x| in_steps(x, rotator.scale())).collect(),
        }
    }
}

/// Bits of the narrowest signed lane whose largest magnitude, 2^(bits−1) − 1, holds `magnitude`.
fn signed_bits(magnitude: u128) -> u32 {
    u128::BITS - magnitude.leading_zeros() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> EncodeSpec {
        EncodeSpec {
            dim: 10,
            clip: ClipNorm::new(1.0).unwrap(),
            clip_bits: 16,
            lanes: Lanes::new(2).unwrap(),
            max_units: 1 << 14,
            extra: Extra::None,
            rotation: Rotation::None,
            noise_tail: 1000,
        }
    }

    #[test]
    fn a_plan_that_could_overflow_is_refused_with_the_mend() {
        let spec = EncodeSpec { lanes: Lanes::new(3).unwrap(), ..spec() };
        let error = EncodePlan::new(spec).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a coordinate of the sum can need 32 bits, but 3 lanes leave 21: use 11 fewer clip_bits, or at most 2 lanes"
        );
    }

    #[test]
    fn the_largest_magnitude_of_a_lane_is_the_first_that_fits() {
        let lanes = Lanes::new(2).unwrap();
        let room = lanes.max_magnitude() - (1 << 30);
        assert!(EncodePlan::new(EncodeSpec { noise_tail: room, ..spec() }).is_ok());
        assert!(matches!(
            EncodePlan::new(EncodeSpec { noise_tail: room + 1, ..spec() }),
            Err(Headroom::TooNarrow { needed_bits: 33, available_bits: 32, .. })
        ));
        assert!(EncodePlan::new(EncodeSpec { max_units: u64::MAX, noise_tail: u64::MAX, ..spec() }).is_err());
    }

    #[test]
    fn a_weighted_plan_has_one_more_coordinate() {
        let plan = EncodePlan::new(EncodeSpec { extra: Extra::Weight, ..spec() }).unwrap();
        assert_eq!((plan.coords(), plan.words(), plan.clip_steps()), (11, 6, 1 << 16));
    }

    #[test]
    fn a_count_has_a_coordinate_a_sensitivity_and_room_of_its_own() {
        let with =
            |steps, max_units| EncodePlan::new(EncodeSpec { extra: Extra::Unclipped { steps }, max_units, ..spec() });
        let plan = with(3 << 14, 4).unwrap();
        assert_eq!((plan.coords(), plan.clip_steps()), (11, 1 << 16));
        assert_eq!(plan.squared_sensitivity(), (1 << 32) + (3 << 14u128) * (3 << 14u128));
        assert_eq!(EncodePlan::new(spec()).unwrap().squared_sensitivity(), 1 << 32);
        // A count whose steps outgrow C needs the room that it takes: 2^14 units of 2^17 steps do not fit a lane of 32 bits.
        assert!(matches!(with(1 << 17, 1 << 14), Err(Headroom::TooNarrow { needed_bits: 33, .. })));
        assert!(matches!(with(0, 4), Err(Headroom::Empty { .. })));
        let other = plan.with_clip(ClipNorm::new(0.25).unwrap());
        assert_eq!((other.clip_steps(), other.words()), (plan.clip_steps(), plan.words()));
        assert!((other.step() - plan.step() / 4.0).abs() < 1e-20 && other != plan);
    }

    #[test]
    fn an_empty_plan_is_refused() {
        assert!(matches!(EncodePlan::new(EncodeSpec { dim: 0, ..spec() }), Err(Headroom::Empty { what: "dim" })));
        assert!(EncodePlan::new(EncodeSpec { max_units: 0, ..spec() }).is_err());
        assert!(matches!(EncodePlan::new(EncodeSpec { clip_bits: 41, ..spec() }), Err(Headroom::ClipBits { .. })));
    }
}
