//! One step's privacy loss on a grid from below: no δ of it, however often composed, is above the pair's (`proof.md`, 3).
//!
//! The line is cut between places of the grid and each cell becomes one outcome, which is post-processing: its hockey-stick curve is the envelope of
//! tangents at the cuts. An outcome of ratio s = Q/P is not quite at a place. By convexity, it has more of every divergence than the
//! straight line through the next two places on one side of it has there: p at s counts for p + b at the nearer and −b at the farther. What is
//! taken away at a place must be there to take; where it is not, an outcome goes down to the next place below.
use super::discrete::{Losses, at, cell_of};
use super::pair::{Mass, Pair};

/// Of the spacing: by how much the grid lies below the outcome that it was laid through, so that rounding does not put the outcome below the grid.
const HAIR: f64 = 1e-6;

/// Puts a pair on the multiples of `spacing` plus an offset, from what P has beyond `reach` standard deviations on one side to that on the other.
pub(super) fn below(pair: &Pair, spacing: f64, reach: f64) -> Losses {
    let offset = laid_through_the_bulk(pair, spacing);
    let (left, right) = pair.support(reach);
    let (mut first, mut last) =
        (cell_of(pair.loss(left) - offset, spacing), cell_of(pair.loss(right) - offset, spacing));
    let place = |i: i64| at(i, spacing) + offset;
    // Places outside of the losses that there are.
    while first < last && pair.position(place(first)) == f64::NEG_INFINITY {
        first += 1;
    }
    while last > first && pair.position(place(last)) == f64::INFINITY {
        last -= 1;
    }
    let mut cuts: Vec<f64> = (first..last).map(|i| pair.position(place(i) + spacing / 2.0)).collect();
    // Beyond the outermost places there is nothing to be taken away: the outermost outcomes lie inside.
    if let Some(cut) = cuts.first_mut() {
        let inside = |cut: f64| excess(pair.masses(f64::NEG_INFINITY, cut), place(first), spacing) >= 0.0;
        *cut = nearest(pair.position(place(first)), *cut, inside);
    }
    if let Some(cut) = cuts.last_mut() {
        let inside = |cut: f64| excess(pair.masses(cut, f64::INFINITY), place(last), spacing) <= 0.0;
        *cut = nearest(pair.position(place(last)), *cut, inside);
    }
    cuts.insert(0, f64::NEG_INFINITY);
    cuts.push(f64::INFINITY);
    // No loss in a cell is further below its place than the cut is, whatever its masses round to; the first two cells' cuts lie elsewhere.
    let largest = place(first).abs().max(place(last).abs()) + spacing;
    let half = spacing / 2.0 + pair.loss_error(largest, reach);
    let outcomes: Vec<Outcome> = (first..)
        .zip(pair.cells(&cuts))
        .map(|(i, cell)| Outcome::new(cell, place(i), spacing, if i < first + 2 { f64::INFINITY } else { half }))
        .collect();
    // One more place in front, for what goes down from the first.
    Losses { first: first - 1, masses: settle(&outcomes, spacing), offset, infinite: 0.0 }
}

/// The cut that is nearest to `far` and still `inside`, given that `near` is or is as good as any.
fn nearest(mut near: f64, mut far: f64, inside: impl Fn(f64) -> bool) -> f64 {
    if inside(far) {
        return far;
    }
    for _ in 0..60 {
        let middle = f64::midpoint(near, far);
        if inside(middle) { near = middle } else { far = middle }
    }
    near
}

/// An offset with which a place lies a hair below the ratio of its own cell, in the bulk of P. Where one step's losses are mostly within less than
/// a cell, they are then at a place, and not between two.
fn laid_through_the_bulk(pair: &Pair, spacing: f64) -> f64 {
    let mut centre = pair.loss(0.0);
    for _ in 0..64 {
        let (from, to) = (pair.position(centre - spacing / 2.0), pair.position(centre + spacing / 2.0));
        let (p, q) = pair.masses(from, to);
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

/// The loss of a place less that of a cell's outcome, rounded up: above 0 where the outcome lies below the place.
fn excess((p, q): (Mass, Mass), place: f64, spacing: f64) -> f64 {
    let (p, q) = (p.lower.ln(), q.upper.ln());
    let rounding = 8.0 * f64::EPSILON * (p.abs() + q.abs() + place.abs() + spacing + 1.0);
    place + q - p + rounding
}

/// A cell as one outcome.
#[derive(Clone, Copy)]
struct Outcome {
    /// P's mass, at least.
    mass: f64,
    /// The loss of its own place less its own, at least.
    excess: f64,
}

/// Of products and quotients of a few floats.
const ROUNDING: f64 = 32.0 * f64::EPSILON;

impl Outcome {
    fn new(cell: (Mass, Mass), place: f64, spacing: f64, most: f64) -> Self {
        let (mass, excess) = (cell.0.lower, excess(cell, place, spacing).min(most));
        // What lies a whole place below its own is left out, and so is what has no mass.
        if mass > 0.0 && excess.is_finite() && excess <= spacing {
            Self { mass, excess }
        } else {
            Self { mass: 0.0, excess: 0.0 }
        }
    }
}

/// Per unit of P's mass, what an outcome takes from the second of two places when it is counted at the first, from which its loss is `excess` away:
/// at least that where both places are above it, at most that where they are below.
fn taken(excess: f64, spacing: f64) -> f64 {
    if excess > 0.0 {
        excess.exp_m1() / -(-spacing).exp_m1() * (1.0 + ROUNDING)
    } else {
        -excess.exp_m1() / spacing.exp_m1() * (1.0 - ROUNDING)
    }
}

/// Places' masses, and what was moved to and from each, for rounding.
struct Places {
    masses: Vec<f64>,
    moved: Vec<f64>,
}

impl Places {
    fn add(&mut self, place: usize, mass: f64) {
        self.masses[place] += mass;
        self.moved[place] += mass.abs();
    }

    /// Moves a mass from one place to another.
    fn shift(&mut self, from: usize, to: usize, mass: f64) {
        self.add(from, -mass);
        self.add(to, mass);
    }

    fn left(&self, place: usize) -> f64 {
        self.masses.get(place).map_or(0.0, |mass| (mass - ROUNDING * self.moved[place]).max(0.0))
    }
}

/// The masses of the places, from the one below the first outcome's on. From the top down, each place gives what it is asked for, up to what is there.
/// What a place cannot give is asked of the places on the other side of the outcome, and what those do not have either is forgone.
fn settle(outcomes: &[Outcome], spacing: f64) -> Vec<f64> {
    // Place i + 1 is outcome i's; there is one more above all.
    let n = outcomes.len();
    let mut places = Places { masses: vec![0.0; n + 2], moved: vec![0.0; n + 2] };
    let outcome = |place: Option<usize>| {
        let found = place.and_then(|place| place.checked_sub(1)).and_then(|i| outcomes.get(i));
        found.copied().unwrap_or(Outcome { mass: 0.0, excess: 0.0 })
    };
    // What the rests of outcomes that went down to the place below their own ask of the place below that: last, of this one.
    let mut fallen = [0.0; 3];
    for place in (0..=n + 1).rev() {
        let (lower, upper) = (outcome(place.checked_sub(1)), outcome(Some(place + 1)));
        let of_lower = if lower.excess > 0.0 { lower.mass * taken(lower.excess, spacing) } else { 0.0 };
        let of_upper = if upper.excess <= 0.0 { upper.mass * taken(upper.excess, spacing) } else { 0.0 };
        let (of_fallen, left) = (fallen[2], places.left(place));
        let asked = of_lower + of_upper + of_fallen;
        let share = if asked <= left { 1.0 } else { left / asked * (1.0 - ROUNDING) };
        if of_upper + of_fallen > 0.0 {
            places.shift(place, place + 1, (of_upper + of_fallen) * share);
        }
        if of_upper > 0.0 && share < 1.0 {
            // The rest of that outcome from the two places above it.
            let each = taken(upper.excess + spacing, spacing);
            let rest = (upper.mass * (1.0 - share)).min(places.left(place + 1)).min(places.left(place + 3) / each);
            let rest = rest * (1.0 - ROUNDING);
            if rest > 0.0 {
                places.shift(place + 1, place + 2, rest);
                places.shift(place + 3, place + 2, rest * each);
            }
        }
        fallen = [0.0, fallen[0], fallen[1]];
        if lower.mass > 0.0 {
            let kept = if of_lower > 0.0 { lower.mass * share * (1.0 - ROUNDING) } else { lower.mass };
            places.add(place - 1, kept);
            places.shift(place, place - 1, of_lower * share);
            if kept < lower.mass && place >= 2 {
                let rest = (lower.mass - kept) * (1.0 - ROUNDING);
                places.add(place - 2, rest);
                fallen[0] = rest * taken((lower.excess - spacing).min(0.0), spacing);
            }
        }
    }
    (0..=n).map(|place| places.left(place)).collect()
}
