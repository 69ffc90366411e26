//! Shamir's secret sharing of 256-bit secrets as four field elements (Shamir, "How to share a secret", 1979).
//!
//! Holder i has the values at x = i + 1 of four polynomials of degree t − 1 whose constant terms are the secret. All other
//! coefficients are uniform *including zero*: leaving zero out would let t − 1 shares exclude some secrets.
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::goldilocks::{Goldilocks, invert_all};

pub(crate) mod decode;
mod polynomial;

/// Elements of a secret.
pub(crate) const ELEMENTS: usize = 4;

/// Four elements: a secret or a share of one. No `Debug`, no `Clone`; wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Quad([Goldilocks; ELEMENTS]);

impl Quad {
    /// Uniform; `None` when the generator is broken ([`Goldilocks::random`]).
    pub(crate) fn random(rng: &mut (impl CryptoRng + ?Sized)) -> Option<Self> {
        let mut quad = Self([Goldilocks::ZERO; ELEMENTS]);
        for element in &mut quad.0 {
            *element = Goldilocks::random(rng)?;
        }
        Some(quad)
    }

    /// From 32 bytes, four little-endian words; `None` when one is not below p.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let mut quad = Self([Goldilocks::ZERO; ELEMENTS]);
        for (element, chunk) in quad.0.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *element = Goldilocks::canonical(u64::from_le_bytes(*chunk))?;
        }
        Some(quad)
    }

    /// The 32 bytes of the elements, each a little-endian word.
    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        for (chunk, element) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(&self.0) {
            *chunk = element.value().to_le_bytes();
        }
        bytes
    }
}

/// Tests share among the first positions: shares `secret` among the `holders` 0 to `holders` − 1 so that any `threshold` of them can put it together and fewer
/// learn nothing. `None` when the generator is broken.
#[cfg(test)]
pub(crate) fn share(
    secret: &Quad,
    threshold: u32,
    holders: u32,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Option<Vec<Quad>> {
    share_among(secret, threshold, 0..holders, rng)
}

/// Shares `secret` among the holders at these roster positions, in their order. `None` when the generator is broken or
/// there is a position without x = position + 1 in 32 bits.
pub(crate) fn share_among(
    secret: &Quad,
    threshold: u32,
    holders: impl IntoIterator<Item = u32>,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Option<Vec<Quad>> {
    let random = (1..threshold).map(|_| Quad::random(rng)).collect::<Option<Vec<_>>>()?;
    let at = |holder: u32| {
        let x = Goldilocks::small(holder.checked_add(1)?);
        let mut value = Quad([Goldilocks::ZERO; ELEMENTS]);
        // Horner, highest coefficient first, the secret last.
        for coefficient in random.iter().rev().chain(std::iter::once(secret)) {
            for (v, c) in value.0.iter_mut().zip(&coefficient.0) {
                *v = v.mul(x).add(*c);
            }
        }
        Some(value)
    };
    holders.into_iter().map(at).collect()
}

/// Weights λ_i with Σ λ_i · f(x_i) = f(0) for every polynomial of degree below the number of points.
pub(crate) struct Lagrange(Vec<Goldilocks>);

impl Lagrange {
    /// For holders at x = index + 1. `None` when a holder is named twice or none is named. One inversion in all
    /// (Montgomery's trick).
    pub(crate) fn at_zero(holders: &[u32]) -> Option<Self> {
        let points: Vec<Goldilocks> =
            holders.iter().map(|h| Some(Goldilocks::small(h.checked_add(1)?))).collect::<Option<_>>()?;
        if points.is_empty() {
            return None;
        }
        // λ_i = Π_{j≠i} x_j / (x_j − x_i) = (Π_j x_j) / (x_i · Π_{j≠i} (x_j − x_i))
        let numerator = points.iter().fold(Goldilocks::ONE, |product, x| product.mul(*x));
        let denominators: Vec<Goldilocks> = points
            .iter()
            .enumerate()
            .map(|(i, xi)| {
                let others = points.iter().enumerate().filter(|(j, _)| *j != i);
                others.fold(*xi, |product, (_, xj)| product.mul(xj.sub(*xi)))
            })
            .collect();
        let inverses = invert_all(&denominators)?;
        Some(Self(inverses.into_iter().map(|inverse| numerator.mul(inverse)).collect()))
    }

    /// The secret of the shares, in the order of the holders that the weights were made for.
    pub(crate) fn combine<'a>(&self, shares: impl IntoIterator<Item = &'a Quad>) -> Quad {
        let mut secret = Quad([Goldilocks::ZERO; ELEMENTS]);
        for (weight, share) in self.0.iter().zip(shares) {
            for (s, v) in secret.0.iter_mut().zip(&share.0) {
                *s = s.add(v.mul(*weight));
            }
        }
        secret
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn rng(seed: u64) -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(seed)
    }

    #[test]
    fn bytes_that_are_not_canonical_elements_are_refused() {
        assert!(Quad::from_bytes(&[0xff; 32]).is_none());
        assert!(Quad::from_bytes(&[0; 32]).is_some());
    }

    #[test]
    fn a_holder_named_twice_is_refused() {
        assert!(Lagrange::at_zero(&[0, 3, 0]).is_none());
        assert!(Lagrange::at_zero(&[]).is_none());
        assert!(Lagrange::at_zero(&[u32::MAX]).is_none());
    }

    #[test]
    fn weights_for_one_and_two_are_two_and_minus_one() {
        let weights = Lagrange::at_zero(&[0, 1]).unwrap();
        assert_eq!(weights.0[0].value(), 2);
        assert_eq!(weights.0[1].value(), crate::goldilocks::P - 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_threshold_of_holders_find_the_secret_again(seed: u64, n in 1u32..30, t in 1u32..30, skip in 0u32..30) {
            prop_assume!(t <= n);
            let rng = &mut rng(seed);
            let secret = Quad::random(rng).unwrap();
            let shares = share(&secret, t, n, rng).unwrap();
            let holders: Vec<u32> = (0..t).map(|i| (i + skip) % n).collect();
            let weights = Lagrange::at_zero(&holders).unwrap();
            let found = weights.combine(holders.iter().map(|h| &shares[*h as usize]));
            prop_assert_eq!(*found.to_bytes(), *secret.to_bytes());
        }

        /// Perfect secrecy, constructively: for *any* other secret there is a polynomial of degree t − 1 through it and
        /// through the t − 1 shares seen, so these shares fit every secret equally well.
        #[test]
        fn claim_fewer_than_t_shares_fit_every_secret(seed: u64, n in 2u32..20, t in 2u32..20) {
            prop_assume!(t <= n);
            let rng = &mut rng(seed);
            let (secret, other) = (Quad::random(rng).unwrap(), Quad::random(rng).unwrap());
            let shares = share(&secret, t, n, rng).unwrap();
            // The share at holder t − 1 that would make the other secret the result, given the true shares 0..t−1:
            // other = Σ_{i<t−1} λ_i s_i + λ_{t−1} x, solved for x.
            let holders: Vec<u32> = (0..t).collect();
            let weights = Lagrange::at_zero(&holders).unwrap();
            let zero = Quad([Goldilocks::ZERO; ELEMENTS]);
            let seen = (0..t - 1).map(|i| &shares[i as usize]);
            let partial = weights.combine(seen.chain(std::iter::once(&zero)));
            let last = weights.0.last().unwrap().invert();
            let mut completing = Quad([Goldilocks::ZERO; ELEMENTS]);
            for ((x, o), p) in completing.0.iter_mut().zip(&other.0).zip(&partial.0) { *x = o.sub(*p).mul(last); }
            let all = (0..t - 1).map(|i| &shares[i as usize]).chain(std::iter::once(&completing));
            prop_assert_eq!(*weights.combine(all).to_bytes(), *other.to_bytes());
        }

        #[test]
        fn one_share_short_gives_something_else(seed: u64, n in 3u32..20) {
            let rng = &mut rng(seed);
            let secret = Quad::random(rng).unwrap();
            let shares = share(&secret, n, n, rng).unwrap();
            let holders: Vec<u32> = (0..n - 1).collect();
            let found = Lagrange::at_zero(&holders).unwrap().combine(&shares[..shares.len() - 1]);
            prop_assert_ne!(*found.to_bytes(), *secret.to_bytes());
        }
    }

    /// A biased coefficient (the fault of RUSTSEC-2024-0398) would show as a share that is never some value. With t = 2
    /// the share is secret + a·x: its top four bits over 16 384 sharings of one secret must be uniform. Chi-square with 15
    /// degrees of freedom, fixed seed; the critical value 60 is exceeded with probability 2.5e-7.
    #[test]
    fn a_single_share_is_uniform_whatever_the_secret() {
        let rng = &mut rng(11);
        let secret = Quad([Goldilocks::ZERO; ELEMENTS]);
        let mut counts = [0u32; 16];
        for _ in 0..16_384 {
            let shares = share(&secret, 2, 2, rng).unwrap();
            counts[usize::try_from(shares[1].0[2].value() >> 60).unwrap()] += 1;
        }
        let chi2: f64 = counts.iter().map(|c| (f64::from(*c) - 1024.0).powi(2) / 1024.0).sum();
        assert!(chi2 < 60.0, "chi-square {chi2}");
        // Control: dropping the coefficient (t = 1) leaves the secret in the open, and the test sees it.
        let bare = share(&secret, 1, 2, rng).unwrap();
        assert_eq!(bare[1].0[2].value(), 0);
    }
}
