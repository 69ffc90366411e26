//! The model of a run as it follows from what was opened: every party computes it by itself.
//!
//! θ_1 is in the plan. θ_{t+1} and the terms of round t+1 follow from θ_t and the opened sum of round t, in integer arithmetic up to
//! one final scaling, so that coordinator and clients get the same bits. No model is ever sent: a coordinator can show a client
//! only models that follow from results that it signed (design: "verifiable model chain"; against Pasquini et al. 2022, "Eluding
//! secure aggregation in federated learning via model inconsistency").
use sottovoce_encode::EncodePlan;
use sottovoce_types::{ClientId, ClipNorm, Digest, FlatParams, RingVec, Unit};

use crate::plan::RunPlan;
use crate::server::{Server, ServerState, ServerStateError};
use crate::terms::RoundTerms;

/// θ_{t+1} with what the server's optimiser carries, after the results of t rounds.
#[derive(Clone)]
pub(crate) struct GlobalModel {
    /// t: rounds whose results are in it.
    rounds: u64,
    params: FlatParams,
    server: Server,
}

/// What a step showed, all of it post-processing of the opened sum.
pub(crate) struct Stepped {
    /// L2 norm of the released mean.
    pub(crate) mean_l2: f64,
    /// The clipping norm that the sum was made under.
    pub(crate) clip: ClipNorm,
    /// The released share of unclipped units, where the plan counts them.
    pub(crate) unclipped: Option<f64>,
}

/// The sum makes a model that holds NaN or infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sum makes a model that is not finite")]
pub(crate) struct Diverged;

impl GlobalModel {
    /// Before the first round.
    pub(crate) fn first(plan: &RunPlan) -> Self {
        Self { rounds: 0, params: plan.initial_params(), server: Server::new(plan) }
    }

    /// After `rounds` rounds, from a checkpoint.
    pub(crate) fn restore(
        plan: &RunPlan,
        rounds: u64,
        params: FlatParams,
        state: Option<&ServerState>,
    ) -> Result<Self, ServerStateError> {
        let server = Server::restore(plan, params.digest(), state)?;
        Ok(Self { rounds, params, server })
    }

    /// Rounds whose results are in it.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds
    }

    /// θ, `[d]`.
    pub(crate) fn params(&self) -> &FlatParams {
        &self.params
    }

    /// Hash of θ.
    pub(crate) fn digest(&self) -> Digest {
        self.params.digest()
    }

    /// What the next round begins from besides θ.
    pub(crate) fn terms(&self) -> RoundTerms {
        self.server.terms()
    }

    /// What must be durable with θ; `None` where θ is all.
    pub(crate) fn state(&mut self) -> Option<ServerState> {
        let model = self.params.digest();
        self.server.state(model)
    }

    /// One round on, by the opened sum over `contributors`.
    ///
    /// # Errors
    /// [`Diverged`].
    pub(crate) fn step(
        &self,
        plan: &RunPlan,
        sum: &RingVec,
        contributors: &[ClientId],
    ) -> Result<(Self, Stepped), Diverged> {
        let mut next = self.clone();
        let round = self.rounds.saturating_add(1);
        let clip = self.server.clip();
        let encode = plan.encode_in(round, clip);
        let units = units_in(plan, contributors);
        let mean = mean_update(plan, round, sum, &encode, units);
        let unclipped = encode.decode_unclipped(sum, units);
        let share = f64::from(count(contributors.len())) / f64::from(plan.manifest().len().max(1));
        next.server.step(plan, round, next.params.values_mut(), &mean, share);
        if !next.params.values().iter().all(|v| v.is_finite()) {
            return Err(Diverged);
        }
        if let Some(unclipped) = unclipped {
            next.server.adapt(plan, unclipped);
        }
        next.rounds = round;
        let mean_l2 = mean.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        Ok((next, Stepped { mean_l2, clip, unclipped }))
    }
}

/// The mean over *public* unit counts of the contributors, times [`RunPlan::step_of_mean`]: the counts are in the manifest and in the
/// signed survivor set, so the denominator depends on nobody's data.
fn mean_update(plan: &RunPlan, round: u64, sum: &RingVec, encode: &EncodePlan, units: f64) -> Vec<f32> {
    if plan.spec().unit == Unit::None {
        // All weights zero: every contributor had no examples, and the model stays.
        return encode.decode_weighted(sum).unwrap_or_else(|_| vec![0.0; plan.layout().len()]);
    }
    let step = plan.step_of_mean(round);
    let mean = encode.decode(sum, units);
    #[allow(clippy::cast_possible_truncation, reason = "back to the width of parameters")]
    let scaled = mean.into_iter().map(|v| (f64::from(v) * step) as f32).collect();
    scaled
}

/// Public units of the contributors, times the probability with which each takes part: never the number that did, which nobody
/// but their sites knows.
fn units_in(plan: &RunPlan, contributors: &[ClientId]) -> f64 {
    let units: u32 = contributors.iter().map(|c| plan.units_of(c)).sum();
    plan.expected_units(units.max(1).into())
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
