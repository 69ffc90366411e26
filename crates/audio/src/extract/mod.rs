//! From a corpus on disk to features in memory or in a cache, in parallel, keeping what has not changed.
//!
//! Extraction to a cache commits what it has computed every [`BATCH`] clips, to small caches of the same format beside the
//! cache (`CACHE.partial/`). Killed and started again, it goes on from there; the old cache stays whole until the new one takes
//! its place. Memory holds one batch of features and the index, whatever the length of the recordings.
mod inspect;
mod known;
mod partial;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use sottovoce_types::{Digest, FeatureSpec, Utterance};

use crate::cache::{self, Entry, Reader};
use crate::{CacheError, CacheInfo, Clip, DecodeError, FrontEnd, Scan, SpecError, decode_bytes};

pub use inspect::{Inspection, inspect};
use known::Known;
use partial::Partial;

/// Clips between two commits: a fraction of a second of work, a few megabytes of features.
const BATCH: usize = 256;

/// Told (done, total) from several threads.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// A clip that gave no features, and why.
#[derive(Debug)]
pub struct Failed {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: DecodeError,
}

/// What extraction to a cache did.
#[derive(Debug)]
pub struct ExtractReport {
    /// Utterances whose features were computed.
    pub written: usize,
    /// Utterances whose audio had not changed since the last time, or that a killed extraction had already computed.
    pub reused: usize,
    /// Clips left out, each with its error.
    pub failed: Vec<Failed>,
}

/// What extraction to memory gave.
#[derive(Debug)]
pub struct Extracted {
    /// Features of the clips that could be read, in the scan's order.
    pub utterances: Vec<Utterance>,
    /// Clips left out, each with its error.
    pub failed: Vec<Failed>,
}

/// Extraction that gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// Another process extracts to the same cache.
    #[error("{path}: another extraction is writing this cache; wait for it, or name another file")]
    Busy {
        /// The cache.
        path: PathBuf,
    },
    /// The cache cannot be written, or something else lies in its place.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No clip could be read.
    #[error("none of the {clips} clips could be read; the first: {first}")]
    NothingReadable {
        /// Clips tried.
        clips: usize,
        /// The first one's error.
        #[source]
        first: DecodeError,
    },
    /// The feature spec cannot be followed.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

/// Extracts a scanned corpus to a cache at `out`. Clips whose SHA-256 an earlier cache there already holds, made with the
/// same spec, are not decoded again; a cache made otherwise is replaced; a file that is not a cache is left
/// alone and is an error. A clip that cannot be read is reported and the rest are kept.
///
/// # Errors
/// [`ExtractError`] if the spec cannot be followed, if no clip could be read, if another process extracts to `out`, or if the
/// cache cannot be written.
pub fn extract(
    scan: &Scan,
    features: &FeatureSpec,
    out: &Path,
    progress: Progress<'_>,
) -> Result<ExtractReport, ExtractError> {
    let front_end = FrontEnd::new(features)?;
    let info = CacheInfo {
        features: features.clone(),
        kind: scan.kind,
        label_source: scan.label_source,
        synthetic: scan.synthetic,
    };
    // Whatever lies at `out` is looked at when nobody else can be writing it.
    let mut partial = Partial::claim(out)?;
    let before = match previous(out, &info) {
        Ok(before) => before,
        Err(e) => {
            partial.remove_if_empty();
            return Err(e.into());
        }
    };
    let mut known = Known::new(before);
    partial.take_over(&info, |path, part| known.add(path, part));

    let mut entries: Vec<Entry> = Vec::with_capacity(scan.clips.len());
    let mut report = ExtractReport { written: 0, reused: 0, failed: Vec::new() };
    let done = AtomicUsize::new(0);
    for batch in scan.clips.chunks(BATCH) {
        let one = |clip: &Clip| {
            let result = one_clip(clip, &front_end, |sha256| known.frames(sha256));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, scan.clips.len());
            result
        };
        let results: Vec<Result<OneClip, Failed>> = batch.par_iter().map(one).collect();
        let mut computed = Vec::new();
        for result in results {
            match result {
                Ok(OneClip::Known(entry)) => {
                    report.reused += 1;
                    entries.push(entry);
                }
                Ok(OneClip::Computed(utterance)) => {
                    report.written += 1;
                    entries.push(Entry::of(&utterance));
                    computed.push(utterance);
                }
                Err(failed) => report.failed.push(failed),
            }
        }
        if !computed.is_empty() {
            let path = partial.commit(&info, &computed)?;
            let part = Reader::open(&path)?;
            known.add(path, part);
        }
    }
    if entries.is_empty() && !report.failed.is_empty() {
        partial.remove_if_empty();
        return Err(nothing_readable(scan, report.failed));
    }
    if known.before().is_none_or(|before| *before.info() != info || before.entries() != entries) {
        cache::replace(out, &info, &entries, |i| known.features(&entries[i].sha256))?;
    }
    drop(known);
    partial.remove();
    Ok(report)
}

/// Extracts a scanned corpus to memory; otherwise as [`extract`].
///
/// # Errors
/// [`ExtractError`] if the spec cannot be followed or no clip could be read.
pub fn extract_to_memory(
    scan: &Scan,
    features: &FeatureSpec,
    progress: Progress<'_>,
) -> Result<Extracted, ExtractError> {
    let front_end = FrontEnd::new(features)?;
    let done = AtomicUsize::new(0);
    let one = |clip: &Clip| {
        let result = one_clip(clip, &front_end, |_| None);
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, scan.clips.len());
        result
    };
    let results: Vec<Result<OneClip, Failed>> = scan.clips.par_iter().map(one).collect();
    let mut extracted = Extracted { utterances: Vec::with_capacity(results.len()), failed: Vec::new() };
    for result in results {
        match result {
            Ok(OneClip::Computed(utterance)) => extracted.utterances.push(utterance),
            Ok(OneClip::Known(_)) => {} // nothing is known beforehand
            Err(failed) => extracted.failed.push(failed),
        }
    }
    if extracted.utterances.is_empty() && !extracted.failed.is_empty() {
        return Err(nothing_readable(scan, extracted.failed));
    }
    Ok(extracted)
}

fn nothing_readable(scan: &Scan, mut failed: Vec<Failed>) -> ExtractError {
    ExtractError::NothingReadable { clips: scan.clips.len(), first: failed.swap_remove(0).error }
}

/// An earlier cache whose features may be reused: none if there is no cache, or one made otherwise.
fn previous(out: &Path, info: &CacheInfo) -> Result<Option<Reader>, CacheError> {
    if !out.exists() {
        return Ok(None);
    }
    match Reader::open(out) {
        Ok(found) => Ok(Some(found).filter(|found| found.info().features == info.features)),
        // Ours by its attributes, but of no use here: it is replaced once the new one is whole.
        Err(
            CacheError::Version { .. }
            | CacheError::OtherFrontEnd { .. }
            | CacheError::Damaged { .. }
            | CacheError::Hdf5 { .. },
        ) => Ok(None),
        Err(e) => Err(e),
    }
}

enum OneClip {
    Computed(Utterance),
    Known(Entry),
}

fn one_clip(
    clip: &Clip,
    front_end: &FrontEnd,
    frames_known: impl Fn(&Digest) -> Option<usize>,
) -> Result<OneClip, Failed> {
    let failed = |error| Failed { path: clip.path.clone(), error };
    let bytes =
        std::fs::read(&clip.path).map_err(|source| failed(DecodeError::Io { path: clip.path.clone(), source }))?;
    let sha256 = Digest::of(&bytes);
    let (path, annotation) = (clip.name.clone(), clip.annotation.clone());
    if let Some(frames) = frames_known(&sha256) {
        // What the corpus says may have changed though the recording has not.
        return Ok(OneClip::Known(Entry { path, annotation, sha256, frames }));
    }
    let signal = decode_bytes(bytes, &clip.path).map_err(failed)?;
    Ok(OneClip::Computed(Utterance {
        path,
        annotation,
        sha256,
        width: front_end.spec().width(),
        mfcc: front_end.features(&signal, &clip.path).map_err(failed)?,
    }))
}
