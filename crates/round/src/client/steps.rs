//! What a client does with each message of the coordinator, and what it refuses.
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sottovoce_dp::sampling::{Sample, SamplingCertificate, poisson};
use sottovoce_dp::{Ledger, ReserveError};
use sottovoce_secagg::{Advertised, CheckedQuorum, OnRoster, Shared, SharesMsg};
use sottovoce_types::{Digest, Tick};
use sottovoce_wire::{Decode, Frame, Kind};

use super::{ClientEngine, ClientEvent, ClientOutcome, Declined, Origin, State};
use crate::chain::ModelChain;
use crate::fault::ProtocolFault;
use crate::journal::{JournalEvent, Persist};
use crate::messages::{RoundConfig, Welcome, kind_name};
use crate::receipt::{Receipt, SignedSets};
use crate::session::{LedgerPoint, session};
use crate::statement::Statement;
use crate::work::Work;

impl ClientEngine {
    pub(super) fn step(&mut self, _now: Tick, frame: &Frame) -> Result<(), ProtocolFault> {
        let what = kind_name(frame.kind);
        if frame.kind == Kind::Welcome {
            return self.welcomed(frame);
        }
        if self.run != Some(frame.run) {
            return Err(ProtocolFault::WrongRun(what));
        }
        match frame.kind {
            // How its part ended stays: this was sent before the coordinator heard of it.
            Kind::Result | Kind::Finished | Kind::Audit if matches!(self.state, State::Done(_)) => Ok(()),
            Kind::RoundConfig => self.round_config(frame),
            Kind::Roster | Kind::Graph | Kind::Envelopes | Kind::Survivors | Kind::SurvivorQuorum => {
                // A message of an attempt that this client has left is late, not wrong; one of a future attempt is wrong.
                match self.point {
                    Some(p) if (p.round, p.attempt) == (frame.round, frame.attempt) => self.secagg(frame),
                    _ => Err(ProtocolFault::Unexpected { what, state: self.state.name() }),
                }
            }
            Kind::Result => self.round_result(frame),
            Kind::Finished => self.finished(frame),
            Kind::Audit => self.audit_shown(frame),
            _ => Err(ProtocolFault::Unexpected { what, state: self.state.name() }),
        }
    }

    fn welcomed(&mut self, frame: &Frame) -> Result<(), ProtocolFault> {
        if !matches!(self.state, State::Greeting) {
            return Err(ProtocolFault::Unexpected { what: "Welcome", state: self.state.name() });
        }
        let welcome = Welcome::decode_exact(&(), &frame.body)
            .map_err(|source| ProtocolFault::Malformed { what: "Welcome", source })?;
        let ours = self.plan.digest();
        if welcome.plan != ours {
            return Err(ProtocolFault::DifferentPlan { theirs: welcome.plan, ours });
        }
        let (round, attempt) = welcome.last_input;
        if round.0 > 0 && !self.memory.sent(LedgerPoint { run: frame.run, round, attempt }) {
            return Err(ProtocolFault::RolledBack { round: round.0, attempt: attempt.0 });
        }
        if self.run != Some(frame.run) {
            // A coordinator may begin a new run; what this client knows of the old one's model does not carry over.
            self.chain = ModelChain::new(self.plan.clone(), frame.run);
            self.config = None;
            self.opened.clear();
            self.audits.clear();
            self.trained = None;
            self.control = None;
        }
        self.run = Some(frame.run);
        self.state = State::Idle;
        self.published = welcome.published;
        if self.published > self.chain.rounds() {
            self.want_next();
        }
        self.ask_openings();
        self.events.push_back(ClientEvent::Welcomed { run: frame.run });
        Ok(())
    }

    pub(super) fn round_config(&mut self, frame: &Frame) -> Result<(), ProtocolFault> {
        let (run, round, attempt) = (frame.run, frame.round, frame.attempt);
        let point = LedgerPoint { run, round, attempt };
        if matches!(self.state, State::Offline | State::Greeting | State::Done(_)) {
            return Err(ProtocolFault::Unexpected { what: "RoundConfig", state: self.state.name() });
        }
        let config = RoundConfig::decode_exact(&(), &frame.body)
            .map_err(|source| ProtocolFault::Malformed { what: "RoundConfig", source })?;
        let said = self.said(point, &config)?;
        if !self.memory.is_new(point) {
            self.catch_two_configs(said);
            return Err(ProtocolFault::AttemptReplayed { round: round.0, attempt: attempt.0 });
        }
        let rounds = self.plan.spec().rounds;
        if round.0 == 0 || round.0 > rounds {
            return Err(ProtocolFault::BeyondPlan { round: round.0, rounds });
        }
        // The journal holds the last attempt joined, and only later ones pass: no restart begins the count anew.
        let max_attempts = self.plan.spec().max_attempts;
        if attempt.0 == 0 || attempt.0 > max_attempts {
            return Err(ProtocolFault::BeyondAttempts { round: round.0, attempt: attempt.0, max_attempts });
        }
        let afforded = self.ledger.as_ref().map_or(Ok(()), |ledger| ledger.check(&self.plan.event()));
        if let Err(over) = afforded {
            let ReserveError::BudgetExhausted(exhausted) = over else {
                return Err(ProtocolFault::Privatise(Box::new(over)));
            };
            self.point = Some(point);
            self.refuse("this site's privacy budget is exhausted");
            self.point = None;
            let plan_budget = self.cap.and(self.plan.budget()).map(|budget| budget.epsilon);
            let outcome = ClientOutcome::BudgetExhausted { round, why: Declined { exhausted, plan_budget } };
            self.events.push_back(ClientEvent::Finished { outcome: outcome.clone() });
            self.state = State::Done(outcome);
            return Ok(());
        }
        if self.is_behind(frame) {
            return Ok(());
        }
        self.follows(&said)?;
        let (model, terms) = (self.chain.params().clone(), self.chain.terms());
        let cfg = said.statement.digest();
        self.memory.join(point);
        let opened = if self.ledger_begun { None } else { self.ledger.as_ref().map(Ledger::opened) };
        self.ledger_begun = true;
        self.persist.push_back(Persist::entry(JournalEvent::Joined { run, round, attempt, config: cfg }, opened));
        self.point = Some(point);
        self.config = Some(said);
        let begins = said.statement.terms;
        let kept = self.trained.as_ref().is_some_and(|(r, b, _)| *r == round && *b == begins);
        let correction = terms.control.as_ref().map(|c| self.correction(c));
        let (sample, certificate) = self.draw_units();
        self.origin = Some(Origin { terms, begins, cfg, sample, certificate: Some(certificate) });
        // A sum of the same units serves again, with noise of its own. One of other units does not, and two releases of one sample would
        // cost more than what two certificates charge.
        if kept && self.plan.sampling().is_none() {
            return self.advertise();
        }
        self.state = State::Training;
        self.events.push_back(ClientEvent::Training { round, attempt });
        let job = self.plan.spec().job.in_round(round.0, rounds);
        self.work = Some(Work { round, attempt, params: model, job, correction });
        Ok(())
    }

    /// Which of this site's units take part in an attempt: by coins of its own, which nobody else sees.
    fn draw_units(&mut self) -> (Sample, SamplingCertificate) {
        let units = usize::try_from(self.plan.units_of(&self.id())).expect("a number of units");
        match self.plan.sampling() {
            Some(q) => poisson(units, q, &mut ChaCha20Rng::from_rng(&mut self.rng)),
            None => Sample::every_unit(units),
        }
    }

    /// SCAFFOLD's c − c_i, `[d]`: 0 for a client that has no c_i yet, or lost it.
    fn correction(&self, c: &[f32]) -> Vec<f32> {
        match &self.control {
            Some(own) => c.iter().zip(own).map(|(c, own)| c - own).collect(),
            None => vec![0.0; c.len()],
        }
    }

    /// Keys are drawn after training: nearly all dropouts then fall before shares exist.
    pub(super) fn advertise(&mut self) -> Result<(), ProtocolFault> {
        let (Some(_), Some(origin), true) = (self.point, &self.origin, self.trained.is_some()) else {
            return Err(ProtocolFault::Unexpected { what: "update", state: self.state.name() });
        };
        if self.unaudited().is_some() {
            self.advert_waits = true;
            self.state = State::Training;
            return Ok(());
        }
        let session = session(&self.plan, origin.cfg, self.allow_plain);
        let (advertised, advert) = Advertised::start(session, &self.identity, &mut self.rng)?;
        self.state = State::Advertised(Box::new(advertised));
        self.send(Kind::Advert, &advert);
        Ok(())
    }

    fn secagg(&mut self, frame: &Frame) -> Result<(), ProtocolFault> {
        let what = kind_name(frame.kind);
        let ctx = self.plan.message_ctx();
        let malformed = |source| ProtocolFault::Malformed { what, source };
        let state = std::mem::replace(&mut self.state, State::Spent);
        match (state, frame.kind) {
            (State::Advertised(s), Kind::Roster) => {
                let roster = Decode::decode_exact(&ctx, &frame.body).map_err(malformed)?;
                match s.roster(roster, &self.identity, &mut self.rng)? {
                    OnRoster::Shared(shared, message) => self.dealt(shared, &message),
                    OnRoster::Picked(picked, message) => {
                        self.state = State::Picked(picked);
                        self.send(Kind::Picks, &message);
                    }
                }
                Ok(())
            }
            (State::Picked(s), Kind::Graph) => {
                let graph = Decode::decode_exact(&ctx, &frame.body).map_err(malformed)?;
                let (shared, message) = s.graph(graph, &self.identity, &mut self.rng)?;
                self.dealt(Box::new(shared), &message);
                Ok(())
            }
            (State::Shared(s), Kind::Envelopes) => {
                let envelopes = Decode::decode_exact(&ctx, &frame.body).map_err(malformed)?;
                let masking = s.envelopes(envelopes)?;
                self.submit(masking)
            }
            (State::Submitted(s), Kind::Survivors) => {
                let survivors = Decode::decode_exact(&ctx, &frame.body).map_err(malformed)?;
                let (consistent, signature) = s.survivors(survivors, &self.identity)?;
                self.sign_survivors(consistent.ctx3())?;
                self.state = State::Consistent(Box::new(consistent));
                self.send(Kind::SurvivorSignature, &signature);
                Ok(())
            }
            (State::Consistent(s), Kind::SurvivorQuorum) => {
                let quorum = Decode::decode_exact(&ctx, &frame.body).map_err(malformed)?;
                let sets = SignedSets::of(&s);
                let checked = s.check(&quorum)?;
                let opening = s.on_quorum(checked, &self.identity)?;
                self.charge_opening(checked, sets)?;
                self.send(Kind::Opening, &opening);
                Ok(())
            }
            (other, _) => {
                let state = other.name();
                self.state = other;
                Err(ProtocolFault::Unexpected { what, state })
            }
        }
    }

    fn dealt(&mut self, shared: Box<Shared>, message: &SharesMsg) {
        // A key that could be wound back would give the one-time keys of every earlier attempt to whoever reads
        // this memory later; from here on it is gone.
        self.rng = ChaCha20Rng::from_rng(&mut self.rng);
        self.state = State::Shared(shared);
        self.send(Kind::Shares, message);
    }

    /// Reserve → durable → leave. Once the masked input is out, the other survivors can open it without this client, so
    /// its cost counts as spent from here on, whatever happens next.
    fn submit(&mut self, masking: sottovoce_secagg::Masking) -> Result<(), ProtocolFault> {
        let (Some(point), Some((_, _, sum))) = (self.point, &self.trained) else {
            return Err(ProtocolFault::Unexpected { what: "Envelopes", state: self.state.name() });
        };
        let sum = sum.clone();
        let mut entry = None;
        let certificate = self.origin.as_mut().and_then(|origin| origin.certificate.take());
        if let (Some(ledger), Some(privacy)) = (&mut self.ledger, self.plan.spec().privacy) {
            let certificate = certificate
                .ok_or(ProtocolFault::Unexpected { what: "Envelopes", state: "its sample has been paid for" })?;
            let (reservation, reserved) = ledger
                .reserve(point.key(), certificate.charge(privacy.noise_multiplier))
                .map_err(|e| ProtocolFault::Privatise(Box::new(e)))?;
            // Released in memory at once; the journal keeps it as a reservation, which counts as spent all the same.
            let _released = ledger.release(reservation);
            entry = Some(reserved);
        }
        let private = self.privatise(sum, &masking)?;
        let event = JournalEvent::InputReserved { run: point.run, round: point.round, attempt: point.attempt };
        self.memory.let_go(point);
        self.persist.push_back(Persist::entry(event, entry));
        let (submitted, message) = masking.submit(private.into_ring(), &self.identity)?;
        self.state = State::Submitted(Box::new(submitted));
        self.send(Kind::MaskedInput, &message);
        self.events.push_back(ClientEvent::InputSent {
            round: point.round,
            attempt: point.attempt,
            epsilon_spent: self.ledger.as_ref().map(|l| l.epsilon_spent().upper),
        });
        Ok(())
    }

    fn sign_survivors(&mut self, survivors: Digest) -> Result<(), ProtocolFault> {
        let Some(point) = self.point else {
            return Err(ProtocolFault::Unexpected { what: "Survivors", state: self.state.name() });
        };
        let LedgerPoint { run, round, attempt } = point;
        if !self.memory.answer(point, survivors) {
            return Err(ProtocolFault::AttemptReplayed { round: round.0, attempt: attempt.0 });
        }
        let event = JournalEvent::SurvivorsSigned { run, round, attempt, survivors };
        self.persist.push_back(Persist::entry(event, None));
        self.events.push_back(ClientEvent::SurvivorsSigned { round, attempt, survivors });
        Ok(())
    }

    fn charge_opening(&mut self, checked: CheckedQuorum, sets: SignedSets) -> Result<(), ProtocolFault> {
        let survivors = checked.ctx3();
        let Some(point) = self.point else {
            return Err(ProtocolFault::Unexpected { what: "SurvivorQuorum", state: self.state.name() });
        };
        let LedgerPoint { run, round, attempt } = point;
        if !self.memory.answer(point, survivors) {
            return Err(ProtocolFault::AttemptReplayed { round: round.0, attempt: attempt.0 });
        }
        self.opened.insert(point, checked);
        let receipt = self.ledger.as_ref().and_then(|ledger| Receipt::of(&self.plan, point, sets, ledger));
        let receipt = receipt.map(|receipt| Box::new(receipt.sign(&self.identity)));
        if let Some(receipt) = receipt.clone() {
            self.events.push_back(ClientEvent::Receipt { receipt });
        }
        let event = JournalEvent::OpeningCharged { run, round, attempt, survivors, receipt };
        self.persist.push_back(Persist::entry(event, None));
        self.events.push_back(ClientEvent::Opening { round, attempt, survivors });
        Ok(())
    }
}
