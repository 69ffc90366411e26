//! `report`: one HTML file of one or several runs.
use serde_json::json;
use sottovoce_report::{RunReport, html, summary_text, write_text};
use sottovoce_types::SCHEMA_VERSION;

use crate::args::ReportArgs;
use crate::exit::Exit;
use crate::output::Output;

/// `report`
pub fn run(args: &ReportArgs, output: &Output) -> anyhow::Result<Exit> {
    let mut reports = args.runs.iter().map(RunReport::read).collect::<Result<Vec<_>, _>>()?;
    let file = args.out.clone().unwrap_or_else(|| args.runs[0].join("report.html"));
    // The audit's page is linked to where the report lies beside it.
    let beside = |a: &std::path::Path, b: &std::path::Path| a.canonicalize().ok() == b.canonicalize().ok();
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    for (report, run) in reports.iter_mut().zip(&args.runs) {
        report.audited &= beside(folder, run);
    }
    write_text(&file, &html(&reports))?;
    let summaries: Vec<_> = reports.iter().map(|r| &r.summary).collect();
    let object = json!({"schema": SCHEMA_VERSION, "report": file, "runs": summaries});
    output.result(&object, || {
        let mut text: Vec<String> = summaries.iter().map(|s| summary_text(s)).collect();
        text.push(format!("report: {}", file.display()));
        text.join("\n")
    })?;
    Ok(Exit::Ok)
}
