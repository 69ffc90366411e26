//! Triangular mel filters.
use realfft::FftNum;
use sottovoce_types::{FeatureSpec, MelNorm, MelScale};

use super::recipe::Triangles;

/// A filter bank kept sparse: each filter is the run of weights over the bins that it covers.
pub(super) struct MelBank<T> {
    /// First bin and the range of `weights`, per filter.
    filters: Vec<(usize, std::ops::Range<usize>)>,
    weights: Vec<T>,
}

impl<T: FftNum> MelBank<T> {
    /// The filters of a spec; every weight is multiplied by `scale`. `Err(i)` if filter i covers no bin and `may_be_empty` is not set.
    pub(super) fn new(spec: &FeatureSpec, triangles: Triangles, scale: f64, may_be_empty: bool) -> Result<Self, usize> {
        let to_mel = |hz| hz_to_mel(spec.mel_scale, hz);
        let n = usize::from(spec.n_mels);
        let (low, high) = (to_mel(spec.mel_low_hz), to_mel(spec.mel_high_hz));
        let corners: Vec<f64> =
            (0..n + 2).map(|i| mel_to_hz(spec.mel_scale, low + (high - low) * i as f64 / (n + 1) as f64)).collect();
        let bins = spec.n_fft as usize / 2 + 1;
        let rate = f64::from(spec.sample_rate_hz);
        let bin_hz = |bin: usize| bin as f64 * rate / f64::from(spec.n_fft);
        // Places of bins and corners on the axis over which the sides are straight.
        let axis = |bin: usize| match triangles {
            Triangles::WholeBins => bin as f64,
            Triangles::Hertz => bin_hz(bin),
            Triangles::Mel => to_mel(bin_hz(bin)),
        };
        let corner = |hz: f64| match triangles {
            Triangles::WholeBins => (f64::from(spec.n_fft + 1) * hz / rate).floor(),
            Triangles::Hertz => hz,
            Triangles::Mel => to_mel(hz),
        };
        let mut bank = Self { filters: Vec::with_capacity(n), weights: Vec::new() };
        for filter in 0..n {
            let [left, peak, right] = [0, 1, 2].map(|i| corner(corners[filter + i]));
            let norm = match spec.mel_norm {
                MelNorm::Peak => 1.0,
                MelNorm::Area => 2.0 / (corners[filter + 2] - corners[filter]),
            };
            let weight = |bin: usize| {
                let at = axis(bin);
                // The peak belongs to the falling side, so that a rising side of no width is no division by 0.
                if at > left && at < peak {
                    (at - left) / (peak - left)
                } else if at >= peak && at < right {
                    (right - at) / (right - peak)
                } else {
                    0.0
                }
            };
            let first = (0..bins).find(|&b| weight(b) > 0.0);
            let last = (0..bins).rfind(|&b| weight(b) > 0.0);
            let start = bank.weights.len();
            match (first, last) {
                (Some(first), Some(last)) => {
                    let weights = (first..=last).map(|b| weight(b) * norm * scale);
                    bank.weights.extend(weights.map(|w| T::from_f64(w).expect("a finite weight has a nearest value")));
                    bank.filters.push((first, start..bank.weights.len()));
                }
                _ if may_be_empty => bank.filters.push((0, start..start)),
                _ => return Err(filter),
            }
        }
        Ok(bank)
    }

    /// Energies `[n_mels]` of a spectrum `[n_fft / 2 + 1]`.
    pub(super) fn apply(&self, spectrum: &[T], out: &mut [T]) {
        for ((first, range), energy) in self.filters.iter().zip(out) {
            let weights = &self.weights[range.clone()];
            *energy = dot(weights, &spectrum[*first..*first + weights.len()]);
        }
    }
}

/// Four running sums, so that the additions need not wait for each other.
fn dot<T: FftNum>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::zero(); 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let mut tail = T::zero();
    for (&x, &y) in a4.remainder().iter().zip(b4.remainder()) {
        tail = tail + x * y;
    }
    for (x, y) in a4.zip(b4) {
        for k in 0..4 {
            sums[k] = sums[k] + x[k] * y[k];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + tail
}

/// Slaney's scale has its bend at 1 kHz, 15 mel, and 27 steps from there to 6.4 kHz.
const SLANEY_BEND_HZ: f64 = 1_000.0;
const SLANEY_HZ_PER_MEL: f64 = 200.0 / 3.0;

fn slaney_log_step() -> f64 {
    6.4f64.ln() / 27.0
}

fn hz_to_mel(scale: MelScale, hz: f64) -> f64 {
    match scale {
        MelScale::Htk => 2595.0 * (1.0 + hz / 700.0).log10(),
        MelScale::Slaney if hz < SLANEY_BEND_HZ => hz / SLANEY_HZ_PER_MEL,
        MelScale::Slaney => SLANEY_BEND_HZ / SLANEY_HZ_PER_MEL + (hz / SLANEY_BEND_HZ).ln() / slaney_log_step(),
    }
}

fn mel_to_hz(scale: MelScale, mel: f64) -> f64 {
    let bend = SLANEY_BEND_HZ / SLANEY_HZ_PER_MEL;
    match scale {
        MelScale::Htk => 700.0 * (10f64.powf(mel / 2595.0) - 1.0),
        MelScale::Slaney if mel < bend => mel * SLANEY_HZ_PER_MEL,
        MelScale::Slaney => SLANEY_BEND_HZ * ((mel - bend) * slaney_log_step()).exp(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mel_scales_are_their_own_inverses_and_agree_with_their_definitions() {
        for scale in [MelScale::Htk, MelScale::Slaney] {
            for hz in [0.0, 20.0, 999.0, 1_000.0, 1_001.0, 4_000.0, 8_000.0] {
                assert!((mel_to_hz(scale, hz_to_mel(scale, hz)) - hz).abs() < 1e-9 * (1.0 + hz), "{scale:?} {hz}");
            }
        }
        assert!((hz_to_mel(MelScale::Htk, 1_000.0) - 999.985_537_11).abs() < 1e-6);
        assert!((hz_to_mel(MelScale::Slaney, 6_400.0) - 42.0).abs() < 1e-9);
    }
}
