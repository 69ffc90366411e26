//! What a client remembers of earlier attempts, across restarts.
use std::collections::{BTreeMap, BTreeSet};

use sottovoce_types::{AttemptId, Digest, RoundId, RunId};

use crate::journal::{Entry, JournalEvent};
use crate::session::LedgerPoint;

/// The highest attempt joined in each run, the inputs let go, and the survivor sets answered.
#[derive(Default)]
pub(super) struct Memory {
    joined: BTreeMap<RunId, (RoundId, AttemptId)>,
    answered: BTreeMap<LedgerPoint, Digest>,
    /// Attempts for which a masked input was let go.
    inputs: BTreeSet<LedgerPoint>,
}

impl Memory {
    pub(super) fn of(history: &[Entry]) -> Self {
        let mut memory = Self::default();
        for entry in history {
            match &entry.event {
                JournalEvent::Joined { run, round, attempt, .. } => {
                    memory.join(LedgerPoint { run: *run, round: *round, attempt: *attempt });
                }
                JournalEvent::SurvivorsSigned { run, round, attempt, survivors }
                | JournalEvent::OpeningCharged { run, round, attempt, survivors, .. } => {
                    let point = LedgerPoint { run: *run, round: *round, attempt: *attempt };
                    memory.answered.entry(point).or_insert(*survivors);
                }
                JournalEvent::InputReserved { run, round, attempt } => {
                    memory.let_go(LedgerPoint { run: *run, round: *round, attempt: *attempt });
                }
                _ => {}
            }
        }
        memory
    }

    /// Whether this attempt is newer than every one joined in its run.
    pub(super) fn is_new(&self, point: LedgerPoint) -> bool {
        self.joined.get(&point.run).is_none_or(|&last| (point.round, point.attempt) > last)
    }

    pub(super) fn join(&mut self, point: LedgerPoint) {
        let last = self.joined.entry(point.run).or_default();
        *last = (*last).max((point.round, point.attempt));
    }

    /// Notes that a masked input is about to leave.
    pub(super) fn let_go(&mut self, point: LedgerPoint) {
        self.inputs.insert(point);
    }

    /// Whether a masked input left for this attempt, as far as this site's journal knows.
    pub(super) fn sent(&self, point: LedgerPoint) -> bool {
        self.inputs.contains(&point)
    }

    /// Notes the survivor set of an attempt; `false` when another one was answered before.
    pub(super) fn answer(&mut self, point: LedgerPoint, survivors: Digest) -> bool {
        *self.answered.entry(point).or_insert(survivors) == survivors
    }
}
