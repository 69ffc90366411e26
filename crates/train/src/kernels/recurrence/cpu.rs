//! The recurrent layer on the CPU: one matrix product a frame, and gates in loops that the compiler turns into SIMD.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the wider registers")]
use burn::backend::Flex;
use burn::backend::flex::FlexDevice;
use burn::tensor::{Tensor, TensorData};
use pulp::{Arch, NullaryFnOnce};

use super::{Direction, Run};
use crate::batch::Clips;

/// A tensor's numbers, where they lie: without a copy when nobody else holds the tensor.
struct Numbers(TensorData);

impl Numbers {
    fn of(tensor: Tensor<Flex, 2>) -> Self {
        Self(tensor.into_data())
    }

    fn get(&self) -> &[f32] {
        self.0.as_slice().expect("the backend computes in f32")
    }

    fn get_mut(&mut self) -> &mut [f32] {
        self.0.as_mut_slice().expect("the backend computes in f32")
    }

    fn into_tensor(self) -> Tensor<Flex, 2> {
        Tensor::from_data(self.0, &FlexDevice)
    }
}

fn tensor(values: Vec<f32>, width: usize) -> Tensor<Flex, 2> {
    let rows = values.len() / width;
    Tensor::from_data(TensorData::new(values, [rows, width]), &FlexDevice)
}

/// eˣ by range reduction and a polynomial (Cody & Waite; coefficients of Cephes' `expf`), within 2 units in the last place where
/// the result is a normal number; no branch and no call, so that a loop over it is vectorised.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Added and taken away, it rounds to a whole number: 1.5·2²³.
    const ROUND: f32 = 12_582_912.0;
    /// −ln 2 in two parts, of which the first has few enough digits for its multiples to be exact: 0.693359375.
    const LN_2_HIGH: f32 = -355.0 / 512.0;
    const LN_2_LOW: f32 = 2.121_944_4e-4;
    // In this order NaN stays NaN.
    let x = if x > 88.0 { 88.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let k = shifted - ROUND;
    let r = k.mul_add(LN_2_LOW, k.mul_add(LN_2_HIGH, x));
    let p = 1.987_569_1e-4f32.mul_add(r, 1.398_199_9e-3).mul_add(r, 8.333_452e-3).mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_5e-1).mul_add(r, 0.5);
    let y = (p * r).mul_add(r, r) + 1.0;
    // 2ᵏ, with k within −126 and 127: it stands in the last bits of `shifted`, and goes where a float has its exponent.
    y * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Within 2e-7 of the hyperbolic tangent, which is what counts where it is added up.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

pub(super) fn run(gates: Tensor<Flex, 2>, weight: Tensor<Flex, 2>, clips: &Clips, direction: Direction) -> Run<Flex> {
    let [four_h, h] = weight.dims();
    let (n, period) = (clips.len(), clips.period());
    // Laid out for the products of every frame, once.
    let weight = Numbers::of(weight.transpose()).into_tensor();
    let mut gates = Numbers::of(gates);
    let mut cells = vec![0.0; clips.rows() * h];
    let mut states = vec![0.0; clips.rows() * h];
    let (mut last_h, mut last_c) = (vec![0.0; n * h], vec![0.0; n * h]);
    let arch = Arch::new();
    for s in direction.order(period) {
        let product = Numbers::of(tensor(last_h.clone(), h).matmul(weight.clone()));
        let (gates, product) = (gates.get_mut(), product.get());
        for i in 0..n {
            let row = i * period + s;
            let (own_h, own_c) = (&mut last_h[i * h..][..h], &mut last_c[i * h..][..h]);
            if clips.holds(i, s) {
                let (z, product) = (&mut gates[row * four_h..][..four_h], &product[i * four_h..][..four_h]);
                arch.dispatch(Step { z, product, c: own_c, h: own_h });
                cells[row * h..][..h].copy_from_slice(own_c);
                states[row * h..][..h].copy_from_slice(own_h);
            } else {
                own_h.fill(0.0);
                own_c.fill(0.0);
            }
        }
    }
    Run { states: tensor(states, h), gates: gates.into_tensor(), cells: tensor(cells, h) }
}

/// One frame of one clip: z `[4h]` becomes the gates; c and h `[h]` become the next ones.
///
/// A struct and no closure, because only what is inlined is compiled for the wider registers.
struct Step<'a> {
    z: &'a mut [f32],
    product: &'a [f32],
    c: &'a mut [f32],
    h: &'a mut [f32],
}

impl NullaryFnOnce for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        step(self.z, self.product, self.c, self.h);
    }
}

#[inline(always)]
fn step(z: &mut [f32], product: &[f32], c: &mut [f32], h: &mut [f32]) {
    let width = c.len();
    for (z, p) in z.iter_mut().zip(product) {
        *z += p;
    }
    let (sigmoids, rest) = z.split_at_mut(2 * width);
    let (candidate, output) = rest.split_at_mut(width);
    for v in &mut *sigmoids {
        *v = sigmoid(*v);
    }
    for v in &mut *candidate {
        *v = tanh(*v);
    }
    for v in &mut *output {
        *v = sigmoid(*v);
    }
    let (input, forget) = sigmoids.split_at(width);
    for (((c, f), i), g) in c.iter_mut().zip(forget).zip(input).zip(&*candidate) {
        *c = f * *c + i * g;
    }
    for ((h, o), c) in h.iter_mut().zip(&*output).zip(&*c) {
        *h = o * tanh(*c);
    }
}

pub(super) fn gate_gradients(
    run: Run<Flex>,
    weight: &Tensor<Flex, 2>,
    clips: &Clips,
    direction: Direction,
    gradient: Tensor<Flex, 2>,
) -> Tensor<Flex, 2> {
    let [four_h, h] = weight.dims();
    let (n, period) = (clips.len(), clips.period());
    // Each frame's gates make room for their gradient once it is known.
    let (mut all, cells, gradient) = (Numbers::of(run.gates), Numbers::of(run.cells), Numbers::of(gradient));
    let (gates, cells, gradient) = (all.get_mut(), cells.get(), gradient.get());
    let (mut dh, mut dc) = (Numbers(TensorData::new(vec![0.0f32; n * h], [n, h])), vec![0.0; n * h]);
    let mut dz = vec![0.0; n * four_h];
    let nothing = vec![0.0; h];
    let order = direction.order(period);
    let arch = Arch::new();
    for (place, &s) in order.iter().enumerate().rev() {
        for i in 0..n {
            let row = i * period + s;
            let dz = &mut dz[i * four_h..][..four_h];
            let dc = &mut dc[i * h..][..h];
            if !clips.holds(i, s) {
                dz.fill(0.0);
                dc.fill(0.0);
                gates[row * four_h..][..four_h].fill(0.0);
                continue;
            }
            let before = match place.checked_sub(1) {
                Some(p) => &cells[(i * period + order[p]) * h..][..h],
                None => &nothing[..],
            };
            let own = Frame {
                gates: &gates[row * four_h..][..four_h],
                cell: &cells[row * h..][..h],
                before,
                from_above: &gradient[row * h..][..h],
                from_after: &dh.get()[i * h..][..h],
            };
            arch.dispatch(StepBack { own, dc, dz });
            gates[row * four_h..][..four_h].copy_from_slice(dz);
        }
        dh = Numbers::of(tensor(dz.clone(), four_h).matmul(weight.clone()));
    }
    all.into_tensor()
}

/// What one frame of one clip has on the way back.
struct Frame<'a> {
    /// i, f, g, o, `[4h]`.
    gates: &'a [f32],
    /// c, `[h]`.
    cell: &'a [f32],
    /// c before it, `[h]`.
    before: &'a [f32],
    /// Gradient of h from the layers above, `[h]`.
    from_above: &'a [f32],
    /// Gradient of h from the frame after it, `[h]`.
    from_after: &'a [f32],
}

/// dc `[h]` becomes that of the cell before; dz `[4h]` is filled.
struct StepBack<'a> {
    own: Frame<'a>,
    dc: &'a mut [f32],
    dz: &'a mut [f32],
}

impl NullaryFnOnce for StepBack<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        step_back(&self.own, self.dc, self.dz);
    }
}

#[inline(always)]
fn step_back(own: &Frame<'_>, dc: &mut [f32], dz: &mut [f32]) {
    let h = dc.len();
    let (input, rest) = own.gates.split_at(h);
    let (forget, rest) = rest.split_at(h);
    let (candidate, output) = rest.split_at(h);
    let (d_input, rest) = dz.split_at_mut(h);
    let (d_forget, rest) = rest.split_at_mut(h);
    let (d_candidate, d_output) = rest.split_at_mut(h);
    // Slices of one length, so that no index is checked.
    let (forget, candidate, output) = (&forget[..h], &candidate[..h], &output[..h]);
    let (cell, before, above, after) = (&own.cell[..h], &own.before[..h], &own.from_above[..h], &own.from_after[..h]);
    let (d_forget, d_candidate, d_output) = (&mut d_forget[..h], &mut d_candidate[..h], &mut d_output[..h]);
    for j in 0..h {
        let (i, f, g, o, t) = (input[j], forget[j], candidate[j], output[j], tanh(cell[j]));
        let into_h = above[j] + after[j];
        let into_c = dc[j] + into_h * o * (1.0 - t * t);
        d_output[j] = into_h * t * o * (1.0 - o);
        d_forget[j] = into_c * before[j] * f * (1.0 - f);
        d_input[j] = into_c * g * i * (1.0 - i);
        d_candidate[j] = into_c * i * (1.0 - g * g);
        dc[j] = into_c * f;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_functions_are_those_of_the_library() {
        for k in -4000..=4000i16 {
            let x = f32::from(k) / 100.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 2.5e-7, "exp({x})");
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 2e-7, "tanh({x})");
            assert!((f64::from(sigmoid(x)) - 1.0 / (1.0 + (-f64::from(x)).exp())).abs() < 1.5e-7, "sigmoid({x})");
        }
        // Far out they reach their limits and stay finite.
        assert!((sigmoid(1e30) - 1.0).abs() < 1e-7 && sigmoid(-1e30) < 1e-37 && (tanh(-1e30) + 1.0).abs() < 1e-7);
        assert!(sigmoid(f32::NAN).is_nan() && tanh(f32::NAN).is_nan(), "NaN stays NaN");
    }
}
