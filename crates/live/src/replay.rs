//! What a journal says of a run, for a coordinator that was started again.
use sottovoce_round::{Entry, JournalEvent};
use sottovoce_types::{AttemptId, RoundId, RoundRecord};

use crate::board::Board;

impl Board {
    /// Folds in what happened before this start, oldest first. `evaluated` are records of `rounds.jsonl`: what an evaluation
    /// added to one is shown, and all else is taken from the journal.
    pub fn replay(&mut self, entries: &[Entry], evaluated: &[RoundRecord]) {
        let mut open: Option<(RoundId, AttemptId)> = None;
        for Entry { event, .. } in entries {
            match event {
                JournalEvent::AttemptOpened { round, attempt, .. } => {
                    self.cut_off(open.replace((*round, *attempt)));
                    self.attempts = self.attempts.saturating_add(1);
                }
                JournalEvent::Published { record, .. } => {
                    open = None;
                    let of = |r: &&RoundRecord| r.round == record.round && r.model_sha256 == record.model_sha256;
                    let mut record = RoundRecord::clone(record);
                    record.metrics = evaluated.iter().find(of).and_then(|r| r.metrics.clone()).or(record.metrics);
                    self.published(&record);
                }
                JournalEvent::AttemptAborted { round, attempt, reason, .. } => {
                    open = None;
                    self.gave_up(*round, *attempt, reason, None);
                }
                JournalEvent::RunFinished { .. } if self.published >= self.about.rounds => {
                    self.finished("completed: all rounds are published".to_owned());
                }
                _ => {}
            }
        }
        self.cut_off(open);
    }

    /// An attempt that nothing ended: the process did.
    fn cut_off(&mut self, attempt: Option<(RoundId, AttemptId)>) {
        if let Some((round, attempt)) = attempt {
            self.gave_up(round, attempt, "the coordinator ended before it did", None);
        }
    }
}
