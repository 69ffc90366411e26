//! Every length and bound of a round's vectors, checked once.
use sottovoce_types::{ClipNorm, Lanes, RingVec};

use crate::exact;

/// The finest grid: C = 2^40 steps. Beyond it f64 truncation would no longer dominate the rounding errors of clipping.
pub const MAX_CLIP_BITS: u32 = 40;

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
    /// Whether one extra coordinate carries the sum of weights (runs without a privacy unit).
    pub weighted: bool,
    /// Grid steps that the noise of *all* clients together stays within (13 standard deviations of the sum).
    pub noise_tail: u64,
}

/// The plan could overflow, or is empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Headroom {
    /// The worst case of the sum does not fit its lane.
    #[error(
        "a coordinate of the sum can need {needed_bits} bits, but {lanes} lanes leave {available_bits}: {}",
        mend(*excess_bits, *lanes_that_fit)
    )]
    TooNarrow {
        /// Bits of the worst case, sign included.
        needed_bits: u32,
        /// Bits of a lane.
        available_bits: u32,
        /// Lanes asked for.
        lanes: usize,
        /// How many clip_bits fewer would fit (noise shrinks with the grid).
        excess_bits: u32,
        /// The most lanes that would fit with these clip_bits, if any.
        lanes_that_fit: Option<u8>,
    },
    /// clip_bits is out of range.
    #[error("clip_bits must be 1 to {MAX_CLIP_BITS}, but is {clip_bits}")]
    ClipBits {
        /// What was asked for.
        clip_bits: u32,
    },
    /// No parameters or no units.
    #[error("{what} must be at least 1")]
    Empty {
        /// Which of the two.
        what: &'static str,
    },
}

fn mend(excess_bits: u32, lanes_that_fit: Option<u8>) -> String {
    let fewer_bits = format!("use {excess_bits} fewer clip_bits");
    lanes_that_fit.map_or(fewer_bits.clone(), |n| format!("{fewer_bits}, or at most {n} lanes"))
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
}

impl EncodePlan {
    /// Checks that max_units · 2^clip_bits + noise_tail, the worst case of one coordinate (all units point along one
    /// axis), fits a lane. The weight coordinate has the same bound, since a weight is at most 1.
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
        let worst = (u128::from(spec.max_units) << clip_bits) + u128::from(spec.noise_tail);
        let needed_bits = signed_bits(worst);
        if needed_bits > lanes.bits() {
            return Err(Headroom::TooNarrow {
                needed_bits,
                available_bits: lanes.bits(),
                lanes: lanes.count(),
                excess_bits: needed_bits - lanes.bits(),
                lanes_that_fit: (1..=6u8).rev().find(|&n| Lanes::new(n).is_some_and(|l| l.bits() >= needed_bits)),
            });
        }
        Ok(Self { spec })
    }

    /// What it was made of.
    pub fn spec(&self) -> &EncodeSpec {
        &self.spec
    }

    /// Coordinates of a vector: d, and one more for the weight.
    pub fn coords(&self) -> usize {
        self.spec.dim + usize::from(self.spec.weighted)
    }

    /// Words of a packed vector.
    pub fn words(&self) -> usize {
        self.spec.lanes.words(self.coords())
    }

    /// Lanes in a word.
    pub fn lanes(&self) -> Lanes {
        self.spec.lanes
    }

    /// C in grid steps: the L2 sensitivity of the integer sum to one unit.
    pub fn clip_steps(&self) -> u64 {
        1 << self.spec.clip_bits
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

    /// The integers of a packed sum: `[coords]`.
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

    /// The weighted mean `[d]`: Σ w·x / Σ w, the weight being the last coordinate.
    ///
    /// # Errors
    /// [`ZeroWeight`] when the weights do not add to something above 0.
    ///
    /// # Panics
    /// When the plan is not weighted, or the shape is not this plan's.
    pub fn decode_weighted(&self, sum: &RingVec) -> Result<Vec<f32>, ZeroWeight> {
        assert!(self.spec.weighted, "a weighted plan");
        let coords = self.decode_coords(sum);
        let weight_steps = coords[self.spec.dim];
        if weight_steps <= 0 {
            return Err(ZeroWeight { weight_steps });
        }
        Ok(self.scaled(&coords, self.spec.clip.value() / exact::to_f64(weight_steps)))
    }

    fn scaled(&self, coords: &[i64], scale: f64) -> Vec<f32> {
        coords.iter().take(self.spec.dim).map(|&x| exact::to_f32(exact::to_f64(x) * scale)).collect()
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
            weighted: false,
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
        let plan = EncodePlan::new(EncodeSpec { weighted: true, ..spec() }).unwrap();
        assert_eq!((plan.coords(), plan.words(), plan.clip_steps()), (11, 6, 1 << 16));
    }

    #[test]
    fn an_empty_plan_is_refused() {
        assert!(matches!(EncodePlan::new(EncodeSpec { dim: 0, ..spec() }), Err(Headroom::Empty { what: "dim" })));
        assert!(EncodePlan::new(EncodeSpec { max_units: 0, ..spec() }).is_err());
        assert!(matches!(EncodePlan::new(EncodeSpec { clip_bits: 41, ..spec() }), Err(Headroom::ClipBits { .. })));
    }
}
