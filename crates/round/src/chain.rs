//! The chain of a run: model, opened sum, model, and so on, each under a quorum's signatures and the coordinator's. Clients follow
//! it as it grows; whoever has the results can follow it afterwards.
use std::sync::Arc;

use sottovoce_secagg::{Certified, CheckedQuorum};
use sottovoce_types::{AttemptId, Digest, FlatParams, RingVec, RoundId, RunId};
use sottovoce_wire::Decode;

use crate::evidence::Evidence;
use crate::fault::ProtocolFault;
use crate::global_model::GlobalModel;
use crate::messages::RoundResult;
use crate::plan::RunPlan;
use crate::session::{LedgerPoint, session};
use crate::statement::{ConfigStatement, ResultStatement, Signed, Statement};
use crate::terms::RoundTerms;

/// A chain as far as it was followed, from the plan's initial model.
pub struct ModelChain {
    plan: Arc<RunPlan>,
    run: RunId,
    model: GlobalModel,
    links: Vec<Link>,
}

/// A round of a chain.
#[derive(Clone, Debug)]
pub struct Link {
    /// What the round began from: hash of θ_t.
    pub from: Digest,
    /// Digest of its terms.
    pub terms: Digest,
    /// Whose inputs are in the sum, and what a quorum signed for.
    pub certified: Certified,
    /// What the coordinator said of its end.
    pub announced: Signed<ResultStatement>,
}

/// What a result did to a chain.
pub(crate) enum Outcome {
    /// It is one link longer.
    Longer,
    /// It had this link.
    Known,
    /// Others must come before.
    Ahead,
}

/// A statement that the chain does not bear out, and what shows it to others, where something does.
pub(crate) struct Refused {
    pub(crate) fault: ProtocolFault,
    pub(crate) evidence: Option<Box<Evidence>>,
}

impl From<ProtocolFault> for Refused {
    fn from(fault: ProtocolFault) -> Self {
        Self { fault, evidence: None }
    }
}

impl ModelChain {
    /// Of a run that begins.
    pub fn new(plan: Arc<RunPlan>, run: RunId) -> Self {
        let model = GlobalModel::first(&plan);
        Self { plan, run, model, links: Vec::new() }
    }

    /// The run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Rounds followed.
    pub fn rounds(&self) -> u64 {
        self.model.rounds()
    }

    /// The rounds, from the first.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The model that follows from them, `[d]`.
    pub fn params(&self) -> &FlatParams {
        self.model.params()
    }

    /// Its hash.
    pub fn model(&self) -> Digest {
        self.model.digest()
    }

    /// The plan that it is of.
    pub(crate) fn plan(&self) -> &Arc<RunPlan> {
        &self.plan
    }

    /// What the next round begins from besides the model.
    pub fn terms(&self) -> RoundTerms {
        self.model.terms()
    }

    /// Takes the next result, as it was published: checks its quorum and its signatures, and computes the model that follows.
    ///
    /// # Errors
    /// [`ProtocolFault`] by the first thing that does not hold.
    pub fn follow(&mut self, round: RoundId, result: &[u8]) -> Result<(), ProtocolFault> {
        match self.take(round, result, |_| None) {
            Ok(Outcome::Longer) => Ok(()),
            Ok(Outcome::Known | Outcome::Ahead) => {
                Err(ProtocolFault::RoundRepeated { have: self.rounds(), round: round.0 })
            }
            Err(refused) => Err(refused.fault),
        }
    }

    /// What the coordinator says of an attempt's beginning. What it does not name stands for this plan and run.
    pub(crate) fn config_of(
        &self,
        round: RoundId,
        attempt: AttemptId,
        model: Digest,
        terms: Digest,
    ) -> ConfigStatement {
        let plan = &self.plan;
        ConfigStatement {
            manifest: plan.manifest().digest(),
            plan: plan.digest(),
            run: self.run,
            round,
            attempt,
            model,
            layout: plan.layout().digest(),
            terms,
        }
    }

    /// Whether an attempt begins where this chain ends.
    pub(crate) fn continued_by(&self, said: &Signed<ConfigStatement>) -> Result<(), Refused> {
        let (have, round) = (self.rounds(), said.statement.round.0);
        if have.checked_add(1) != Some(round) {
            return Err(ProtocolFault::RoundRepeated { have, round }.into());
        }
        let (expected, found) = (self.model(), said.statement.model);
        if expected != found {
            let last = self.links.last();
            let evidence = last.map(|last| Box::new(Evidence::AnotherModel { result: last.announced, config: *said }));
            return Err(Refused { fault: ProtocolFault::WrongModel { expected, found }, evidence });
        }
        let (expected, found) = (self.terms().digest(expected), said.statement.terms);
        if expected == found { Ok(()) } else { Err(ProtocolFault::WrongTerms { expected, found }.into()) }
    }

    /// `opened`: what a client checked itself before it opened the attempt at this point; its signatures are not looked at again.
    pub(crate) fn take(
        &mut self,
        round: RoundId,
        result: &[u8],
        opened: impl Fn(LedgerPoint) -> Option<CheckedQuorum>,
    ) -> Result<Outcome, Refused> {
        let result = RoundResult::decode_exact(&self.plan.message_ctx(), result)
            .map_err(|source| ProtocolFault::Malformed { what: "Result", source })?;
        let (have, rounds) = (self.rounds(), self.plan.spec().rounds);
        if round.0 == 0 || round.0 > rounds {
            return Err(ProtocolFault::BeyondPlan { round: round.0, rounds }.into());
        }
        if round.0 <= have {
            return self.known(round, &result, &opened);
        }
        if round.0 > have.saturating_add(1) {
            return Ok(Outcome::Ahead);
        }
        let from = self.model();
        let terms = self.terms().digest(from);
        let (announced, certified) = self.certified(round, &result, (from, terms), &opened)?;
        let sum = RingVec::from_words(result.sum, self.plan.encode().lanes());
        let stepped = self.model.step(&self.plan, &sum, &certified.contributors);
        let (next, _) = stepped.map_err(|_| ProtocolFault::Diverged(round.0))?;
        let expected = next.digest();
        if expected != result.model {
            return Err(ProtocolFault::WrongModel { expected, found: result.model }.into());
        }
        self.model = next;
        self.links.push(Link { from, terms, certified, announced });
        Ok(Outcome::Longer)
    }

    /// A result of a round that the chain has: the same again, or evidence.
    fn known(
        &self,
        round: RoundId,
        result: &RoundResult,
        opened: &impl Fn(LedgerPoint) -> Option<CheckedQuorum>,
    ) -> Result<Outcome, Refused> {
        let place = usize::try_from(round.0.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(link) = self.links.get(place) else { return Ok(Outcome::Ahead) };
        let (second, _) = self.certified(round, result, (link.from, link.terms), opened)?;
        let first = link.announced;
        if second.statement == first.statement {
            return Ok(Outcome::Known);
        }
        let evidence = Some(Box::new(Evidence::TwoResults { first, second }));
        Err(Refused { fault: ProtocolFault::TwoResults { round: round.0 }, evidence })
    }

    /// Whether a result is certified by a quorum, for an attempt that began from this model under these terms, and signed.
    fn certified(
        &self,
        round: RoundId,
        result: &RoundResult,
        (from, terms): (Digest, Digest),
        opened: &impl Fn(LedgerPoint) -> Option<CheckedQuorum>,
    ) -> Result<(Signed<ResultStatement>, Certified), ProtocolFault> {
        // Whatever masks were asked for, a certificate is checked alike.
        let session = session(&self.plan, self.config_of(round, result.attempt, from, terms).digest(), true);
        let certified = match opened(LedgerPoint { run: self.run, round, attempt: result.attempt }) {
            Some(checked) => result.certificate.verify_after(&session, &checked),
            None => result.certificate.verify(&session),
        };
        let certified = certified.map_err(|source| ProtocolFault::ResultCertificate { round: round.0, source })?;
        let statement = ResultStatement {
            manifest: self.plan.manifest().digest(),
            run: self.run,
            round,
            attempt: result.attempt,
            ctx3: certified.ctx3,
            sum: RoundResult::sum_digest(&result.sum),
            model: result.model,
        };
        let said = Signed { statement, signature: result.signature };
        said.verify(self.plan.manifest().coordinator()).map_err(|_| ProtocolFault::ResultSignature(round.0))?;
        Ok((said, certified))
    }

    /// The last link's attempt.
    pub(crate) fn last_point(&self) -> Option<LedgerPoint> {
        let said = &self.links.last()?.announced.statement;
        Some(LedgerPoint { run: said.run, round: said.round, attempt: said.attempt })
    }
}
