//! What a sweep has found out so far, on disk: `results.jsonl` with a line a cell, `leakage.jsonl` with a line a cell and attack score.
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sottovoce_config::SweepCell;
use sottovoce_report::{
    Jsonl, append_jsonl, append_jsonl_rows, read_jsonl, write_leakage_csv, write_results_csv, write_text,
};
use sottovoce_types::{Digest, LeakageRow, SCHEMA_VERSION, SweepRow};

use crate::output::Output;

/// What a cell found out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct CellResult {
    pub(super) row: SweepRow,
    pub(super) leakage: Vec<LeakageRow>,
    /// Seconds of the row's that went into features and the federation.
    pub(super) training_s: f64,
}

/// The results of a sweep's cells. A cell is done when its row is there, which is written last, and as many scores as the row says.
pub(super) struct Table {
    out: PathBuf,
    rows: Vec<SweepRow>,
    leakage: Vec<LeakageRow>,
}

impl Table {
    /// Reads what is there of these cells, and leaves the files as they are.
    pub(super) fn read(out: &Path, cells: &[(Digest, SweepCell)], output: &Output) -> Result<Self> {
        Self::found(out, cells, false, output)
    }

    /// Reads what is there of these cells. Lines of other configurations stay in the files and out of the table; those of cells that
    /// are not done go.
    pub(super) fn open(out: &Path, cells: &[(Digest, SweepCell)], output: &Output) -> Result<Self> {
        Self::found(out, cells, true, output)
    }

    fn found(out: &Path, cells: &[(Digest, SweepCell)], mend: bool, output: &Output) -> Result<Self> {
        let (results, leakage) = (out.join("results.jsonl"), out.join("leakage.jsonl"));
        let rows: Lines<SweepRow> = Lines::read(&results, |r: &SweepRow| r.schema, output)?;
        let scores: Lines<LeakageRow> = Lines::read(&leakage, |r: &LeakageRow| r.schema, output)?;
        let is_own = |digest: &Digest| cells.iter().any(|(own, _)| own == digest);
        let is_whole = |row: &SweepRow| {
            let there = scores.rows.iter().filter(|s| s.config_sha256 == row.config_sha256).count();
            row.leakage_scores.is_none_or(|n| there == n as usize)
        };
        let (mut kept, mut own): (Vec<SweepRow>, Vec<SweepRow>) = (Vec::new(), Vec::new());
        let (mut others, mut lacking) = (0, 0);
        for row in &rows.rows {
            if !is_own(&row.config_sha256) {
                others += 1;
            } else if !is_whole(row) {
                lacking += 1;
                continue;
            } else if own.iter().all(|r| r.config_sha256 != row.config_sha256) {
                own.push(row.clone());
            }
            kept.push(row.clone());
        }
        if others > 0 {
            output.remark(format!(
                "{others} rows of results.jsonl are of other configurations, or of a version with other keys: they are not in the table"
            ));
        }
        if lacking > 0 {
            output.remark(format!("{lacking} rows lack scores in leakage.jsonl: their cells run again"));
        }
        let is_done = |digest: &Digest| own.iter().any(|r| r.config_sha256 == *digest);
        let stays = |s: &&LeakageRow| is_done(&s.config_sha256) || !is_own(&s.config_sha256);
        let kept_scores: Vec<LeakageRow> = scores.rows.iter().filter(stays).cloned().collect();
        let own_scores = kept_scores.iter().filter(|s| is_done(&s.config_sha256)).cloned().collect();
        // The rows first: a row without its scores would run again, and scores without a row are told from those of a done cell.
        if mend {
            rows.replace(&results, &kept)?;
            scores.replace(&leakage, &kept_scores)?;
        }
        Ok(Self { out: out.to_owned(), rows: own, leakage: own_scores })
    }

    /// Adds a cell and makes it durable.
    pub(super) fn push(&mut self, result: CellResult) -> Result<()> {
        append_jsonl_rows(self.out.join("leakage.jsonl"), &result.leakage)?;
        append_jsonl(self.out.join("results.jsonl"), &result.row)?;
        self.leakage.extend(result.leakage);
        self.rows.push(result.row);
        Ok(())
    }

    /// Brings rows and scores into the order of the cells.
    pub(super) fn sort(&mut self, cells: &[(Digest, SweepCell)]) {
        let place = |digest: &Digest| cells.iter().position(|(own, _)| own == digest);
        self.rows.sort_by_key(|row| place(&row.config_sha256));
        self.leakage.sort_by_key(|score| place(&score.config_sha256));
    }

    /// Writes `results.csv`, and `leakage.csv` where anything was attacked: a table without a row has no head line either.
    pub(super) fn write_csv(&self) -> Result<()> {
        write_results_csv(&self.rows, self.out.join("results.csv"))?;
        if !self.leakage.is_empty() {
            write_leakage_csv(&self.leakage, self.out.join("leakage.csv"))?;
        }
        Ok(())
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.rows.iter().any(|r| r.config_sha256 == *digest)
    }

    pub(super) fn rows(&self) -> &[SweepRow] {
        &self.rows
    }

    pub(super) fn leakage(&self) -> &[LeakageRow] {
        &self.leakage
    }
}

/// A JSON-lines file as it was found.
struct Lines<T> {
    rows: Vec<T>,
    torn: bool,
}

impl<T: Serialize + DeserializeOwned> Lines<T> {
    fn read(path: &Path, schema: impl Fn(&T) -> u32, output: &Output) -> Result<Self> {
        let Jsonl { rows, torn } = if path.exists() { read_jsonl(path)? } else { Jsonl::default() };
        if let Some(found) = rows.iter().map(schema).find(|found| *found != SCHEMA_VERSION) {
            anyhow::bail!(
                "{} has a row of schema {found}; this program reads schema {SCHEMA_VERSION}: choose another --out",
                path.display()
            );
        }
        if torn {
            let name = path.file_name().unwrap_or_default().display();
            output.remark(format!("the last line of {name} was cut off; its cell runs again"));
        }
        Ok(Self { rows, torn })
    }

    /// Writes what is kept, where the file holds anything else.
    fn replace(&self, path: &Path, kept: &[T]) -> Result<()> {
        if !self.torn && kept.len() == self.rows.len() {
            return Ok(());
        }
        let mut text = String::new();
        for row in kept {
            text.push_str(&serde_json::to_string(row)?);
            text.push('\n');
        }
        Ok(write_text(path, &text)?)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use sottovoce_config::{Colour, SweepPlan};
    use sottovoce_types::{AttackScore, Interval, Unit, Vantage};

    use super::*;
    use crate::args::{Format, Global};
    use crate::commands::sweep::each_once;

    fn quiet() -> Output {
        Output::new(&Global { format: Format::Text, quiet: true, verbose: 0, color: Colour::Never })
    }

    fn cells() -> Vec<(Digest, SweepCell)> {
        each_once(SweepPlan::parse("[sweep]\nepsilons = [0, 2]\n", &[] as &[&str]).unwrap().cells)
    }

    pub(in super::super) fn result((digest, cell): &(Digest, SweepCell), scores: u32) -> CellResult {
        let row = SweepRow {
            schema: SCHEMA_VERSION,
            config_sha256: *digest,
            epsilon_target: None,
            epsilon_spent: None,
            delta: 1e-5,
            seed: cell.seed,
            unit: Unit::Speaker,
            variant: None,
            settings: cell.settings.clone(),
            aggregation: None,
            clients: Some(4),
            bytes_up_per_client_round: None,
            bytes_down_per_client_round: None,
            fold: None,
            split: None,
            model: None,
            parameters: None,
            rounds: None,
            noise_multiplier: 0.0,
            accuracy: 0.5,
            uar: 0.5,
            macro_precision: 0.5,
            macro_recall: 0.5,
            macro_f1: 0.5,
            centralised_accuracy: None,
            centralised_uar: None,
            centralised_macro_f1: None,
            membership_auc: None,
            label_profile_correlation: None,
            epsilon_empirical_lower: None,
            leakage_scores: Some(scores),
            wall_s: 1.0,
        };
        let score = |i| AttackScore {
            schema: SCHEMA_VERSION,
            attack: format!("attack {i}"),
            control_of: None,
            vantage: Vantage::Released,
            metric: "auc".to_owned(),
            value: f64::NAN, // Even a score that is none is no reason to read nothing.
            ci95: Interval { low: 0.0, high: 1.0 },
            chance: 0.5,
            trials: 1,
            citation: String::new(),
            note: String::new(),
        };
        CellResult { leakage: (0..scores).map(|i| LeakageRow::of(&row, &score(i))).collect(), row, training_s: 0.5 }
    }

    #[test]
    fn a_cell_is_done_only_with_its_row_and_all_its_scores() {
        let (dir, cells) = (tempfile::tempdir().unwrap(), cells());
        let lines = |file: &str| std::fs::read_to_string(dir.path().join(file)).unwrap().lines().count();
        let open = || Table::open(dir.path(), &cells, &quiet()).unwrap();
        let mut table = open();
        assert!(table.rows().is_empty());
        table.push(result(&cells[0], 3)).unwrap();
        table.push(result(&cells[1], 2)).unwrap();
        let table = open();
        assert_eq!((table.rows().len(), table.leakage().len()), (2, 5));
        // Killed between the scores and the row: the scores go, so that the next run does not double them.
        let text = std::fs::read_to_string(dir.path().join("results.jsonl")).unwrap();
        std::fs::write(dir.path().join("results.jsonl"), text.split_inclusive('\n').next().unwrap()).unwrap();
        let table = open();
        assert!(table.has(&cells[0].0) && !table.has(&cells[1].0));
        assert_eq!((table.leakage().len(), lines("leakage.jsonl")), (3, 3));
        // A row whose scores are lost, or cut off in the last line.
        let text = std::fs::read_to_string(dir.path().join("leakage.jsonl")).unwrap();
        std::fs::write(dir.path().join("leakage.jsonl"), &text[..text.len() - 9]).unwrap();
        let table = open();
        assert!(table.rows().is_empty() && table.leakage().is_empty());
        assert_eq!((lines("results.jsonl"), lines("leakage.jsonl")), (0, 0));
    }

    #[test]
    fn lines_of_other_configurations_stay_in_the_files_and_out_of_the_table() {
        let (dir, cells) = (tempfile::tempdir().unwrap(), cells());
        let mut table = Table::open(dir.path(), &cells, &quiet()).unwrap();
        for cell in &cells {
            table.push(result(cell, 1)).unwrap();
        }
        let table = Table::open(dir.path(), &cells[..1], &quiet()).unwrap();
        assert_eq!((table.rows().len(), table.leakage().len()), (1, 1));
        let table = Table::open(dir.path(), &cells, &quiet()).unwrap();
        assert_eq!((table.rows().len(), table.leakage().len()), (2, 2));
    }

    #[test]
    fn rows_of_versions_without_scores_are_done_and_those_of_another_schema_are_refused() {
        let (dir, cells) = (tempfile::tempdir().unwrap(), cells());
        let mut then = result(&cells[0], 0);
        then.row.leakage_scores = None;
        append_jsonl(dir.path().join("results.jsonl"), &then.row).unwrap();
        assert!(Table::open(dir.path(), &cells, &quiet()).unwrap().has(&cells[0].0));
        then.row.schema += 1;
        append_jsonl(dir.path().join("results.jsonl"), &then.row).unwrap();
        let error = Table::open(dir.path(), &cells, &quiet()).err().unwrap().to_string();
        assert!(error.contains("schema 2") && error.contains("choose another --out"), "{error}");
    }
}
