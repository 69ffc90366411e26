//! Files that are there whole, or not at all, after a crash.
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// What a file needs of the system to become durable. [`SystemDisk`] is the real one; a test gives a journal one that writes down each
/// operation, so as to lose what a power cut would lose ([`SqliteJournal::open_on`](crate::SqliteJournal::open_on)).
pub trait Disk: Send {
    /// Makes a file with this content, or replaces what it held. Until it is synced, a power cut may leave any part of it.
    ///
    /// # Errors
    /// What the system says.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Makes a file's content durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another's name in the same directory. Until the directory is synced, a power cut may undo it.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes a directory's names durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_directory(&self, dir: &Path) -> io::Result<()>;
}

/// The system's own disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::write(path, bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        // For writing: some systems sync no file that was opened for reading only.
        File::options().write(true).open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_directory(&self, dir: &Path) -> io::Result<()> {
        // Elsewhere a directory cannot be opened as a file, and a rename is durable by the file system's own journal.
        if cfg!(unix) {
            let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    }
}

/// Writes beside `path`, syncs, renames, syncs the directory: whenever the power goes, `path` is the old file or the new one.
pub(crate) fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    disk.write(&part, bytes)?;
    disk.sync(&part)?;
    disk.rename(&part, path)?;
    disk.sync_directory(path.parent().unwrap_or(Path::new(".")))
}
