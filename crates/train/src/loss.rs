//! Cross-entropy with class weights and label smoothing, by PyTorch's definition.
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use sottovoce_types::{ClassWeights, Examples};

/// What an example of each class is worth, and how its target is spread.
///
/// ℓ_i = −Σ_k y_ik·log p_ik with y_ik = w_k·((1 − s)·\[k = y_i\] + s/K); the loss of a batch is Σ ℓ_i / Σ w_{y_i}
/// (`torch.nn.CrossEntropyLoss(weight=w, label_smoothing=s)`).
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    weights: Vec<f64>,
    smoothing: f64,
}

impl Loss {
    /// `data` is what the weights are balanced over.
    pub(crate) fn new(weights: &ClassWeights, smoothing: f64, data: &Examples, classes: usize) -> Self {
        Self::of_labels(weights, smoothing, data.labels.iter().copied(), classes)
    }

    /// `labels` are what the weights are balanced over.
    pub(crate) fn of_labels(
        weights: &ClassWeights,
        smoothing: f64,
        labels: impl ExactSizeIterator<Item = u16>,
        classes: usize,
    ) -> Self {
        let weights = match weights {
            ClassWeights::None => vec![1.0; classes],
            ClassWeights::Given(weights) => weights.clone(),
            ClassWeights::Balanced => {
                let mut counts = vec![0u32; classes];
                let even = labels.len() as f64 / classes as f64;
                labels.for_each(|y| counts[usize::from(y)] += 1);
                counts.iter().map(|&c| if c == 0 { 0.0 } else { even / f64::from(c) }).collect()
            }
        };
        Self { weights, smoothing }
    }

    /// Σ w_{y_i} of some examples.
    pub(crate) fn weight(&self, data: &Examples, indices: &[usize]) -> f64 {
        indices.iter().map(|&i| self.weights[usize::from(data.labels[i])]).sum()
    }

    /// y of an example of each class, `[classes, classes]`.
    pub(crate) fn by_label(&self) -> Vec<Vec<f32>> {
        let classes = self.weights.len();
        let spread = self.smoothing / classes as f64;
        let row = |label| {
            let own = move |k| if k == label { 1.0 - self.smoothing } else { 0.0 };
            self.weights.iter().enumerate().map(|(k, w)| (w * (own(k) + spread)) as f32).collect()
        };
        (0..classes).map(row).collect()
    }

    /// y, `[n, classes]`.
    ///
    /// A matrix rather than class indices: a gather's backward pass on a GPU adds with atomics, in no fixed order.
    pub(crate) fn targets<B: Backend>(&self, data: &Examples, indices: &[usize], device: &B::Device) -> Tensor<B, 2> {
        let classes = self.weights.len();
        let rows = self.by_label();
        let values: Vec<f32> =
            indices.iter().flat_map(|&i| rows[usize::from(data.labels[i])].iter().copied()).collect();
        Tensor::from_data(TensorData::new(values, [indices.len(), classes]), device)
    }
}

/// Σ ℓ_i `[1]` of logits `[n, classes]`, and its gradient with respect to them: ∂ℓ_i/∂z = (Σ_k y_ik)·p_i − y_i.
pub(crate) fn cross_entropy<B: Backend>(logits: Tensor<B, 2>, targets: Tensor<B, 2>) -> (Tensor<B, 1>, Tensor<B, 2>) {
    let log_probabilities = log_softmax(logits, 1);
    let loss = (targets.clone() * log_probabilities.clone()).sum().neg();
    let gradient = log_probabilities.exp() * targets.clone().sum_dim(1) - targets;
    (loss, gradient)
}
