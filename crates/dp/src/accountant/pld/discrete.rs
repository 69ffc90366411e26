//! One step's privacy loss on a grid, never below the truth.
use super::pair::{Mass, Pair, upper_tail};

/// Masses at the losses (first + i)·spacing + offset.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    /// Index of the first mass.
    pub(super) first: i64,
    /// P's masses.
    pub(super) masses: Vec<f64>,
    /// Added to every loss: a fraction of the spacing, and what rounding may come to.
    pub(super) offset: f64,
    /// P's mass at infinite loss.
    pub(super) infinite: f64,
}

/// Puts a pair on the grid of multiples of `spacing` from above, giving up what P has outside of `reach` standard deviations: no δ of it, however
/// often composed, is below the pair's.
///
/// A cell's P-mass and Q-mass are shared out to its two ends so that both are kept: its hockey-stick divergences are then exact at the grid
/// and a chord between (connect the dots; Doroshenko, Ghazi, Kamath, Kumar & Manurangsi 2022). See `proof.md`, 3.
pub(super) fn above(pair: &Pair, spacing: f64, reach: f64) -> Losses {
    let (left, right) = pair.support(reach);
    let (first, last) = (cell_of(pair.loss(left), spacing), cell_of(pair.loss(right), spacing));
    let count = usize::try_from(last - first + 1).expect("at least one cell");
    let mut ends = Vec::with_capacity(count + 1);
    // The first cell reaches down to the least loss, whatever that is.
    ends.push(f64::NEG_INFINITY);
    ends.extend((1..=count).map(|i| pair.position(at(first + index(i), spacing))));
    let cells: Vec<(Mass, Mass)> = pair.cells(&ends).collect();
    let tail = pair.masses(*ends.last().expect("an end"), f64::INFINITY).0.upper;
    let largest = at(last + 1, spacing).abs().max(at(first, spacing).abs());
    let error = pair.loss_error(largest, reach);
    // Where losses go on to −∞, all of the first cell's P-mass goes to its upper end.
    let open = pair.position(at(first, spacing)) > f64::NEG_INFINITY;
    shared_out(&cells, first, spacing, open, tail, error)
}

fn shared_out(cells: &[(Mass, Mass)], first: i64, spacing: f64, open: bool, tail: f64, error: f64) -> Losses {
    let mut masses = vec![0.0; cells.len() + 1];
    let full = -(-spacing).exp_m1() * (1.0 - 4.0 * f64::EPSILON);
    for (i, (p, q)) in cells.iter().enumerate() {
        // Of p = a + b at the two ends, with q = a·e^(−l) + b·e^(−l−spacing): b = (p − q·e^l)/(1 − e^(−spacing)), rounded up.
        let b = if open && i == 0 {
            p.upper
        } else {
            let scale = at(first + index(i), spacing).exp()
                * (1.0 - 8.0 * f64::EPSILON * (1.0 + at(first + index(i), spacing).abs()));
            // A loss beyond e^709 overflows, and 0·∞ is no number: then all of it goes up.
            let b = (p.upper - q.lower * scale) / full;
            if b.is_nan() { p.upper } else { b.clamp(0.0, p.upper) }
        };
        masses[i] += p.upper - b;
        masses[i + 1] += b;
    }
    Losses { first, masses, offset: error, infinite: tail }
}

/// `index`·`spacing`.
pub(super) fn at(index: i64, spacing: f64) -> f64 {
    sottovoce_encode::exact::to_f64(index) * spacing
}

pub(super) fn index(i: usize) -> i64 {
    i64::try_from(i).expect("an index in memory")
}

/// The cell of the grid that a loss lies in.
pub(super) fn cell_of(loss: f64, spacing: f64) -> i64 {
    sottovoce_encode::exact::truncate((loss / spacing).floor()).expect("a loss on a grid that fits memory")
}

/// How far out P must be looked at for what lies beyond, over all `steps`, to be below `mass`.
pub(super) fn reach_for(mass: f64, steps: f64) -> f64 {
    let mut reach = 4.0;
    while reach < 36.0 && upper_tail(reach) * steps > mass {
        reach += 0.25;
    }
    reach
}
