//! Both operations as single steps of burn's tape.
use std::sync::Arc;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorPrimitive};

use super::recurrence::{Direction, Recurrence, Run};
use super::{Kernels, convolution};
use crate::batch::Clips;

type Primitive<B> = <B as burn::tensor::backend::BackendTypes>::FloatTensorPrimitive;

fn tensor<B: Backend, const D: usize>(primitive: Primitive<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Primitive<B> {
    tensor.into_primitive().tensor()
}

#[derive(Debug)]
struct Convolution;

impl<B: Recurrence> Backward<B, 1> for Convolution {
    type State = Tensor<B, 3>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let weight = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |gradient| {
            primitive(convolution::input_gradient(tensor::<B, 2>(gradient), weight))
        });
    }
}

#[derive(Debug)]
struct Recurrent;

#[derive(Clone, Debug)]
struct RecurrentState<B: Backend> {
    run: Run<B>,
    weight: Tensor<B, 2>,
    clips: Arc<Clips>,
    direction: Direction,
}

impl<B: Recurrence> Backward<B, 1> for Recurrent {
    type State = RecurrentState<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let RecurrentState { run, weight, clips, direction } = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |gradient| {
            primitive(B::gate_gradients(run, weight, &clips, direction, tensor::<B, 2>(gradient)))
        });
    }
}

impl<B: Recurrence> Kernels for Autodiff<B> {
    type Plain = B;
    const TAPED: bool = true;

    fn constant<const D: usize>(tensor: Tensor<B, D>) -> Tensor<Self, D> {
        Tensor::from_inner(tensor)
    }

    fn watched<const D: usize>(tensor: Tensor<B, D>) -> Tensor<Self, D> {
        Tensor::from_inner(tensor).require_grad()
    }

    fn value<const D: usize>(tensor: &Tensor<Self, D>) -> Tensor<B, D> {
        tensor.clone().inner()
    }

    fn convolve(x: Tensor<Self, 2>, weight: Tensor<B, 3>) -> Tensor<Self, 2> {
        let x = primitive(x);
        let y = primitive(convolution::convolve(tensor::<B, 2>(x.primitive.clone()), weight.clone()));
        let y = match Convolution.prepare::<NoCheckpointing>([x.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(weight, y),
            OpsKind::UnTracked(step) => step.finish(y),
        };
        tensor(y)
    }

    fn recur(
        gates: Tensor<Self, 2>,
        weight: Tensor<B, 2>,
        clips: &Arc<Clips>,
        direction: Direction,
    ) -> Tensor<Self, 2> {
        let gates = primitive(gates);
        let run = B::run(tensor::<B, 2>(gates.primitive.clone()), weight.clone(), clips, direction);
        let states = primitive(run.states.clone());
        let states = match Recurrent.prepare::<NoCheckpointing>([gates.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                step.finish(RecurrentState { run, weight, clips: Arc::clone(clips), direction }, states)
            }
            OpsKind::UnTracked(step) => step.finish(states),
        };
        tensor(states)
    }
}
