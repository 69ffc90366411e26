//! Files that are there whole, or not at all, after a crash.
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes beside `path`, fsyncs, renames, fsyncs the directory.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// Makes the directory's entries durable: without this a rename may be undone by a power cut.
pub(crate) fn sync_directory(dir: &Path) -> io::Result<()> {
    // Elsewhere a directory cannot be opened as a file, and a rename is durable by the file system's own journal.
    if cfg!(unix) {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}
