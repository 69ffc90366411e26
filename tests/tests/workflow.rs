//! The commands one after another, as a user types them, on small synthetic data; what programs read is checked as programs
//! read it.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use common::{arg, json_lines, kill_when, lines, run, sottovoce};
use serde_json::Value;

/// A page that needs nothing from anywhere.
fn is_self_contained(page: &Path) {
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains("<svg") && html.trim_end().ends_with("</html>"), "{}", page.display());
    for loads in ["src=\"http", "<link", "<script src", "@import", "url(http"] {
        assert!(!html.contains(loads), "{} loads something: {loads}", page.display());
    }
}

#[test]
fn a_corpus_is_synthesised_checked_extracted_and_extracted_again_for_free() {
    let dir = tempfile::tempdir().unwrap();
    let (corpus, cache) = (dir.path().join("corpus"), dir.path().join("features.h5"));
    let made =
        run(&["corpus", "synth", "--out", arg(&corpus), "--speakers", "4", "--sentences", "1", "--format", "json"]);
    let made = made.expect(0).json();
    assert_eq!((made["synthetic"].as_bool(), made["speakers"].as_u64()), (Some(true), Some(4)));
    let clips = made["clips"].as_u64().unwrap();

    let checked = run(&["corpus", "check", arg(&corpus), "--format", "json"]).expect(0).json();
    assert_eq!(checked["clips"], clips);
    assert_eq!(checked["by_speaker"].as_object().unwrap().len(), 4);
    assert!(["angry", "fear", "happy", "neutral", "sad"].iter().all(|e| checked["by_emotion"][e] == 4), "{checked}");
    assert_eq!((&checked["skipped"], &checked["unreadable"]), (&serde_json::json!([]), &serde_json::json!([])));

    let extract = ["extract", arg(&corpus), "--out", arg(&cache), "--format", "json"];
    let first = run(&extract).expect(0).json();
    assert_eq!((first["written"].as_u64(), first["reused"].as_u64()), (Some(clips), Some(0)));
    let bytes = fs::read(&cache).unwrap();
    let second = run(&extract).expect(0).json();
    assert_eq!((second["written"].as_u64(), second["reused"].as_u64()), (Some(0), Some(clips)));
    assert_eq!(fs::read(&cache).unwrap(), bytes, "a second run changes nothing");

    let clip = corpus.join("AudioWAV/1001_DFA_ANG_XX.wav");
    let mfcc = run(&["mfcc", arg(&clip), "--format", "json"]).expect(0).json();
    assert_eq!(mfcc["n_mfcc"], 13);
    assert!(mfcc["mfcc"].as_array().unwrap().iter().all(|frame| frame.as_array().unwrap().len() == 13));
}

/// The page, the numbers, the scores, and figures with their data beside them.
fn audit_is_laid_out(out: &Path) {
    let audit = out.join("audit");
    is_self_contained(&audit.join("report.html"));
    let report: Value = serde_json::from_slice(&fs::read(audit.join("report.json")).unwrap()).unwrap();
    assert_eq!((&report["header"]["unit"], &report["verdict"]["verdict"]), (&"speaker".into(), &"no-violation".into()));
    let untested = report["not_tested"].as_array().unwrap();
    assert!(untested.iter().any(|line| line.as_str().unwrap().contains("sex-inference")), "{untested:?}");
    assert!(
        fs::read_to_string(audit.join("scores.csv")).unwrap().starts_with("attack,unit,score,member,cluster,run\n")
    );
    for entry in fs::read_dir(audit.join("figures")).unwrap() {
        let figure = entry.unwrap().path();
        assert!(figure.with_extension("csv").exists() && figure.with_extension("svg").exists(), "{}", figure.display());
    }
    assert!(audit.join("figures/roc-canary.csv").exists());
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("href=\"audit/report.html\""));
}

/// What stands behind the last `again:` of an audit, as words of a command line.
fn reproducer(said: &str) -> Vec<String> {
    let line = said.lines().filter_map(|l| l.trim().strip_prefix("again: sottovoce ")).next_back();
    line.unwrap_or_else(|| panic!("no reproducer in {said}")).split(' ').map(str::to_owned).collect()
}

#[test]
fn a_violation_is_narrowed_to_its_component_and_round_and_its_line_does_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    run(&["simulate", "configs/smoke.toml", "--out", arg(&out)]).expect(0);
    let before = fs::read(out.join("attacks.jsonl")).unwrap();
    for (plant, part) in [("noise-short", "noise, rounds 1 to 2"), ("clip-skipped", "clip, rounds 1 to 2")] {
        let found = run(&["audit", "run", arg(&out), "--plant", plant]).expect(20);
        assert!(found.stdout.contains(&format!("narrowed to: {part}: ")), "{}", found.stdout);
        let words = reproducer(&found.stdout);
        assert!(words.ends_with(&["--plant".into(), plant.into(), "--rounds".into(), "1-1".into()]), "{words:?}");
        let again = run(&words.iter().map(String::as_str).collect::<Vec<_>>()).expect(20);
        assert!(again.stdout.contains("VIOLATION") && again.stdout.contains("round 1, declared"), "{}", again.stdout);
        // Without the defect the same line passes or has too little power in one round by itself: no violation.
        let sound = run(&["audit", "run", arg(&out), "--rounds", "1-2"]).expect(0);
        assert!(sound.stdout.starts_with("PASS"), "{}", sound.stdout);
    }
    assert_eq!(fs::read(out.join("attacks.jsonl")).unwrap(), before, "planted defects are not written to a run");
    run(&["audit", "run", arg(&out), "--rounds", "2-3"]).expect(2).complains(&["the run has 2 rounds"]);
    run(&["audit", "run", arg(&out), "--rounds", "2-1"]).expect(2).complains(&["the first and the last"]);
    let none = ["--set", "privacy.unit=none", "--rounds", "1"];
    run(&[&["audit", "run", arg(&out)], none.as_slice()].concat()).expect(2);
}

#[test]
fn a_whole_training_with_canaries_is_planned_with_its_cost_and_audited() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let attacks = "audit.attacks=[\"canaries-in-training\"]";
    let planned = run(&["audit", "plan", "configs/smoke.toml", "--set", attacks, "--format", "json"]).expect(0).json();
    let cost = &planned["canaries_in_training"];
    assert!(cost["seconds"].as_f64().unwrap() > 0.0 && cost["units"].as_u64().unwrap() == 8, "{cost}");
    // Two rounds at epsilon 8: whether so many canaries could contradict it is said beforehand, and is the verdict.
    let could = cost["epsilon_lower_most"].as_f64().unwrap() > cost["epsilon_claimed"].as_f64().unwrap();
    run(&["simulate", "configs/smoke.toml", "--out", arg(&out), "--set", attacks]).expect(0);
    let audited = run(&["audit", "run", arg(&out), "--format", "json"]).expect(if could { 0 } else { 21 }).json();
    let whole = &audited["whole_training"];
    let bounds = whole["bounds"].as_array().unwrap();
    assert_eq!((bounds.len(), whole["canaries"].as_u64()), (2, Some(600)));
    assert!(bounds.iter().all(|b| b[1].as_f64().unwrap() <= whole["epsilon_claimed"].as_f64().unwrap()), "{whole}");
    assert!(out.join("audit/figures/roc-canaries-in-training.svg").exists());
}

/// Evaluations of one checkpoint, or on other clips than those of test speakers, change nothing in the run.
fn evaluates_checkpoints_and_other_splits(out: &Path, rounds: &[Value]) {
    let files = ["rounds.jsonl", "metrics.json"].map(|name| out.join(name));
    let before = files.each_ref().map(|file| fs::read(file).unwrap());
    let last = out.join("checkpoints/round-0002.safetensors");
    let evaluated = run(&["evaluate", arg(&last), "--format", "json"]).expect(0).json();
    assert_eq!((&evaluated["metrics"], evaluated["round"].as_u64()), (&rounds[1]["metrics"], Some(2)));
    let first = out.join("checkpoints/round-0001.safetensors");
    let evaluated = run(&["evaluate", arg(&first), "--format", "json"]).expect(0).json();
    assert_eq!(evaluated["model_sha256"], rounds[0]["model_sha256"]);
    let (metrics, bins) = (&evaluated["metrics"], evaluated["metrics"]["calibration"]["bins"].as_array().unwrap());
    let counted: u64 = bins.iter().map(|b| b["count"].as_u64().unwrap()).sum();
    assert_eq!((bins.len(), Some(counted)), (15, metrics["examples"].as_u64()));
    let groups = metrics["by_sex"].as_array().unwrap();
    assert_eq!(groups.iter().map(|g| g["sex"].as_str().unwrap()).collect::<Vec<_>>(), ["female", "male"]);

    let on = |split| run(&["evaluate", arg(out), "--split", split, "--format", "json"]).expect(0).json();
    let (train, holdout) = (on("train"), on("holdout"));
    assert_eq!((&train["evaluated_on"], &holdout["evaluated_on"]), (&"train".into(), &"holdout".into()));
    assert_eq!(train["metrics"]["speakers"], holdout["metrics"]["speakers"], "clips of the same speakers");
    assert_ne!(train["metrics"]["examples"], holdout["metrics"]["examples"]);
    let text = run(&["evaluate", arg(out), "--split", "train"]).expect(0).stdout;
    for said in ["how well it fits", "weighted mean", "truth, by prediction", "female − male", "calibration error"] {
        assert!(text.contains(said), "{said}:\n{text}");
    }
    assert_eq!(files.each_ref().map(|file| fs::read(file).unwrap()), before);

    let none = run(&["evaluate", arg(out), "--split", "holdout", "--set", "partition.holdout_fraction=0"]).expect(2);
    assert!(none.stderr.contains("holds out no clips"), "{}", none.stderr);
    let stray = out.with_file_name("stray.safetensors");
    fs::copy(&last, &stray).unwrap();
    let refused = run(&["evaluate", arg(&stray)]).expect(1);
    assert!(refused.stderr.contains("lies in no run directory"), "{}", refused.stderr);
    let partition = out.join("partition.json");
    let told = fs::read(&partition).unwrap();
    fs::remove_file(&partition).unwrap();
    let deployed = ["--set", "transport.state=\"elsewhere\"", "--set", "corpus.path=\"corpus\""];
    let refused = run(&[&["evaluate", arg(out), "--split", "train"], &deployed[..]].concat()).expect(2);
    assert!(refused.stderr.contains("known to them alone"), "{}", refused.stderr);
    fs::write(&partition, told).unwrap();
}

#[test]
fn a_federation_is_simulated_evaluated_audited_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let summary = run(&["simulate", "configs/smoke.toml", "--out", arg(&out), "--baselines", "--format", "json"]);
    let summary = summary.expect(0).json();
    assert_eq!((summary["rounds"].as_u64(), summary["synthetic"].as_bool()), (Some(2), Some(true)));
    assert_eq!(summary["noise_source"], "seeded", "it does not pretend to be a deployment");
    assert!(summary["centralised"]["uar"].is_number() && summary["local_only_uar"].is_number());
    for file in [
        "config.toml",
        "provenance.json",
        "rounds.jsonl",
        "metrics.json",
        "attacks.jsonl",
        "canary.json",
        "transcript.bin",
        "report.html",
        "checkpoints/round-0000.safetensors",
        "checkpoints/round-0002.safetensors",
    ] {
        assert!(out.join(file).is_file(), "{file} is missing");
    }
    assert!(!out.with_file_name("run.partial").exists(), "it was made beside its place, and moved");
    let rounds = json_lines(&out.join("rounds.jsonl"));
    assert_eq!(rounds.len(), 2);
    assert!(rounds.iter().all(|r| r["schema"] == 1 && r["contributors"] == 4));
    assert_eq!(rounds[1]["model_sha256"], summary["model_sha256"]);
    assert!(json_lines(&out.join("attacks.jsonl")).iter().all(|a| a["schema"] == 1));
    let provenance: Value = serde_json::from_str(&fs::read_to_string(out.join("provenance.json")).unwrap()).unwrap();
    assert_eq!(provenance["config_sha256"], summary["config_sha256"]);
    is_self_contained(&out.join("report.html"));

    // The same seed, the same model, whatever was computed beside it.
    let again = dir.path().join("again");
    let repeated = run(&["simulate", "configs/smoke.toml", "--out", arg(&again), "--format", "json"]).expect(0).json();
    assert_eq!(repeated["model_sha256"], summary["model_sha256"]);

    let evaluated = run(&["evaluate", arg(&out), "--format", "json"]).expect(0).json();
    assert_eq!(evaluated["metrics"], summary["metrics"], "evaluation gives what the run said of itself");
    assert_eq!(evaluated["model_sha256"], summary["model_sha256"]);

    evaluates_checkpoints_and_other_splits(&out, &rounds);

    // Canaries enough for a verdict: a pass, and neither a violation (20) nor too little power (21).
    let audited = run(&["audit", "run", arg(&out), "--format", "json"]).expect(0).json();
    assert_eq!(audited["verdict"], "no-violation");
    audit_is_laid_out(&out);
    assert!(
        audited["canary"]["epsilon_lower"].as_f64().unwrap() <= audited["canary"]["epsilon_claimed"].as_f64().unwrap()
    );
    let attacks = audited["attacks"].as_array().unwrap();
    assert!(attacks.iter().any(|a| a["attack"].as_str().unwrap().contains("membership")), "{attacks:?}");
    assert!(attacks.iter().any(|a| a["control_of"].is_string()), "no attack is shown without its control");

    let page = dir.path().join("both.html");
    let report = run(&["report", arg(&out), arg(&again), "--out", arg(&page), "--format", "json"]).expect(0).json();
    assert_eq!(report["runs"].as_array().unwrap().len(), 2);
    is_self_contained(&page);

    let clips: Vec<_> = (0..2)
        .map(|i| {
            let corpus = format!("data/synthetic-v{}-10x2-1", sottovoce_audio::synth::VERSION);
            out.join(corpus).join(format!("AudioWAV/1001_DFA_{}_XX.wav", ["ANG", "SAD"][i]))
        })
        .collect();
    let model = out.join("checkpoints/round-0002.safetensors");
    let predicted = run(&["predict", "--model", arg(&model), arg(&clips[0]), arg(&clips[1]), "--format", "json"]);
    let predicted = predicted.expect(0).json();
    for file in predicted["files"].as_array().unwrap() {
        let sum: f64 = file["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{file}");
    }
}

#[test]
fn calibration_and_epsilon_are_each_others_inverse_and_refuse_what_they_cannot_account_for() {
    let z = run(&["privacy", "calibrate", "--epsilon", "8", "--delta", "1e-5", "--steps", "10", "--format", "json"]);
    let z = z.expect(0).json();
    let multiplier = z["noise_multiplier"].as_f64().unwrap();
    let epsilon = run(&[
        "privacy",
        "epsilon",
        "--noise-multiplier",
        &multiplier.to_string(),
        "--delta",
        "1e-5",
        "--steps",
        "10",
        "--format",
        "json",
    ]);
    let epsilon = epsilon.expect(0).json();
    let upper = epsilon["epsilon"]["upper"].as_f64().unwrap();
    assert!(upper <= 8.0 && upper > 7.999, "the safe end, and no more noise than that: {upper}");
    assert_eq!(epsilon["accountant"], "gdp");
    let of = |more: &[&str]| {
        let base =
            ["privacy", "epsilon", "--noise-multiplier", "2", "--delta", "1e-5", "--steps", "100", "--format", "json"];
        run(&base.iter().chain(more).copied().collect::<Vec<_>>())
    };
    let upper = |more: &[&str]| of(more).expect(0).json()["epsilon"]["upper"].as_f64().unwrap();
    // q = 0.1, z = 2, T = 100: dp_accounting's PLD says 2.33740, the PRV accountant [2.3274, 2.3474], RDP 2.58056.
    let sampled = upper(&["--sampling-rate", "0.1"]);
    assert!((2.3273..2.3475).contains(&sampled), "{sampled}");
    let rdp = upper(&["--sampling-rate", "0.1", "--accountant", "rdp"]);
    assert!(rdp > sampled && (2.580..2.582).contains(&rdp), "{rdp}");
    assert!(upper(&["--sampling-rate", "0.1", "--adjacency", "replace"]) > 1.8 * sampled);
    assert!((upper(&[]) - 33.103_732).abs() < 1e-5, "no sampling: the closed form");
    of(&["--sampling-rate", "0.1", "--accountant", "gdp"]).expect(2).complains(&["Poisson sample", "pld"]);
    of(&["--sampling-rate", "0"]).expect(2).complains(&["sampling rate", "at most 1"]);
}

#[test]
fn the_audit_catches_every_planted_defect_and_passes_the_mechanism_as_it_is() {
    let selftest = run(&["audit", "selftest", "--repetitions", "100", "--format", "json"]).expect(0).json();
    assert_eq!(selftest["passed"], true);
    let mechanisms = selftest["mechanisms"].as_array().unwrap();
    let caught = mechanisms.iter().filter(|m| m["finding"]["verdict"] == "violation").count();
    assert_eq!((caught, mechanisms.len()), (18, 26));
    assert!(selftest["refusals"].as_array().unwrap().iter().all(|r| r["refused"].is_string()));
    let again = run(&["audit", "selftest", "--only", "sigma-squared"]).expect(20);
    assert!(again.stdout.contains("audit selftest --only sigma-squared --seed 1 --canaries 1000"), "{}", again.stdout);
    run(&["audit", "selftest", "--only", "as-it-is", "--canaries", "20"]).expect(21);
    run(&["audit", "selftest", "--only", "sigma-cubed"]).expect(2).complains(&["sigma-squared"]);
    let weak =
        run(&["audit", "selftest", "--canaries", "20", "--repetitions", "5", "--format", "json"]).expect(1).json();
    assert_eq!(weak["passed"], false, "twenty canaries cannot show that, and it says so");
}

#[test]
fn scores_of_other_tools_are_judged_and_a_claim_that_they_contradict_is_a_violation() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("scores.csv");
    // 400 canaries, alternately in, told rightly but for every twentieth.
    let rows: Vec<String> = (0..400)
        .map(|i| {
            format!(
                "c{i},{},{},{}\n",
                f64::from(u8::from((i % 2 == 0) != (i % 20 == 7))) + 1e-6 * f64::from(i),
                u8::from(i % 2 == 0),
                if i < 200 { "first" } else { "second" }
            )
        })
        .collect();
    fs::write(&file, format!("unit,score,member,half\n{}", rows.concat())).unwrap();
    let import = |more: &[&str]| run(&[&["audit", "import-scores", arg(&file)], more].concat());
    let plain = import(&["--format", "json"]).expect(0).json();
    assert!(plain["auc"]["value"].as_f64().unwrap() > 0.9);
    assert_eq!(plain["slices"].as_array().unwrap().len(), 2);
    assert!(
        plain["bounds"].as_array().unwrap().iter().all(|b| b["epsilon_lower"].is_null() && b["why_not"].is_string())
    );
    let one_run = ["--design", "one-run", "--guesses", "1", "--format", "json"];
    let bounds = import(&one_run).expect(0).json()["bounds"].clone();
    let of =
        |name: &str| bounds.as_array().unwrap().iter().find(|b| b["bound"] == name).unwrap()["epsilon_lower"].as_f64();
    assert!(of("one-run").is_some_and(|e| e > 1.0 && e < 4.0), "{bounds}");
    assert_eq!(of("clopper-pearson"), None, "its proof needs independent trials");
    let claim = |epsilon| import(&[&one_run[..], &["--epsilon", epsilon, "--delta", "1e-6"]].concat());
    assert_eq!(claim("0.5").expect(20).json()["verdict"], "violation");
    assert_eq!(claim("3.5").expect(0).json()["verdict"], "no-violation");
    assert_eq!(claim("9").expect(21).json()["verdict"], "inconclusive");
    import(&["--epsilon", "1", "--delta", "1e-6"]).expect(2).complains(&["--design"]);
    import(&["--epsilon", "1", "--delta", "0.5", "--design", "one-run"])
        .expect(2)
        .complains(&["delta 0.5", "400 units"]);
    fs::write(&file, "unit,score,member\na,1,1\nb,much,0\n").unwrap();
    import(&[]).expect(2).complains(&["row 3", "score", "much"]);
}

const CELLS: usize = 9;

#[test]
fn a_sweep_that_was_killed_goes_on_where_it_was_and_ends_as_if_nothing_had_happened() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("sweep.toml");
    let smoke = common::repository().join("configs/smoke.toml");
    fs::write(
        &config,
        format!(
            "extends = {:?}\n[run]\nname = \"tiny\"\nevaluate_every = 0\n[sweep]\nepsilons = [\"none\", 8, 2]\nseeds = [1, 2, 3]\n",
            arg(&smoke)
        ),
    )
    .unwrap();
    let out = dir.path().join("out");
    let results = out.join("results.jsonl");
    let finished = || fs::read_to_string(&results).map_or(0, |text| text.matches('\n').count());
    let mut command = sottovoce(["sweep", arg(&config), "--out", arg(&out)]);
    kill_when(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(), || finished() > 0);
    let before = finished();
    assert!((1..CELLS).contains(&before), "{before} cells were done");
    let kept: Vec<String> = lines(&results)[..before].to_vec();
    assert!(!out.join("results.csv").exists(), "the table comes with the last cell");

    let resumed = run(&["sweep", arg(&config), "--out", arg(&out), "--format", "json"]).expect(0);
    resumed.complains(&[&format!("{CELLS} cells, {before} done before, {} to run", CELLS - before)]);
    assert_eq!(lines(&results)[..before], kept, "finished cells were not run again");
    assert_eq!(lines(&results).len(), CELLS);
    assert_eq!(resumed.json()["rows"].as_array().unwrap().len(), CELLS);
    assert_eq!(lines(&out.join("results.csv")).len(), CELLS + 1);
    is_self_contained(&out.join("report.html"));

    // Cell for cell what a sweep gives that nobody killed. Only the clock differs, and the canaries: they audit the noise that
    // is deployed, which comes from the operating system.
    let whole = dir.path().join("whole");
    run(&["sweep", arg(&config), "--out", arg(&whole), "--jobs", "2", "--quiet"]).expect(0);
    let cells = |path: &Path| {
        let mut rows = json_lines(path);
        for row in &mut rows {
            row["wall_s"] = Value::Null;
            row["epsilon_empirical_lower"] = Value::Null;
        }
        rows.sort_by_key(|row| row["config_sha256"].as_str().unwrap().to_owned());
        rows
    };
    assert_eq!(cells(&results), cells(&whole.join("results.jsonl")));
    // Everything done: nothing runs.
    let again = run(&["sweep", arg(&config), "--out", arg(&out), "--format", "json"]).expect(0);
    again.complains(&["9 done before, 0 to run"]);
    assert_eq!(again.json()["rows"].as_array().unwrap().len(), CELLS);
}

#[test]
fn the_demo_federates_real_processes_survives_a_kill_and_stays_within_its_epsilon() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("demo");
    let demo = run(&["demo", "--out", arg(&out), "--clients", "4", "--rounds", "3", "--format", "json", "--quiet"]);
    assert!(matches!(demo.code, Some(0 | 21)), "{:?}\n{}", demo.code, demo.stderr);
    let demo = demo.json();
    assert!(demo["dropouts_survived"].as_u64().unwrap() >= 1, "{}", demo["killed"]);
    assert_ne!(demo["empirical_epsilon_below_bound"], false);
    let summary = &demo["summary"];
    assert_eq!((summary["rounds"].as_u64(), summary["noise_source"].as_str()), (Some(3), Some("os")));
    let vantages = summary["privacy"].as_array().unwrap();
    assert!(vantages.iter().all(|v| v["epsilon"].as_f64().unwrap() <= 8.0), "{vantages:?}");
    is_self_contained(Path::new(demo["report"].as_str().unwrap()));
    let ledger = run(&["privacy", "ledger", demo["run"].as_str().unwrap(), "--format", "json"]).expect(0).json();
    assert_eq!(ledger["chain"], "verified");
}
