//! Features that need not be computed again, by the digest of their recording.
use std::collections::HashMap;

use sottovoce_types::Digest;

use crate::CacheError;
use crate::cache::{Entry, Reader};

#[derive(Default)]
pub(super) struct Known {
    caches: Vec<Reader>,
    /// Recording to cache and entry.
    places: HashMap<Digest, (usize, usize)>,
}

impl Known {
    /// Adds what a cache holds.
    pub(super) fn add(&mut self, cache: Reader) {
        let number = self.caches.len();
        for (i, entry) in cache.entries().iter().enumerate() {
            self.places.entry(entry.sha256).or_insert((number, i));
        }
        self.caches.push(cache);
    }

    pub(super) fn caches(&self) -> &[Reader] {
        &self.caches
    }

    pub(super) fn entry(&self, recording: &Digest) -> Option<Entry> {
        let &(cache, i) = self.places.get(recording)?;
        Some(self.caches[cache].entries()[i].clone())
    }

    /// Features of a recording that was added.
    pub(super) fn features(&self, recording: &Digest) -> Result<Vec<f32>, CacheError> {
        let &(cache, i) = self.places.get(recording).expect("asked only for recordings that were added");
        self.caches[cache].features(i)
    }
}
