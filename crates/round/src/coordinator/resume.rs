//! A coordinator that died and goes on: from the last published model, in a fresh attempt, with nothing forgotten.
use std::sync::Arc;

use sottovoce_dp::Ledger;
use sottovoce_secagg::Identity;
use sottovoce_types::{AttemptId, ClientId, Digest, FlatParams, RoundId, RunId};

use super::{Coordinator, Outcome, Phase};
use crate::fault::ResumeError;
use crate::global_model::GlobalModel;
use crate::journal::{Entry, JournalEvent};
use crate::plan::RunPlan;
use crate::server::ServerState;

/// Where a journal says that a run stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Standing {
    /// The run.
    pub run: RunId,
    /// The plan that it began with.
    pub plan: Digest,
    /// The last published model, or the one that the run began from.
    pub model: Digest,
    /// What the server carries on beside it, if anything.
    pub state: Option<Digest>,
    /// The round that comes next.
    pub round: RoundId,
    /// The last attempt at it that was opened; 0 when none was.
    pub attempt: AttemptId,
    /// Rounds published.
    pub published: u64,
    /// Whether the run was over.
    pub finished: bool,
}

impl Standing {
    /// Reads it from a journal; `None` for one that holds no run.
    pub fn of(entries: &[Entry]) -> Option<Self> {
        let mut standing: Option<Self> = None;
        for entry in entries {
            match (&entry.event, &mut standing) {
                (JournalEvent::RunStarted { run, plan, seed_model }, _) => {
                    standing = Some(Self {
                        run: *run,
                        plan: *plan,
                        model: *seed_model,
                        state: None,
                        round: RoundId(1),
                        attempt: AttemptId(0),
                        published: 0,
                        finished: false,
                    });
                }
                (JournalEvent::AttemptOpened { attempt, .. }, Some(s)) => s.attempt = *attempt,
                (JournalEvent::Published { round, model, state, .. }, Some(s)) => {
                    s.model = *model;
                    s.state = *state;
                    s.round = RoundId(round.0.saturating_add(1));
                    s.attempt = AttemptId(0);
                    s.published = s.published.saturating_add(1);
                }
                (JournalEvent::RunFinished { .. }, Some(s)) => s.finished = true,
                _ => {}
            }
        }
        standing
    }
}

impl Coordinator {
    /// Goes on from a journal. An attempt that was open is over: no randomness is resumed, what it reserved counts as
    /// spent, and the same round is tried again under a higher attempt number.
    ///
    /// `params` is the checkpoint of [`Standing::model`], and `state` that of [`Standing::state`].
    ///
    /// # Errors
    /// [`ResumeError`] when the journal is of another plan, or contradicts the checkpoint or itself.
    pub fn resume(
        plan: Arc<RunPlan>,
        identity: Identity,
        entries: &[Entry],
        params: FlatParams,
        state: Option<&ServerState>,
    ) -> Result<Self, ResumeError> {
        let standing = Standing::of(entries).ok_or(ResumeError::Empty)?;
        let ours = plan.digest();
        if standing.plan != ours {
            return Err(ResumeError::DifferentPlan { theirs: standing.plan, ours });
        }
        if params.digest() != standing.model {
            return Err(ResumeError::WrongModel { expected: standing.model, found: params.digest() });
        }
        let found = state.map(ServerState::digest);
        if found != standing.state {
            return Err(ResumeError::WrongState { expected: standing.state, found });
        }
        let model = GlobalModel::restore(&plan, standing.published, params, state)?;
        let ledger = match plan.budget() {
            Some(budget) => {
                Some(Ledger::replay_under(budget, plan.filter(), entries.iter().filter_map(|e| e.ledger.clone()))?)
            }
            None => None,
        };
        let plan_rounds = plan.spec().rounds;
        let complete = standing.published >= plan_rounds;
        let mut engine = Self::at(plan, identity, standing.run, model, ledger, standing.round, standing.attempt);
        for entry in entries {
            if let JournalEvent::InputsReceived { run, round, attempt, clients } = &entry.event
                && *run == standing.run
            {
                engine.last_inputs.extend(clients.iter().map(|c| (ClientId(c.0), (*round, *attempt))));
            }
        }
        if complete {
            // The last model is that of the last round, and clients check it against what was announced for that round.
            engine.round = RoundId(plan_rounds);
            engine.phase = Phase::Done(Outcome::Completed);
        }
        Ok(engine)
    }
}
