//! What a client takes from the coordinator about the model: nothing but sums and signatures. The model follows.
use bytes::Bytes;
use sottovoce_types::{AttemptId, RoundId};
use sottovoce_wire::{Decode, Frame, Kind};

use super::{ClientEngine, ClientEvent, ClientOutcome, State};
use crate::chain::{Outcome, Refused};
use crate::evidence::Evidence;
use crate::fault::ProtocolFault;
use crate::messages::{Finished, RoundConfig};
use crate::session::LedgerPoint;
use crate::statement::{ConfigStatement, Signed};

impl ClientEngine {
    /// What the coordinator says of an attempt, by its signature.
    pub(super) fn said(
        &mut self,
        point: LedgerPoint,
        config: &RoundConfig,
    ) -> Result<Signed<ConfigStatement>, ProtocolFault> {
        let statement = self.chain.config_of(point.round, point.attempt, config.model, config.terms);
        let said = Signed { statement, signature: config.signature };
        said.verify(self.plan.manifest().coordinator()).map_err(|_| ProtocolFault::ConfigSignature)?;
        self.events.push_back(ClientEvent::Heard { statement: said.into() });
        Ok(said)
    }

    /// Whether an attempt begins from the model and the terms that follow from what was opened.
    pub(super) fn follows(&mut self, said: &Signed<ConfigStatement>) -> Result<(), ProtocolFault> {
        self.chain.continued_by(said).map_err(|refused| self.caught(refused))
    }

    /// A second configuration of the attempt that this client joined last.
    pub(super) fn catch_two_configs(&mut self, second: Signed<ConfigStatement>) {
        let key = |s: &ConfigStatement| (s.run, s.round, s.attempt);
        if let Some(first) = self.config
            && key(&first.statement) == key(&second.statement)
            && first.statement != second.statement
        {
            let evidence = Box::new(Evidence::TwoConfigs { first, second });
            self.events.push_back(ClientEvent::Caught { evidence });
        }
    }

    /// Whether a frame must wait for results that this client does not have. It is kept, and they are asked for.
    pub(super) fn is_behind(&mut self, frame: &Frame) -> bool {
        let behind = frame.round.0 > self.chain.rounds().saturating_add(1);
        if behind {
            self.held = Some(frame.clone());
            self.want_next();
        }
        behind
    }

    /// Asks for the next result, unless that is on its way.
    pub(super) fn want_next(&mut self) {
        let next = RoundId(self.chain.rounds().saturating_add(1));
        if self.wanted != Some(next)
            && let Some(run) = self.run
        {
            self.wanted = Some(next);
            let (attempt, body) = (AttemptId(0), Bytes::new());
            self.transmit.push_back(Frame { kind: Kind::WantResult, run, round: next, attempt, body });
        }
    }

    /// R5: the opened sum, from which this client computes the next model by itself.
    pub(super) fn round_result(&mut self, frame: &Frame) -> Result<(), ProtocolFault> {
        let opened = &self.opened;
        let taken = self.chain.take(frame.round, &frame.body, |point| opened.get(&point).copied());
        let taken = taken.map_err(|refused| self.caught(refused))?;
        self.published = self.published.max(frame.round.0);
        match taken {
            Outcome::Known => Ok(()),
            Outcome::Ahead => {
                self.want_next();
                Ok(())
            }
            Outcome::Longer => {
                self.begin_audit(frame)?;
                self.round_ended(frame.round)
            }
        }
    }

    fn round_ended(&mut self, round: RoundId) -> Result<(), ProtocolFault> {
        let link = self.chain.links().last().expect("it has just got one");
        let (announced, ctx3) = (link.announced, link.certified.ctx3);
        self.events.push_back(ClientEvent::Heard { statement: announced.into() });
        let opened = self.chain.last_point().and_then(|point| self.opened.get(&point));
        if opened.is_some_and(|opened| opened.ctx3() != ctx3) {
            return Err(ProtocolFault::ResultOverOthers { round: round.0 });
        }
        self.trained = None;
        self.forget_attempt();
        self.events.push_back(ClientEvent::RoundEnded { round, model: announced.statement.model });
        let asked = self.wanted.take().is_some();
        match self.held.take() {
            Some(held) if held.kind == Kind::RoundConfig => self.round_config(&held),
            Some(held) => self.finished(&held),
            None => {
                if asked && self.chain.rounds() < self.published {
                    self.want_next();
                }
                Ok(())
            }
        }
    }

    pub(super) fn finished(&mut self, frame: &Frame) -> Result<(), ProtocolFault> {
        let last = Finished::decode_exact(&(), &frame.body)
            .map_err(|source| ProtocolFault::Malformed { what: "Finished", source })?;
        if self.chain.rounds() < self.plan.spec().rounds {
            self.held = Some(frame.clone());
            self.want_next();
            return Ok(());
        }
        if self.unaudited().is_some() {
            self.held = Some(frame.clone());
            return Ok(());
        }
        let expected = self.chain.model();
        if last.model != expected {
            return Err(ProtocolFault::WrongModel { expected, found: last.model });
        }
        self.forget_attempt();
        self.events.push_back(ClientEvent::Finished { outcome: ClientOutcome::Completed });
        self.state = State::Done(ClientOutcome::Completed);
        Ok(())
    }

    fn caught(&mut self, refused: Refused) -> ProtocolFault {
        if let Some(evidence) = refused.evidence {
            self.events.push_back(ClientEvent::Caught { evidence });
        }
        refused.fault
    }
}
