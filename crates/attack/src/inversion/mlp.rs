//! The fully connected model in f64 with one derivative more than training needs: of the gradient, along a direction.
//!
//! The inputs that give a gradient are found by descent, which asks for ∂/∂X of ⟨v, ∂ℓ/∂θ⟩. That is the derivative of ∂ℓ/∂X along v,
//! and Pearlmutter's R-operator (1994, "Fast exact multiplication by the Hessian", §3) gives it in one more pass there and back,
//! exactly where no unit is at its kink. Training itself (`sottovoce-train`) has first derivatives only.
use sottovoce_types::ModelSpec;

use crate::linear::dot;

/// Widths of the layers, inputs first; θ is laid out as [`ModelSpec::layout`] says: weight `[out, in]`, then bias, a layer at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mlp {
    widths: Vec<usize>,
}

/// Derivatives of the mean cross-entropy of a batch.
pub(super) struct Derivatives {
    /// By θ, `[d]`.
    pub(super) theta: Vec<f64>,
    /// By X, `[n, inputs]`.
    pub(super) x: Vec<f64>,
}

/// One layer's rows on the way there, and their derivative along the direction.
struct Activations {
    rows: Vec<f64>,
    along: Vec<f64>,
}

impl Mlp {
    pub(super) fn of(spec: &ModelSpec) -> Option<Self> {
        let ModelSpec::Dnn { inputs, hidden, classes } = spec else { return None };
        let widths = std::iter::once(inputs).chain(hidden).chain([classes]).copied().collect();
        Some(Self { widths })
    }

    fn inputs(&self) -> usize {
        self.widths[0]
    }

    fn layers(&self) -> usize {
        self.widths.len() - 1
    }

    /// Where layer `i` begins in θ.
    fn offset(&self, i: usize) -> usize {
        self.widths.windows(2).take(i).map(|w| (w[0] + 1) * w[1]).sum()
    }

    fn parameters(&self) -> usize {
        self.offset(self.layers())
    }

    /// The derivatives at (θ, X), and their derivatives when θ moves along `v`; targets `[n, classes]` add to 1 a row.
    pub(super) fn along(&self, theta: &[f64], v: &[f64], x: &[f64], targets: &[f64]) -> (Derivatives, Derivatives) {
        let n = x.len() / self.inputs();
        let mut there = vec![Activations { rows: x.to_vec(), along: vec![0.0; x.len()] }];
        for i in 0..self.layers() {
            let last = there.last().expect("the inputs at least");
            let mut next = self.affine(i, theta, v, last, n);
            if i + 1 < self.layers() {
                for (row, along) in next.rows.iter_mut().zip(&mut next.along) {
                    if *row <= 0.0 {
                        (*row, *along) = (0.0, 0.0);
                    }
                }
            }
            there.push(next);
        }
        let classes = self.widths[self.layers()];
        let logits = there.pop().expect("the last layer");
        let (mut delta, mut along) = (vec![0.0; n * classes], vec![0.0; n * classes]);
        for r in 0..n {
            let at = r * classes..(r + 1) * classes;
            let p = softmax(&logits.rows[at.clone()]);
            let mean: f64 = p.iter().zip(&logits.along[at.clone()]).map(|(p, z)| p * z).sum();
            for (k, place) in at.enumerate() {
                delta[place] = (p[k] - targets[place]) / n as f64;
                along[place] = p[k] * (logits.along[place] - mean) / n as f64;
            }
        }
        let (mut theta_1, mut theta_2) = (vec![0.0; self.parameters()], vec![0.0; self.parameters()]);
        for i in (0..self.layers()).rev() {
            self.outer(i, &delta, &there[i].rows, &mut theta_1);
            self.outer(i, &along, &there[i].rows, &mut theta_2);
            self.outer_weight(i, &delta, &there[i].along, &mut theta_2);
            let mut down = self.transposed(i, theta, &delta, n);
            let mut down_along = self.transposed(i, theta, &along, n);
            for (sum, more) in down_along.iter_mut().zip(self.transposed(i, v, &delta, n)) {
                *sum += more;
            }
            if i > 0 {
                for ((a, b), row) in down.iter_mut().zip(&mut down_along).zip(&there[i].rows) {
                    if *row <= 0.0 {
                        (*a, *b) = (0.0, 0.0);
                    }
                }
            }
            (delta, along) = (down, down_along);
        }
        (Derivatives { theta: theta_1, x: delta }, Derivatives { theta: theta_2, x: along })
    }

    /// The derivatives at (θ, X) alone.
    pub(super) fn derivatives(&self, theta: &[f64], x: &[f64], targets: &[f64]) -> Derivatives {
        self.along(theta, &vec![0.0; theta.len()], x, targets).0
    }

    /// z = a·Wᵀ + b, and along v.
    fn affine(&self, i: usize, theta: &[f64], v: &[f64], a: &Activations, n: usize) -> Activations {
        let (fan_in, out, at) = (self.widths[i], self.widths[i + 1], self.offset(i));
        let mut z = Activations { rows: vec![0.0; n * out], along: vec![0.0; n * out] };
        for r in 0..n {
            let (rows, along) = (&a.rows[r * fan_in..][..fan_in], &a.along[r * fan_in..][..fan_in]);
            for o in 0..out {
                let (w, dw) = (&theta[at + o * fan_in..][..fan_in], &v[at + o * fan_in..][..fan_in]);
                z.rows[r * out + o] = dot(w, rows) + theta[at + fan_in * out + o];
                z.along[r * out + o] = dot(dw, rows) + dot(w, along) + v[at + fan_in * out + o];
            }
        }
        z
    }

    /// Adds δᵀ·rows to the layer's weight, and Σ δ to its bias.
    fn outer(&self, i: usize, delta: &[f64], rows: &[f64], into: &mut [f64]) {
        self.outer_weight(i, delta, rows, into);
        let (fan_in, out, at) = (self.widths[i], self.widths[i + 1], self.offset(i));
        for of_row in delta.chunks_exact(out) {
            for (b, d) in into[at + fan_in * out..][..out].iter_mut().zip(of_row) {
                *b += d;
            }
        }
    }

    fn outer_weight(&self, i: usize, delta: &[f64], rows: &[f64], into: &mut [f64]) {
        let (fan_in, out, at) = (self.widths[i], self.widths[i + 1], self.offset(i));
        for (of_row, row) in delta.chunks_exact(out).zip(rows.chunks_exact(fan_in)) {
            for (o, d) in of_row.iter().enumerate() {
                for (w, a) in into[at + o * fan_in..][..fan_in].iter_mut().zip(row) {
                    *w += d * a;
                }
            }
        }
    }

    /// δ·W.
    fn transposed(&self, i: usize, theta: &[f64], delta: &[f64], n: usize) -> Vec<f64> {
        let (fan_in, out, at) = (self.widths[i], self.widths[i + 1], self.offset(i));
        let mut down = vec![0.0; n * fan_in];
        for (of_row, row) in delta.chunks_exact(out).zip(down.chunks_exact_mut(fan_in)) {
            for (o, d) in of_row.iter().enumerate() {
                for (sum, w) in row.iter_mut().zip(&theta[at + o * fan_in..][..fan_in]) {
                    *sum += d * w;
                }
            }
        }
        down
    }
}

fn softmax(z: &[f64]) -> Vec<f64> {
    let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = z.iter().map(|z| (z - top).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.iter().map(|e| e / sum).collect()
}

#[cfg(test)]
mod tests {
    use sottovoce_train::{Device, Trainer};
    use sottovoce_types::{ExampleMeta, Examples, TrainJob};

    use super::*;
    use crate::linear::norm;

    fn wave(n: usize, by: f64) -> Vec<f64> {
        (0..n).map(|i| (i as f64 * by + 0.3).sin()).collect()
    }

    #[test]
    fn first_derivatives_are_those_of_training_and_second_ones_their_differences() {
        let spec = ModelSpec::Dnn { inputs: 5, hidden: vec![7, 4], classes: 3 };
        let mlp = Mlp::of(&spec).unwrap();
        let params = spec.initialise(2);
        let theta: Vec<f64> = params.values().iter().map(|&v| f64::from(v)).collect();
        let x = wave(10, 0.9);
        let targets = [0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let mut data = Examples::empty(5);
        for (row, label) in x.chunks(5).zip([1, 2]) {
            let row: Vec<f32> = row.iter().map(|&v| v as f32).collect();
            data.push(&row, label, ExampleMeta::default());
        }
        let own = mlp.derivatives(&theta, &x, &targets);
        let trainer = Trainer::new(spec, Device::Cpu).unwrap();
        let job = TrainJob::default();
        let theirs = trainer.clipped_gradient(&params, &data, &job, f32::INFINITY).unwrap().sum;
        assert!(own.theta.iter().zip(&theirs).all(|(a, b)| (a - f64::from(*b) / 2.0).abs() < 1e-6));
        let theirs = trainer.input_gradient(&params, &data, &job).unwrap();
        assert!(own.x.iter().zip(&theirs).all(|(a, b)| (a - f64::from(*b)).abs() < 1e-6));

        let v = wave(theta.len(), 1.7);
        let (_, second) = mlp.along(&theta, &v, &x, &targets);
        let moved = |by: f64| {
            let theta: Vec<f64> = theta.iter().zip(&v).map(|(t, v)| t + by * v).collect();
            mlp.derivatives(&theta, &x, &targets)
        };
        let (after, before) = (moved(1e-6), moved(-1e-6));
        let differs = |a: &[f64], b: &[f64], along: &[f64]| {
            a.iter().zip(b).zip(along).map(|((a, b), s)| ((a - b) / 2e-6 - s).abs()).fold(0.0, f64::max)
        };
        assert!(differs(&after.theta, &before.theta, &second.theta) < 1e-6);
        assert!(differs(&after.x, &before.x, &second.x) < 1e-6);
        assert!(norm(&second.x) > 1e-3 && norm(&second.theta) > 1e-3);
    }
}
