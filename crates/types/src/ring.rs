//! Vectors over Z_2^64 with packed lanes: what secure aggregation sums.
//!
//! A word carries L lanes of w = ⌊64/L⌋ bits as the signed sum Σ v_l · 2^(w·l) in wrapping arithmetic. The sum of packed
//! words is the packed sum exactly while every lane's sum stays in [−2^(w−1), 2^(w−1)).
use serde::{Deserialize, Serialize};

/// How many integers share a 64-bit word: 1 to 6.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Lanes(u8);

impl Lanes {
    /// 1 to 6 lanes; `None` otherwise.
    pub fn new(lanes: u8) -> Option<Self> {
        (1..=6).contains(&lanes).then_some(Self(lanes))
    }

    /// Number of lanes.
    pub fn count(self) -> usize {
        usize::from(self.0)
    }

    /// Bits of one lane.
    pub fn bits(self) -> u32 {
        64 / u32::from(self.0)
    }

    /// The largest magnitude M such that every value in [−M, M] fits a lane: 2^(w−1) − 1.
    pub fn max_magnitude(self) -> u64 {
        (1u64 << (self.bits() - 1)) - 1
    }

    /// Words needed for `values` integers.
    pub fn words(self, values: usize) -> usize {
        values.div_ceil(self.count())
    }
}

impl TryFrom<u8> for Lanes {
    type Error = &'static str;
    fn try_from(n: u8) -> Result<Self, &'static str> {
        Self::new(n).ok_or("lanes must be 1 to 6")
    }
}

impl From<Lanes> for u8 {
    fn from(lanes: Lanes) -> u8 {
        lanes.0
    }
}

/// A value that does not fit its lane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("coordinate {index} does not fit a lane of {bits} bits")]
pub struct LaneOverflow {
    /// Which coordinate.
    pub index: usize,
    /// Bits of a lane.
    pub bits: u32,
}

/// A vector over Z_2^64.
#[derive(Clone, PartialEq, Eq)]
pub struct RingVec {
    lanes: Lanes,
    words: Vec<u64>,
}

// Debug stops at the shape: the contents may be one client's unmasked input, and they are long.
impl std::fmt::Debug for RingVec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RingVec({} words of {} lanes)", self.words.len(), self.lanes.0)
    }
}

impl RingVec {
    /// Packs signed integers.
    ///
    /// # Errors
    /// [`LaneOverflow`] when one does not fit its lane.
    pub fn pack(values: &[i64], lanes: Lanes) -> Result<Self, LaneOverflow> {
        let bits = lanes.bits();
        let max = lanes.max_magnitude();
        let mut words = Vec::with_capacity(lanes.words(values.len()));
        for (chunk_index, chunk) in values.chunks(lanes.count()).enumerate() {
            let mut word = 0u64;
            for (lane, &value) in chunk.iter().enumerate() {
                if value.unsigned_abs() > max {
                    return Err(LaneOverflow { index: chunk_index * lanes.count() + lane, bits });
                }
                // Two's complement, shifted to the lane: a negative lane borrows from the one above, which unpack undoes.
                let shift = bits * u32::try_from(lane).expect("at most 6 lanes");
                word = word.wrapping_add(value.cast_unsigned().wrapping_shl(shift));
            }
            words.push(word);
        }
        Ok(Self { lanes, words })
    }

    /// `values` integers from the packed words, each the signed value of its lane.
    pub fn unpack(&self, values: usize) -> Vec<i64> {
        let bits = self.lanes.bits();
        let mut out = Vec::with_capacity(self.words.len() * self.lanes.count());
        for &packed in &self.words {
            let mut word = packed;
            for _ in 0..self.lanes.count() {
                let value = (word << (64 - bits)).cast_signed() >> (64 - bits);
                out.push(value);
                word = word.wrapping_sub(value.cast_unsigned());
                word = if bits == 64 { 0 } else { word >> bits };
            }
        }
        out.truncate(values);
        out
    }

    /// All zeros.
    pub fn zeros(words: usize, lanes: Lanes) -> Self {
        Self { lanes, words: vec![0; words] }
    }

    /// Takes words as they are.
    pub fn from_words(words: Vec<u64>, lanes: Lanes) -> Self {
        Self { lanes, words }
    }

    /// Adds another vector of the same shape, mod 2^64.
    pub fn add(&mut self, other: &Self) {
        assert_eq!(self.words.len(), other.words.len(), "vectors of one length");
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a = a.wrapping_add(*b);
        }
    }

    /// The words.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The words alone.
    pub fn into_words(self) -> Vec<u64> {
        self.words
    }

    /// The words, to be changed in place.
    pub fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Lanes per word.
    pub fn lanes(&self) -> Lanes {
        self.lanes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_beyond_its_lane_is_refused() {
        let lanes = Lanes::new(4).unwrap();
        assert_eq!(RingVec::pack(&[0, 1 << 15], lanes), Err(LaneOverflow { index: 1, bits: 16 }));
        assert!(RingVec::pack(&[0, (1 << 15) - 1], lanes).is_ok());
    }

    #[test]
    fn extremes_of_neighbouring_lanes_do_not_disturb_each_other() {
        for count in 1..=6 {
            let lanes = Lanes::new(count).unwrap();
            let max = i64::try_from(lanes.max_magnitude()).unwrap();
            let values: Vec<i64> = (0..13).map(|i| if i % 2 == 0 { -max } else { max }).collect();
            assert_eq!(RingVec::pack(&values, lanes).unwrap().unpack(13), values);
        }
    }

    proptest! {
        #[test]
        fn the_packed_sum_is_the_sum(count in 1u8..=6, a in prop::collection::vec(-400i64..400, 0..40), n in 1i64..4) {
            let lanes = Lanes::new(count).unwrap();
            let packed = RingVec::pack(&a, lanes).unwrap();
            let mut sum = RingVec::zeros(packed.words().len(), lanes);
            let factor = if lanes.bits() >= 12 { n } else { 1 };
            for _ in 0..factor { sum.add(&packed); }
            let expected: Vec<i64> = a.iter().map(|v| v * factor).collect();
            prop_assert_eq!(sum.unpack(a.len()), expected);
        }
    }
}
