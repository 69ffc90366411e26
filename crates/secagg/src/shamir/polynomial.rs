//! Polynomials over the field, as far as decoding needs them.
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::goldilocks::Goldilocks;

/// Coefficients, lowest first, without leading zeros; the zero polynomial has none. They can hold a secret, so they are
/// wiped on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct Polynomial(Vec<Goldilocks>);

impl Polynomial {
    pub(super) fn zero() -> Self {
        Self(Vec::new())
    }

    pub(super) fn one() -> Self {
        Self(vec![Goldilocks::ONE])
    }

    pub(super) fn new(coefficients: Vec<Goldilocks>) -> Self {
        let mut polynomial = Self(coefficients);
        polynomial.trim();
        polynomial
    }

    /// Π (x − root).
    pub(super) fn with_roots(roots: &[Goldilocks]) -> Self {
        let mut coefficients = Vec::with_capacity(roots.len().saturating_add(1));
        coefficients.push(Goldilocks::ONE);
        for root in roots {
            // (x − root) · c: every coefficient moves up one and leaves −root times itself.
            let mut below = Goldilocks::ZERO;
            for c in &mut coefficients {
                let here = *c;
                *c = below.sub(root.mul(here));
                below = here;
            }
            coefficients.push(below);
        }
        Self(coefficients)
    }

    /// Degree + 1; 0 for the zero polynomial.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The constant term.
    pub(super) fn constant(&self) -> Goldilocks {
        self.0.first().copied().unwrap_or(Goldilocks::ZERO)
    }

    /// The value at x (Horner).
    pub(super) fn at(&self, x: Goldilocks) -> Goldilocks {
        self.0.iter().rev().fold(Goldilocks::ZERO, |value, c| value.mul(x).add(*c))
    }

    /// The quotient by (x − root) of a polynomial that has this root (synthetic division).
    pub(super) fn without_root(&self, root: Goldilocks) -> Vec<Goldilocks> {
        let mut carry = Goldilocks::ZERO;
        let mut quotient: Vec<Goldilocks> = self
            .0
            .iter()
            .rev()
            .map(|c| {
                carry = carry.mul(root).add(*c);
                carry
            })
            .collect();
        quotient.pop(); // the remainder: zero
        quotient.reverse();
        quotient
    }

    /// Quotient and remainder. `None` by zero.
    pub(super) fn divide(mut self, by: &Self) -> Option<(Self, Self)> {
        let lead = by.0.last()?.invert();
        let steps = self.len().checked_sub(by.len()).map_or(0, |degree| degree.saturating_add(1));
        let mut quotient = vec![Goldilocks::ZERO; steps];
        for (shift, slot) in quotient.iter_mut().enumerate().rev() {
            // The coefficient of x^(deg by + shift) is the leading one that is left, and this step takes it off.
            let top = self.0.pop().unwrap_or(Goldilocks::ZERO);
            *slot = top.mul(lead);
            for (c, b) in self.0.iter_mut().skip(shift).zip(&by.0) {
                *c = c.sub(slot.mul(*b));
            }
        }
        self.trim();
        Some((Self::new(quotient), self))
    }

    /// self − a · b.
    pub(super) fn minus_product(mut self, a: &Self, b: &Self) -> Self {
        let needed = a.len().saturating_add(b.len());
        if self.len() < needed {
            self.0.resize(needed, Goldilocks::ZERO);
        }
        for (shift, x) in a.0.iter().enumerate() {
            for (c, y) in self.0.iter_mut().skip(shift).zip(&b.0) {
                *c = c.sub(x.mul(*y));
            }
        }
        self.trim();
        self
    }

    fn trim(&mut self) {
        while self.0.last().is_some_and(|c| c.value() == 0) {
            self.0.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use prio::field::Field64;
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Polynomial {
        Polynomial::new(values.iter().map(|v| Goldilocks::canonical(*v).unwrap()).collect())
    }

    fn values(p: &Polynomial) -> Vec<u64> {
        p.0.iter().map(|c| c.value()).collect()
    }

    fn coefficients(most: usize) -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(prop_oneof![Just(0), 0..crate::goldilocks::P], 0..most)
    }

    proptest! {
        #[test]
        fn dividend_is_quotient_times_divisor_plus_a_smaller_remainder(a in coefficients(12), b in coefficients(8)) {
            let (dividend, divisor) = (of(&a), of(&b));
            prop_assume!(divisor.len() > 0);
            let (quotient, remainder) = of(&a).divide(&divisor).unwrap();
            prop_assert!(remainder.len() < divisor.len());
            let left = of(&a).minus_product(&quotient, &divisor);
            prop_assert_eq!(values(&left), values(&remainder));
            prop_assert_eq!(values(&dividend), values(&of(&a)));
        }

        #[test]
        fn values_agree_with_libprio(a in coefficients(12), x in 0..crate::goldilocks::P) {
            let expected = a.iter().rev().fold(Field64::from(0), |v, c| v * Field64::from(x) + Field64::from(*c));
            prop_assert_eq!(of(&a).at(Goldilocks::canonical(x).unwrap()).value(), u64::from(expected));
        }

        #[test]
        fn a_root_comes_off_again(roots in prop::collection::vec(0..crate::goldilocks::P, 1..10)) {
            let roots: Vec<_> = roots.into_iter().map(|r| Goldilocks::canonical(r).unwrap()).collect();
            let whole = Polynomial::with_roots(&roots);
            prop_assert_eq!(whole.len(), roots.len() + 1);
            let rest = Polynomial::new(whole.without_root(roots[0]));
            prop_assert_eq!(values(&rest), values(&Polynomial::with_roots(&roots[1..])));
        }
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        assert!(of(&[1, 2]).divide(&Polynomial::zero()).is_none());
    }
}
