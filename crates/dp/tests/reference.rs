//! Closed forms against 60-digit arithmetic (`vectors/closed-forms.json`: mpmath 1.4.1, not this code), and against OpenDP.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use opendp::combinators::make_zCDP_to_approxDP;
use opendp::domains::AtomDomain;
use opendp::measurements::make_gaussian;
use opendp::metrics::AbsoluteDistance;
use serde_json::Value;
use sottovoce_dp::{gdp, zcdp};
use sottovoce_types::{Delta, Epsilon};

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/closed-forms.json")).unwrap()
}

/// Vectors hold numbers both as JSON numbers and as decimal text.
fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| row[key].as_str().unwrap().parse().unwrap())
}

fn rows<'a>(v: &'a Value, table: &str, min: usize) -> &'a Vec<Value> {
    let rows = v.pointer(table).unwrap().as_array().unwrap();
    assert!(rows.len() >= min, "{table} lost rows");
    rows
}

fn relative(got: f64, expected: f64) -> f64 {
    (got - expected).abs() / expected.abs()
}

/// The vectors are decimal roundings to f64, so the exact value may lie half a unit in the last place beyond them.
const HALF_ULP: f64 = 2.3e-16;

fn assert_brackets(what: &str, bracket: sottovoce_dp::Bracket, exact: f64) {
    assert!(bracket.lower <= exact * (1.0 + HALF_ULP), "{what}: lower {} > {exact}", bracket.lower);
    assert!(bracket.upper >= exact * (1.0 - HALF_ULP), "{what}: upper {} < {exact}", bracket.upper);
    assert!(
        relative(bracket.upper, exact) < 1e-9 && relative(bracket.lower, exact) < 1e-9,
        "{what}: {bracket} {exact}"
    );
}

#[test]
fn claim_the_epsilon_of_rounds_without_sampling_is_exact_to_1e_9_and_never_below_the_truth() {
    let v = vectors();
    for row in rows(&v, "/grid_q1", 16) {
        let mu = number(row, "T").sqrt() / number(row, "sigma");
        let delta = Delta::new(number(row, "delta")).unwrap();
        assert_brackets(&row.to_string(), gdp::epsilon(mu, delta), number(row, "exact_eps"));
    }
    for row in rows(&v, "/gaussian/eps", 24) {
        let delta = Delta::new(number(row, "delta")).unwrap();
        assert_brackets(&row.to_string(), gdp::epsilon(number(row, "mu"), delta), number(row, "eps"));
    }
}

#[test]
fn delta_of_the_gaussian_mechanism_agrees_to_1e_9() {
    for row in rows(&vectors(), "/gaussian/delta", 5) {
        let got = gdp::delta(number(row, "mu"), number(row, "eps"));
        assert!(relative(got, number(row, "delta")) < 1e-9, "{row}: {got}");
    }
}

#[test]
fn claim_calibrated_noise_agrees_to_1e_9_and_is_never_below_the_exact_multiplier() {
    for row in rows(&vectors(), "/gaussian/sigma", 25) {
        let (e, d) = (Epsilon::new(number(row, "eps")).unwrap(), Delta::new(number(row, "delta")).unwrap());
        let steps = row["T"].as_u64().unwrap();
        let (got, exact) = (gdp::calibrate(e, d, steps).value(), number(row, "sigma"));
        assert!(got >= exact * (1.0 - HALF_ULP) && relative(got, exact) < 1e-9, "{row}: {got}");
    }
}

#[test]
fn a_multiplier_two_percent_too_small_is_told_from_the_table() {
    for row in rows(&vectors(), "/gaussian/sigma", 25) {
        let delta = Delta::new(number(row, "delta")).unwrap();
        let mu = number(row, "T").sqrt() / (0.98 * number(row, "sigma"));
        assert!(gdp::epsilon(mu, delta).lower > number(row, "eps") * 1.001);
    }
}

#[test]
fn zcdp_conversion_agrees_to_1e_9_and_is_never_below_the_exact_minimum() {
    for row in rows(&vectors(), "/zcdp/eps_at_delta", 24) {
        let got = zcdp::epsilon(number(row, "rho"), Delta::new(number(row, "delta")).unwrap());
        let exact = number(row, "eps");
        assert!(got >= exact * (1.0 - HALF_ULP) && relative(got, exact) < 1e-9, "{row}: {got}");
    }
}

#[test]
fn zcdp_conversion_agrees_with_opendp() {
    for (scale, delta) in [(1.0, 1e-5), (5.0, 1e-6), (50.0, 1e-6)] {
        let mechanism =
            make_gaussian(AtomDomain::<i64>::new_non_nan(), AbsoluteDistance::<i64>::default(), scale, None).unwrap();
        let rho = mechanism.map(&1).unwrap();
        assert!(relative(rho, 1.0 / (2.0 * scale * scale)) < 1e-12);
        let theirs = make_zCDP_to_approxDP(mechanism).unwrap().map(&1).unwrap().epsilon(delta).unwrap();
        let ours = zcdp::epsilon(rho, Delta::new(delta).unwrap());
        // OpenDP searches α and ε in f64 with directed rounding: agreement to 1e-6 is what it promises at best.
        assert!(relative(ours, theirs) < 1e-6, "scale {scale}: ours {ours}, OpenDP {theirs}");
    }
}
