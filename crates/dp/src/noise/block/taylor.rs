//! The acceptance in 62-bit fixed point.

/// Bound on |fixed-point value − A·e^(−x)|, in 2^−62. Derived in `proof.md`, 2; measured in the tests.
pub(super) const ERROR: u64 = 1 << 12;

/// Degree of the polynomial: the first term left out is x^15/15!.
const DEGREE: usize = 14;
const ONE: u64 = 1 << 62;

/// ⌊2^62/k!⌋.
const COEFFICIENTS: [u64; DEGREE + 1] = {
    let mut c = [ONE; DEGREE + 1];
    let (mut k, mut factorial) = (1, 1);
    while k <= DEGREE {
        factorial *= k as u64;
        c[k] = ONE / factorial;
        k += 1;
    }
    c
};

/// What is known of test < A·e^(−x).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Accept,
    Reject,
    /// The intervals overlap.
    Open,
}

/// Compares the real number that begins with the digits `test` with A·e^(−h²(2iu+u²)/2), i the block, u the real number that begins with `offset`
/// and A known to 2^−62 from below. `margin` is at least [`ERROR`].
#[inline]
pub(super) fn decide(block: u64, offset: u64, test: u64, scale: u64, margin: u64) -> Verdict {
    let value = multiply(exponential(exponent(block, offset)), scale);
    let test = test >> 2; // the number lies in [test, test + 1] / 2^62
    if test + 1 + margin <= value {
        Verdict::Accept
    } else if test >= value + margin {
        Verdict::Reject
    } else {
        Verdict::Open
    }
}

/// x = (2iu + u²)/512 in 2^−62, below 2^62 as i ≤ 255.
fn exponent(block: u64, offset: u64) -> u64 {
    let u = u128::from(offset);
    let sum = u128::from(2 * block) * u + ((u * u) >> 64);
    u64::try_from(sum >> 11).expect("below 511/512 of 2^62")
}

/// e^(−x) by Horner's rule.
fn exponential(x: u64) -> u64 {
    let (last, rest) = COEFFICIENTS.split_last().expect("not empty");
    rest.iter().rfold(*last, |p, c| c - multiply(x, p))
}

/// ⌊a·b·2^−62⌋ for a below 2^62 and b at most 2^62.
#[inline]
fn multiply(a: u64, b: u64) -> u64 {
    u64::try_from((u128::from(a) * u128::from(b)) >> 62).expect("at most a")
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng as _, SeedableRng as _};

    use super::super::exact::exp_bracket;
    use super::super::table::PROPOSAL;
    use super::*;

    /// Largest distance of the value from the true interval, in 2^−62, over random blocks and offsets and the corners.
    fn largest_error() -> u64 {
        let mut rng = ChaCha20Rng::from_seed([21; 32]);
        let mut offsets: Vec<u64> = (0..20).map(|_| rng.next_u64()).collect();
        offsets.extend([0, 1, u64::MAX, u64::MAX - 1]);
        let mut largest = 0;
        for (block, number) in PROPOSAL.blocks.iter().zip(0u64..) {
            for &offset in &offsets {
                let value = multiply(exponential(exponent(number, offset)), block.scale);
                // Over all u with these digits: the exponent (2iu + u²)/512 at both ends, u in 2^−64.
                let at =
                    |u: BigUint| exp_bracket(&(((BigUint::from(2 * number) * &u) << 64u32) + &u * &u), 128 + 9, 80);
                let start = exp_bracket(&BigUint::from(number * number), 9, 300);
                // A = C·e^(−i²/512)/W at 300 bits; A·e^(−x) at 62.
                let times_a =
                    |e: &BigUint, s: &BigUint| (e * s * PROPOSAL.ceiling / block.weight) >> (300u32 + 80 - 62);
                let low = times_a(&at(BigUint::from(offset) + 1u8).low, &start.low);
                let high = times_a(&at(BigUint::from(offset)).high, &start.high) + 1u8;
                let value = BigUint::from(value);
                let error = (high.max(value.clone()) - low.min(value)).to_u64_digits();
                largest = largest.max(error.first().copied().unwrap_or(0));
            }
        }
        largest
    }

    #[test]
    fn claim_the_fixed_point_value_is_within_its_stated_error() {
        let largest = largest_error();
        assert!(largest <= ERROR, "{largest}");
        assert!(largest > ERROR / 16, "a sixteenth of the stated error would be caught: {largest}");
    }

    #[test]
    fn a_test_is_settled_only_outside_the_margin() {
        // Block 0 at offset 0: the value is A itself, in 2^−62.
        let value = multiply(exponential(0), ONE / 2);
        let verdict = |test: u64| decide(0, 0, test << 2, ONE / 2, 1000);
        assert_eq!(verdict(value - 1001), Verdict::Accept);
        assert_eq!(verdict(value - 1000), Verdict::Open);
        assert_eq!(verdict(value), Verdict::Open);
    }

    #[test]
    fn a_value_of_nearly_nothing_is_rejected_only_above_the_margin() {
        assert_eq!(decide(9, 5, 999 << 2, 0, 1000), Verdict::Open);
        assert_eq!(decide(9, 5, 1000 << 2, 0, 1000), Verdict::Reject);
    }
}
