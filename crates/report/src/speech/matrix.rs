//! Features as a grid, and the same grid small enough to draw.

/// Values by row and column, borrowed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// How far apart neighbours in a column, and in a row, lie in `values`.
    stride: (usize, usize),
}

impl<'a> Matrix<'a> {
    /// `values` row after row: all frames of row 0 first. `None` when they do not fill `rows` rows.
    pub fn by_row(rows: usize, values: &'a [f32]) -> Option<Self> {
        let columns = columns(rows, values)?;
        Some(Self { values, rows, columns, stride: (columns, 1) })
    }

    /// `values` column after column: all rows of frame 0 first, as features are computed. `None` when they do not fill
    /// columns of `rows`.
    pub fn by_column(rows: usize, values: &'a [f32]) -> Option<Self> {
        let columns = columns(rows, values)?;
        Some(Self { values, rows, columns, stride: (1, rows) })
    }

    /// How many rows: frequency bins, or coefficients.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns: frames.
    pub fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = f64> + '_ {
        (0..self.columns).map(move |column| f64::from(self.values[row * self.stride.0 + column * self.stride.1]))
    }

    /// A copy in 64 bits, each value through `map`, which is told its row.
    pub(super) fn map(&self, map: impl Fn(usize, f64) -> f64) -> Grid {
        let map = &map;
        let values = (0..self.rows).flat_map(|r| self.row(r).map(move |v| map(r, v))).collect();
        Grid { values, rows: self.rows, columns: self.columns }
    }
}

fn columns(rows: usize, values: &[f32]) -> Option<usize> {
    if rows == 0 {
        return values.is_empty().then_some(0);
    }
    values.len().is_multiple_of(rows).then_some(values.len() / rows)
}

/// Values row after row.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Grid {
    pub(super) values: Vec<f64>,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Grid {
    /// At most `rows` by `columns`: each cell the mean of what it covers, parts of values by their part. A cell that
    /// covers a value that is no number is none itself, so that none gets lost.
    pub(super) fn shrink(&self, rows: usize, columns: usize) -> Self {
        let (rows, columns) = (self.rows.min(rows), self.columns.min(columns));
        let mut values = Vec::with_capacity(rows * columns);
        for r in 0..rows {
            for c in 0..columns {
                let (mut sum, mut weights) = (0.0, 0.0);
                for (row, down) in covered(r, rows, self.rows) {
                    for (column, along) in covered(c, columns, self.columns) {
                        sum += down * along * self.values[row * self.columns + column];
                        weights += down * along;
                    }
                }
                values.push(sum / weights);
            }
        }
        Self { values, rows, columns }
    }
}

/// Which of `from` equal parts of a length part `i` of `to` covers, with how much of each.
fn covered(i: usize, to: usize, from: usize) -> impl Iterator<Item = (usize, f64)> {
    let scale = from as f64 / to as f64;
    let (start, end) = (i as f64 * scale, (i + 1) as f64 * scale);
    // In whole numbers: rounding must not reach into a part that is not covered.
    let (first, last) = (i * from / to, ((i + 1) * from).div_ceil(to));
    (first..last).map(move |k| (k, (end.min((k + 1) as f64) - start.max(k as f64)).max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_do_not_fill_a_matrix_make_none() {
        assert_eq!(Matrix::by_row(2, &[1.0, 2.0, 3.0]), None);
        assert_eq!(Matrix::by_column(0, &[1.0]), None);
        assert_eq!(Matrix::by_row(0, &[]).unwrap().columns(), 0);
        assert_eq!(Matrix::by_column(3, &[]).unwrap().columns(), 0);
    }

    #[test]
    fn both_orders_hold_the_same_matrix() {
        let rows = Matrix::by_row(2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let columns = Matrix::by_column(2, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]).unwrap();
        assert_eq!(rows.map(|_, v| v), columns.map(|_, v| v));
        assert_eq!(columns.row(1).collect::<Vec<_>>(), [4.0, 5.0, 6.0]);
    }

    #[test]
    fn shrinking_keeps_the_mean_and_every_value_that_is_no_number() {
        let values: Vec<f64> = (0..7 * 11).map(f64::from).collect();
        let grid = Grid { values, rows: 7, columns: 11 };
        let small = grid.shrink(3, 4);
        assert_eq!((small.rows, small.columns), (3, 4));
        let mean = |g: &Grid| g.values.iter().sum::<f64>() / g.values.len() as f64;
        assert!((mean(&small) - mean(&grid)).abs() < 1e-9, "{} {}", mean(&small), mean(&grid));
        assert_eq!(grid.shrink(100, 100), grid, "what fits stays");

        let mut holed = grid;
        holed.values[5] = f64::NAN;
        assert!((1..=2).contains(&holed.shrink(3, 4).values.iter().filter(|v| v.is_nan()).count()));
        holed.values.clear();
        holed.columns = 0;
        assert_eq!(holed.shrink(3, 4).values, [0.0; 0]);
    }
}
