//! `sweep`: epsilon × seed on simulations; resumable, one table and one report.
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};
use rayon::prelude::*;
use serde_json::json;
use sottovoce_config::SweepCell;
use sottovoce_report::{SweepReport, append_jsonl, read_jsonl, sweep_html, sweep_text, write_results_csv, write_text};
use sottovoce_types::{AttackScore, SCHEMA_VERSION, SweepRow};

use super::load_config;
use crate::args::SweepArgs;
use crate::auditing::Audited;
use crate::exit::{Exit, usage};
use crate::output::Output;
use crate::{speech, study};

/// `sweep`
pub fn run(args: &SweepArgs, output: &Output) -> Result<Exit> {
    let config = load_config(&args.config)?;
    let cells = config.sweep_cells();
    if cells.is_empty() {
        return Err(usage("the config has no [sweep] with seeds"));
    }
    let workspace = args.out.join("data");
    std::fs::create_dir_all(&workspace)?;
    let results = args.out.join("results.jsonl");
    let mut rows: Vec<SweepRow> = if results.exists() {
        let read = read_jsonl(&results)?;
        if read.torn {
            output.remark("the last line of results.jsonl was cut off; its cell runs again");
            let lines: Vec<String> = read.rows.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
            write_text(&results, &(lines.join("\n") + if lines.is_empty() { "" } else { "\n" }))?;
        }
        read.rows
    } else {
        Vec::new()
    };
    let digests: Vec<_> = cells.iter().map(|c| c.config.digest()).collect();
    rows.retain(|r| digests.contains(&r.config_sha256));
    let todo: Vec<&SweepCell> =
        cells.iter().filter(|c| !rows.iter().any(|r| r.config_sha256 == c.config.digest())).collect();
    output.remark(format!("{} cells, {} done before, {} to run", cells.len(), rows.len(), todo.len()));
    // Features once, before cells run side by side.
    let speech = speech::load(&config, &workspace, output)?;
    let bar = output.progress("cells", cells.len() as u64);
    bar.set_position(rows.len() as u64);
    let done = Mutex::new(&mut rows);
    let quiet = output.silent();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs.max(1)).build()?;
    pool.install(|| {
        todo.par_iter().try_for_each(|cell| -> Result<()> {
            let row = run_cell(cell, &workspace, &quiet)
                .with_context(|| format!("cell epsilon {:?} seed {}", cell.epsilon, cell.seed))?;
            let mut rows = done.lock().expect("no cell panics while it holds the table");
            append_jsonl(&results, &row)?;
            rows.push(row);
            bar.inc(1);
            Ok(())
        })
    })?;
    bar.finish_and_clear();
    write_results_csv(&rows, args.out.join("results.csv"))?;
    let report = SweepReport {
        name: config.run.name.clone(),
        corpus: speech.description.clone(),
        synthetic: speech.synthetic,
        aggregation: config.aggregation.mode.name().to_owned(),
        noise_source: "seeded".to_owned(),
        uar_chance: Some(1.0 / speech::labels(&config).emotions().len() as f64),
        rows: rows.clone(),
    };
    let file = args.out.join("report.html");
    write_text(&file, &sweep_html(&report))?;
    let object = json!({"schema": SCHEMA_VERSION, "synthetic": speech.synthetic, "corpus": speech.description, "report": file, "rows": rows});
    output
        .result(&object, || format!("{}\n{}\nreport: {}", speech.description, sweep_text(&report), file.display()))?;
    Ok(Exit::Ok)
}

fn run_cell(cell: &SweepCell, workspace: &Path, output: &Output) -> Result<SweepRow> {
    let mut config = cell.config.clone();
    config.run.evaluate_every = 0;
    let study = study::simulate(&config, workspace, false, output)?;
    let audit = Audited {
        config: &config,
        plan: &study.plan,
        trainer: &study.trainer,
        partition: &study.partition,
        model: study.models.last().context("a model")?,
        transcript: &study.transcript,
        rounds: study.summary.rounds,
    }
    .audit(workspace, output)?;
    let value = |pick: &dyn Fn(&AttackScore) -> bool| {
        audit.attacks.iter().find(|a| a.control_of.is_none() && pick(a)).map(|a| a.value)
    };
    let metrics = &study.summary.metrics;
    Ok(SweepRow {
        schema: SCHEMA_VERSION,
        config_sha256: cell.config.digest(),
        epsilon_target: cell.epsilon.map(sottovoce_types::Epsilon::value),
        epsilon_spent: study.summary.privacy.first().and_then(|p| p.epsilon),
        delta: config.privacy.delta.value(),
        seed: cell.seed,
        unit: config.privacy.unit,
        noise_multiplier: study.plan.spec().privacy.map_or(0.0, |p| p.noise_multiplier.value()),
        accuracy: metrics.accuracy,
        uar: metrics.uar,
        macro_precision: metrics.macro_precision,
        macro_recall: metrics.macro_recall,
        macro_f1: metrics.macro_f1,
        membership_auc: value(&|a| a.metric == "auc" && a.attack.contains("loss")),
        label_profile_correlation: value(&|a| a.attack.contains("label-profile") && a.metric.contains("corr")),
        epsilon_empirical_lower: audit.canary.map(|c| c.epsilon_lower),
        wall_s: study.summary.wall_s,
    })
}
