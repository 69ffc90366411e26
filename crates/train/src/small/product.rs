//! One matrix product for matrices that fit into the first cache, and loops that the compiler turns into SIMD.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the wider registers")]

/// Numbers that are computed side by side; every padded width is a multiple of it.
pub(super) const LANES: usize = 8;
/// The same where a matrix is wide enough.
const WIDE: usize = 16;
/// Rows whose sums are kept in registers.
const ROWS: usize = 8;

/// A matrix by where its numbers lie: element (i, j) at `i · row + j · column`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) row: usize,
    pub(super) column: usize,
}

/// C = A · B, with A `[m, k]`, B `[k, n]` and C `[m, n]` both of row length `n`, a multiple of [`LANES`].
#[inline(always)]
pub(super) fn product(c: &mut [f32], a: Matrix<'_>, b: &[f32], [m, n, k]: [usize; 3]) {
    let mut from = 0;
    while from + WIDE <= n {
        columns::<WIDE>(c, a, b, [m, n, k], from);
        from += WIDE;
    }
    while from < n {
        columns::<LANES>(c, a, b, [m, n, k], from);
        from += LANES;
    }
}

#[inline(always)]
fn columns<const L: usize>(c: &mut [f32], a: Matrix<'_>, b: &[f32], size: [usize; 3], from: usize) {
    let m = size[0];
    let mut i = 0;
    while i + ROWS <= m {
        block::<L, ROWS>(c, a, b, size, (i, from));
        i += ROWS;
    }
    while i < m {
        block::<L, 1>(c, a, b, size, (i, from));
        i += 1;
    }
}

#[inline(always)]
fn block<const L: usize, const R: usize>(
    c: &mut [f32],
    a: Matrix<'_>,
    b: &[f32],
    [_, n, k]: [usize; 3],
    (i, from): (usize, usize),
) {
    let mut sums = [[0.0f32; L]; R];
    for p in 0..k {
        let row: &[f32; L] = b[p * n + from..][..L].try_into().expect("a slice of this length");
        for (r, sums) in sums.iter_mut().enumerate() {
            let x = a.values[(i + r) * a.row + p * a.column];
            for l in 0..L {
                sums[l] = x.mul_add(row[l], sums[l]);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        c[(i + r) * n + from..][..L].copy_from_slice(sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_the_sum_over_the_inner_index_whatever_the_shape() {
        for [m, n, k] in [[1, 8, 1], [3, 24, 5], [8, 16, 7], [17, 40, 9]] {
            let a: Vec<f32> = (0..m * k).map(|i| (i % 7) as f32 - 3.0).collect();
            let b: Vec<f32> = (0..k * n).map(|i| (i % 5) as f32 - 2.0).collect();
            let (mut c, mut transposed) = (vec![9.0; m * n], vec![9.0; m * n]);
            product(&mut c, Matrix { values: &a, row: k, column: 1 }, &b, [m, n, k]);
            let at: Vec<f32> = (0..k * m).map(|i| a[i % m * k + i / m]).collect();
            product(&mut transposed, Matrix { values: &at, row: 1, column: m }, &b, [m, n, k]);
            let expected: Vec<f32> =
                (0..m * n).map(|i| (0..k).map(|p| a[i / n * k + p] * b[p * n + i % n]).sum()).collect();
            assert_eq!(c, expected, "{m} {n} {k}");
            assert_eq!(transposed, expected, "{m} {n} {k}");
        }
    }
}
