//! What the engines ask of their surroundings: local training.
use sottovoce_types::{AttemptId, FlatParams, RoundId, TrainJob, Update};

/// Train locally from these parameters, then call `ClientEngine::handle_updates`.
#[derive(Clone, Debug)]
pub struct Work {
    /// For this round.
    pub round: RoundId,
    /// For this attempt.
    pub attempt: AttemptId,
    /// θ_t.
    pub params: FlatParams,
    /// How.
    pub job: TrainJob,
}

/// Local training failed; the client sits this round out.
#[derive(Debug, thiserror::Error)]
#[error("local training failed")]
pub struct TrainFailed(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Local training at one site.
pub trait LocalTrainer: Send {
    /// One [`Update`] per privacy unit of this site (speaker, or the whole site).
    ///
    /// # Errors
    /// [`TrainFailed`] when no update could be made, for a cause that does not depend on the data: the coordinator sees that
    /// this site sits out. A unit whose training diverges gives an update that is not finite, or zero.
    fn train(&mut self, global: &FlatParams, job: &TrainJob) -> Result<Vec<Update>, TrainFailed>;
}
