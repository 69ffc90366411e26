//! Every bound against its paper's formula in another language (`data/bounds.py`), and what each refuses.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs, reason = "tests")]
use serde_json::Value;
use sottovoce_attack::bound::{
    self, Bayesian, Bound, BoundError, ClopperPearson, Design, Experiment, FDpOneRun, Family, GdpClopperPearson,
    Guesses, Needs, OneRun, Strategy, p_value,
};
use sottovoce_types::Delta;

const AT: Strategy = Strategy::Explicit(0.5);

/// An experiment of these counts: scores are 1 where a canary is called in.
fn experiment(case: &Value) -> Experiment {
    let count = |key: &str| usize::try_from(case[key].as_u64().unwrap()).unwrap();
    let side =
        |inside: bool, all: usize, called: usize| (0..all).map(move |i| (inside, f64::from(u8::from(i < called))));
    let (included, scores) = side(true, count("included"), count("included") - count("missed"))
        .chain(side(false, count("excluded"), count("false_alarms")))
        .unzip();
    Experiment::new(included, scores, Design::CoinAndIndependent).unwrap()
}

fn close(found: f64, expected: f64, within: f64, what: &str) {
    assert!((found - expected).abs() <= within * expected.abs().max(1.0), "{what}: {found} for {expected}");
}

#[test]
fn every_bound_is_its_papers_formula() {
    let file: Value = serde_json::from_str(include_str!("data/bounds.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() >= 6);
    for case in cases {
        let e = experiment(case);
        let number = |key: &str| case[key].as_f64().unwrap();
        let (delta, alpha) = (Delta::new(number("delta")).unwrap(), number("alpha"));
        let lower = |bound: &dyn Bound| bound.lower(&e, delta, alpha, AT).unwrap();
        close(lower(&ClopperPearson).epsilon, number("clopper_pearson"), 1e-9, "clopper-pearson");
        close(lower(&GdpClopperPearson).epsilon, number("gdp"), 1e-6, "gdp");
        close(lower(&GdpClopperPearson).mu.unwrap(), number("gdp_mu").max(0.0), 1e-7, "gdp mu");
        close(lower(&OneRun).epsilon, number("one_run"), 1e-7, "one run");
        close(lower(&FDpOneRun { family: Family::Gaussian }).mu.unwrap(), number("f_dp_gaussian_mu"), 1e-6, "f-DP mu");
        close(lower(&FDpOneRun { family: Family::ApproximateDp }).epsilon, number("f_dp"), 1e-6, "f-DP");
        close(lower(&Bayesian).epsilon, number("bayesian"), 1e-4, "bayesian");
        let correct = case["included"].as_u64().unwrap() - case["missed"].as_u64().unwrap();
        let guesses = Guesses {
            canaries: e.scores().len() as u64,
            made: correct + case["false_alarms"].as_u64().unwrap(),
            correct,
        };
        close(p_value(guesses, 1.0, delta.value()), number("one_run_p_at_1"), 1e-8, "p-value");
    }
}

#[test]
fn what_is_rejected_is_what_lies_below_the_lower_bound() {
    let file: Value = serde_json::from_str(include_str!("data/bounds.json")).unwrap();
    let e = experiment(&file["cases"][1]);
    let delta = Delta::new(1e-5).unwrap();
    for bound in bound::all() {
        let lower = bound.lower(&e, delta, 0.05, AT).unwrap().epsilon;
        assert!(lower > 0.5, "{}: {lower}", bound.name());
        for (factor, expected) in [(0.99, true), (1.01, false)] {
            let found = bound.rejects(&e, lower * factor, delta, 0.05, AT).unwrap();
            assert_eq!(found, expected, "{} at {factor} times its bound", bound.name());
        }
    }
}

#[test]
fn a_bound_refuses_a_design_that_its_proof_does_not_cover() {
    let with = |design| {
        let included: Vec<bool> = (0..40).map(|i| i % 2 == 0).collect();
        let scores = included.iter().map(|&i| f64::from(u8::from(i))).collect();
        Experiment::new(included, scores, design).unwrap()
    };
    let delta = Delta::new(1e-5).unwrap();
    for bound in bound::all() {
        let refuses = |design| matches!(bound.lower(&with(design), delta, 0.05, AT), Err(BoundError::Design { .. }));
        assert!(refuses(Design::Observed), "{}", bound.name());
        assert_eq!(refuses(Design::CoinInOneRun), bound.needs() == Needs::IndependentTrials, "{}", bound.name());
        assert_eq!(refuses(Design::IndependentTrials), bound.needs() == Needs::Coins, "{}", bound.name());
        assert!(!refuses(Design::CoinAndIndependent), "{}", bound.name());
        for alpha in [0.0, 0.5, f64::NAN] {
            let error = bound.lower(&with(Design::CoinAndIndependent), delta, alpha, AT);
            assert!(matches!(error, Err(BoundError::OutOfRange { .. })), "{}", bound.name());
        }
    }
    let unfit = [
        (&ClopperPearson as &dyn Bound, Strategy::Guesses { fraction: 1.0 }),
        (&Bayesian, Strategy::Bonferroni),
        (&Bayesian, Strategy::Guesses { fraction: 1.0 }),
    ];
    for (bound, strategy) in unfit {
        let error = bound.lower(&with(Design::CoinAndIndependent), delta, 0.05, strategy);
        assert!(matches!(error, Err(BoundError::Strategy { .. })), "{}: {error:?}", bound.name());
    }
    for strategy in [Strategy::Guesses { fraction: 0.0 }, Strategy::Split { fraction: 1.0, seed: 1 }] {
        let error = OneRun.lower(&with(Design::CoinInOneRun), delta, 0.05, strategy);
        assert!(matches!(error, Err(BoundError::OutOfRange { .. })), "{error:?}");
    }
}
