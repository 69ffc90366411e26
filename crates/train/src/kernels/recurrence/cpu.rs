//! The recurrent layer on the CPU: one matrix product a frame, and gates in loops that the compiler turns into SIMD.
use burn::backend::Flex;
use burn::tensor::{Tensor, TensorData};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::{Direction, Run};
use crate::batch::Clips;

fn values<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f32> {
    tensor.into_data().into_vec().expect("the backend computes in f32")
}

fn tensor(values: Vec<f32>, width: usize) -> Tensor<Flex, 2> {
    let rows = values.len() / width;
    Tensor::from_data(TensorData::new(values, [rows, width]), &burn::backend::flex::FlexDevice)
}

/// out `[n, columns]` += a `[n, inner]` · b `[inner, columns]`.
fn add_product(a: &[f32], b: ArrayView2<'_, f32>, out: &mut [f32]) {
    let (inner, columns) = b.dim();
    let n = out.len() / columns;
    let a = ArrayView2::from_shape((n, inner), a).expect("whole rows");
    let mut out = ArrayViewMut2::from_shape((n, columns), out).expect("whole rows");
    general_mat_mul(1.0, &a, &b, 1.0, &mut out);
}

/// eˣ by range reduction and a polynomial (Cody & Waite; coefficients of Cephes' `expf`), within 2 units in the last place where
/// the result is a normal number; no branch and no call, so that a loop over it is vectorised.
#[inline]
fn exp(x: f32) -> f32 {
    /// Added and taken away, it rounds to a whole number: 1.5·2²³.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let k = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = (x - k * 0.693_359_375) + k * 2.121_944_4e-4;
    let p = ((((1.987_569_1e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 1.666_666_5e-1) * r
        + 0.5;
    let y = p * r * r + r + 1.0;
    // 2ᵏ, with k within −126 and 127.
    y * f32::from_bits(((k as i32 + 127) << 23) as u32)
}

#[inline]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Within 2e-7 of the hyperbolic tangent, which is what counts where it is added up.
#[inline]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

pub(super) fn run(gates: Tensor<Flex, 2>, weight: Tensor<Flex, 2>, clips: &Clips, direction: Direction) -> Run<Flex> {
    let [four_h, h] = weight.dims();
    let (n, period) = (clips.len(), clips.period());
    // NaN and infinity must come out as NaN: a diverged model is told by its loss.
    let (mut gates, weight) = (values(gates), values(weight));
    let weight = ArrayView2::from_shape((four_h, h), &weight).expect("the shape of the tensor");
    let mut cells = vec![0.0; clips.rows() * h];
    let mut states = vec![0.0; clips.rows() * h];
    let (mut last_h, mut last_c) = (vec![0.0; n * h], vec![0.0; n * h]);
    let mut z = vec![0.0; n * four_h];
    for s in direction.order(period) {
        for i in 0..n {
            z[i * four_h..][..four_h].copy_from_slice(&gates[(i * period + s) * four_h..][..four_h]);
        }
        add_product(&last_h, weight.t(), &mut z);
        for i in 0..n {
            let row = i * period + s;
            let (own_h, own_c) = (&mut last_h[i * h..][..h], &mut last_c[i * h..][..h]);
            if !clips.holds(i, s) {
                own_h.fill(0.0);
                own_c.fill(0.0);
                continue;
            }
            let z = &mut z[i * four_h..][..four_h];
            z[..2 * h].iter_mut().for_each(|v| *v = sigmoid(*v));
            z[2 * h..3 * h].iter_mut().for_each(|v| *v = tanh(*v));
            z[3 * h..].iter_mut().for_each(|v| *v = sigmoid(*v));
            gates[row * four_h..][..four_h].copy_from_slice(z);
            let (input, rest) = z.split_at(h);
            let (forget, rest) = rest.split_at(h);
            let (candidate, output) = rest.split_at(h);
            for ((((c, f), i), g), (h, o)) in
                own_c.iter_mut().zip(forget).zip(input).zip(candidate).zip(own_h.iter_mut().zip(output))
            {
                *c = f * *c + i * g;
                *h = o * tanh(*c);
            }
            cells[row * h..][..h].copy_from_slice(own_c);
            states[row * h..][..h].copy_from_slice(own_h);
        }
    }
    Run { states: tensor(states, h), gates: tensor(gates, four_h), cells: tensor(cells, h) }
}

pub(super) fn gate_gradients(
    run: Run<Flex>,
    weight: Tensor<Flex, 2>,
    clips: &Clips,
    direction: Direction,
    gradient: Tensor<Flex, 2>,
) -> Tensor<Flex, 2> {
    let [four_h, h] = weight.dims();
    let (n, period) = (clips.len(), clips.period());
    let (gates, cells, gradient, weight) = (values(run.gates), values(run.cells), values(gradient), values(weight));
    let weight = ArrayView2::from_shape((four_h, h), &weight).expect("the shape of the tensor");
    let mut out = vec![0.0; clips.rows() * four_h];
    let (mut dh, mut dc) = (vec![0.0; n * h], vec![0.0; n * h]);
    let mut dz = vec![0.0; n * four_h];
    let nothing = vec![0.0; h];
    let order = direction.order(period);
    for (place, &s) in order.iter().enumerate().rev() {
        for i in 0..n {
            let row = i * period + s;
            let dz = &mut dz[i * four_h..][..four_h];
            let (dh, dc) = (&mut dh[i * h..][..h], &mut dc[i * h..][..h]);
            if !clips.holds(i, s) {
                dz.fill(0.0);
                dc.fill(0.0);
                continue;
            }
            let before = match place.checked_sub(1) {
                Some(p) => &cells[(i * period + order[p]) * h..][..h],
                None => &nothing[..],
            };
            let (gates, cells, gradient) =
                (&gates[row * four_h..][..four_h], &cells[row * h..][..h], &gradient[row * h..][..h]);
            let (input, rest) = gates.split_at(h);
            let (forget, rest) = rest.split_at(h);
            let (candidate, output) = rest.split_at(h);
            let (d_input, rest) = dz.split_at_mut(h);
            let (d_forget, rest) = rest.split_at_mut(h);
            let (d_candidate, d_output) = rest.split_at_mut(h);
            for j in 0..h {
                let (i, f, g, o, t) = (input[j], forget[j], candidate[j], output[j], tanh(cells[j]));
                let into_h = gradient[j] + dh[j];
                let into_c = dc[j] + into_h * o * (1.0 - t * t);
                d_output[j] = into_h * t * o * (1.0 - o);
                d_forget[j] = into_c * before[j] * f * (1.0 - f);
                d_input[j] = into_c * g * i * (1.0 - i);
                d_candidate[j] = into_c * i * (1.0 - g * g);
                dc[j] = into_c * f;
            }
            out[row * four_h..][..four_h].copy_from_slice(dz);
        }
        dh.fill(0.0);
        add_product(&dz, weight, &mut dh);
    }
    tensor(out, four_h)
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
