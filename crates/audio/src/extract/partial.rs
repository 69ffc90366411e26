//! What an unfinished extraction has computed: small caches in a folder beside the cache, and a lock.
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use sottovoce_types::Utterance;

use super::ExtractError;
use crate::cache::{self, Reader, Temporary};
use crate::{CacheError, CacheInfo};

const LOCK: &str = "lock";

/// The folder `CACHE.partial`, held by this process alone.
pub(super) struct Partial {
    folder: PathBuf,
    /// Freed by the operating system when the process ends, however it ends.
    _lock: File,
    next: usize,
}

impl Partial {
    /// Makes the folder of the cache at `out`, or takes over what a killed process left.
    pub(super) fn claim(out: &Path) -> Result<Self, ExtractError> {
        let mut name = out.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let folder = out.with_file_name(name);
        let io = |action| {
            let path = folder.clone();
            move |source| CacheError::Io { path, action, source }
        };
        fs::create_dir_all(&folder).map_err(io("make the folder of unfinished work"))?;
        let lock = File::create(folder.join(LOCK)).map_err(io("make the lock of unfinished work"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ExtractError::Busy { path: out.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io("lock unfinished work")(source).into()),
        }
        Temporary::remove_left_over(out);
        Ok(Self { folder, _lock: lock, next: 0 })
    }

    /// Gives `take` the parts that a killed extraction left and that were made as `info` says, one at a time; removes others.
    pub(super) fn take_over(&mut self, info: &CacheInfo, mut take: impl FnMut(PathBuf, Reader)) {
        let mut parts: Vec<PathBuf> =
            fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        parts.retain(|path| path.file_name().is_some_and(|name| name != LOCK));
        parts.sort();
        for path in parts {
            match Reader::open(&path) {
                Ok(part) if part.info().features == info.features => {
                    let number = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok());
                    self.next = self.next.max(number.unwrap_or(0) + 1);
                    take(path, part);
                }
                // Of another spec, or not whole: what cannot be removed is in nobody's way.
                _ => drop(fs::remove_file(&path)),
            }
        }
    }

    /// Makes `computed` durable; returns where.
    pub(super) fn commit(&mut self, info: &CacheInfo, computed: &[Utterance]) -> Result<PathBuf, CacheError> {
        let path = self.folder.join(format!("{:06}.h5", self.next));
        self.next += 1;
        cache::write(&path, info, computed)?;
        Ok(path)
    }

    /// Removes the folder where it holds no part.
    pub(super) fn remove_if_empty(self) {
        let only_lock = fs::read_dir(&self.folder).is_ok_and(|entries| entries.count() == 1);
        if only_lock {
            self.remove();
        }
    }

    /// Removes the folder: the cache holds all that it held.
    pub(super) fn remove(self) {
        // What cannot be removed is taken over, or removed, by the next extraction.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
