//! Mechanisms that are more than one pipeline: what an attacker subtracts, counts or compares.
use sottovoce_dp::sampling::{SamplingProbability, poisson};
use sottovoce_dp::{NoiseError, NoiseKind, NoiseShare, NoiseSource, Noised, SeededNoise};
use sottovoce_encode::SiteSum;
use sottovoce_secagg::mask::{MaskKey, Prg, Sign, expand_into};
use sottovoce_types::{Lanes, NoiseMultiplier, RingVec, Update};

use super::mutants::{EPOCH, EPOCH_NOISE, HONEST, MutantError, design, seeded, spec};
use super::noise_seed;
use crate::bound::{Design, ErrorCounts, Experiment};
use crate::canary::{Mutation, Pipeline, PipelineError, PipelineSpec, Wiring, run_canaries};
use crate::random::Stream;

/// Four layers, each with a pipeline of its own. A canary pushes in all four; its direction is the four together, at length 1. Clipped
/// together, each layer gets C/2 of it.
pub(super) fn per_layer(clipped_apart: bool, canaries: usize, seed: u64) -> Result<ErrorCounts, MutantError> {
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
pub(super) fn rounds(one_seed: bool, canaries: usize, seed: u64) -> Result<ErrorCounts, MutantError> {
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
pub(super) fn clients(one_seed: bool, canaries: usize, seed: u64) -> Result<ErrorCounts, MutantError> {
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
pub(super) fn count_as_weight(in_clear: bool, canaries: usize, seed: u64) -> Result<ErrorCounts, MutantError> {
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
pub(super) fn masks(one_key: bool, canaries: usize, seed: u64) -> Result<ErrorCounts, MutantError> {
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
pub(super) fn batches(shuffled: bool, canaries: usize, seed: u64) -> Result<ErrorCounts, MutantError> {
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
