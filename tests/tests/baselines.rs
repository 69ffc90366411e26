//! `sottovoce sweep` over models and folds: exact pairs, a table, and cells that fail or are killed without harm to the others.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::{arg, json_lines, kill_when, lines, run, sottovoce};
use serde_json::Value;

/// Two models, federated without DP and at two budgets, on two folds of five, with one seed.
fn config(dir: &Path, more: &str) -> PathBuf {
    let file = dir.join("baselines.toml");
    let smoke = common::repository().join("configs/smoke.toml");
    let text = format!(
        "extends = {:?}\n[run]\nname = \"tiny\"\n[partition]\nfolds = 5\n[sweep]\nepsilons = [\"none\", 8, 2]\nseeds = [1]\nfolds = [1, 4]\n\
         centralised = true\nattacks = false\n\
         [[sweep.variant]]\nname = \"wide\"\nset = [\"model.hidden=[8]\"]\nset_private = [\"model.hidden=[]\", \"run.rounds=1\"]\n\
         [[sweep.variant]]\nname = \"narrow\"\nset = [\"model.hidden=[3]\"]\n{more}",
        arg(&smoke)
    );
    fs::write(&file, text).unwrap();
    file
}

const CELLS: usize = 12;

fn keyed(rows: &[Value]) -> Vec<Value> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row["wall_s"] = Value::Null;
    }
    rows.sort_by_key(|row| row["config_sha256"].as_str().unwrap().to_owned());
    rows
}

#[test]
fn every_row_is_the_run_that_it_says_with_the_baseline_of_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    let (config, out) = (config(dir.path(), ""), dir.path().join("out"));
    let swept = run(&["sweep", arg(&config), "--out", arg(&out), "--jobs", "2", "--format", "json"]).expect(0).json();
    let rows = swept["rows"].as_array().unwrap();
    assert_eq!((rows.len(), swept["failed"].as_array().unwrap().len()), (CELLS, 0));
    let digests: BTreeSet<&str> = rows.iter().map(|r| r["config_sha256"].as_str().unwrap()).collect();
    assert_eq!(digests.len(), CELLS);
    let of = |variant: &str, epsilon: Option<f64>, fold: u64| {
        let own = |r: &&Value| {
            r["variant"] == variant && r["epsilon_target"].as_f64() == epsilon && r["fold"].as_u64() == Some(fold)
        };
        rows.iter().find(own).unwrap()
    };
    // A cell by hand: the same federation, and the same baseline, by another command.
    for (epsilon, hidden, rounds) in
        [(None, "model.hidden=[8]", "run.rounds=2"), (Some(2.0), "model.hidden=[]", "run.rounds=1")]
    {
        let one = dir.path().join(format!("one-{rounds}"));
        let privacy = if epsilon.is_some() { "privacy.epsilon=2" } else { "privacy.unit=none" };
        let set = [hidden, rounds, privacy, "partition.fold=4", "sweep.epsilons=[]"];
        let mut command = vec!["simulate", arg(&config), "--out", arg(&one), "--baselines", "--format", "json"];
        command.extend(set.iter().flat_map(|s| ["--set", s]));
        let by_hand = run(&command).expect(0).json();
        let row = of("wide", epsilon, 4);
        assert_eq!(row["uar"], by_hand["metrics"]["uar"]);
        for figure in ["uar", "accuracy", "macro_f1"] {
            assert_eq!(row[format!("centralised_{figure}")], by_hand["centralised"][figure], "{figure}");
        }
        assert_eq!((&row["parameters"], &row["split"]), (&by_hand["parameters"], &by_hand["split"]));
        assert_eq!((row["model"].as_str(), row["rounds"].as_u64()), (Some("dnn"), by_hand["rounds"].as_u64()));
    }
    // Privacy changes no baseline; the private cells of `wide` have a smaller model than its others, those of `narrow` the same.
    assert_eq!(of("wide", Some(8.0), 1)["centralised_uar"], of("wide", Some(2.0), 1)["centralised_uar"]);
    assert_eq!(of("narrow", Some(8.0), 1)["centralised_uar"], of("narrow", None, 1)["centralised_uar"]);
    assert!(of("wide", Some(8.0), 1)["parameters"].as_u64() < of("wide", None, 1)["parameters"].as_u64());
    assert!(rows.iter().all(|r| r["membership_auc"].is_null() && r["epsilon_empirical_lower"].is_null()), "no audit");

    let table = fs::read_to_string(out.join("table.md")).unwrap();
    let settings = |variant: &str| table.lines().filter(|l| l.starts_with(&format!("| {variant} |"))).count();
    assert_eq!((settings("wide"), settings("narrow")), (5, 4), "{table}");
    assert!(table.contains("over 2 folds (degrees of freedom: 1)"), "{table}");
    assert_eq!(lines(&out.join("results.csv")).len(), CELLS + 1);
    assert_eq!(swept["lines"].as_array().unwrap().len(), 9);
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("UAR against epsilon for each model"));
}

#[test]
fn a_cell_that_fails_is_listed_and_the_others_are_done_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    // Synthesised voices have no recording groups, which is found where they are dealt out.
    let more = "[[sweep.variant]]\nname = \"broken\"\nset = [\"partition.fold_by=group\"]\n";
    let (config, out) = (config(dir.path(), more), dir.path().join("out"));
    let command = ["sweep", arg(&config), "--out", arg(&out), "--format", "json", "--set", "sweep.epsilons=[\"none\"]"];
    let swept = run(&command).expect(1);
    swept.complains(&["2 of 6 cells failed", "broken, no DP, fold 4, seed 1"]);
    let swept = swept.json();
    let failed = swept["failed"].as_array().unwrap();
    assert_eq!((swept["rows"].as_array().unwrap().len(), failed.len()), (4, 2));
    assert!(
        failed
            .iter()
            .all(|f| f["cell"].as_str().unwrap().starts_with("broken") && !f["error"].as_str().unwrap().is_empty())
    );
    assert_eq!((lines(&out.join("results.jsonl")).len(), lines(&out.join("results.csv")).len()), (4, 5));
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("Failed cells: 2."));
    assert!(fs::read_to_string(out.join("table.md")).unwrap().contains("Failed cells: 2."));
    // In words, too, and only they are tried again.
    let again = run(&["sweep", arg(&config), "--out", arg(&out), "--set", "sweep.epsilons=[\"none\"]"]).expect(1);
    again.complains(&["6 cells, 4 done before, 2 to run"]);
    assert!(again.stdout.contains("FAILED broken, no DP, fold 1, seed 1"), "{}", again.stdout);
    // Rows of what is no longer asked for are not mixed into the table.
    let other = run(&[
        "sweep",
        arg(&config),
        "--out",
        arg(&out),
        "--set",
        "sweep.epsilons=[\"none\"]",
        "--set",
        "run.rounds=1",
    ]);
    other.expect(1).complains(&["4 rows of results.jsonl are of other configurations", "6 cells, 0 done before"]);
}

#[test]
fn a_table_that_was_killed_goes_on_where_it_was_and_ends_as_one_that_nobody_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (config, out, whole) = (config(dir.path(), ""), dir.path().join("out"), dir.path().join("whole"));
    let results = out.join("results.jsonl");
    let finished = || fs::read_to_string(&results).map_or(0, |text| text.matches('\n').count());
    let mut command = sottovoce(["sweep", arg(&config), "--out", arg(&out)]);
    kill_when(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(), || finished() > 0);
    let before = finished();
    assert!((1..CELLS).contains(&before), "{before} cells were done");
    let resumed = run(&["sweep", arg(&config), "--out", arg(&out), "--jobs", "2"]).expect(0);
    resumed.complains(&[&format!("{CELLS} cells, {before} done before, {} to run", CELLS - before)]);
    run(&["sweep", arg(&config), "--out", arg(&whole), "--quiet"]).expect(0);
    assert_eq!(keyed(&json_lines(&results)), keyed(&json_lines(&whole.join("results.jsonl"))));
    let table = |out: &Path| fs::read_to_string(out.join("table.md")).unwrap();
    assert_eq!(table(&out), table(&whole));
}

#[test]
fn a_variant_with_a_key_that_does_not_exist_is_refused_by_its_name_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), "[[sweep.variant]]\nname = \"lstm\"\nset = [\"model.hiden=[2]\"]\n");
    let out = dir.path().join("out");
    let refused = run(&["sweep", arg(&config), "--out", arg(&out)]).expect(2);
    refused.complains(&["variant `lstm`: unknown key `model.hiden`", "did you mean `model.hidden`?"]);
    assert!(!out.exists());
}

#[test]
fn rows_of_another_schema_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (config, out) = (config(dir.path(), ""), dir.path().join("out"));
    let one = ["--set", "sweep.epsilons=[\"none\"]", "--set", "sweep.folds=[1]"];
    run(&[&["sweep", arg(&config), "--out", arg(&out)], &one[..]].concat()).expect(0);
    let results = out.join("results.jsonl");
    let text = fs::read_to_string(&results).unwrap();
    fs::write(&results, text.replace("\"schema\":1", "\"schema\":99")).unwrap();
    let refused = run(&[&["sweep", arg(&config), "--out", arg(&out)], &one[..]].concat()).expect(1);
    refused.complains(&["has a row of schema 99", "choose another --out"]);
}
