//! The two ends of one step and of its compositions against closed forms, and accountants that are wrong in one place, each of which these checks catch.
#![allow(clippy::unwrap_used, reason = "tests")]
use sottovoce_encode::exact;

use super::pair::upper_tail;
use super::*;

const PAIRS: &[(f64, f64)] = &[(0.001, 1.0), (0.01, 0.5), (0.1, 1.0), (0.5, 2.0), (0.9, 0.7), (1.0, 3.0)];

fn pairs() -> impl Iterator<Item = (String, Pair)> {
    let directions = [
        (Adjacency::AddOrRemoveOne, Direction::Remove),
        (Adjacency::AddOrRemoveOne, Direction::Add),
        (Adjacency::ReplaceOne, Direction::Remove),
    ];
    PAIRS.iter().flat_map(move |(q, z)| {
        directions.into_iter().map(move |(a, d)| (format!("q {q} z {z} {a:?} {d:?}"), Pair::new(*q, *z, a, d)))
    })
}

/// δ at `l` of a pair: what P has beyond the position of that loss, less e^l times what Q has.
fn exact_delta(pair: &Pair, l: f64) -> f64 {
    let (p, q) = pair.masses(pair.position(l), f64::INFINITY);
    f64::midpoint(p.lower, p.upper) - l.exp() * f64::midpoint(q.lower, q.upper)
}

/// δ at `l` of losses on a grid.
fn grid_delta(losses: &Losses, spacing: f64, l: f64) -> f64 {
    let place = |i: i64| exact::to_f64(losses.first + i) * spacing + losses.offset;
    let over = losses.masses.iter().zip(0..).filter(|(_, i)| place(*i) > l);
    over.map(|(mass, i)| mass * -(l - place(i)).exp_m1()).sum::<f64>() + losses.infinite
}

/// An accountant that gives each loss to the nearest place.
fn to_nearest(pair: &Pair, spacing: f64, reach: f64) -> Losses {
    let (left, right) = pair.support(reach);
    let index = |loss: f64| exact::truncate((loss / spacing).round()).unwrap();
    let (first, last) = (index(pair.loss(left)), index(pair.loss(right)));
    let mut cuts: Vec<f64> = (first..last).map(|i| pair.position((exact::to_f64(i) + 0.5) * spacing)).collect();
    cuts.insert(0, f64::NEG_INFINITY);
    cuts.push(f64::INFINITY);
    let masses = pair.cells(&cuts).map(|(p, _)| f64::midpoint(p.lower, p.upper)).collect();
    Losses { first, masses, offset: 0.0, infinite: 0.0 }
}

/// Losses at which a step is looked at, on no grid in particular.
fn losses(pair: &Pair) -> Vec<f64> {
    let (left, right) = pair.support(7.0);
    (0..=400u32).map(|i| pair.loss(left + (right - left) * f64::from(i) / 400.0)).collect()
}

/// By how much an end may be on the wrong side: the rounding of the closed form and of the sum over the grid.
const ROUNDED: f64 = 1e-12;

#[test]
fn one_step_on_a_grid_is_on_its_side_of_the_closed_form_at_every_loss() {
    for (name, pair) in pairs() {
        let range = width(&pair, 8.0);
        for spacing in [range / 9.3, range / 101.7, range / 5003.1] {
            let (high, low) = (above(&pair, spacing, 8.0), below(&pair, spacing, 8.0));
            assert!(low.masses.iter().chain(&high.masses).all(|mass| *mass >= 0.0), "{name}");
            for l in losses(&pair) {
                let exact = exact_delta(&pair, l);
                let (high, low) = (grid_delta(&high, spacing, l), grid_delta(&low, spacing, l));
                assert!(low <= exact + ROUNDED, "{name} at {l}, spacing {spacing}: {low} is above {exact}");
                assert!(high >= exact - ROUNDED, "{name} at {l}, spacing {spacing}: {high} is below {exact}");
            }
        }
    }
}

#[test]
fn the_lower_end_of_one_step_falls_short_as_the_square_of_the_spacing() {
    for (name, pair) in pairs().filter(|(name, _)| !name.starts_with("q 0.0")) {
        let coarse = width(&pair, 8.0) / 500.0;
        let short = |spacing: f64| {
            let low = below(&pair, spacing, 8.0);
            let ls = losses(&pair).into_iter().step_by(8);
            ls.map(|l| exact_delta(&pair, l) - grid_delta(&low, spacing, l)).fold(0.0, f64::max)
        };
        let (coarse, fine) = (short(coarse), short(coarse / 8.0));
        assert!(fine > 0.0 && fine < coarse / 20.0, "{name}: {coarse}, then {fine}");
    }
}

#[test]
fn rounding_losses_to_the_nearest_place_is_caught_in_every_pair() {
    for (name, pair) in pairs() {
        let spacing = width(&pair, 8.0) / 101.7;
        let wrong = to_nearest(&pair, spacing, 8.0);
        let short = |l: &f64| grid_delta(&wrong, spacing, *l) < exact_delta(&pair, *l) - ROUNDED;
        assert!(losses(&pair).iter().any(short), "{name}: no loss shows that it is no upper end");
    }
}

/// δ at `epsilon` of `steps` steps as an accountant would have it whose upper end is `end`.
fn composed_above(pair: &Pair, steps: u64, spacing: f64, epsilon: f64, end: fn(&Pair, f64, f64) -> Losses) -> f64 {
    let grid = on_grid(&[(*pair, steps)], |pair| end(pair, spacing, 8.0));
    let steps = of(&grid, spacing);
    let look = tilt_for(&steps, Query::Delta(epsilon));
    Composed::new(&steps, look.tilt, MOST_PLACES, &mut RealFftPlanner::new()).unwrap().delta_above(epsilon)
}

#[test]
fn rounding_to_the_nearest_place_is_caught_after_composition() {
    // On a grid as coarse as one step's usual loss, most steps count as nothing at all.
    let pair = Pair::new(0.01, 1.0, Adjacency::AddOrRemoveOne, Direction::Remove);
    let truth = one_direction(
        &[Step { sample: Sample::Poisson(0.01), z: 1.0, count: 1000 }],
        Adjacency::AddOrRemoveOne,
        Direction::Remove,
        Query::Delta(1.5),
        0.0,
    );
    let of = |end| composed_above(&pair, 1000, 0.01, 1.5, end);
    assert!(of(above) >= truth.lower, "{} by sharing out, {truth}", of(above));
    assert!(of(to_nearest) < truth.lower, "{} by rounding, {truth}", of(to_nearest));
}

/// δ of one sampled step with the unit in P, and with the unit in Q, at any ε (Zhu, Dong & Wang 2022).
fn closed_form(q: f64, z: f64, e: f64) -> [f64; 2] {
    let remove = |e: f64| {
        if e <= (-q).ln_1p() {
            return 1.0 - e.exp();
        }
        let x = 0.5 + z * z * (e.exp_m1() / q).ln_1p();
        (1.0 - q) * upper_tail(x / z) + q * upper_tail((x - 1.0) / z) - e.exp() * upper_tail(x / z)
    };
    // H_α(Q‖P) = 1 − α + α·H_{1/α}(P‖Q).
    [remove(e), -e.exp_m1() + e.exp() * remove(-e)]
}

#[test]
fn an_accountant_of_one_direction_is_caught_by_the_closed_forms() {
    for (q, z) in [(0.1, 1.0), (0.01, 0.8), (0.5, 2.0)] {
        let steps = [Step { sample: Sample::Poisson(q), z, count: 1 }];
        let one = |direction, e| one_direction(&steps, Adjacency::AddOrRemoveOne, direction, Query::Delta(e), 0.0);
        let mut caught = [0, 0];
        // Negative ε are those at which the direction is worse that is better at positive ones.
        for e in [-0.3, -0.1, -0.03, -0.01, 0.01, 0.03, 0.1, 0.3, 1.0] {
            let exact = closed_form(q, z, e);
            let both = read(&steps, Adjacency::AddOrRemoveOne, Query::Delta(e));
            let worst = exact[0].max(exact[1]);
            assert!(both.lower <= worst + ROUNDED && worst <= both.upper + ROUNDED, "{q} {z} {e}: {both}, {exact:?}");
            for (direction, (exact, caught)) in
                [Direction::Remove, Direction::Add].into_iter().zip(exact.into_iter().zip(&mut caught))
            {
                let alone = one(direction, e);
                assert!(
                    alone.lower <= exact + ROUNDED && exact <= alone.upper + ROUNDED,
                    "{q} {z} {e} {direction:?}: {alone}, {exact}"
                );
                if alone.upper < worst * (1.0 - 1e-6) {
                    *caught += 1;
                }
            }
        }
        assert!(caught[0] > 0 && caught[1] > 0, "{q} {z}: neither direction may pass for both, {caught:?}");
    }
}

#[test]
fn both_directions_are_looked_at_but_where_one_is_the_others_mirror_image() {
    let of = |sample| [Step { sample, z: 1.0, count: 3 }];
    let count = |sample, adjacency| directions(&of(sample), adjacency).len();
    assert_eq!(count(Sample::Poisson(0.1), Adjacency::AddOrRemoveOne), 2);
    assert_eq!(count(Sample::Poisson(0.1), Adjacency::ReplaceSpecial), 2);
    assert_eq!(count(Sample::Poisson(0.1), Adjacency::ReplaceOne), 1);
    assert_eq!(count(Sample::Poisson(1.0), Adjacency::AddOrRemoveOne), 1);
    assert_eq!(count(Sample::FixedSize { lower: 0.1, upper: 0.1 }, Adjacency::ReplaceOne), 2);
}

#[test]
fn the_pair_of_a_fixed_size_has_the_curves_of_both_directions() {
    for (q, z) in [(0.1, 2.0), (0.01, 1.6), (0.5, 4.0), (1.0, 3.0)] {
        let pair = Pair::fixed_size(q, z);
        let total = pair.masses(f64::NEG_INFINITY, f64::INFINITY);
        assert!((total.0.lower - 1.0).abs() < 1e-12 && (total.1.upper - 1.0).abs() < 1e-12, "{total:?}");
        for l in [-2.0, -0.5, -0.05, -1e-3, 1e-3, 0.05, 0.5, 2.0, 5.0] {
            // The sensitivity is 2.
            let [remove, add] = closed_form(q, z / 2.0, l);
            let (found, exact) = (exact_delta(&pair, l), if l > 0.0 { remove } else { add });
            assert!((found - exact).abs() < 1e-12, "{q} {z} {l}: {found}, {exact}");
            // Neither direction alone has them: without the other half, the pair would be below what two data sets attain.
            assert!(found >= remove.max(add) - ROUNDED, "{q} {z} {l}");
        }
        let [remove, add] = closed_form(q, z / 2.0, -0.05);
        assert!(q >= 1.0 || remove < add - 1e-9, "{q} {z}: {remove}, {add}");
        assert!(pair.position(0.0).to_bits() == 0f64.to_bits());
        for t in [-3.0, -0.4, 0.2, 2.5] {
            assert!((pair.position(pair.loss(t)) - t).abs() < 1e-9, "{q} {z} {t}");
        }
    }
}
