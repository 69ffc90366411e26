//! What clients were sent of each published round, in a file of its own, for those that were away.
use std::fs;
use std::io;
use std::path::Path;

use sottovoce_round::{JournalError, JournalEvent, PublishedResult};
use sottovoce_types::{Digest, RoundId};

use crate::journal::storage;

/// The directory of the results.
pub(crate) const RESULTS: &str = "results";

/// What clients were sent of a round that an entry speaks of, without taking the lock: for verifying a run.
///
/// # Errors
/// [`JournalError::Result`] when it is missing, or is not what the entry says.
pub fn read_result(dir: impl AsRef<Path>, event: &JournalEvent) -> Result<PublishedResult, JournalError> {
    let missing = JournalError::Result { round: 0, what: "is missing: the entry publishes none" };
    let (round, digest, file) = result_of(event).ok_or(missing)?;
    load_result(round, digest, &dir.as_ref().join(RESULTS).join(file))
}

/// What clients were sent of one round, from its file.
pub(crate) fn load_result(round: RoundId, digest: Digest, path: &Path) -> Result<PublishedResult, JournalError> {
    let wrong = |what| JournalError::Result { round: round.0, what };
    match fs::read(path) {
        Ok(bytes) => {
            let result = PublishedResult::new(bytes.into());
            if result.digest() == digest { Ok(result) } else { Err(wrong("is damaged")) }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(wrong("is missing")),
        Err(e) => Err(storage(path, e.into())),
    }
}

/// The result that an entry makes durable, its hash, and the name of its file.
pub(crate) fn result_of(event: &JournalEvent) -> Option<(RoundId, Digest, String)> {
    match event {
        JournalEvent::Published { round, result, .. } => {
            Some((*round, *result, format!("round-{:04}.result", round.0)))
        }
        _ => None,
    }
}
