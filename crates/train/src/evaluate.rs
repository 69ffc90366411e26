//! What a model says of examples: logits, probabilities, losses, and the figures made of them.
use sottovoce_types::{Examples, FlatParams, LabelSet, Metrics};

use crate::device::DeviceError;
use crate::metrics;
use crate::trainer::{InputError, Trainer};

/// Why a model could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Parameters or examples do not fit the model.
    #[error(transparent)]
    Input(#[from] InputError),
    /// There is nothing to evaluate on.
    #[error("there are no examples to evaluate on: check `partition.test_speakers`")]
    NoExamples,
    /// The label set is another model's.
    #[error("the model tells {classes} classes apart, the label set names {labels}")]
    OtherLabels {
        /// Classes of the model.
        classes: usize,
        /// Names in the label set.
        labels: usize,
    },
    /// The model answers with NaN or infinity.
    #[error("the model gives a logit that is not a finite number for example {example}: its training diverged")]
    NotFinite {
        /// Position in the set.
        example: usize,
    },
}

impl Trainer {
    /// Logits, `[n, classes]` row by row.
    ///
    /// # Errors
    /// [`EvaluateError::Input`] when `params` or `data` do not fit the model, [`EvaluateError::NotFinite`] when a logit
    /// is NaN or infinite.
    pub fn logits(&self, params: &FlatParams, data: &Examples) -> Result<Vec<f32>, EvaluateError> {
        self.check_inputs(params, data)?;
        let logits = self.forward(params, data)?;
        match logits.iter().position(|z| !z.is_finite()) {
            Some(place) => Err(EvaluateError::NotFinite { example: place / self.spec().classes() }),
            None => Ok(logits),
        }
    }

    /// Class probabilities, `[n, classes]` row by row: the softmax of [`Self::logits`], in f64.
    ///
    /// # Errors
    /// As [`Self::logits`].
    pub fn probabilities(&self, params: &FlatParams, data: &Examples) -> Result<Vec<f64>, EvaluateError> {
        let logits = self.logits(params, data)?;
        Ok(logits.chunks_exact(self.spec().classes()).flat_map(metrics::softmax).collect())
    }

    /// Cross-entropy of each example in nats, `[n]`: log Σ exp z − z_y by log-sum-exp in f64, never from rounded
    /// probabilities, so that the losses of examples learnt by heart still differ.
    ///
    /// # Errors
    /// As [`Self::logits`].
    pub fn losses(&self, params: &FlatParams, data: &Examples) -> Result<Vec<f64>, EvaluateError> {
        let logits = self.logits(params, data)?;
        Ok(metrics::cross_entropies(&logits, &data.labels, self.spec().classes()))
    }

    /// All figures of [`Metrics`] on `data`; the intervals come from [`BOOTSTRAP_RESAMPLES`](crate::BOOTSTRAP_RESAMPLES)
    /// resamples of speakers, drawn from a fixed seed.
    ///
    /// # Errors
    /// As [`Self::logits`]; [`EvaluateError::NoExamples`] and [`EvaluateError::OtherLabels`].
    pub fn evaluate(&self, params: &FlatParams, data: &Examples, labels: &LabelSet) -> Result<Metrics, EvaluateError> {
        let (classes, named) = (self.spec().classes(), labels.emotions().len());
        if classes != named {
            return Err(EvaluateError::OtherLabels { classes, labels: named });
        }
        if data.is_empty() {
            return Err(EvaluateError::NoExamples);
        }
        Ok(metrics::score(&self.logits(params, data)?, data, labels))
    }
}
