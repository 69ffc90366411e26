//! Figures of sweeps, the numbers beside them, the folder read back, and sweeps compared.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod cells;
mod xml;

use cells::{cell, sweep};
use sottovoce_report::{Comparison, Pairing, SweepReport, append_jsonl, append_jsonl_rows, sweeps_html, write_plots};
use sottovoce_types::Setting;

#[test]
fn what_the_grid_set_names_the_lines_and_what_it_set_alike_everywhere_does_not() {
    let groups = sweep().groups();
    let mut lines: Vec<_> = groups.iter().map(|g| g.line.clone().unwrap()).collect();
    lines.dedup();
    assert_eq!(lines, ["model dnn", "model cnn"]);
    assert!(groups.iter().all(|g| g.runs == 2));
}

#[test]
fn what_a_variant_sets_in_private_cells_alone_makes_no_line_of_its_own() {
    let mut sweep = sweep();
    for row in &mut sweep.rows {
        row.variant = row.model.clone();
        let rounds = if row.epsilon_target.is_some() { 5 } else { 3 };
        row.settings.insert("run.rounds".to_owned(), Setting::Integer(rounds));
    }
    let mut lines: Vec<_> = sweep.groups().iter().map(|g| g.line.clone().unwrap()).collect();
    lines.dedup();
    assert_eq!(lines, ["dnn", "cnn"]);
}

#[test]
fn every_figure_has_its_numbers_beside_it_and_they_are_those_of_the_rows() {
    let sweep = sweep();
    let plots = sweep.plots();
    let names: Vec<&str> = plots.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "utility",
            "leakage-auc-membership-loss-released",
            "pareto-membership",
            "pareto-canaries",
            "empirical-epsilon",
            "cost"
        ]
    );
    let dir = tempfile::tempdir().unwrap();
    for svg in write_plots(&plots, dir.path()).unwrap() {
        xml::check(&std::fs::read_to_string(&svg).unwrap());
        assert!(std::fs::read_to_string(svg.with_extension("csv")).unwrap().lines().count() > 2);
    }
    let attack = plots[1].data.iter().find(|d| d.panel == "model cnn" && d.x == "8").unwrap();
    let rows = [cell("cnn", Some(8.0), 1), cell("cnn", Some(8.0), 2)];
    let mean = rows.iter().map(|r| r.membership_auc.unwrap()).sum::<f64>() / 2.0;
    assert!((attack.y - mean).abs() < 1e-12 && attack.runs == 2, "{attack:?}");
    for (series, level) in [("blind baseline", 0.51), ("control, defence off", 0.73)] {
        let found = plots[1].data.iter().find(|d| d.series == series).unwrap();
        assert!((found.y - level).abs() < 1e-12, "{found:?}");
    }
}

#[test]
fn a_sweep_read_from_its_folder_is_the_sweep_that_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let sweep = SweepReport { failed: vec!["dnn: no".to_owned()], ..sweep() };
    assert!(!SweepReport::is_in(dir.path()));
    // The file is in the order in which cells ended; the report is in that of the grid. What is of no cell here stays out.
    for row in sweep.rows.iter().rev() {
        append_jsonl(dir.path().join("results.jsonl"), row).unwrap();
        append_jsonl_rows(dir.path().join("leakage.jsonl"), &cells::scores(row)).unwrap();
    }
    append_jsonl(dir.path().join("results.jsonl"), &cell("lstm", None, 1)).unwrap();
    sweep.write_head(dir.path()).unwrap();
    assert!(SweepReport::is_in(dir.path()));
    assert_eq!(SweepReport::read(dir.path()).unwrap(), sweep);
}

#[test]
fn sweeps_of_the_same_configs_are_compared_cell_by_cell_and_what_fell_is_found() {
    let before = sweep();
    let mut after = SweepReport { name: "after".to_owned(), ..sweep() };
    let same = Comparison::of(&before, &after);
    assert_eq!((same.pairing, same.only_first, same.only_second), (Pairing::SameConfig, 0, 0));
    assert!(same.differences.iter().all(|d| !d.changed() && d.difference.mean == 0.0));
    // One model falls by five points, a little more in one seed; a cell is missing.
    for row in after.rows.iter_mut().filter(|r| r.model.as_deref() == Some("cnn") && r.epsilon_target == Some(8.0)) {
        row.uar -= 0.05 + 0.0001 * f64::from(u32::try_from(row.seed).unwrap());
    }
    after.rows.pop();
    let compared = Comparison::of(&before, &after);
    let changed: Vec<_> = compared.differences.iter().filter(|d| d.changed()).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(
        (changed[0].line.as_deref(), changed[0].epsilon, changed[0].figure),
        (Some("model cnn"), Some(8.0), "uar")
    );
    assert_eq!((compared.only_first, compared.only_second), (1, 0));
    assert!(compared.text().contains("changed"), "{}", compared.text());
    xml::check(&sweeps_html(&[before, after]));
}

#[test]
fn sweeps_without_a_common_config_are_paired_by_what_was_swept() {
    let (before, mut after) = (sweep(), sweep());
    for row in &mut after.rows {
        row.config_sha256 = sottovoce_types::Digest::of(row.config_sha256.as_bytes());
    }
    let compared = Comparison::of(&before, &after);
    assert_eq!((compared.pairing, compared.only_first), (Pairing::SameCell, 0));
    assert!(compared.note().contains("configs differ"), "{}", compared.note());
    assert!(!compared.differences.is_empty());
}

/// Writes the figures where they can be looked at: `FIGURES=DIR cargo test -p sottovoce-report --test sweep_figures -- --ignored`.
#[test]
#[ignore = "writes figures to look at"]
fn figures_to_look_at() {
    let dir = std::env::var("FIGURES").expect("FIGURES names a folder");
    write_plots(&sweep().plots(), &dir).unwrap();
    std::fs::write(std::path::Path::new(&dir).join("sweep.html"), sottovoce_report::sweep_html(&sweep())).unwrap();
}

#[test]
fn attacks_against_settings_are_one_table_with_controls_under_what_they_control() {
    let sweep = sweep();
    let table = sweep.leakage_markdown();
    let lines: Vec<&str> = table.lines().collect();
    let head = "| attack | model dnn, no DP | model dnn, ε 0.5 | model dnn, ε 8 | model cnn, no DP |";
    assert!(lines[0].starts_with(head), "{table}");
    assert!(lines[2].starts_with("| membership-loss, auc (chance 0.5) | "), "{table}");
    // Two seeds of one AUC each, with 0.05 on both sides.
    let auc = cell("dnn", Some(8.0), 1).membership_auc.unwrap();
    let expected = format!("{auc:.2} [{:.2}, {:.2}]", auc - 0.05, auc + 0.05);
    assert_eq!(lines[2].split(" | ").nth(3).unwrap(), expected);
    assert!(lines[3].starts_with("| control: blind-baseline"), "{table}");
    assert!(lines[4].starts_with("| control: membership-loss-overfit"), "{table}");
    assert!(table.contains("Synthetic speech"), "{table}");
    assert!(SweepReport { leakage: Vec::new(), ..sweep }.leakage_markdown().is_empty());
}
