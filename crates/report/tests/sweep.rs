//! Sweeps: groups, figures and files.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod xml;

use std::collections::BTreeMap;

use sottovoce_report::{
    SweepReport, append_jsonl, append_jsonl_rows, read_jsonl, read_leakage_csv, read_results_csv, sweep_html,
    sweep_text, write_leakage_csv, write_results_csv,
};
use sottovoce_types::{AttackScore, Digest, Interval, LeakageRow, SCHEMA_VERSION, Setting, SweepRow, Unit, Vantage};

fn row(epsilon: Option<f64>, seed: u64) -> SweepRow {
    let e = epsilon.unwrap_or(64.0);
    let jitter = if seed == 0 { 0.0 } else { 0.02 };
    SweepRow {
        schema: SCHEMA_VERSION,
        config_sha256: Digest::of(&seed.to_le_bytes()),
        epsilon_target: epsilon,
        epsilon_spent: epsilon,
        delta: 1e-5,
        seed,
        unit: if epsilon.is_some() { Unit::Speaker } else { Unit::None },
        variant: None,
        settings: BTreeMap::new(),
        aggregation: Some("secure".to_owned()),
        clients: Some(8),
        bytes_up_per_client_round: Some(2048.5),
        bytes_down_per_client_round: Some(512.0),
        fold: None,
        split: Some("by speaker: 8 speakers never trained on (speakers partition)".to_owned()),
        model: Some("dnn".to_owned()),
        parameters: Some(330),
        rounds: Some(12),
        noise_multiplier: epsilon.map_or(0.0, |e| milli(5.0 / e)),
        accuracy: milli(0.25 + 0.05 * e.ln() + jitter),
        uar: milli(0.24 + 0.05 * e.ln() + jitter),
        macro_precision: 0.3,
        macro_recall: 0.3,
        macro_f1: 0.3,
        centralised_accuracy: None,
        centralised_uar: None,
        centralised_macro_f1: None,
        membership_auc: Some(milli(0.5 + 0.01 * e.ln())),
        label_profile_correlation: Some(0.01),
        epsilon_empirical_lower: epsilon.map(|e| if e < 1.0 { 0.0 } else { milli(e * 0.6) }),
        leakage_scores: Some(0),
        wall_s: 3.5,
    }
}

/// Three decimals: few enough digits that JSON gives back the same bits.
fn milli(v: f64) -> f64 {
    (v * 1000.0).round() / 1000.0
}

fn sweep() -> SweepReport {
    let budgets = [Some(8.0), None, Some(0.5), Some(2.0)];
    SweepReport {
        name: "ε sweep".to_owned(),
        corpus: "synthetic voices".to_owned(),
        synthetic: true,
        aggregation: "secure".to_owned(),
        noise_source: "seeded".to_owned(),
        uar_chance: Some(0.2),
        rows: budgets.into_iter().flat_map(|e| [row(e, 0), row(e, 1)]).collect(),
        leakage: Vec::new(),
        failed: Vec::new(),
        selection: vec!["epsilon per run: at most 8".to_owned()],
    }
}

#[test]
fn groups_join_seeds_and_stand_in_the_order_of_epsilon() {
    let groups = sweep().groups();
    let mut targets: Vec<_> = groups.iter().map(|g| g.epsilon_target).collect();
    targets.sort_by(|a, b| a.unwrap_or(f64::INFINITY).total_cmp(&b.unwrap_or(f64::INFINITY)));
    assert_eq!(targets, [Some(0.5), Some(2.0), Some(8.0), None]);
    assert!(groups.iter().all(|g| g.runs == 2));
}

#[test]
fn the_page_shows_utility_leakage_and_the_audit() {
    let page = sweep_html(&sweep());
    xml::check(&page);
    for said in [
        "Recognition on unseen speakers against ε",
        "Leakage against ε: AUC",
        "Leakage against ε: correlation",
        "Recognition against membership inference",
        "What a cell took",
        "Empirical lower bound on ε against the claim",
        "no DP",
        "“seeded”",
        "Synthetic speech: says nothing about emotion in human speech",
        "not a proof of privacy",
    ] {
        assert!(page.contains(said), "a sweep must say {said}");
    }
    assert!(!page.contains("NaN") && !page.contains("<script"));
}

#[test]
fn a_violation_in_any_seed_is_marked() {
    let mut sweep = sweep();
    assert!(!sweep_html(&sweep).contains(" violation</span>"));
    sweep.rows[0].epsilon_empirical_lower = Some(9.0);
    assert!(sweep_html(&sweep).contains(" violation</span>"));
}

#[test]
fn empty_and_lopsided_sweeps_still_render() {
    let mut sweep = sweep();
    for keep in [vec![], vec![row(None, 0)], vec![row(Some(1.0), 0)], vec![row(Some(f64::NAN), 0), row(Some(-1.0), 0)]]
    {
        sweep.rows = keep;
        xml::check(&sweep_html(&sweep));
        assert!(!sweep_text(&sweep).is_empty());
    }
}

#[test]
fn results_round_trip_as_csv_and_as_json_lines() {
    let dir = tempfile::tempdir().unwrap();
    let (csv, jsonl) = (dir.path().join("results.csv"), dir.path().join("results.jsonl"));
    let rows = sweep().rows;
    write_results_csv(&rows, &csv).unwrap();
    assert_eq!(read_results_csv(&csv).unwrap(), rows);
    let header = std::fs::read_to_string(&csv).unwrap().lines().next().unwrap().to_owned();
    assert!(header.starts_with("schema,config_sha256,epsilon_target,epsilon_spent,delta,seed,unit,"), "{header}");
    for row in &rows {
        append_jsonl(&jsonl, row).unwrap();
    }
    assert_eq!(read_jsonl::<SweepRow>(&jsonl).unwrap().rows, rows);
}

#[test]
fn what_was_swept_has_a_column_of_its_own_and_a_score_stands_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (results, leakage, jsonl) =
        (dir.path().join("results.csv"), dir.path().join("leakage.csv"), dir.path().join("leakage.jsonl"));
    let mut rows = vec![row(Some(8.0), 0), row(None, 1)];
    rows[0].settings = [("model.kind", "cnn"), ("model.hidden", "[32, 8]")]
        .map(|(key, text)| (key.to_owned(), Setting::Text(text.to_owned())))
        .into();
    rows[1].settings = [("run.rounds".to_owned(), Setting::Integer(4))].into();
    write_results_csv(&rows, &results).unwrap();
    let header = std::fs::read_to_string(&results).unwrap().lines().next().unwrap().to_owned();
    assert!(header.ends_with(",wall_s,model.hidden,model.kind,run.rounds"), "{header}");
    assert_eq!(read_results_csv(&results).unwrap(), rows);
    let score = AttackScore {
        schema: SCHEMA_VERSION,
        attack: "membership".to_owned(),
        control_of: None,
        vantage: Vantage::Released,
        metric: "auc".to_owned(),
        value: 0.625,
        ci95: Interval { low: 0.5, high: 0.75 },
        chance: 0.5,
        trials: 40,
        citation: "Yeom et al. 2018".to_owned(),
        note: "a note".to_owned(),
    };
    let scores: Vec<_> = rows.iter().map(|row| LeakageRow::of(row, &score)).collect();
    assert_eq!((scores[0].low, scores[0].high, scores[0].settings.len()), (0.5, 0.75, 2));
    append_jsonl_rows(&jsonl, &scores).unwrap();
    assert_eq!(read_jsonl::<LeakageRow>(&jsonl).unwrap().rows, scores);
    write_leakage_csv(&scores, &leakage).unwrap();
    assert_eq!(read_leakage_csv(&leakage).unwrap(), scores);
}

#[test]
fn results_of_versions_that_did_not_record_variants_still_read() {
    let dir = tempfile::tempdir().unwrap();
    let (csv, jsonl) = (dir.path().join("results.csv"), dir.path().join("results.jsonl"));
    let digest = Digest::of(b"then");
    std::fs::write(
        &jsonl,
        format!(
            "{{\"schema\":1,\"config_sha256\":\"{digest}\",\"epsilon_target\":8.0,\"epsilon_spent\":7.9,\"delta\":1e-5,\"seed\":1,\
             \"unit\":\"speaker\",\"noise_multiplier\":2.0,\"accuracy\":0.5,\"uar\":0.4,\"macro_precision\":0.3,\"macro_recall\":0.4,\
             \"macro_f1\":0.3,\"membership_auc\":null,\"label_profile_correlation\":null,\"epsilon_empirical_lower\":1.0,\"wall_s\":1.0}}\n"
        ),
    )
    .unwrap();
    std::fs::write(
        &csv,
        format!(
            "schema,config_sha256,epsilon_target,epsilon_spent,delta,seed,unit,noise_multiplier,accuracy,uar,macro_precision,\
             macro_recall,macro_f1,membership_auc,label_profile_correlation,epsilon_empirical_lower,wall_s\n\
             1,{digest},8.0,7.9,1e-5,1,speaker,2.0,0.5,0.4,0.3,0.4,0.3,,,1.0,1.0\n"
        ),
    )
    .unwrap();
    let rows = read_jsonl::<SweepRow>(&jsonl).unwrap().rows;
    assert_eq!(read_results_csv(&csv).unwrap(), rows);
    assert_eq!((rows[0].config_sha256, rows[0].variant.clone(), rows[0].fold), (digest, None, None));
    assert_eq!((rows[0].model.clone(), rows[0].parameters, rows[0].centralised_uar), (None, None, None));
    let then = SweepReport { rows, ..sweep() };
    xml::check(&sweep_html(&then));
    assert!(then.baselines_text().contains('–'), "what is not recorded is shown as not recorded");
}
