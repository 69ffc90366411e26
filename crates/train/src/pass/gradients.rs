//! The gradient of the parameters from δ of every pre-activation: of a batch, of each example, their norms, and clipped.
use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use sottovoce_types::ParamLayout;

use crate::kernels::windows;

/// How a parameter enters a pre-activation z `[m, out]`.
#[derive(Clone, Debug)]
pub(super) enum Use<B: Backend> {
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

/// δ of one pre-activation, and what went into it.
pub(super) type Differentiated<B> = (Tensor<B, 2>, Vec<(usize, Use<B>)>);

/// δ of every pre-activation, for examples apart.
pub(crate) struct Backward<B: Backend> {
    pub(super) examples: usize,
    pub(super) layout: Arc<ParamLayout>,
    pub(super) sites: Vec<Differentiated<B>>,
    /// The gradient of the model's inputs, `[m, width]`, where it was asked for.
    pub(crate) input: Option<Tensor<B, 2>>,
}

impl<B: Backend> Backward<B> {
    /// Σ over the examples of the gradient of each, `[d]`.
    pub(crate) fn sum(&self) -> Tensor<B, 1> {
        let mut parts = vec![None; self.layout.entries().len()];
        let mut put = |index: usize, gradient: Tensor<B, 1>| {
            let before = parts[index].replace(gradient);
            assert!(before.is_none(), "a parameter enters once: its gradient would be the sum over its uses");
        };
        for (delta, uses) in &self.sites {
            let mut bias = None;
            let mut matrices = Vec::new();
            for (index, used) in uses {
                match used {
                    Use::Matrix(rows) => matrices.push((*index, rows.clone())),
                    Use::Table(rows) => put(*index, rows.clone().transpose().matmul(delta.clone()).flatten(0, 1)),
                    Use::Windows(rows, k) => {
                        let [out, c] = [delta.dims()[1], rows.dims()[1]];
                        let product = delta.clone().transpose().matmul(windows(rows.clone(), *k));
                        put(*index, product.reshape([out, *k, c]).permute([0, 2, 1]).flatten(0, 2));
                    }
                    Use::Bias => {
                        let sum = bias.get_or_insert_with(|| delta.clone().sum_dim(0).flatten(0, 1));
                        put(*index, sum.clone());
                    }
                    Use::Scale(rows) => put(*index, (delta.clone() * rows.clone()).sum_dim(0).flatten(0, 1)),
                }
            }
            for (index, gradient) in products(delta, matrices) {
                put(index, gradient);
            }
        }
        Tensor::cat(parts.into_iter().map(|p| p.expect("every parameter is used")).collect(), 0)
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
        Self { examples: n, layout: Arc::clone(&self.layout), sites: sites.collect(), input: None }.sum()
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

/// δᵀ · rows of each matrix at one site, `[out · in]`, in one product: an LSTM's inputs are few, and a narrow product by itself is slow.
fn products<B: Backend>(delta: &Tensor<B, 2>, matrices: Vec<(usize, Tensor<B, 2>)>) -> Vec<(usize, Tensor<B, 1>)> {
    let transposed = delta.clone().transpose();
    let out = delta.dims()[1];
    let (indices, rows): (Vec<usize>, Vec<Tensor<B, 2>>) = matrices.into_iter().unzip();
    match rows.len() {
        0 => Vec::new(),
        1 => rows.into_iter().map(|r| (indices[0], transposed.clone().matmul(r).flatten(0, 1))).collect(),
        _ => {
            let widths: Vec<usize> = rows.iter().map(|r| r.dims()[1]).collect();
            let all = transposed.matmul(Tensor::cat(rows, 1));
            let starts = widths.iter().scan(0, |end, w| {
                *end += w;
                Some(*end - w)
            });
            let cut = |(start, width): (usize, &usize)| all.clone().slice([0..out, start..start + width]).flatten(0, 1);
            indices.into_iter().zip(starts.zip(&widths).map(cut)).collect()
        }
    }
}
