//! From a secure sum to the next model.
use sottovoce_encode::EncodePlan;
use sottovoce_secagg::SecureSum;
use sottovoce_types::{ClientId, RoundRecord, SCHEMA_VERSION, Tick, Unit};
use sottovoce_wire::Kind;

use super::{Coordinator, CoordinatorEvent, Outcome};
use crate::journal::{JournalEvent, Persist};
use crate::messages::{Finished, RoundResult};
use crate::server::ServerState;

impl Coordinator {
    pub(super) fn publish(&mut self, now: Tick, sum: &SecureSum) {
        let clip = self.server.clip();
        let encode = self.plan.encode_in(self.round.0, clip);
        let mean = self.mean_update(sum, &encode);
        let unclipped = encode.decode_unclipped(sum.sum(), self.units_in(sum));
        let share = f64::from(count(sum.contributors().len())) / f64::from(self.plan.manifest().len().max(1));
        let before = self.params.clone();
        self.server.step(&self.plan, self.round.0, self.params.values_mut(), &mean, share);
        if !self.params.values().iter().all(|v| v.is_finite()) {
            // Every client would refuse it, and rightly so.
            self.params = before;
            self.finish(Outcome::ModelDiverged { round: self.round });
            return;
        }
        if let Some(unclipped) = unclipped {
            self.server.adapt(&self.plan, unclipped);
        }
        let model = self.params.digest();
        let state = self.server.state(model);
        let contributors = sum.contributors();
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
            mean_update_l2: mean.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt(),
            charges: self.ledger.as_ref().map_or(0, |ledger| u64::from(count(ledger.charges()))),
            epsilon_spent: self.ledger.as_ref().map_or(0.0, |ledger| ledger.epsilon_spent().upper),
            duration_ms: now.0.saturating_sub(self.round_began.0),
            metrics: None,
            clip_l2: unclipped.map(|_| clip.value()),
            unclipped_fraction: unclipped,
        };
        let event = JournalEvent::Published {
            run: self.run,
            round: self.round,
            attempt: self.attempt,
            model,
            state: state.as_ref().map(ServerState::digest),
            record: Box::new(record.clone()),
        };
        let mut persist = Persist::entry(event, None);
        persist.checkpoint = Some(self.params.clone());
        persist.state = state;
        self.persist.push_back(persist);
        self.events.push_back(CoordinatorEvent::Published { record: Box::new(record) });
        let result = RoundResult { model, contributors: count(contributors.len()) };
        for client in self.joined().collect::<Vec<_>>() {
            self.send(client, Kind::Result, &result);
        }
        self.next_round(now);
    }

    /// The mean over *public* unit counts of the contributors, times [`crate::RunPlan::step_of_mean`]: the counts are in the manifest and in the signed survivor set,
    /// so the denominator depends on nobody's data.
    fn mean_update(&self, sum: &SecureSum, encode: &EncodePlan) -> Vec<f32> {
        if self.plan.spec().unit == Unit::None {
            // All weights zero: every contributor had no examples, and the model stays.
            return encode.decode_weighted(sum.sum()).unwrap_or_else(|_| vec![0.0; self.plan.layout().len()]);
        }
        let step = self.plan.step_of_mean(self.round.0);
        let mean = encode.decode(sum.sum(), self.units_in(sum));
        #[allow(clippy::cast_possible_truncation, reason = "back to the width of parameters")]
        let scaled = mean.into_iter().map(|v| (f64::from(v) * step) as f32).collect();
        scaled
    }

    /// Public units of the contributors, times the probability with which each takes part: never the number that did, which nobody
    /// but their sites knows.
    fn units_in(&self, sum: &SecureSum) -> f64 {
        let units: u32 = sum.contributors().iter().map(|c| self.plan.units_of(c)).sum();
        self.plan.expected_units(units.max(1).into())
    }

    pub(super) fn send_last_model(&mut self, client: ClientId) {
        let last = Finished { params: self.params.values().to_vec() };
        self.send(client, Kind::Finished, &last);
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
