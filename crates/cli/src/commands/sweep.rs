//! `sweep`: variants × epsilon × folds × seeds on simulations; resumable, one table and one report.
mod cell;
mod table;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use anyhow::Result;
use rayon::prelude::*;
use serde_json::json;
use sottovoce_config::{Config, SweepCell, SweepPlan};
use sottovoce_report::{SweepReport, sweep_html, sweep_text, write_plots, write_text};
use sottovoce_types::{Digest, SCHEMA_VERSION, SweepRow};

use crate::args::SweepArgs;
use crate::exit::{Exit, usage};
use crate::output::Output;
use crate::speech;
use cell::{Cells, Centralised};
use table::Table;

/// `sweep`
pub fn run(args: &SweepArgs, output: &Output) -> Result<Exit> {
    let plan = SweepPlan::load(&args.config.config, &args.config.set).map_err(|e| usage(e.render(false)))?;
    let cells = each_once(plan.cells);
    if cells.is_empty() {
        return Err(usage("the config has no [sweep] with seeds"));
    }
    let workspace = args.out.join("data");
    std::fs::create_dir_all(&workspace)?;
    let mut table = Table::open(&args.out, &cells, output)?;
    let todo: Vec<&(Digest, SweepCell)> = cells.iter().filter(|(digest, _)| !table.has(digest)).collect();
    let done = table.rows().len();
    output.remark(format!("{} cells, {done} done before, {} to run", cells.len(), todo.len()));
    let speech = speech::load(&cell::with_cache(&plan.config, &workspace), &workspace, output)?;
    let runner = Cells { workspace: &workspace, centralised: Centralised::known(&cells, table.rows()) };
    runner.extract(&todo, output)?;
    let bar = output.progress("cells", cells.len() as u64);
    bar.set_position(done as u64);
    let shared = Mutex::new(&mut table);
    let quiet = output.silent();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs.max(1)).build()?;
    let outcomes: Vec<Result<(), Failed>> = pool.install(|| {
        todo.par_iter()
            .map(|(digest, cell)| {
                let outcome = isolated(|| runner.run(*digest, cell, &quiet));
                bar.inc(1);
                match outcome {
                    Ok(result) => {
                        shared.lock().expect("no cell panics while it holds the table").push(result)?;
                        Ok(Ok(()))
                    }
                    Err(error) => Ok(Err(Failed { cell: cell.name(), error: format!("{error:#}") })),
                }
            })
            // What stops the sweep is a table that cannot be written, and no cell.
            .collect::<Result<_>>()
    })?;
    bar.finish_and_clear();
    table.sort(&cells);
    let failed: Vec<Failed> = outcomes.into_iter().filter_map(Result::err).collect();
    let report = SweepReport {
        name: plan.config.run.name.clone(),
        corpus: speech.description,
        synthetic: speech.synthetic,
        aggregation: aggregation(table.rows(), &plan.config),
        noise_source: "seeded".to_owned(),
        uar_chance: Some(1.0 / speech::labels(&plan.config).emotions().len() as f64),
        rows: table.rows().to_vec(),
        leakage: table.leakage().to_vec(),
        failed: failed.iter().map(Failed::in_words).collect(),
    };
    table.write_csv()?;
    publish(&args.out, &report, &failed, output)?;
    if failed.is_empty() {
        return Ok(Exit::Ok);
    }
    for cell in &report.failed {
        output.remark(format!("failed: {cell}"));
    }
    output.remark(format!("{} of {} cells failed; the same command tries them again", failed.len(), cells.len()));
    Ok(Exit::Failed)
}

/// Writes the tables and the report, and prints what is in them.
fn publish(out: &Path, report: &SweepReport, failed: &[Failed], output: &Output) -> Result<()> {
    let (file, table) = (out.join("report.html"), out.join("table.md"));
    write_text(&table, &report.baselines_markdown())?;
    write_text(&file, &sweep_html(report))?;
    let figures = write_plots(&report.plots(), out.join("figures"))?;
    report.write_head(out)?;
    let object = json!({
        "schema": SCHEMA_VERSION,
        "synthetic": report.synthetic,
        "corpus": report.corpus,
        "report": file,
        "table": table,
        "figures": figures,
        "lines": report.baselines(),
        "rows": report.rows,
        "leakage": report.leakage,
        "failed": failed.iter().map(|f| json!({"cell": f.cell, "error": f.error})).collect::<Vec<_>>(),
    });
    output.result(&object, || {
        let mut lines = vec![report.corpus.clone(), sweep_text(report)];
        lines.extend(report.failed.iter().map(|cell| format!("FAILED {cell}")));
        lines.push(format!("table: {}\nreport: {}", table.display(), file.display()));
        lines.join("\n")
    })
}

/// How sums were formed: the mode of all cells, or each that was swept.
fn aggregation(rows: &[SweepRow], config: &Config) -> String {
    let swept: BTreeSet<&str> = rows.iter().filter_map(|r| r.aggregation.as_deref()).collect();
    if swept.is_empty() {
        return config.aggregation.mode.name().to_owned();
    }
    swept.into_iter().collect::<Vec<_>>().join(", ")
}

/// A cell that failed.
struct Failed {
    cell: String,
    error: String,
}

impl Failed {
    fn in_words(&self) -> String {
        format!("{}: {}", self.cell, self.error)
    }
}

/// Cells with their digests; two spellings of one run are one cell.
fn each_once(cells: Vec<SweepCell>) -> Vec<(Digest, SweepCell)> {
    let mut all: Vec<(Digest, SweepCell)> = Vec::new();
    for cell in cells {
        let digest = cell.config.digest();
        if all.iter().all(|(other, _)| *other != digest) {
            all.push((digest, cell));
        }
    }
    all
}

/// A panic, too, is the failure of one cell.
fn isolated<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    // What a cell shares with others is behind locks that it does not hold while it computes.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(anyhow::anyhow!("it panicked, which is a bug: {text}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_as_the_failure_of_its_cell() {
        let text = |result: Result<u32>| result.unwrap_err().to_string();
        assert_eq!(isolated(|| Ok(3)).unwrap(), 3);
        assert_eq!(text(isolated(|| anyhow::bail!("no room"))), "no room");
        let panicked = text(isolated(|| panic!("cell {}", 3)));
        assert!(panicked.contains("panicked") && panicked.contains("cell 3"), "{panicked}");
        assert!(text(isolated(|| panic!("in short"))).contains("in short"));
    }

    #[test]
    fn two_spellings_of_one_run_are_one_cell() {
        let text = "[sweep]\nepsilons = [0, \"none\", 2]\nseeds = [1, 1, 2]\n";
        let cells = each_once(SweepPlan::parse(text, &[] as &[&str]).unwrap().cells);
        let order: Vec<_> = cells.iter().map(|(_, c)| (c.epsilon.is_some(), c.seed)).collect();
        assert_eq!(order, [(false, 1), (false, 2), (true, 1), (true, 2)]);
    }
}
