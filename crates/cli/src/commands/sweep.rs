//! `sweep`: variants × grid × epsilon × folds × seeds on simulations; resumable, on this machine or on a cluster; tables and one report.
mod cell;
mod files;
mod forecast;
mod local;
mod mlflow;
mod progress;
mod selection;
mod slurm;
mod table;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;
use sottovoce_config::{Config, SweepCell, SweepPlan};
use sottovoce_report::{SweepReport, sweep_html, sweep_text, write_plots, write_text};
use sottovoce_types::{Digest, SCHEMA_VERSION, SweepRow};

use crate::args::{Executor, SweepArgs, Tracking};
use crate::exit::{Exit, refused, usage};
use crate::output::Output;
use crate::speech::{self, Speech};
use cell::{Cells, Centralised};
use local::Lanes;
use progress::Progress;
use selection::Selection;
use table::Table;

/// `sweep`
pub fn run(args: &SweepArgs, output: &Output) -> Result<Exit> {
    let plan = SweepPlan::load(&args.config.config, &args.config.set).map_err(refused)?;
    let cells = each_once(plan.cells.clone());
    if cells.is_empty() {
        return Err(usage(match plan.excluded.len() {
            0 => "the config has no [sweep] with seeds".to_owned(),
            n => format!("[[sweep.exclude]] leaves all {n} cells out"),
        }));
    }
    if args.dry_run {
        return forecast::run(args, &plan, &cells, output);
    }
    let workspace = args.out.join("data");
    std::fs::create_dir_all(&workspace)?;
    if let Some(wanted) = &args.cell {
        return files::run_one(wanted, &cells, &args.out, &workspace, output);
    }
    let _held = files::lock(&args.out, output)?;
    let mut table = Table::open(&args.out, &cells, output)?;
    files::join(&args.out, &cells, &mut table)?;
    let todo: Vec<&(Digest, SweepCell)> = cells.iter().filter(|(digest, _)| !table.has(digest)).collect();
    let done = table.rows().len();
    let left_out = match plan.excluded.len() {
        0 => String::new(),
        n => format!("; rules leave {n} out"),
    };
    output.remark(format!("{} cells, {done} done before, {} to run{left_out}", cells.len(), todo.len()));
    let speech = speech::load(&cell::with_cache(&plan.config, &workspace), &workspace, output)?;
    let runner = Cells { workspace: &workspace, centralised: Centralised::known(&cells, table.rows()) };
    runner.extract(&todo, output);
    let progress = Progress::new(cells.len(), done, output);
    let failed = match args.executor {
        Executor::Local => {
            let lanes = lanes(args, &todo, &speech);
            let quiet = output.silent();
            local::run(&todo, lanes, &mut table, &progress, |digest, cell| runner.run(digest, cell, &quiet))?
        }
        Executor::Slurm => slurm::run(args, &plan.config, &todo, &mut table, &progress, output)?,
    };
    progress.finish();
    table.sort(&cells);
    let selection = selection::of(&cells, table.rows(), speech.synthetic)?;
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
        selection: selection.iter().map(Selection::in_words).collect(),
    };
    let tracked = match args.track {
        Some(Tracking::Mlflow) => Some(mlflow::write(&args.out, &report)?),
        None => None,
    };
    table.write_csv()?;
    publish(args, &report, &selection, &failed, tracked.as_deref(), output)?;
    if failed.is_empty() {
        return Ok(Exit::Ok);
    }
    for cell in &report.failed {
        output.remark(format!("failed: {cell}"));
    }
    output.remark(format!("{} of {} cells failed; the same command tries them again", failed.len(), cells.len()));
    Ok(Exit::Failed)
}

/// How sums were formed: the mode of all cells, or each that was swept.
fn aggregation(rows: &[SweepRow], config: &Config) -> String {
    let swept: BTreeSet<&str> = rows.iter().filter_map(|r| r.aggregation.as_deref()).collect();
    if swept.is_empty() {
        return config.aggregation.mode.name().to_owned();
    }
    swept.into_iter().collect::<Vec<_>>().join(", ")
}

/// How these cells share this machine.
fn lanes(args: &SweepArgs, cells: &[&(Digest, SweepCell)], speech: &Speech) -> Lanes {
    let features = speech.utterances.iter().map(|u| 4 * u.mfcc.len() as u64).sum();
    let largest = cells.iter().map(|(_, cell)| local::memory(&cell.config, features)).max().unwrap_or(0);
    Lanes::new(args.jobs.map(usize::from), cells.len(), largest)
}

/// Writes figures and report, and prints what is in them.
fn publish(
    args: &SweepArgs,
    report: &SweepReport,
    selection: &[Selection],
    failed: &[Failed],
    tracked: Option<&Path>,
    output: &Output,
) -> Result<()> {
    let (file, table) = (args.out.join("report.html"), args.out.join("table.md"));
    write_text(&table, &report.baselines_markdown())?;
    if !report.leakage.is_empty() {
        write_text(args.out.join("leakage.md"), &report.leakage_markdown())?;
    }
    write_text(&file, &sweep_html(report))?;
    report.write_head(&args.out)?;
    let figures: Vec<PathBuf> = write_plots(&report.plots(), args.out.join("figures"))?;
    let object = json!({
        "schema": SCHEMA_VERSION,
        "synthetic": report.synthetic,
        "corpus": report.corpus,
        "report": file,
        "table": table,
        "figures": figures,
        "tracked": tracked,
        "selection": selection,
        "lines": report.baselines(),
        "rows": report.rows,
        "leakage": report.leakage,
        "failed": failed.iter().map(|f| json!({"cell": f.cell, "error": f.error})).collect::<Vec<_>>(),
    });
    output.result(&object, || {
        let mut lines = vec![report.corpus.clone(), sweep_text(report)];
        lines.extend(report.selection.iter().cloned());
        lines.extend(report.failed.iter().map(|cell| format!("FAILED {cell}")));
        lines.push(format!("table: {}\nreport: {}", table.display(), file.display()));
        lines.extend(tracked.map(|folder| format!("mlflow: {}", folder.display())));
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
    let mut seen = BTreeSet::new();
    let with_digest = cells.into_iter().map(|cell| (cell.config.digest(), cell));
    with_digest.filter(|(digest, _)| seen.insert(digest.0)).collect()
}

/// The cell that is meant by its place, from 1, or by the first digits of its digest.
fn find<'a>(wanted: &str, cells: &'a [(Digest, SweepCell)]) -> Result<&'a (Digest, SweepCell)> {
    if let Some(place) = wanted.parse::<usize>().ok().filter(|_| wanted.len() < 8) {
        let cell = place.checked_sub(1).and_then(|i| cells.get(i));
        return cell.with_context(|| format!("there are cells 1 to {}, and none is {place}", cells.len()));
    }
    let mut named = cells.iter().filter(|(digest, _)| digest.to_string().starts_with(wanted));
    match (named.next(), named.next()) {
        (Some(cell), None) if wanted.len() >= 8 => Ok(cell),
        _ => anyhow::bail!(
            "no cell of this config has the digest {wanted}: was the config changed since the sweep began? --dry-run lists them"
        ),
    }
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

    fn some() -> Vec<(Digest, SweepCell)> {
        let text = "[sweep]\nepsilons = [0, \"none\", 2]\nseeds = [1, 1, 2]\n";
        each_once(SweepPlan::parse(text, &[] as &[&str]).unwrap().cells)
    }

    #[test]
    fn two_spellings_of_one_run_are_one_cell() {
        let order: Vec<_> = some().iter().map(|(_, c)| (c.epsilon.is_some(), c.seed)).collect();
        assert_eq!(order, [(false, 1), (false, 2), (true, 1), (true, 2)]);
    }

    #[test]
    fn a_cell_is_found_by_its_place_or_its_digest_and_by_nothing_else() {
        let cells = some();
        let digest = cells[2].0.to_string();
        assert_eq!(find("3", &cells).unwrap().0, cells[2].0);
        assert_eq!(find(&digest, &cells).unwrap().0, cells[2].0);
        assert_eq!(find(&digest[..12], &cells).unwrap().0, cells[2].0);
        for wanted in ["0", "5", "", &digest[..3], "abcdefabcdef"] {
            assert!(find(wanted, &cells).is_err(), "{wanted}");
        }
    }
}
