//! From a secure sum to the next model.
use bytes::Bytes;
use sottovoce_secagg::SecureSum;
use sottovoce_types::{ClientId, RingVec, RoundRecord, SCHEMA_VERSION, Tick};
use sottovoce_wire::{Encode, Kind};

use super::{Coordinator, CoordinatorEvent, Outcome};
use crate::audit::{Keep, KeptRound, SignedOpenings};
use crate::journal::{JournalEvent, Persist, PublishedResult};
use crate::layers::without_surplus;
use crate::messages::{Finished, RoundResult};
use crate::server::ServerState;
use crate::statement::{ResultStatement, Signed};

impl Coordinator {
    pub(super) fn publish(&mut self, now: Tick, sum: &SecureSum) {
        let contributors = sum.contributors();
        let opened = without_surplus(&self.plan, sum);
        let Ok((next, stepped)) = self.model.step(&self.plan, &opened, contributors) else {
            // No client could go on from it.
            self.finish(Outcome::ModelDiverged { round: self.round });
            return;
        };
        self.model = next;
        let model = self.model.digest();
        let state = self.model.state();
        let lost = self.asked.iter().filter(|c| !contributors.contains(c) || !self.present(c)).count();
        let record = RoundRecord {
            schema: SCHEMA_VERSION,
            config_sha256: self.plan.digest(),
            round: self.round.0,
            attempt: self.attempt.0,
            cohort: count(self.asked.len()),
            contributors: count(contributors.len()),
            dropouts: count(lost),
            model_sha256: model,
            mean_update_l2: stepped.mean_l2,
            charges: self.ledger.as_ref().map_or(0, |ledger| u64::from(count(ledger.charges()))),
            epsilon_spent: self.ledger.as_ref().map_or(0.0, |ledger| ledger.epsilon_spent().upper),
            duration_ms: now.0.saturating_sub(self.round_began.0),
            metrics: None,
            clip_l2: stepped.unclipped.map(|_| stepped.clip.value()),
            unclipped_fraction: stepped.unclipped,
        };
        let result = PublishedResult::new(Bytes::from(self.result(sum, opened).to_bytes()));
        let event = JournalEvent::Published {
            run: self.run,
            round: self.round,
            attempt: self.attempt,
            model,
            state: state.as_ref().map(ServerState::digest),
            result: result.digest(),
            record: Box::new(record.clone()),
        };
        let mut persist = Persist::entry(event, None);
        persist.checkpoint = Some(self.params().clone());
        persist.state = state;
        persist.result = Some(result.clone());
        self.persist.push_back(persist);
        if self.plan.spec().audit_chunks > 0 {
            let openings = SignedOpenings::by(sum.revealed().clone(), &sum.ctx3(), &self.identity).to_bytes().into();
            let kept = KeptRound { attempt: self.attempt, contributors: contributors.to_vec(), openings };
            self.keep.push_back(Keep::Round { round: self.round, kept });
        }
        self.events.push_back(CoordinatorEvent::Published { record: Box::new(record) });
        for client in self.joined().collect::<Vec<_>>() {
            self.send_bytes(client, Kind::Result, result.bytes().clone());
        }
        self.next_round(now);
    }

    /// What was opened, for everybody to compute the model from that follows.
    fn result(&self, sum: &SecureSum, opened: RingVec) -> RoundResult {
        let words = opened.into_words();
        let statement = ResultStatement {
            manifest: self.plan.manifest().digest(),
            run: self.run,
            round: self.round,
            attempt: self.attempt,
            ctx3: sum.ctx3(),
            sum: RoundResult::sum_digest(&words),
            model: self.model.digest(),
        };
        let Signed { statement, signature } = Signed::by(statement, &self.identity);
        let certificate = sum.certificate().clone();
        RoundResult { attempt: statement.attempt, certificate, sum: words, model: statement.model, signature }
    }

    pub(super) fn send_last_model(&mut self, client: ClientId) {
        let last = Finished { model: self.model.digest() };
        self.send(client, Kind::Finished, &last);
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
