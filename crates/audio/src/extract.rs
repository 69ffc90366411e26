//! From a corpus on disk to MFCCs in memory or in a cache, in parallel, keeping what has not changed.
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sottovoce_types::{Digest, FeatureSpec, Utterance};

use crate::{CacheError, CacheInfo, Clip, DecodeError, Mfcc, Scan, SpecError, cache, decode_bytes, trim_silence};

/// What is done to the audio before the features; part of a cache's identity.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExtractOptions {
    /// Cut silence at both ends that is this many decibels below the loudest frame (30 is usual); nothing is cut where
    /// this is absent.
    pub trim_db: Option<f64>,
}

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
    /// Utterances whose audio had not changed since the last time.
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
/// same spec and options, are not decoded again; a cache made otherwise is replaced; a file that is not a cache is left
/// alone and is an error. A clip that cannot be read is reported and the rest are kept. `progress` is told (done, total)
/// from several threads.
///
/// # Errors
/// [`ExtractError`] if the spec cannot be followed, if no clip could be read, or if the cache cannot be written.
pub fn extract(
    scan: &Scan,
    features: &FeatureSpec,
    options: &ExtractOptions,
    out: &Path,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<ExtractReport, ExtractError> {
    let info = CacheInfo { features: features.clone(), options: *options, kind: scan.kind, synthetic: scan.synthetic };
    let old = previous(out, &info)?;
    let known: HashMap<Digest, &Utterance> = old.iter().flatten().map(|u| (u.sha256, u)).collect();
    let reused = AtomicUsize::new(0);
    let Extracted { utterances, failed } = run(scan, features, options, progress, &|sha256| {
        let found = known.get(sha256).map(|u| u.mfcc.clone());
        reused.fetch_add(usize::from(found.is_some()), Ordering::Relaxed);
        found
    })?;
    let reused = reused.into_inner();
    let report = ExtractReport { written: utterances.len() - reused, reused, failed };
    if old.as_ref() != Some(&utterances) {
        cache::write(out, &info, &utterances)?;
    }
    Ok(report)
}

/// Extracts a scanned corpus to memory; otherwise as [`extract`].
///
/// # Errors
/// [`ExtractError`] if the spec cannot be followed or no clip could be read.
pub fn extract_to_memory(
    scan: &Scan,
    features: &FeatureSpec,
    options: &ExtractOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Extracted, ExtractError> {
    run(scan, features, options, progress, &|_| None)
}

/// Decodes every clip and returns those that cannot be read, each with its error.
pub fn unreadable(scan: &Scan, progress: &(dyn Fn(usize, usize) + Sync)) -> Vec<Failed> {
    let done = AtomicUsize::new(0);
    let check = |clip: &Clip| {
        let failed = crate::decode(&clip.path).err().map(|error| Failed { path: clip.path.clone(), error });
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, scan.clips.len());
        failed
    };
    scan.clips.par_iter().filter_map(check).collect()
}

/// The utterances of an earlier cache that may be reused: none if there is no cache, or one made otherwise.
fn previous(out: &Path, info: &CacheInfo) -> Result<Option<Vec<Utterance>>, CacheError> {
    if !out.exists() {
        return Ok(None);
    }
    match cache::read(out, &info.features, &info.options) {
        Ok((found, utterances)) if found == *info => Ok(Some(utterances)),
        // Ours by its attributes, but of no use here: it is replaced once the new one is whole.
        Ok(_)
        | Err(
            CacheError::OtherSpec { .. }
            | CacheError::Version { .. }
            | CacheError::Damaged { .. }
            | CacheError::Hdf5 { .. },
        ) => Ok(None),
        Err(e) => Err(e),
    }
}

fn run(
    scan: &Scan,
    features: &FeatureSpec,
    options: &ExtractOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
    reuse: &(dyn Fn(&Digest) -> Option<Vec<f32>> + Sync),
) -> Result<Extracted, ExtractError> {
    let mfcc = Mfcc::new(features)?;
    let done = AtomicUsize::new(0);
    let one = |clip: &Clip| {
        let result = utterance(clip, &mfcc, options, reuse);
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, scan.clips.len());
        result.map_err(|error| Failed { path: clip.path.clone(), error })
    };
    let results: Vec<Result<Utterance, Failed>> = scan.clips.par_iter().map(one).collect();
    let mut extracted = Extracted { utterances: Vec::with_capacity(results.len()), failed: Vec::new() };
    for result in results {
        match result {
            Ok(utterance) => extracted.utterances.push(utterance),
            Err(failed) => extracted.failed.push(failed),
        }
    }
    if extracted.utterances.is_empty() && !extracted.failed.is_empty() {
        return Err(ExtractError::NothingReadable {
            clips: scan.clips.len(),
            first: extracted.failed.swap_remove(0).error,
        });
    }
    Ok(extracted)
}

fn utterance(
    clip: &Clip,
    mfcc: &Mfcc,
    options: &ExtractOptions,
    reuse: &(dyn Fn(&Digest) -> Option<Vec<f32>> + Sync),
) -> Result<Utterance, DecodeError> {
    let bytes = std::fs::read(&clip.path).map_err(|source| DecodeError::Io { path: clip.path.clone(), source })?;
    let sha256 = Digest::of(&bytes);
    let features = if let Some(features) = reuse(&sha256) {
        features
    } else {
        let signal = decode_bytes(bytes, &clip.path)?.at_rate(mfcc.spec().sample_rate_hz, &clip.path)?;
        let samples = match options.trim_db {
            Some(db) => trim_silence(&signal.samples, signal.sample_rate_hz, db),
            None => &signal.samples,
        };
        mfcc.compute(samples)
    };
    Ok(Utterance {
        path: clip.name.clone(),
        annotation: clip.annotation.clone(),
        sha256,
        width: mfcc.width(),
        mfcc: features,
    })
}
