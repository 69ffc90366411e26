//! One way through a model and back, and the gradient of its parameters.
//!
//! Every layer enters a step with its own way back; [`Pass::backward`] goes through them in reverse. No parameter is among what is
//! differentiated. What is kept are *pre-activations*: every parameter p of these models enters as z = f(p, rows), linear in p, and
//! the gradient of p follows from `rows` and δ = ∂ℓ/∂z. One way back gives every δ, for all examples apart, and from these come,
//! with one matrix product each: the gradient of a batch; each example's own gradient; the norm of each ("ghost norm": Goodfellow,
//! arXiv:1510.01799; for layers over time, Li et al. 2022, Eq. 5); and the sum of clipped gradients ("book-keeping": Bu et al.
//! 2023, Algorithm 1).
//!
//! Why not burn's tape: it holds the graphs of all threads behind one lock, and its clean-up of one thread's graph can take another's
//! steps away, while a site trains its speakers on all cores at once. And a step that is one fused layer is cheaper than ten small
//! ones.
mod gradients;
mod parameters;

use std::sync::Arc;

use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorPrimitive};

pub(crate) use self::gradients::Backward;
use self::gradients::Use;
pub(crate) use self::parameters::{Parameters, read};
use crate::kernels::{convolve, input_gradient};

/// A value between layers, `[m, width]`.
#[derive(Clone, Debug)]
pub(crate) struct Value<B: Backend> {
    pub(crate) tensor: Tensor<B, 2>,
    place: Place,
}

/// Where a value's gradient is collected; `None` where nobody asks for it, as for a model's inputs.
pub(crate) type Place = Option<usize>;

impl<B: Backend> Value<B> {
    /// A value that no gradient is asked for.
    pub(crate) fn constant(tensor: Tensor<B, 2>) -> Self {
        Self { tensor, place: None }
    }

    /// Where its gradient is collected.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// `[m, width]`.
    pub(crate) fn dims(&self) -> [usize; 2] {
        self.tensor.dims()
    }
}

/// A pre-activation of this pass, to which a use may be added.
#[derive(Clone, Copy)]
pub(crate) struct Site(usize);

/// A step's way back: from the gradient of its result to those of what it was made of.
type WayBack<B> = Box<dyn FnOnce(Tensor<B, 2>, &mut Gradients<B>)>;

/// What has been collected on the way back.
struct Gradients<B: Backend> {
    /// By [`Value::place`].
    values: Vec<Option<Tensor<B, 2>>>,
    /// δ, by [`Site`].
    deltas: Vec<Option<Tensor<B, 2>>>,
}

impl<B: Backend> Gradients<B> {
    fn add(&mut self, place: usize, gradient: Tensor<B, 2>) {
        let slot = &mut self.values[place];
        *slot = Some(match slot.take() {
            Some(before) => before + gradient,
            None => gradient,
        });
    }
}

/// Which parameters a layer has.
struct Layer<'a, B: Backend> {
    weight: usize,
    used: Use<B>,
    biases: &'a [&'a str],
}

/// One way through a model, and where asked for what is needed to come back.
pub(crate) struct Pass<'a, B: Backend> {
    parameters: &'a Parameters<B>,
    returns: bool,
    /// Whether the way back goes on to the model's inputs.
    to_inputs: bool,
    /// Where their gradient is collected, once they have been entered.
    input: Place,
    /// One for each [`Value::place`], in the order of the way there.
    steps: Vec<WayBack<B>>,
    uses: Vec<Vec<(usize, Use<B>)>>,
}

impl<'a, B: Backend> Pass<'a, B> {
    /// A pass that only goes there.
    pub(crate) fn inference(parameters: &'a Parameters<B>) -> Self {
        Self { parameters, returns: false, to_inputs: false, input: None, steps: Vec::new(), uses: Vec::new() }
    }

    /// A pass that [`Self::backward`] comes back from.
    pub(crate) fn training(parameters: &'a Parameters<B>) -> Self {
        Self { returns: true, ..Self::inference(parameters) }
    }

    /// A pass whose way back ends at the model's inputs.
    pub(crate) fn to_inputs(parameters: &'a Parameters<B>) -> Self {
        Self { to_inputs: true, ..Self::training(parameters) }
    }

    /// What a model begins from, `[m, width]`. A model may begin from it twice.
    pub(crate) fn input(&mut self, rows: Tensor<B, 2>) -> Value<B> {
        if !self.to_inputs {
            return Value::constant(rows);
        }
        if self.input.is_none() {
            self.input = self.enter(rows.clone(), |_, _| ()).place;
        }
        Value { tensor: rows, place: self.input }
    }

    /// x · Wᵀ + b: x `[m, in]` to `[m, out]`; `name.weight` and `name.bias`.
    pub(crate) fn linear(&mut self, name: &str, x: &Value<B>) -> Value<B> {
        self.affine(&format!("{name}.weight"), &[&format!("{name}.bias")], x).0
    }

    /// As [`Self::linear`], and ReLU of that.
    pub(crate) fn linear_relu(&mut self, name: &str, x: &Value<B>) -> Value<B> {
        let (layer, w) = (format!("{name}.weight"), format!("{name}.bias"));
        let (weight, biases) = (self.parameters.index(&layer), [w.as_str()]);
        let w: Tensor<B, 2> = self.parameters.tensor(weight);
        let z = x.tensor.clone().matmul(w.clone().transpose());
        let layer = Layer { weight, used: Use::Matrix(x.tensor.clone()), biases: &biases };
        self.layer(x, z, layer, |z| Some(relu(z)), |delta| delta.matmul(w)).0
    }

    /// x · Wᵀ plus any number of biases; the name of each.
    pub(crate) fn affine(&mut self, weight: &str, biases: &[&str], x: &Value<B>) -> (Value<B>, Site) {
        let weight = self.parameters.index(weight);
        let w: Tensor<B, 2> = self.parameters.tensor(weight);
        let z = x.tensor.clone().matmul(w.clone().transpose());
        let layer = Layer { weight, used: Use::Matrix(x.tensor.clone()), biases };
        self.layer(x, z, layer, |_| None, |delta| delta.matmul(w))
    }

    /// x · W, with W = `name` `[in, out]`: x `[m, in]` to `[m, out]`.
    pub(crate) fn table(&mut self, name: &str, x: &Value<B>) -> Value<B> {
        let weight = self.parameters.index(name);
        let w: Tensor<B, 2> = self.parameters.tensor(weight);
        let z = x.tensor.clone().matmul(w.clone());
        let layer = Layer { weight, used: Use::Table(x.tensor.clone()), biases: &[] };
        self.layer(x, z, layer, |_| None, |delta| delta.matmul(w.transpose())).0
    }

    /// The convolution `name` over rows `[m, in]` and ReLU of it, times `mask` `[m, 1]` of zeros and ones: `[m, out]`.
    pub(crate) fn convolution_relu(&mut self, name: &str, x: &Value<B>, mask: &Tensor<B, 2>) -> Value<B> {
        let (weight, bias) = (self.parameters.index(&format!("{name}.weight")), format!("{name}.bias"));
        let w: Tensor<B, 3> = self.parameters.tensor(weight);
        let z = convolve(x.tensor.clone(), w.clone());
        let layer = Layer { weight, used: Use::Windows(x.tensor.clone(), w.dims()[2]), biases: &[&bias] };
        self.layer(x, z, layer, |z| Some(relu(z) * mask.clone()), |delta| input_gradient(delta, w)).0
    }

    /// x ⊙ s + b for each row: `name.weight` and `name.bias`.
    pub(crate) fn scale(&mut self, name: &str, x: &Value<B>) -> Value<B> {
        let (weight, bias) = (self.parameters.index(&format!("{name}.weight")), format!("{name}.bias"));
        let s = self.parameters.tensor::<1>(weight).unsqueeze::<2>();
        let z = x.tensor.clone() * s.clone();
        let layer = Layer { weight, used: Use::Scale(x.tensor.clone()), biases: &[&bias] };
        self.layer(x, z, layer, |_| None, |delta| delta * s).0
    }

    /// A weight that will act on what comes only later, such as a state on the next one.
    pub(crate) fn matrix(&self, name: &str) -> Tensor<B, 2> {
        self.parameters.tensor(self.parameters.index(name))
    }

    /// Says that rows `[m, in]` times the matrix `name` are part of the pre-activation at `site`.
    pub(crate) fn also(&mut self, site: Site, name: &str, rows: impl FnOnce() -> Tensor<B, 2>) {
        if self.returns {
            let index = self.parameters.index(name);
            self.uses[site.0].push((index, Use::Matrix(rows())));
        }
    }

    /// Enters `tensor`, made without parameters of the values at `places`; `back` makes their gradients from its own.
    pub(crate) fn step<const N: usize>(
        &mut self,
        places: [Place; N],
        tensor: Tensor<B, 2>,
        back: impl FnOnce(Tensor<B, 2>) -> [Tensor<B, 2>; N] + 'static,
    ) -> Value<B> {
        if !self.returns || places.iter().all(Option::is_none) {
            return Value::constant(tensor);
        }
        self.enter(tensor, move |gradient, all| {
            for (place, gradient) in places.into_iter().zip(back(gradient)) {
                if let Some(place) = place {
                    all.add(place, gradient);
                }
            }
        })
    }

    fn enter(
        &mut self,
        tensor: Tensor<B, 2>,
        back: impl FnOnce(Tensor<B, 2>, &mut Gradients<B>) + 'static,
    ) -> Value<B> {
        self.steps.push(Box::new(back));
        Value { tensor, place: Some(self.steps.len() - 1) }
    }

    /// `product` + biases, and what `rectify` makes of the sum.
    fn layer(
        &mut self,
        x: &Value<B>,
        product: Tensor<B, 2>,
        layer: Layer<'_, B>,
        rectify: impl FnOnce(Tensor<B, 2>) -> Option<Tensor<B, 2>>,
        back: impl FnOnce(Tensor<B, 2>) -> Tensor<B, 2> + 'static,
    ) -> (Value<B>, Site) {
        let biases: Vec<usize> = layer.biases.iter().map(|name| self.parameters.index(name)).collect();
        let bias = biases.iter().map(|&b| self.parameters.tensor::<1>(b)).reduce(|a, b| a + b);
        let z = match bias {
            Some(bias) => product + bias.unsqueeze::<2>(),
            None => product,
        };
        let rectified = rectify(z.clone());
        let result = rectified.clone().unwrap_or(z);
        let site = self.uses.len();
        if !self.returns {
            return (Value::constant(result), Site(site));
        }
        let uses = biases.into_iter().map(|b| (b, Use::Bias)).chain([(layer.weight, layer.used)]).collect();
        self.uses.push(uses);
        let place = x.place;
        let value = self.enter(result, move |gradient, all| {
            let delta = match rectified {
                Some(result) => where_positive(result, gradient),
                None => gradient,
            };
            if let Some(place) = place {
                all.add(place, back(delta.clone()));
            }
            all.deltas[site] = Some(delta);
        });
        (value, Site(site))
    }

    /// The way back, from the gradient `[n, classes]` of the loss with respect to the logits.
    pub(crate) fn backward(self, logits: &Value<B>, gradient: Tensor<B, 2>) -> Backward<B> {
        let examples = logits.dims()[0];
        let mut all = Gradients { values: vec![None; self.steps.len()], deltas: vec![None; self.uses.len()] };
        all.add(logits.place.expect("logits come out of a layer"), gradient);
        let mut input = None;
        for (place, back) in self.steps.into_iter().enumerate().rev() {
            if let Some(gradient) = all.values[place].take() {
                if self.input == Some(place) {
                    input = Some(gradient.clone());
                }
                back(gradient, &mut all);
            }
        }
        let delta = |delta: Option<Tensor<B, 2>>| delta.expect("every pre-activation takes part in the loss");
        let sites = all.deltas.into_iter().map(delta).zip(self.uses).collect();
        Backward { examples, layout: Arc::clone(&self.parameters.layout), sites, input }
    }
}

/// `gradient` where `result` is above 0, and 0 elsewhere.
fn where_positive<B: Backend>(result: Tensor<B, 2>, gradient: Tensor<B, 2>) -> Tensor<B, 2> {
    let primitive = |t: Tensor<B, 2>| t.into_primitive().tensor();
    Tensor::from_primitive(TensorPrimitive::Float(B::relu_backward(primitive(result), primitive(gradient))))
}
