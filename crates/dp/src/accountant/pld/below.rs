//! One step's privacy loss on a grid from below: no δ of it, however often composed, is above the pair's (`proof.md`, 3).
//!
//! The line is cut between places of the grid and each cell becomes one outcome, which is post-processing: its hockey-stick curve is the envelope of
//! tangents at the cuts. An outcome of ratio s = Q/P is not quite at a place. By convexity, it has more of every divergence than the
//! straight line through the next two places on one side of it has there: p at s counts for p + b at the nearer and −b at the farther. What is
//! taken away at a place must be there to take; where it is not, an outcome goes down to the next place below.
use super::discrete::{Losses, at, cell_of, index};
use super::pair::{Mass, Pair};

/// Of the spacing: by how much the grid lies below the outcome that it was laid through, so that rounding does not put the outcome below the grid.
const HAIR: f64 = 1e-6;

/// Puts a pair on the multiples of `spacing` plus an offset, from what P has beyond `reach` standard deviations on one side to that on the other.
pub(super) fn below(pair: &Pair, spacing: f64, reach: f64) -> Losses {
    let offset = laid_through_the_bulk(pair, spacing);
    let (left, right) = pair.support(reach);
    let (first, last) = (cell_of(pair.loss(left) - offset, spacing), cell_of(pair.loss(right) - offset, spacing));
    let count = usize::try_from(last - first + 1).expect("at least one cell");
    let place = |i: usize| at(first + index(i), spacing) + offset;
    let mut cells = Vec::with_capacity(count);
    let mut from = f64::NEG_INFINITY;
    for i in 0..count {
        let to = if i + 1 < count { pair.position(place(i) + spacing / 2.0).max(from) } else { f64::INFINITY };
        cells.push(pair.masses(from, to));
        from = to;
    }
    let mut skipped = 0;
    // Beyond the outermost places nothing can be taken away: cells join until they lie inside.
    while cells.len() > 1 && excess(cells[0], place(skipped)) < 0.0 && cells[0].0.lower < cells[1].0.lower {
        let joined = join(cells[0], cells[1]);
        cells.remove(0);
        cells[0] = joined;
        skipped += 1;
    }
    while let [.., before, end] = cells[..] {
        if excess(end, place(skipped + cells.len() - 1)) <= 0.0 || end.0.lower >= before.0.lower {
            break;
        }
        cells.pop();
        *cells.last_mut().expect("two cells") = join(before, end);
    }
    let outcomes: Vec<Outcome> =
        cells.iter().enumerate().map(|(i, cell)| Outcome::new(*cell, place(skipped + i), spacing)).collect();
    // One more place in front, for what goes down from the first.
    Losses { first: first + index(skipped) - 1, masses: settle(&outcomes), offset, infinite: 0.0 }
}

/// An offset with which a place lies a hair below the ratio of its own cell, in the bulk of P. Where one step's losses are mostly within less than
/// a cell, they are then at a place, and not between two.
fn laid_through_the_bulk(pair: &Pair, spacing: f64) -> f64 {
    let mut centre = pair.loss(0.0);
    for _ in 0..64 {
        let (from, to) = (pair.position(centre - spacing / 2.0), pair.position(centre + spacing / 2.0));
        let (p, q) = pair.masses(from, to.max(from));
        let moved = p.lower.ln() - q.upper.ln();
        if !moved.is_finite() {
            break;
        }
        let by = (moved - centre).abs();
        centre = moved;
        if by < HAIR / 64.0 * spacing {
            break;
        }
    }
    centre -= HAIR * spacing;
    (centre - (centre / spacing).floor() * spacing).clamp(0.0, spacing)
}

fn join(a: (Mass, Mass), b: (Mass, Mass)) -> (Mass, Mass) {
    (a.0.plus(b.0), a.1.plus(b.1))
}

/// The loss of a place less that of a cell's outcome, rounded up: above 0 where the outcome lies below the place.
fn excess((p, q): (Mass, Mass), place: f64) -> f64 {
    let (p, q) = (p.lower.ln(), q.upper.ln());
    let rounding = 4.0 * f64::EPSILON * (p.abs() + q.abs() + place.abs() + 1.0);
    place + q - p + rounding
}

/// A cell as one outcome.
#[derive(Clone, Copy)]
struct Outcome {
    /// P's mass, at least.
    mass: f64,
    /// What it asks of the place below it, where its loss is above its own place's: at most b.
    of_lower: f64,
    /// What it asks of the place above it, where its loss is below: at least b.
    of_upper: f64,
    /// Whether its loss is at least that of the place below its own.
    near: bool,
}

impl Outcome {
    fn new(cell: (Mass, Mass), place: f64, spacing: f64) -> Self {
        const ROUNDING: f64 = 32.0 * f64::EPSILON;
        let (mass, excess) = (cell.0.lower, excess(cell, place));
        if mass <= 0.0 || !excess.is_finite() {
            return Self { mass: 0.0, of_lower: 0.0, of_upper: 0.0, near: false };
        }
        let gain = mass * excess.exp_m1();
        if excess <= 0.0 {
            let of_lower = -gain / spacing.exp_m1() * (1.0 - ROUNDING);
            Self { mass, of_lower, of_upper: 0.0, near: true }
        } else {
            let of_upper = gain / -(-spacing).exp_m1() * (1.0 + ROUNDING);
            Self { mass, of_lower: 0.0, of_upper, near: excess <= spacing * (1.0 - ROUNDING) }
        }
    }
}

/// The masses of the places, from the one below the first outcome's on. From the top down, each place gives what it is asked for, up to what its own
/// outcome left there; what it is not asked for stays.
fn settle(outcomes: &[Outcome]) -> Vec<f64> {
    const ROUNDING: f64 = 16.0 * f64::EPSILON;
    // Place i + 1 is outcome i's. `moved` is what was added to a place or taken from it, for rounding.
    let n = outcomes.len();
    let (mut masses, mut moved) = (vec![0.0; n + 2], vec![0.0; n + 2]);
    let mut add = |place: usize, mass: f64| {
        masses[place] += mass;
        moved[place] += mass.abs();
    };
    // At the place above all outcomes there is nothing.
    let mut left = 0.0;
    for place in (1..=n + 1).rev() {
        let (below, above) = (place.checked_sub(2).map(|i| outcomes[i]), outcomes.get(place));
        let asked = below.map_or(0.0, |o| o.of_upper) + above.map_or(0.0, |o| o.of_lower);
        let share = if asked <= left { 1.0 } else { left / asked * (1.0 - ROUNDING) };
        if let Some(outcome) = above {
            let given = outcome.of_lower * share;
            add(place, -given);
            add(place + 1, given);
        }
        let Some(outcome) = below else { break };
        let given = outcome.of_upper * share;
        add(place, -given);
        add(place - 1, given);
        // The part of the outcome for which what it asked was given; the rest goes down.
        let kept = if outcome.of_upper > 0.0 { outcome.mass * share * (1.0 - ROUNDING) } else { outcome.mass };
        add(place - 1, kept);
        if outcome.near {
            add(place - 2, (outcome.mass - kept) * (1.0 - ROUNDING));
        }
        left = kept;
    }
    masses.pop();
    moved.pop();
    masses.iter().zip(moved).map(|(mass, moved)| (mass - ROUNDING * moved).max(0.0)).collect()
}
