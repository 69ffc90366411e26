//! What the engines ask of their surroundings: local training.
use sottovoce_types::{AttemptId, FlatParams, RoundId, TrainJob};

use crate::client::{UnitRefused, UnitSum};

/// Train locally from these parameters, then call `ClientEngine::handle_trained`.
#[derive(Clone, Debug)]
pub struct Work {
    /// For this round.
    pub round: RoundId,
    /// For this attempt.
    pub attempt: AttemptId,
    /// θ_t.
    pub params: FlatParams,
    /// How, in this round: its learning rate is the round's ([`TrainJob::in_round`]).
    pub job: TrainJob,
    /// SCAFFOLD's c − c_i, `[d]`: added to the gradient of every local step. `None` under any other rule.
    pub correction: Option<Vec<f32>>,
}

/// Local training failed; the client sits this round out.
#[derive(Debug, thiserror::Error)]
#[error("local training failed")]
pub struct TrainFailed(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl From<UnitRefused> for TrainFailed {
    fn from(refused: UnitRefused) -> Self {
        Self(Box::new(refused))
    }
}

/// Local training at one site.
pub trait LocalTrainer: Send {
    /// Hands one `Update` to `units` for each privacy unit of this site that it [`UnitSum::takes`], as soon as it is there. Of a speaker, or of the whole site,
    /// that is what local training changed; of an utterance it is minus its gradient at θ_t, without a learning rate. Each is clipped and added at once, so that memory is that of one update however many units there are.
    ///
    /// # Errors
    /// [`TrainFailed`] when no update could be made, for a cause that does not depend on the data: the coordinator sees that
    /// this site sits out. A unit whose training diverges gives an update that is not finite, or zero. [`UnitRefused`] is
    /// passed on by `?`.
    fn train(&mut self, work: &Work, units: &mut UnitSum) -> Result<(), TrainFailed>;
}
