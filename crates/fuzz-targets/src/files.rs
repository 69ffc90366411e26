//! Targets that read files: what stands in them is text or records that somebody may have edited.
use std::io::Write as _;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sottovoce_dp::LedgerEntry;
use sottovoce_round::{Entry, Evidence, Heard, JoinRequest, Manifest, compare};
use sottovoce_store::Witness;
use sottovoce_transcript::Transcript;

use crate::Accepted;

/// What reads from JSON reads back from what it writes.
fn json<T: Serialize + DeserializeOwned + PartialEq>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let text = serde_json::to_vec(&value).expect("what was read can be written");
    let back: T = serde_json::from_slice(&text).expect("what was written can be read");
    assert!(back == value, "a value changes when it is written and read");
    Some(value)
}

/// The text of a journal's entry.
pub(crate) fn journal_row(bytes: &[u8]) -> Accepted {
    json::<Entry>(bytes).is_some()
}

/// The text of a ledger's entry.
pub(crate) fn ledger_row(bytes: &[u8]) -> Accepted {
    json::<LedgerEntry>(bytes).is_some()
}

/// `state.head` of a state directory, and the check of the signature that it holds.
pub(crate) fn witness(bytes: &[u8]) -> Accepted {
    let Some(witness) = json::<Witness>(bytes) else { return false };
    let _ = witness.seal_holds();
    true
}

/// A manifest's content; as JSON here, the same fields as in its TOML. Whatever reads has no identity twice.
pub(crate) fn manifest(bytes: &[u8]) -> Accepted {
    let Some(manifest) = json::<Manifest>(bytes) else { return false };
    assert_eq!(manifest.keys().len(), manifest.members().len(), "one identity is two members");
    let signers: std::collections::BTreeSet<_> = manifest.endorsed_by().collect();
    assert_eq!(signers.len(), manifest.endorsed_by().count(), "one signer counts twice");
    true
}

/// A site's request to be let in. Whoever it lets in is the one whose key signed it.
pub(crate) fn join_request(bytes: &[u8]) -> Accepted {
    let Some(request) = json::<JoinRequest>(bytes) else { return false };
    request.verify().is_ok()
}

/// A line of a site's statements, and a piece of evidence: checked against a manifest that nobody of it is in.
pub(crate) fn evidence(bytes: &[u8]) -> Accepted {
    if let Some(heard) = json::<Heard>(bytes) {
        assert!(compare(&[heard, heard]).is_empty(), "one statement contradicts itself");
        return true;
    }
    json::<Evidence>(bytes).is_some()
}

/// A transcript's file.
pub(crate) fn transcript(bytes: &[u8]) -> Accepted {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    let Ok(transcript) = Transcript::read(file.path()) else { return false };
    assert!(transcript.len() <= bytes.len(), "more records than bytes");
    let _ = (transcript.coordinator(), transcript.network(), transcript.released());
    transcript.torn().is_none()
}
