//! The way through a fully connected model and back, in buffers that are kept.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the wider registers")]
use pulp::{Arch, NullaryFnOnce};
use sottovoce_types::Examples;

use super::product::{LANES, Matrix, product};

/// Examples of one pass without training, or of one pass of clipped gradients.
const CHUNK: usize = 64;

/// One layer's place: weights `[inputs, padded]`, the transpose of the flat vector's and padded with zeros, then `[padded]` biases.
#[derive(Clone, Copy, Debug)]
struct Layer {
    inputs: usize,
    outputs: usize,
    padded: usize,
    at: usize,
}

impl Layer {
    fn bias(&self) -> usize {
        self.at + self.inputs * self.padded
    }

    fn end(&self) -> usize {
        self.bias() + self.padded
    }
}

/// A model's parameters, their gradient, and the memory of a pass.
#[derive(Clone, Debug)]
pub(super) struct Passes {
    layers: Vec<Layer>,
    /// Parameters of the flat vector.
    flat: usize,
    params: Vec<f32>,
    gradient: Vec<f32>,
    /// What goes into each layer, `[batch, width]`: the features, then `[batch, padded]` of each hidden layer.
    inputs: Vec<Vec<f32>>,
    logits: Vec<f32>,
    /// δ of the layer at hand and of the one before.
    delta: Vec<f32>,
    before: Vec<f32>,
    transposed: Vec<f32>,
}

impl Passes {
    /// Of a model with these widths: features, hidden layers, classes.
    pub(super) fn new(widths: &[usize]) -> Self {
        let (mut layers, mut at, mut flat) = (Vec::<Layer>::new(), 0, 0);
        for pair in widths.windows(2) {
            let padded = pair[1].next_multiple_of(LANES);
            let layer = Layer { inputs: pair[0], outputs: pair[1], padded, at };
            at = layer.end();
            flat += pair[0] * pair[1] + pair[1];
            layers.push(layer);
        }
        let inputs = vec![Vec::new(); layers.len()];
        Self {
            layers,
            flat,
            params: vec![0.0; at],
            gradient: vec![0.0; at],
            inputs,
            logits: Vec::new(),
            delta: Vec::new(),
            before: Vec::new(),
            transposed: Vec::new(),
        }
    }

    /// Takes parameters of the flat vector, `[d]`; `None` when they are as many as another model's.
    pub(super) fn load(&mut self, flat: &[f32]) -> Option<()> {
        if flat.len() != self.flat {
            return None;
        }
        self.params.fill(0.0);
        let mut from = 0;
        for l in &self.layers {
            for o in 0..l.outputs {
                for i in 0..l.inputs {
                    self.params[l.at + i * l.padded + o] = flat[from + o * l.inputs + i];
                }
            }
            from += l.inputs * l.outputs;
            self.params[l.bias()..][..l.outputs].copy_from_slice(&flat[from..][..l.outputs]);
            from += l.outputs;
        }
        Some(())
    }

    /// The parameters as the flat vector, `[d]`.
    pub(super) fn unload(&self) -> Vec<f32> {
        self.flat_of(&self.params)
    }

    fn flat_of(&self, padded: &[f32]) -> Vec<f32> {
        let mut flat = Vec::with_capacity(self.flat);
        for l in &self.layers {
            for o in 0..l.outputs {
                flat.extend((0..l.inputs).map(|i| padded[l.at + i * l.padded + o]));
            }
            flat.extend_from_slice(&padded[l.bias()..][..l.outputs]);
        }
        flat
    }

    /// The parameters in this module's layout.
    pub(super) fn params(&self) -> &[f32] {
        &self.params
    }

    /// Both in this module's layout. Padding is zero in either, and stays so under every optimiser.
    pub(super) fn params_and_gradient(&mut self) -> (&mut [f32], &mut [f32]) {
        (&mut self.params, &mut self.gradient)
    }

    /// Σ ℓ_i over some examples; the gradient of that sum is kept. `targets[label]` is y of [`crate::loss::Loss`].
    pub(super) fn gradient(&mut self, data: &Examples, batch: &[usize], targets: &[Vec<f32>]) -> f64 {
        Arch::new().dispatch(There { passes: self, data, batch });
        let loss = self.losses(data, batch, targets);
        Arch::new().dispatch(Back { passes: self, n: batch.len(), clip: None });
        loss
    }

    /// Σ of clipped gradients, `[d]`.
    pub(super) fn clipped_gradient(
        &mut self,
        data: &Examples,
        members: &[usize],
        targets: &[Vec<f32>],
        clip: f32,
    ) -> Vec<f32> {
        let mut sum = vec![0.0; self.params.len()];
        for batch in members.chunks(CHUNK) {
            Arch::new().dispatch(There { passes: self, data, batch });
            self.losses(data, batch, targets);
            Arch::new().dispatch(Back { passes: self, n: batch.len(), clip: Some(clip) });
            sum.iter_mut().zip(&self.gradient).for_each(|(s, g)| *s += g);
        }
        self.flat_of(&sum)
    }

    /// Logits of all examples, `[n, classes]`.
    pub(super) fn logits(&mut self, data: &Examples) -> Vec<f32> {
        let all: Vec<usize> = (0..data.len()).collect();
        let last = *self.layers.last().expect("a model has a layer");
        let mut out = Vec::with_capacity(data.len() * last.outputs);
        for batch in all.chunks(CHUNK) {
            Arch::new().dispatch(There { passes: self, data, batch });
            for row in self.logits.chunks_exact(last.padded).take(batch.len()) {
                out.extend_from_slice(&row[..last.outputs]);
            }
        }
        out
    }

    /// Σ ℓ_i, and its gradient with respect to the logits: (Σ_k y_ik)·p_i − y_i.
    fn losses(&mut self, data: &Examples, batch: &[usize], targets: &[Vec<f32>]) -> f64 {
        let last = self.layers.last().expect("a model has a layer");
        self.delta.clear();
        self.delta.resize(batch.len() * last.padded, 0.0);
        let mut total = 0.0;
        for ((&i, z), delta) in
            batch.iter().zip(self.logits.chunks_exact(last.padded)).zip(self.delta.chunks_exact_mut(last.padded))
        {
            let (z, target) = (&z[..last.outputs], &targets[usize::from(data.labels[i])]);
            let top = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = z.iter().map(|z| (z - top).exp()).sum();
            let (ln, weight) = (sum.ln(), target.iter().sum::<f32>());
            for ((delta, z), y) in delta.iter_mut().zip(z).zip(target) {
                let log_probability = z - top - ln;
                total -= f64::from(y * log_probability);
                *delta = weight * log_probability.exp() - y;
            }
        }
        total
    }
}

/// From features to logits.
struct There<'a> {
    passes: &'a mut Passes,
    data: &'a Examples,
    batch: &'a [usize],
}

impl NullaryFnOnce for There<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { passes, data, batch } = self;
        let n = batch.len();
        let features = &mut passes.inputs[0];
        features.clear();
        for &i in batch {
            features.extend_from_slice(data.row(i));
        }
        for (place, l) in passes.layers.iter().enumerate() {
            let (done, rest) = passes.inputs.split_at_mut(place + 1);
            let (from, last) = (&done[place], rest.is_empty());
            let to = rest.first_mut().unwrap_or(&mut passes.logits);
            to.clear();
            to.resize(n * l.padded, 0.0);
            let row = from.len() / n;
            let weights = &passes.params[l.at..l.bias()];
            product(to, Matrix { values: from, row, column: 1 }, weights, [n, l.padded, l.inputs]);
            let bias = &passes.params[l.bias()..l.end()];
            for z in to.chunks_exact_mut(l.padded) {
                for (z, b) in z.iter_mut().zip(bias) {
                    *z += b;
                    // NaN stays what it is: a model that diverged must not look well.
                    if !last && *z < 0.0 {
                        *z = 0.0;
                    }
                }
            }
        }
    }
}

/// From δ of the logits to the gradient; with `clip`, each example's δ is first scaled so that its gradient has at most that norm.
struct Back<'a> {
    passes: &'a mut Passes,
    n: usize,
    clip: Option<f32>,
}

impl NullaryFnOnce for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { passes, n, clip } = self;
        if let Some(clip) = clip {
            // δ of a layer is linear in that of the logits, example by example: scaling the latter scales the gradient.
            let logits = passes.delta.clone();
            let norms = back(passes, n, true);
            passes.delta.clone_from(&logits);
            let width = passes.delta.len() / n;
            for (delta, square) in passes.delta.chunks_exact_mut(width).zip(norms) {
                let factor = 1.0 / (square.sqrt() / clip).max(1.0);
                for d in delta.iter_mut() {
                    *d *= factor;
                }
            }
        }
        back(passes, n, false);
    }
}

/// The gradient, or (`norms`) the squared norm of each example's own.
#[inline(always)]
fn back(passes: &mut Passes, n: usize, norms: bool) -> Vec<f32> {
    let mut squares = vec![0.0; if norms { n } else { 0 }];
    for (place, l) in passes.layers.iter().enumerate().rev() {
        let inputs = &passes.inputs[place];
        let row = inputs.len() / n;
        if norms {
            for ((s, x), d) in squares.iter_mut().zip(inputs.chunks_exact(row)).zip(passes.delta.chunks_exact(l.padded))
            {
                let square = |v: &[f32]| v.iter().map(|v| v * v).sum::<f32>();
                *s += square(d) * (square(x) + 1.0);
            }
        } else {
            let (weights, bias) = passes.gradient[l.at..l.end()].split_at_mut(l.inputs * l.padded);
            let across = Matrix { values: inputs, row: 1, column: row };
            product(weights, across, &passes.delta, [l.inputs, l.padded, n]);
            bias.fill(0.0);
            for delta in passes.delta.chunks_exact(l.padded) {
                bias.iter_mut().zip(delta).for_each(|(b, d)| *b += d);
            }
        }
        if place == 0 {
            break;
        }
        // δ of the layer before: δ · W, where its ReLU let something through.
        let width = row;
        passes.transposed.clear();
        passes.transposed.resize(l.padded * width, 0.0);
        for i in 0..l.inputs {
            for o in 0..l.outputs {
                passes.transposed[o * width + i] = passes.params[l.at + i * l.padded + o];
            }
        }
        passes.before.clear();
        passes.before.resize(n * width, 0.0);
        let delta = Matrix { values: &passes.delta, row: l.padded, column: 1 };
        product(&mut passes.before, delta, &passes.transposed, [n, width, l.outputs]);
        for (d, x) in passes.before.iter_mut().zip(inputs) {
            if *x <= 0.0 {
                *d = 0.0;
            }
        }
        std::mem::swap(&mut passes.delta, &mut passes.before);
    }
    squares
}
