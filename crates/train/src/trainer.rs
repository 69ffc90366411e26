//! Local training: θ_t and examples in, an Update out.
use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::flex::FlexDevice;
use sottovoce_types::{Device, Examples, FlatParams, InputKind, ModelSpec, OutOfRange, ParamLayout, TrainJob, Update};

use crate::device::{DeviceError, check_device};
use crate::training::{self, Run};

/// Why parameters or examples do not fit the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The parameters are another model's.
    #[error(
        "the parameters are another model's: {found} values, where this model has {expected} (same count: names or \
         shapes differ); check `[model]` against the checkpoint"
    )]
    OtherModel {
        /// Parameters of this model.
        expected: usize,
        /// Parameters given.
        found: usize,
    },
    /// A parameter is NaN or infinite.
    #[error("parameter {parameter} is not a finite number: the model that these parameters come from diverged")]
    ParameterNotFinite {
        /// Position in the flat vector.
        parameter: usize,
    },
    /// The examples have another width than the model's input.
    #[error("the model takes {expected} features, the examples have {found}: check `[model]` against `[features]`")]
    Width {
        /// Features that the model takes.
        expected: usize,
        /// Features of the examples.
        found: usize,
    },
    /// The lists of a set of examples differ in length.
    #[error("a set of {examples} examples must have {examples} rows of features and {examples} entries of metadata")]
    Ragged {
        /// Labels of the set.
        examples: usize,
    },
    /// A label is no class of the model.
    #[error("example {example} has class {label}, but the model has {classes} classes counted from 0")]
    Label {
        /// Position in the set.
        example: usize,
        /// Its label.
        label: u16,
        /// Classes of the model.
        classes: usize,
    },
    /// The model takes statistics, and the examples are frames.
    #[error(
        "the model takes one vector of statistics for each clip, example {example} has {frames} frames: choose a model that reads \
         frames, or pool them"
    )]
    NotPooled {
        /// Position in the set.
        example: usize,
        /// Its frames.
        frames: usize,
    },
    /// A feature is NaN or infinite.
    #[error("example {example} has a feature that is not a finite number: extract its features anew")]
    NotFinite {
        /// Position in the set.
        example: usize,
    },
}

/// Why local training failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Parameters or examples do not fit the model.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A number of the job is out of its range.
    #[error("the training job is not possible: {0}")]
    Job(#[from] OutOfRange),
    /// The loss or the parameters are no longer finite.
    #[error("training diverged in epoch {epoch} (the loss is not finite) at learning rate {learning_rate}: lower it")]
    Diverged {
        /// Epoch, counted from 1.
        epoch: u32,
        /// The job's learning rate.
        learning_rate: f64,
    },
}

/// How far training has come: what [`Trainer::train_centralised`] tells after every epoch.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EpochLoss {
    /// Epoch, counted from 1.
    pub epoch: u32,
    /// Mean cross-entropy over the epoch's steps in nats, each example seen at the parameters of its own step.
    pub loss: f64,
}

/// Trains and evaluates one architecture on one device.
#[derive(Clone, Debug)]
pub struct Trainer {
    spec: ModelSpec,
    layout: Arc<ParamLayout>,
    device: Device,
}

impl Trainer {
    /// A trainer for `spec` on `device`.
    ///
    /// # Errors
    /// [`DeviceError`] when the device cannot be used in this build on this machine.
    ///
    /// # Panics
    /// When the architecture is not possible ([`ModelSpec::check`]).
    pub fn new(spec: ModelSpec, device: Device) -> Result<Self, DeviceError> {
        check_device(device)?;
        assert_eq!(spec.check(), Ok(()), "an architecture that was checked");
        let layout = Arc::new(spec.layout());
        Ok(Self { spec, layout, device })
    }

    /// The architecture.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The device.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Trains from θ_t = `global` on `data` (features `[n, inputs]`) and returns θ_local − θ_t, `[d]`, unclipped.
    ///
    /// E epochs of mini-batch SGD on the mean cross-entropy of each batch; the last batch of an epoch may be smaller.
    /// The order of examples is drawn anew for each epoch from `job.seed` alone. No data and no epochs give a zero
    /// Update: whether a unit has data must not show in whether it answers.
    ///
    /// # Errors
    /// [`TrainError::Input`] when `global` or `data` do not fit the model, [`TrainError::Job`] when the job is not
    /// possible, [`TrainError::Diverged`] when the loss is NaN or infinite.
    pub fn train(&self, global: &FlatParams, data: &Examples, job: &TrainJob) -> Result<Update, TrainError> {
        let local = self.fit(global, Run::new(&self.spec, job, data), &mut |_| ())?;
        Ok(Update::between(global, &local, examples(data)))
    }

    /// The centralised baseline: the same training over pooled data, for `job.epochs` epochs from `initial`; returns
    /// the trained parameters `[d]` and tells `on_epoch` after every epoch.
    ///
    /// # Errors
    /// As [`Self::train`].
    pub fn train_centralised(
        &self,
        initial: &FlatParams,
        data: &Examples,
        job: &TrainJob,
        mut on_epoch: impl FnMut(EpochLoss),
    ) -> Result<FlatParams, TrainError> {
        self.fit(initial, Run { scheduled: true, ..Run::new(&self.spec, job, data) }, &mut on_epoch)
    }

    /// As [`Self::train`], with `correction` `[d]` added to every gradient: SCAFFOLD's c − c_i (Karimireddy et al. 2020,
    /// Algorithm 1, line 10).
    ///
    /// # Errors
    /// As [`Self::train`]; [`InputError::OtherModel`] when the correction has another length than the model.
    pub fn train_corrected(
        &self,
        global: &FlatParams,
        data: &Examples,
        job: &TrainJob,
        correction: &[f32],
    ) -> Result<Update, TrainError> {
        if correction.len() != self.layout.len() {
            return Err(InputError::OtherModel { expected: self.layout.len(), found: correction.len() }.into());
        }
        let run = Run { correction: Some(correction), ..Run::new(&self.spec, job, data) };
        let local = self.fit(global, run, &mut |_| ())?;
        Ok(Update::between(global, &local, examples(data)))
    }

    /// The gradient of each example's loss by itself, in the order of `data`, a batch at a time: `[d]` each, handed to `sink`
    /// as a step downhill, −∂ℓ_i/∂θ. One backward pass a batch; nothing larger than `job.batch` gradients is held.
    ///
    /// Neither learning rate nor momentum nor any other part of the optimiser has a hand in it: that is DP-FedSGD's, where
    /// the released mean makes the step.
    ///
    /// # Errors
    /// As [`Self::train`], but for divergence: a gradient that is not finite is handed over as it is.
    pub fn gradients(
        &self,
        global: &FlatParams,
        data: &Examples,
        job: &TrainJob,
        sink: &mut dyn FnMut(Update),
    ) -> Result<(), TrainError> {
        job.check(self.spec.classes())?;
        self.check_inputs(global, data)?;
        let run = Run::new(&self.spec, job, data);
        let mut each = |gradients: Vec<f32>| {
            for gradient in gradients.chunks_exact(self.layout.len()) {
                sink(Update { values: gradient.iter().map(|g| -g).collect(), examples: 1 });
            }
        };
        match self.device {
            Device::Cpu => training::gradients::<Flex>(&FlexDevice, global, &run, &mut each),
            #[cfg(feature = "cuda")]
            Device::Cuda(index) => {
                training::gradients::<burn::backend::Cuda>(&cuda_device(index), global, &run, &mut each);
            }
            #[cfg(not(feature = "cuda"))]
            Device::Cuda(index) => return Err(DeviceError::NotCompiledIn { index }.into()),
        }
        Ok(())
    }

    /// The norm of each example's gradient `[n]`, and Σ of the gradients clipped to `clip` in L2, `[d]`, in one backward pass a
    /// batch and without making the gradients one by one.
    ///
    /// In floating point: the sum's sensitivity to one example is `clip` only up to rounding. It serves experiments and attacks
    /// with shadow models. What leaves a site is clipped in integers, from [`Self::gradients`].
    ///
    /// # Errors
    /// As [`Self::gradients`].
    pub fn clipped_gradient(
        &self,
        global: &FlatParams,
        data: &Examples,
        job: &TrainJob,
        clip: f32,
    ) -> Result<ClippedGradient, TrainError> {
        job.check(self.spec.classes())?;
        self.check_inputs(global, data)?;
        let run = Run::new(&self.spec, job, data);
        let (norms, sum) = match self.device {
            Device::Cpu => training::clipped_gradient::<Flex>(&FlexDevice, global, &run, clip),
            #[cfg(feature = "cuda")]
            Device::Cuda(index) => {
                training::clipped_gradient::<burn::backend::Cuda>(&cuda_device(index), global, &run, clip)
            }
            #[cfg(not(feature = "cuda"))]
            Device::Cuda(index) => return Err(DeviceError::NotCompiledIn { index }.into()),
        };
        Ok(ClippedGradient { norms, sum })
    }

    /// The gradient of the mean loss with respect to the features, frame by frame in the order of `data`: as many values as it has
    /// features. It serves attacks that look for the features behind an update.
    ///
    /// # Errors
    /// As [`Self::gradients`].
    pub fn input_gradient(&self, params: &FlatParams, data: &Examples, job: &TrainJob) -> Result<Vec<f32>, TrainError> {
        job.check(self.spec.classes())?;
        self.check_inputs(params, data)?;
        let run = Run::new(&self.spec, job, data);
        match self.device {
            Device::Cpu => Ok(training::input_gradient::<Flex>(&FlexDevice, params, &run)),
            #[cfg(feature = "cuda")]
            Device::Cuda(index) => {
                Ok(training::input_gradient::<burn::backend::Cuda>(&cuda_device(index), params, &run))
            }
            #[cfg(not(feature = "cuda"))]
            Device::Cuda(index) => Err(DeviceError::NotCompiledIn { index }.into()),
        }
    }

    fn fit(
        &self,
        start: &FlatParams,
        run: Run<'_>,
        on_epoch: &mut dyn FnMut(EpochLoss),
    ) -> Result<FlatParams, TrainError> {
        run.job.check(self.spec.classes())?;
        self.check_inputs(start, run.data)?;
        if run.data.is_empty() || (run.job.epochs == 0 && run.job.steps == 0) {
            return Ok(start.clone());
        }
        match self.device {
            Device::Cpu => training::fit::<Flex>(&FlexDevice, start, &run, on_epoch),
            #[cfg(feature = "cuda")]
            Device::Cuda(index) => training::fit::<burn::backend::Cuda>(&cuda_device(index), start, &run, on_epoch),
            #[cfg(not(feature = "cuda"))]
            Device::Cuda(index) => Err(DeviceError::NotCompiledIn { index }.into()),
        }
    }

    /// Logits of examples already checked, `[n, classes]` row by row.
    pub(crate) fn forward(&self, params: &FlatParams, data: &Examples) -> Result<Vec<f32>, DeviceError> {
        match self.device {
            Device::Cpu => Ok(training::forward::<Flex>(&FlexDevice, &self.spec, params, data)),
            #[cfg(feature = "cuda")]
            Device::Cuda(index) => {
                Ok(training::forward::<burn::backend::Cuda>(&cuda_device(index), &self.spec, params, data))
            }
            #[cfg(not(feature = "cuda"))]
            Device::Cuda(index) => Err(DeviceError::NotCompiledIn { index }),
        }
    }

    /// Whether parameters and examples fit this model.
    pub(crate) fn check_inputs(&self, params: &FlatParams, data: &Examples) -> Result<(), InputError> {
        if params.layout().as_ref() != self.layout.as_ref() {
            return Err(InputError::OtherModel { expected: self.layout.len(), found: params.layout().len() });
        }
        // Asked here because burn's ReLU turns NaN into 0: a poisoned first layer would not show in any loss.
        if let Some(parameter) = params.values().iter().position(|v| !v.is_finite()) {
            return Err(InputError::ParameterNotFinite { parameter });
        }
        let (inputs, classes) = (self.spec.inputs(), self.spec.classes());
        if data.width != inputs {
            return Err(InputError::Width { expected: inputs, found: data.width });
        }
        if !data.is_consistent() {
            return Err(InputError::Ragged { examples: data.len() });
        }
        let pooled = self.spec.input_kind() == InputKind::Statistics;
        if let Some(example) = (0..data.len()).find(|&i| pooled && data.frames(i) != 1) {
            return Err(InputError::NotPooled { example, frames: data.frames(example) });
        }
        if let Some(example) = data.labels.iter().position(|&l| usize::from(l) >= classes) {
            return Err(InputError::Label { example, label: data.labels[example], classes });
        }
        if let Some(place) = data.features.iter().position(|v| !v.is_finite()) {
            return Err(InputError::NotFinite { example: data.example_at(place) });
        }
        Ok(())
    }
}

/// Clipped gradients, added up.
#[derive(Clone, PartialEq, Debug)]
pub struct ClippedGradient {
    /// The L2 norm of each example's gradient before clipping, `[n]`.
    pub norms: Vec<f32>,
    /// Σ of the clipped gradients, `[d]`.
    pub sum: Vec<f32>,
}

fn examples(data: &Examples) -> u32 {
    u32::try_from(data.len()).unwrap_or(u32::MAX)
}

#[cfg(feature = "cuda")]
fn cuda_device(index: usize) -> burn::backend::cuda::CudaDevice {
    burn::backend::cuda::CudaDevice::new(index)
}
