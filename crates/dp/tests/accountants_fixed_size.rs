//! Samples of a fixed size by Rényi orders and by privacy loss distributions, where one unit is in another's place.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use serde_json::Value;
use sottovoce_dp::accountant::{AccountError, Accountant, Adjacency, epsilon, pld, without_replacement};
use sottovoce_dp::{Bracket, DpEvent, gdp};
use sottovoce_types::Delta;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/accountants.json")).unwrap()
}

fn rows(name: &str) -> Vec<Value> {
    vectors()[name].as_array().unwrap().clone()
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap()
}

fn at(value: f64) -> Delta {
    Delta::new(value).unwrap()
}

fn gaussian(z: f64) -> DpEvent {
    DpEvent::Gaussian { noise_multiplier: z }
}

fn by(event: &DpEvent, d: f64, accountant: Accountant, adjacency: Adjacency) -> Bracket {
    epsilon(event, at(d), accountant, adjacency).unwrap().bracket
}

fn of_fixed_size(population: u64, size: u64, z: f64) -> DpEvent {
    DpEvent::SampledWithoutReplacement {
        source_dataset_size: population,
        sample_size: size,
        event: Box::new(gaussian(z)),
    }
}

#[test]
fn samples_of_a_fixed_size_are_bounded_where_a_unit_is_replaced_and_refused_elsewhere() {
    let event = |n, m, z| DpEvent::SampledWithoutReplacement {
        source_dataset_size: n,
        sample_size: m,
        event: Box::new(gaussian(z)),
    };
    for row in rows("wor_rdp") {
        let (n, m, t) = (row["n"].as_u64().unwrap(), row["m"].as_u64().unwrap(), row["T"].as_u64().unwrap());
        // Their multiplier is over the sensitivity of a replacement, ours over one unit's norm: twice.
        let one = event(n, m, 2.0 * number(&row, "noise_multiplier"));
        let found = by(&one.self_composed(t), number(&row, "delta"), Accountant::Rdp, Adjacency::ReplaceOne).upper;
        let theirs = number(&row, "rdp_eps");
        assert!(found >= theirs * 0.9 && found <= theirs * 1.02, "{row}: {found}");
    }
    for row in rows("raw_rdp_sample_wor_gaussian_one_step_replace_one") {
        let (q, z) = (number(&row, "q"), 2.0 * number(&row, "noise_multiplier"));
        let pairs = row["orders"].as_array().unwrap().iter().zip(row["rdp"].as_array().unwrap());
        for (order, theirs) in pairs.map(|(o, r)| (o.as_f64().unwrap(), r.as_f64().unwrap())) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number")]
            let m = (q * 1e6).round() as u64;
            let found = without_replacement::gaussian(1_000_000, m, z, order);
            assert!(
                found >= theirs * (1.0 - 1e-6) && found <= theirs * 1.05,
                "{q} {z} {order}: {found}, theirs {theirs}"
            );
        }
    }
    for accountant in [Accountant::Auto, Accountant::Pld, Accountant::Rdp] {
        let refused = epsilon(&event(10, 2, 1.0), at(1e-5), accountant, Adjacency::AddOrRemoveOne).unwrap_err();
        assert!(
            matches!(&refused, AccountError::NotAccountable { .. }) && refused.to_string().contains("replace"),
            "{refused}"
        );
    }
    let too_many = epsilon(&event(10, 11, 1.0), at(1e-5), Accountant::Pld, Adjacency::ReplaceOne);
    assert!(matches!(too_many, Err(AccountError::NotAccountable { .. })), "{too_many:?}");
}

#[test]
fn losses_of_a_fixed_size_are_tighter_than_renyi_and_above_what_data_sets_attain() {
    for (n, m, z, t) in [
        (1000, 10, 2.0, 100),
        (1000, 100, 2.0, 100),
        (10_000, 100, 4.0, 1000),
        (1000, 500, 4.0, 10),
        (100, 99, 4.0, 100),
    ] {
        let event = of_fixed_size(n, m, z).self_composed(t);
        let found = by(&event, 1e-5, Accountant::Pld, Adjacency::ReplaceOne);
        let renyi = by(&event, 1e-5, Accountant::Rdp, Adjacency::ReplaceOne);
        assert!(found.lower <= found.upper && found.upper < renyi.upper, "{event}: {found}, {renyi}");
        // Two data sets: all units but one at −1, and this one at 1 or at −1. With it, the mixture of two normal laws that lie 2 apart; without it, one of
        // them. As if on a Poisson sample, with noise of half the multiplier.
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let q = m as f64 / n as f64;
        let attained = gaussian(z / 2.0).poisson_sampled(q).self_composed(t);
        let attained = by(&attained, 1e-5, Accountant::Pld, Adjacency::AddOrRemoveOne);
        assert!((found.lower / attained.lower - 1.0).abs() < 1e-3, "{event}: {found}, attained {attained}");
        // Two others: all units but one at 0, and this one at 1 or at −1.
        let about_zero = gaussian(z).poisson_sampled(q).self_composed(t);
        let about_zero = by(&about_zero, 1e-5, Accountant::Pld, Adjacency::ReplaceOne);
        assert!(about_zero.lower <= found.upper, "{event}: {found}, attained {about_zero}");
        // The wrong pair that it is easy to take, that of a Poisson sample, is caught.
        assert!(about_zero.upper < found.lower, "{event}: {found}, by Poisson {about_zero}");
        let auto = epsilon(&event, at(1e-5), Accountant::Auto, Adjacency::ReplaceOne).unwrap();
        assert!(auto.bracket == found && auto.accountant == Accountant::Pld, "{auto:?}");
    }
}

/// δ of one sampled step in closed form, the unit being in P, which is the larger at ε ≥ 0 (Zhu, Dong & Wang 2022).
fn one_step_delta(q: f64, z: f64, e: f64) -> f64 {
    let tail = |x: f64| 0.5 * statrs::function::erf::erfc(x / 2f64.sqrt());
    let x = 0.5 + z * z * (e.exp_m1() / q).ln_1p();
    (1.0 - q) * tail(x / z) + q * tail((x - 1.0) / z) - e.exp() * tail(x / z)
}

#[test]
fn samples_of_a_fixed_size_go_over_into_everybody_and_nobody() {
    let of = |event: &DpEvent| by(event, 1e-5, Accountant::Pld, Adjacency::ReplaceOne);
    let everybody = of(&of_fixed_size(50, 50, 4.0).self_composed(10));
    let exact = gdp::epsilon(2.0 * 10f64.sqrt() / 4.0, at(1e-5));
    assert!(everybody.lower <= exact.upper && exact.lower <= everybody.upper, "{everybody}, {exact}");
    assert_eq!(of(&of_fixed_size(50, 0, 4.0)), Bracket { lower: 0.0, upper: 0.0 });
    // All but one of very many.
    let most = of(&of_fixed_size(1_000_000_000, 999_999_999, 4.0).self_composed(10));
    assert!(most.lower <= exact.upper && (most.upper / exact.upper - 1.0).abs() < 1e-4, "{most}, {exact}");
    // One step at ε ≥ 0: both pairs have the same δ, in closed form.
    for (n, m, z, e) in [(10, 1, 2.0, 0.5), (100, 1, 1.6, 0.2), (2, 1, 4.0, 0.3)] {
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let exact = one_step_delta(m as f64 / n as f64, z / 2.0, e);
        let found = pld::delta(&of_fixed_size(n, m, z), e, Adjacency::ReplaceOne).unwrap();
        assert!(
            found.lower <= exact * (1.0 + 1e-9) && exact <= found.upper * (1.0 + 1e-9),
            "{n} {m}: {found}, {exact}"
        );
        assert!(found.upper <= exact * 1.01, "{n} {m}: {found}, {exact}");
    }
    // A mixed schedule costs at least each of its parts.
    let parts = [of_fixed_size(1000, 100, 4.0).self_composed(20), gaussian(4.0).poisson_sampled(0.1).self_composed(20)];
    let whole = of(&DpEvent::Composed { events: parts.to_vec() });
    for part in &parts {
        assert!(whole.lower > of(part).upper, "{whole}, {part}: {}", of(part));
    }
}
