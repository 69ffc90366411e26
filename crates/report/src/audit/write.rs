//! `audit/`: the page, the numbers, and every figure with its data beside it.
use std::io;
use std::path::{Path, PathBuf};

use super::data::{AuditCurve, AuditReport, ScoreRow, TrueAndRecovered};
use super::{recovered_figure, roc_figure, scores_figure};
use crate::html::audit_html;
use crate::{ReportError, write_text};

/// Writes `report.html`, `report.json`, `scores.csv` and `figures/NAME.svg` with `figures/NAME.csv` into `folder`, replacing an earlier
/// audit. Returns the page's path.
///
/// # Errors
/// [`ReportError::Io`], [`ReportError::Csv`], [`ReportError::Json`].
pub fn write_audit(
    folder: impl AsRef<Path>,
    report: &AuditReport,
    scores: &[ScoreRow],
) -> Result<PathBuf, ReportError> {
    let folder = folder.as_ref();
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(ReportError::io(folder))?;
    }
    let figures = folder.join("figures");
    std::fs::create_dir_all(&figures).map_err(ReportError::io(&figures))?;
    for curve in report.families.iter().flat_map(|f| &f.curves) {
        let name = |kind: &str| figures.join(format!("{kind}-{}", curve.attack));
        write_text(name("roc").with_extension("svg"), &roc_figure(curve).document())?;
        write_csv(&name("roc").with_extension("csv"), |to| roc_rows(to, curve))?;
        write_text(name("scores").with_extension("svg"), &scores_figure(curve).document())?;
        write_csv(&name("scores").with_extension("csv"), |to| histogram_rows(to, curve))?;
    }
    for (i, clip) in report.reconstructions.iter().enumerate() {
        let name = |kind: &str| figures.join(format!("reconstruction-{:02}.{kind}", i + 1));
        write_text(name("svg"), &recovered_figure(clip, &report.reconstructions).document())?;
        write_csv(&name("csv"), |to| clip_rows(to, clip))?;
    }
    write_csv(&folder.join("scores.csv"), |to| scores.iter().try_for_each(|row| to.serialize(row)))?;
    let json = folder.join("report.json");
    let text = serde_json::to_string_pretty(report).map_err(|source| ReportError::Json {
        path: json.clone(),
        line: 0,
        source,
    })?;
    write_text(&json, &(text + "\n"))?;
    let page = folder.join("report.html");
    write_text(&page, &audit_html(report))?;
    Ok(page)
}

fn write_csv(
    path: &Path,
    rows: impl FnOnce(&mut csv::Writer<Vec<u8>>) -> Result<(), csv::Error>,
) -> Result<(), ReportError> {
    let failed = |source| ReportError::Csv { path: path.to_owned(), source };
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows(&mut writer).map_err(failed)?;
    let bytes = writer.into_inner().map_err(|e| ReportError::io(path)(io::Error::other(e.to_string())))?;
    std::fs::write(path, bytes).map_err(ReportError::io(path))
}

type Rows<'a> = &'a mut csv::Writer<Vec<u8>>;

fn roc_rows(to: Rows<'_>, curve: &AuditCurve) -> Result<(), csv::Error> {
    to.write_record([
        "kind",
        "fpr",
        "tpr",
        "low",
        "high",
        "simultaneous_low",
        "simultaneous_high",
        "false_positives",
        "true_positives",
    ])?;
    for p in &curve.points {
        let numbers = [p.fpr, p.tpr, p.band.low, p.band.high, p.simultaneous.low, p.simultaneous.high];
        let numbers = numbers.into_iter().map(|v| v.to_string());
        let counts = [p.false_positives, p.true_positives].into_iter().map(|v| v.to_string());
        to.write_record(std::iter::once("attack".to_owned()).chain(numbers).chain(counts))?;
    }
    for [fpr, tpr] in curve.ceiling.iter().flatten() {
        let empty = std::iter::repeat_n(String::new(), 6);
        to.write_record(["ceiling".to_owned(), fpr.to_string(), tpr.to_string()].into_iter().chain(empty))?;
    }
    Ok(())
}

fn histogram_rows(to: Rows<'_>, curve: &AuditCurve) -> Result<(), csv::Error> {
    let h = &curve.histogram;
    to.write_record(["from", "to", "members", "non_members"])?;
    for (edges, (members, non_members)) in h.edges.windows(2).zip(h.members.iter().zip(&h.non_members)) {
        to.write_record([edges[0].to_string(), edges[1].to_string(), members.to_string(), non_members.to_string()])?;
    }
    Ok(())
}

fn clip_rows(to: Rows<'_>, clip: &TrueAndRecovered) -> Result<(), csv::Error> {
    to.write_record(["frame", "feature", "true", "recovered"])?;
    for (i, truth) in clip.truth.iter().enumerate() {
        let recovered = clip.recovered.get(i).map_or(String::new(), f64::to_string);
        let (frame, feature) = (i / clip.width.max(1), i % clip.width.max(1));
        to.write_record([frame.to_string(), feature.to_string(), truth.to_string(), recovered])?;
    }
    Ok(())
}
