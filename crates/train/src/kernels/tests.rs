//! Both operations against burn's own tape over the same thing in small steps.
use burn::backend::flex::FlexDevice;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};

use super::recurrence;
use super::{Direction, Recurrence, convolve, input_gradient};
use crate::batch::Clips;
use crate::pass::read;
use crate::random::Draws;

type Taped = Autodiff<Flex>;

/// Numbers in [−1, 1).
fn random<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<Flex, D> {
    let mut draws = Draws::new("test", seed);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| draws.below(2001) as f32 / 1000.0 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, shape), &FlexDevice)
}

fn close<const D: usize>(ours: Tensor<Flex, D>, theirs: Tensor<Flex, D>, tolerance: f32, what: &str) {
    assert_eq!(ours.dims(), theirs.dims(), "{what}");
    for (a, b) in read(ours).into_iter().zip(read(theirs)) {
        assert!((a - b).abs() <= tolerance, "{what}: {a} is not {b}");
    }
}

#[test]
fn a_convolution_is_that_of_its_definition_and_so_is_its_gradient() {
    for (rows, inputs, outputs, kernel) in [(7, 3, 4, 5), (2, 2, 3, 5), (1, 1, 1, 3), (9, 4, 2, 1)] {
        let (x, w) = (random(1, [rows, inputs]), random(2, [outputs, inputs, kernel]));
        // y_r = Σ_j W_j · x_{r + j − k/2}, one product a tap.
        let tracked = Tensor::<Taped, 2>::from_inner(x.clone()).require_grad();
        let zeros = Tensor::<Taped, 2>::zeros([kernel / 2, inputs], &FlexDevice);
        let padded = Tensor::cat(vec![zeros.clone(), tracked.clone(), zeros], 0);
        let tap = |j: usize| {
            let weight = w.clone().slice([0..outputs, 0..inputs, j..j + 1]).reshape([outputs, inputs]).transpose();
            padded.clone().slice([j..j + rows, 0..inputs]).matmul(Tensor::from_inner(weight))
        };
        let expected = (0..kernel).map(tap).reduce(|a, b| a + b).unwrap();
        let upstream = random(3, [rows, outputs]);
        let gradients = (expected.clone() * Tensor::from_inner(upstream.clone())).sum().backward();
        let expected_gradient = tracked.grad(&gradients).unwrap();

        close(convolve(x, w.clone()), expected.inner(), 1e-5, "values");
        close(input_gradient(upstream, w), expected_gradient, 1e-5, "gradient");
    }
}

/// Clips of different lengths, one of a single frame, with a margin that belongs to nobody.
fn clips() -> Clips {
    Clips::new(vec![6, 1, 4], 1)
}

#[test]
fn the_loop_over_slices_is_the_one_over_tensors_in_both_directions() {
    let (clips, width) = (clips(), 5);
    let gates = random::<2>(4, [clips.rows(), 4 * width]) * 2.0;
    let (weight, upstream) = (random::<2>(5, [4 * width, width]), random::<2>(6, [clips.rows(), width]));
    for direction in [Direction::Forward, Direction::Reverse] {
        // The small steps, each on burn's tape.
        let tracked = Tensor::<Taped, 2>::from_inner(gates.clone()).require_grad();
        let states = recurrence::run(tracked.clone(), Tensor::from_inner(weight.clone()), &clips, direction).states;
        let gradients = (states.clone() * Tensor::from_inner(upstream.clone())).sum().backward();
        let expected = tracked.grad(&gradients).unwrap();

        let in_tensors = recurrence::run(gates.clone(), weight.clone(), &clips, direction);
        let by_hand = recurrence::gate_gradients(in_tensors.clone(), &weight, &clips, direction, upstream.clone());
        close(by_hand, expected.clone(), 1e-5, "the backward pass in tensors");

        let ours = Flex::run(gates.clone(), weight.clone(), &clips, direction);
        close(ours.states.clone(), in_tensors.states, 1e-6, "states");
        close(ours.states.clone(), states.inner(), 1e-6, "states on the tape");
        let back = Flex::gate_gradients(ours.clone(), &weight, &clips, direction, upstream.clone());
        close(back, expected, 1e-5, "the backward pass in slices");

        let mask = clips.mask::<Flex>(&FlexDevice);
        close(ours.states.clone() * mask, ours.states, 0.0, "nobody's frames have no state");
    }
}

#[test]
fn a_clip_has_the_same_states_whatever_lies_beside_it() {
    let width = 4;
    let weight = random::<2>(7, [4 * width, width]);
    let gates = random::<2>(8, [5, 4 * width]);
    for direction in [Direction::Forward, Direction::Reverse] {
        let alone = Flex::run(gates.clone(), weight.clone(), &Clips::new(vec![5], 0), direction).states;
        // First among rows of period 9, with other numbers after it.
        let beside = Tensor::cat(vec![gates.clone(), random::<2>(9, [13, 4 * width])], 0);
        let together = Flex::run(beside, weight.clone(), &Clips::new(vec![5, 9], 0), direction).states;
        close(together.slice([0..5, 0..width]), alone, 1e-6, "states");
    }
}
