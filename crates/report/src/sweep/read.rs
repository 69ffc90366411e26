//! A sweep's folder: what a later report needs beside the rows.
use std::path::Path;

use serde::{Deserialize, Serialize};
use sottovoce_types::SCHEMA_VERSION;

use super::SweepReport;
use crate::{ReportError, read_jsonl, write_text};

const HEAD: &str = "sweep.json";

/// `sweep.json`: what holds for all cells.
#[derive(Serialize, Deserialize)]
struct Head {
    schema: u32,
    name: String,
    corpus: String,
    synthetic: bool,
    aggregation: String,
    noise_source: String,
    uar_chance: Option<f64>,
    /// The cells of the table, in its order.
    cells: Vec<sottovoce_types::Digest>,
    failed: Vec<String>,
    #[serde(default)]
    selection: Vec<String>,
}

impl SweepReport {
    /// Whether a folder is that of a sweep that was reported.
    pub fn is_in(dir: impl AsRef<Path>) -> bool {
        dir.as_ref().join(HEAD).is_file()
    }

    /// Writes `sweep.json` into a sweep's folder; the rows are in `results.jsonl` and `leakage.jsonl`.
    ///
    /// # Errors
    /// [`ReportError::Io`].
    pub fn write_head(&self, dir: impl AsRef<Path>) -> Result<(), ReportError> {
        let path = dir.as_ref().join(HEAD);
        let head = Head {
            schema: SCHEMA_VERSION,
            name: self.name.clone(),
            corpus: self.corpus.clone(),
            synthetic: self.synthetic,
            aggregation: self.aggregation.clone(),
            noise_source: self.noise_source.clone(),
            uar_chance: self.uar_chance,
            cells: self.rows.iter().map(|r| r.config_sha256).collect(),
            failed: self.failed.clone(),
            selection: self.selection.clone(),
        };
        let text = serde_json::to_string_pretty(&head).map_err(|source| ReportError::Json {
            path: path.clone(),
            line: 0,
            source,
        })?;
        write_text(path, &(text + "\n"))
    }

    /// Reads a sweep's folder: the cells that its last report was of, in that order.
    ///
    /// # Errors
    /// The file and line that cannot be read; [`ReportError::Schema`] for a folder of another version.
    pub fn read(dir: impl AsRef<Path>) -> Result<Self, ReportError> {
        let dir = dir.as_ref();
        let path = dir.join(HEAD);
        let text = std::fs::read(&path).map_err(ReportError::io(&path))?;
        let head: Head = serde_json::from_slice(&text).map_err(|source| ReportError::Json {
            path: path.clone(),
            line: source.line(),
            source,
        })?;
        if head.schema != SCHEMA_VERSION {
            return Err(ReportError::Schema { path, found: head.schema, expected: SCHEMA_VERSION });
        }
        let place = |digest: &sottovoce_types::Digest| head.cells.iter().position(|cell| cell == digest);
        let mut rows = read_jsonl::<sottovoce_types::SweepRow>(dir.join("results.jsonl"))?.rows;
        rows.retain(|r| place(&r.config_sha256).is_some());
        rows.sort_by_key(|r| place(&r.config_sha256));
        let leakage = dir.join("leakage.jsonl");
        let mut leakage = if leakage.exists() { read_jsonl(leakage)?.rows } else { Vec::new() };
        leakage.retain(|r: &sottovoce_types::LeakageRow| place(&r.config_sha256).is_some());
        leakage.sort_by_key(|r| place(&r.config_sha256));
        Ok(Self {
            name: head.name,
            corpus: head.corpus,
            synthetic: head.synthetic,
            aggregation: head.aggregation,
            noise_source: head.noise_source,
            uar_chance: head.uar_chance,
            rows,
            leakage,
            failed: head.failed,
            selection: head.selection,
        })
    }
}
