//! Views of who is not the coordinator.
use std::sync::Arc;

use sottovoce_round::RunPlan;
use sottovoce_transcript::Transcript;
use sottovoce_types::{ClientId, FlatParams, Vantage};

use super::{RoundStart, ServerPlain, Summed};

/// What whoever is given the released model sees: θ_T.
#[derive(Clone, PartialEq, Debug)]
pub struct FinalModel {
    pub(super) model: FlatParams,
}

impl FinalModel {
    /// From where it looks.
    pub fn vantage(&self) -> Vantage {
        Vantage::Released
    }

    /// The model.
    pub fn model(&self) -> &FlatParams {
        &self.model
    }
}

/// What another client sees: the models of the rounds that it took part in. Its own update is its own.
#[derive(Clone, PartialEq, Debug)]
pub struct PeerClient {
    pub(super) client: ClientId,
    pub(super) starts: Vec<RoundStart>,
}

impl PeerClient {
    /// From where it looks.
    pub fn vantage(&self) -> Vantage {
        Vantage::PeerClient
    }

    /// Whose eyes these are.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// What the rounds began from in which it took part.
    pub fn starts(&self) -> &[RoundStart] {
        &self.starts
    }
}

/// What the auditor sees: everything that was recorded, and what follows from it.
#[derive(Clone, Debug)]
pub struct Auditor<'a> {
    pub(super) transcript: &'a Transcript,
    pub(super) plan: Arc<RunPlan>,
    pub(super) starts: Vec<RoundStart>,
    pub(super) sums: Vec<Summed>,
    pub(super) plain: Option<ServerPlain>,
}

impl<'a> Auditor<'a> {
    /// From where it looks.
    pub fn vantage(&self) -> Vantage {
        Vantage::Auditor
    }

    /// All frames.
    pub fn transcript(&self) -> &'a Transcript {
        self.transcript
    }

    /// The plan.
    pub fn plan(&self) -> &RunPlan {
        &self.plan
    }

    /// What each round began from.
    pub fn starts(&self) -> &[RoundStart] {
        &self.starts
    }

    /// The opened sums.
    pub fn sums(&self) -> &[Summed] {
        &self.sums
    }

    /// Single updates; `None` of a run with masks, whose bytes show none.
    pub fn plain(&self) -> Option<&ServerPlain> {
        self.plain.as_ref()
    }
}
