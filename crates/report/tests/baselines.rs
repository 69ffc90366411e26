//! The baselines table: its lines, its intervals, and what is said beside it.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod xml;

use std::collections::BTreeMap;

use sottovoce_report::{BaselineLine, Over, Setting, SweepReport, sweep_html, sweep_text, write_results_csv};
use sottovoce_types::{Digest, SCHEMA_VERSION, SweepRow, Unit};

const TARGETS: [Option<f64>; 3] = [None, Some(8.0), Some(2.0)];

/// A cell whose federated UAR is `uar` and whose centralised one is `central`.
fn row(variant: &str, epsilon: Option<f64>, (fold, seed): (u32, u64), uar: f64, central: f64) -> SweepRow {
    SweepRow {
        schema: SCHEMA_VERSION,
        config_sha256: Digest::of(format!("{variant}{epsilon:?}{fold}{seed}").as_bytes()),
        epsilon_target: epsilon,
        epsilon_spent: epsilon,
        delta: 1e-5,
        seed,
        unit: if epsilon.is_some() { Unit::Speaker } else { Unit::None },
        variant: Some(variant.to_owned()),
        settings: BTreeMap::new(),
        aggregation: Some("secure".to_owned()),
        clients: Some(8),
        bytes_up_per_client_round: Some(2048.5),
        bytes_down_per_client_round: Some(512.0),
        fold: Some(fold),
        split: Some(format!("by speaker, fold {fold} of 3: 8 speakers never trained on (speakers partition)")),
        model: Some("dnn".to_owned()),
        parameters: Some(if epsilon.is_some() { 330 } else { 4549 }),
        rounds: Some(if epsilon.is_some() { 12 } else { 40 }),
        noise_multiplier: epsilon.map_or(0.0, |e| 5.0 / e),
        accuracy: uar + 0.01,
        uar,
        macro_precision: uar,
        macro_recall: uar,
        macro_f1: uar - 0.01,
        centralised_accuracy: Some(central + 0.01),
        centralised_uar: Some(central),
        centralised_macro_f1: Some(central - 0.01),
        membership_auc: None,
        label_profile_correlation: None,
        epsilon_empirical_lower: None,
        leakage_scores: Some(0),
        wall_s: 1.0,
    }
}

/// UAR of three folds of two seeds: folds differ by 10 points, seeds of a fold by 1; federation costs 1, 2 and 3 points by fold.
fn rows(variant: &str) -> Vec<SweepRow> {
    let mut rows = Vec::new();
    for epsilon in TARGETS {
        for fold in 1..=3u32 {
            for seed in 1..=2u32 {
                let base = 0.4 + 0.1 * f64::from(fold) + 0.01 * f64::from(seed);
                let central = if epsilon.is_some() { base - 0.05 } else { base };
                let noise = epsilon.map_or(0.0, |e| 0.4 / e);
                let uar = central - 0.01 * f64::from(fold) - noise;
                rows.push(row(variant, epsilon, (fold, seed.into()), uar, central));
            }
        }
    }
    rows
}

fn sweep() -> SweepReport {
    SweepReport {
        name: "baselines".to_owned(),
        corpus: "synthetic voices".to_owned(),
        synthetic: true,
        aggregation: "secure".to_owned(),
        noise_source: "seeded".to_owned(),
        uar_chance: Some(0.2),
        rows: [rows("cnn"), rows("a | b <i>")].concat(),
        leakage: Vec::new(),
        failed: Vec::new(),
        selection: vec!["epsilon per run: at most 8".to_owned()],
    }
}

fn find(lines: &[BaselineLine], setting: Setting, epsilon: Option<f64>) -> BaselineLine {
    let own = |l: &&BaselineLine| l.variant.as_deref() == Some("cnn") && l.setting == setting && l.epsilon == epsilon;
    lines.iter().find(own).unwrap().clone()
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-6, "{a} and {b}");
}

#[test]
fn each_variant_has_its_settings_in_order_with_what_belongs_to_each() {
    let lines = sweep().baselines();
    let own: Vec<_> =
        lines.iter().filter(|l| l.variant.as_deref() == Some("cnn")).map(|l| (l.setting, l.epsilon)).collect();
    let expected = [
        (Setting::Centralised, None),
        (Setting::Federated, None),
        (Setting::CentralisedPrivate, None),
        (Setting::Private, Some(8.0)),
        (Setting::Private, Some(2.0)),
    ];
    assert_eq!(own, expected);
    assert_eq!(lines.len(), 2 * expected.len());
    let central = find(&lines, Setting::Centralised, None);
    assert_eq!((central.parameters, central.rounds, central.uar.runs), (Some(4549), Some(40), 6));
    let private = find(&lines, Setting::CentralisedPrivate, None);
    assert_eq!((private.parameters, private.rounds), (Some(330), Some(12)));
    assert_eq!(private.uar.runs, 6, "each ε trained the same baseline, which counts once");
    assert!(central.uar_minus_centralised.is_none());
}

#[test]
fn means_and_paired_differences_are_those_reckoned_by_hand() {
    let lines = sweep().baselines();
    let federated = find(&lines, Setting::Federated, None);
    // Fold means of 0.4 + 0.1·f + 0.015 − 0.01·f: 0.505, 0.595, 0.685; s = 0.09, and t(0.975, 2)/√3 = 2.484138.
    close(federated.uar.mean, 0.595);
    close(federated.uar.ci95.unwrap().high, 0.595 + 0.09 * 2.484_138);
    close(federated.accuracy, 0.605);
    close(federated.macro_f1, 0.585);
    // Differences of −0.01, −0.02 and −0.03 by fold: −0.02 ± 0.01 × 2.484138, much narrower than the folds' own spread.
    let difference = federated.uar_minus_centralised.unwrap();
    assert_eq!((difference.over, difference.independent, difference.runs), (Over::Folds, 3, 6));
    close(difference.mean, -0.02);
    close(difference.ci95.unwrap().low, -0.02 - 0.024_841_38);
    close(difference.ci95.unwrap().high, -0.02 + 0.024_841_38);
    close(difference.within().unwrap(), 0.044_841_38);
    let private = find(&lines, Setting::Private, Some(2.0));
    close(private.uar_minus_centralised.unwrap().mean, -0.22);
    close(find(&lines, Setting::CentralisedPrivate, None).uar.mean, 0.565);
}

#[test]
fn one_baseline_stands_once_where_private_cells_have_the_same_model_and_passes() {
    let mut sweep = sweep();
    let centre = |r: &SweepRow| 0.4 + 0.1 * f64::from(r.fold.unwrap());
    for row in &mut sweep.rows {
        (row.parameters, row.rounds, row.centralised_uar) = (Some(330), Some(12), Some(centre(row)));
    }
    let settings: Vec<_> = sweep.baselines().iter().take(4).map(|l| l.setting).collect();
    assert_eq!(settings, [Setting::Centralised, Setting::Federated, Setting::Private, Setting::Private]);
}

#[test]
fn the_table_in_markdown_has_a_line_a_setting_and_says_what_its_intervals_are() {
    let sweep = sweep();
    let markdown = sweep.baselines_markdown();
    let table: Vec<&str> = markdown.lines().take_while(|l| l.starts_with('|')).collect();
    assert_eq!(table.len(), 2 + 10);
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    assert!(table.iter().all(|line| bars(line) == 11), "{markdown}");
    assert!(
        table[3].starts_with(
            "| cnn | federated, no DP | 4549 | 40 | 59.5 (37.1–81.9) | 60.5 | 59.5 | 58.5 | −2.0 (−4.5 to +0.5) | 4.5 |"
        ),
        "{}",
        table[3]
    );
    // The same figures again, a column a model.
    let wide = markdown.split("a column a model:\n\n").nth(1).unwrap().lines().collect::<Vec<_>>();
    assert!(wide[0].starts_with("|  | cnn |"), "{}", wide[0]);
    let federated = wide.iter().find(|l| l.starts_with("| federated, no DP |")).unwrap();
    assert!(federated.contains("| 59.5 (37.1–81.9) |"), "{federated}");
    let cost = wide.iter().find(|l| l.contains("minus centralised")).unwrap();
    assert!(cost.contains("| −2.0 (−4.5 to +0.5) |"), "{cost}");
    assert!(markdown.contains("a \\| b &lt;i&gt;") && !markdown.contains("<i>"));
    for said in [
        "over 3 folds (degrees of freedom: 2), seeds averaged within their fold first",
        "approximate",
        "Synthetic speech: says nothing about emotion in human speech",
        "δ = 1e-5",
        "UAR of guessing: 20.0 %",
        "and 2 more splits",
        "no larger than so many points",
    ] {
        assert!(markdown.contains(said), "{said}:\n{markdown}");
    }
}

#[test]
fn with_one_fold_the_interval_is_over_seeds_and_the_table_says_what_it_leaves_out() {
    let mut sweep = sweep();
    sweep.rows.retain(|r| r.fold == Some(1));
    let markdown = sweep.baselines_markdown();
    assert!(markdown.contains("over 2 seeds of one fold") && markdown.contains("say nothing about other speakers"));
    sweep.rows.retain(|r| r.seed == 1);
    assert!(sweep.baselines_text().contains("no interval can be estimated"));
}

#[test]
fn cells_that_failed_and_lines_that_lack_runs_are_told() {
    let mut sweep = sweep();
    sweep.rows.retain(|r| !(r.variant.as_deref() == Some("cnn") && r.epsilon_target == Some(2.0) && r.fold == Some(3)));
    sweep.failed = vec!["cnn, epsilon 2, fold 3, seed 1: <out of memory>".to_owned()];
    let markdown = sweep.baselines_markdown();
    assert!(markdown.contains("Lines with fewer runs: cnn, federated, ε = 2 per speaker (4 runs over 2 folds)"));
    assert!(markdown.contains("Failed cells: 1."));
    let page = sweep_html(&sweep);
    xml::check(&page);
    assert!(page.contains("cnn, epsilon 2, fold 3, seed 1: &lt;out of memory&gt;"));
}

#[test]
fn a_split_that_leaks_is_said_to_leak_beside_the_table() {
    let mut sweep = sweep();
    for row in &mut sweep.rows {
        row.split = Some("random split of clips: LEAKS speakers from training to test, overstates accuracy".to_owned());
    }
    assert!(sweep.baselines_markdown().contains("LEAKS speakers"));
}

#[test]
fn the_page_shows_the_table_and_a_panel_for_each_variant_and_no_attack_that_was_not_made() {
    let sweep = sweep();
    let page = sweep_html(&sweep);
    xml::check(&page);
    for said in [
        "Centralised, federated, federated with differential privacy",
        "UAR against epsilon for each model",
        "federated, ε = 8 per speaker",
        "No cell was audited.",
        "a | b &lt;i&gt;",
        "dash1",
        "dash2",
        "dash3",
        "guessing 20.0 %",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("NaN") && !page.contains("Leakage against ε") && !page.contains("<i>"));
    let svg = sweep.baselines_figure().unwrap().document();
    xml::check(&svg);
    assert!(
        svg.contains("<title>") && svg.contains("<desc>") && svg.contains("cnn, federated, ε = 2 per speaker: 34.5")
    );
    let text = sweep_text(&sweep);
    assert!(text.contains("federated, no DP") && !text.contains("member. AUC"), "{text}");
}

#[test]
fn attacks_that_were_made_stand_beside_the_table_by_variant() {
    let mut sweep = sweep();
    for row in &mut sweep.rows {
        row.membership_auc = Some(0.55);
    }
    let (page, text) = (sweep_html(&sweep), sweep_text(&sweep));
    xml::check(&page);
    assert!(page.contains("membership inference, released, AUC"));
    assert!(text.contains("member. AUC") && text.contains("0.550"), "{text}");
    assert_eq!(sweep.groups().len(), 6, "variants are not joined");
}

#[test]
fn lopsided_comparisons_still_render() {
    let all = sweep();
    let kept: [fn(&SweepRow) -> bool; 4] = [
        |r| r.epsilon_target.is_none(),
        |r| r.epsilon_target == Some(8.0),
        |r| r.fold == Some(1) && r.seed == 1,
        |_| false,
    ];
    for keep in kept {
        let mut sweep = all.clone();
        sweep.rows.retain(keep);
        xml::check(&sweep_html(&sweep));
        assert!(!sweep.baselines_markdown().contains("NaN"));
    }
    let mut bare = all;
    for row in &mut bare.rows {
        (row.centralised_uar, row.centralised_accuracy, row.centralised_macro_f1) = (None, None, None);
    }
    assert!(bare.baselines().iter().all(|l| matches!(l.setting, Setting::Federated | Setting::Private)));
    xml::check(&sweep_html(&bare));
}

#[test]
fn a_cell_is_a_row_of_the_csv_file_with_its_variant_fold_and_baseline() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("results.csv");
    let rows = sweep().rows;
    write_results_csv(&rows, &csv).unwrap();
    let text = std::fs::read_to_string(&csv).unwrap();
    let header = text.lines().next().unwrap();
    for column in ["variant", "fold", "model", "parameters", "rounds", "split", "centralised_uar"] {
        assert!(header.split(',').any(|c| c == column), "{header}");
    }
    assert_eq!(text.lines().count(), rows.len() + 1);
    let read = sottovoce_report::read_results_csv(&csv).unwrap();
    assert_eq!(
        read.iter().map(|r| r.config_sha256).collect::<Vec<_>>(),
        rows.iter().map(|r| r.config_sha256).collect::<Vec<_>>()
    );
    assert_eq!((read[7].fold, read[7].variant.as_deref(), read[7].parameters), (rows[7].fold, Some("cnn"), Some(330)));
}

/// Writes the page of this sample, to be looked at.
#[test]
#[ignore = "writes target/baselines-sample.html"]
fn write_the_sample() {
    let mut sweep = sweep();
    sweep.rows.extend(rows("lstm"));
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("baselines-sample.html");
    std::fs::write(&path, sweep_html(&sweep)).unwrap();
    std::fs::write(path.with_extension("svg"), sweep.baselines_figure().unwrap().document()).unwrap();
}
