//! The recurrent layer: a loop over frames (Hochreiter & Schmidhuber 1997, with forget gates; PyTorch's equations).
//!
//! i, f, g, o = σ(z_i), σ(z_f), tanh(z_g), σ(z_o) with z = gates + W·h;  c ← f·c + i·g;  h ← o·tanh(c).
mod cpu;

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;

use crate::batch::Clips;

/// Which way a recurrent layer reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// From the first frame.
    Forward,
    /// From the last.
    Reverse,
}

impl Direction {
    /// The frames of a clip of `period`, in the order in which they are read.
    fn order(self, period: usize) -> Vec<usize> {
        match self {
            Self::Forward => (0..period).collect(),
            Self::Reverse => (0..period).rev().collect(),
        }
    }
}

/// What a pass leaves behind for the backward one.
#[derive(Clone, Debug)]
pub(crate) struct Run<B: Backend> {
    /// h, `[m, h]`.
    pub(crate) states: Tensor<B, 2>,
    /// i, f, g, o after their activation, `[m, 4h]`.
    gates: Tensor<B, 2>,
    /// c, `[m, h]`.
    cells: Tensor<B, 2>,
}

/// A backend's way through a recurrent layer.
///
/// `gates` `[m, 4h]` is what inputs and biases give, `weight` `[4h, h]` acts on the state. Gates in the order input, forget, cell,
/// output. Outside a clip's own frames the state is 0.
pub(crate) trait Recurrence: Backend {
    /// All states from all gates.
    fn run(gates: Tensor<Self, 2>, weight: Tensor<Self, 2>, clips: &Clips, direction: Direction) -> Run<Self> {
        run(gates, weight, clips, direction)
    }

    /// The gradient of z, `[m, 4h]`, from that of h, `[m, h]`.
    fn gate_gradients(
        run: Run<Self>,
        weight: &Tensor<Self, 2>,
        clips: &Clips,
        direction: Direction,
        gradient: Tensor<Self, 2>,
    ) -> Tensor<Self, 2> {
        gate_gradients(run, weight, clips, direction, gradient)
    }
}

impl Recurrence for burn::backend::Flex {
    fn run(gates: Tensor<Self, 2>, weight: Tensor<Self, 2>, clips: &Clips, direction: Direction) -> Run<Self> {
        cpu::run(gates, weight, clips, direction)
    }

    fn gate_gradients(
        run: Run<Self>,
        weight: &Tensor<Self, 2>,
        clips: &Clips,
        direction: Direction,
        gradient: Tensor<Self, 2>,
    ) -> Tensor<Self, 2> {
        cpu::gate_gradients(run, weight, clips, direction, gradient)
    }
}

#[cfg(feature = "cuda")]
impl Recurrence for burn::backend::Cuda {}

/// Frame `s` of all clips, `[n, width]`, of `[n·period, width]`.
fn frame<B: Backend>(rows: &Tensor<B, 3>, s: usize) -> Tensor<B, 2> {
    let [n, _, width] = rows.dims();
    rows.clone().slice([0..n, s..s + 1, 0..width]).reshape([n, width])
}

fn by_clip<B: Backend>(rows: Tensor<B, 2>, clips: &Clips) -> Tensor<B, 3> {
    let width = rows.dims()[1];
    rows.reshape([clips.len(), clips.period(), width])
}

/// Frames in the order of `order` back to rows `[n·period, width]`.
fn rows<B: Backend>(mut frames: Vec<Tensor<B, 2>>, clips: &Clips, direction: Direction) -> Tensor<B, 2> {
    if direction == Direction::Reverse {
        frames.reverse();
    }
    let width = frames[0].dims()[1];
    Tensor::stack::<3>(frames, 1).reshape([clips.rows(), width])
}

/// In burn's operations, for GPUs, and as the oracle of the loop over slices.
pub(super) fn run<B: Backend>(
    gates: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    clips: &Clips,
    direction: Direction,
) -> Run<B> {
    let [four_h, width] = weight.dims();
    let (n, device) = (clips.len(), gates.device());
    let (weight, gates) = (weight.transpose(), by_clip(gates, clips));
    let mask = by_clip(clips.mask(&device), clips);
    let (mut h, mut c) = (Tensor::zeros([n, width], &device), Tensor::zeros([n, width], &device));
    let (mut states, mut cells, mut activated) = (Vec::new(), Vec::new(), Vec::new());
    for s in direction.order(clips.period()) {
        let own = frame(&mask, s);
        let z = frame(&gates, s) + h.matmul(weight.clone());
        let i_f = sigmoid(z.clone().slice([0..n, 0..2 * width]));
        let g = z.clone().slice([0..n, 2 * width..3 * width]).tanh();
        let o = sigmoid(z.slice([0..n, 3 * width..four_h]));
        let (i, f) = (i_f.clone().slice([0..n, 0..width]), i_f.clone().slice([0..n, width..2 * width]));
        c = (f * c + i * g.clone()) * own.clone();
        h = o.clone() * c.clone().tanh() * own;
        activated.push(Tensor::cat(vec![i_f, g, o], 1));
        cells.push(c.clone());
        states.push(h.clone());
    }
    Run {
        states: rows(states, clips, direction),
        gates: rows(activated, clips, direction),
        cells: rows(cells, clips, direction),
    }
}

pub(super) fn gate_gradients<B: Backend>(
    run: Run<B>,
    weight: &Tensor<B, 2>,
    clips: &Clips,
    direction: Direction,
    gradient: Tensor<B, 2>,
) -> Tensor<B, 2> {
    let width = weight.dims()[1];
    let (n, device) = (clips.len(), gradient.device());
    let (gates, cells) = (by_clip(run.gates, clips), by_clip(run.cells, clips));
    let (gradient, mask) = (by_clip(gradient, clips), by_clip(clips.mask(&device), clips));
    let (mut dh, mut dc) = (Tensor::zeros([n, width], &device), Tensor::zeros([n, width], &device));
    let order = direction.order(clips.period());
    let mut out = Vec::with_capacity(order.len());
    for (place, &s) in order.iter().enumerate().rev() {
        let own = frame(&mask, s);
        let all = frame(&gates, s);
        let part = |k: usize| all.clone().slice([0..n, k * width..(k + 1) * width]);
        let (i, f, g, o) = (part(0), part(1), part(2), part(3));
        let before = place.checked_sub(1).map(|p| frame(&cells, order[p]));
        let tanh = frame(&cells, s).tanh();
        dh = (frame(&gradient, s) + dh) * own.clone();
        let step = |x: &Tensor<B, 2>| x.clone() * (x.clone() * -1.0 + 1.0);
        let slope = |x: &Tensor<B, 2>| (x.clone() * x.clone()) * -1.0 + 1.0;
        dc = (dc + dh.clone() * o.clone() * slope(&tanh)) * own;
        let d_o = dh.clone() * tanh * step(&o);
        let d_f = before.map_or_else(|| Tensor::zeros([n, width], &device), |c| dc.clone() * c * step(&f));
        let d_i = dc.clone() * g.clone() * step(&i);
        let d_g = dc.clone() * i * slope(&g);
        let dz = Tensor::cat(vec![d_i, d_f, d_g, d_o], 1);
        dh = dz.clone().matmul(weight.clone());
        dc = dc * f;
        out.push(dz);
    }
    out.reverse();
    rows(out, clips, direction)
}
