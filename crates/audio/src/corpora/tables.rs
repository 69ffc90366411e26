//! CSV tables that corpora bring, read by the names of their columns.
use std::io::Cursor;
use std::path::Path;

use csv::StringRecord;

use super::ScanError;

/// A CSV table whose columns are found by name, whatever their order.
pub(super) struct Table {
    pub(super) header: StringRecord,
    reader: csv::Reader<Cursor<Vec<u8>>>,
}

impl Table {
    /// Opens `path` and reads its first line. Rows may be longer or shorter than it.
    pub(super) fn open(path: &Path) -> Result<Self, ScanError> {
        let table = |source| ScanError::Table { path: path.to_owned(), source };
        let bytes = std::fs::read(path).map_err(|e| table(e.into()))?;
        // After `\r\n` the reader counts lines one short, and people will look for the line that a message names.
        let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l)).collect();
        let text = Cursor::new(lines.join(&b'\n'));
        let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text);
        let header = reader.headers().map_err(table)?.clone();
        Ok(Self { header, reader })
    }

    /// Place of the column `name`, if there is one.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|h| h.eq_ignore_ascii_case(name))
    }

    /// Place of a column without which the table is of no use.
    pub(super) fn required(&self, path: &Path, column: &'static str) -> Result<usize, ScanError> {
        self.column(column).ok_or_else(|| {
            let header = self.header.iter().collect::<Vec<_>>().join(",");
            ScanError::Column { path: path.to_owned(), column, header }
        })
    }

    /// The rows after the first line; one that is not UTF-8 is an error and the next is read all the same.
    pub(super) fn rows(&mut self) -> impl Iterator<Item = Result<StringRecord, csv::Error>> {
        self.reader.records()
    }
}
