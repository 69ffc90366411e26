//! Privacy loss distributions of Gaussian releases, on Poisson samples or on everybody: certified ends of ε and δ.
//!
//! One step's loss ln P/Q is put on a grid twice, once never below the truth and once never above it (`discrete`), composed by FFT (`compose`), and
//! read at the ε or δ that is asked for. The FFT's error is absolute, as large as δ itself would be; tilting every step by e^(θ·loss) first
//! (Esscher) makes it relative where δ is read, so that it can be counted in. Sommer, Meiser & Mohammadi 2019; Koskela, Jälkö & Honkela
//! 2020; Gopi, Lee & Wutschitz 2021; Doroshenko et al. 2022. The argument: `../proof.md`, 2 to 5.
mod below;
mod compose;
mod discrete;
mod pair;

use sottovoce_types::Delta;

use self::below::below;
use self::compose::{Certain, Composed, Steps};
use self::discrete::{Losses, above, reach_for};
use self::pair::{Direction, Pair};
use super::Adjacency;
use crate::{Bracket, DpEvent};

/// Places of the composed losses, at most: 16 MiB a direction and end.
const MOST_PLACES: usize = 1 << 20;
/// Places where nothing asks for more: some tens of milliseconds.
const USUAL_PLACES: f64 = 131_072.0;
/// Width of a bracket relative to its ε that the grid is chosen for.
const ACCURACY: f64 = 1e-5;

/// A Gaussian step on a Poisson sample, and how often.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Step {
    q: f64,
    z: f64,
    count: u64,
}

/// Whether an event is made of Gaussian releases on Poisson samples or on everybody.
pub fn accounts_for(event: &DpEvent) -> bool {
    steps(event).is_some()
}

/// ε at `delta`, both ends; `None` for what is not made of Gaussian releases on Poisson samples or on everybody.
pub fn epsilon(event: &DpEvent, delta: Delta, adjacency: Adjacency) -> Option<Bracket> {
    Some(read(&steps(event)?, adjacency, Query::Epsilon(delta.value())))
}

/// δ at `epsilon` ≥ 0, both ends; `None` as [`epsilon`].
pub fn delta(event: &DpEvent, epsilon: f64, adjacency: Adjacency) -> Option<Bracket> {
    Some(read(&steps(event)?, adjacency, Query::Delta(epsilon)))
}

fn steps(event: &DpEvent) -> Option<Vec<Step>> {
    let mut all = Vec::new();
    flatten(event, 1, &mut all)?;
    Some(all)
}

fn flatten(event: &DpEvent, times: u64, all: &mut Vec<Step>) -> Option<()> {
    let gaussian = |event: &DpEvent| match event {
        DpEvent::Gaussian { noise_multiplier: z } if z.is_finite() && *z > 0.0 => Some(*z),
        _ => None,
    };
    let step = match event {
        DpEvent::NoOp => return Some(()),
        DpEvent::Gaussian { .. } => Step { q: 1.0, z: gaussian(event)?, count: times },
        DpEvent::PoissonSampled { sampling_probability: q, event } if *q > 0.0 && *q <= 1.0 => {
            Step { q: *q, z: gaussian(event)?, count: times }
        }
        DpEvent::SelfComposed { event, count: 0 } => return accounts_for(event).then_some(()),
        DpEvent::SelfComposed { event, count } => return flatten(event, times.checked_mul(*count)?, all),
        DpEvent::Composed { events } => return events.iter().try_for_each(|event| flatten(event, times, all)),
        _ => return None,
    };
    match all.iter_mut().find(|known| known.q.to_bits() == step.q.to_bits() && known.z.to_bits() == step.z.to_bits()) {
        Some(known) => known.count = known.count.checked_add(times)?,
        None => all.push(step),
    }
    Some(())
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Query {
    /// ε at a δ.
    Epsilon(f64),
    /// δ at an ε.
    Delta(f64),
}

fn read(steps: &[Step], adjacency: Adjacency, query: Query) -> Bracket {
    if steps.is_empty() {
        return Bracket::ZERO;
    }
    // A replacement is its own mirror image, and so is a Gaussian step; else either direction may be the worse.
    let mirrored = adjacency == Adjacency::ReplaceOne || steps.iter().all(|step| step.q >= 1.0);
    let directions: &[Direction] = if mirrored { &[Direction::Remove] } else { &[Direction::Remove, Direction::Add] };
    let mut worst = Bracket::ZERO;
    for direction in directions {
        let one = one_direction(steps, adjacency, *direction, query);
        worst = Bracket { lower: worst.lower.max(one.lower), upper: worst.upper.max(one.upper) };
    }
    worst
}

/// Nothing is known.
fn anything(query: Query) -> Bracket {
    match query {
        Query::Epsilon(_) => Bracket { lower: 0.0, upper: f64::INFINITY },
        Query::Delta(_) => Bracket { lower: 0.0, upper: 1.0 },
    }
}

fn one_direction(steps: &[Step], adjacency: Adjacency, direction: Direction, query: Query) -> Bracket {
    let total: f64 = steps.iter().map(|s| sottovoce_encode::exact::u64_to_f64(s.count)).sum();
    let pairs: Vec<(Pair, u64)> = steps.iter().map(|s| (Pair::new(s.q, s.z, adjacency, direction), s.count)).collect();
    // What is given up far out counts as infinite loss: a billionth of δ.
    let given_up = match query {
        Query::Epsilon(delta) => delta * 1e-9,
        Query::Delta(_) => 1e-18,
    };
    let reach = reach_for(given_up, total);
    let widest = pairs.iter().map(|(pair, _)| width(pair, reach)).fold(0.0, f64::max);
    // A first look on a coarse grid says where to tilt to and how fine a grid the answer needs.
    let rough = widest / 2000.0;
    let on_grid = |end: fn(&Pair, f64, f64) -> Losses, spacing: f64| -> Vec<(Losses, u64)> {
        pairs.iter().map(|(pair, n)| (end(pair, spacing, reach), *n)).collect()
    };
    let look = tilt_for(&of(&on_grid(above, rough), rough), query);
    // Sharing cells out to their ends adds spacing²/6 to each step's variance, which moves ε by tilt/2 times that.
    let steep = look.tilt.max(1.0 / look.deviation);
    let fine = match query {
        Query::Epsilon(_) => (12.0 * ACCURACY * look.epsilon.max(1e-3) / (steep * total)).sqrt(),
        Query::Delta(_) => (12.0 * ACCURACY / (steep * steep * total)).sqrt(),
    };
    let window = 20.0 * look.deviation + widest;
    let mut spacing = fine.min(look.deviation / 8.0).max(window / USUAL_PLACES);
    // A coarser grid where the window turns out to be wider than was thought.
    while window / spacing > 0.9 * count(MOST_PLACES) {
        spacing *= 2.0;
    }
    for _ in 0..12 {
        let above = Composed::new(&of(&on_grid(above, spacing), spacing), look.tilt, MOST_PLACES);
        let below = Composed::new(&of(&on_grid(below, spacing), spacing), look.tilt, MOST_PLACES);
        if let (Some(above), Some(below)) = (above, below) {
            return answer(&above, &below, query);
        }
        spacing *= 2.0;
    }
    anything(query)
}

fn answer(above: &Composed, below: &Composed, query: Query) -> Bracket {
    match query {
        Query::Epsilon(delta) => {
            let rounded = |v: f64, sign: f64| (v + sign * 1e-12 * (1.0 + v.abs())).max(0.0);
            let upper = if above.delta_above(0.0) <= delta {
                0.0
            } else {
                above.epsilon(delta, Certain::Above).map_or(f64::INFINITY, |e| rounded(e, 1.0))
            };
            let lower = below.epsilon(delta, Certain::Below).map_or(0.0, |e| rounded(e, -1.0));
            Bracket { lower: lower.min(upper), upper }
        }
        Query::Delta(epsilon) => Bracket {
            lower: below.delta_below(epsilon * (1.0 + 1e-12) + 1e-12),
            upper: above.delta_above(epsilon * (1.0 - 1e-12) - 1e-12),
        },
    }
}

fn of(all: &[(Losses, u64)], spacing: f64) -> Steps<'_> {
    Steps { spacing, all: all.iter().map(|(losses, n)| (losses, *n)).collect() }
}

/// From the least loss that is looked at to the greatest.
fn width(pair: &Pair, reach: f64) -> f64 {
    let (left, right) = pair.support(reach);
    (pair.loss(right) - pair.loss(left)).max(f64::MIN_POSITIVE)
}

/// Where the composed losses are looked at.
struct Look {
    tilt: f64,
    epsilon: f64,
    deviation: f64,
}

/// The tilt under which the mean of the composed losses is about the ε of the answer. Any tilt gives a right answer; this one a sharp one.
fn tilt_for(steps: &Steps<'_>, query: Query) -> Look {
    let look = |tilt: f64| {
        let c = steps.cumulants(tilt);
        (Look { tilt, epsilon: c.mean, deviation: c.variance.sqrt() }, c.log_moment)
    };
    // Whether the ε at this tilt's mean is below the answer: δ there is about e^(ln M − θ·mean)/(θ(θ+1)s√2π).
    let short = |tilt: f64| {
        let (at, log_moment) = look(tilt);
        match query {
            Query::Epsilon(delta) => {
                let spread = (tilt * (tilt + 1.0) * at.deviation * 2.507).max(1.0);
                log_moment - tilt * at.epsilon - spread.ln() > delta.ln()
            }
            Query::Delta(epsilon) => at.epsilon < epsilon,
        }
    };
    let (mut low, mut high) = (1e-4f64, 1e5f64);
    if !short(low) {
        return look(low).0;
    }
    while high / low > 1.01 {
        let middle = (low * high).sqrt();
        if short(middle) { low = middle } else { high = middle }
    }
    look(low).0
}

fn count(n: usize) -> f64 {
    sottovoce_encode::exact::u64_to_f64(u64::try_from(n).expect("a length in memory"))
}
