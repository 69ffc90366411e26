//! `sottovoce sweep` as a study: a grid with rules, its forecast, its files, cells by themselves, and an experiment tracker.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::{arg, json_lines, kill_when, lines, run, sottovoce};
use serde_json::Value;

/// Two ways to sum and two models at two budgets; plain sums only without DP, so that six cells are left of eight.
fn config(dir: &Path, more: &str) -> PathBuf {
    let file = dir.join("grid.toml");
    let smoke = common::repository().join("configs/smoke.toml");
    let text = format!(
        "extends = {:?}\n[run]\nname = \"grid\"\nevaluate_every = 0\n[sweep]\nepsilons = [\"none\", 8]\n\
         [sweep.grid]\n\"aggregation.mode\" = [\"secure\", \"plain\"]\n\"model.hidden\" = [[8], []]\n\
         [[sweep.exclude]]\n\"aggregation.mode\" = \"plain\"\nepsilon = 8\n{more}",
        arg(&smoke)
    );
    fs::write(&file, text).unwrap();
    file
}

const CELLS: usize = 6;

/// Rows by cell, without what differs from run to run: the clock, and canaries, whose noise is the operating system's.
fn by_cell(rows: &[Value]) -> BTreeMap<String, Value> {
    let plain = |row: &Value| {
        let mut row = row.clone();
        row["wall_s"] = Value::Null;
        row["epsilon_empirical_lower"] = Value::Null;
        (row["config_sha256"].as_str().unwrap().to_owned(), row)
    };
    rows.iter().map(plain).collect()
}

fn scores_of(out: &Path, digest: &str) -> usize {
    json_lines(&out.join("leakage.jsonl")).iter().filter(|s| s["config_sha256"] == digest).count()
}

#[test]
fn a_grid_runs_what_its_rules_leave_and_its_rows_and_scores_say_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (config, out) = (config(dir.path(), ""), dir.path().join("out"));
    let forecast = run(&["sweep", arg(&config), "--out", arg(&out), "--dry-run", "--format", "json"]).expect(0).json();
    let cells = forecast["cells"].as_array().unwrap();
    assert_eq!((cells.len(), forecast["excluded"].as_array().unwrap().len()), (CELLS, 2));
    assert!(forecast["expected_from"].as_str().unwrap().starts_with("one round of one cell"));
    assert!(cells.iter().all(|c| c["done"] == false && c["expected_s"].as_f64().unwrap() > 0.0));
    for cell in cells {
        let private = cell["epsilon_target"].is_f64();
        assert_eq!((cell["noise_multiplier"].is_f64(), cell["canaries"].is_object()), (private, private), "{cell}");
        if private {
            let factor = cell["canaries"]["detectable_noise_shortfall"].as_f64().unwrap();
            assert!(factor > 1.0 && factor < 10.0, "{cell}");
        }
    }
    assert!(!out.join("results.jsonl").exists(), "a forecast runs no cell");

    let swept = run(&["sweep", arg(&config), "--out", arg(&out), "--track", "mlflow", "--format", "json"]).expect(0);
    swept.complains(&["6 cells, 0 done before, 6 to run; rules leave 2 out", "6 of 6 cells"]);
    let swept = swept.json();
    let rows = swept["rows"].as_array().unwrap();
    assert_eq!(rows.len(), CELLS);
    for row in rows {
        assert_eq!(row["settings"]["aggregation.mode"], row["aggregation"]);
        let parameters = if row["settings"]["model.hidden"] == "[8]" { 573 } else { 330 };
        assert_eq!(row["parameters"], parameters);
        assert_eq!(row["clients"], 4);
        assert!(row["bytes_up_per_client_round"].as_f64().unwrap() > 8.0 * 330.0 / 6.0, "{row}");
        let digest = row["config_sha256"].as_str().unwrap();
        assert_eq!(scores_of(&out, digest) as u64, row["leakage_scores"].as_u64().unwrap());
        assert!(scores_of(&out, digest) > 0);
    }
    let header = |file: &str| lines(&out.join(file))[0].clone();
    assert!(header("results.csv").ends_with(",aggregation.mode,model.hidden"), "{}", header("results.csv"));
    assert!(header("leakage.csv").contains("vantage,metric,value,low,high,chance,trials,aggregation.mode"));
    assert_eq!(lines(&out.join("leakage.csv")).len(), json_lines(&out.join("leakage.jsonl")).len() + 1);

    // Two private runs, together at less than the sum of both and more than one; four that no epsilon covers.
    let selection = &swept["selection"][0];
    assert_eq!((&selection["trials"], &selection["uncovered_trials"]), (&2.into(), &4.into()));
    let (one, all) = (&selection["epsilon_per_run"], &selection["epsilon_of_its_trials"]);
    assert!(one.as_f64().unwrap() <= 8.0 && all.as_f64().unwrap() > 8.0 && all.as_f64().unwrap() < 16.0, "{selection}");
    assert!(selection["epsilon_of_procedure"].is_null());
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("epsilon of choosing among all 2 runs with unit speaker"));

    // Measured now, and nothing left.
    let forecast = run(&["sweep", arg(&config), "--out", arg(&out), "--dry-run", "--format", "json"]).expect(0).json();
    assert_eq!(forecast["expected_from"], "6 cells that are done");
    assert!(forecast["cells"].as_array().unwrap().iter().all(|c| c["done"] == true));
    assert!(forecast["expected_s"].as_f64().unwrap().abs() < 1e-9);
    is_a_file_store(&out.join("mlruns"), rows);
}

/// MLflow's file store as its documentation lays it out; `tests/python/mlflow_read.py` reads it with MLflow itself.
fn is_a_file_store(folder: &Path, rows: &[Value]) {
    let entries = |dir: &Path| -> Vec<PathBuf> { fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect() };
    let experiments = entries(folder);
    assert_eq!(experiments.len(), 1);
    let meta = |dir: &Path, key: &str| {
        let text = fs::read_to_string(dir.join("meta.yaml")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}: "))).unwrap().to_owned();
        line.trim_matches(['\'', '"']).to_owned()
    };
    let id = experiments[0].file_name().unwrap().to_str().unwrap();
    assert_eq!((meta(&experiments[0], "experiment_id").as_str(), meta(&experiments[0], "name").as_str()), (id, "grid"));
    let runs: Vec<PathBuf> = entries(&experiments[0]).into_iter().filter(|p| p.is_dir()).collect();
    assert_eq!(runs.len(), rows.len());
    for run in runs {
        assert_eq!(run.file_name().unwrap().to_str().unwrap(), meta(&run, "run_id"));
        let text = |path: &str| fs::read_to_string(run.join(path)).unwrap();
        let row = rows.iter().find(|r| r["config_sha256"] == text("tags/config_sha256").as_str()).unwrap();
        assert_eq!(text("params/aggregation.mode"), row["aggregation"].as_str().unwrap());
        let metric = text("metrics/uar");
        let mut words = metric.split_whitespace();
        assert!(words.next().unwrap().parse::<u64>().unwrap() > 1_600_000_000_000, "milliseconds: {metric}");
        assert_eq!(words.next().unwrap().parse::<f64>().ok(), row["uar"].as_f64());
        assert!(run.join("metrics/attack.membership-loss-threshold.released.auc").is_file());
    }
}

#[test]
fn a_sweep_killed_in_the_middle_does_no_cell_twice_and_loses_no_score() {
    let dir = tempfile::tempdir().unwrap();
    let (config, out, whole) = (config(dir.path(), ""), dir.path().join("out"), dir.path().join("whole"));
    let results = out.join("results.jsonl");
    let finished = || fs::read_to_string(&results).map_or(0, |text| text.matches('\n').count());
    let mut command = sottovoce(["sweep", arg(&config), "--out", arg(&out), "--jobs", "1"]);
    kill_when(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(), || finished() > 1);
    // As if it had died while it wrote the scores of the next cell.
    let mut leakage = fs::read_to_string(out.join("leakage.jsonl")).unwrap();
    leakage.push_str("{\"schema\":1,\"conf");
    fs::write(out.join("leakage.jsonl"), leakage).unwrap();
    let kept = lines(&results);
    let resumed = run(&["sweep", arg(&config), "--out", arg(&out), "--jobs", "2", "--format", "json"]).expect(0);
    resumed.complains(&[&format!("{} done before", kept.len()), "the last line of leakage.jsonl was cut off"]);
    assert_eq!(lines(&results)[..kept.len()], kept, "finished cells were not run again");
    run(&["sweep", arg(&config), "--out", arg(&whole), "--quiet"]).expect(0);
    let of = |out: &Path| by_cell(&json_lines(&out.join("results.jsonl")));
    assert_eq!((of(&out), json_lines(&results).len()), (of(&whole), CELLS));
    for digest in of(&whole).keys() {
        assert_eq!(scores_of(&out, digest), scores_of(&whole, digest));
    }
}

#[test]
fn a_cell_by_itself_leaves_its_result_for_the_sweep_to_join() {
    let dir = tempfile::tempdir().unwrap();
    let (config, out) = (config(dir.path(), ""), dir.path().join("out"));
    let command =
        |more: &[&str]| run(&[&["sweep", arg(&config), "--out", arg(&out), "--format", "json"], more].concat());
    let one = command(&["--cell", "2"]).expect(0).json();
    assert!(Path::new(one["file"].as_str().unwrap()).is_file());
    let digest = one["config_sha256"].as_str().unwrap();
    let two = command(&["--cell", &digest[..16]]).expect(0).json();
    assert_eq!(one["row"]["uar"], two["row"]["uar"]);
    command(&["--cell", "7"]).expect(2).complains(&["there are cells 1 to 6"]);
    command(&["--cell", "0123456789ab"]).expect(2).complains(&["was the config changed since the sweep began?"]);
    let joined = command(&[]).expect(0);
    joined.complains(&["6 cells, 1 done before, 5 to run"]);
    let rows = joined.json()["rows"].as_array().unwrap().clone();
    assert_eq!(rows.iter().find(|r| r["config_sha256"] == digest), Some(&two["row"]), "the very row");
    assert_eq!(scores_of(&out, digest) as u64, two["row"]["leakage_scores"].as_u64().unwrap());
}

#[test]
fn a_cell_that_fails_by_itself_says_so_and_the_sweep_tries_it_again() {
    let dir = tempfile::tempdir().unwrap();
    // Synthesised voices have no recording groups, which is found where they are dealt out.
    let more = "[partition]\nfolds = 5\n[[sweep.variant]]\nname = \"sound\"\n[[sweep.variant]]\nname = \"broken\"\nset = [\"partition.fold_by=group\"]\n";
    let (config, out) = (config(dir.path(), more), dir.path().join("out"));
    let set = [
        "--set",
        "sweep.epsilons=[\"none\"]",
        "--set",
        "sweep.grid={}",
        "--set",
        "sweep.exclude=[]",
        "--set",
        "sweep.attacks=false",
    ];
    let command = |more: &[&str]| {
        run(&[&["sweep", arg(&config), "--out", arg(&out), "--format", "json"], &set[..], more].concat())
    };
    let alone = command(&["--cell", "2"]).expect(1).json();
    assert!(alone["cell"].as_str().unwrap().starts_with("broken") && alone["row"].is_null());
    let swept = command(&[]).expect(1);
    swept.complains(&["2 cells, 0 done before, 2 to run", "1 of 2 cells failed"]);
    let swept = swept.json();
    assert_eq!(swept["rows"].as_array().unwrap().len(), 1);
    assert_eq!(swept["failed"][0]["error"], alone["error"], "the same complaint either way");
}

#[test]
fn what_cannot_be_run_is_refused_before_anything_is() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let refused = |more: &str| {
        let config = config(dir.path(), more);
        let ran = run(&["sweep", arg(&config), "--out", arg(&out)]).expect(2);
        assert!(!out.exists());
        ran
    };
    refused("[[sweep.exclude]]\nepsilon = [\"none\", 8]\n").complains(&["leaves all 8 cells out"]);
    refused("[[sweep.exclude]]\n\"model.kined\" = \"cnn\"\n").complains(&["unknown key `model.kined`", "grid.toml:"]);
    // DP-FedSGD does not go with features per speaker; the cell is named, and the way to leave it out.
    let unit = "[[sweep.variant]]\nname = \"u\"\nset_private = [\"privacy.unit=utterance\"]\n";
    refused(unit).complains(&["cell `u, aggregation.mode=secure", "epsilon 8", "[[sweep.exclude]]"]);
}

#[test]
fn two_sweeps_do_not_write_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (config, out) = (config(dir.path(), ""), dir.path().join("out"));
    let mut first = sottovoce(["sweep", arg(&config), "--out", arg(&out), "--jobs", "1"]);
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !out.join("results.jsonl").exists() {
        assert!(first.try_wait().unwrap().is_none(), "it ended before it could be met");
        std::thread::yield_now();
    }
    run(&["sweep", arg(&config), "--out", arg(&out)]).expect(2).complains(&["another sweep is writing to"]);
    assert!(first.wait().unwrap().success());
    let cells: BTreeSet<String> = by_cell(&json_lines(&out.join("results.jsonl"))).into_keys().collect();
    assert_eq!((cells.len(), lines(&out.join("results.jsonl")).len()), (CELLS, CELLS));
}
