//! Writing a cache: to a file beside it, then to disk, then in its place.
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::ArrayView2;
use sottovoce_types::Utterance;

use super::index::{self, Entry};
use super::{CacheError, CacheInfo, attributes, hdf5_error, seal};

/// Writes a cache of `utterances`, replacing `path` only when the new file is whole and on disk (temporary file beside
/// it, fsync, rename, fsync of the folder).
///
/// # Errors
/// [`CacheError`] if the disk or HDF5 refuses, or if an utterance does not have the spec's width; `path` is then as it was.
pub fn write(path: &Path, info: &CacheInfo, utterances: &[Utterance]) -> Result<(), CacheError> {
    let wanted = info.features.width();
    if let Some(u) = utterances.iter().find(|u| u.width != wanted || !u.mfcc.len().is_multiple_of(wanted)) {
        let (path, utterance) = (path.to_owned(), u.path.clone());
        return Err(CacheError::Width { path, utterance, found: u.width, wanted });
    }
    let entries: Vec<Entry> = utterances.iter().map(Entry::of).collect();
    replace(path, info, &entries, |i| Ok(utterances[i].mfcc.clone()))
}

impl Entry {
    /// The entry of an utterance.
    pub(crate) fn of(utterance: &Utterance) -> Self {
        Self {
            path: utterance.path.clone(),
            annotation: utterance.annotation.clone(),
            sha256: utterance.sha256,
            frames: utterance.frames(),
        }
    }
}

/// [`write()`] with features asked for one utterance at a time, so that memory does not grow with the corpus.
pub(crate) fn replace(
    path: &Path,
    info: &CacheInfo,
    entries: &[Entry],
    features: impl FnMut(usize) -> Result<Vec<f32>, CacheError>,
) -> Result<(), CacheError> {
    let io = |action| move |source| CacheError::Io { path: path.to_owned(), action, source };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(io("make its folder"))?;
    let temporary = Temporary::beside(path, folder);
    fill(&temporary.0, path, info, entries, features)?;
    fs::File::open(&temporary.0).and_then(|f| f.sync_all()).map_err(io("flush the new cache to disk"))?;
    fs::rename(&temporary.0, path).map_err(io("replace the cache"))?;
    // The rename itself must survive a power cut.
    fs::File::open(folder).and_then(|f| f.sync_all()).map_err(io("flush its folder to disk"))
}

/// A file that is removed unless it was renamed away.
pub(crate) struct Temporary(PathBuf);

impl Temporary {
    fn beside(path: &Path, folder: &Path) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(folder.join(format!(".{name}.{}.{count}.tmp", std::process::id())))
    }

    /// Removes what processes that were killed while they wrote `path` left beside it. The caller holds the lock on `path`.
    pub(crate) fn remove_left_over(path: &Path) {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.strip_suffix(".tmp").is_some_and(|rest| rest.starts_with(&prefix)) {
                // One that cannot be removed does no harm.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename there is nothing to remove; after a failure a left-over does no harm.
        let _ = fs::remove_file(&self.0);
    }
}

fn fill(
    temporary: &Path,
    path: &Path,
    info: &CacheInfo,
    entries: &[Entry],
    mut features: impl FnMut(usize) -> Result<Vec<f32>, CacheError>,
) -> Result<(), CacheError> {
    let failed = |e: hdf5::Error| hdf5_error(path, "write the new cache", &e);
    let file = hdf5::File::with_options().with_fcpl(|p| p.userblock(seal::BLOCK)).create(temporary).map_err(failed)?;
    attributes::write(&file, info).map_err(failed)?;
    index::write(&file, entries).map_err(failed)?;
    let width = info.features.width();
    let (offsets, total) = index::offsets(entries).expect("rows that are in memory can be counted");
    let mfcc = file.new_dataset::<f32>().shape((total, width)).create("mfcc").map_err(failed)?;
    for (i, (entry, &start)) in entries.iter().zip(&offsets).enumerate() {
        let rows = features(i)?;
        let rows = ArrayView2::from_shape((entry.frames, width), &rows).expect("an entry says how many rows it has");
        if entry.frames > 0 {
            mfcc.write_slice(rows, (start..start + entry.frames, ..)).map_err(failed)?;
        }
    }
    drop(mfcc);
    file.flush().and_then(|()| file.close()).map_err(failed)?;
    seal::put(temporary).map_err(|source| CacheError::Io {
        path: path.to_owned(),
        action: "seal the new cache",
        source,
    })
}
