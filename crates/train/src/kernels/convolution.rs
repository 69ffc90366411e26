//! Convolution over time as one matrix product.
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The windows of `k` rows around each row, side by side: `[m, c]` to `[m, k·c]`, zeros beyond the ends. A strided view: on the
/// CPU nothing but the padding is copied.
pub(crate) fn windows<B: Backend>(x: Tensor<B, 2>, k: usize) -> Tensor<B, 2> {
    let [m, c] = x.dims();
    if k == 1 {
        return x;
    }
    let margin = Tensor::zeros([k / 2, c], &x.device());
    let padded = Tensor::cat(vec![margin.clone(), x, margin], 0);
    padded.reshape([(m + k - 1) * c]).unfold::<2, _>(0, k * c, c)
}

/// Convolution over rows: `x` `[m, in]`, `weight` `[out, in, k]` with k odd, to `[m, out]`: row r of the result sees rows r − k/2 to
/// r + k/2 of `x`, and zeros beyond its ends.
pub(crate) fn convolve<B: Backend>(x: Tensor<B, 2>, weight: Tensor<B, 3>) -> Tensor<B, 2> {
    let [out, c, k] = weight.dims();
    windows(x, k).matmul(weight.permute([2, 1, 0]).reshape([k * c, out]))
}

/// The gradient `[m, in]` of the input from that of the result, `[m, out]`: a convolution with the weights turned around, since
/// row r of the input was seen by rows r − k/2 to r + k/2 of the result.
pub(crate) fn input_gradient<B: Backend>(gradient: Tensor<B, 2>, weight: Tensor<B, 3>) -> Tensor<B, 2> {
    let [out, c, k] = weight.dims();
    windows(gradient, k).matmul(weight.flip([2]).permute([2, 0, 1]).reshape([k * out, c]))
}
