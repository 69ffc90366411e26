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
/// canaries as its only units.
pub struct Pipeline<N> {
    spec: PipelineSpec,
    plan: EncodePlan,
    share: Option<NoiseShare>,
    /// To which canaries are clipped: C, or more where clipping is skipped.
    clip: ClipNorm,
    noise: N,
    rounds: u64,
}

impl<N: NoiseSource> Pipeline<N> {
    /// The pipeline of `spec`, with a defect or none, drawing noise from `noise`.
    ///
    /// # Errors
    /// [`PipelineError`] when the plan or the noise share is not possible.
    pub fn new(spec: PipelineSpec, mutation: Mutation, noise: N) -> Result<Self, PipelineError> {
        let z = spec.noise_multiplier.value();
        let overshoot = f64::from(CANARY_OVERSHOOT);
        let (mut clip, mut clip_bits, mut multiplier, mut shares) = (spec.clip, spec.clip_bits, z, spec.honest);
        match mutation {
            Mutation::None | Mutation::NoiseOff => {}
            Mutation::NoiseShort { factor } => multiplier = z / factor,
            Mutation::NoiseForAll { clients } => shares = clients,
            Mutation::ClipSkipped => {
                // The same grid and the same noise in grid steps, but a bound that lets the canary through.
                clip = ClipNorm::new(spec.clip.value() * overshoot)?;
                clip_bits += CANARY_OVERSHOOT.ilog2();
                multiplier = z / overshoot;
            }
        }
        let share = NoiseShare::new(NoiseMultiplier::new(multiplier)?, 1 << clip_bits, shares)?;
        let plan = plan_that_fits(&EncodeSpec {
            dim: spec.canaries,
            clip,
            clip_bits,
            lanes: spec.lanes,
            max_units: spec.canaries as u64,
            extra: Extra::None,
            rotation: spec.rotation,
            noise_tail: share.tail_of_sum(spec.honest, 13),
        })?;
        let share = (mutation != Mutation::NoiseOff).then_some(share);
        Ok(Self { spec, plan, share, clip, noise, rounds: 0 })
    }

    /// One round: which canaries are in, to the projection of the decoded sum on each direction in units of C:
    /// `[canaries]`. Canary i is a unit of honest client i mod honest and pushes along coordinate i.
    ///
    /// # Errors
    /// [`PipelineError`] when a stage refuses.
    pub fn round(&mut self, included: &[bool]) -> Result<Vec<f64>, PipelineError> {
        let honest = self.spec.honest as usize;
        self.rounds += 1;
        let plan = self.plan.in_round(self.rounds);
        let mut sum = RingVec::zeros(plan.words(), plan.lanes());
        for client in 0..honest {
            let mut site = SiteSum::empty(&plan);
            for canary in (client..included.len()).step_by(honest).filter(|&i| included[i]) {
                site.add(Clipped::new(&self.canary(canary), self.clip)?.quantise(&plan)?)?;
            }
            let private = if let Some(share) = &self.share {
                self.noise.add(site, share)?.wrap(&plan)?
            } else {
                let acknowledged = NonPrivateAcknowledged::i_understand_that_this_run_is_not_private();
                Private::without_noise(site, &plan, acknowledged)?
            };
            sum.add(&private.into_ring());
        }
        // In units of the C that was promised, whatever the plan clips to.
        let promised = self.spec.clip.value();
        Ok(plan.decode_sum(&sum).into_iter().map(|v| v / promised).collect())
    }

    fn canary(&self, index: usize) -> Update {
        let mut values = vec![0f32; self.spec.canaries];
        values[index] = (self.spec.clip.value() * f64::from(CANARY_OVERSHOOT)) as f32;
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
