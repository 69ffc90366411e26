//! `sweep`: variants × epsilon × folds × seeds on simulations; resumable, one table and one report.
mod cell;

use std::path::Path;
use std::sync::Mutex;

use anyhow::Result;
use rayon::prelude::*;
use serde_json::json;
use sottovoce_config::{SweepCell, SweepPlan};
use sottovoce_report::{SweepReport, append_jsonl, read_jsonl, sweep_html, sweep_text, write_results_csv, write_text};
use sottovoce_types::{Digest, SCHEMA_VERSION, SweepRow};

use crate::args::SweepArgs;
use crate::exit::{Exit, usage};
use crate::output::Output;
use crate::speech;
use cell::{Cells, Centralised};

/// `sweep`
pub fn run(args: &SweepArgs, output: &Output) -> Result<Exit> {
    let plan = SweepPlan::load(&args.config.config, &args.config.set).map_err(|e| usage(e.render(false)))?;
    let cells = each_once(plan.cells);
    if cells.is_empty() {
        return Err(usage("the config has no [sweep] with seeds"));
    }
    let workspace = args.out.join("data");
    std::fs::create_dir_all(&workspace)?;
    let results = args.out.join("results.jsonl");
    let mut rows = read_rows(&results, &cells, output)?;
    let is_done = |rows: &[SweepRow], digest: &Digest| rows.iter().any(|r| r.config_sha256 == *digest);
    let todo: Vec<&(Digest, SweepCell)> = cells.iter().filter(|(digest, _)| !is_done(&rows, digest)).collect();
    output.remark(format!("{} cells, {} done before, {} to run", cells.len(), rows.len(), todo.len()));
    let speech = speech::load(&cell::with_cache(&plan.config, &workspace), &workspace, output)?;
    let runner = Cells { workspace: &workspace, centralised: Centralised::known(&cells, &rows) };
    runner.extract(&todo, output)?;
    let bar = output.progress("cells", cells.len() as u64);
    bar.set_position(rows.len() as u64);
    let done = Mutex::new(&mut rows);
    let quiet = output.silent();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs.max(1)).build()?;
    let outcomes: Vec<Result<(), Failed>> = pool.install(|| {
        todo.par_iter()
            .map(|(digest, cell)| {
                let outcome = isolated(|| runner.run(*digest, cell, &quiet));
                bar.inc(1);
                match outcome {
                    Ok(row) => {
                        let mut rows = done.lock().expect("no cell panics while it holds the table");
                        append_jsonl(&results, &row)?;
                        rows.push(row);
                        Ok(Ok(()))
                    }
                    Err(error) => Ok(Err(Failed { cell: cell::name(cell), error: format!("{error:#}") })),
                }
            })
            // What stops the sweep is a table that cannot be written, and no cell.
            .collect::<Result<_>>()
    })?;
    bar.finish_and_clear();
    let place = |row: &SweepRow| cells.iter().position(|(digest, _)| *digest == row.config_sha256);
    rows.sort_by_key(place);
    let failed: Vec<Failed> = outcomes.into_iter().filter_map(Result::err).collect();
    let report = SweepReport {
        name: plan.config.run.name.clone(),
        corpus: speech.description,
        synthetic: speech.synthetic,
        aggregation: plan.config.aggregation.mode.name().to_owned(),
        noise_source: "seeded".to_owned(),
        uar_chance: Some(1.0 / speech::labels(&plan.config).emotions().len() as f64),
        rows,
        failed: failed.iter().map(Failed::in_words).collect(),
    };
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
    write_results_csv(&report.rows, out.join("results.csv"))?;
    write_text(&table, &report.baselines_markdown())?;
    write_text(&file, &sweep_html(report))?;
    let object = json!({
        "schema": SCHEMA_VERSION,
        "synthetic": report.synthetic,
        "corpus": report.corpus,
        "report": file,
        "table": table,
        "lines": report.baselines(),
        "rows": report.rows,
        "failed": failed.iter().map(|f| json!({"cell": f.cell, "error": f.error})).collect::<Vec<_>>(),
    });
    output.result(&object, || {
        let mut lines = vec![report.corpus.clone(), sweep_text(report)];
        lines.extend(report.failed.iter().map(|cell| format!("FAILED {cell}")));
        lines.push(format!("table: {}\nreport: {}", table.display(), file.display()));
        lines.join("\n")
    })
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

/// The rows of these cells that are there. Those of other configurations stay in the file and out of the table.
fn read_rows(results: &Path, cells: &[(Digest, SweepCell)], output: &Output) -> Result<Vec<SweepRow>> {
    if !results.exists() {
        return Ok(Vec::new());
    }
    let read = read_jsonl::<SweepRow>(results)?;
    if read.torn {
        output.remark("the last line of results.jsonl was cut off; its cell runs again");
        let lines: Vec<String> = read.rows.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        write_text(results, &(lines.join("\n") + if lines.is_empty() { "" } else { "\n" }))?;
    }
    if let Some(row) = read.rows.iter().find(|r| r.schema != SCHEMA_VERSION) {
        anyhow::bail!(
            "{} has a row of schema {}; this program reads schema {SCHEMA_VERSION}: choose another --out",
            results.display(),
            row.schema
        );
    }
    let (mut own, others): (Vec<SweepRow>, Vec<SweepRow>) =
        read.rows.into_iter().partition(|r| cells.iter().any(|(digest, _)| *digest == r.config_sha256));
    if !others.is_empty() {
        output.remark(format!(
            "{} rows of results.jsonl are of other configurations, or of a version with other keys: they are not in the table",
            others.len()
        ));
    }
    let mut seen = Vec::new();
    own.retain(|row| {
        let new = !seen.contains(&row.config_sha256);
        seen.push(row.config_sha256);
        new
    });
    Ok(own)
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
