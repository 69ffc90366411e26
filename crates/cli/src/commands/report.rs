//! `report`: one HTML file of one or several runs, or of one or several sweeps.
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;
use sottovoce_report::{
    Comparison, RunReport, SweepReport, html, summary_text, sweep_text, sweeps_html, write_plots, write_text,
};
use sottovoce_types::SCHEMA_VERSION;

use crate::args::ReportArgs;
use crate::exit::{Exit, usage};
use crate::output::Output;

/// `report`
pub fn run(args: &ReportArgs, output: &Output) -> Result<Exit> {
    let (sweeps, runs): (Vec<&PathBuf>, Vec<&PathBuf>) = args.runs.iter().partition(|dir| SweepReport::is_in(dir));
    let file = args.out.clone().unwrap_or_else(|| args.runs[0].join("report.html"));
    match (sweeps.as_slice(), runs.as_slice()) {
        ([], runs) => of_runs(runs, &file, output),
        (sweeps, []) => of_sweeps(sweeps, &file, output),
        ([sweep, ..], [run, ..]) => Err(usage(format!(
            "{} is a sweep and {} is none: give runs, or sweeps, of which each was reported once by `sottovoce sweep`",
            sweep.display(),
            run.display()
        ))),
    }
}

fn of_runs(runs: &[&PathBuf], file: &Path, output: &Output) -> Result<Exit> {
    let mut reports = runs.iter().map(RunReport::read).collect::<Result<Vec<_>, _>>()?;
    // The audit's page is linked to where the report lies beside it.
    let beside = |a: &Path, b: &Path| a.canonicalize().ok() == b.canonicalize().ok();
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for (report, run) in reports.iter_mut().zip(runs) {
        report.audited &= beside(folder, run);
    }
    write_text(file, &html(&reports))?;
    let summaries: Vec<_> = reports.iter().map(|r| &r.summary).collect();
    let object = json!({"schema": SCHEMA_VERSION, "report": file, "runs": summaries});
    output.result(&object, || {
        let mut text: Vec<String> = summaries.iter().map(|s| summary_text(s)).collect();
        text.push(format!("report: {}", file.display()));
        text.join("\n")
    })?;
    Ok(Exit::Ok)
}

fn of_sweeps(dirs: &[&PathBuf], file: &Path, output: &Output) -> Result<Exit> {
    let mut sweeps = dirs.iter().map(SweepReport::read).collect::<Result<Vec<_>, _>>()?;
    if sweeps.len() > 1 {
        // Two runs of one study have one name: what tells them apart is where they lie.
        for (sweep, dir) in sweeps.iter_mut().zip(dirs) {
            sweep.name = format!("{} ({})", sweep.name, dir.display());
        }
    }
    let comparisons: Vec<Comparison> = sweeps.iter().skip(1).map(|other| Comparison::of(&sweeps[0], other)).collect();
    let mut figures = Vec::new();
    for (sweep, dir) in sweeps.iter().zip(dirs) {
        figures.extend(write_plots(&sweep.plots(), dir.join("figures"))?);
    }
    write_text(file, &sweeps_html(&sweeps))?;
    let object = json!({
        "schema": SCHEMA_VERSION,
        "report": file,
        "figures": figures,
        "sweeps": sweeps.iter().map(|s| json!({"name": s.name, "lines": s.baselines(), "rows": s.rows})).collect::<Vec<_>>(),
        "comparisons": comparisons,
    });
    output.result(&object, || {
        let mut text: Vec<String> =
            sweeps.iter().map(|s| format!("{}: {}\n{}", s.name, s.corpus, sweep_text(s))).collect();
        text.extend(comparisons.iter().map(Comparison::text));
        text.push(format!("report: {}", file.display()));
        text.join("\n")
    })?;
    Ok(Exit::Ok)
}
