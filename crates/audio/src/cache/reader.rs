//! A cache opened: its index in memory, its features read utterance by utterance.
use std::path::{Path, PathBuf};

use sottovoce_types::Utterance;

use super::index::{self, Columns, Entry};
use super::{CacheError, CacheInfo, attributes, hdf5_error, seal};

/// An open cache whose seal holds. Features are read one utterance at a time, so a large cache costs no more memory than its
/// index.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    info: CacheInfo,
    entries: Vec<Entry>,
    offsets: Vec<usize>,
    mfcc: hdf5::Dataset,
}

impl Reader {
    /// Opens a cache.
    ///
    /// # Errors
    /// [`CacheError`] if the file is not a cache, is of another version, or is damaged.
    pub fn open(path: &Path) -> Result<Self, CacheError> {
        seal::check(path)?;
        let file = hdf5::File::open(path).map_err(|e| hdf5_error(path, "open the cache", &e))?;
        let info = attributes::read(&file, path)?;
        let damaged = |what| CacheError::Damaged { path: path.to_owned(), what };
        let columns = Columns::load(&file).map_err(|e| hdf5_error(path, "read the index", &e))?;
        let entries = columns.entries().map_err(damaged)?;
        let mfcc = file.dataset("mfcc").map_err(|e| hdf5_error(path, "open /mfcc", &e))?;
        let (offsets, total) =
            index::offsets(&entries).ok_or_else(|| damaged("/index/frames holds numbers that are too large"))?;
        if mfcc.shape() != [total, info.features.width()] {
            return Err(damaged("/mfcc does not have the shape that /index and the spec say"));
        }
        Ok(Self { path: path.to_owned(), info, entries, offsets, mfcc })
    }

    /// What the cache was made from.
    pub fn info(&self) -> &CacheInfo {
        &self.info
    }

    /// Its utterances, without their features.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Features `[frames, width]` of entry `i`.
    ///
    /// # Errors
    /// [`CacheError::Hdf5`] if the file was changed since it was opened.
    pub fn features(&self, i: usize) -> Result<Vec<f32>, CacheError> {
        let (entry, start) = (&self.entries[i], self.offsets[i]);
        let rows = self.mfcc.read_slice_2d::<f32, _>((start..start + entry.frames, ..));
        let rows = rows.map_err(|e| hdf5_error(&self.path, "read /mfcc", &e))?;
        Ok(rows.into_raw_vec_and_offset().0)
    }

    /// Everything, in memory.
    ///
    /// # Errors
    /// As [`Self::features`].
    pub fn read_all(self) -> Result<(CacheInfo, Vec<Utterance>), CacheError> {
        let width = self.info.features.width();
        let utterance = |(i, entry): (usize, &Entry)| {
            Ok(Utterance {
                path: entry.path.clone(),
                annotation: entry.annotation.clone(),
                sha256: entry.sha256,
                width,
                mfcc: self.features(i)?,
            })
        };
        let utterances = self.entries.iter().enumerate().map(utterance).collect::<Result<_, CacheError>>()?;
        Ok((self.info, utterances))
    }
}
