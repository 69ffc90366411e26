//! One step's privacy loss on a grid: at no point below the truth, and at no point above it.
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

/// What a step dominates and what dominates it, on one grid.
#[derive(Clone, Debug)]
pub(super) struct Discrete {
    /// No δ of it, however often composed, is below the pair's.
    pub(super) above: Losses,
    /// No δ of it is above the pair's.
    pub(super) below: Losses,
}

/// Puts a pair on the grid of multiples of `spacing`, giving up what P has outside of `reach` standard deviations.
///
/// *Above*, a cell's P-mass and Q-mass are shared out to its two ends so that both are kept: its hockey-stick divergences are then exact at the
/// grid and a chord between (connect the dots; Doroshenko, Ghazi, Kamath, Kumar & Manurangsi 2022). *Below*, a cell is one outcome, which
/// is post-processing, at the loss ln(P/Q); these losses lie about the middle of their cells, and all are lowered to one common
/// fraction of the spacing. See `proof.md`, 3.
pub(super) fn discretise(pair: &Pair, spacing: f64, reach: f64) -> Discrete {
    let (left, right) = pair.support(reach);
    let (first, last) = (cell_of(pair.loss(left), spacing), cell_of(pair.loss(right), spacing));
    let count = usize::try_from(last - first + 1).expect("at least one cell");
    let mut ends = Vec::with_capacity(count + 1);
    // The first cell reaches down to the least loss, whatever that is.
    ends.push(f64::NEG_INFINITY);
    ends.extend((1..=count).map(|i| pair.position(at(first + index(i), spacing))));
    let cells: Vec<(Mass, Mass)> = ends.windows(2).map(|ends| pair.masses(ends[0], ends[1].max(ends[0]))).collect();
    let tail = pair.masses(*ends.last().expect("an end"), f64::INFINITY).0.upper;
    let largest = at(last + 1, spacing).abs().max(at(first, spacing).abs());
    let error = pair.loss_error(largest, reach);
    // Where losses go on to −∞, all of the first cell's P-mass goes to its upper end, and below, it is left out.
    let open = pair.position(at(first, spacing)) > f64::NEG_INFINITY;
    Discrete {
        above: above(&cells, first, spacing, open, tail, error),
        below: below(&cells, first, spacing, open, error),
    }
}

fn above(cells: &[(Mass, Mass)], first: i64, spacing: f64, open: bool, tail: f64, error: f64) -> Losses {
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

fn below(cells: &[(Mass, Mass)], first: i64, spacing: f64, open: bool, error: f64) -> Losses {
    // The fraction of its cell at which each merged outcome lies; those with hardly any mass do not hold the others down.
    let fraction = |i: usize, p: f64, q: f64| {
        if p <= 0.0 || q <= 0.0 {
            return f64::NEG_INFINITY;
        }
        let rounding = 4.0 * f64::EPSILON * (p.ln().abs() + q.ln().abs() + 1.0) / spacing;
        ((p.ln() - q.ln() - at(first + index(i), spacing)) / spacing - rounding).clamp(0.0, 1.0)
    };
    let fractions: Vec<f64> = cells.iter().enumerate().map(|(i, (p, q))| fraction(i, p.lower, q.upper)).collect();
    let common = common_fraction(&fractions, cells, usize::from(open));
    // One more place in front, for what lies below the common fraction of the first cell.
    let mut masses = vec![0.0; cells.len() + 1];
    for (i, (p, _)) in cells.iter().enumerate() {
        if open && i == 0 || fractions[i] == f64::NEG_INFINITY {
            continue;
        }
        masses[if fractions[i] >= common { i + 1 } else { i }] += p.lower;
    }
    Losses { first: first - 1, masses, offset: common * spacing - error, infinite: 0.0 }
}

/// The fraction that lowers the mean loss least: outcomes above it are lowered to it, outcomes below it to the one of the cell before.
fn common_fraction(fractions: &[f64], cells: &[(Mass, Mass)], skip: usize) -> f64 {
    const BINS: usize = 2048;
    let mut bins = [0.0; BINS];
    let mut total = 0.0;
    for (fraction, (p, _)) in fractions.iter().zip(cells).skip(skip).filter(|(f, _)| f.is_finite()) {
        let bin = sottovoce_encode::exact::truncate(fraction * 2048.0).and_then(|bin| usize::try_from(bin).ok());
        bins[bin.unwrap_or(0).min(BINS - 1)] += p.lower;
        total += p.lower;
    }
    let (mut passed, mut best) = (0.0, (f64::INFINITY, 0.0));
    for (bin, mass) in (0u32..).zip(bins) {
        let fraction = f64::from(bin) / 2048.0;
        // What all are lowered by, but for a constant: −f for everybody, and one whole cell for those that lie below f.
        let lowered = passed - fraction * total;
        if lowered < best.0 {
            best = (lowered, fraction);
        }
        passed += mass;
    }
    best.1
}

/// `index`·`spacing`.
fn at(index: i64, spacing: f64) -> f64 {
    sottovoce_encode::exact::to_f64(index) * spacing
}

fn index(i: usize) -> i64 {
    i64::try_from(i).expect("an index in memory")
}

/// The cell of the grid that a loss lies in.
fn cell_of(loss: f64, spacing: f64) -> i64 {
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
