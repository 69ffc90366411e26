//! Privacy loss distributions of Gaussian releases, on Poisson samples, on samples of a fixed size or on everybody: certified ends of ε and δ.
//!
//! One step's loss ln P/Q is put on a grid twice, never below the truth (`discrete`) and never above it (`below`), composed by FFT (`compose`), and
//! read at the ε or δ that is asked for. The FFT's error is absolute, as large as δ itself would be; tilting every step by e^(θ·loss) first
//! (Esscher) makes it relative where δ is read, so that it can be counted in. Sommer, Meiser & Mohammadi 2019; Koskela, Jälkö & Honkela
//! 2020; Gopi, Lee & Wutschitz 2021; Doroshenko et al. 2022. The argument: `../proof.md`, 2 to 5.
mod below;
mod compose;
mod discrete;
mod pair;
#[cfg(test)]
mod tests;

use realfft::RealFftPlanner;
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

/// A bracket that is wider than this, relative to its upper end, is looked for once more on a finer grid.
const WIDEST: f64 = 1e-3;

/// A Gaussian step on a sample, and how often.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Step {
    sample: Sample,
    z: f64,
    count: u64,
}

/// Who takes part in a step.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Sample {
    /// Each unit with this probability, by itself.
    Poisson(f64),
    /// A subset of a fixed size: the share of all units that it is, between two floats.
    FixedSize { lower: f64, upper: f64 },
}

impl Step {
    /// What dominates the step.
    fn dominating(&self, adjacency: Adjacency, direction: Direction) -> Pair {
        match self.sample {
            Sample::Poisson(q) => Pair::new(q, self.z, adjacency, direction),
            Sample::FixedSize { upper, .. } => Pair::fixed_size(upper, self.z),
        }
    }

    /// What two data sets attain.
    fn attained(&self, adjacency: Adjacency, direction: Direction) -> Pair {
        match self.sample {
            Sample::Poisson(q) => Pair::new(q, self.z, adjacency, direction),
            Sample::FixedSize { lower, .. } => Pair::fixed_size_attained(lower, self.z, direction),
        }
    }
}

/// Whether an event is made of Gaussian releases on Poisson samples, on everybody, or, under the relation replace, on samples of a fixed size.
pub fn accounts_for(event: &DpEvent, adjacency: Adjacency) -> bool {
    steps(event, adjacency).is_some()
}

/// Whether the pair that dominates a step is one that no data sets attain, so that another accountant may be the better.
pub fn has_slack(event: &DpEvent) -> bool {
    match event {
        DpEvent::SampledWithoutReplacement { .. } => true,
        DpEvent::SelfComposed { event, .. } => has_slack(event),
        DpEvent::Composed { events } => events.iter().any(has_slack),
        _ => false,
    }
}

/// ε at `delta`, both ends; `None` for what [`accounts_for`] denies.
pub fn epsilon(event: &DpEvent, delta: Delta, adjacency: Adjacency) -> Option<Bracket> {
    Some(read(&steps(event, adjacency)?, adjacency, Query::Epsilon(delta.value())))
}

/// δ at `epsilon` ≥ 0, both ends; `None` as [`epsilon`].
pub fn delta(event: &DpEvent, epsilon: f64, adjacency: Adjacency) -> Option<Bracket> {
    Some(read(&steps(event, adjacency)?, adjacency, Query::Delta(epsilon)))
}

fn steps(event: &DpEvent, adjacency: Adjacency) -> Option<Vec<Step>> {
    let mut all = Vec::new();
    flatten(event, adjacency, 1, &mut all)?;
    Some(all)
}

fn flatten(event: &DpEvent, adjacency: Adjacency, times: u64, all: &mut Vec<Step>) -> Option<()> {
    let step = match event {
        DpEvent::NoOp => return Some(()),
        DpEvent::Gaussian { .. } => Step { sample: Sample::Poisson(1.0), z: multiplier(event)?, count: times },
        DpEvent::PoissonSampled { sampling_probability: q, event } if *q > 0.0 && *q <= 1.0 => {
            Step { sample: Sample::Poisson(*q), z: multiplier(event)?, count: times }
        }
        DpEvent::SampledWithoutReplacement { source_dataset_size, sample_size, event }
            if adjacency == Adjacency::ReplaceOne && sample_size <= source_dataset_size =>
        {
            match fixed_size(*source_dataset_size, *sample_size) {
                Some(sample) => Step { sample, z: multiplier(event)?, count: times },
                None => return multiplier(event).map(|_| ()),
            }
        }
        DpEvent::SelfComposed { event, count: 0 } => return accounts_for(event, adjacency).then_some(()),
        DpEvent::SelfComposed { event, count } => return flatten(event, adjacency, times.checked_mul(*count)?, all),
        DpEvent::Composed { events } => {
            return events.iter().try_for_each(|event| flatten(event, adjacency, times, all));
        }
        _ => return None,
    };
    match all.iter_mut().find(|known| known.sample == step.sample && known.z.to_bits() == step.z.to_bits()) {
        Some(known) => known.count = known.count.checked_add(times)?,
        None => all.push(step),
    }
    Some(())
}

fn multiplier(event: &DpEvent) -> Option<f64> {
    match event {
        DpEvent::Gaussian { noise_multiplier: z } if z.is_finite() && *z > 0.0 => Some(*z),
        _ => None,
    }
}

/// `None` where nobody is drawn.
fn fixed_size(population: u64, size: u64) -> Option<Sample> {
    let share = sottovoce_encode::exact::u64_to_f64(size) / sottovoce_encode::exact::u64_to_f64(population);
    match size {
        0 => None,
        _ if size == population => Some(Sample::Poisson(1.0)),
        // Both numbers and their quotient are rounded.
        _ => {
            Some(Sample::FixedSize { lower: share.next_down().next_down(), upper: share.next_up().next_up().min(1.0) })
        }
    }
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
    let mut worst = Bracket::ZERO;
    for direction in directions(steps, adjacency) {
        let one = one_direction(steps, adjacency, *direction, query, worst.lower);
        worst = Bracket { lower: worst.lower.max(one.lower), upper: worst.upper.max(one.upper) };
    }
    worst
}

/// A replacement under Poisson sampling is its own mirror image, and so is a Gaussian step; else either direction may be the worse.
fn directions(steps: &[Step], adjacency: Adjacency) -> &'static [Direction] {
    let mirrored = steps.iter().all(|step| match step.sample {
        Sample::Poisson(q) => q >= 1.0 || adjacency == Adjacency::ReplaceOne,
        Sample::FixedSize { .. } => false,
    });
    if mirrored { &[Direction::Remove] } else { &[Direction::Remove, Direction::Add] }
}

/// Nothing is known.
fn anything(query: Query) -> Bracket {
    match query {
        Query::Epsilon(_) => Bracket { lower: 0.0, upper: f64::INFINITY },
        Query::Delta(_) => Bracket { lower: 0.0, upper: 1.0 },
    }
}

/// The bracket under one direction, to [`WIDEST`] where the grid may be so fine and the number is above `settled`.
fn one_direction(steps: &[Step], adjacency: Adjacency, direction: Direction, query: Query, settled: f64) -> Bracket {
    let total: f64 = steps.iter().map(|s| sottovoce_encode::exact::u64_to_f64(s.count)).sum();
    let pairs: Vec<(Pair, u64)> = steps.iter().map(|s| (s.dominating(adjacency, direction), s.count)).collect();
    let attained: Vec<(Pair, u64)> = steps.iter().map(|s| (s.attained(adjacency, direction), s.count)).collect();
    // What is given up far out counts as infinite loss: a billionth of δ.
    let given_up = match query {
        Query::Epsilon(delta) => delta * 1e-9,
        Query::Delta(_) => 1e-18,
    };
    let reach = reach_for(given_up, total);
    let widest = pairs.iter().map(|(pair, _)| width(pair, reach)).fold(0.0, f64::max);
    // A first look on a coarse grid says where to tilt to and how fine a grid the answer needs.
    let rough = widest / 2000.0;
    let all_above = |spacing: f64| on_grid(&pairs, |pair| above(pair, spacing, reach));
    let all_below = |spacing: f64| on_grid(&attained, |pair| below(pair, spacing, reach));
    let look = tilt_for(&of(&all_above(rough), rough), query);
    // Sharing cells out to their ends adds spacing²/6 to each step's variance, which moves ε by tilt/2 times that.
    let steep = look.tilt.max(1.0 / look.deviation);
    let fine = match query {
        Query::Epsilon(_) => (12.0 * ACCURACY * look.epsilon.max(1e-3) / (steep * total)).sqrt(),
        Query::Delta(_) => (12.0 * ACCURACY / (steep * steep * total)).sqrt(),
    };
    let window = 20.0 * look.deviation + widest;
    let finest = window / (0.9 * count(MOST_PLACES));
    let mut planner = RealFftPlanner::new();
    let mut on = |spacing: f64| {
        let above = Composed::new(&of(&all_above(spacing), spacing), look.tilt, MOST_PLACES, &mut planner)?;
        let below = Composed::new(&of(&all_below(spacing), spacing), look.tilt, MOST_PLACES, &mut planner)?;
        Some(answer(&above, &below, query))
    };
    let mut spacing = fine.min(look.deviation / 8.0).max(window / USUAL_PLACES).max(finest);
    for _ in 0..12 {
        if let Some(found) = on(spacing) {
            // A bracket narrows as the square of the spacing, down to what lies between two pairs of which one only dominates the other.
            let slack = steps.iter().any(|step| matches!(step.sample, Sample::FixedSize { .. }));
            let narrower = (WIDEST * found.upper / (2.0 * (found.upper - found.lower))).sqrt();
            if slack || narrower > 0.7 || found.upper <= settled || !found.upper.is_finite() {
                return found;
            }
            let Some(again) = on((spacing * narrower).max(2.0 * finest)) else { return found };
            return Bracket { lower: found.lower.max(again.lower), upper: found.upper.min(again.upper) };
        }
        // A coarser grid where the window turns out to be wider than was thought.
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

fn on_grid(pairs: &[(Pair, u64)], end: impl Fn(&Pair) -> Losses) -> Vec<(Losses, u64)> {
    pairs.iter().map(|(pair, n)| (end(pair), *n)).collect()
}

fn of(all: &[(Losses, u64)], spacing: f64) -> Steps<'_> {
    Steps { spacing, all: all.iter().map(|(losses, n)| (losses, *n)).collect() }
}

/// From the least loss that is looked at to the greatest.
fn width(pair: &Pair, reach: f64) -> f64 {
    let (left, right) = pair.support(reach);
    let (least, greatest) = (pair.loss(left), pair.loss(right));
    // With hardly any noise, all that is looked at may have one and the same loss.
    (greatest - least).max(least.abs().max(greatest.abs()) * 1e-6).max(f64::MIN_POSITIVE)
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
