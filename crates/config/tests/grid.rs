//! The grid of a sweep: what is crossed, what rules leave out, and what is refused before anything runs.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use std::collections::BTreeSet;

use sottovoce_config::{AggregationMode, Config, ModelKind, SweepCell, SweepPlan};
use sottovoce_types::{Epsilon, Setting, Unit};

const NONE: &[&str] = &[];

fn plan(text: &str) -> SweepPlan {
    SweepPlan::parse(text, NONE).unwrap_or_else(|e| panic!("{}", e.render(false)))
}

/// The error's one line and its rendering, which shows the place.
fn refusal(text: &str, overrides: &[&str]) -> (String, String) {
    let error = SweepPlan::parse(text, overrides).unwrap_err();
    (error.to_string(), error.render(false))
}

const GRID: &str = r#"
[sweep]
epsilons = ["none", 8, 2]
seeds = [1, 2]
[sweep.grid]
"model.kind" = ["dnn", "cnn"]
aggregation.mode = ["secure", "plain"]
"#;

#[test]
fn a_grid_is_crossed_with_all_else_that_is_swept_and_every_cell_says_what_it_is() {
    let plan = plan(GRID);
    assert_eq!((plan.cells.len(), plan.excluded.len()), (2 * 2 * 3 * 2, 0));
    let digests: BTreeSet<_> = plan.cells.iter().map(|c| c.config.digest().to_string()).collect();
    assert_eq!(digests.len(), plan.cells.len());
    for cell in &plan.cells {
        let text = |key: &str| match &cell.settings[key] {
            Setting::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        let kind = if text("model.kind") == "cnn" { ModelKind::Cnn } else { ModelKind::Dnn };
        let mode = if text("aggregation.mode") == "plain" { AggregationMode::Plain } else { AggregationMode::Secure };
        assert_eq!((cell.config.model.kind, cell.config.aggregation.mode), (kind, mode));
        let line = format!("aggregation.mode={}, model.kind={}", text("aggregation.mode"), text("model.kind"));
        assert_eq!((cell.combination.as_deref(), cell.variant.as_deref()), (Some(line.as_str()), None));
        assert!(cell.name().starts_with(&line));
        // Each cell has its own noise, or none.
        assert_eq!(cell.config.privacy.epsilon.map(Epsilon::value), cell.epsilon.map(Epsilon::value));
        assert_eq!(
            (cell.config.privacy.unit == Unit::None, cell.config.privacy.noise_multiplier),
            (cell.epsilon.is_none(), None)
        );
        assert!(cell.config.sweep.grid.is_empty() && cell.config.sweep.exclude.is_empty());
    }
}

#[test]
fn a_grid_written_with_quotes_and_one_written_with_dots_are_one() {
    let quoted = GRID.replace("aggregation.mode", "\"aggregation.mode\"");
    assert_eq!(plan(&quoted), plan(GRID));
    let again = Config::parse(&plan(GRID).config.to_toml(), NONE).unwrap();
    assert_eq!(again.sweep.grid, plan(GRID).config.sweep.grid);
}

#[test]
fn a_sweep_without_a_grid_keeps_the_digests_of_its_cells() {
    let text = "[sweep]\nepsilons = [2]\n";
    assert!(!plan(text).cells[0].config.to_toml().contains("grid"));
}

#[test]
fn a_grid_goes_between_variants_and_defaults_follow_what_it_sets() {
    let text = r#"
[sweep]
epsilons = [8]
[sweep.grid]
"features.convention" = ["kaldi", "librosa"]
[[sweep.variant]]
name = "a"
set = ["model.hidden=[7]"]
[[sweep.variant]]
name = "b"
"#;
    let cells = plan(text).cells;
    let lines: Vec<_> = cells.iter().map(SweepCell::name).collect();
    assert_eq!(
        lines,
        [
            "a, features.convention=kaldi, epsilon 8, seed 1",
            "a, features.convention=librosa, epsilon 8, seed 1",
            "b, features.convention=kaldi, epsilon 8, seed 1",
            "b, features.convention=librosa, epsilon 8, seed 1"
        ]
    );
    assert_eq!(cells[0].config.model.hidden, Some(vec![7]));
    let kaldi = Config::parse("[features]\nconvention = \"kaldi\"\n", NONE).unwrap();
    assert_eq!(cells[2].config.features, kaldi.features);
}

#[test]
fn a_rule_leaves_out_the_cells_that_have_all_it_names_and_they_are_told() {
    let with = |rules: &str| plan(&format!("{GRID}{rules}"));
    let left = |plan: &SweepPlan, out: &dyn Fn(&SweepCell) -> bool| {
        assert!(plan.excluded.iter().all(|e| out(&e.cell)) && !plan.cells.iter().any(out));
        plan.excluded.len()
    };
    let cnn = |c: &SweepCell| c.config.model.kind == ModelKind::Cnn;
    let plain = |c: &SweepCell| c.config.aggregation.mode == AggregationMode::Plain;
    let rule = "[[sweep.exclude]]\n\"model.kind\" = \"cnn\"\naggregation.mode = \"plain\"\n";
    assert_eq!(left(&with(rule), &|c| cnn(c) && plain(c)), 6);
    let rule = "[[sweep.exclude]]\nepsilon = [0, 2]\nseed = 2\n";
    assert_eq!(left(&with(rule), &|c| c.seed == 2 && c.epsilon.is_none_or(|e| e.value() < 3.0)), 8);
    // A key that the grid does not have, by what it is in each cell: without DP the unit is none.
    let rule = "[[sweep.exclude]]\nprivacy.unit = \"none\"\n";
    assert_eq!(left(&with(rule), &|c| c.epsilon.is_none()), 8);
    let both = with("[[sweep.exclude]]\nseed = 1\n[[sweep.exclude]]\nepsilon = \"none\"\n");
    assert_eq!(both.excluded.iter().map(|e| e.rule).collect::<BTreeSet<_>>(), BTreeSet::from([1, 2]));
}

#[test]
fn an_impossible_cell_is_an_error_with_its_name_and_the_mend_unless_a_rule_leaves_it_out() {
    let grid = "[training]\nmomentum = 0.9\n[sweep]\nepsilons = [8]\n[sweep.grid]\n\"privacy.unit\" = [\"speaker\", \"utterance\"]\n";
    let (line, shown) = refusal(grid, &["features.standardisation=public"]);
    assert!(line.starts_with("cell `privacy.unit=utterance, epsilon 8, seed 1`: `training.momentum`"), "{line}");
    assert!(shown.contains("[[sweep.exclude]]") && shown.contains("0.9"), "{shown}");
    let mended = format!("{grid}[[sweep.exclude]]\nprivacy.unit = \"utterance\"\ntraining.momentum = 0.9\n");
    let plan = SweepPlan::parse(&mended, &["features.standardisation=public"]).unwrap();
    assert_eq!((plan.cells.len(), plan.excluded.len()), (1, 1));
}

#[test]
fn what_the_grid_cannot_have_is_refused_with_key_and_place() {
    let grid = |line: &str| format!("[sweep]\nepsilons = [8]\nfolds = []\n[sweep.grid]\n{line}\n");
    for (line, says) in [
        ("\"model.kined\" = [\"dnn\"]", "unknown key `model.kined`"),
        ("\"modl.kind\" = [\"dnn\"]", "unknown section `[modl]`"),
        ("\"model.kind\" = [\"dn\"]", "`model.kind`: "),
        ("\"model.kind\" = \"dnn\"", "a list of at least one value"),
        ("\"model.kind\" = []", "a list of at least one value"),
        ("\"run.seed\" = [1]", "`run.seed`: every cell has its seed from sweep.seeds"),
        ("\"privacy.noise_multiplier\" = [1.0]", "every cell has its noise from sweep.epsilons"),
        ("\"sweep.seeds\" = [[1]]", "it says what is swept"),
        ("\"corpus.path\" = [\"a\"]", "one table is about one corpus"),
        ("\"transport.state\" = [\"a\"]", "cells are simulated"),
    ] {
        let (said, shown) = refusal(&grid(line), NONE);
        assert!(said.contains(says), "{line}: {said}");
        assert!(shown.contains("╭─[configuration:"), "{line} without its place: {shown}");
    }
    let (said, _) = refusal(&grid("\"model.kind\" = [\"dnn\"]"), &["model.kind=cnn"]);
    assert!(said.contains("the command line sets it"), "{said}");
    let twice =
        format!("{}[[sweep.variant]]\nname = \"a\"\nset = [\"model.kind=cnn\"]\n", grid("\"model.kind\" = [\"dnn\"]"));
    assert!(refusal(&twice, NONE).0.contains("a variant sets it"));
}

#[test]
fn a_bare_noise_multiplier_is_swept_where_the_file_asks_for_it() {
    let text = "[sweep]\n[sweep.grid]\n\"privacy.noise_multiplier\" = [1, 2.5]\n";
    let noise: Vec<_> = plan(text).cells.iter().map(|c| c.config.privacy.noise_multiplier.unwrap().value()).collect();
    assert_eq!(noise, [1.0, 2.5]);
}

#[test]
fn a_rule_that_could_leave_nothing_out_is_refused_with_key_and_place() {
    for (rule, says) in [
        ("\"model.kind\" = \"cn\"", "sweep.exclude: model.kind"),
        ("\"model.kined\" = \"cnn\"", "unknown key `model.kined`"),
        ("variant = \"wide\"", "no variant has this name"),
        ("epsilons = 2", "a rule names config keys, variant, epsilon, fold or seed"),
    ] {
        let (said, shown) = refusal(&format!("{GRID}[[sweep.exclude]]\n{rule}\n"), NONE);
        assert!(said.contains(says), "{rule}: {said}");
        assert!(shown.contains("╭─[configuration:"), "{rule} without its place: {shown}");
    }
    assert!(refusal(&format!("{GRID}[[sweep.exclude]]\n"), NONE).0.contains("would leave every cell out"));
}

#[test]
fn what_slurm_is_asked_for_is_in_no_cell() {
    let text = "[sweep]\n[sweep.slurm]\npartition = \"long\"\ntime = \"01:00:00\"\nmemory = \"2G\"\ncpus = 2\nargs = [\"--nice\"]\n";
    let slurm = plan(text).config.sweep.slurm;
    assert_eq!(slurm.arguments(), ["--partition=long", "--time=01:00:00", "--mem=2G", "--cpus-per-task=2", "--nice"]);
    assert_eq!(plan(text).cells[0].config.digest(), plan("").cells[0].config.digest());
    assert!(refusal("[sweep.slurm]\nqueue = \"long\"\n", NONE).0.contains("`queue`"));
}
