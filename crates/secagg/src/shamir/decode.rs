//! Putting a secret together when some holders lie (Gao, "A new algorithm for decoding Reed–Solomon codes", 2003).
//!
//! Shares are a Reed–Solomon codeword: m values of a polynomial of degree below t. Any two such polynomials differ at
//! m − t + 1 of the m holders at least, so ⌊(m − t)/2⌋ wrong shares have one nearest codeword, and it is found by the
//! partial Euclidean algorithm on Π (x − x_i) and the polynomial through all values, in O(m²) operations. Berlekamp and
//! Welch (US patent 4 633 470, 1986) solve the same equations by elimination, in O(m³).
//!
//! With more wrong shares than that, no decoder can be sure: it fails, or colluding holders have agreed on another
//! polynomial and it is found instead. A secret that is found must therefore still be checked against what its dealer
//! advertised, and what a lie is depends on the commitments: a wrong share that matches its dealer's commitment was
//! *dealt* wrong.
//!
//! Time depends on the values. The secrets decoded here are open to the coordinator, who runs this, by then.
use super::polynomial::Polynomial;
use super::{ELEMENTS, Quad};
use crate::goldilocks::{Goldilocks, invert_all};

/// A secret, and who gave a wrong share of it.
pub(crate) struct Corrected {
    pub(crate) secret: Quad,
    /// Roster positions of the holders of whose share at least one element is wrong, ascending.
    pub(crate) wrong: Vec<u32>,
}

/// Why no secret is found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeFailed {
    #[error("a holder is named twice, or its roster position has no share")]
    Holders,
    #[error("{have} shares of a secret with threshold {need}: {need} are needed, and two more for every wrong one")]
    TooFew { have: usize, need: usize },
    #[error(
        "more than {correctable} of {have} shares are wrong; with threshold {need}, each wrong share takes two more \
         responders to correct"
    )]
    TooManyWrong { have: usize, need: usize, correctable: usize },
}

/// A decoder for one set of holders; good for the secrets of any number of dealers who shared among them.
pub(crate) struct Decoder {
    holders: Vec<u32>,
    points: Vec<Goldilocks>,
    /// Π (x − x_i).
    vanishing: Polynomial,
    /// Π (x − x_i) / (x − x_j), scaled to be 1 at x_j.
    basis: Vec<Vec<Goldilocks>>,
    threshold: usize,
}

impl Decoder {
    /// For holders at x = position + 1, in any order.
    ///
    /// # Errors
    /// [`DecodeFailed::Holders`], [`DecodeFailed::TooFew`].
    pub(crate) fn new(holders: &[u32], threshold: u32) -> Result<Self, DecodeFailed> {
        let need = usize::try_from(threshold).unwrap_or(usize::MAX);
        if holders.len() < need || holders.is_empty() {
            return Err(DecodeFailed::TooFew { have: holders.len(), need });
        }
        let point = |h: &u32| h.checked_add(1).map(Goldilocks::small);
        let points: Vec<_> = holders.iter().map(point).collect::<Option<_>>().ok_or(DecodeFailed::Holders)?;
        let vanishing = Polynomial::with_roots(&points);
        let mut basis: Vec<Vec<Goldilocks>> = points.iter().map(|x| vanishing.without_root(*x)).collect();
        let horner = |c: &[Goldilocks], x: Goldilocks| c.iter().rev().fold(Goldilocks::ZERO, |v, c| v.mul(x).add(*c));
        let at_own: Vec<Goldilocks> = basis.iter().zip(&points).map(|(c, x)| horner(c, *x)).collect();
        // Zero where another holder has the same point.
        let scales = invert_all(&at_own).ok_or(DecodeFailed::Holders)?;
        for (coefficients, scale) in basis.iter_mut().zip(scales) {
            for c in coefficients {
                *c = c.mul(scale);
            }
        }
        Ok(Self { holders: holders.to_vec(), points, vanishing, basis, threshold: need })
    }

    /// e = ⌊(m − t)/2⌋: wrong shares that are corrected for certain.
    pub(crate) fn correctable(&self) -> usize {
        self.points.len().saturating_sub(self.threshold) / 2
    }

    /// The secret of the shares, in the order of the holders, and who gave a wrong one.
    ///
    /// # Errors
    /// [`DecodeFailed::TooManyWrong`]: no secret is within e wrong shares. [`DecodeFailed::TooFew`]: another number of
    /// shares than of holders.
    pub(crate) fn decode(&self, shares: &[&Quad]) -> Result<Corrected, DecodeFailed> {
        if shares.len() != self.holders.len() {
            return Err(DecodeFailed::TooFew { have: shares.len(), need: self.holders.len() });
        }
        let failed = DecodeFailed::TooManyWrong {
            have: self.holders.len(),
            need: self.threshold,
            correctable: self.correctable(),
        };
        // A holder is wrong if any element is. If at most e are, then so in every element, and each decodes by itself.
        let mut secret = Quad::zero();
        let mut is_wrong = vec![false; shares.len()];
        for (element, (slot, through_all)) in secret.0.iter_mut().zip(self.through_all(shares)).enumerate() {
            let found = self.nearest(through_all).ok_or(failed.clone())?;
            *slot = found.constant();
            for ((wrong, x), share) in is_wrong.iter_mut().zip(&self.points).zip(shares) {
                let given = share.0.get(element).copied().unwrap_or(Goldilocks::ZERO);
                *wrong |= found.at(*x).value() != given.value();
            }
        }
        let mut wrong: Vec<u32> =
            self.holders.iter().zip(&is_wrong).filter(|(_, wrong)| **wrong).map(|(h, _)| *h).collect();
        if wrong.len() > self.correctable() {
            return Err(failed);
        }
        wrong.sort_unstable();
        Ok(Corrected { secret, wrong })
    }

    /// For each element the polynomial of degree below m through the values of all holders.
    fn through_all(&self, shares: &[&Quad]) -> [Polynomial; ELEMENTS] {
        let mut sums: [Vec<Goldilocks>; ELEMENTS] = std::array::from_fn(|_| vec![Goldilocks::ZERO; self.points.len()]);
        for (coefficients, share) in self.basis.iter().zip(shares) {
            for (sum, value) in sums.iter_mut().zip(share.0.iter()) {
                for (s, c) in sum.iter_mut().zip(coefficients) {
                    *s = s.add(c.mul(*value));
                }
            }
        }
        sums.map(Polynomial::new)
    }

    /// The polynomial of degree below t within e errors of the one through all values, if the Euclidean algorithm gives
    /// one. How many errors there are is counted by the caller.
    fn nearest(&self, through_all: Polynomial) -> Option<Polynomial> {
        // Remainders r of the Euclidean algorithm, each r = u · vanishing + v · through_all; stop at 2·deg r < m + t.
        let stop = self.points.len().saturating_add(self.threshold);
        let (mut r, mut next) = (self.vanishing.clone(), through_all);
        let (mut v, mut v_next) = (Polynomial::zero(), Polynomial::one());
        while next.len().saturating_sub(1).saturating_mul(2) >= stop {
            let (quotient, remainder) = r.divide(&next)?;
            (r, next) = (next, remainder);
            let v_after = v.minus_product(&quotient, &v_next);
            (v, v_next) = (v_next, v_after);
        }
        let (found, rest) = next.divide(&v_next)?;
        (rest.len() == 0 && found.len() <= self.threshold).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use prio::field::{Field64, FieldElement};
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::goldilocks::P;
    use crate::shamir::{Lagrange, share_among};

    fn rng(seed: u64) -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(seed)
    }

    fn values(quad: &Quad) -> [u64; ELEMENTS] {
        quad.0.map(Goldilocks::value)
    }

    fn decode(holders: &[u32], t: u32, shares: &[Quad]) -> Result<([u64; ELEMENTS], Vec<u32>), DecodeFailed> {
        let shares: Vec<&Quad> = shares.iter().collect();
        let corrected = Decoder::new(holders, t)?.decode(&shares)?;
        Ok((values(&corrected.secret), corrected.wrong))
    }

    /// The value at x of the polynomial through the points, in libprio's field.
    fn interpolate(points: &[(u64, u64)], x: u64) -> u64 {
        let x = Field64::from(x);
        let term = |(i, (xi, yi)): (usize, &(u64, u64))| {
            let others = points.iter().enumerate().filter(|(j, _)| *j != i);
            others.fold(Field64::from(*yi), |product, (_, (xj, _))| {
                let (xi, xj) = (Field64::from(*xi), Field64::from(*xj));
                product * (x - xj) * (xi - xj).inv()
            })
        };
        u64::from(points.iter().enumerate().map(term).fold(Field64::from(0), |sum, term| sum + term))
    }

    /// Every t holders propose the polynomials through their shares; the ones within e wrong holders of all shares, as
    /// secret and list of the wrong. Exponential, and independent of the decoder.
    fn by_subsets(holders: &[u32], t: u32, shares: &[Quad]) -> Vec<([u64; ELEMENTS], Vec<u32>)> {
        let (m, t) = (holders.len(), t as usize);
        let mut found = Vec::new();
        for subset in (0u32..1 << m).filter(|s| s.count_ones() as usize == t) {
            let points = |element: usize| -> Vec<(u64, u64)> {
                let chosen = (0..m).filter(|i| subset >> i & 1 == 1);
                chosen.map(|i| (u64::from(holders[i]) + 1, shares[i].0[element].value())).collect()
            };
            let at = |element: usize, x: u64| interpolate(&points(element), x);
            let is_wrong = |i: usize| (0..ELEMENTS).any(|e| at(e, u64::from(holders[i]) + 1) != shares[i].0[e].value());
            let mut wrong: Vec<u32> = (0..m).filter(|i| is_wrong(*i)).map(|i| holders[i]).collect();
            wrong.sort_unstable();
            let candidate = (std::array::from_fn(|e| at(e, 0)), wrong);
            if candidate.1.len() <= (m - t) / 2 && !found.contains(&candidate) {
                found.push(candidate);
            }
        }
        found
    }

    /// Every m up to 6, every t, every set of wrong holders within reach, every way of being wrong in one element or all.
    #[test]
    fn claim_every_set_of_up_to_e_liars_is_named_and_the_secret_found() {
        let rng = &mut rng(1);
        let mut cases = 0u32;
        for m in 1u32..=6 {
            for t in 1..=m {
                let holders: Vec<u32> = (0..m).map(|i| (i * 7 + 3) % 50).collect();
                let secret = Quad::random(rng).unwrap();
                for liars in (0u32..1 << m).filter(|l| l.count_ones() <= (m - t) / 2) {
                    for which in 0..=ELEMENTS {
                        let mut shares = share_among(&secret, t, holders.iter().copied(), rng).unwrap();
                        for i in (0..m as usize).filter(|i| liars >> i & 1 == 1) {
                            for e in (0..ELEMENTS).filter(|e| which == ELEMENTS || *e == which) {
                                shares[i].0[e] = shares[i].0[e].add(Goldilocks::small(rng.next_u32() | 1));
                            }
                        }
                        let mut wrong: Vec<u32> =
                            (0..m as usize).filter(|i| liars >> i & 1 == 1).map(|i| holders[i]).collect();
                        wrong.sort_unstable();
                        assert_eq!(decode(&holders, t, &shares), Ok((values(&secret), wrong)), "m {m} t {t}");
                        cases += 1;
                    }
                }
            }
        }
        assert_eq!(cases, 5 * (1 + 2 + 6 + 12 + 30 + 60), "five ways of lying, and the sets of liars for m = 1 to 6");
    }

    /// All shares over values {0, 1, 2} in one element: for every such word the decoder and the subset search agree,
    /// also on the words that are too far from any codeword.
    #[test]
    fn every_small_word_is_decoded_as_the_subset_search_does() {
        for (m, t) in [(3u32, 1u32), (4, 1), (4, 2), (5, 1), (5, 2), (5, 3)] {
            let holders: Vec<u32> = (0..m).collect();
            let mut failures = 0;
            for word in 0..3u32.pow(m) {
                let share = |i: u32| {
                    let mut quad = Quad::zero();
                    quad.0[2] = Goldilocks::small(word / 3u32.pow(i) % 3);
                    quad
                };
                let shares: Vec<Quad> = (0..m).map(share).collect();
                let expected = by_subsets(&holders, t, &shares);
                assert!(expected.len() <= 1, "the radius is unique");
                let found = decode(&holders, t, &shares);
                failures += u32::from(found.is_err());
                assert_eq!(found.ok(), expected.first().cloned(), "m {m} t {t} word {word}");
            }
            assert!(failures > 0, "some words of m {m}, t {t} are too far from any codeword");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Liars in any number, in any elements, also more than can be corrected, some on a polynomial of their own.
        #[test]
        fn the_decoder_agrees_with_the_subset_search(
            seed: u64, m in 1u32..9, t in 1u32..9, liars in 0u32..512, together: bool,
        ) {
            prop_assume!(t <= m);
            let rng = &mut rng(seed);
            let holders: Vec<u32> = (0..m).map(|i| i * 3 + u32::try_from(seed % 3).unwrap()).collect();
            let secret = Quad::random(rng).unwrap();
            let mut shares = share_among(&secret, t, holders.iter().copied(), rng).unwrap();
            let others = share_among(&Quad::random(rng).unwrap(), t, holders.iter().copied(), rng).unwrap();
            for i in (0..m as usize).filter(|i| liars >> i & 1 == 1) {
                let element = usize::try_from(rng.next_u32() % 4).unwrap();
                shares[i].0[element] = if together { others[i].0[element] } else { Goldilocks::random(rng).unwrap() };
            }
            let expected = by_subsets(&holders, t, &shares);
            prop_assert!(expected.len() <= 1);
            match decode(&holders, t, &shares) {
                Ok(found) => prop_assert_eq!(Some(&found), expected.first()),
                Err(DecodeFailed::TooManyWrong { .. }) => prop_assert!(expected.is_empty()),
                Err(other) => prop_assert!(false, "{}", other),
            }
        }

        /// At the size of a sparse graph: 96 picks, t = 67, 10 % dropouts; e = 9 liars.
        #[test]
        fn a_sparse_graphs_holders_correct_nine_liars(seed: u64) {
            let rng = &mut rng(seed);
            let holders: Vec<u32> = (0..86).map(|i| 1000 - 11 * i).collect();
            let secret = Quad::random(rng).unwrap();
            let mut shares = share_among(&secret, 67, holders.iter().copied(), rng).unwrap();
            let mut wrong: Vec<u32> = Vec::new();
            while wrong.len() < 9 {
                let i = usize::try_from(1 + rng.next_u32() % 85).unwrap();
                if !wrong.contains(&holders[i]) {
                    shares[i] = Quad::random(rng).unwrap();
                    wrong.push(holders[i]);
                }
            }
            wrong.sort_unstable();
            prop_assert_eq!(decode(&holders, 67, &shares), Ok((values(&secret), wrong)));
            shares[0] = Quad::random(rng).unwrap();
            let tenth = decode(&holders, 67, &shares);
            prop_assert_eq!(tenth, Err(DecodeFailed::TooManyWrong { have: 86, need: 67, correctable: 9 }));
        }

        /// Without liars the decoder and the weights give the same secret, and so does exact arithmetic on big integers.
        #[test]
        fn without_liars_it_is_lagrange(seed: u64, m in 1u32..12, t in 1u32..12) {
            prop_assume!(t <= m);
            let rng = &mut rng(seed);
            let holders: Vec<u32> = (0..m).map(|i| 5 * i + 2).collect();
            let secret = Quad::random(rng).unwrap();
            let shares = share_among(&secret, t, holders.iter().copied(), rng).unwrap();
            let weights = Lagrange::at_zero(&holders).unwrap().combine(&shares);
            let (found, wrong) = decode(&holders, t, &shares).unwrap();
            prop_assert_eq!(found, values(&weights));
            prop_assert!(wrong.is_empty());
            // f(0) = Σ y_i Π x_j / (x_j − x_i) with Fermat inverses mod p.
            let p = BigUint::from(P);
            let big = |v: u64| BigUint::from(v);
            let x = |i: usize| u64::from(holders[i]) + 1;
            let sum = (0..shares.len()).fold(big(0), |sum, i| {
                let others = (0..shares.len()).filter(|j| *j != i);
                sum + others.fold(big(shares[i].0[1].value()), |product, j| {
                    let difference = (big(x(j)) + &p - big(x(i))) % &p;
                    product * big(x(j)) * difference.modpow(&big(P - 2), &p) % &p
                })
            });
            prop_assert_eq!(big(found[1]), sum % &p);
        }
    }

    /// What the bound is for: e + 1 colluding holders can put another secret within reach of the decoder, so the result
    /// has to be checked against what the dealer advertised.
    #[test]
    fn more_colluders_than_the_bound_can_choose_the_secret() {
        let rng = &mut rng(4);
        let holders = [0, 1, 2, 3, 4];
        let (secret, other) = (Quad::random(rng).unwrap(), Quad::random(rng).unwrap());
        let mut shares = share_among(&secret, 1, holders, rng).unwrap();
        let lies = share_among(&other, 1, holders, rng).unwrap();
        for (share, lie) in shares.iter_mut().zip(lies).take(3) {
            *share = lie;
        }
        assert_eq!(decode(&holders, 1, &shares), Ok((values(&other), vec![3, 4])));
    }

    #[test]
    fn refusals_say_how_many_shares_it_takes() {
        let rng = &mut rng(5);
        let secret = Quad::random(rng).unwrap();
        let refused = |holders: &[u32], t| Decoder::new(holders, t).err();
        assert_eq!(refused(&[0, 3, 0], 2), Some(DecodeFailed::Holders));
        assert_eq!(refused(&[0, u32::MAX], 2), Some(DecodeFailed::Holders));
        assert_eq!(refused(&[0, 1], 3), Some(DecodeFailed::TooFew { have: 2, need: 3 }));
        assert_eq!(refused(&[], 0), Some(DecodeFailed::TooFew { have: 0, need: 0 }));
        let holders = [4, 9, 2, 7];
        let mut shares = share_among(&secret, 2, holders, rng).unwrap();
        assert_eq!(decode(&holders, 2, &shares[..3]), Err(DecodeFailed::TooFew { have: 3, need: 4 }));
        shares[0].0[0] = shares[0].0[0].add(Goldilocks::ONE);
        assert_eq!(decode(&holders, 2, &shares), Ok((values(&secret), vec![4])));
        shares[3].0[3] = shares[3].0[3].add(Goldilocks::ONE);
        let failed = decode(&holders, 2, &shares).unwrap_err();
        assert_eq!(
            failed,
            DecodeFailed::TooManyWrong { have: 4, need: 2, correctable: 1 },
            "wrong in different elements"
        );
        assert_eq!(
            failed.to_string(),
            "more than 1 of 4 shares are wrong; with threshold 2, each wrong share takes two more responders to correct"
        );
    }
}
