//! Local training: θ_t and examples in, an Update out.
use std::sync::Arc;

use burn::backend::flex::FlexDevice;
use burn::backend::{Autodiff, Flex};
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{ElementConversion as _, Tensor, TensorData};
use sottovoce_types::{
    Examples, FlatParams, LocalOptimiser, ModelSpec, OutOfRange, ParamLayout, Sha256Writer, TrainJob, Update,
};

use crate::device::{Device, DeviceError};
use crate::dnn::{Dnn, read};
use crate::random::{Draws, purpose};
use crate::sgd::Sgd;

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
    pub fn new(spec: ModelSpec, device: Device) -> Result<Self, DeviceError> {
        device.check()?;
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
        let local = self.fit(global, data, job, &mut |_| ())?;
        Ok(Update::between(global, &local, u32::try_from(data.len()).unwrap_or(u32::MAX)))
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
        self.fit(initial, data, job, &mut on_epoch)
    }

    fn fit(
        &self,
        start: &FlatParams,
        data: &Examples,
        job: &TrainJob,
        on_epoch: &mut dyn FnMut(EpochLoss),
    ) -> Result<FlatParams, TrainError> {
        job.check(self.spec.classes())?;
        self.check_inputs(start, data)?;
        if data.is_empty() || job.epochs == 0 {
            return Ok(start.clone());
        }
        let classes = self.spec.classes();
        match self.device {
            Device::Cpu => fit::<Autodiff<Flex>>(&FlexDevice, start, data, classes, job, on_epoch),
            #[cfg(feature = "cuda")]
            Device::Cuda(index) => {
                let device = burn::backend::cuda::CudaDevice::new(index);
                fit::<Autodiff<burn::backend::Cuda>>(&device, start, data, classes, job, on_epoch)
            }
            #[cfg(not(feature = "cuda"))]
            Device::Cuda(index) => Err(DeviceError::NotCompiledIn { index }.into()),
        }
    }

    /// Logits of examples already checked, `[n, classes]` row by row.
    pub(crate) fn forward(&self, params: &FlatParams, data: &Examples) -> Result<Vec<f32>, DeviceError> {
        match self.device {
            Device::Cpu => Ok(forward::<Flex>(&FlexDevice, params, data)),
            #[cfg(feature = "cuda")]
            Device::Cuda(index) => {
                Ok(forward::<burn::backend::Cuda>(&burn::backend::cuda::CudaDevice::new(index), params, data))
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
        if let Some(example) = data.labels.iter().position(|&l| usize::from(l) >= classes) {
            return Err(InputError::Label { example, label: data.labels[example], classes });
        }
        if let Some(place) = data.features.iter().position(|v| !v.is_finite()) {
            return Err(InputError::NotFinite { example: data.example_at(place) });
        }
        Ok(())
    }
}

/// One Update per privacy unit of a site: each trains alone from θ_t, in the order given.
///
/// Each unit's order of examples has its own seed, from `job.seed` and the unit's name, so that a unit's Update does
/// not depend on which other units were drawn.
///
/// # Errors
/// As [`Trainer::train`], at the first unit that fails.
pub fn unit_updates(
    trainer: &Trainer,
    global: &FlatParams,
    job: &TrainJob,
    units: &[(String, Examples)],
) -> Result<Vec<Update>, TrainError> {
    let train = |(name, data): &(String, Examples)| {
        let digest = Sha256Writer::new(purpose::UNIT).number(job.seed).field(name.as_bytes()).finish();
        let mut seed = [0; 8];
        seed.copy_from_slice(&digest.as_bytes()[..8]);
        trainer.train(global, data, &TrainJob { seed: u64::from_le_bytes(seed), ..job.clone() })
    };
    units.iter().map(train).collect()
}

fn fit<B: AutodiffBackend>(
    device: &B::Device,
    start: &FlatParams,
    data: &Examples,
    classes: usize,
    job: &TrainJob,
    on_epoch: &mut dyn FnMut(EpochLoss),
) -> Result<FlatParams, TrainError> {
    let n = data.len();
    let batch = job.batch as usize;
    let mut draws = Draws::new(purpose::ORDER, job.seed);
    let mut order: Vec<usize> = (0..n).collect();
    let mut model = Dnn::<B>::unflatten(start, device);
    let mut sgd = match job.optimiser {
        LocalOptimiser::Sgd | LocalOptimiser::AdamW => Sgd::<B>::new(job),
    };
    for epoch in 1..=job.epochs {
        // One copy to the device an epoch; the steps take slices of it.
        draws.shuffle(&mut order);
        let (inputs, targets) = upload::<B::InnerBackend>(device, data, &order, classes);
        let mut loss = Tensor::<B::InnerBackend, 1>::zeros([1], device);
        for first in (0..n).step_by(batch) {
            let rows = first..n.min(first + batch);
            let (x, y) = (inputs.clone().slice([rows.clone()]), targets.clone().slice([rows.clone()]));
            let logits = model.forward(Tensor::from_inner(x));
            // The gradient of the mean cross-entropy with respect to the logits is (softmax − one-hot) / n. Starting
            // the backward pass from it saves taping the log-softmax, which for small models is most of the tape.
            let log_probabilities = log_softmax(logits.clone().inner(), 1);
            loss = loss - (y.clone() * log_probabilities.clone()).sum();
            let error = (log_probabilities.exp() - y) / rows.len() as f64;
            let gradients = (logits * Tensor::from_inner(error)).sum().backward();
            model = sgd.step(model, &gradients);
        }
        // Read once an epoch, since reading waits for the device. NaN and infinity stay in a sum once they are in it.
        let loss = loss.into_scalar().elem::<f64>() / n as f64;
        if !loss.is_finite() {
            return Err(TrainError::Diverged { epoch, learning_rate: job.learning_rate });
        }
        on_epoch(EpochLoss { epoch, loss });
    }
    let trained = model.flatten(start.layout());
    // The last step's parameters have not been through a loss.
    if trained.values().iter().all(|v| v.is_finite()) {
        Ok(trained)
    } else {
        Err(TrainError::Diverged { epoch: job.epochs, learning_rate: job.learning_rate })
    }
}

/// Features `[n, width]` and one-hot labels `[n, classes]`, in the order given.
///
/// One-hot rather than class indices: a gather's backward pass on a GPU adds with atomics, in no fixed order.
fn upload<B: Backend>(
    device: &B::Device,
    data: &Examples,
    order: &[usize],
    classes: usize,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let mut features = Vec::with_capacity(order.len() * data.width);
    let mut targets = vec![0f32; order.len() * classes];
    for (place, &i) in order.iter().enumerate() {
        features.extend_from_slice(data.row(i));
        targets[place * classes + usize::from(data.labels[i])] = 1.0;
    }
    let features = TensorData::new(features, [order.len(), data.width]);
    let targets = TensorData::new(targets, [order.len(), classes]);
    (Tensor::from_data(features, device), Tensor::from_data(targets, device))
}

fn forward<B: Backend>(device: &B::Device, params: &FlatParams, data: &Examples) -> Vec<f32> {
    if data.is_empty() {
        return Vec::new();
    }
    let inputs = TensorData::new(data.features.clone(), [data.len(), data.width]);
    read(Dnn::<B>::unflatten(params, device).forward(Tensor::from_data(inputs, device)))
}
