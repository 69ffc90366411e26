//! Defects that real systems had, planted in the code of a run.
use serde::Serialize;
use sottovoce_dp::accountant::{AccountError, Adjacency};
use sottovoce_dp::sampling::{SamplingProbability, fixed_size, poisson};
use sottovoce_dp::{DpEvent, NoiseError, NoiseKind, NoiseShare, NoiseSource, Noised, OsNoise, SeededNoise, gdp};
use sottovoce_encode::{Clipped, SiteSum};
use sottovoce_secagg::mask::{MaskKey, Prg, Sign, expand_into};
use sottovoce_types::{
    ClipNorm, Delta, Epsilon, Lanes, NoiseMultiplier, OutOfRange, RingVec, Rotation, Update, Verdict,
};

use super::noise_seed;
use crate::bound::{BoundError, Design, ErrorCounts, Experiment};
use crate::canary::{CanaryDesign, CanaryError, Mutation, Pipeline, PipelineError, PipelineSpec, Wiring, run_canaries};
use crate::gate::{Curve, Finding, GateTest, Policy, StageOf, gate};
use crate::random::Stream;

/// What all mutants promise: ε = 8 at δ = 10⁻⁵ for one round.
const EPSILON: f64 = 8.0;
const DELTA: f64 = 1e-5;
/// Honest clients.
const HONEST: u32 = 5;

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

/// How many mechanisms [`mutants`] runs.
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

fn spec(canaries: usize) -> Result<PipelineSpec, MutantError> {
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

fn seeded(seed: u64) -> SeededNoise {
    SeededNoise::new(noise_seed("selftest-noise", seed))
}

fn design(canaries: usize, seed: u64) -> CanaryDesign {
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
const EPOCH: u64 = 8;
const EPOCH_NOISE: f64 = 0.2;

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
            Self::PerLayer { clipped_apart } => per_layer(clipped_apart, canaries, seed),
            Self::Rounds { one_seed } => rounds(one_seed, canaries, seed),
            Self::Clients { one_seed } => clients(one_seed, canaries, seed),
            Self::CountAsWeight { in_clear } => count_as_weight(in_clear, canaries, seed),
            Self::Masks { one_key } => masks(one_key, canaries, seed),
            Self::Batches { shuffled } => batches(shuffled, canaries, seed),
        }
    }
}

/// Four layers, each with a pipeline of its own. A canary pushes in all four; its direction is the four together, at length 1. Clipped
/// together, each layer gets C/2 of it.
fn per_layer(clipped_apart: bool, canaries: usize, seed: u64) -> Result<ErrorCounts, MutantError> {
    const LAYERS: u64 = 4;
    let spec = spec(canaries)?;
    let mut total = vec![0.0; canaries];
    let mechanism = |included: &[bool]| -> Result<Vec<f64>, PipelineError> {
        if !clipped_apart {
            let wiring = Wiring { spread: 4, ..Wiring::new(&spec, Mutation::None) };
            return Pipeline::wired(spec, wiring, seeded(seed))?.round(included);
        }
        for layer in 0..LAYERS {
            let mut pipeline = Pipeline::new(spec, Mutation::None, seeded(LAYERS * seed + layer))?;
            for (sum, along) in total.iter_mut().zip(pipeline.round(included)?) {
                *sum += along / 2.0;
            }
        }
        Ok(total.clone())
    };
    Ok(run_canaries(design(canaries, seed), mechanism)?.errors())
}

/// The canary is in the first of two rounds; what the second released is subtracted.
fn rounds(one_seed: bool, canaries: usize, seed: u64) -> Result<ErrorCounts, MutantError> {
    let spec = spec(canaries)?;
    let mechanism = |included: &[bool]| -> Result<Vec<f64>, PipelineError> {
        let first = Pipeline::new(spec, Mutation::None, seeded(2 * seed))?.round(included)?;
        let again = if one_seed { 2 * seed } else { 2 * seed + 1 };
        let second = Pipeline::new(spec, Mutation::None, seeded(again))?.round(&vec![false; canaries])?;
        // Fresh noise does not help: then the first round by itself is the better score.
        Ok(first.into_iter().zip(second).map(|(a, b)| if one_seed { a - b } else { a }).collect())
    };
    Ok(run_canaries(design(canaries, seed), mechanism)?.errors())
}

/// Noise from one seed, whoever asks and however often.
struct SameEveryTime([u8; 32]);

impl NoiseSource for SameEveryTime {
    fn add(&mut self, sum: SiteSum, share: &NoiseShare) -> Result<Noised, NoiseError> {
        SeededNoise::new(self.0).add(sum, share)
    }

    fn kind(&self) -> NoiseKind {
        NoiseKind::Seeded
    }
}

/// Another client subtracts what it knows of the noise: its own share, once for each client that it takes to have drawn it.
fn clients(one_seed: bool, canaries: usize, seed: u64) -> Result<ErrorCounts, MutantError> {
    let spec = spec(canaries)?;
    let mechanism = |included: &[bool]| -> Result<Vec<f64>, PipelineError> {
        let key = noise_seed("selftest-noise", seed);
        let (sum, own, times) = if one_seed {
            let mut pipeline = Pipeline::new(spec, Mutation::None, SameEveryTime(key))?;
            (pipeline.round(included)?, pipeline.share_alone()?, f64::from(HONEST))
        } else {
            // The first of the shares that the stream gave.
            let sum = Pipeline::new(spec, Mutation::None, SeededNoise::new(key))?.round(included)?;
            (sum, Pipeline::new(spec, Mutation::None, SeededNoise::new(key))?.share_alone()?, 1.0)
        };
        Ok(sum.into_iter().zip(own).map(|(s, n)| s - times * n).collect())
    };
    Ok(run_canaries(design(canaries, seed), mechanism)?.errors())
}

/// A unit that pulls against ten others moves a mean twice where the mean is over those who were counted. Each trial is a federation of its
/// own, with a model of one parameter.
fn count_as_weight(in_clear: bool, canaries: usize, seed: u64) -> Result<ErrorCounts, MutantError> {
    const OTHERS: u64 = 10;
    let one = PipelineSpec { lanes: Lanes::new(1).expect("1 lane exists"), ..spec(1)? };
    let wiring = Wiring { further_units: OTHERS, ..Wiring::new(&one, Mutation::None) };
    let mut pipeline = Pipeline::wired(one, wiring, seeded(seed))?;
    let unit = |sign: f64| Update { values: vec![(one.clip.value() * sign) as f32], examples: 1 };
    let mechanism = |included: &[bool]| -> Result<Vec<f64>, PipelineError> {
        included
            .iter()
            .map(|&inside| {
                let mut at: Vec<Vec<Update>> = (0..HONEST).map(|_| vec![unit(1.0), unit(1.0)]).collect();
                if inside {
                    at[0].push(unit(-1.0));
                }
                let counted = at.iter().map(Vec::len).sum::<usize>() as f64;
                let inputs = pipeline.inputs_of(&at)?;
                let sum = pipeline.decoded(&pipeline.sum(&inputs))[0];
                let count = if in_clear { counted } else { OTHERS as f64 };
                // Upwards, at the scale of the public count: 0 without the canary, 1 or more with it.
                Ok(OTHERS as f64 - sum / count * OTHERS as f64)
            })
            .collect()
    };
    let trials = run_canaries(design(canaries, seed), mechanism)?;
    if !in_clear {
        return Ok(trials.errors());
    }
    // Half way between 0 and 10 − 9/11·10.
    let experiment = Experiment::new(trials.included().to_vec(), trials.scores().to_vec(), Design::CoinAndIndependent)?;
    Ok(ErrorCounts::at(&experiment, 10.0 / 11.0))
}

/// The coordinator looks at the masked input of the middle client, which has all canaries. A pair's mask is added by the earlier and subtracted by
/// the later; with one key for all pairs, the middle client adds as often as it subtracts.
fn masks(one_key: bool, canaries: usize, seed: u64) -> Result<ErrorCounts, MutantError> {
    let spec = spec(canaries)?;
    let middle = (HONEST / 2) as usize;
    let wiring = Wiring { only_home: Some(middle), ..Wiring::new(&spec, Mutation::None) };
    let mut pipeline = Pipeline::wired(spec, wiring, seeded(seed))?;
    let mechanism = |included: &[bool]| -> Result<Vec<f64>, PipelineError> {
        let inputs = pipeline.inputs(included)?;
        let masked: Vec<RingVec> = inputs.iter().enumerate().map(|(i, input)| mask(i, input, one_key, seed)).collect();
        // Either way the sum is right: no test of correctness sees the difference.
        assert_eq!(pipeline.sum(&masked), pipeline.sum(&inputs), "masks cancel in the sum");
        Ok(pipeline.project(&masked[middle]))
    };
    Ok(run_canaries(design(canaries, seed), mechanism)?.errors())
}

fn mask(client: usize, input: &RingVec, one_key: bool, seed: u64) -> RingVec {
    let mut out = input.clone();
    for other in (0..HONEST as usize).filter(|&other| other != client) {
        let pair = if one_key { 0 } else { (client.min(other) * HONEST as usize + client.max(other)) as u64 };
        let key = MaskKey::from_bytes(noise_seed("selftest-mask", 1000 * seed + pair));
        let sign = if client < other { Sign::Add } else { Sign::Subtract };
        expand_into(Prg::Aes256Ctr, &key, sign, 0, out.words_mut());
    }
    out
}

/// Who is in takes part in one batch of an epoch, or in each round with the same probability. The score is the largest of the rounds'.
fn batches(shuffled: bool, canaries: usize, seed: u64) -> Result<ErrorCounts, MutantError> {
    let spec = PipelineSpec { noise_multiplier: NoiseMultiplier::new(EPOCH_NOISE)?, ..spec(canaries)? };
    let mut pipeline = Pipeline::new(spec, Mutation::None, seeded(seed))?;
    let mut coins = Stream::new("canary-coins", seed);
    let included: Vec<bool> = (0..canaries).map(|_| coins.coin()).collect();
    let mut inside: Vec<usize> = (0..canaries).filter(|&i| included[i]).collect();
    let mut draws = Stream::new("selftest-batches", seed);
    draws.shuffle(&mut inside);
    let q = SamplingProbability::new(1.0 / EPOCH as f64).expect("an eighth");
    let mut best = vec![f64::NEG_INFINITY; canaries];
    for round in 0..EPOCH as usize {
        let mut batch = vec![false; canaries];
        if shuffled {
            let of_epoch = inside.len().div_ceil(EPOCH as usize);
            for &i in inside.iter().skip(round * of_epoch).take(of_epoch) {
                batch[i] = true;
            }
        } else {
            let (sample, _paid_for_by_the_declaration) = poisson(canaries, q, draws.rng());
            for i in sample.units().filter(|&i| included[i]) {
                batch[i] = true;
            }
        }
        for (best, score) in best.iter_mut().zip(pipeline.round(&batch)?) {
            *best = best.max(score);
        }
    }
    let experiment = Experiment::new(included, best, Design::CoinAndIndependent)?;
    Ok(ErrorCounts::at(&experiment, 0.5))
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
