//! R5: some chunks of each published sum, computed again from the inputs. This client takes no part in a further round, and in no end of
//! the run, before they are right; a coordinator that does not show them is not taken for one whose sums are right.
use sottovoce_secagg::chunks::{chunk_count, chunk_range};
use sottovoce_secagg::{ChunkAuditor, draw_chunks};
use sottovoce_types::{AttemptId, RoundId};
use sottovoce_wire::{Decode, Encode, Frame, Kind};

use super::{ClientEngine, ClientEvent};
use crate::audit::{AuditReply, AuditRequest, KEPT_ROUNDS, ShownChunk, SignedOpenings};
use crate::evidence::{Evidence, FalseSum};
use crate::fault::ProtocolFault;
use crate::layers::{LayerLaw, audited_chunk};
use crate::messages::RoundResult;
use crate::session::session;
use crate::statement::{ConfigStatement, ResultStatement, Signed, Statement};

/// The audit of one sum, as far as it got.
pub(super) struct Auditing {
    result: RoundResult,
    config: ConfigStatement,
    announced: Signed<ResultStatement>,
    /// Chunks to be looked at, the next one last.
    chunks: Vec<usize>,
    looked_at: u32,
    opened: Option<(ChunkAuditor, Box<SignedOpenings>)>,
    /// What was shown of the chunk under way, in roster order.
    shown: Vec<ShownChunk>,
}

impl Auditing {
    fn round(&self) -> RoundId {
        self.announced.statement.round
    }
}

impl ClientEngine {
    /// The oldest round whose sum this client has and has not found right yet.
    pub fn unaudited(&self) -> Option<RoundId> {
        self.audits.front().map(Auditing::round)
    }

    /// Begins the audit of the result that the chain has just taken.
    pub(super) fn begin_audit(&mut self, frame: &Frame) -> Result<(), ProtocolFault> {
        let count = usize::try_from(self.plan.spec().audit_chunks).unwrap_or(usize::MAX);
        // Of what was published while it was away, only the newest: the inputs of the others are gone.
        if count == 0 || frame.round.0 < self.published {
            return Ok(());
        }
        if let Some(waiting) = self.unaudited()
            && u64::try_from(self.audits.len()).unwrap_or(u64::MAX) >= KEPT_ROUNDS
        {
            return Err(ProtocolFault::AuditRefused { round: waiting.0 });
        }
        let result = RoundResult::decode_exact(&self.plan.message_ctx(), &frame.body)
            .map_err(|source| ProtocolFault::Malformed { what: "Result", source })?;
        let link = self.chain.links().last().expect("the result made one");
        let config = self.chain.config_of(frame.round, result.attempt, link.from, link.terms);
        let announced = link.announced;
        let chunks = draw_chunks(chunk_count(result.sum.len()), count, &mut self.rng)
            .ok_or(ProtocolFault::SecAgg(sottovoce_secagg::Abort::RandomnessFailed))?;
        let audit = Auditing { result, config, announced, chunks, looked_at: 0, opened: None, shown: Vec::new() };
        self.audits.push_back(audit);
        if self.audits.len() == 1 {
            self.ask_openings();
        }
        Ok(())
    }

    /// Asks for what opened the sum under audit, from the beginning: on a new connection nothing is on its way.
    pub(super) fn ask_openings(&mut self) {
        if let Some(audit) = self.audits.front_mut() {
            audit.opened = None;
            audit.shown.clear();
            self.ask(AuditRequest::Openings);
        }
    }

    fn ask(&mut self, request: AuditRequest) {
        if let (Some(round), Some(run)) = (self.unaudited(), self.run) {
            let body = request.to_bytes().into();
            self.transmit.push_back(Frame { kind: Kind::WantAudit, run, round, attempt: AttemptId(0), body });
        }
    }

    /// What the coordinator shows.
    pub(super) fn audit_shown(&mut self, frame: &Frame) -> Result<(), ProtocolFault> {
        let unexpected = ProtocolFault::Unexpected { what: "Audit", state: self.state.name() };
        let reply = AuditReply::decode_exact(&self.plan.message_ctx(), &frame.body)
            .map_err(|source| ProtocolFault::Malformed { what: "Audit", source })?;
        let Some(audit) = self.audits.front_mut().filter(|audit| audit.round() == frame.round) else {
            return Err(unexpected);
        };
        let round = frame.round.0;
        match reply {
            AuditReply::Refused => return Err(ProtocolFault::AuditRefused { round }),
            AuditReply::Openings(openings) if audit.opened.is_none() => {
                openings
                    .verify(&audit.announced.statement.ctx3, self.plan.manifest().coordinator())
                    .map_err(|_| ProtocolFault::AuditSignature(round))?;
                // Whatever masks were asked for, a sum is audited alike.
                let session = session(&self.plan, audit.config.digest(), true);
                let auditor = ChunkAuditor::new(session, &audit.result.certificate, &openings.revealed)
                    .map_err(|source| ProtocolFault::AuditOpenings { round, source })?;
                audit.opened = Some((auditor, openings));
            }
            AuditReply::Chunks(shown) => {
                let (Some((auditor, _)), Some(chunk)) = (&audit.opened, audit.chunks.last()) else {
                    return Err(unexpected);
                };
                let clients: Vec<_> = auditor.contributors().skip(audit.shown.len()).collect();
                if shown.is_empty() || shown.len() > clients.len() {
                    return Err(ProtocolFault::AuditRefused { round });
                }
                for (client, shown) in clients.into_iter().zip(shown) {
                    if !auditor.is_chunk_of(audit.shown.len(), *chunk, &shown.words, &shown.path) {
                        return Err(ProtocolFault::AuditChunk { round, client });
                    }
                    audit.shown.push(shown);
                }
            }
            AuditReply::Openings(_) => return Err(unexpected),
        }
        self.audit_on()
    }

    /// Judges the chunk under way if all of it is here, and asks for what comes next.
    fn audit_on(&mut self) -> Result<(), ProtocolFault> {
        let Some(audit) = self.audits.front_mut() else { return Ok(()) };
        let Some((auditor, openings)) = &audit.opened else { return Ok(()) };
        if let Some(chunk) = audit.chunks.last().copied()
            && audit.shown.len() == auditor.contributors().len()
        {
            let range = chunk_range(chunk, audit.result.sum.len()).expect("drawn from the sum's own chunks");
            let announced = audit.result.sum.get(range).expect("a range of the sum");
            let inputs = audit.shown.iter().map(|shown| shown.words.as_slice());
            let (law, lanes) = (LayerLaw::of(&self.plan), self.plan.encode().lanes());
            if audited_chunk(law.as_ref(), auditor, chunk, inputs, lanes).as_deref() != Some(announced) {
                let round = audit.round().0;
                let evidence = FalseSum::new(
                    &self.plan,
                    (audit.announced, audit.config),
                    &audit.result,
                    openings,
                    chunk,
                    &audit.shown,
                );
                self.events
                    .push_back(ClientEvent::Caught { evidence: Box::new(Evidence::FalseSum(Box::new(evidence))) });
                // It stays under audit: whatever comes, this client takes no part any more.
                audit.shown.clear();
                return Err(ProtocolFault::FalseSum { round });
            }
            audit.chunks.pop();
            audit.shown.clear();
            audit.looked_at = audit.looked_at.saturating_add(1);
        }
        match audit.chunks.last() {
            Some(chunk) => {
                let place = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                let request = AuditRequest::Chunks { chunk: place(*chunk), from: place(audit.shown.len()) };
                self.ask(request);
                Ok(())
            }
            None => self.audit_done(),
        }
    }

    fn audit_done(&mut self) -> Result<(), ProtocolFault> {
        if let Some(done) = self.audits.pop_front() {
            self.events.push_back(ClientEvent::Audited { round: done.round(), chunks: done.looked_at });
        }
        if !self.audits.is_empty() {
            self.ask_openings();
            return Ok(());
        }
        if std::mem::take(&mut self.advert_waits) {
            self.advertise()?;
        }
        match self.held.take_if(|held| held.kind == Kind::Finished) {
            Some(held) => self.finished(&held),
            None => Ok(()),
        }
    }
}
