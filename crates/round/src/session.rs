//! What both roles derive from a plan for one attempt of secure aggregation.
use sottovoce_dp::LedgerKey;
use sottovoce_secagg::Session;
use sottovoce_types::{AttemptId, Digest, RoundId, RunId};

use crate::layers::LayerLaw;
use crate::plan::RunPlan;

/// One attempt of one run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct LedgerPoint {
    pub(crate) run: RunId,
    pub(crate) round: RoundId,
    pub(crate) attempt: AttemptId,
}

impl LedgerPoint {
    pub(crate) fn key(self) -> LedgerKey {
        LedgerKey { run: self.run, round: self.round, attempt: self.attempt }
    }
}

/// `allow_plain`: inputs may go unmasked. The coordinator's side has nothing to protect by it; a client says no unless a
/// simulation's control says otherwise.
pub(crate) fn session(plan: &RunPlan, cfg: Digest, allow_plain: bool) -> Session {
    Session {
        cfg,
        coordinator: plan.manifest().coordinator().0,
        members: plan.manifest().keys().clone(),
        n_min: plan.spec().n_min,
        max_corrupt: plan.spec().max_corrupt,
        lanes: plan.encode().lanes(),
        words: plan.encode().words(),
        graph: plan.spec().graph,
        suite: plan.spec().suite,
        key_agreement: plan.spec().key_agreement,
        layers: LayerLaw::of(plan).map(|law| law.digest()),
        allow_plain,
    }
}
