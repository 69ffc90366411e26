//! One way through a model, and the gradient of its parameters.
//!
//! No parameter is on burn's tape. What is watched are *pre-activations*: every parameter p of these models enters as z = f(p,
//! rows), linear in p, and the gradient of p follows from `rows` and δ = ∂ℓ/∂z. One backward pass gives every δ, for all examples
//! apart, and from these come, with one matrix product each: the gradient of a batch; each example's own gradient; the norm of
//! each ("ghost norm": Goodfellow, arXiv:1510.01799; for layers over time, Li et al. 2022, Eq. 5); and the sum of clipped
//! gradients ("book-keeping": Bu et al. 2023, Algorithm 1).
use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use sottovoce_types::{FlatParams, ParamLayout};
use std::sync::Arc;

use crate::kernels::{Kernels, Recurrence, windows};

/// θ on a device, cut into tensors only when they are used.
#[derive(Clone, Debug)]
pub(crate) struct Parameters<B: Backend> {
    /// `[d]`.
    pub(crate) flat: Tensor<B, 1>,
    layout: Arc<ParamLayout>,
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
    fn index(&self, name: &str) -> usize {
        let place = self.layout.entries().iter().position(|e| e.path == name);
        place.unwrap_or_else(|| panic!("the layout has no tensor {name}"))
    }

    fn tensor<const D: usize>(&self, index: usize) -> Tensor<B, D> {
        let entry = &self.layout.entries()[index];
        let shape: [usize; D] = entry.shape.clone().try_into().expect("the rank of the layout");
        self.flat.clone().slice([entry.offset..entry.offset + entry.len()]).reshape(shape)
    }
}

/// The values of a tensor, row by row.
pub(crate) fn read<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().expect("the data was just converted to f32")
}

/// How a parameter enters a pre-activation z `[m, out]`.
#[derive(Clone, Debug)]
enum Use<B: Backend> {
    /// z += rows · Wᵀ, with W `[out, in]` and rows `[m, in]`.
    Matrix(Tensor<B, 2>),
    /// z += rows · W, with W `[in, out]`: a table of which one-hot rows pick.
    Table(Tensor<B, 2>),
    /// z += windows(rows) · W, with W `[out, in, k]`.
    Windows(Tensor<B, 2>, usize),
    /// z += b, with b `[out]`.
    Bias,
    /// z += rows ⊙ s, with s `[out]`.
    Scale(Tensor<B, 2>),
}

/// A pre-activation, and what went into it.
struct Watched<B: Kernels> {
    z: Tensor<B, 2>,
    uses: Vec<(usize, Use<B::Plain>)>,
}

/// A pre-activation of this pass, to which a use may be added.
#[derive(Clone, Copy)]
pub(crate) struct Site(usize);

/// One way through a model, and with a tape what is needed to come back.
pub(crate) struct Pass<'a, B: Kernels> {
    parameters: &'a Parameters<B::Plain>,
    watched: Vec<Watched<B>>,
}

impl<'a, B: Kernels> Pass<'a, B> {
    pub(crate) fn new(parameters: &'a Parameters<B::Plain>) -> Self {
        Self { parameters, watched: Vec::new() }
    }

    /// x · Wᵀ + b: x `[m, in]` to `[m, out]`; `name.weight` and `name.bias`.
    pub(crate) fn linear(&mut self, name: &str, x: Tensor<B, 2>) -> Tensor<B, 2> {
        self.affine(&format!("{name}.weight"), &[&format!("{name}.bias")], x).0
    }

    /// x · Wᵀ plus any number of biases; the name of each.
    pub(crate) fn affine(&mut self, weight: &str, biases: &[&str], x: Tensor<B, 2>) -> (Tensor<B, 2>, Site) {
        let weight = self.parameters.index(weight);
        let w: Tensor<B::Plain, 2> = self.parameters.tensor(weight);
        let uses = vec![(weight, Use::Matrix(B::value(&x)))];
        self.watch(x.matmul(B::constant(w.transpose())), biases, uses)
    }

    /// x · W, with W = `name` `[in, out]`: x `[m, in]` to `[m, out]`.
    pub(crate) fn table(&mut self, name: &str, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let weight = self.parameters.index(name);
        let w: Tensor<B::Plain, 2> = self.parameters.tensor(weight);
        let uses = vec![(weight, Use::Table(B::value(&x)))];
        self.watch(x.matmul(B::constant(w)), &[], uses).0
    }

    /// The convolution `name` over rows `[m, in]`, to `[m, out]` before any activation.
    pub(crate) fn convolution(&mut self, name: &str, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let weight = self.parameters.index(&format!("{name}.weight"));
        let w: Tensor<B::Plain, 3> = self.parameters.tensor(weight);
        let kernel = w.dims()[2];
        let uses = vec![(weight, Use::Windows(B::value(&x), kernel))];
        self.watch(B::convolve(x, w), &[&format!("{name}.bias")], uses).0
    }

    /// x ⊙ s + b for each row: `name.weight` and `name.bias`.
    pub(crate) fn scale(&mut self, name: &str, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let weight = self.parameters.index(&format!("{name}.weight"));
        let s: Tensor<B::Plain, 1> = self.parameters.tensor(weight);
        let uses = vec![(weight, Use::Scale(B::value(&x)))];
        self.watch(x * B::constant(s.unsqueeze()), &[&format!("{name}.bias")], uses).0
    }

    /// A weight that will act on what comes only later, such as a state on the next one.
    pub(crate) fn matrix(&self, name: &str) -> Tensor<B::Plain, 2> {
        self.parameters.tensor(self.parameters.index(name))
    }

    /// Says that rows `[m, in]` times the matrix `name` are part of the pre-activation at `site`.
    pub(crate) fn also(&mut self, site: Site, name: &str, rows: impl FnOnce() -> Tensor<B::Plain, 2>) {
        if B::TAPED {
            let index = self.parameters.index(name);
            self.watched[site.0].uses.push((index, Use::Matrix(rows())));
        }
    }

    /// z = `product` + biases. Watched through the bias: one copy of it for every row, whose gradient is δ.
    fn watch(
        &mut self,
        product: Tensor<B, 2>,
        biases: &[&str],
        mut uses: Vec<(usize, Use<B::Plain>)>,
    ) -> (Tensor<B, 2>, Site) {
        let [m, out] = product.dims();
        let biases: Vec<usize> = biases.iter().map(|name| self.parameters.index(name)).collect();
        let sum = biases.iter().map(|&b| self.parameters.tensor::<1>(b)).reduce(|a, b| a + b);
        let sum = sum.unwrap_or_else(|| Tensor::zeros([out], &product.device())).unsqueeze::<2>();
        let site = Site(self.watched.len());
        if !B::TAPED {
            return (product + B::constant(sum), site);
        }
        let bias = B::watched(sum.expand([m, out]));
        uses.extend(biases.into_iter().map(|b| (b, Use::Bias)));
        self.watched.push(Watched { z: bias.clone(), uses });
        (product + bias, site)
    }
}

/// δ of every pre-activation, for examples apart.
pub(crate) struct Backward<B: Backend> {
    examples: usize,
    layout: Arc<ParamLayout>,
    sites: Vec<(Tensor<B, 2>, Vec<(usize, Use<B>)>)>,
}

impl<I: Recurrence> Pass<'_, Autodiff<I>> {
    /// The way back, from the gradient `[n, classes]` of the loss with respect to the logits.
    pub(crate) fn backward(self, logits: Tensor<Autodiff<I>, 2>, gradient: Tensor<I, 2>) -> Backward<I> {
        let examples = logits.dims()[0];
        let gradients = (logits * Tensor::from_inner(gradient)).sum().backward();
        let delta = |w: Watched<Autodiff<I>>| {
            let delta = w.z.grad(&gradients).expect("every pre-activation takes part in the loss");
            (delta, w.uses)
        };
        Backward {
            examples,
            layout: Arc::clone(&self.parameters.layout),
            sites: self.watched.into_iter().map(delta).collect(),
        }
    }
}

impl<B: Backend> Backward<B> {
    /// Σ over the examples of the gradient of each, `[d]`.
    pub(crate) fn sum(&self) -> Tensor<B, 1> {
        self.assemble(|delta, used| match used {
            Use::Matrix(rows) => delta.clone().transpose().matmul(rows.clone()).flatten(0, 1),
            Use::Table(rows) => rows.clone().transpose().matmul(delta.clone()).flatten(0, 1),
            Use::Windows(rows, k) => {
                let [out, c] = [delta.dims()[1], rows.dims()[1]];
                let product = delta.clone().transpose().matmul(windows(rows.clone(), *k));
                product.reshape([out, *k, c]).permute([0, 2, 1]).flatten(0, 2)
            }
            Use::Bias => delta.clone().sum_dim(0).flatten(0, 1),
            Use::Scale(rows) => (delta.clone() * rows.clone()).sum_dim(0).flatten(0, 1),
        })
    }

    /// The gradient of each example, `[n, d]`.
    pub(crate) fn each(&self) -> Tensor<B, 2> {
        let mut parts = vec![None; self.layout.entries().len()];
        for (delta, uses) in &self.sites {
            for (index, used) in uses {
                parts[*index] = Some(self.one_by_one(delta, used));
            }
        }
        Tensor::cat(parts.into_iter().map(|p| p.expect("every parameter is used")).collect(), 1)
    }

    /// The L2 norm of each example's gradient, `[n]`, without making the gradients where that costs more than the norms.
    pub(crate) fn norms(&self) -> Tensor<B, 1> {
        let n = self.examples;
        let squares = self.sites.iter().flat_map(|(delta, uses)| uses.iter().map(move |(_, used)| (delta, used)));
        let squares = squares.map(|(delta, used)| self.squared_norms(delta, used));
        let sum = squares.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::zeros([n], &B::Device::default()));
        sum.sqrt()
    }

    /// Σ over the examples of min(1, `clip` / ‖g_i‖)·g_i, `[d]`: the norms first, then one matrix product for each tensor.
    pub(crate) fn clipped_sum(&self, clip: f32) -> Tensor<B, 1> {
        let n = self.examples;
        // 1 / max(1, ‖g‖ / clip): no division by a norm of 0.
        let factors = (self.norms() / clip).clamp_min(1.0).recip();
        let sites = self.sites.iter().map(|(delta, uses)| {
            let [m, out] = delta.dims();
            let scaled = delta.clone().reshape([n, m / n * out]) * factors.clone().reshape([n, 1]);
            (scaled.reshape([m, out]), uses.clone())
        });
        Self { examples: n, layout: Arc::clone(&self.layout), sites: sites.collect() }.sum()
    }

    fn assemble(&self, gradient: impl Fn(&Tensor<B, 2>, &Use<B>) -> Tensor<B, 1>) -> Tensor<B, 1> {
        let mut parts = vec![None; self.layout.entries().len()];
        for (delta, uses) in &self.sites {
            for (index, used) in uses {
                let before = parts[*index].replace(gradient(delta, used));
                assert!(before.is_none(), "a parameter enters once: its gradient would be the sum over its uses");
            }
        }
        Tensor::cat(parts.into_iter().map(|p| p.expect("every parameter is used")).collect(), 0)
    }

    /// `[m, width]` to `[n, m / n, width]`.
    fn by_example(&self, rows: Tensor<B, 2>) -> Tensor<B, 3> {
        let [m, width] = rows.dims();
        rows.reshape([self.examples, m / self.examples, width])
    }

    /// One tensor's gradient for each example, `[n, length]`.
    fn one_by_one(&self, delta: &Tensor<B, 2>, used: &Use<B>) -> Tensor<B, 2> {
        let n = self.examples;
        let delta3 = self.by_example(delta.clone());
        match used {
            Use::Matrix(rows) => delta3.transpose().matmul(self.by_example(rows.clone())).flatten(1, 2),
            Use::Table(rows) => self.by_example(rows.clone()).transpose().matmul(delta3).flatten(1, 2),
            Use::Windows(rows, k) => {
                let [out, c] = [delta.dims()[1], rows.dims()[1]];
                let product = delta3.transpose().matmul(self.by_example(windows(rows.clone(), *k)));
                product.reshape([n, out, *k, c]).permute([0, 1, 3, 2]).flatten(1, 3)
            }
            Use::Bias => delta3.sum_dim(1).flatten(1, 2),
            Use::Scale(rows) => (delta3 * self.by_example(rows.clone())).sum_dim(1).flatten(1, 2),
        }
    }

    /// One tensor's part of each squared norm, `[n]`: ‖Σ_t δ_t a_tᵀ‖² = Σ_st (δ_s·δ_t)(a_s·a_t), which for one row is ‖δ‖²·‖a‖².
    fn squared_norms(&self, delta: &Tensor<B, 2>, used: &Use<B>) -> Tensor<B, 1> {
        let (n, [m, out]) = (self.examples, delta.dims());
        let t = m / n;
        if let Use::Matrix(rows) | Use::Table(rows) = used {
            let inputs = rows.dims()[1];
            if t * (out + inputs + 1) < out * inputs {
                let gram = |x: &Tensor<B, 2>| {
                    let x = self.by_example(x.clone());
                    x.clone().matmul(x.transpose())
                };
                return (gram(delta) * gram(rows)).reshape([n, t * t]).sum_dim(1).flatten(0, 1);
            }
        }
        let own = self.one_by_one(delta, used);
        (own.clone() * own).sum_dim(1).flatten(0, 1)
    }
}
