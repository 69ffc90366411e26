//! The fully connected model, and its way to and from a flat vector.
//!
//! A flat vector keeps PyTorch's order, weights `[out, in]` row by row; burn's linear layer computes `x·W + b` with W
//! `[in, out]`. The transposition moves values and computes nothing, so the round trip is exact to the bit.
use std::sync::Arc;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use sottovoce_types::{FlatParams, ParamLayout};

/// Linear layers with ReLU between them.
#[derive(Module, Debug)]
pub(crate) struct Dnn<B: Backend> {
    layers: Vec<Linear<B>>,
}

impl<B: Backend> Dnn<B> {
    /// Builds the model from parameters in the layout of [`ModelSpec::layout`](sottovoce_types::ModelSpec::layout):
    /// weight `[out, in]` and bias `[out]` of each layer in turn.
    pub(crate) fn unflatten(params: &FlatParams, device: &B::Device) -> Self {
        let values = params.values();
        let layers = params.layout().entries().chunks_exact(2).map(|pair| {
            let (weight, bias) = (&pair[0], &pair[1]);
            let (outputs, inputs) = (weight.shape[0], weight.shape[1]);
            let weight = transposed(&values[weight.offset..weight.offset + weight.len()], outputs, inputs);
            let bias = values[bias.offset..bias.offset + bias.len()].to_vec();
            Linear {
                weight: Param::from_tensor(Tensor::from_data(TensorData::new(weight, [inputs, outputs]), device)),
                bias: Some(Param::from_tensor(Tensor::from_data(TensorData::new(bias, [outputs]), device))),
            }
        });
        Self { layers: layers.collect() }
    }

    /// Reads the parameters back, in the layout that the model was built from.
    pub(crate) fn flatten(&self, layout: &Arc<ParamLayout>) -> FlatParams {
        let mut values = Vec::with_capacity(layout.len());
        for layer in &self.layers {
            let [inputs, outputs] = layer.weight.dims();
            values.extend(transposed(&read(layer.weight.val()), inputs, outputs));
            if let Some(bias) = &layer.bias {
                values.extend(read(bias.val()));
            }
        }
        FlatParams::new(Arc::clone(layout), values).expect("a model has the parameters of the layout it was built from")
    }

    /// Logits `[n, classes]` of inputs `[n, inputs]`.
    pub(crate) fn forward(&self, inputs: Tensor<B, 2>) -> Tensor<B, 2> {
        let mut x = inputs;
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                x = relu(x);
            }
            x = layer.forward(x);
        }
        x
    }
}

/// The values of a tensor, row by row.
pub(crate) fn read<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().expect("the data was just converted to f32")
}

/// `[rows, columns]` row by row to `[columns, rows]` row by row.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::backend::flex::FlexDevice;
    use sottovoce_types::ModelSpec;

    use super::*;

    #[test]
    fn unflatten_and_flatten_give_back_the_same_bits() {
        for hidden in [vec![], vec![3], vec![16, 7]] {
            let spec = ModelSpec::Dnn { inputs: 5, hidden, classes: 4 };
            let mut params = spec.initialise(3);
            params.values_mut()[0] = -0.0;
            params.values_mut()[1] = f32::MIN_POSITIVE / 2.0;
            let model = Dnn::<Flex>::unflatten(&params, &FlexDevice);
            let back = model.flatten(params.layout());
            assert_eq!(back.digest(), params.digest());
        }
    }

    #[test]
    fn the_flat_vector_is_read_in_pytorch_order() {
        // y = W x + b with W = [[1, 2, 3], [4, 5, 6]] and b = [10, 20].
        let spec = ModelSpec::Dnn { inputs: 3, hidden: vec![], classes: 2 };
        let params = FlatParams::new(Arc::new(spec.layout()), vec![1., 2., 3., 4., 5., 6., 10., 20.]).unwrap();
        let device = FlexDevice;
        let model = Dnn::<Flex>::unflatten(&params, &device);
        let y = read(model.forward(Tensor::from_floats([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]], &device)));
        assert_eq!(y, [8.0, 18.0, 12.0, 25.0]);
    }
}
