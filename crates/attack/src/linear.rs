//! The little linear algebra that attacks need.

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

pub(crate) fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// x of A·x = b by Cholesky, A symmetric, of which the lower half is read; `None` where A is not positive definite.
pub(crate) fn solve_positive(a: &[Vec<f64>], b: &[f64]) -> Option<Vec<f64>> {
    let n = b.len();
    let mut l = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let v = a[i][j] - dot(&l[i][..j], &l[j][..j]);
            if i != j {
                l[i][j] = v / l[j][j];
            } else if v > 0.0 {
                l[i][i] = v.sqrt();
            } else {
                return None;
            }
        }
    }
    let mut x = b.to_vec();
    for i in 0..n {
        x[i] = (x[i] - dot(&l[i][..i], &x[..i])) / l[i][i];
    }
    for i in (0..n).rev() {
        let above: f64 = (i + 1..n).map(|k| l[k][i] * x[k]).sum();
        x[i] = (x[i] - above) / l[i][i];
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved_and_what_is_not_positive_is_refused() {
        let a = vec![vec![4.0, 1.0, 0.5], vec![1.0, 3.0, -1.0], vec![0.5, -1.0, 2.0]];
        let x = solve_positive(&a, &[1.0, -2.0, 0.3]).unwrap();
        for (row, b) in a.iter().zip([1.0, -2.0, 0.3]) {
            assert!((dot(row, &x) - b).abs() < 1e-12);
        }
        assert_eq!(solve_positive(&[vec![1.0, 2.0], vec![2.0, 1.0]], &[1.0, 1.0]), None);
        assert!((norm(&[3.0, 4.0]) - 5.0).abs() < 1e-12);
    }
}
