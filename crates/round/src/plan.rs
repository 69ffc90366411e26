//! What all parties agree on before a run: its digest is in the handshake and under every signature.
use std::sync::{Arc, OnceLock};

use sottovoce_dp::sampling::SamplingProbability;
use sottovoce_dp::{Budget, DpEvent, Filter, LayerError, LayerPlan, NoiseShare, ShareError};
use sottovoce_encode::{EncodePlan, EncodeSpec, Extra, FLATNESS, Headroom, MAX_BLOCK, exact};
use sottovoce_secagg::graph::{Degrees, Infeasible, MaskGraph};
use sottovoce_secagg::{KeyAgreement, MaskSuite, MessageCtx, honest_floor, quorum};
use sottovoce_types::{
    ClassWeights, ClientId, ClipNorm, Delta, Digest, Epsilon, FlatParams, Lanes, LayerRule, LocalOptimiser, ModelSpec,
    NoiseMultiplier, NoiseRemoval, ParamLayout, Rotation, Sha256Writer, TrainJob, Unit,
};

use crate::manifest::{Manifest, Member};
use crate::server::{AdaptiveClip, AdaptiveClipRefused, ServerOutOfRange, ServerSpec, limits};

/// The privacy part of a plan; absent when the unit is [`Unit::None`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PrivacyPlan {
    /// Standard deviation of the honest noise on the sum, divided by the clipping norm.
    pub noise_multiplier: NoiseMultiplier,
    /// With which probability each unit takes part in a round, by its site's own coins; `None` where all do.
    pub sampling: Option<SamplingProbability>,
    /// δ.
    pub delta: Delta,
    /// No round is begun that would take a party's spent ε above this.
    pub epsilon_budget: Epsilon,
}

/// How long the coordinator waits, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadlines {
    /// For members to connect before the first round.
    pub join_ms: u64,
    /// For a client to train and advertise.
    pub advert_ms: u64,
    /// For each later phase.
    pub phase_ms: u64,
}

/// What a plan is made of; [`RunPlan::new`] checks it.
#[derive(Clone, PartialEq, Debug)]
pub struct RunSpec {
    /// A name for people.
    pub name: String,
    /// Rounds.
    pub rounds: u64,
    /// Architecture.
    pub model: ModelSpec,
    /// Seed of the initial parameters.
    pub init_seed: u64,
    /// Local training.
    pub job: TrainJob,
    /// Digest of how features are made: front end, standardisation, labels.
    pub features: Digest,
    /// What neighbouring data sets differ by.
    pub unit: Unit,
    /// Bound C of one unit's update (without DP: the largest update that can be encoded).
    pub clip: ClipNorm,
    /// C is 2^clip_bits grid steps.
    pub clip_bits: u32,
    /// Integers per 64-bit word.
    pub lanes: Lanes,
    /// Whether updates are rotated before they become integers.
    pub rotation: Rotation,
    /// The privacy part.
    pub privacy: Option<PrivacyPlan>,
    /// Clients needed for a round.
    pub n_min: u32,
    /// Clients that may be corrupt and collude with the coordinator.
    pub max_corrupt: u32,
    /// Between whom secrets are shared and masks are made.
    pub graph: MaskGraph,
    /// How inputs are masked.
    pub suite: MaskSuite,
    /// How clients agree on the keys of masks and envelopes.
    pub key_agreement: KeyAgreement,
    /// Whether noise that dropouts did not make necessary is taken off a sum.
    pub noise_removal: NoiseRemoval,
    /// Random chunks of 64 KiB of each sum that every client computes again from the signed inputs; 0 for none.
    pub audit_chunks: u32,
    /// Deadlines.
    pub deadlines: Deadlines,
    /// How the clipping norm follows the units' updates; `None` where it stays.
    pub adaptive_clip: Option<AdaptiveClip>,
    /// How the released mean moves the model.
    pub server: ServerSpec,
    /// Attempts at one round before the run fails.
    pub max_attempts: u32,
}

/// A plan that cannot be carried out, or protects nobody.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The ring is too narrow.
    #[error(transparent)]
    Headroom(#[from] Headroom),
    /// The noise cannot be sampled.
    #[error(transparent)]
    Noise(#[from] ShareError),
    /// The noise cannot be split into layers.
    #[error(transparent)]
    Layers(#[from] LayerError),
    /// Noise removal where there is nothing to remove, or where it would not hold.
    #[error("aggregation.noise_removal = \"layers\" {0}")]
    NoiseRemoval(&'static str),
    /// Too few honest inputs in an opened sum.
    #[error(
        "with n_min = {n_min} and max_corrupt = {max_corrupt}, an opened sum is sure of {honest} honest inputs: at least 2 are needed, raise n_min or lower max_corrupt"
    )]
    TooFewHonest {
        /// Smallest cohort.
        n_min: u32,
        /// Corrupt clients.
        max_corrupt: u32,
        /// Honest inputs guaranteed.
        honest: u32,
    },
    /// More clients needed than there are.
    #[error("n_min = {n_min} but the federation has {members} members")]
    TooFewMembers {
        /// Smallest cohort.
        n_min: u32,
        /// Members.
        members: u32,
    },
    /// No sparse graph keeps its bounds on some roster that the plan allows.
    #[error("aggregation.graph = {graph:?} on rosters of {n_min} to {members} clients: {source}")]
    Graph {
        /// The graph asked for.
        graph: &'static str,
        /// Smallest roster.
        n_min: u32,
        /// Largest.
        members: u32,
        /// Why.
        source: Infeasible,
    },
    /// A number of the server's optimiser.
    #[error(transparent)]
    Server(#[from] ServerOutOfRange),
    /// Adaptive clipping where it cannot be.
    #[error(transparent)]
    AdaptiveClip(#[from] AdaptiveClipRefused),
    /// SCAFFOLD where it does not hold.
    #[error("server.optimiser = \"scaffold\" {0}")]
    Scaffold(&'static str),
    /// Class weights that make one utterance's gradient depend on the others of its client.
    #[error(
        "class_weights = \"balanced\" counts the classes of a client, so that the gradient of one utterance depends on the others \
         and clipping it by itself bounds nothing: with privacy.unit = \"utterance\" use none, or public numbers"
    )]
    BalancedUtterances,
    /// Sampling where there are no units inside a site to draw from.
    #[error(
        "sampling draws a site's units by coins that only the site sees, and with privacy.unit = {unit:?} there are none to draw: \
         use the unit speaker or utterance, or a sampling rate of 1"
    )]
    Sampling {
        /// The unit.
        unit: &'static str,
    },
    /// A DP unit without parameters, or parameters without a unit.
    #[error("privacy.unit = {unit:?} needs {needs}")]
    Privacy {
        /// The unit.
        unit: &'static str,
        /// What is missing.
        needs: &'static str,
    },
}

/// A checked plan.
#[derive(Clone, Debug)]
pub struct RunPlan {
    spec: RunSpec,
    manifest: Arc<Manifest>,
    layout: Arc<ParamLayout>,
    encode: EncodePlan,
    /// What the lists of an attempt may hold.
    degrees: Degrees,
    /// Kept, because every client compares it with what it is sent in round 1.
    initial: FlatParams,
    /// Made when it is first asked for: it takes an accountant's while.
    filter: OnceLock<Filter>,
}

impl RunPlan {
    /// Checks a spec against the federation.
    ///
    /// # Errors
    /// [`PlanError`]: a ring that could overflow, too few honest inputs, missing privacy parameters.
    pub fn new(spec: RunSpec, manifest: Arc<Manifest>) -> Result<Self, PlanError> {
        match (spec.unit, &spec.privacy) {
            (Unit::None, Some(_)) => return Err(PlanError::Privacy { unit: "none", needs: "no noise parameters" }),
            (Unit::Speaker | Unit::Utterance | Unit::Client, None) => {
                return Err(PlanError::Privacy { unit: spec.unit.name(), needs: "epsilon or a noise multiplier" });
            }
            _ => {}
        }
        if spec.unit == Unit::Utterance && spec.job.class_weights == ClassWeights::Balanced {
            return Err(PlanError::BalancedUtterances);
        }
        if matches!(spec.unit, Unit::Client | Unit::None) && spec.privacy.is_some_and(|p| p.sampling.is_some()) {
            return Err(PlanError::Sampling { unit: spec.unit.name() });
        }
        spec.server.check()?;
        scaffold_holds(&spec)?;
        let members = manifest.len();
        if spec.n_min > members {
            return Err(PlanError::TooFewMembers { n_min: spec.n_min, members });
        }
        removal_holds(&spec)?;
        let honest = honest_floor(spec.n_min, spec.max_corrupt);
        if spec.n_min < 2 || honest < 2 {
            return Err(PlanError::TooFewHonest { n_min: spec.n_min, max_corrupt: spec.max_corrupt, honest });
        }
        let (n_min, graph) = (spec.n_min, spec.graph);
        let degrees = graph.degrees(n_min, members, spec.max_corrupt).map_err(|source| PlanError::Graph {
            graph: graph.name(),
            n_min,
            members,
            source,
        })?;
        let max_units = manifest.members().iter().map(|m| u64::from(units_of(spec.unit, m))).sum();
        let extra = extra(&spec, max_units)?;
        let layout = Arc::new(spec.model.layout());
        let encode = EncodePlan::new(EncodeSpec {
            dim: layout.len(),
            clip: spec.clip,
            clip_bits: spec.clip_bits,
            lanes: spec.lanes,
            max_units,
            extra,
            rotation: spec.rotation,
            noise_tail: noise_tail(&spec, extra, members)?,
        })?;
        let initial = spec.model.initialise(spec.init_seed);
        let mut plan = Self { spec, manifest, layout, encode, degrees, initial, filter: OnceLock::new() };
        plan.encode = plan.encode.with_seed(plan.digest());
        Ok(plan)
    }

    /// What it was made of.
    pub fn spec(&self) -> &RunSpec {
        &self.spec
    }

    /// The federation.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Layout of the model.
    pub fn layout(&self) -> &Arc<ParamLayout> {
        &self.layout
    }

    /// How updates become ring vectors, and back.
    pub fn encode(&self) -> &EncodePlan {
        &self.encode
    }

    /// The same in a round, under its clipping norm: the same integers, of another size, and where they are rotated, by signs of that
    /// round. Signs come from the plan's digest and the round, so that everybody has the same.
    pub fn encode_in(&self, round: u64, clip: ClipNorm) -> EncodePlan {
        self.encode.with_clip(clip).in_round(round)
    }

    /// Initial parameters.
    pub fn initial_params(&self) -> FlatParams {
        self.initial.clone()
    }

    /// What a released mean is multiplied by before the server's optimiser sees it. With [`Unit::Utterance`] a unit's update is
    /// minus its gradient at θ_t, and this is the learning rate of `round` (DP-FedSGD: Abadi et al. 2016, Algorithm 1, with its
    /// noise shared out among the clients). An update that was trained locally has its learning rate in it: 1.
    pub fn step_of_mean(&self, round: u64) -> f64 {
        match self.spec.unit {
            Unit::Utterance => self.spec.job.learning_rate_at(round, self.spec.rounds),
            Unit::Speaker | Unit::Client | Unit::None => 1.0,
        }
    }

    /// K·η of `round`: how far K local steps along a gradient of length 1 go. For SCAFFOLD's plans, whose K is fixed.
    pub fn local_path(&self, round: u64) -> f64 {
        f64::from(self.spec.job.steps) * self.spec.job.learning_rate_at(round, self.spec.rounds)
    }

    /// The clipping norms that `round` may have.
    pub fn clips_allowed(&self, round: u64) -> std::ops::RangeInclusive<f64> {
        let clip = self.spec.clip;
        match self.spec.adaptive_clip {
            Some(_) if round > 1 => limits(clip),
            _ => clip.value()..=clip.value(),
        }
    }

    /// Privacy units that a client may contribute in a round; 0 for one that is no member.
    pub fn units_of(&self, client: &ClientId) -> u32 {
        self.manifest.member(client).map_or(0, |m| units_of(self.spec.unit, m))
    }

    /// Units of all members: the N of the privacy statement.
    pub fn total_units(&self) -> u64 {
        self.manifest.members().iter().map(|m| u64::from(units_of(self.spec.unit, m))).sum()
    }

    /// The shape of secure aggregation's messages: what decoding them needs.
    pub fn message_ctx(&self) -> MessageCtx {
        let members = usize::try_from(self.manifest.len()).unwrap_or(usize::MAX);
        let hybrid = self.spec.key_agreement.is_hybrid();
        let layers = usize::try_from(self.layers_per_client()).unwrap_or(usize::MAX);
        MessageCtx { n: members, words: self.encode.words(), degrees: self.degrees, hybrid, layers }
    }

    /// Seeds of layers of noise that each client shares; 0 where nothing is taken off.
    pub fn layers_per_client(&self) -> u32 {
        most_layers(&self.spec, self.manifest.len())
    }

    /// What the lists of an attempt may hold.
    pub fn degrees(&self) -> Degrees {
        self.degrees
    }

    /// What one opened attempt costs.
    pub fn event(&self) -> DpEvent {
        let Some(privacy) = self.spec.privacy else { return DpEvent::NonPrivate };
        DpEvent::gaussian(privacy.noise_multiplier).poisson_sampled(self.sampling_rate())
    }

    /// The probability with which each unit takes part in a round; `None` where all do.
    pub fn sampling(&self) -> Option<SamplingProbability> {
        self.spec.privacy?.sampling
    }

    /// The same as a number: 1 where all do.
    pub fn sampling_rate(&self) -> f64 {
        self.sampling().map_or(1.0, SamplingProbability::value)
    }

    /// Units that take part in a round of all members, on average: q·N. Public: what the coordinator divides by.
    pub fn expected_units(&self, units: u64) -> f64 {
        (exact::u64_to_f64(units) * self.sampling_rate()).max(f64::MIN_POSITIVE)
    }

    /// The budget that each party enforces for itself; `None` without DP.
    pub fn budget(&self) -> Option<Budget> {
        self.spec.privacy.map(|p| Budget { epsilon: p.epsilon_budget, delta: p.delta, unit: self.spec.unit })
    }

    /// The filter that a ledger of this plan's is opened with: tight for what the plan releases, and no more general than that.
    pub fn filter(&self) -> Filter {
        let Some(budget) = self.budget() else { return Filter::Gdp };
        self.filter.get_or_init(|| Filter::of_run(&self.event(), budget, self.spec.rounds)).clone()
    }

    /// Identifies the plan: clients refuse a coordinator with another one.
    pub fn digest(&self) -> Digest {
        let s = &self.spec;
        let mut w = Sha256Writer::new("sottovoce/1/plan");
        w.field(self.manifest.digest().as_bytes()).field(s.name.as_bytes()).number(s.rounds);
        s.model.write_to(&mut w);
        w.number(s.init_seed).field(s.features.as_bytes());
        s.job.write_to(&mut w);
        w.field(s.unit.name().as_bytes()).number(s.clip.value().to_bits()).number(s.clip_bits.into());
        w.number(u8::from(s.lanes).into());
        if s.rotation != Rotation::None {
            w.field(b"rotation").field(s.rotation.name().as_bytes()).number(FLATNESS).number(MAX_BLOCK as u64);
        }
        if let Some(p) = &s.privacy {
            w.number(p.noise_multiplier.value().to_bits()).number(p.delta.value().to_bits());
            w.number(p.epsilon_budget.value().to_bits());
            if let Some(q) = p.sampling {
                w.field(b"poisson").number(q.value().to_bits());
            }
        }
        w.field(b"secagg").number(s.n_min.into()).number(s.max_corrupt.into()).number(s.suite.byte().into());
        s.graph.write_to(&mut w);
        if s.key_agreement.is_hybrid() {
            w.field(b"key agreement").field(s.key_agreement.name().as_bytes());
        }
        if s.noise_removal != NoiseRemoval::None {
            w.field(b"noise removal").field(s.noise_removal.name().as_bytes());
        }
        if s.audit_chunks > 0 {
            w.field(b"audit").number(s.audit_chunks.into());
        }
        w.number(s.deadlines.advert_ms).number(s.deadlines.phase_ms);
        if let Some(adaptive) = &s.adaptive_clip {
            adaptive.write_to(&mut w);
        }
        s.server.write_to(&mut w);
        w.number(s.max_attempts.into());
        w.finish()
    }
}

/// What vectors carry behind the parameters.
fn extra(spec: &RunSpec, units: u64) -> Result<Extra, PlanError> {
    let Some(adaptive) = &spec.adaptive_clip else {
        return Ok(if spec.unit == Unit::None { Extra::Weight } else { Extra::None });
    };
    let Some(privacy) = &spec.privacy else {
        return Err(AdaptiveClipRefused::Unit { unit: spec.unit.name() }.into());
    };
    let clip_steps = 1 << spec.clip_bits.min(62);
    let drawn = exact::u64_to_f64(units) * privacy.sampling.map_or(1.0, SamplingProbability::value);
    let units = exact::truncate(drawn).and_then(|n| u64::try_from(n).ok()).unwrap_or(units);
    let steps = adaptive.count_steps(spec.unit, units, privacy.noise_multiplier, clip_steps)?;
    Ok(Extra::Unclipped { steps })
}

/// Karimireddy et al. 2020, Algorithm 1, is of plain SGD with the same K for everybody; and it is no private algorithm.
fn scaffold_holds(spec: &RunSpec) -> Result<(), PlanError> {
    if !spec.server.is_scaffold() {
        return Ok(());
    }
    let refuse = |why| Err(PlanError::Scaffold(why));
    if spec.unit != Unit::None {
        return refuse(
            "would carry what one round saw of a unit into every later round: c_i is a second release of it, and the correction c - c_i \
             adds what is not clipped with it; use fedavg or fedyogi, or privacy.unit = \"none\"",
        );
    }
    if spec.job.steps == 0 {
        return refuse("needs as many local steps at every client: set training.steps above 0");
    }
    if spec.job.optimiser != LocalOptimiser::Sgd || spec.job.momentum > 0.0 {
        return refuse(
            "is made for local SGD without momentum: set training.optimiser = \"sgd\" and training.momentum = 0",
        );
    }
    if let ClassWeights::Given(weights) = &spec.job.class_weights
        && weights.contains(&0.0)
    {
        return refuse(
            "counts on every step being taken, and a batch of classes that weigh 0 takes none: give each a weight above 0",
        );
    }
    let rates = (1..=spec.rounds).map(|round| spec.job.learning_rate_at(round, spec.rounds));
    if rates.into_iter().any(|rate| !(rate.is_finite() && rate > 0.0)) {
        return refuse("divides by the learning rate of each round: set training.learning_rate above 0");
    }
    Ok(())
}

fn units_of(unit: Unit, member: &Member) -> u32 {
    match unit {
        Unit::Speaker | Unit::Utterance => member.units,
        Unit::Client | Unit::None => 1,
    }
}

/// Standard deviations of noise that the ring has room for: a normal deviate exceeds 13 with probability 1e-38.
const NOISE_TAIL_SIGMAS: u32 = 13;

/// [`NOISE_TAIL_SIGMAS`] standard deviations of all the noise that can be in one sum: every one of n clients adds a share that is sized for
/// the honest survivors guaranteed at that n, and n may be anything from n_min to the number of members.
fn noise_tail(spec: &RunSpec, extra: Extra, members: u32) -> Result<u64, PlanError> {
    let Some(privacy) = &spec.privacy else { return Ok(0) };
    let clip = u128::from(1u64 << spec.clip_bits.min(62));
    let count = if let Extra::Unclipped { steps } = extra { u128::from(steps) } else { 0 };
    let (z, sensitivity) = (privacy.noise_multiplier, clip * clip + count * count);
    let layers = most_layers(spec, members);
    if spec.noise_removal == NoiseRemoval::Layers {
        let f = spec.max_corrupt;
        LayerPlan::check(z, sensitivity, (members, quorum(members, f), f))?;
    }
    let mut worst = 0;
    for n in spec.n_min..=members {
        let honest = honest_floor(n, spec.max_corrupt).max(1);
        let tail = if layers > 0 {
            LayerPlan::tail_of_sum(z, sensitivity, honest, (layers, n, NOISE_TAIL_SIGMAS))?
        } else {
            NoiseShare::joint(z, sensitivity, honest)?.tail_of_sum(n, NOISE_TAIL_SIGMAS)
        };
        worst = worst.max(tail);
    }
    Ok(worst)
}

/// Layers of noise that a client may have to split its noise into: those of a roster of all members.
fn most_layers(spec: &RunSpec, members: u32) -> u32 {
    let q = quorum(members, spec.max_corrupt);
    match spec.noise_removal {
        NoiseRemoval::None => 0,
        NoiseRemoval::Layers => LayerRule::new(members, q, spec.max_corrupt).map_or(0, LayerRule::layers),
    }
}

/// Where taking noise off makes no sense, or would protect less than it seems to.
fn removal_holds(spec: &RunSpec) -> Result<(), PlanError> {
    if spec.noise_removal == NoiseRemoval::None {
        return Ok(());
    }
    if spec.privacy.is_none() {
        return Err(PlanError::NoiseRemoval(
            "takes noise off, and with privacy.unit = \"none\" there is none: set it to \"none\"",
        ));
    }
    if spec.suite == MaskSuite::None {
        return Err(PlanError::NoiseRemoval(
            "counts on the noise of others, and without masks each update is seen by itself, with less noise than a whole share: set it to \"none\", \
             or aggregation.mode = \"secure\"",
        ));
    }
    Ok(())
}
