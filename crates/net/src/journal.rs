//! Appending to a journal without blocking the runtime.
use bytes::Bytes;
use sottovoce_round::{AuditRequest, Journal, JournalError, Keep, Persist, audit_answer};
use sottovoce_types::RoundId;

use crate::error::NetError;

/// Makes one entry durable on a blocking thread, and returns only then.
///
/// The journal is moved to that thread and back, so that no lock is needed. `slot` is left empty when the journal
/// panicked: it must not be used again.
pub(crate) async fn append(slot: &mut Option<Box<dyn Journal + Send>>, persist: Persist) -> Result<(), NetError> {
    let mut journal = slot.take().ok_or(NetError::Panicked)?;
    let (journal, appended) = tokio::task::spawn_blocking(move || {
        let appended = journal.append(&persist);
        (journal, appended)
    })
    .await
    .map_err(|_| NetError::Panicked)?;
    *slot = Some(journal);
    Ok(appended?)
}

/// Reads a published result on a blocking thread, as [`append`] writes.
pub(crate) async fn recall(slot: &mut Option<Box<dyn Journal + Send>>, round: RoundId) -> Result<Bytes, NetError> {
    let journal = slot.take().ok_or(NetError::Panicked)?;
    let (journal, result) = tokio::task::spawn_blocking(move || {
        let result = journal.result(round);
        (journal, result)
    })
    .await
    .map_err(|_| NetError::Panicked)?;
    *slot = Some(journal);
    Ok(result?.bytes().clone())
}

/// Keeps what an audit may ask for, on a blocking thread.
pub(crate) async fn keep(slot: &mut Option<Box<dyn Journal + Send>>, keep: Keep) -> Result<(), NetError> {
    on_journal(slot, move |journal| journal.keep(&keep)).await
}

/// Reads the answer to a part of an audit, on a blocking thread.
pub(crate) async fn answer_audit(
    slot: &mut Option<Box<dyn Journal + Send>>,
    (round, request): (RoundId, AuditRequest),
) -> Result<Bytes, NetError> {
    on_journal(slot, move |journal| audit_answer(journal, round, request)).await
}

async fn on_journal<T: Send + 'static>(
    slot: &mut Option<Box<dyn Journal + Send>>,
    work: impl FnOnce(&mut dyn Journal) -> Result<T, JournalError> + Send + 'static,
) -> Result<T, NetError> {
    let mut journal = slot.take().ok_or(NetError::Panicked)?;
    let (journal, done) = tokio::task::spawn_blocking(move || {
        let done = work(&mut *journal);
        (journal, done)
    })
    .await
    .map_err(|_| NetError::Panicked)?;
    *slot = Some(journal);
    Ok(done?)
}
