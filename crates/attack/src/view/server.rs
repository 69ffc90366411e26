//! The coordinator's view behind secure aggregation.
use sottovoce_types::{AttemptId, ClientId, RoundId, Vantage};

use super::RoundStart;

/// An opened sum.
#[derive(Clone, PartialEq, Debug)]
pub struct Summed {
    /// Of which round.
    pub round: RoundId,
    /// The attempt that was opened.
    pub attempt: AttemptId,
    /// Whose inputs are in it, ascending.
    pub cohort: Vec<ClientId>,
    /// Σ over the cohort's units of their clipped updates, noise included, `[d]` in parameter units; without a privacy unit each client's
    /// update times its weight.
    pub values: Vec<f64>,
    /// Units in it by the public manifest, or the sum of weights.
    pub units: f64,
}

/// What a colluding client knows of its own input to a sum.
#[derive(Clone, PartialEq, Debug)]
pub struct Contribution {
    /// Σ over its units, with its own noise, `[d]` in parameter units.
    pub values: Vec<f64>,
    /// Its units, or its weight.
    pub units: f64,
}

impl Summed {
    /// The mean update of its units, `[d]`.
    pub fn mean(&self) -> Vec<f64> {
        let units = self.units.max(f64::MIN_POSITIVE);
        self.values.iter().map(|v| v / units).collect()
    }

    /// Leaves the sum of the others; false when the client is not in it or the lengths differ.
    pub(super) fn take_out(&mut self, client: ClientId, own: &Contribution) -> bool {
        let Some(place) = self.cohort.iter().position(|c| *c == client) else { return false };
        if own.values.len() != self.values.len() {
            return false;
        }
        self.cohort.remove(place);
        self.units -= own.units;
        for (sum, own) in self.values.iter_mut().zip(&own.values) {
            *sum -= own;
        }
        true
    }
}

/// What a coordinator sees behind secure aggregation: every model, every opened sum and whose inputs are in it; with colluders, the sums
/// without theirs. It holds no single update.
#[derive(Clone, PartialEq, Debug)]
pub struct ServerSecAgg {
    pub(super) starts: Vec<RoundStart>,
    pub(super) sums: Vec<Summed>,
    pub(super) colluders: bool,
}

impl ServerSecAgg {
    /// From where it looks.
    pub fn vantage(&self) -> Vantage {
        if self.colluders { Vantage::Collusion } else { Vantage::Coordinator }
    }

    /// The sums, by round.
    pub fn sums(&self) -> &[Summed] {
        &self.sums
    }

    /// What each round began from; the last is what follows from the last sum.
    pub fn starts(&self) -> &[RoundStart] {
        &self.starts
    }

    /// What a round began from.
    pub fn start(&self, round: RoundId) -> Option<&RoundStart> {
        self.starts.iter().find(|s| s.round == round)
    }
}
