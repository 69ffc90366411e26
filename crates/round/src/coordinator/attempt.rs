//! One attempt, phase by phase: who is owed, who answered, when to close.
use bytes::Bytes;
use sottovoce_dp::Charge;
use sottovoce_secagg::{AfterAdverts, CollectingAdverts, MaskSuite, Session};
use sottovoce_types::{AttemptId, ClientId, Digest, RoundId, Tick};
use sottovoce_wire::{Decode, Encode, Frame, Kind};

use super::{Coordinator, CoordinatorEvent, Outcome, Phase};
use crate::audit::Keep;
use crate::fault::PeerFault;
use crate::journal::{JournalEvent, Persist};
use crate::messages::{RoundConfig, kind_name};
use crate::session::{LedgerPoint, session};
use crate::statement::{ConfigStatement, Signed, Statement};

impl Coordinator {
    /// Goes as far as inputs and time allow.
    pub(super) fn advance(&mut self, now: Tick) {
        loop {
            let due = self.deadline.is_some_and(|d| now >= d);
            let progressed = match &self.phase {
                Phase::Idle | Phase::Done(_) => false,
                Phase::Gathering { open_at } => {
                    let joined = self.joined().count();
                    let all = joined >= usize::try_from(self.plan.manifest().len()).unwrap_or(usize::MAX);
                    let enough = self.enough_joined();
                    if all || (enough && now >= *open_at) {
                        self.open_attempt(now);
                        true
                    } else if now >= *open_at && self.deadline.is_some_and(|d| now >= d) {
                        self.finish(Outcome::QuorumLost { round: self.round });
                        true
                    } else {
                        false
                    }
                }
                _ => {
                    if due || self.nothing_owed() {
                        self.close_phase(now, due)
                    } else {
                        false
                    }
                }
            };
            if !progressed {
                return;
            }
        }
    }

    /// Waits for members: until all are there, or `open_at` with enough of them, or twice the join time in vain.
    pub(super) fn gather(&mut self, now: Tick, open_at: Tick) {
        if self.stopping {
            self.phase = Phase::Idle;
            self.deadline = None;
            return;
        }
        self.phase = Phase::Gathering { open_at };
        let patience = self.plan.spec().deadlines.join_ms.saturating_mul(2);
        self.deadline = Some(now.after_ms(patience));
        self.advance(now);
    }

    fn open_attempt(&mut self, now: Tick) {
        // A restarted coordinator goes on from the last attempt, and clients count, too.
        if self.attempt.0 >= self.plan.spec().max_attempts {
            self.finish(Outcome::QuorumLost { round: self.round });
            return;
        }
        self.attempt = AttemptId(self.attempt.0.saturating_add(1));
        if self.attempt.0 == 1 {
            self.round_began = now;
        }
        let point = LedgerPoint { run: self.run, round: self.round, attempt: self.attempt };
        let mut ledger_entry = None;
        if let Some(ledger) = &mut self.ledger {
            #[allow(clippy::disallowed_methods, reason = "this is the coordinator")]
            let charge = Charge::on_the_word_of_the_plan(self.plan.event());
            if let Ok((reservation, entry)) = ledger.reserve(point.key(), charge) {
                self.reservation = Some(reservation);
                ledger_entry = Some(entry);
            } else {
                self.finish(Outcome::BudgetExhausted { round: self.round });
                return;
            }
        }
        let model = self.model.digest();
        let event = JournalEvent::AttemptOpened { run: self.run, round: self.round, attempt: self.attempt, model };
        self.persist.push_back(Persist::entry(event, ledger_entry));
        self.gone.clear();
        self.asked.clear();
        self.phase = Phase::Adverts(Box::new(CollectingAdverts::new(self.session(), &self.identity)));
        let cohort: Vec<ClientId> = self.joined().collect();
        self.events.push_back(CoordinatorEvent::AttemptOpened {
            round: self.round,
            attempt: self.attempt,
            cohort: u32::try_from(cohort.len()).unwrap_or(u32::MAX),
        });
        self.tell_charges();
        self.wait(now, self.plan.spec().deadlines.advert_ms);
        for client in cohort {
            self.ask_to_train(client);
        }
    }

    pub(super) fn ask_to_train(&mut self, client: ClientId) {
        self.asked.insert(client);
        let Signed { statement, signature } = Signed::by(self.config(), &self.identity);
        let config = RoundConfig { model: statement.model, terms: statement.terms, signature };
        self.send(client, Kind::RoundConfig, &config);
    }

    fn config(&self) -> ConfigStatement {
        let (model, terms) = (self.model.digest(), self.model.terms());
        ConfigStatement::of(&self.plan, self.run, self.round, self.attempt, model, &terms)
    }

    fn session(&self) -> Session {
        session(&self.plan, self.config().digest(), true)
    }

    /// A client's answer in the open attempt. One that comes after its phase closed is late, and ignored.
    pub(super) fn answer(&mut self, from: ClientId, frame: &Frame) -> Result<(), PeerFault> {
        let ctx = self.plan.message_ctx();
        let malformed = |source| PeerFault::Malformed { client: from, what: kind_name(frame.kind), source };
        match (&mut self.phase, frame.kind) {
            (Phase::Adverts(p), Kind::Advert) => {
                p.advert(from, Decode::decode_exact(&ctx, &frame.body).map_err(malformed)?)?;
            }
            (Phase::Picks(p), Kind::Picks) => {
                p.picks(from, Decode::decode_exact(&ctx, &frame.body).map_err(malformed)?)?;
            }
            (Phase::Shares(p), Kind::Shares) => {
                p.shares(from, Decode::decode_exact(&ctx, &frame.body).map_err(malformed)?)?;
            }
            (Phase::Inputs(p), Kind::MaskedInput) => {
                let tree = p.input(from, Decode::decode_exact(&ctx, &frame.body).map_err(malformed)?)?;
                if self.plan.spec().audit_chunks > 0 {
                    let words = frame.body.slice(..self.plan.encode().words().saturating_mul(8));
                    let (round, attempt, leaves) = (self.round, self.attempt, tree.leaves().to_vec());
                    self.keep.push_back(Keep::Input { round, attempt, client: from, words, leaves });
                }
                self.last_inputs.insert(from, (self.round, self.attempt));
            }
            (Phase::Signatures(p), Kind::SurvivorSignature) => {
                p.signature(from, Decode::decode_exact(&ctx, &frame.body).map_err(malformed)?)?;
            }
            (Phase::Openings(p), Kind::Opening) => {
                p.opening(from, Decode::decode_exact(&ctx, &frame.body).map_err(malformed)?)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Clients whose answer the open phase still waits for.
    fn owed(&self) -> Vec<ClientId> {
        let all: Vec<ClientId> = match &self.phase {
            Phase::Adverts(p) => self.asked.iter().filter(|c| !p.has(c)).copied().collect(),
            Phase::Picks(p) => p.expected(),
            Phase::Shares(p) => p.expected(),
            Phase::Inputs(p) => p.expected(),
            Phase::Signatures(p) => p.expected(),
            Phase::Openings(p) => p.expected(),
            _ => Vec::new(),
        };
        all
    }

    fn nothing_owed(&self) -> bool {
        // Too few adverts: wait for the deadline, clients may come back.
        if let Phase::Adverts(p) = &self.phase
            && p.count() < usize::try_from(self.plan.spec().n_min).unwrap_or(usize::MAX)
        {
            return false;
        }
        !self.owed().iter().any(|c| self.present(c))
    }

    fn close_phase(&mut self, now: Tick, due: bool) -> bool {
        let missing = self.owed();
        let closing = std::mem::replace(&mut self.phase, Phase::Idle);
        let phase = closing.name();
        let answered = match &closing {
            Phase::Adverts(p) => p.count(),
            Phase::Picks(p) => p.count(),
            Phase::Shares(p) => p.count(),
            Phase::Inputs(p) => p.count(),
            Phase::Signatures(p) => p.count(),
            Phase::Openings(p) => p.count(),
            _ => 0,
        };
        let answered = u32::try_from(answered).unwrap_or(u32::MAX);
        let event =
            CoordinatorEvent::PhaseClosed { round: self.round, attempt: self.attempt, phase, answered, missing };
        self.events.push_back(event);
        match closing {
            Phase::Adverts(p) => match p.close(&self.identity) {
                Ok((next, roster)) => {
                    let (cohort, next) = match next {
                        AfterAdverts::Shares(next) => (next.expected(), Phase::Shares(next)),
                        AfterAdverts::Picks(next) => (next.expected(), Phase::Picks(next)),
                    };
                    self.broadcast(&cohort, Kind::Roster, &roster);
                    self.enter(now, next);
                }
                Err(failed) => self.abort_attempt(now, &failed.to_string()),
            },
            Phase::Picks(p) => match p.close() {
                Ok((next, graph)) => {
                    self.broadcast(&next.expected(), Kind::Graph, &graph);
                    self.enter(now, Phase::Shares(Box::new(next)));
                }
                Err(failed) => self.abort_attempt(now, &failed.to_string()),
            },
            Phase::Shares(p) => match p.close() {
                Ok((next, envelopes)) => {
                    for (client, message) in envelopes {
                        self.send_in_attempt(client, Kind::Envelopes, &message);
                    }
                    self.enter(now, Phase::Inputs(Box::new(next)));
                }
                Err(lost) => self.abort_attempt(now, &lost.to_string()),
            },
            Phase::Inputs(p) => match p.close() {
                Ok((next, survivors)) => {
                    self.note_inputs();
                    self.broadcast(&next.expected(), Kind::Survivors, &survivors);
                    self.enter(now, Phase::Signatures(Box::new(next)));
                }
                Err(failed) => self.abort_attempt(now, &failed.to_string()),
            },
            Phase::Signatures(p) => {
                let survivors_digest = p.ctx3();
                match p.close() {
                    Ok((next, quorum)) => {
                        self.debit(survivors_digest);
                        let survivors = next.expected();
                        self.events.push_back(CoordinatorEvent::UnmaskRequested {
                            round: self.round,
                            attempt: self.attempt,
                            survivors: u32::try_from(survivors.len()).unwrap_or(u32::MAX),
                        });
                        self.broadcast(&survivors, Kind::SurvivorQuorum, &quorum);
                        self.enter(now, Phase::Openings(Box::new(next)));
                    }
                    Err(lost) => self.abort_attempt(now, &lost.to_string()),
                }
            }
            Phase::Openings(p) => match p.close() {
                Ok(sum) => self.publish(now, &sum),
                Err(failed) => self.abort_attempt(now, &failed.to_string()),
            },
            other => {
                debug_assert!(due, "only an open phase closes");
                self.phase = other;
                return false;
            }
        }
        true
    }

    /// Whose inputs are here, durable before anything is made of them: a client that is put back from an old copy is told what it forgot.
    fn note_inputs(&mut self) {
        let here = (self.round, self.attempt);
        let clients = self.last_inputs.iter().filter(|(_, last)| **last == here).map(|(c, _)| Digest(c.0)).collect();
        let event = JournalEvent::InputsReceived { run: self.run, round: self.round, attempt: self.attempt, clients };
        self.persist.push_back(Persist::entry(event, None));
    }

    fn enter(&mut self, now: Tick, phase: Phase) {
        self.phase = phase;
        self.wait(now, self.plan.spec().deadlines.phase_ms);
    }

    /// The open phase closes then at the latest.
    fn wait(&mut self, now: Tick, lasts_ms: u64) {
        self.deadline = Some(now.after_ms(lasts_ms));
        let (round, attempt, phase) = (self.round, self.attempt, self.phase.name());
        self.events.push_back(CoordinatorEvent::PhaseOpened { round, attempt, phase, lasts_ms });
    }

    /// Encoded once: the graph and the roster grow with the clients, and so do those that they go to.
    fn broadcast(&mut self, to: &[ClientId], kind: Kind, message: &impl Encode) {
        let body = Bytes::from(message.to_bytes());
        for client in to {
            if self.present(client) {
                self.send_bytes(*client, kind, body.clone());
            }
        }
    }

    /// A client that left the attempt, or that came back and has not greeted yet, has forgotten it: what came to it there would
    /// look like a lie of ours.
    fn send_in_attempt(&mut self, to: ClientId, kind: Kind, message: &impl Encode) {
        if self.present(&to) {
            self.send(to, kind, message);
        }
    }

    /// The cost falls here: the entry is durable before the unmask request, queued after it, can leave.
    fn debit(&mut self, survivors: Digest) {
        let entry = match (&mut self.ledger, self.reservation.take()) {
            (Some(ledger), Some(reservation)) => Some(ledger.release(reservation)),
            _ => None,
        };
        let event = JournalEvent::Debited { run: self.run, round: self.round, attempt: self.attempt, survivors };
        self.persist.push_back(Persist::entry(event, entry));
    }

    pub(super) fn abort_attempt(&mut self, now: Tick, reason: &str) {
        // Nothing was revealed before the debit took the reservation: give it back. Without masks each input is revealed as
        // it comes, and the charge stays.
        let entry = match (&mut self.ledger, self.reservation.take()) {
            (Some(ledger), Some(reservation)) if self.plan.spec().suite == MaskSuite::None => {
                Some(ledger.release(reservation))
            }
            (Some(ledger), Some(reservation)) => Some(ledger.void(reservation)),
            _ => None,
        };
        let (run, round, attempt) = (self.run, self.round, self.attempt);
        let event = JournalEvent::AttemptAborted { run, round, attempt, reason: reason.to_owned() };
        self.persist.push_back(Persist::entry(event, entry));
        self.events.push_back(CoordinatorEvent::AttemptAborted { round, attempt, reason: reason.to_owned() });
        self.tell_charges();
        // Told to stop is no want of clients: the run goes on where it is started again.
        if attempt.0 >= self.plan.spec().max_attempts && !self.stopping {
            self.finish(Outcome::QuorumLost { round });
        } else {
            self.gather(now, now);
        }
    }

    /// The next round, or the end.
    pub(super) fn next_round(&mut self, now: Tick) {
        if self.round.0 >= self.plan.spec().rounds {
            self.finish(Outcome::Completed);
        } else {
            self.round = RoundId(self.round.0.saturating_add(1));
            self.attempt = AttemptId(0);
            self.gather(now, now);
        }
    }

    pub(super) fn finish(&mut self, outcome: Outcome) {
        self.persist.push_back(Persist::entry(JournalEvent::RunFinished { run: self.run }, None));
        self.deadline = None;
        if outcome == Outcome::Completed {
            for client in self.joined().collect::<Vec<_>>() {
                self.send_last_model(client);
            }
        }
        self.events.push_back(CoordinatorEvent::Finished { outcome: outcome.clone() });
        self.phase = Phase::Done(outcome);
    }
}
