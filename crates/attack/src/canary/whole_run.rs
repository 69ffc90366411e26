//! A whole training run with canaries in it, for the bounds that need one run.
use std::collections::BTreeMap;

use sottovoce_dp::NoiseSource;
use sottovoce_types::{Update, Vantage};

use super::pipeline::{Mutation, Pipeline, PipelineError, PipelineSpec, Wiring};
use crate::random::Stream;
use crate::scores::{Described, Scored, Scores};

/// What is trained, with what in it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WholeRun {
    /// The pipeline; its `canaries` are the m canaries.
    pub pipeline: PipelineSpec,
    /// Parameters d of the model.
    pub dim: usize,
    /// Most units that train in one round.
    pub units: u64,
    /// Rounds.
    pub rounds: u32,
    /// Seed of directions and coins; must not be the noise's.
    pub seed: u64,
}

/// Why a run could not be audited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WholeRunError<E: std::error::Error + 'static> {
    /// Nothing to audit.
    #[error("an audit of a run needs at least 2 canaries, 1 round and 1 parameter")]
    Empty,
    /// The pipeline refused.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// An update of another length than the model's.
    #[error("round {round}: an update has {found} parameters, the model {expected}")]
    Length {
        /// The round, from 1.
        round: u32,
        /// Parameters of the model.
        expected: usize,
        /// Values of the update.
        found: usize,
    },
    /// Training failed.
    #[error("training failed in round {round}: {source}")]
    Training {
        /// The round, from 1.
        round: u32,
        /// Its error.
        source: E,
    },
}

/// Trains with canaries: m units that push along random directions u_i in {−1, 1}^d/√d, each in every round or in none, by a coin. `train` gets the round,
/// from 1, and the last released sum in units of C (zeros at first), `[d]`, and gives that round's updates, one a unit. Canary
/// i's score is Σ_t ⟨u_i, released_t⟩.
///
/// The directions are not orthogonal and real updates stand beside them, so the scores are no independent trials: they are for
/// [`crate::bound::OneRun`] and [`crate::bound::FDpOneRun`] under [`crate::bound::Design::CoinInOneRun`].
///
/// # Errors
/// [`WholeRunError`].
pub fn audit_whole_run<N: NoiseSource, E: std::error::Error + 'static>(
    run: WholeRun,
    mutation: Mutation,
    noise: N,
    mut train: impl FnMut(u32, &[f64]) -> Result<Vec<Update>, E>,
) -> Result<Scores, WholeRunError<E>> {
    let WholeRun { pipeline: spec, dim, units, rounds, seed } = run;
    if spec.canaries < 2 || rounds == 0 || dim == 0 {
        return Err(WholeRunError::Empty);
    }
    let mut signs = Stream::new("canary-directions", seed);
    let directions: Vec<Vec<bool>> = (0..spec.canaries).map(|_| (0..dim).map(|_| signs.coin()).collect()).collect();
    let mut coins = Stream::new("canary-coins", seed);
    let included: Vec<bool> = (0..spec.canaries).map(|_| coins.coin()).collect();

    // The pipeline's own canaries lie along coordinates; these are units among units.
    let none = PipelineSpec { canaries: 0, ..spec };
    let wiring = Wiring {
        further_coordinates: dim,
        further_units: units + spec.canaries as u64,
        ..Wiring::new(&spec, mutation)
    };
    let mut pipeline = Pipeline::wired(none, wiring, noise)?;
    let honest = spec.honest.max(1) as usize;
    let (mut released, mut scores) = (vec![0.0; dim], vec![0.0; spec.canaries]);
    for round in 1..=rounds {
        let mut at = vec![Vec::new(); honest];
        for (i, update) in
            train(round, &released).map_err(|source| WholeRunError::Training { round, source })?.into_iter().enumerate()
        {
            if update.values.len() != dim {
                return Err(WholeRunError::Length { round, expected: dim, found: update.values.len() });
            }
            at[i % honest].push(update);
        }
        for (i, direction) in directions.iter().enumerate().filter(|(i, _)| included[*i]) {
            at[i % honest].push(canary(direction, spec.clip.value()));
        }
        let inputs = pipeline.inputs_of(&at)?;
        released = pipeline.decoded(&pipeline.sum(&inputs));
        for (score, direction) in scores.iter_mut().zip(&directions) {
            let along = |(&v, &sign): (&f64, &bool)| if sign { v } else { -v };
            *score += released.iter().zip(direction).map(along).sum::<f64>() / (dim as f64).sqrt();
        }
    }
    let unit = |(i, (score, truth)): (usize, (f64, bool))| Scored {
        unit: format!("canary-{}", i + 1),
        score,
        truth,
        cluster: format!("canary-{}", i + 1),
        run: 0,
        slices: BTreeMap::new(),
    };
    let of = Described {
        attack: "canaries-in-training",
        vantage: Vantage::Auditor,
        citation: "Steinke, Nasr, Jagielski, NeurIPS 2023 (arXiv:2305.08846); directions after Andrew et al., ICLR 2024 (arXiv:2302.03098)",
    };
    Ok(Scores { of, units: scores.into_iter().zip(included).enumerate().map(unit).collect() })
}

/// Four times C along its direction, so that a clip that does not happen shows.
fn canary(direction: &[bool], clip: f64) -> Update {
    let each = (clip * f64::from(super::CANARY_OVERSHOOT) / (direction.len() as f64).sqrt()) as f32;
    Update { values: direction.iter().map(|&sign| if sign { each } else { -each }).collect(), examples: 1 }
}
