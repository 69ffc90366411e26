//! Reading and writing the plain files of a run.
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A part of a run, or a table of results, cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A table of results cannot be read or written as CSV.
    #[error("{path}: {source}")]
    Csv {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: csv::Error,
    },
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is not the JSON that it should be.
    #[error("{path}, line {line}: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The directory holds no finished run.
    #[error("{path} has no metrics.json: it is not the directory of a finished run (`sottovoce evaluate` writes one)")]
    NotARun {
        /// The directory.
        path: PathBuf,
    },
    /// Written by another version.
    #[error("{path} has schema {found}; this program reads schema {expected}")]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// What can be read.
        expected: u32,
    },
}

impl ReportError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}

/// The lines of a JSON-lines file.
#[derive(Clone, PartialEq, Debug)]
pub struct Jsonl<T> {
    /// The whole lines, in order.
    pub rows: Vec<T>,
    /// Whether a last line was cut off (its writer was stopped) and left out.
    pub torn: bool,
}

impl<T> Default for Jsonl<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), torn: false }
    }
}

/// Reads a JSON-lines file; a last line without an end that is no JSON is left out and told.
///
/// # Errors
/// [`ReportError::Io`], and [`ReportError::Json`] with the line that makes no sense.
pub fn read_jsonl<T: DeserializeOwned>(path: impl AsRef<Path>) -> Result<Jsonl<T>, ReportError> {
    let path = path.as_ref();
    let text = std::fs::read(path).map_err(ReportError::io(path))?;
    let mut out = Jsonl::default();
    for (i, line) in text.split_inclusive(|&b| b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(row) => out.rows.push(row),
            Err(_) if !line.ends_with(b"\n") => out.torn = true,
            Err(source) => return Err(ReportError::Json { path: path.to_owned(), line: i + 1, source }),
        }
    }
    Ok(out)
}

/// Appends one line of JSON and makes it durable. A cut-off last line (of a writer that was stopped) is removed first,
/// so that the file never holds half a line in its middle.
///
/// # Errors
/// [`ReportError::Io`], and [`ReportError::Json`] when `row` cannot be written as JSON.
pub fn append_jsonl<T: Serialize>(path: impl AsRef<Path>, row: &T) -> Result<(), ReportError> {
    append_jsonl_rows(path, std::slice::from_ref(row))
}

/// Appends one line for each of `rows`, as [`append_jsonl`] does, and makes them durable at once. A writer that is stopped may leave
/// some of them: whoever needs them all says elsewhere, afterwards, how many they are.
///
/// # Errors
/// As [`append_jsonl`].
pub fn append_jsonl_rows<T: Serialize>(path: impl AsRef<Path>, rows: &[T]) -> Result<(), ReportError> {
    let path = path.as_ref();
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row).map_err(|source| ReportError::Json {
            path: path.to_owned(),
            line: 0,
            source,
        })?;
        lines.push(b'\n');
    }
    append_lines(path, &lines).map_err(ReportError::io(path))
}

fn append_lines(path: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut whole = file.seek(SeekFrom::End(0))?;
    if whole > 0 && !ends_with_newline(&mut file, whole)? {
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut text)?;
        let tail = text.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        if serde_json::from_slice::<serde_json::Value>(&text[tail..]).is_ok() {
            file.write_all(b"\n")?; // Whole but for its end.
            whole += 1;
        } else {
            whole = tail as u64;
            file.set_len(whole)?;
        }
    }
    file.seek(SeekFrom::Start(whole))?;
    file.write_all(lines)?;
    file.sync_data()
}

fn ends_with_newline(file: &mut File, len: u64) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::Start(len - 1))?;
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

/// Writes a text file whole or not at all: beside it first, then renamed. What is no file, such as a pipe or `/dev/null`, is written to as it
/// is: a rename would put a file in its place.
///
/// # Errors
/// [`ReportError::Io`].
pub fn write_text(path: impl AsRef<Path>, text: &str) -> Result<(), ReportError> {
    let path = path.as_ref();
    let write = || {
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            return OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes());
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        let mut file = File::create(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(part, path)
    };
    write().map_err(ReportError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        (dir, path)
    }

    #[test]
    fn lines_that_were_appended_read_back_in_order() {
        let (_dir, path) = path();
        for i in 0..3u32 {
            append_jsonl(&path, &i).unwrap();
        }
        assert_eq!(read_jsonl::<u32>(&path).unwrap(), Jsonl { rows: vec![0, 1, 2], torn: false });
    }

    #[test]
    fn a_torn_last_line_is_told_and_the_next_append_removes_it() {
        let (_dir, path) = path();
        std::fs::write(&path, "[1]\n[2").unwrap();
        assert_eq!(read_jsonl::<Vec<u32>>(&path).unwrap(), Jsonl { rows: vec![vec![1]], torn: true });
        append_jsonl(&path, &[3]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[1]\n[3]\n");
    }

    #[test]
    fn a_whole_line_without_its_end_is_kept() {
        let (_dir, path) = path();
        std::fs::write(&path, "[1]\n[2]").unwrap();
        append_jsonl(&path, &[3]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[1]\n[2]\n[3]\n");
    }

    #[test]
    fn nonsense_in_the_middle_is_refused_with_its_line() {
        let (_dir, path) = path();
        std::fs::write(&path, "1\nx\n3\n").unwrap();
        assert!(matches!(read_jsonl::<u32>(&path), Err(ReportError::Json { line: 2, .. })));
    }

    #[test]
    fn what_is_no_file_is_written_to_and_stays_what_it_is() {
        let (dir, _) = path();
        // A link to a device, so that a wrong answer replaces no device.
        let device = dir.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &device).unwrap();
        write_text(&device, "one").unwrap();
        assert!(device.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(write_text(dir.path(), "one").is_err(), "a folder is an error");
    }

    #[test]
    fn a_text_file_is_replaced_whole() {
        let (_dir, path) = path();
        write_text(&path, "one").unwrap();
        write_text(&path, "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }
}
