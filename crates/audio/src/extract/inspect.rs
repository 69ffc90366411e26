//! What the recordings of a corpus are, as audio.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::{Failed, Progress};
use crate::{Clip, Scan};

/// All recordings of a corpus, decoded.
#[derive(Debug, Default)]
pub struct Inspection {
    /// Length of each clip that can be read, in the scan's order.
    pub seconds: Vec<f64>,
    /// Clips per sampling rate in Hz.
    pub sample_rates: BTreeMap<u32, usize>,
    /// Clips per number of channels.
    pub channels: BTreeMap<usize, usize>,
    /// Clips that cannot be read, each with its error.
    pub failed: Vec<Failed>,
}

impl Inspection {
    /// Hours of audio in all.
    pub fn hours(&self) -> f64 {
        self.seconds.iter().sum::<f64>() / 3600.0
    }
}

/// Decodes every clip.
pub fn inspect(scan: &Scan, progress: Progress<'_>) -> Inspection {
    let done = AtomicUsize::new(0);
    let one = |clip: &Clip| {
        let result = crate::decode(&clip.path)
            .map(|signal| (signal.seconds(), signal.sample_rate_hz, signal.channels))
            .map_err(|error| Failed { path: clip.path.clone(), error });
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, scan.clips.len());
        result
    };
    let results: Vec<Result<_, Failed>> = scan.clips.par_iter().map(one).collect();
    let mut inspection = Inspection::default();
    for result in results {
        match result {
            Ok((seconds, sample_rate_hz, channels)) => {
                inspection.seconds.push(seconds);
                *inspection.sample_rates.entry(sample_rate_hz).or_default() += 1;
                *inspection.channels.entry(channels).or_default() += 1;
            }
            Err(failed) => inspection.failed.push(failed),
        }
    }
    inspection
}
