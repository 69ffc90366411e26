//! The field of p = 2^64 − 2^32 + 1 elements, in which secrets are shared.
//!
//! Reduction follows from 2^64 ≡ 2^32 − 1 and 2^96 ≡ −1 (mod p). Nothing branches on a value; conditions become
//! multiplications by 0 or 1.
use rand_core::CryptoRng;
use zeroize::DefaultIsZeroes;

/// p = 2^64 − 2^32 + 1.
pub(crate) const P: u64 = 0xffff_ffff_0000_0001;
/// 2^64 mod p.
const EPSILON: u64 = 0xffff_ffff;

/// An element in canonical form, 0 ≤ value < p.
#[derive(Clone, Copy, Default)]
pub(crate) struct Goldilocks(u64);

// What makes `zeroize` work on arrays and vectors of elements.
impl DefaultIsZeroes for Goldilocks {}

impl Goldilocks {
    pub(crate) const ZERO: Self = Self(0);
    pub(crate) const ONE: Self = Self(1);

    /// The element of a canonical value; `None` for p and above.
    pub(crate) fn canonical(value: u64) -> Option<Self> {
        (value < P).then_some(Self(value))
    }

    /// The element of a roster position (never reduced: 2^32 < p).
    pub(crate) fn small(value: u32) -> Self {
        Self(u64::from(value))
    }

    /// A uniform element, zero included, by rejection. `None` when the generator gives eight values of p and above in a
    /// row: 2^−256 for a sound generator, certain for one that returns only ones.
    pub(crate) fn random(rng: &mut (impl CryptoRng + ?Sized)) -> Option<Self> {
        (0..8).find_map(|_| Self::canonical(rng.next_u64()))
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }

    pub(crate) fn add(self, other: Self) -> Self {
        let (sum, carry) = self.0.overflowing_add(other.0);
        // Both are below p, so a carry leaves a sum below 2^64 − 2^33: adding 2^64 mod p stays below p.
        reduce_once(sum.wrapping_add(EPSILON.wrapping_mul(u64::from(carry))))
    }

    pub(crate) fn sub(self, other: Self) -> Self {
        let (difference, borrow) = self.0.overflowing_sub(other.0);
        Self(difference.wrapping_add(P.wrapping_mul(u64::from(borrow))))
    }

    pub(crate) fn mul(self, other: Self) -> Self {
        let product = u128::from(self.0).wrapping_mul(u128::from(other.0));
        let (low, high) = halves(product);
        let (high_low, high_high) = (high & EPSILON, high >> 32);
        // low − high_high (2^96 ≡ −1) + high_low · (2^32 − 1) (2^64 ≡ 2^32 − 1).
        let (t, borrow) = low.overflowing_sub(high_high);
        let t = t.wrapping_sub(EPSILON.wrapping_mul(u64::from(borrow)));
        let (t, carry) = t.overflowing_add(high_low.wrapping_mul(EPSILON));
        reduce_once(t.wrapping_add(EPSILON.wrapping_mul(u64::from(carry))))
    }

    /// The inverse by Fermat, a^(p−2); zero for zero.
    pub(crate) fn invert(self) -> Self {
        let mut result = Self::ONE;
        let mut base = self;
        let mut exponent = P.wrapping_sub(2);
        while exponent > 0 {
            // The exponent is public.
            if exponent & 1 == 1 {
                result = result.mul(base);
            }
            base = base.mul(base);
            exponent >>= 1;
        }
        result
    }
}

/// The inverses of all elements with one inversion (Montgomery's trick); `None` when one of them is zero.
pub(crate) fn invert_all(elements: &[Goldilocks]) -> Option<Vec<Goldilocks>> {
    let mut before = Vec::with_capacity(elements.len());
    let mut product = Goldilocks::ONE;
    for element in elements {
        before.push(product);
        product = product.mul(*element);
    }
    if product.value() == 0 {
        return None;
    }
    let mut after = product.invert();
    let mut inverses = Vec::with_capacity(elements.len());
    for (element, before) in elements.iter().zip(&before).rev() {
        inverses.push(after.mul(*before));
        after = after.mul(*element);
    }
    inverses.reverse();
    Some(inverses)
}

/// Subtracts p from a value below 2^64 once if it is p or above.
fn reduce_once(value: u64) -> Goldilocks {
    let (reduced, borrow) = value.overflowing_sub(P);
    Goldilocks(reduced.wrapping_add(P.wrapping_mul(u64::from(borrow))))
}

/// Low and high 64 bits.
fn halves(value: u128) -> (u64, u64) {
    let low = u64::try_from(value & u128::from(u64::MAX)).expect("a u128 masked to 64 bits fits 64 bits");
    let high = u64::try_from(value >> 64).expect("a u128 shifted by 64 fits 64 bits");
    (low, high)
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use prio::field::{Field64, FieldElement};
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{SeedableRng, TryCryptoRng, TryRng};

    use super::*;

    /// Values where carries and borrows happen, and any others.
    fn element() -> impl Strategy<Value = u64> {
        prop_oneof![
            prop::sample::select(vec![0, 1, 2, EPSILON - 1, EPSILON, EPSILON + 1, P / 2, P - 2, P - 1, 1 << 63]),
            0..P,
        ]
    }

    fn big(value: u64) -> BigUint {
        BigUint::from(value)
    }

    proptest! {
        #[test]
        fn arithmetic_agrees_with_big_integers(a in element(), b in element()) {
            let (x, y) = (Goldilocks(a), Goldilocks(b));
            prop_assert_eq!(big(x.add(y).value()), (big(a) + big(b)) % P);
            prop_assert_eq!(big(x.sub(y).value()), (big(a) + P - big(b)) % P);
            prop_assert_eq!(big(x.mul(y).value()), (big(a) * big(b)) % P);
        }

        /// The same field in an implementation with Montgomery's representation (ISRG's libprio).
        #[test]
        fn arithmetic_agrees_with_libprio(a in element(), b in element()) {
            let (x, y) = (Goldilocks(a), Goldilocks(b));
            let (u, v) = (Field64::from(a), Field64::from(b));
            prop_assert_eq!(x.add(y).value(), u64::from(u + v));
            prop_assert_eq!(x.sub(y).value(), u64::from(u - v));
            prop_assert_eq!(x.mul(y).value(), u64::from(u * v));
            if a != 0 {
                prop_assert_eq!(x.invert().value(), u64::from(u.inv()));
            }
        }

        #[test]
        fn inverses_together_are_the_inverses_one_by_one(all in prop::collection::vec(element(), 0..8)) {
            let all: Vec<Goldilocks> = all.into_iter().map(Goldilocks).collect();
            let values = |v: &[Goldilocks]| v.iter().map(|e| e.value()).collect::<Vec<_>>();
            let singly: Vec<Goldilocks> = all.iter().map(|e| e.invert()).collect();
            let expected = all.iter().all(|e| e.value() != 0).then(|| values(&singly));
            prop_assert_eq!(invert_all(&all).map(|v| values(&v)), expected);
        }

        #[test]
        fn an_inverse_is_an_inverse(a in element()) {
            let product = Goldilocks(a).mul(Goldilocks(a).invert()).value();
            prop_assert_eq!(product, u64::from(a != 0));
        }

        #[test]
        fn halves_are_the_halves(value: u128) {
            let (low, high) = halves(value);
            prop_assert_eq!(u128::from(low) + (u128::from(high) << 64), value);
        }
    }

    #[test]
    fn only_values_below_p_are_elements() {
        assert!(Goldilocks::canonical(P).is_none());
        assert!(Goldilocks::canonical(u64::MAX).is_none());
        assert_eq!(Goldilocks::canonical(P - 1).unwrap().value(), P - 1);
    }

    struct Stuck(u64);
    impl TryRng for Stuck {
        type Error = core::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(u32::MAX)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(self.0)
        }
        fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
            dst.fill(0xff);
            Ok(())
        }
    }
    impl TryCryptoRng for Stuck {}

    #[test]
    fn a_stuck_generator_ends_the_sampling_and_zero_is_a_sample() {
        assert!(Goldilocks::random(&mut Stuck(u64::MAX)).is_none());
        assert_eq!(Goldilocks::random(&mut Stuck(0)).unwrap().value(), 0);
        assert!(Goldilocks::random(&mut ChaCha20Rng::from_seed([0; 32])).is_some());
    }
}
