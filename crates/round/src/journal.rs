//! What must be durable before anything leaves: the journal of each role.
//!
//! One [`Entry`] is one durable transaction: the event and the ledger entry that belongs to it are written together or
//! not at all. The engines hand entries out by `poll_persist`, and nothing by `poll_transmit` before those are taken.
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sottovoce_dp::LedgerEntry;
use sottovoce_secagg::chunks::{ChunkTree, chunk_range};
use sottovoce_types::{AttemptId, ClientId, Digest, FlatParams, ParamLayout, RoundId, RoundRecord, RunId};

use crate::audit::{KEPT_ROUNDS, Keep, KeptRound, ShownChunk};
use crate::receipt::SignedReceipt;
use crate::server::ServerState;

/// One durable transaction.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// What happened.
    pub event: JournalEvent,
    /// What it did to the privacy ledger.
    pub ledger: Option<LedgerEntry>,
}

/// What a role must remember across a crash.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "run, round, attempt and model mean the same in every variant")]
pub enum JournalEvent {
    /// Coordinator: a run began from this model.
    RunStarted { run: RunId, plan: Digest, seed_model: Digest },
    /// Coordinator: clients are about to be asked to train from this model.
    AttemptOpened { run: RunId, round: RoundId, attempt: AttemptId, model: Digest },
    /// Coordinator: it has these clients' masked inputs. It says so to each when it next greets it.
    InputsReceived { run: RunId, round: RoundId, attempt: AttemptId, clients: Vec<Digest> },
    /// Coordinator: the unmask request is about to leave; the cost is spent whatever happens next.
    Debited { run: RunId, round: RoundId, attempt: AttemptId, survivors: Digest },
    /// Coordinator: this model was published; `state` is the digest of what the server carries on beside it, if anything, and
    /// `result` that of what clients are sent.
    Published {
        run: RunId,
        round: RoundId,
        attempt: AttemptId,
        model: Digest,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<Digest>,
        result: Digest,
        record: Box<RoundRecord>,
    },
    /// Coordinator: the attempt ended without a model.
    AttemptAborted { run: RunId, round: RoundId, attempt: AttemptId, reason: String },
    /// Coordinator: no further round follows.
    RunFinished { run: RunId },
    /// Client: it takes part in this attempt, and in no earlier one any more.
    Joined { run: RunId, round: RoundId, attempt: AttemptId, config: Digest },
    /// Client: its masked input is about to leave; from here on its privacy cost counts as spent.
    InputReserved { run: RunId, round: RoundId, attempt: AttemptId },
    /// Client: it signs this survivor set, and for this attempt no other, for ever.
    SurvivorsSigned { run: RunId, round: RoundId, attempt: AttemptId, survivors: Digest },
    /// Client: it opens its shares for this survivor set, and for this attempt no other, for ever.
    /// `receipt` is what it says of the noise in that sum; none without DP, and in journals from before there were receipts.
    OpeningCharged {
        run: RunId,
        round: RoundId,
        attempt: AttemptId,
        survivors: Digest,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<Box<SignedReceipt>>,
    },
}

/// An entry on its way to the journal, with what must be durable before it.
#[derive(Clone, PartialEq, Debug)]
pub struct Persist {
    /// The transaction.
    pub entry: Entry,
    /// Parameters that `Published` or `RunStarted` speak of: written and fsynced before the entry.
    pub checkpoint: Option<FlatParams>,
    /// What the server carries on beside the model that `Published` speaks of: written and fsynced before the entry.
    pub state: Option<ServerState>,
    /// What clients are sent when `Published` speaks of it: durable in the same transaction.
    pub result: Option<PublishedResult>,
}

/// What clients are sent of a published round, kept for those that were away: the encoding of a [`crate::RoundResult`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublishedResult(Bytes);

impl PublishedResult {
    /// Of these bytes.
    pub fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The encoding.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Its hash, which the journal's entry holds.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl Persist {
    /// An entry without a checkpoint.
    pub fn entry(event: JournalEvent, ledger: Option<LedgerEntry>) -> Self {
        Self { entry: Entry { event, ledger }, checkpoint: None, state: None, result: None }
    }
}

/// Durable storage of entries; `store` implements it on SQLite, tests in memory.
pub trait Journal {
    /// Makes one transaction durable before it returns.
    ///
    /// # Errors
    /// When it could not be made durable: nothing that depends on it may then leave.
    fn append(&mut self, persist: &Persist) -> Result<(), JournalError>;

    /// All entries, oldest first.
    ///
    /// # Errors
    /// When they cannot be read or fail their integrity check.
    fn replay(&self) -> Result<Vec<Entry>, JournalError>;

    /// The parameters of a model that was persisted beside an entry.
    ///
    /// # Errors
    /// When there is no such checkpoint, or it is not the model it claims to be.
    fn checkpoint(&self, model: Digest, layout: &Arc<ParamLayout>) -> Result<FlatParams, JournalError>;

    /// The server's state of this digest that was persisted beside an entry.
    ///
    /// # Errors
    /// When there is no such state, or it is not the one it claims to be.
    fn server_state(&self, state: Digest) -> Result<ServerState, JournalError>;

    /// What clients were sent of a published round of the newest run.
    ///
    /// # Errors
    /// When that round was not published, or what is kept is not what the entry says.
    fn result(&self, round: RoundId) -> Result<PublishedResult, JournalError>;

    /// Keeps what an audit may ask for. A coordinator's journal does; a site's has nothing to keep, and says so.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn keep(&mut self, keep: &Keep) -> Result<(), JournalError> {
        let (Keep::Input { round, .. } | Keep::Round { round, .. }) = keep;
        Err(JournalError::Inputs { round: round.0, what: "cannot be kept: this journal keeps none" })
    }

    /// What is kept of a published round; `None` when it is gone, or was never kept.
    ///
    /// # Errors
    /// When it cannot be read.
    fn kept_round(&self, _round: RoundId) -> Result<Option<KeptRound>, JournalError> {
        Ok(None)
    }

    /// A chunk of a kept input with its path; `None` when there is no such chunk, or it is gone.
    ///
    /// # Errors
    /// When it cannot be read.
    fn kept_chunk(
        &self,
        _round: RoundId,
        _attempt: AttemptId,
        _client: ClientId,
        _chunk: u32,
    ) -> Result<Option<ShownChunk>, JournalError> {
        Ok(None)
    }
}

/// Why a journal failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process writes to it.
    #[error("the journal {place} is in use by another process: stop that one first, one writer only")]
    Locked {
        /// Where it is.
        place: String,
    },
    /// It was changed, cut or mixed with another one.
    #[error(
        "the journal {place} fails its integrity check at entry {entry}: {what}; restore it from a copy or start a new state"
    )]
    Corrupt {
        /// Where it is.
        place: String,
        /// Which entry.
        entry: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A checkpoint is missing or is not the model that it claims to be.
    #[error("the checkpoint of model {model} {what}")]
    Checkpoint {
        /// Which model.
        model: Digest,
        /// What is wrong.
        what: &'static str,
    },
    /// A server's state is missing or is not the one that it claims to be.
    #[error("the server's state {state} {what}")]
    ServerState {
        /// Its digest.
        state: Digest,
        /// What is wrong.
        what: &'static str,
    },
    /// A published result is missing or is not the one that it claims to be.
    #[error("the result of round {round} {what}")]
    Result {
        /// Which round.
        round: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Masked inputs that are to be kept for audits.
    #[error("the masked inputs of round {round} {what}")]
    Inputs {
        /// Which round.
        round: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The storage below failed.
    #[error("the journal {place} cannot be written or read")]
    Storage {
        /// Where it is.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A journal in memory: for simulations and tests, gone with the process.
#[derive(Debug, Default, Clone)]
pub struct MemoryJournal {
    entries: Vec<Entry>,
    checkpoints: std::collections::BTreeMap<Digest, FlatParams>,
    states: std::collections::BTreeMap<Digest, ServerState>,
    results: std::collections::BTreeMap<RoundId, PublishedResult>,
    inputs: std::collections::BTreeMap<(RoundId, AttemptId, ClientId), (Bytes, ChunkTree)>,
    kept: std::collections::BTreeMap<RoundId, KeptRound>,
}

impl MemoryJournal {
    /// The checkpoints by model hash.
    pub fn checkpoints(&self) -> &std::collections::BTreeMap<Digest, FlatParams> {
        &self.checkpoints
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Journal for MemoryJournal {
    fn append(&mut self, persist: &Persist) -> Result<(), JournalError> {
        if let Some(params) = &persist.checkpoint {
            self.checkpoints.insert(params.digest(), params.clone());
        }
        if let Some(state) = &persist.state {
            self.states.insert(state.digest(), state.clone());
        }
        if let (JournalEvent::Published { round, .. }, Some(result)) = (&persist.entry.event, &persist.result) {
            self.results.insert(*round, result.clone());
        }
        self.entries.push(persist.entry.clone());
        Ok(())
    }

    fn replay(&self) -> Result<Vec<Entry>, JournalError> {
        Ok(self.entries.clone())
    }

    fn checkpoint(&self, model: Digest, _layout: &Arc<ParamLayout>) -> Result<FlatParams, JournalError> {
        self.checkpoints.get(&model).cloned().ok_or(JournalError::Checkpoint { model, what: "is missing" })
    }

    fn server_state(&self, state: Digest) -> Result<ServerState, JournalError> {
        self.states.get(&state).cloned().ok_or(JournalError::ServerState { state, what: "is missing" })
    }

    fn result(&self, round: RoundId) -> Result<PublishedResult, JournalError> {
        self.results.get(&round).cloned().ok_or(JournalError::Result { round: round.0, what: "is missing" })
    }

    fn keep(&mut self, keep: &Keep) -> Result<(), JournalError> {
        match keep {
            Keep::Input { round, attempt, client, words, leaves } => {
                self.inputs.retain(|(r, a, _), _| r != round || a == attempt);
                let tree = ChunkTree::of_leaves(leaves.clone());
                self.inputs.insert((*round, *attempt, *client), (words.clone(), tree));
            }
            Keep::Round { round, kept } => {
                self.kept.insert(*round, kept.clone());
                self.kept.retain(|r, _| r.0.saturating_add(KEPT_ROUNDS) > round.0);
                self.inputs.retain(|(r, ..), _| r.0.saturating_add(KEPT_ROUNDS) > round.0);
            }
        }
        Ok(())
    }

    fn kept_round(&self, round: RoundId) -> Result<Option<KeptRound>, JournalError> {
        Ok(self.kept.get(&round).cloned())
    }

    fn kept_chunk(
        &self,
        round: RoundId,
        attempt: AttemptId,
        client: ClientId,
        chunk: u32,
    ) -> Result<Option<ShownChunk>, JournalError> {
        let shown = |(words, tree): &(Bytes, ChunkTree)| {
            let index = usize::try_from(chunk).ok()?;
            let words = words.as_chunks::<8>().0;
            let words = words.get(chunk_range(index, words.len())?)?;
            let words = words.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
            Some(ShownChunk { words, path: tree.path(index)? })
        };
        Ok(self.inputs.get(&(round, attempt, client)).and_then(shown))
    }
}
