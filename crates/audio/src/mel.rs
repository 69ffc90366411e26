//! Triangular mel filters as python_speech_features 0.6 places them.
use realfft::FftNum;
use sottovoce_types::FeatureSpec;

/// A filter bank kept sparse: each filter is the run of weights over the bins that it covers.
pub(crate) struct MelBank<T> {
    /// First bin and the range of `weights`, per filter.
    filters: Vec<(usize, std::ops::Range<usize>)>,
    weights: Vec<T>,
}

impl<T: FftNum> MelBank<T> {
    /// Corners at floor((n_fft + 1)·f / rate), peak 1 (python_speech_features, `get_filterbanks`); every weight is
    /// multiplied by `scale`. `Err(i)` if filter i covers no bin.
    pub(crate) fn new(spec: &FeatureSpec, scale: f64) -> Result<Self, usize> {
        let (low, high) = (hz_to_mel(spec.mel_low_hz), hz_to_mel(spec.mel_high_hz));
        let n = usize::from(spec.n_mels);
        let corner = |i: usize| {
            let hz = mel_to_hz(low + (high - low) * i as f64 / (n + 1) as f64);
            (f64::from(spec.n_fft + 1) * hz / f64::from(spec.sample_rate_hz)).floor() as usize
        };
        let mut bank = Self { filters: Vec::with_capacity(n), weights: Vec::new() };
        for filter in 0..n {
            let (left, peak, right) = (corner(filter), corner(filter + 1), corner(filter + 2));
            let rising = (left..peak).map(|i| (i - left) as f64 / (peak - left) as f64);
            let falling = (peak..right).map(|i| (right - i) as f64 / (right - peak) as f64);
            let weights: Vec<f64> = rising.chain(falling).collect();
            if weights.iter().sum::<f64>() <= 0.0 {
                return Err(filter);
            }
            let start = bank.weights.len();
            bank.weights
                .extend(weights.iter().map(|&w| T::from_f64(w * scale).expect("a finite weight has a nearest value")));
            bank.filters.push((left, start..bank.weights.len()));
        }
        Ok(bank)
    }

    /// Energies `[n_mels]` of a power spectrum `[n_fft / 2 + 1]`.
    pub(crate) fn apply(&self, power: &[T], out: &mut [T]) {
        for ((first, range), energy) in self.filters.iter().zip(out) {
            let weights = &self.weights[range.clone()];
            *energy = dot(weights, &power[*first..*first + weights.len()]);
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

/// HTK's mel: 2595·log10(1 + f/700).
fn hz_to_mel(hz: f64) -> f64 {
    2595.0 * (1.0 + hz / 700.0).log10()
}

fn mel_to_hz(mel: f64) -> f64 {
    700.0 * (10f64.powf(mel / 2595.0) - 1.0)
}
