//! Rows of sweeps, made up.
use std::collections::BTreeMap;

use sottovoce_report::SweepReport;
use sottovoce_types::{Digest, Interval, LeakageRow, SCHEMA_VERSION, Setting, SweepRow, Unit, Vantage};

/// Three decimals: few enough digits that JSON gives back the same bits.
pub(crate) fn milli(v: f64) -> f64 {
    (v * 1000.0).round() / 1000.0
}

/// A cell of a model, at a target of ε or without DP.
pub(crate) fn cell(model: &str, epsilon: Option<f64>, seed: u64) -> SweepRow {
    let e = epsilon.unwrap_or(64.0);
    let better = if model == "cnn" { 0.1 } else { 0.0 };
    let uar = milli(0.24 + better + 0.05 * e.ln() + 0.01 * f64::from(u32::try_from(seed).unwrap()));
    let settings = [("model.kind", Setting::Text(model.to_owned())), ("run.rounds", Setting::Integer(3))];
    SweepRow {
        schema: SCHEMA_VERSION,
        config_sha256: Digest::of(format!("{model} {epsilon:?} {seed}").as_bytes()),
        epsilon_target: epsilon,
        epsilon_spent: epsilon.map(|e| e - 0.001),
        delta: 1e-5,
        seed,
        unit: if epsilon.is_some() { Unit::Speaker } else { Unit::None },
        variant: None,
        settings: settings.map(|(key, value)| (key.to_owned(), value)).into_iter().collect::<BTreeMap<_, _>>(),
        aggregation: Some("secure".to_owned()),
        clients: Some(8),
        bytes_up_per_client_round: Some(41_000.0),
        bytes_down_per_client_round: Some(1_300_000.0),
        fold: None,
        split: None,
        model: Some(model.to_owned()),
        parameters: Some(330),
        rounds: Some(3),
        noise_multiplier: epsilon.map_or(0.0, |e| milli(5.0 / e)),
        accuracy: uar,
        uar,
        macro_precision: 0.31,
        macro_recall: uar,
        macro_f1: 0.3,
        centralised_accuracy: None,
        centralised_uar: None,
        centralised_macro_f1: None,
        membership_auc: Some(milli(0.5 + better / 5.0 + 0.01 * e.ln())),
        label_profile_correlation: Some(0.01),
        epsilon_empirical_lower: epsilon.map(|e| milli(e * 0.6)),
        leakage_scores: Some(3),
        wall_s: 3.5,
    }
}

/// An attack on a cell, its blind baseline, and the control that has the defence off.
pub(crate) fn scores(row: &SweepRow) -> Vec<LeakageRow> {
    let score = |attack: &str, control_of: Option<&str>, value: f64| {
        LeakageRow::of(
            row,
            &sottovoce_types::AttackScore {
                schema: SCHEMA_VERSION,
                attack: attack.to_owned(),
                control_of: control_of.map(str::to_owned),
                vantage: Vantage::Released,
                metric: "auc".to_owned(),
                value,
                ci95: Interval { low: value - 0.05, high: value + 0.05 },
                chance: 0.5,
                trials: 100,
                citation: String::new(),
                note: String::new(),
            },
        )
    };
    let auc = row.membership_auc.unwrap_or(0.5);
    vec![
        score("membership-loss", None, auc),
        score("blind-baseline", Some("membership-loss"), 0.51),
        score("membership-loss-overfit", Some("membership-loss"), 0.73),
    ]
}

/// Two models, two budgets and no DP, two seeds.
pub(crate) fn sweep() -> SweepReport {
    let mut rows = Vec::new();
    for model in ["dnn", "cnn"] {
        for epsilon in [Some(8.0), None, Some(0.5)] {
            rows.extend([cell(model, epsilon, 1), cell(model, epsilon, 2)]);
        }
    }
    SweepReport {
        name: "two models".to_owned(),
        corpus: "synthetic voices".to_owned(),
        synthetic: true,
        aggregation: "secure".to_owned(),
        noise_source: "seeded".to_owned(),
        uar_chance: Some(0.2),
        leakage: rows.iter().flat_map(scores).collect(),
        rows,
        failed: Vec::new(),
        selection: vec!["epsilon per run: at most 8".to_owned()],
    }
}
