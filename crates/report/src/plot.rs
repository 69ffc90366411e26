//! A figure with the numbers it was drawn from: what a page shows, a reader can take away as SVG and as CSV.
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Figure, ReportError, write_text};

/// One drawn value: a row of the CSV that lies beside a figure.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Datum {
    /// The panel, where a figure has several; else empty.
    pub panel: String,
    /// The line or the kind of mark.
    pub series: String,
    /// Place on the horizontal axis, as a number, or in words where it is none (`none` for no differential privacy).
    pub x: String,
    /// The value.
    pub y: f64,
    /// Lower end of its band; `None` where it has none.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Runs behind it.
    pub runs: usize,
}

/// A figure, what a caption says of it, and its numbers.
#[derive(Clone, PartialEq, Debug)]
pub struct Plot {
    /// Stem of its files: small letters, digits and hyphens.
    pub name: String,
    /// What the reader should see, and what the bands are.
    pub caption: String,
    /// The figure.
    pub figure: Figure,
    /// Every value in it.
    pub data: Vec<Datum>,
}

impl Plot {
    pub(crate) fn new(name: &str, caption: impl Into<String>, figure: Figure, data: Vec<Datum>) -> Self {
        let stem = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
        let stem: String = stem.collect();
        let parts: Vec<&str> = stem.split('-').filter(|part| !part.is_empty()).collect();
        Self { name: parts.join("-"), caption: caption.into(), figure, data }
    }
}

/// Writes `NAME.svg` and `NAME.csv` of each plot into a folder, which is made where it is missing; returns the SVG files. Columns of
/// the CSV: `panel, series, x, y, low, high, runs`.
///
/// # Errors
/// [`ReportError::Io`] or [`ReportError::Csv`].
pub fn write_plots(plots: &[Plot], folder: impl AsRef<Path>) -> Result<Vec<PathBuf>, ReportError> {
    let folder = folder.as_ref();
    std::fs::create_dir_all(folder).map_err(ReportError::io(folder))?;
    plots.iter().map(|plot| write_plot(plot, folder)).collect()
}

fn write_plot(plot: &Plot, folder: &Path) -> Result<PathBuf, ReportError> {
    let (svg, csv) = (folder.join(format!("{}.svg", plot.name)), folder.join(format!("{}.csv", plot.name)));
    let csv_error = |source| ReportError::Csv { path: csv.clone(), source };
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    // Written out, so that a figure without values has its head line, too.
    writer.write_record(["panel", "series", "x", "y", "low", "high", "runs"]).map_err(csv_error)?;
    for datum in &plot.data {
        writer.serialize(datum).map_err(csv_error)?;
    }
    let bytes = writer.into_inner().map_err(|e| csv_error(e.into_error().into()))?;
    write_text(&csv, &String::from_utf8_lossy(&bytes))?;
    write_text(&svg, &plot.figure.document())?;
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_is_two_files_named_alike_and_the_table_has_a_row_a_value() {
        let dir = tempfile::tempdir().unwrap();
        let datum = Datum {
            panel: "cnn, \"wide\"".into(),
            series: "UAR".into(),
            x: "none".into(),
            y: 0.5,
            low: None,
            high: Some(0.75),
            runs: 3,
        };
        let plot = Plot::new("Utility / cnn", "", crate::svg::empty_figure(), vec![datum]);
        let empty = Plot { name: "empty".into(), data: Vec::new(), ..plot.clone() };
        let files = write_plots(&[plot, empty], dir.path().join("figures")).unwrap();
        assert!(files[0].ends_with("figures/utility-cnn.svg"), "{files:?}");
        let read = |name: &str| std::fs::read_to_string(dir.path().join("figures").join(name)).unwrap();
        assert_eq!(
            read("utility-cnn.csv"),
            "panel,series,x,y,low,high,runs\n\"cnn, \"\"wide\"\"\",UAR,none,0.5,,0.75,3\n"
        );
        assert_eq!(read("empty.csv").lines().count(), 1);
        assert!(read("utility-cnn.svg").starts_with("<svg"));
    }
}
