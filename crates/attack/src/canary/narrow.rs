//! Where a violation comes from: each part of the pipeline by itself, round by round.
//!
//! What adds no noise is checked exactly, with the noise left out: what a unit contributes must not exceed C, and what is out must leave no
//! trace (record and replay, after Cebere et al. 2026, arXiv:2602.17454). Noise is checked by itself, on sums that nobody is in: its variance
//! against the declared one by a χ² test, and against that of the round before for independence.
use std::ops::RangeInclusive;

use serde::Serialize;
use sottovoce_dp::NoiseSource;
use statrs::distribution::{ChiSquared, ContinuousCDF as _};

use super::pipeline::{Mutation, Pipeline, PipelineError, PipelineSpec, Wiring};
use crate::stats::normal_quantile;

/// α of all statistical tests of a narrowing together.
const ALPHA: f64 = 1e-6;
/// A canary this short is not clipped: what exceeds it was not for want of a clip.
const SHORT: f64 = 0.25;

/// A part of the pipeline, or several, in which a defect shows.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Narrowed {
    /// Which part.
    pub component: &'static str,
    /// Rounds in which it shows.
    pub rounds: Vec<u64>,
    /// What was seen, in words.
    pub evidence: String,
}

impl std::fmt::Display for Narrowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rounds: Vec<String> = runs(&self.rounds)
            .into_iter()
            .map(|r| match (r.start(), r.end()) {
                (a, b) if a == b => a.to_string(),
                (a, b) => format!("{a} to {b}"),
            })
            .collect();
        let word = if self.rounds.len() == 1 { "round" } else { "rounds" };
        write!(f, "{}, {word} {}: {}", self.component, rounds.join(", "), self.evidence)
    }
}

/// Rounds that follow one another, as ranges.
fn runs(rounds: &[u64]) -> Vec<RangeInclusive<u64>> {
    rounds.chunk_by(|a, b| a + 1 == *b).filter_map(|c| Some(*c.first()?..=*c.last()?)).collect()
}

/// Tries each part of the pipeline of `spec` by itself in each of `rounds`. What comes back is in the order of the pipeline; nothing where no
/// part by itself is seen to be wrong.
///
/// # Errors
/// [`PipelineError`] when the pipeline refuses.
pub fn narrow<N: NoiseSource>(
    spec: PipelineSpec,
    mutation: Mutation,
    rounds: RangeInclusive<u64>,
    mut noise: impl FnMut() -> N,
) -> Result<Vec<Narrowed>, PipelineError> {
    let mut found = without_noise(spec, mutation, &rounds, &mut noise)?;
    found.extend(noise_alone(spec, mutation, &rounds, noise())?);
    Ok(found)
}

/// What the parts before the noise let through, exactly.
fn without_noise<N: NoiseSource>(
    spec: PipelineSpec,
    mutation: Mutation,
    rounds: &RangeInclusive<u64>,
    noise: &mut impl FnMut() -> N,
) -> Result<Vec<Narrowed>, PipelineError> {
    let quiet = Wiring { noise: false, ..Wiring::new(&spec, mutation) };
    let mut parts = [
        ("clip", Vec::new(), 0.0f64),
        ("units of a sum (one counts more than once)", Vec::new(), 0.0),
        ("units of a sum (one that is out leaves a trace)", Vec::new(), 0.0),
    ];
    // A grid step of each coordinate that a canary spans, twice for rounding both ways.
    let tolerance = 4.0 * (quiet.spread as f64).sqrt() / 2f64.powi(spec.clip_bits.try_into().unwrap_or(31)) + 1e-6;
    for round in rounds.clone() {
        let mut largest = |push: f64, inside: bool| -> Result<f64, PipelineError> {
            let wiring = Wiring { push, ..quiet };
            let mut pipeline = Pipeline::wired(spec, wiring, noise())?.from_round(round);
            let along = pipeline.round(&vec![inside; spec.canaries])?;
            Ok(along.into_iter().fold(0.0, |most, v| most.max(v.abs())))
        };
        let (long, short, out) = (
            largest(quiet.push, true)?,
            largest(SHORT / (quiet.spread as f64).sqrt(), true)?,
            largest(quiet.push, false)?,
        );
        let counted = short / SHORT;
        for (part, (excess, value)) in
            parts.iter_mut().zip([(long / counted.max(1.0) - 1.0, long), (counted - 1.0, counted), (out, out)])
        {
            if excess > tolerance {
                part.1.push(round);
                part.2 = part.2.max(value);
            }
        }
    }
    let say = |(i, (component, rounds, worst)): (usize, (&'static str, Vec<u64>, f64))| {
        let evidence = match i {
            0 => format!("a unit moves the sum by {worst:.3} C, where C is declared"),
            1 => format!("a unit that needs no clip counts {worst:.3} times"),
            _ => format!("a unit that is out moves the sum by {worst:.3} C"),
        };
        (!rounds.is_empty()).then_some(Narrowed { component, rounds, evidence })
    };
    Ok(parts.into_iter().enumerate().filter_map(say).collect())
}

/// The noise of sums that nobody is in.
fn noise_alone<N: NoiseSource>(
    spec: PipelineSpec,
    mutation: Mutation,
    rounds: &RangeInclusive<u64>,
    noise: N,
) -> Result<Vec<Narrowed>, PipelineError> {
    // Nobody is in: not even a unit that pushes back.
    let wiring = Wiring { pushes_back: false, ..Wiring::new(&spec, mutation) };
    let mut pipeline = Pipeline::wired(spec, wiring, noise)?.from_round(*rounds.start());
    let (z, m) = (spec.noise_multiplier.value(), spec.canaries as f64);
    let tests = 2.0 * rounds.clone().count().max(1) as f64;
    let least = ChiSquared::new(m).map_or(0.0, |chi| chi.inverse_cdf(ALPHA / tests));
    let together = normal_quantile(1.0 - ALPHA / tests / 2.0);
    let (mut short, mut smallest) = (Vec::new(), f64::INFINITY);
    let (mut stale, mut before): (Vec<u64>, Option<Vec<f64>>) = (Vec::new(), None);
    for round in rounds.clone() {
        let drawn = pipeline.round(&vec![false; spec.canaries])?;
        let square = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
        if square(&drawn) / (z * z) < least {
            short.push(round);
            smallest = smallest.min((square(&drawn) / m).sqrt());
        }
        if let Some(before) = &before {
            let length = (square(&drawn) * square(before)).sqrt();
            let along: f64 = drawn.iter().zip(before).map(|(a, b)| a * b).sum();
            if length > 0.0 && (along / length).abs() * m.sqrt() > together {
                stale.push(round);
            }
        }
        before = Some(drawn);
    }
    let mut found = Vec::new();
    if !short.is_empty() {
        let evidence = format!("its standard deviation is {smallest:.3} C, where {z:.3} C is declared");
        found.push(Narrowed { component: "noise", rounds: short, evidence });
    }
    if !stale.is_empty() {
        let evidence = "it is not independent of the round before".to_owned();
        found.push(Narrowed { component: "freshness of noise", rounds: stale, evidence });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use sottovoce_dp::{NoiseError, NoiseKind, NoiseShare, Noised, SeededNoise};
    use sottovoce_encode::SiteSum;
    use sottovoce_types::{ClipNorm, Lanes, NoiseMultiplier, Rotation};

    use super::*;

    fn spec() -> PipelineSpec {
        PipelineSpec {
            clip: ClipNorm::new(0.5).unwrap(),
            clip_bits: 14,
            lanes: Lanes::new(2).unwrap(),
            rotation: Rotation::None,
            noise_multiplier: NoiseMultiplier::new(2.0).unwrap(),
            honest: 4,
            canaries: 400,
        }
    }

    fn narrowed(mutation: Mutation) -> Vec<Narrowed> {
        let mut seed = 0u8;
        let noise = || {
            seed = seed.wrapping_add(1);
            SeededNoise::new([seed; 32])
        };
        narrow(spec(), mutation, 3..=5, noise).unwrap()
    }

    #[test]
    fn each_defect_is_found_in_its_part_and_in_its_rounds() {
        let cases = [
            (Mutation::NoiseOff, "noise"),
            (Mutation::NoiseShort { factor: 2.0 }, "noise"),
            (Mutation::NoiseForAll { clients: 16 }, "noise"),
            (Mutation::ClipSkipped, "clip"),
            (Mutation::ClipByLargestCoordinate, "clip"),
            (Mutation::UnitAtTwoClients, "units of a sum (one counts more than once)"),
            (Mutation::ReplacedNotRemoved, "units of a sum (one that is out leaves a trace)"),
        ];
        for (mutation, component) in cases {
            let found = narrowed(mutation);
            assert_eq!(found.len(), 1, "{mutation:?}: {found:?}");
            assert_eq!((found[0].component, found[0].rounds.as_slice()), (component, &[3, 4, 5][..]), "{mutation:?}");
            assert!(found[0].to_string().contains("rounds 3 to 5"), "{}", found[0]);
        }
        assert!(narrowed(Mutation::NoiseShort { factor: 2.0 })[0].evidence.contains("where 2.000 C is declared"));
    }

    #[test]
    fn a_sound_pipeline_is_narrowed_to_nothing() {
        assert_eq!(narrowed(Mutation::None), []);
    }

    /// The same noise whoever asks and however often.
    struct Stale;

    impl NoiseSource for Stale {
        fn add(&mut self, sum: SiteSum, share: &NoiseShare) -> Result<Noised, NoiseError> {
            SeededNoise::new([7; 32]).add(sum, share)
        }

        fn kind(&self) -> NoiseKind {
            NoiseKind::Seeded
        }
    }

    #[test]
    fn noise_that_comes_again_is_named_with_the_round_in_which_it_does() {
        let one = PipelineSpec { honest: 1, ..spec() };
        let found = narrow(one, Mutation::None, 1..=3, || Stale).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].component, found[0].rounds.as_slice()), ("freshness of noise", &[2, 3][..]));
        assert_eq!(runs(&[1, 2, 5]), [1..=2, 5..=5]);
    }
}
