//! Defects that real systems had, planted in the code of a run.
use serde::Serialize;
use sottovoce_dp::accountant::{AccountError, Adjacency};
use sottovoce_dp::sampling::fixed_size;
use sottovoce_dp::{DpEvent, OsNoise, SeededNoise, gdp};
use sottovoce_encode::Clipped;
use sottovoce_types::{ClipNorm, Delta, Epsilon, Lanes, NoiseMultiplier, OutOfRange, Rotation, Update, Verdict};

use super::{mechanisms, noise_seed};
use crate::bound::{BoundError, ErrorCounts};
use crate::canary::{CanaryDesign, CanaryError, Mutation, Pipeline, PipelineError, PipelineSpec, run_canaries};
use crate::gate::{Curve, Finding, GateTest, Policy, StageOf, gate};
use crate::random::Stream;

/// What all mutants promise: ε = 8 at δ = 10⁻⁵ for one round.
const EPSILON: f64 = 8.0;
const DELTA: f64 = 1e-5;
/// Honest clients.
pub(super) const HONEST: u32 = 5;

/// Why a mutant could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MutantError {
    /// The pipeline refused.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The canaries' run refused.
    #[error(transparent)]
    Canary(#[from] CanaryError<PipelineError>),
    /// The accountant has no curve.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The canaries are no experiment.
    #[error(transparent)]
    Bound(#[from] BoundError),
    /// A constant is out of range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// No such mutant.
    #[error("there is no mutant {name:?}: there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// All names.
        known: String,
    },
}

/// What the gate must say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// A violation.
    Caught,
    /// No violation, with the power to have seen one.
    Passed,
    /// No violation. A control whose curve has no closed form of its power.
    NotCaught,
}

/// One mechanism, sound or broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mutant {
    /// In reproducers: `noise-off`.
    pub name: &'static str,
    /// What is wrong with it.
    pub defect: &'static str,
    /// What the gate must say.
    pub expected: Expected,
    how: How,
}

/// How it is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Pipeline(Planted),
    PerLayer { clipped_apart: bool },
    Rounds { one_seed: bool },
    Clients { one_seed: bool },
    CountAsWeight { in_clear: bool },
    Masks { one_key: bool },
    Batches { shuffled: bool },
    FromOs,
}

/// A [`Mutation`] whose numbers follow from the claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Planted {
    Nothing,
    NoiseOff,
    OverBatchSize,
    SigmaSquared,
    DeltaHalf,
    SharesOfAll,
    ClipSkipped,
    ClipAfterAveraging,
    ClipByLargestCoordinate,
    AdamAfterClip,
    NanSkipsClip,
    UnitAtTwoClients,
    ReplacedNotRemoved,
}

/// All of them: defects first, then the controls that must pass.
const ALL: &[Mutant] = {
    const fn caught(name: &'static str, defect: &'static str, how: How) -> Mutant {
        Mutant { name, defect, expected: Expected::Caught, how }
    }
    const fn control(name: &'static str, defect: &'static str, expected: Expected, how: How) -> Mutant {
        Mutant { name, defect, expected, how }
    }
    use Planted as P;
    &[
        caught("noise-off", "no noise", How::Pipeline(P::NoiseOff)),
        caught(
            "noise-over-batch",
            "noise divided by the batch size (Tramer et al. 2022)",
            How::Pipeline(P::OverBatchSize),
        ),
        caught("sigma-squared", "sigma^2 where sigma belongs", How::Pipeline(P::SigmaSquared)),
        caught("shares-of-all", "shares for 20 clients where 5 are sure", How::Pipeline(P::SharesOfAll)),
        caught("clip-skipped", "updates are not clipped", How::Pipeline(P::ClipSkipped)),
        caught(
            "clip-after-averaging",
            "the site's mean is clipped, not each unit",
            How::Pipeline(P::ClipAfterAveraging),
        ),
        caught("per-layer-clip", "four layers clipped to C each, noise for C", How::PerLayer { clipped_apart: true }),
        caught(
            "adam-after-clip",
            "Adam after the clip, noise for the gradient (fed-ser-leakage)",
            How::Pipeline(P::AdamAfterClip),
        ),
        caught(
            "clip-by-l-inf",
            "the largest coordinate is clipped, not the norm",
            How::Pipeline(P::ClipByLargestCoordinate),
        ),
        caught(
            "batches-as-poisson",
            "shuffled batches of fixed size, accounted for as Poisson",
            How::Batches { shuffled: true },
        ),
        caught(
            "delta-half",
            "noise for delta = 0.5, sold as delta = 1e-5 (fed-ser-leakage)",
            How::Pipeline(P::DeltaHalf),
        ),
        caught("one-seed-every-round", "the same noise in every round", How::Rounds { one_seed: true }),
        caught("one-seed-every-client", "the same noise at every client", How::Clients { one_seed: true }),
        caught("nan-skips-clip", "a NaN makes the norm NaN, and nothing is clipped", How::Pipeline(P::NanSkipsClip)),
        caught(
            "count-as-weight",
            "the mean is over the count that clients send in clear",
            How::CountAsWeight { in_clear: true },
        ),
        caught(
            "one-mask-key",
            "one mask key for all peers: the sum is right, and the middle client's update shows",
            How::Masks { one_key: true },
        ),
        caught(
            "replace-as-remove",
            "units are replaced, accounted for as removed",
            How::Pipeline(P::ReplacedNotRemoved),
        ),
        caught("unit-at-two-clients", "a speaker is at two clients", How::Pipeline(P::UnitAtTwoClients)),
        control("as-it-is", "none: the pipeline", Expected::Passed, How::Pipeline(P::Nothing)),
        control("as-it-is-os-noise", "none: the operating system's noise", Expected::Passed, How::FromOs),
        control(
            "layers-together",
            "none: four layers clipped together",
            Expected::Passed,
            How::PerLayer { clipped_apart: false },
        ),
        control("fresh-rounds", "none: fresh noise in every round", Expected::Passed, How::Rounds { one_seed: false }),
        control(
            "fresh-clients",
            "none: noise of its own at every client",
            Expected::Passed,
            How::Clients { one_seed: false },
        ),
        control(
            "public-count",
            "none: the mean is over a public count",
            Expected::Passed,
            How::CountAsWeight { in_clear: false },
        ),
        control("own-mask-keys", "none: a mask key for each pair", Expected::Passed, How::Masks { one_key: false }),
        control("poisson-batches", "none: Poisson sampling", Expected::NotCaught, How::Batches { shuffled: false }),
    ]
};

/// What became of one mechanism.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MutantRow {
    /// Its name.
    pub name: &'static str,
    /// What is wrong with it.
    pub defect: &'static str,
    /// What was expected.
    pub expected: Expected,
    /// What the gate found.
    pub finding: Finding,
    /// Whether that is what was expected.
    pub as_expected: bool,
}

/// Runs every mechanism, or the one of this name, with `canaries` canaries. `done` is called after each.
///
/// # Errors
/// [`MutantError`] when a name is unknown, or a mechanism refuses.
pub fn mutants(
    canaries: usize,
    seed: u64,
    only: Option<&str>,
    mut done: impl FnMut(),
) -> Result<Vec<MutantRow>, MutantError> {
    let wanted: Vec<&Mutant> = ALL.iter().filter(|m| only.is_none_or(|name| name == m.name)).collect();
    if let (Some(name), true) = (only, wanted.is_empty()) {
        let known: Vec<&str> = ALL.iter().map(|m| m.name).collect();
        return Err(MutantError::Unknown { name: name.to_owned(), known: known.join(", ") });
    }
    let mut rows = Vec::new();
    for mutant in wanted {
        let test = GateTest {
            component: mutant.name.to_owned(),
            rounds: 1..=mutant.how.rounds(),
            declared: mutant.how.declared()?,
            canaries: canaries as u64,
            reproducer: format!("sottovoce audit selftest --only {} --seed {seed} --canaries {canaries}", mutant.name),
            run: Box::new(|stage| {
                let seed = 2 * seed + u64::from(stage == StageOf::Second);
                mutant.how.errors(canaries, seed)
            }),
        };
        let report = gate(vec![test], Policy::default())?;
        for finding in report.findings {
            let as_expected = match mutant.expected {
                Expected::Caught => finding.verdict == Verdict::Violation,
                Expected::Passed => finding.verdict == Verdict::NoViolation,
                Expected::NotCaught => finding.verdict != Verdict::Violation,
            };
            let Mutant { name, defect, expected, .. } = *mutant;
            rows.push(MutantRow { name, defect, expected, finding, as_expected });
        }
        done();
    }
    Ok(rows)
}

impl Mutant {
    /// All of them.
    pub fn all() -> &'static [Self] {
        ALL
    }
}

fn claimed() -> Result<(Epsilon, Delta, NoiseMultiplier), OutOfRange> {
    let (epsilon, delta) = (Epsilon::new(EPSILON)?, Delta::new(DELTA)?);
    Ok((epsilon, delta, gdp::calibrate(epsilon, delta, 1)))
}

pub(super) fn spec(canaries: usize) -> Result<PipelineSpec, MutantError> {
    Ok(PipelineSpec {
        clip: ClipNorm::new(0.25)?,
        clip_bits: 16,
        lanes: Lanes::new(2).expect("2 lanes exist"),
        rotation: Rotation::None,
        noise_multiplier: claimed()?.2,
        honest: HONEST,
        canaries,
    })
}

pub(super) fn seeded(seed: u64) -> SeededNoise {
    SeededNoise::new(noise_seed("selftest-noise", seed))
}

pub(super) fn design(canaries: usize, seed: u64) -> CanaryDesign {
    CanaryDesign { canaries, rounds: 1, seed }
}

impl Planted {
    fn mutation(self) -> Result<Mutation, OutOfRange> {
        let (epsilon, _, z) = claimed()?;
        Ok(match self {
            Self::Nothing => Mutation::None,
            Self::NoiseOff => Mutation::NoiseOff,
            Self::OverBatchSize => Mutation::NoiseShort { factor: 32.0 },
            // z is below 1 here, so z² is below z.
            Self::SigmaSquared => Mutation::NoiseShort { factor: 1.0 / z.value() },
            Self::DeltaHalf => {
                let careless = gdp::calibrate(epsilon, Delta::new(0.5)?, 1);
                Mutation::NoiseShort { factor: z.value() / careless.value() }
            }
            Self::SharesOfAll => Mutation::NoiseForAll { clients: 20 },
            Self::ClipSkipped => Mutation::ClipSkipped,
            Self::ClipAfterAveraging => Mutation::ClipAfterAveraging,
            Self::ClipByLargestCoordinate => Mutation::ClipByLargestCoordinate,
            Self::AdamAfterClip => Mutation::AdamAfterClip,
            Self::NanSkipsClip => Mutation::NanSkipsClip,
            Self::UnitAtTwoClients => Mutation::UnitAtTwoClients,
            Self::ReplacedNotRemoved => Mutation::ReplacedNotRemoved,
        })
    }
}

/// Rounds of the shuffled epoch, and the noise multiplier of each.
pub(super) const EPOCH: u64 = 8;
pub(super) const EPOCH_NOISE: f64 = 0.2;

impl How {
    fn rounds(self) -> u64 {
        match self {
            Self::Rounds { .. } => 2,
            Self::Batches { .. } => EPOCH,
            _ => 1,
        }
    }

    /// What the accountant declares of it.
    fn declared(self) -> Result<Curve, MutantError> {
        let z = claimed()?.2.value();
        let event = match self {
            // Another client knows its own share: what is left is that of the others.
            Self::Clients { .. } => {
                let others = f64::from(HONEST - 1) / f64::from(HONEST);
                DpEvent::Gaussian { noise_multiplier: z }.with_noise_times(others.sqrt())
            }
            Self::Batches { .. } => DpEvent::Gaussian { noise_multiplier: EPOCH_NOISE }
                .poisson_sampled(1.0 / EPOCH as f64)
                .self_composed(EPOCH),
            _ => DpEvent::Gaussian { noise_multiplier: z },
        };
        Ok(Curve::of_event(&event, Adjacency::AddOrRemoveOne)?)
    }

    fn errors(self, canaries: usize, seed: u64) -> Result<ErrorCounts, MutantError> {
        match self {
            Self::Pipeline(planted) => {
                let mut pipeline = Pipeline::new(spec(canaries)?, planted.mutation()?, seeded(seed))?;
                Ok(run_canaries(design(canaries, seed), |included| pipeline.round(included))?.errors())
            }
            Self::FromOs => {
                let mut pipeline = Pipeline::new(spec(canaries)?, Mutation::None, OsNoise)?;
                Ok(run_canaries(design(canaries, seed), |included| pipeline.round(included))?.errors())
            }
            Self::PerLayer { clipped_apart } => mechanisms::per_layer(clipped_apart, canaries, seed),
            Self::Rounds { one_seed } => mechanisms::rounds(one_seed, canaries, seed),
            Self::Clients { one_seed } => mechanisms::clients(one_seed, canaries, seed),
            Self::CountAsWeight { in_clear } => mechanisms::count_as_weight(in_clear, canaries, seed),
            Self::Masks { one_key } => mechanisms::masks(one_key, canaries, seed),
            Self::Batches { shuffled } => mechanisms::batches(shuffled, canaries, seed),
        }
    }
}

/// A defect that the code refuses before anything is measured.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RefusalRow {
    /// The defect.
    pub defect: &'static str,
    /// What refuses it, and how.
    pub refused: Option<String>,
}

/// What is tried on the code as it is, and must be refused.
///
/// # Errors
/// [`MutantError`] when a constant is out of range.
pub fn refusals() -> Result<Vec<RefusalRow>, MutantError> {
    let nan = Clipped::new(&Update { values: vec![1.0, f32::NAN], examples: 1 }, ClipNorm::new(1.0)?).err();
    let careless = crate::gate::declared(EPSILON, 0.5, 91).err();
    // A batch of fixed size pays as what it is, and that has no cost under which units come and go.
    let mut draws = Stream::new("selftest-refusals", 1);
    let fixed = fixed_size(100, 10, draws.rng()).ok().and_then(|(_, certificate)| {
        let charge = certificate.charge(NoiseMultiplier::new(1.0).ok()?);
        Curve::of_event(charge.event(), Adjacency::AddOrRemoveOne).err()
    });
    Ok(vec![
        RefusalRow { defect: "an update with a NaN is clipped", refused: nan.map(|e| e.to_string()) },
        RefusalRow { defect: "delta = 0.5 is declared of 91 speakers", refused: careless.map(|e| e.to_string()) },
        RefusalRow { defect: "a sample of fixed size is charged as Poisson", refused: fixed.map(|e| e.to_string()) },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claim_every_defect_is_caught_and_every_sound_mechanism_passes() {
        for seed in 0..2 {
            for row in mutants(1000, seed, None, || {}).unwrap() {
                assert!(row.as_expected, "{row:#?}");
                let again = format!("--only {} --seed {seed}", row.name);
                assert!(row.finding.reproducer.contains(&again), "{row:#?}");
            }
        }
    }

    #[test]
    fn one_mechanism_is_run_by_its_name_and_an_unknown_name_is_refused() {
        let rows = mutants(200, 1, Some("noise-off"), || {}).unwrap();
        assert_eq!((rows.len(), rows[0].finding.verdict), (1, Verdict::Violation));
        let error = mutants(200, 1, Some("noise-of"), || {}).unwrap_err().to_string();
        assert!(error.contains("noise-off"), "{error}");
    }

    #[test]
    fn what_the_code_refuses_it_refuses_with_its_reason() {
        for row in refusals().unwrap() {
            assert!(row.refused.as_ref().is_some_and(|why| why.len() > 20), "{row:?}");
        }
    }
}
