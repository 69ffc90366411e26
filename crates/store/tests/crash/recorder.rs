//! Writes down what a journal does to its files, and what its party lets go, in the order in which it happens.
use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sottovoce_store::{Disk, SystemDisk};
use sottovoce_wire::Frame;

use crate::power::Op;

/// SQLite's files, which it writes and syncs by itself, and the size of their headers and pieces: pages, and frames of the write-ahead log.
const SQLITE: [(&str, usize, usize); 2] = [("state.sqlite", 0, 4096), ("state.sqlite-wal", 32, 4096 + 24)];

/// What happened.
#[derive(Clone, Debug)]
pub enum Happened {
    Disk(Op),
    /// This left the process.
    Left(Frame),
    /// An append returned.
    Appended,
}

struct Record {
    happened: Vec<Happened>,
    /// Each of SQLite's files as last seen.
    seen: Vec<Option<Vec<u8>>>,
}

/// A system disk that keeps a record. Clones share it.
#[derive(Clone)]
pub struct Recorder {
    dir: PathBuf,
    record: Arc<Mutex<Record>>,
}

impl Recorder {
    pub fn new(dir: &Path) -> Self {
        let record = Record { happened: Vec::new(), seen: vec![None; SQLITE.len()] };
        Self { dir: dir.to_owned(), record: Arc::new(Mutex::new(record)) }
    }

    pub fn note(&self, happened: Happened) {
        self.look();
        self.record.lock().unwrap().happened.push(happened);
    }

    pub fn happened(&self) -> Vec<Happened> {
        self.look();
        self.record.lock().unwrap().happened.clone()
    }

    /// What SQLite did since the last look. That it syncs what it wrote before its call returns, and the directory with a new log, is
    /// what `synchronous = FULL` says.
    pub fn look(&self) {
        let mut record = self.record.lock().unwrap();
        // The log goes to the database, and then away.
        for (place, (name, header, piece)) in SQLITE.into_iter().enumerate() {
            let now = fs::read(self.dir.join(name)).ok();
            let before = std::mem::replace(&mut record.seen[place], now.clone());
            let mut ops = Vec::new();
            match (before, now) {
                (Some(_), None) => ops.push(Op::Remove(name.into())),
                (before, Some(now)) if before.as_ref() != Some(&now) => {
                    let made = before.is_none();
                    if made {
                        ops.push(Op::Create(name.into()));
                    }
                    let before = before.unwrap_or_default();
                    if now.len() < before.len() {
                        ops.push(Op::Truncate { file: name.into(), len: now.len() });
                    }
                    let mut at = 0;
                    while at < now.len() {
                        let end = now.len().min(if at < header { header } else { at + piece });
                        if before.get(at..end) != Some(&now[at..end]) {
                            ops.push(Op::Write { file: name.into(), at, bytes: now[at..end].to_vec() });
                        }
                        at = end;
                    }
                    ops.push(Op::Sync(name.into()));
                    if made && name.ends_with("-wal") {
                        ops.push(Op::SyncDirectory(String::new()));
                    }
                }
                _ => {}
            }
            record.happened.extend(ops.into_iter().map(Happened::Disk));
        }
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.dir).unwrap().to_str().unwrap().to_owned()
    }

    fn op(&self, op: Op) {
        self.note(Happened::Disk(op));
    }
}

impl Disk for Recorder {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.name(path);
        self.op(Op::Create(file.clone()));
        self.op(Op::Write { file, at: 0, bytes: bytes.to_vec() });
        SystemDisk.write(path, bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.op(Op::Sync(self.name(path)));
        SystemDisk.sync(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.op(Op::Rename { from: self.name(from), to: self.name(to) });
        SystemDisk.rename(from, to)
    }

    fn sync_directory(&self, dir: &Path) -> io::Result<()> {
        self.op(Op::SyncDirectory(self.name(dir)));
        SystemDisk.sync_directory(dir)
    }
}

/// A disk that refuses one operation, by its number from 0, and does every other.
pub struct Refusing {
    left: RefCell<usize>,
}

impl Refusing {
    pub fn after(operations: usize) -> Self {
        Self { left: RefCell::new(operations) }
    }

    fn next(&self) -> io::Result<()> {
        let left = self.left.replace_with(|left| left.wrapping_sub(1));
        if left == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for Refusing {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        // A full disk takes a part of it.
        self.next().or_else(|full| SystemDisk.write(path, &bytes[..bytes.len() / 2]).and(Err(full)))?;
        SystemDisk.write(path, bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.next()?;
        SystemDisk.sync(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.next()?;
        SystemDisk.rename(from, to)
    }

    fn sync_directory(&self, dir: &Path) -> io::Result<()> {
        self.next()?;
        SystemDisk.sync_directory(dir)
    }
}

/// A disk that syncs nothing: for states that are thrown away once they were looked at.
pub struct Hasty;

impl Disk for Hasty {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        SystemDisk.write(path, bytes)
    }

    fn sync(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn sync_directory(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
}
