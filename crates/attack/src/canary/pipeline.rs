//! The real pipeline under canaries, and ways to break it.
use sottovoce_dp::{NoiseError, NoiseShare, NoiseSource, NonPrivateAcknowledged, Private, ShareError, WrapError, gdp};
use sottovoce_encode::{
    Clipped, EncodePlan, EncodeSpec, Extra, Headroom, NonFinite, QuantiseError, SiteSum, SiteSumError,
};
use sottovoce_types::{ClipNorm, Delta, Epsilon, Lanes, NoiseMultiplier, OutOfRange, RingVec, Rotation, Update};

/// Canaries push with this multiple of the clipping norm, so that a clip that does not happen shows. A power of two.
pub const CANARY_OVERSHOOT: u32 = 4;

/// The part of a run's plan that decides its privacy.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PipelineSpec {
    /// L2 bound C on one unit's update.
    pub clip: ClipNorm,
    /// C is 2^clip_bits grid steps.
    pub clip_bits: u32,
    /// Lanes of the run. The audit uses fewer where its many canaries leave too little headroom; lanes carry no privacy.
    pub lanes: Lanes,
    /// Whether the run rotates. Signs are the audit's own: they are public, and no privacy rests on them.
    pub rotation: Rotation,
    /// Noise multiplier that the honest shares must add up to.
    pub noise_multiplier: NoiseMultiplier,
    /// Honest clients that are guaranteed to be in the sum: q − f. Only they add noise here; a colluder adds none.
    pub honest: u32,
    /// Canaries, one coordinate each.
    pub canaries: usize,
}

/// A defect put in on purpose. The audit must call every one but [`Mutation::None`] a violation.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Mutation {
    /// The pipeline as it is.
    None,
    /// No noise at all.
    NoiseOff,
    /// Noise divided by a factor.
    NoiseShort {
        /// The factor, above 1.
        factor: f64,
    },
    /// Shares made for all clients, although only the honest survivors' shares are sure to arrive.
    NoiseForAll {
        /// The number of clients that the share was made for.
        clients: u32,
    },
    /// Updates are clipped to [`CANARY_OVERSHOOT`] times the norm for which the noise was made.
    ClipSkipped,
    /// A site clips the mean of its units and not each of them, under noise for one clipped unit.
    ClipAfterAveraging,
    /// Every coordinate is clipped to C, and not the norm. Canaries span four coordinates.
    ClipByLargestCoordinate,
    /// Adam takes a step with the clipped gradient, under noise for the gradient: the step's length is the learning rate,
    /// whatever the gradient's.
    AdamAfterClip,
    /// "Scale if the norm exceeds C" with a norm that is NaN.
    NanSkipsClip,
    /// Each canary is a unit of two clients.
    UnitAtTwoClients,
    /// A canary that is out pushes the other way: neighbours replace a unit, under noise for its removal.
    ReplacedNotRemoved,
}

/// How units are turned into what a site sums: the pipeline's own way, and broken ones.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Clipping {
    /// Each unit's norm to C.
    EachUnit,
    /// The norm of the site's mean to C.
    MeanOfSite,
    /// Each coordinate to C.
    EachCoordinate,
    /// Each unit's norm to C, then one step of Adam.
    ThenAdam,
    /// Nothing, where the norm is no number.
    UnlessNan,
}

/// A pipeline and its defect, in parts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Wiring {
    pub(crate) clipping: Clipping,
    /// The plan's bound is 2^this times C, with the grid and the noise of C: what a broken clip lets through.
    pub(crate) slack_bits: u32,
    /// Noise is divided by this.
    pub(crate) noise_divisor: f64,
    /// Clients that the shares are made for.
    pub(crate) shares: u32,
    pub(crate) noise: bool,
    /// Coordinates that each canary spans.
    pub(crate) spread: usize,
    /// Clients that each canary is at.
    pub(crate) homes: usize,
    /// The one client that has all canaries.
    pub(crate) only_home: Option<usize>,
    pub(crate) pushes_back: bool,
    /// A canary's length in units of C.
    pub(crate) push: f64,
    /// Coordinates beside the canaries'.
    pub(crate) further_coordinates: usize,
    /// Units that may be in a sum beside the canaries.
    pub(crate) further_units: u64,
}

impl Wiring {
    /// Of a mutation.
    pub(crate) fn new(spec: &PipelineSpec, mutation: Mutation) -> Self {
        let sound = Self {
            clipping: Clipping::EachUnit,
            slack_bits: 0,
            noise_divisor: 1.0,
            shares: spec.honest,
            noise: true,
            spread: 1,
            homes: 1,
            only_home: None,
            pushes_back: false,
            push: f64::from(CANARY_OVERSHOOT),
            further_coordinates: 0,
            further_units: 0,
        };
        let overshoot = CANARY_OVERSHOOT.ilog2();
        match mutation {
            Mutation::None => sound,
            Mutation::NoiseOff => Self { noise: false, ..sound },
            Mutation::NoiseShort { factor } => Self { noise_divisor: factor, ..sound },
            Mutation::NoiseForAll { clients } => Self { shares: clients, ..sound },
            Mutation::ClipSkipped => Self { slack_bits: overshoot, ..sound },
            Mutation::ClipAfterAveraging => {
                let of_a_site = spec.canaries.div_ceil(spec.honest.max(1) as usize).max(1);
                Self { clipping: Clipping::MeanOfSite, slack_bits: of_a_site.next_power_of_two().ilog2(), ..sound }
            }
            // Four coordinates of C each: a norm of 2C.
            Mutation::ClipByLargestCoordinate => {
                Self { clipping: Clipping::EachCoordinate, slack_bits: 1, spread: 4, ..sound }
            }
            Mutation::AdamAfterClip => Self { clipping: Clipping::ThenAdam, slack_bits: overshoot, ..sound },
            Mutation::NanSkipsClip => {
                Self { clipping: Clipping::UnlessNan, slack_bits: overshoot, further_coordinates: 1, ..sound }
            }
            Mutation::UnitAtTwoClients => Self { homes: 2, ..sound },
            Mutation::ReplacedNotRemoved => Self { pushes_back: true, ..sound },
        }
    }
}

/// Why the pipeline could not be set up or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// A mutated number is out of range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// The noise share is not possible.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The plan has no headroom even in one lane.
    #[error(transparent)]
    Headroom(#[from] Headroom),
    /// A canary could not be clipped.
    #[error(transparent)]
    NonFinite(#[from] NonFinite),
    /// A canary could not be quantised.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// A site could not add a canary.
    #[error(transparent)]
    SiteSum(#[from] SiteSumError),
    /// Noise could not be drawn.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// The noised sum could not be wrapped.
    #[error(transparent)]
    Wrap(#[from] WrapError),
}

/// Clip, quantise, site sum, noise share, wrap, ring sum over the honest clients, decode: the code of a run, with
/// canaries as its units.
pub struct Pipeline<N> {
    spec: PipelineSpec,
    wiring: Wiring,
    plan: EncodePlan,
    share: NoiseShare,
    noise: N,
    rounds: u64,
}

impl<N: NoiseSource> Pipeline<N> {
    /// The pipeline of `spec`, with a defect or none, drawing noise from `noise`.
    ///
    /// # Errors
    /// [`PipelineError`] when the plan or the noise share is not possible.
    pub fn new(spec: PipelineSpec, mutation: Mutation, noise: N) -> Result<Self, PipelineError> {
        Self::wired(spec, Wiring::new(&spec, mutation), noise)
    }

    /// The pipeline of these parts.
    pub(crate) fn wired(spec: PipelineSpec, wiring: Wiring, noise: N) -> Result<Self, PipelineError> {
        // The same grid and the same noise in grid steps, but a bound that lets more through.
        let slack = f64::from(1u32 << wiring.slack_bits);
        let clip = ClipNorm::new(spec.clip.value() * slack)?;
        let clip_bits = spec.clip_bits + wiring.slack_bits;
        let multiplier = NoiseMultiplier::new(spec.noise_multiplier.value() / wiring.noise_divisor / slack)?;
        let share = NoiseShare::new(multiplier, 1 << clip_bits, wiring.shares)?;
        let plan = plan_that_fits(&EncodeSpec {
            dim: spec.canaries * wiring.spread + wiring.further_coordinates,
            clip,
            clip_bits,
            lanes: spec.lanes,
            max_units: (spec.canaries * wiring.homes) as u64 + wiring.further_units,
            extra: Extra::None,
            rotation: spec.rotation,
            noise_tail: share.tail_of_sum(spec.honest, 13),
        })?;
        Ok(Self { spec, wiring, plan, share, noise, rounds: 0 })
    }

    /// The next round is `round`, from 1: rotations are the round's own.
    #[must_use]
    pub fn from_round(mut self, round: u64) -> Self {
        self.rounds = round.saturating_sub(1);
        self
    }

    /// The plan of the current round.
    pub(crate) fn plan(&self) -> EncodePlan {
        self.plan.in_round(self.rounds)
    }

    /// One round: which canaries are in, to the projection of the decoded sum on each direction in units of C:
    /// `[canaries]`. Canary i is a unit of honest client i mod honest and pushes along coordinate i, or along `spread` of them.
    ///
    /// # Errors
    /// [`PipelineError`] when a stage refuses.
    pub fn round(&mut self, included: &[bool]) -> Result<Vec<f64>, PipelineError> {
        let inputs = self.inputs(included)?;
        Ok(self.project(&self.sum(&inputs)))
    }

    /// What each honest client hands to secure aggregation: `[honest]`.
    pub(crate) fn inputs(&mut self, included: &[bool]) -> Result<Vec<RingVec>, PipelineError> {
        let honest = self.spec.honest as usize;
        let mut units = vec![Vec::new(); honest];
        for (i, &inside) in included.iter().enumerate().filter(|(_, inside)| **inside || self.wiring.pushes_back) {
            for home in 0..self.wiring.homes {
                let client = self.wiring.only_home.unwrap_or((i + home) % honest);
                units[client].push(self.canary(i, if inside { 1.0 } else { -1.0 }));
            }
        }
        self.inputs_of(&units)
    }

    /// The same of given updates, for each client: `[honest][units]`.
    pub(crate) fn inputs_of(&mut self, units: &[Vec<Update>]) -> Result<Vec<RingVec>, PipelineError> {
        self.rounds += 1;
        let plan = self.plan();
        let mut inputs = Vec::with_capacity(units.len());
        for of_client in units {
            let mut site = SiteSum::empty(&plan);
            for clipped in self.clipped(of_client)? {
                site.add(clipped.quantise(&plan)?)?;
            }
            inputs.push(self.noised(site)?.into_ring());
        }
        Ok(inputs)
    }

    /// One client's share of the noise by itself, in units of C: what that client knows of the sum's.
    pub(crate) fn share_alone(&mut self) -> Result<Vec<f64>, PipelineError> {
        let site = SiteSum::empty(&self.plan());
        let share = self.noised(site)?.into_ring();
        Ok(self.project(&share))
    }

    /// Mod 2^64 lane by lane, as the coordinator adds them.
    pub(crate) fn sum(&self, inputs: &[RingVec]) -> RingVec {
        let mut sum = RingVec::zeros(self.plan.words(), self.plan.lanes());
        for input in inputs {
            sum.add(input);
        }
        sum
    }

    /// The decoded sum in units of the C that was promised, whatever the plan clips to: `[dim]`.
    pub(crate) fn decoded(&self, sum: &RingVec) -> Vec<f64> {
        let promised = self.spec.clip.value();
        self.plan().decode_sum(sum).into_iter().map(|v| v / promised).collect()
    }

    /// Its projection on every canary's direction.
    pub(crate) fn project(&self, sum: &RingVec) -> Vec<f64> {
        let spread = self.wiring.spread;
        let decoded = self.decoded(sum);
        let of_canaries = &decoded[..self.spec.canaries * spread];
        of_canaries.chunks(spread).map(|c| c.iter().sum::<f64>() / (spread as f64).sqrt()).collect()
    }

    fn noised(&mut self, site: SiteSum) -> Result<Private, PipelineError> {
        let plan = *site.plan();
        if self.wiring.noise {
            Ok(self.noise.add(site, &self.share)?.wrap(&plan)?)
        } else {
            let acknowledged = NonPrivateAcknowledged::i_understand_that_this_run_is_not_private();
            Ok(Private::without_noise(site, &plan, acknowledged)?)
        }
    }

    /// What one site adds up, clipped in the pipeline's way or in a broken one. The broken ones end in the pipeline's own clip, too, at a
    /// bound that lets them through: nothing else becomes integers.
    fn clipped(&self, units: &[Update]) -> Result<Vec<Clipped>, NonFinite> {
        let (c, bound) = (self.spec.clip.value(), self.plan.spec().clip);
        let each = |change: &dyn Fn(&mut Vec<f32>)| -> Result<Vec<Clipped>, NonFinite> {
            let changed = units.iter().map(|u| {
                let mut values = u.values.clone();
                change(&mut values);
                Clipped::new(&Update { values, examples: u.examples }, bound)
            });
            changed.collect()
        };
        let norm = |values: &[f32]| values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        match self.wiring.clipping {
            Clipping::EachUnit => each(&|_| {}),
            Clipping::MeanOfSite => {
                let mut values = vec![0f32; self.plan.spec().dim];
                for unit in units {
                    values.iter_mut().zip(&unit.values).for_each(|(sum, v)| *sum += v);
                }
                // Mean to C, times the number of units: the sum to that many C.
                let most = c * units.len() as f64;
                let factor = if norm(&values) > most { most / norm(&values) } else { 1.0 };
                for v in &mut values {
                    *v = (f64::from(*v) * factor) as f32;
                }
                Ok(vec![Clipped::new(&Update { values, examples: 1 }, bound)?])
            }
            Clipping::EachCoordinate => {
                each(&|values| values.iter_mut().for_each(|v| *v = v.clamp(-(c as f32), c as f32)))
            }
            Clipping::ThenAdam => each(&|values| {
                let factor = (c / norm(values)).min(1.0);
                // The first step: m̂ = g and v̂ = g², so η·g/(|g| + 1e-8) with the learning rate η = 4C.
                let rate = c * f64::from(CANARY_OVERSHOOT);
                for v in values {
                    let g = f64::from(*v) * factor;
                    *v = (rate * g / (g.abs() + 1e-8)) as f32;
                }
            }),
            Clipping::UnlessNan => each(&|values| {
                if let Some(last) = values.last_mut() {
                    *last = f32::NAN;
                }
                let length = norm(values);
                if length > c {
                    for v in values.iter_mut() {
                        *v = (f64::from(*v) * c / length) as f32;
                    }
                }
                // As nan_to_num does, further on.
                values.iter_mut().filter(|v| v.is_nan()).for_each(|v| *v = 0.0);
            }),
        }
    }

    fn canary(&self, index: usize, sign: f64) -> Update {
        let mut values = vec![0f32; self.plan.spec().dim];
        let spread = self.wiring.spread;
        // So that each coordinate alone exceeds C.
        let push = self.spec.clip.value() * self.wiring.push * sign;
        values[index * spread..(index + 1) * spread].fill(push as f32);
        Update { values, examples: 1 }
    }
}

impl PipelineSpec {
    /// ε at `delta` that Gaussian accounting claims for `rounds` rounds with every unit in each: μ = √rounds / z.
    ///
    /// # Errors
    /// [`OutOfRange`] when ε is 0 or infinite, so that there is nothing to audit.
    pub fn claimed_epsilon(&self, rounds: u32, delta: Delta) -> Result<Epsilon, OutOfRange> {
        let mu = f64::from(rounds).sqrt() / self.noise_multiplier.value();
        Epsilon::new(gdp::epsilon(mu, delta).upper)
    }
}

/// The plan with as many of the lanes as its headroom allows.
fn plan_that_fits(spec: &EncodeSpec) -> Result<EncodePlan, Headroom> {
    match EncodePlan::new(*spec) {
        Err(Headroom::TooNarrow { lanes_that_fit: Some(n), .. }) if usize::from(n) < spec.lanes.count() => {
            let lanes = Lanes::new(n).unwrap_or(spec.lanes);
            EncodePlan::new(EncodeSpec { lanes, ..*spec })
        }
        other => other,
    }
}
