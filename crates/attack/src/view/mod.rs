//! What each adversary sees of a run, as types.
//!
//! | view | adversary | sees |
//! |---|---|---|
//! | [`ServerPlain`] (S0) | coordinator of a run without masks | every model, every client's update |
//! | [`ServerSecAgg`] (S1, S1c) | coordinator behind secure aggregation, alone or with colluders | every model, every sum and whose inputs are in it |
//! | [`FinalModel`] (F) | who is given the released model | the last model |
//! | [`PeerClient`] (C) | another client | the models of the rounds that it took part in |
//! | [`Auditor`] (G) | who instruments the run | all of it |
//! | [`MaskedTakenForPlain`] | coordinator that reads masked bytes as if they were not masked | numbers, of which an attack must make nothing |
//!
//! All are made by [`Observed`] from a transcript, which a simulation and a deployment record in one format, and the public plan. The
//! models are not taken on trust: they follow from the opened sums ([`ModelChain`]). A transcript yields only the views that its
//! plan permits; [`Observed::server_plain`] of a run with masks is an error.
//!
//! An attack on the coordinator's view behind secure aggregation cannot read a single update:
//!
//! ```compile_fail,E0599
//! fn single(view: &sottovoce_attack::view::ServerSecAgg) {
//!     let _ = view.updates();
//! }
//! ```
//!
//! nor be handed the view of another adversary:
//!
//! ```compile_fail,E0308
//! use sottovoce_attack::{Attack, distinguisher::Distinguisher, view::ServerPlain};
//! fn wrong(attack: &Distinguisher, view: &ServerPlain, aux: &<Distinguisher as Attack>::Aux<'_>) {
//!     let _ = attack.run(view, aux, 1);
//! }
//! ```
//!
//! # Errors
//! [`ViewError`].
mod others;
mod server;
mod single;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use others::{Auditor, FinalModel, PeerClient};
pub use server::{Contribution, ServerSecAgg, Summed};
pub use single::{ClientUpdate, MaskedTakenForPlain, ServerPlain, SingleUpdates};
use sottovoce_round::{ModelChain, ProtocolFault, RoundResult, RunPlan};
use sottovoce_secagg::MaskSuite;
use sottovoce_transcript::Transcript;
use sottovoce_types::{AttemptId, ClientId, ClipNorm, FlatParams, RingVec, RoundId, RunId, TrainJob};
use sottovoce_wire::Decode as _;

/// Why a view cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The coordinator of this run saw no single update.
    #[error(
        "this run's inputs are masked ({suite}), so its coordinator sees no single update: take the view server_secagg, or simulate a \
         control with aggregation.mode = \"plain\""
    )]
    Masked {
        /// How they are masked.
        suite: &'static str,
    },
    /// This run's inputs are not masked: a weaker view of it would understate what its coordinator saw.
    #[error("this run's inputs are not masked, so its coordinator sees every update: take the view server_plain")]
    NotMasked,
    /// No frame of this client is in the transcript.
    #[error("the transcript holds no frame of client {client}: name a member that took part")]
    NotThere {
        /// The client.
        client: ClientId,
    },
    /// A result does not follow from the plan.
    #[error("the result of round {round} does not follow from this plan: is the transcript of another run?")]
    Chain {
        /// The round.
        round: u64,
        /// What does not hold.
        source: ProtocolFault,
    },
    /// A recorded input is not what the run's plan says.
    #[error("record {seq} does not decode as this run's masked input: is the transcript of another run?")]
    Undecodable {
        /// Its place in the transcript.
        seq: u64,
    },
    /// An input of a round whose model is not known: the results before it are missing.
    #[error("record {seq} is an input of round {round}, but the transcript's results lead to round {known} only")]
    Ahead {
        /// Its place in the transcript.
        seq: u64,
        /// Its round.
        round: u64,
        /// The last round whose model is known.
        known: u64,
    },
    /// A colluder gave its input to a round that it is not in.
    #[error(
        "client {client} hands over an input of round {round}, whose sum it is not in: give only its contributions"
    )]
    NotInSum {
        /// The client.
        client: ClientId,
        /// The round.
        round: u64,
    },
}

/// What a round begins from; everybody knows it.
#[derive(Clone, PartialEq, Debug)]
pub struct RoundStart {
    /// Which round, from 1.
    pub round: RoundId,
    /// θ_t.
    pub model: FlatParams,
    /// Its clipping norm.
    pub clip: ClipNorm,
    /// Local training in it, with its learning rate.
    pub job: TrainJob,
}

/// A transcript and its public plan: what views are made of. Hand attacks a view, and keep this.
pub struct Observed<'a> {
    transcript: &'a Transcript,
    plan: Arc<RunPlan>,
    /// One for each published round, and one more: what comes after the last.
    starts: Vec<RoundStart>,
    sums: Vec<Summed>,
}

impl<'a> Observed<'a> {
    /// Follows the run's opened sums from the plan's first model.
    ///
    /// # Errors
    /// [`ViewError::Chain`].
    pub fn new(transcript: &'a Transcript, plan: Arc<RunPlan>) -> Result<Self, ViewError> {
        let released = transcript.released();
        let run = released.frames().first().map_or(RunId([0; 16]), |f| f.run);
        let mut chain = ModelChain::new(Arc::clone(&plan), run);
        let mut starts = vec![start(&plan, &chain)];
        let mut sums = Vec::new();
        for frame in released.results() {
            // A client that was away is sent old results again.
            if frame.round.0 != chain.rounds() + 1 {
                continue;
            }
            let clip = chain.terms().clip;
            chain
                .follow(frame.round, &frame.body)
                .map_err(|source| ViewError::Chain { round: frame.round.0, source })?;
            let link = chain.links().last().expect("it has just got one");
            let result = RoundResult::decode_exact(&plan.message_ctx(), &frame.body).expect("the chain has read it");
            sums.push(summed(&plan, frame.round, clip, result, link.certified.contributors.clone()));
            starts.push(start(&plan, &chain));
        }
        Ok(Self { transcript, plan, starts, sums })
    }

    /// The view of a coordinator without masks.
    ///
    /// # Errors
    /// [`ViewError::Masked`] where inputs are masked; [`ViewError::Undecodable`], [`ViewError::Ahead`].
    pub fn server_plain(&self) -> Result<ServerPlain, ViewError> {
        let suite = self.plan.spec().suite;
        if suite != MaskSuite::None {
            return Err(ViewError::Masked { suite: suite.name() });
        }
        Ok(ServerPlain(self.inputs()?))
    }

    /// What a coordinator has that takes the bytes of each client's input for plain, whether they are or not: with masks, uniform
    /// words. The control of an attack on single updates, and the null of it.
    ///
    /// # Errors
    /// [`ViewError::Undecodable`], [`ViewError::Ahead`].
    pub fn masked_taken_for_plain(&self) -> Result<MaskedTakenForPlain, ViewError> {
        Ok(MaskedTakenForPlain(self.inputs()?))
    }

    /// The view of a coordinator behind secure aggregation.
    ///
    /// # Errors
    /// [`ViewError::NotMasked`] where inputs are not masked.
    pub fn server_secagg(&self) -> Result<ServerSecAgg, ViewError> {
        self.server_secagg_with(&BTreeMap::new())
    }

    /// The same together with colluding clients, who hand over what they contributed to each round: the sums that are left are those of
    /// the others.
    ///
    /// # Errors
    /// [`ViewError::NotMasked`]; [`ViewError::NotInSum`] for a contribution to a sum that the client is not in.
    pub fn server_secagg_with(
        &self,
        colluders: &BTreeMap<(RoundId, ClientId), Contribution>,
    ) -> Result<ServerSecAgg, ViewError> {
        if self.plan.spec().suite == MaskSuite::None {
            return Err(ViewError::NotMasked);
        }
        let mut sums = self.sums.clone();
        for (&(round, client), contribution) in colluders {
            let sum = sums.iter_mut().find(|s| s.round == round);
            let taken = sum.is_some_and(|sum| sum.take_out(client, contribution));
            if !taken {
                return Err(ViewError::NotInSum { client, round: round.0 });
            }
        }
        Ok(ServerSecAgg { starts: self.starts.clone(), sums, colluders: !colluders.is_empty() })
    }

    /// What whoever is given the released model sees.
    pub fn final_model(&self) -> FinalModel {
        FinalModel { model: self.starts.last().expect("the first model at least").model.clone() }
    }

    /// What another client sees.
    ///
    /// # Errors
    /// [`ViewError::NotThere`].
    pub fn peer(&self, client: ClientId) -> Result<PeerClient, ViewError> {
        let seen = self.transcript.peer(client);
        if seen.records().is_empty() {
            return Err(ViewError::NotThere { client });
        }
        let joined = |start: &&RoundStart| seen.records().iter().any(|r| r.frame.round == start.round);
        Ok(PeerClient { client, starts: self.starts.iter().filter(joined).cloned().collect() })
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`Self::server_plain`], where inputs are plain.
    pub fn auditor(&self) -> Result<Auditor<'a>, ViewError> {
        let plain = if self.plan.spec().suite == MaskSuite::None { Some(self.server_plain()?) } else { None };
        Ok(Auditor {
            transcript: self.transcript,
            plan: Arc::clone(&self.plan),
            starts: self.starts.clone(),
            sums: self.sums.clone(),
            plain,
        })
    }

    fn inputs(&self) -> Result<single::Inputs, ViewError> {
        single::Inputs::read(self.transcript, &self.plan, &self.starts)
    }
}

fn start(plan: &RunPlan, chain: &ModelChain) -> RoundStart {
    let round = RoundId(chain.rounds() + 1);
    RoundStart {
        round,
        model: chain.params().clone(),
        clip: chain.terms().clip,
        job: plan.spec().job.in_round(round.0, plan.spec().rounds),
    }
}

fn summed(plan: &RunPlan, round: RoundId, clip: ClipNorm, result: RoundResult, cohort: Vec<ClientId>) -> Summed {
    let encode = plan.encode_in(round.0, clip);
    let attempt: AttemptId = result.attempt;
    let sum = RingVec::from_words(result.sum, encode.lanes());
    let units =
        single::weight(&encode, &sum).unwrap_or_else(|| cohort.iter().map(|c| f64::from(plan.units_of(c))).sum());
    Summed { round, attempt, cohort, values: encode.decode_sum(&sum), units }
}
