//! A sweep's tables as CSV: one column a field, then one column a config key that was swept.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sottovoce_types::{LeakageRow, Setting, SweepRow};

use crate::{ReportError, write_text};

/// A row with settings. The CSV format has no column that is a map, so each key is a column of its own: a config key has a dot in it,
/// and a field has none.
trait Swept: Clone + Serialize + DeserializeOwned {
    fn settings(&mut self) -> &mut BTreeMap<String, Setting>;
}

impl Swept for SweepRow {
    fn settings(&mut self) -> &mut BTreeMap<String, Setting> {
        &mut self.settings
    }
}

impl Swept for LeakageRow {
    fn settings(&mut self) -> &mut BTreeMap<String, Setting> {
        &mut self.settings
    }
}

/// Writes `results.csv`, whole or not at all; what is `None` is an empty cell.
///
/// # Errors
/// [`ReportError::Csv`] or [`ReportError::Io`].
pub fn write_results_csv(rows: &[SweepRow], path: impl AsRef<Path>) -> Result<(), ReportError> {
    write(rows, path.as_ref())
}

/// Writes `leakage.csv`, likewise.
///
/// # Errors
/// [`ReportError::Csv`] or [`ReportError::Io`].
pub fn write_leakage_csv(rows: &[LeakageRow], path: impl AsRef<Path>) -> Result<(), ReportError> {
    write(rows, path.as_ref())
}

/// Reads `results.csv`. Settings come back as what their cells look like: `4` is a number.
///
/// # Errors
/// [`ReportError::Csv`].
pub fn read_results_csv(path: impl AsRef<Path>) -> Result<Vec<SweepRow>, ReportError> {
    read(path.as_ref())
}

/// Reads `leakage.csv`, likewise.
///
/// # Errors
/// [`ReportError::Csv`].
pub fn read_leakage_csv(path: impl AsRef<Path>) -> Result<Vec<LeakageRow>, ReportError> {
    read(path.as_ref())
}

fn write<T: Swept>(rows: &[T], path: &Path) -> Result<(), ReportError> {
    let text = to_csv(rows).map_err(|source| ReportError::Csv { path: path.to_owned(), source })?;
    write_text(path, &text)
}

fn to_csv<T: Swept>(rows: &[T]) -> Result<String, csv::Error> {
    let own: Vec<BTreeMap<String, Setting>> = rows.iter().map(|row| std::mem::take(row.clone().settings())).collect();
    let keys: BTreeSet<&String> = own.iter().flat_map(BTreeMap::keys).collect();
    let mut fields = csv::Writer::from_writer(Vec::new());
    for row in rows {
        let mut row = row.clone();
        row.settings().clear(); // Left out where it is empty, so that what is serialised is flat.
        fields.serialize(row)?;
    }
    let fields = fields.into_inner().map_err(csv::IntoInnerError::into_error)?;
    let mut with_keys = csv::Writer::from_writer(Vec::new());
    let mut fields = csv::ReaderBuilder::new().has_headers(false).from_reader(fields.as_slice());
    for (i, record) in fields.records().enumerate() {
        let mut record = record?;
        for key in &keys {
            match i.checked_sub(1) {
                None => record.push_field(key),
                Some(row) => record.push_field(&own[row].get(*key).map_or_else(String::new, Setting::to_string)),
            }
        }
        with_keys.write_record(&record)?;
    }
    let bytes = with_keys.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn read<T: Swept>(path: &Path) -> Result<Vec<T>, ReportError> {
    let csv_error = |source| ReportError::Csv { path: path.to_owned(), source };
    let mut reader = csv::Reader::from_path(path).map_err(csv_error)?;
    let headers = reader.headers().map_err(csv_error)?.clone();
    let fields: csv::StringRecord = headers.iter().filter(|h| !h.contains('.')).collect();
    let one = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record?;
        let cells = || headers.iter().zip(&record);
        let own: csv::StringRecord = cells().filter(|(h, _)| !h.contains('.')).map(|(_, cell)| cell).collect();
        let mut row: T = own.deserialize(Some(&fields))?;
        let settings = cells().filter(|(h, cell)| h.contains('.') && !cell.is_empty());
        row.settings().extend(settings.map(|(key, cell)| (key.to_owned(), Setting::of_cell(cell))));
        Ok(row)
    };
    reader.records().map(one).collect::<Result<_, _>>().map_err(csv_error)
}
