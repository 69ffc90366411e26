//! Features that need not be computed again, by the digest of their recording.
use std::collections::HashMap;
use std::path::PathBuf;

use sottovoce_types::Digest;

use crate::CacheError;
use crate::cache::Reader;

/// Where the features of a recording lie.
#[derive(Clone, Copy)]
struct Place {
    cache: usize,
    entry: usize,
    frames: usize,
}

/// Files are open two at most, however many parts there are: the cache from before, and the part read last.
#[derive(Default)]
pub(super) struct Known {
    before: Option<Reader>,
    parts: Vec<PathBuf>,
    open: Option<(usize, Reader)>,
    places: HashMap<Digest, Place>,
}

impl Known {
    /// What the cache from before holds, if there is one, and nothing else yet.
    pub(super) fn new(before: Option<Reader>) -> Self {
        let mut known = Self::default();
        if let Some(reader) = &before {
            known.index(reader, 0);
        }
        known.before = before;
        known
    }

    /// Adds what a part holds.
    pub(super) fn add(&mut self, path: PathBuf, part: Reader) {
        self.parts.push(path);
        let cache = self.parts.len();
        self.index(&part, cache);
        self.open = Some((cache, part));
    }

    /// The cache from before.
    pub(super) fn before(&self) -> Option<&Reader> {
        self.before.as_ref()
    }

    /// Frames of a recording's features, if they are known.
    pub(super) fn frames(&self, recording: &Digest) -> Option<usize> {
        self.places.get(recording).map(|place| place.frames)
    }

    /// Features of a recording that was added.
    pub(super) fn features(&mut self, recording: &Digest) -> Result<Vec<f32>, CacheError> {
        let &Place { cache, entry, .. } =
            self.places.get(recording).expect("asked only for recordings that were added");
        if let (0, Some(before)) = (cache, &self.before) {
            return before.features(entry);
        }
        let part = match self.open.take() {
            Some((open, part)) if open == cache => part,
            _ => Reader::open(&self.parts[cache - 1])?,
        };
        self.open.insert((cache, part)).1.features(entry)
    }

    /// Notes where an opened cache's features lie: number 0 is the one from before, parts count from 1.
    fn index(&mut self, reader: &Reader, cache: usize) {
        for (entry, known) in reader.entries().iter().enumerate() {
            self.places.entry(known.sha256).or_insert(Place { cache, entry, frames: known.frames });
        }
    }
}
