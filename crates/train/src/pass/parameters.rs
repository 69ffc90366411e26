//! θ as tensors.
use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use sottovoce_types::{FlatParams, ParamLayout};

/// θ on a device, cut into tensors only when they are used.
#[derive(Clone, Debug)]
pub(crate) struct Parameters<B: Backend> {
    /// `[d]`.
    pub(crate) flat: Tensor<B, 1>,
    pub(super) layout: Arc<ParamLayout>,
}

impl<B: Backend> Parameters<B> {
    pub(crate) fn upload(params: &FlatParams, device: &B::Device) -> Self {
        Self { flat: Tensor::from_floats(params.values(), device), layout: Arc::clone(params.layout()) }
    }

    /// The same architecture with other values.
    pub(crate) fn with(&self, flat: Tensor<B, 1>) -> Self {
        Self { flat, layout: Arc::clone(&self.layout) }
    }

    pub(crate) fn download(&self) -> FlatParams {
        FlatParams::new(Arc::clone(&self.layout), read(self.flat.clone())).expect("as many values as were uploaded")
    }

    /// The place of a tensor in the layout.
    pub(super) fn index(&self, name: &str) -> usize {
        let place = self.layout.entries().iter().position(|e| e.path == name);
        place.unwrap_or_else(|| panic!("the layout has no tensor {name}"))
    }

    pub(super) fn tensor<const D: usize>(&self, index: usize) -> Tensor<B, D> {
        let entry = &self.layout.entries()[index];
        let shape: [usize; D] = entry.shape.clone().try_into().expect("the rank of the layout");
        self.flat.clone().narrow(0, entry.offset, entry.len()).reshape(shape)
    }
}

/// The values of a tensor, row by row.
pub(crate) fn read<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().expect("the data was just converted to f32")
}
