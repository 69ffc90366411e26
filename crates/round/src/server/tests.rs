//! Every rule against steps computed by hand, and against the numpy text in `tests/vectors/optimisers.py`.
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Vectors {
    learning_rate: f64,
    momentum: f64,
    beta1: f64,
    beta2: f64,
    tau: f64,
    start: Vec<f32>,
    means: Vec<Vec<f32>>,
    models: std::collections::BTreeMap<String, Vec<Vec<f64>>>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/optimisers.json")).unwrap()
}

fn rules(v: &Vectors) -> [ServerRule; 5] {
    let Vectors { momentum, beta1, beta2, tau, .. } = *v;
    [
        ServerRule::FedAvg,
        ServerRule::FedAvgM { momentum },
        ServerRule::FedAdagrad { beta1, tau },
        ServerRule::FedAdam { beta1, beta2, tau },
        ServerRule::FedYogi { beta1, beta2, tau },
    ]
}

/// Largest difference from the expected models over all rounds.
fn distance(v: &Vectors, rule: ServerRule, expected: &[Vec<f64>]) -> f64 {
    let mut server = optimiser(&ServerSpec { rule, learning_rate: v.learning_rate }, v.start.len());
    let mut theta = v.start.clone();
    let mut worst = 0f64;
    for (mean, expected) in v.means.iter().zip(expected) {
        server.step(&mut theta, mean);
        worst = theta.iter().zip(expected).map(|(t, e)| (f64::from(*t) - e).abs()).fold(worst, f64::max);
    }
    worst
}

#[test]
fn each_rule_gives_the_steps_of_its_paper_and_no_rule_those_of_another() {
    let v = vectors();
    assert_eq!(v.models.len(), 5);
    for rule in rules(&v) {
        for (name, expected) in &v.models {
            let distance = distance(&v, rule, expected);
            // Twelve roundings of a parameter below 4 to f32.
            if name == rule.name() {
                assert!(distance < 3e-6, "{name} is off by {distance}");
            } else {
                // Among them Yogi with Adam's second moment, and the reverse.
                assert!(distance > 1e-3, "{} passes for {name}: {distance}", rule.name());
            }
        }
    }
}

fn steps(rule: ServerRule, learning_rate: f64, means: &[f32]) -> Vec<f64> {
    let mut server = optimiser(&ServerSpec { rule, learning_rate }, 1);
    let mut theta = [0.0];
    let mut step = |mean: &f32| {
        let before = theta[0];
        server.step(&mut theta, &[*mean]);
        f64::from(theta[0]) - f64::from(before)
    };
    means.iter().map(&mut step).collect()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() < 1e-6 * e.abs().max(1.0), "{found:?} is not {expected:?}");
    }
}

#[test]
fn steps_are_those_computed_by_hand() {
    close(&steps(ServerRule::FedAvg, 0.5, &[2.0, -1.0]), &[1.0, -0.5]);
    // v: 2, then 0.5·2 − 1 = 0, then 0.5·0 + 4.
    close(&steps(ServerRule::FedAvgM { momentum: 0.5 }, 0.5, &[2.0, -1.0, 4.0]), &[1.0, 0.0, 2.0]);
    // τ = 1, so v begins at 1. Adagrad: m = 3/2, v = 1 + 9: 1.5 / (√10 + 1).
    close(&steps(ServerRule::FedAdagrad { beta1: 0.5, tau: 1.0 }, 1.0, &[3.0]), &[1.5 / (10f64.sqrt() + 1.0)]);
    // Adam with β₂ = 3/4: v = 3/4 + 9/4 = 3.
    let adam = ServerRule::FedAdam { beta1: 0.5, beta2: 0.75, tau: 1.0 };
    close(&steps(adam, 1.0, &[3.0]), &[1.5 / (3f64.sqrt() + 1.0)]);
    // Yogi: v = 1 + 9/4 (since 1 < 9) = 3.25; then a mean of 1: m = 1.25, v = 3.25 − 1/4 = 3.
    let yogi = ServerRule::FedYogi { beta1: 0.5, beta2: 0.75, tau: 1.0 };
    close(&steps(yogi, 1.0, &[3.0, 1.0]), &[1.5 / (3.25f64.sqrt() + 1.0), 1.25 / (3f64.sqrt() + 1.0)]);
    // sign(0) = 0: a mean whose square is v leaves v.
    close(&steps(yogi, 1.0, &[1.0, 1.0]), &[0.25, 0.375]);
}

#[test]
fn numbers_out_of_range_are_refused_by_their_key() {
    let (beta1, beta2, tau) = (0.9, 0.99, 1e-3);
    for (rule, key) in [
        (ServerRule::FedAvgM { momentum: 1.0 }, "momentum"),
        (ServerRule::FedAdagrad { beta1: -0.1, tau }, "beta1"),
        (ServerRule::FedAdam { beta1, beta2: 1.0, tau }, "beta2"),
        (ServerRule::FedYogi { beta1, beta2, tau: 0.0 }, "tau"),
        (ServerRule::FedYogi { beta1: f64::NAN, beta2, tau }, "beta1"),
    ] {
        assert_eq!(ServerSpec { rule, learning_rate: 1.0 }.check().unwrap_err().key, key);
        for learning_rate in [0.0, -1.0, f64::INFINITY] {
            assert_eq!(ServerSpec { rule, learning_rate }.check().unwrap_err().key, "learning_rate");
        }
    }
    assert!(rules(&vectors()).iter().all(|&rule| ServerSpec { rule, learning_rate: 0.1 }.check().is_ok()));
}

#[test]
fn every_number_of_a_rule_is_in_the_digest() {
    let (beta1, beta2, tau) = (0.9, 0.99, 1e-3);
    let adam = ServerRule::FedAdam { beta1, beta2, tau };
    let specs = [
        (adam, 1.0),
        (adam, 0.5),
        (ServerRule::FedAdam { beta1: 0.8, beta2, tau }, 1.0),
        (ServerRule::FedAdam { beta1, beta2: 0.9, tau }, 1.0),
        (ServerRule::FedAdam { beta1, beta2, tau: 1e-4 }, 1.0),
        (ServerRule::FedYogi { beta1, beta2, tau }, 1.0),
        (ServerRule::FedAdagrad { beta1, tau }, 1.0),
        (ServerRule::FedAvgM { momentum: 0.9 }, 1.0),
        (ServerRule::FedAvg, 1.0),
    ];
    let digests: std::collections::BTreeSet<Digest> = specs
        .iter()
        .map(|&(rule, learning_rate)| {
            let mut w = sottovoce_types::Sha256Writer::new("test");
            ServerSpec { rule, learning_rate }.write_to(&mut w);
            w.finish()
        })
        .collect();
    assert_eq!(digests.len(), specs.len());
}

#[test]
fn the_steps_by_themselves_are_the_servers_and_scaffold_has_none() {
    let v = vectors();
    for rule in rules(&v) {
        let spec = ServerSpec { rule, learning_rate: v.learning_rate };
        let mut steps = ServerSteps::new(&spec, v.start.len()).unwrap();
        let mut theta = v.start.clone();
        v.means.iter().for_each(|mean| steps.step(&mut theta, mean));
        let expected = &v.models[rule.name()].last().unwrap();
        let apart = theta.iter().zip(*expected).map(|(t, e)| (f64::from(*t) - e).abs()).fold(0.0, f64::max);
        assert!(apart < 1e-6, "{}: {apart}", rule.name());
    }
    assert!(ServerSteps::new(&ServerSpec { rule: ServerRule::Scaffold, learning_rate: 1.0 }, 3).is_none());
}
