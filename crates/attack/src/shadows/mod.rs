//! Shadow models: the audited run's training, many times over, each time on a random half of the data.
//!
//! A shadow on which a clip was trained, and one on which it was not, show what the clip's own score looks like in either case (Carlini et al.,
//! "Membership Inference Attacks From First Principles", S&P 2022). All that attacks need of a shadow is φ of each clip ([`phi`]), so a
//! [`ShadowLogits`] is kept and the models are not.
//!
//! Fully connected models train in [`sottovoce_train::SmallDnn`], one on each core; all others in the ordinary trainer, one after the other on
//! each core, so that one takes fewer of them.
mod cache;
mod masks;
mod recipe;

pub use cache::CacheError;
pub use masks::{LEAST, MaskError, Masks};
use rayon::prelude::*;
pub use recipe::{Federation, Recipe, ServerStep};
use sottovoce_train::{EvaluateError, TrainError, Trainer};
use sottovoce_types::{Digest, Examples, FlatParams, Sha256Writer};

/// Why there are no shadows.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShadowError {
    /// One did not train.
    #[error("training shadow {shadow}: {source}")]
    Train {
        /// Which.
        shadow: usize,
        /// Why.
        source: TrainError,
    },
    /// One could not be asked.
    #[error("asking shadow {shadow}: {source}")]
    Evaluate {
        /// Which.
        shadow: usize,
        /// Why.
        source: EvaluateError,
    },
    /// Masks of other units.
    #[error("masks of {units} units, but {examples} examples to train on or to score: one for each")]
    Masks {
        /// Units of the masks.
        units: usize,
        /// Examples.
        examples: usize,
    },
}

/// φ = log p_y − log Σ_{y'≠y} p_{y'} of each example from logits `[n, classes]`: z_y − log Σ_{y'≠y} exp z_{y'} by log-sum-exp in f64, never from
/// rounded probabilities (Carlini et al. 2022, §VI-A).
pub fn phi(logits: &[f32], labels: &[u16], classes: usize) -> Vec<f64> {
    let of = |(row, &label): (&[f32], &u16)| {
        let others = || row.iter().enumerate().filter(|(k, _)| *k != usize::from(label)).map(|(_, z)| f64::from(*z));
        let top = others().fold(f64::NEG_INFINITY, f64::max);
        f64::from(row[usize::from(label)]) - top - others().map(|z| (z - top).exp()).sum::<f64>().ln()
    };
    logits.chunks_exact(classes).zip(labels).map(of).collect()
}

/// φ of every example under one model, `[n]`.
///
/// # Errors
/// As [`Trainer::logits`].
pub fn phi_of(trainer: &Trainer, model: &FlatParams, data: &Examples) -> Result<Vec<f64>, EvaluateError> {
    Ok(phi(&trainer.logits(model, data)?, &data.labels, trainer.spec().classes()))
}

/// What shadows are to be trained, and asked.
pub struct Design<'a> {
    /// The model.
    pub trainer: &'a Trainer,
    /// How each is trained.
    pub recipe: &'a Recipe,
    /// What they train on, each on what `trained_on` says.
    pub train: &'a Examples,
    /// Units: the examples of `train`.
    pub trained_on: &'a Masks,
    /// What they are asked about: `train` again, or, for speakers, clips that none trained on.
    pub scored: &'a Examples,
    /// Units: the examples of `scored`. The truths.
    pub member: &'a Masks,
    /// Public clips that no shadow and no target trained on.
    pub population: &'a Examples,
    /// Of initial models, orders, noise.
    pub seed: u64,
}

/// φ of every scored clip under every shadow, and what each trained on.
#[derive(Clone, PartialEq, Debug)]
pub struct ShadowLogits {
    /// Truths, `[S, N]`.
    pub member: Masks,
    /// φ of the scored clips, `[S][N]`.
    pub scored: Vec<Vec<f64>>,
    /// φ of the population, `[S][Z]`.
    pub population: Vec<Vec<f64>>,
}

impl Design<'_> {
    /// Identifies the result by all that it depends on: model, training, data, masks and seed.
    pub fn key(&self) -> Digest {
        let mut w = Sha256Writer::new("sottovoce/1/shadows");
        self.trainer.spec().write_to(&mut w);
        self.recipe.write_to(&mut w);
        for data in [self.train, self.scored, self.population] {
            w.number(data.width as u64).number(data.len() as u64);
            for i in 0..data.len() {
                let bytes: Vec<u8> = data.row(i).iter().flat_map(|v| v.to_le_bytes()).collect();
                let words: Vec<u8> = data.words(i).iter().flat_map(|v| v.to_le_bytes()).collect();
                let meta = &data.meta[i];
                w.field(&bytes).field(&words).field(meta.path.as_bytes()).field(meta.speaker.as_bytes());
                w.number(data.labels[i].into());
            }
        }
        for masks in [self.trained_on, self.member] {
            w.number(masks.shadows() as u64);
            for s in 0..masks.shadows() {
                w.field(&masks.row(s).iter().map(|b| u8::from(*b)).collect::<Vec<_>>());
            }
        }
        w.number(self.seed).finish()
    }

    /// Trains all shadows on all cores and asks each; `tick` is called [`Recipe::ticks`] times a shadow.
    ///
    /// # Errors
    /// [`ShadowError`].
    pub fn train(&self, tick: &(dyn Fn() + Sync)) -> Result<ShadowLogits, ShadowError> {
        for (masks, data) in [(self.trained_on, self.train), (self.member, self.scored)] {
            if (0..masks.shadows()).any(|s| masks.row(s).len() != data.len()) {
                return Err(ShadowError::Masks { units: masks.row(0).len(), examples: data.len() });
            }
        }
        let one = |shadow: usize| {
            let seed = Sha256Writer::new("sottovoce/1/shadow").number(self.seed).number(shadow as u64).finish();
            let seed = u64::from_le_bytes(*seed.0.first_chunk().expect("32 bytes"));
            let model = self
                .recipe
                .train(self.trainer, self.train, &self.trained_on.members(shadow), seed, tick)
                .map_err(|source| ShadowError::Train { shadow, source })?;
            let ask =
                |data| phi_of(self.trainer, &model, data).map_err(|source| ShadowError::Evaluate { shadow, source });
            Ok((ask(self.scored)?, ask(self.population)?))
        };
        let shadows = 0..self.trained_on.shadows();
        let asked: Vec<(Vec<f64>, Vec<f64>)> = shadows.into_par_iter().map(one).collect::<Result<_, ShadowError>>()?;
        let (scored, population) = asked.into_iter().unzip();
        Ok(ShadowLogits { member: self.member.clone(), scored, population })
    }
}

#[cfg(test)]
mod tests;
