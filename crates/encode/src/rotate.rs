//! The randomised Hadamard rotation, and its inverse in integers.
//!
//! Source: Ailon & Chazelle 2009, "The fast Johnson–Lindenstrauss transform", §2, for H·D (Walsh–Hadamard times random signs); Kairouz, Liu &
//! Steinke 2021, "The distributed discrete Gaussian mechanism for federated learning with secure aggregation", §4, for what it is used
//! for here: after it every coordinate is small, so a lane needs less room.
//!
//! **Blocks.** H has b rows, b = 4^j the largest power of four that is at most d and at most [`MAX_BLOCK`]. It is applied to coordinates
//! 0 to b − 1, b to 2b − 1, and so on; where b does not divide d, then once more, with signs of its own, to the *last* b coordinates, which by
//! then are partly rotated. A product of orthogonal maps is orthogonal, so nothing is padded and no block is shorter than
//! b; each coordinate of the result is a row of H times fresh signs, so the bound on its size is that of b.
//!
//! **Same bits everywhere.** Floats are only added and subtracted, in a fixed order, and scaled by √b, a power of two. Rust contracts nothing to
//! fused operations. The inverse adds and subtracts integers.
use std::ops::{Add, Mul, Neg, Sub};

use sottovoce_types::{Digest, Sha256Writer};

use crate::exact;

/// The longest block: 2^16 coordinates are 512 KiB of f64, which a core's second-level cache holds.
pub const MAX_BLOCK: usize = 1 << 16;

/// κ: a rotated coordinate of one unit is clamped to κ·C/√b. Under random signs it exceeds that with probability at most
/// 2·exp(−κ²/2) = 3.1e-8 (Hoeffding 1963), whatever the update; the clamp then takes 4.2e-5·C of a unit's norm (root of the
/// mean square). See `proof.md`, 7.
pub const FLATNESS: u64 = 6;

/// A part of a block that the first-level cache holds: 32 KiB of f64.
const NEAR: usize = 1 << 12;

/// Floats, or integers where it must be exact.
pub(crate) trait Number:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Neg<Output = Self> + From<u16>
{
}

impl Number for f64 {}
impl Number for i128 {}

/// The rotation of one round.
///
/// Its signs: bit i mod 256, least significant byte and bit first, of the SHA-256 of key, pass and ⌊i/256⌋; 1 is −1.
#[derive(Clone, Copy)]
pub(crate) struct Rotator {
    dim: usize,
    block: usize,
    root: u16,
    key: Digest,
}

impl Rotator {
    /// That of `dim` coordinates under a round's public signs.
    pub(crate) fn new(dim: usize, seed: &Digest, round: u64) -> Self {
        let (block, root) = block_of(dim);
        let key = Sha256Writer::new("sottovoce/1/rotation").field(seed.as_bytes()).number(round).finish();
        Self { dim, block, root, key }
    }

    /// b, by which [`Self::forward`] and [`Self::inverse`] scale.
    pub(crate) fn scale(&self) -> f64 {
        f64::from(self.root) * f64::from(self.root)
    }

    /// `values` `[d]`, rotated, times b.
    pub(crate) fn forward<T: Number>(&self, values: &mut [T]) {
        debug_assert_eq!(values.len(), self.dim, "a vector of the plan");
        let root = T::from(self.root);
        let (whole, rest) = values.split_at_mut(self.whole());
        self.sign(Pass::Blocks, whole);
        whole.chunks_exact_mut(self.block).for_each(hadamard);
        multiply(rest, root);
        if let Some(last) = self.last() {
            let (before, last) = values.split_at_mut(last);
            self.sign(Pass::Last, last);
            hadamard(last);
            multiply(before, root);
        } else {
            multiply(values, root);
        }
    }

    /// `sums` `[d]`, rotated back, times b: exact. Two transforms of at most 2^16 coordinates make an i64 at most 2^32 times as large.
    pub(crate) fn inverse(&self, sums: &[i64]) -> Vec<i128> {
        debug_assert_eq!(sums.len(), self.dim, "a vector of the plan");
        let root = i128::from(self.root);
        let mut values: Vec<i128> = sums.iter().map(|&x| i128::from(x)).collect();
        if let Some(last) = self.last() {
            let (before, last) = values.split_at_mut(last);
            multiply(before, root);
            hadamard(last);
            self.sign(Pass::Last, last);
        } else {
            multiply(&mut values, root);
        }
        let (whole, rest) = values.split_at_mut(self.whole());
        multiply(rest, root);
        whole.chunks_exact_mut(self.block).for_each(hadamard);
        self.sign(Pass::Blocks, whole);
        values
    }

    /// Coordinates in whole blocks.
    fn whole(&self) -> usize {
        self.dim - self.dim % self.block
    }

    /// Where the block at the end begins, if it is not one of the whole ones.
    fn last(&self) -> Option<usize> {
        (self.whole() < self.dim).then(|| self.dim - self.block)
    }

    /// Multiplies by the signs of a pass.
    fn sign<T: Number>(&self, pass: Pass, values: &mut [T]) {
        for (number, group) in (0..).zip(values.chunks_mut(256)) {
            let mut w = Sha256Writer::new("sottovoce/1/rotation/signs");
            let signs = w.field(self.key.as_bytes()).number(pass as u64).number(number).finish();
            for (eight, byte) in group.chunks_mut(8).zip(signs.as_bytes()) {
                for (bit, value) in eight.iter_mut().enumerate() {
                    *value = if byte >> bit & 1 == 1 { -*value } else { *value };
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Pass {
    Blocks,
    Last,
}

/// b and √b for `dim` coordinates.
pub(crate) fn block_of(dim: usize) -> (usize, u16) {
    let (mut block, mut root) = (1, 1);
    while block * 4 <= dim.min(MAX_BLOCK) {
        block *= 4;
        root *= 2;
    }
    (block, root)
}

fn multiply<T: Number>(values: &mut [T], factor: T) {
    for value in values {
        *value = *value * factor;
    }
}

/// H·`values`, H of ±1, for a power of four of them. Its rows are √b long.
///
/// Part by part and then across parts: the additions and their order are those of one stage after the other.
fn hadamard<T: Number>(values: &mut [T]) {
    let near = values.len().min(NEAR);
    values.chunks_exact_mut(near).for_each(|part| stages(part, 1));
    stages(values, near);
}

/// The stages from stride `first` on, two at a time.
fn stages<T: Number>(values: &mut [T], first: usize) {
    let mut stride = first;
    if stride == 1 && values.len() >= 4 {
        for group in values.chunks_exact_mut(4) {
            if let [a, b, c, d] = group {
                (*a, *b, *c, *d) = two_stages(*a, *b, *c, *d);
            }
        }
        stride = 4;
    }
    while stride < values.len() {
        for group in values.chunks_exact_mut(4 * stride) {
            let (ab, cd) = group.split_at_mut(2 * stride);
            let ((a, b), (c, d)) = (ab.split_at_mut(stride), cd.split_at_mut(stride));
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                (*a, *b, *c, *d) = two_stages(*a, *b, *c, *d);
            }
        }
        stride *= 4;
    }
}

fn two_stages<T: Number>(a: T, b: T, c: T, d: T) -> (T, T, T, T) {
    let (ab, a_b, cd, c_d) = (a + b, a - b, c + d, c - d);
    (ab + cd, a_b + c_d, ab - cd, a_b - c_d)
}

/// The largest magnitude of one unit's rotated coordinate: ⌈κ·2^clip_bits/√b⌉, or 2^clip_bits where that is less.
pub(crate) fn coordinate_bound(dim: usize, clip_steps: u64) -> u64 {
    let (_, root) = block_of(dim);
    (FLATNESS * clip_steps).div_ceil(u64::from(root)).min(clip_steps)
}

/// A rotated coordinate from its integer of [`Rotator::inverse`], in grid steps.
pub(crate) fn in_steps(value: i128, scale: f64) -> f64 {
    // Exact: a division by a power of two.
    exact::wide_to_f64(value) / scale
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seed(n: u8) -> Digest {
        Digest([n; 32])
    }

    /// Hᵢⱼ = (−1)^popcount(i & j) (Sylvester).
    fn by_the_definition(values: &[f64]) -> Vec<f64> {
        let sign = |i: usize, j: usize| if (i & j).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
        (0..values.len()).map(|i| values.iter().enumerate().map(|(j, v)| sign(i, j) * v).sum()).collect()
    }

    #[test]
    fn the_transform_is_sylvesters_matrix() {
        for bits in [0, 2, 4, 6] {
            let values: Vec<f64> = (0..1u32 << bits).map(|i| f64::from(i * i % 17) - 8.0).collect();
            let mut fast = values.clone();
            hadamard(&mut fast);
            // Small integers: every sum is exact.
            assert_eq!(fast, by_the_definition(&values), "{bits}");
        }
    }

    #[test]
    fn parts_that_fit_the_cache_change_no_bit() {
        let values: Vec<f64> = (0..1u32 << 14).map(|i| (f64::from(i) * 0.37).sin()).collect();
        let (mut by_parts, mut at_once) = (values.clone(), values);
        hadamard(&mut by_parts);
        // One stage after the other over everything.
        let mut half = 1;
        while half < at_once.len() {
            for pair in at_once.chunks_exact_mut(2 * half) {
                let (low, high) = pair.split_at_mut(half);
                for (a, b) in low.iter_mut().zip(high) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            half *= 2;
        }
        assert!(by_parts.iter().zip(&at_once).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    #[test]
    fn a_block_is_the_largest_power_of_four_that_fits() {
        for (dim, block, root) in
            [(1, 1, 1), (3, 1, 1), (4, 4, 2), (15, 4, 2), (4095, 1024, 32), (4096, 4096, 64), (1_000_000, 1 << 16, 256)]
        {
            assert_eq!(block_of(dim), (block, root), "{dim}");
        }
        assert_eq!(coordinate_bound(1_000_000, 1 << 16), 6 << 8);
        assert_eq!(coordinate_bound(4096, 100), 10, "9.375, rounded up");
        assert_eq!(coordinate_bound(1000, 1 << 16), (6 << 16) / 16);
        assert_eq!(coordinate_bound(15, 1 << 16), 1 << 16, "where 6/√b is above 1 there is nothing to clamp");
    }

    #[test]
    fn every_machine_gets_these_bits() {
        let rotated = |dim: u32, round| {
            let mut values: Vec<f64> = (1..=dim).map(|i| 1.0 / f64::from(i)).collect();
            Rotator::new(values.len(), &seed(7), round).forward(&mut values);
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect();
            (values[0].to_bits(), Digest::of(&bytes).to_string()[..16].to_owned())
        };
        // By hashlib and loops over floats in Python, from the description at the head of this file.
        let recorded = [
            (10, 1, 0xc009_5555_5555_5555, "a2443f6dddf156d6"),
            (4096, 1, 0xc05b_cf45_1a48_a6d6, "26d1b6202f4277cc"),
            (70_000, 1, 0xc07b_744e_c5f2_1dc7, "142980dd58aca812"),
            (70_000, 2, 0x4072_1ec5_cbc2_308a, "03d73450a6087406"),
        ];
        for (dim, round, first, digest) in recorded {
            assert_eq!(rotated(dim, round), (first, digest.to_owned()), "{dim} {round}");
        }
    }

    #[test]
    fn rounds_seeds_and_passes_have_signs_of_their_own() {
        let signs = |rotator: Rotator, pass| {
            let mut ones = vec![1i128; 1000];
            rotator.sign(pass, &mut ones);
            ones
        };
        let of = |n, round| Rotator::new(1000, &seed(n), round);
        let first = signs(of(1, 1), Pass::Blocks);
        for other in [signs(of(1, 2), Pass::Blocks), signs(of(2, 1), Pass::Blocks), signs(of(1, 1), Pass::Last)] {
            let agree: i128 = first.iter().zip(&other).map(|(a, b)| a * b).sum();
            // Independent fair signs: a standard deviation is 32.
            assert!(agree.abs() < 200, "{agree}");
        }
        assert!(first.iter().sum::<i128>().abs() < 200);
        assert_eq!(first, signs(of(1, 1), Pass::Blocks));
    }

    proptest! {
        #[test]
        fn the_inverse_in_integers_is_exact(
            sums in prop::collection::vec(-(1i64 << 50)..1 << 50, 1..3000), n: u8, round: u64,
        ) {
            let rotator = Rotator::new(sums.len(), &seed(n), round);
            let b = i128::from(rotator.root).pow(2);
            let mut there_and_back = rotator.inverse(&sums);
            rotator.forward(&mut there_and_back);
            prop_assert!(sums.iter().zip(&there_and_back).all(|(&x, &y)| y == i128::from(x) * b * b));
            // Under the signs of another round it is another vector.
            let mut other = rotator.inverse(&sums);
            Rotator::new(sums.len(), &seed(n), round ^ 1).forward(&mut other);
            prop_assert!(sums.len() < 64 || other != there_and_back);
        }

        #[test]
        fn the_rotation_keeps_norms_and_inner_products(
            pairs in prop::collection::vec((-1.0f64..1.0, -1.0f64..1.0), 1..3000), n: u8,
        ) {
            let rotator = Rotator::new(pairs.len(), &seed(n), 3);
            let (mut x, mut y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(a, b)| a * b).sum::<f64>();
            let (before, size) = (dot(&x, &y), (dot(&x, &x) * dot(&y, &y)).sqrt());
            rotator.forward(&mut x);
            rotator.forward(&mut y);
            let after = dot(&x, &y) / rotator.scale().powi(2);
            prop_assert!((before - after).abs() <= 1e-13 * size.max(1e-300), "{before} {after}");
        }
    }
}
