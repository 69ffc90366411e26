//! A gate in each bin, open where the bin is louder than it usually is.
use super::stft::{Spectra, Stft};

/// Deviations above its mean level at which a bin's gate opens (noisereduce: `n_std_thresh_stationary`).
const DEVIATIONS: f64 = 1.5;
/// A bin's levels count as at most this far below its highest one, as a ratio of powers: 80 dB (noisereduce: `top_db`).
const DYNAMIC_RANGE: f32 = 1e-8;
/// Width over which the gates are smoothed along frequency (noisereduce: `freq_mask_smooth_hz`).
const SMOOTHING_HZ: f64 = 500.0;
/// Reach over which they are smoothed along time, to each side (noisereduce: `time_mask_smooth_ms`).
const SMOOTHING_SECONDS: f64 = 0.05;

/// Stationary spectral gating (Sainburg & Zorea, "Noisereduce: domain general noise reduction for time series signals",
/// 2024) as noisereduce 3.0.3 does it with `stationary=True`: the threshold of a bin is the mean plus 1.5 standard
/// deviations of its level in dB over the signal itself, a bin passes or not, and the passes are smoothed with a
/// triangle along each axis, zeros beyond their ends.
///
/// It differs in this: frames last 64 ms at any rate, not 1024 samples; the whole signal is taken at once, not 600 000
/// samples at a time, and its noise from all of it, not from the first 600 000; frames begin at multiples of the hop
/// from the signal's start, where noisereduce's begin 48 samples earlier (its padding of 30 000 is no multiple of its
/// hop). With `padding=1024` there both agree to rounding.
pub(super) struct SpectralGate {
    /// Half the base of the triangle along frequency, in bins: its weights are 1, 2, …, half, …, 2, 1.
    half_bins: usize,
    /// The same along time, in frames.
    half_frames: usize,
}

impl SpectralGate {
    pub(super) fn new(stft: &Stft, sample_rate_hz: u32) -> Self {
        // noisereduce takes a bin for twice as wide as it is, so that a width becomes the reach to one side.
        let bin_hz = 2.0 * f64::from(sample_rate_hz) / stft.frame() as f64;
        let hop_seconds = stft.hop() as f64 / f64::from(sample_rate_hz);
        Self {
            half_bins: (SMOOTHING_HZ / bin_hz) as usize + 1,
            half_frames: (SMOOTHING_SECONDS / hop_seconds) as usize + 1,
        }
    }

    pub(super) fn weigh(&self, spectra: &mut Spectra) {
        let (bins, frames) = (spectra.bins(), spectra.frames());
        let mask = open_gates(spectra);
        let most = (self.half_bins * self.half_bins * self.half_frames * self.half_frames) as f32;
        let mut counts = vec![0u8; bins];
        // Zeros at both ends, as triangle_sums wants them. Whole numbers, which f32 holds exactly to 2^24.
        let mut padded = vec![0.0f32; self.half_bins + bins + self.half_bins + 1];
        for (t, row) in spectra.rows_mut().enumerate() {
            counts.fill(0);
            let first = (t + 1).saturating_sub(self.half_frames);
            for near in first..(t + self.half_frames).min(frames) {
                let weight = (self.half_frames - near.abs_diff(t)) as u8;
                for (count, open) in counts.iter_mut().zip(&mask[near * bins..(near + 1) * bins]) {
                    // At most half², and half is at most 5. Not `+`, whose check for overflow costs more than all the rest.
                    *count = count.wrapping_add(weight & open);
                }
            }
            for (p, &count) in padded[self.half_bins..].iter_mut().zip(&counts) {
                *p = f32::from(count);
            }
            for (y, sum) in row.iter_mut().zip(triangle_sums(&padded, self.half_bins)) {
                *y *= sum / most;
            }
        }
    }
}

/// Which bins are above their threshold, `[frames, bins]`: all bits of a byte or none.
fn open_gates(spectra: &Spectra) -> Vec<u8> {
    let all = 0..spectra.frames();
    let mut thresholds = thresholds(spectra);
    for (threshold, floor) in thresholds.iter_mut().zip(floors(spectra, all.clone())) {
        if floor > *threshold {
            *threshold = -1.0; // no level counts as lower than the floor, so that all pass
        }
    }
    let mut mask = Vec::with_capacity(all.len() * spectra.bins());
    for row in spectra.rows(all) {
        mask.extend(
            row.iter().zip(&thresholds).map(|(y, &threshold)| if y.norm_sqr() > threshold { u8::MAX } else { 0 }),
        );
    }
    mask
}

/// The power `[bins]` 80 dB below the highest of each bin in `frames`.
fn floors(spectra: &Spectra, frames: std::ops::Range<usize>) -> Vec<f32> {
    let mut floors = vec![0.0f32; spectra.bins()];
    for row in spectra.rows(frames) {
        for (floor, y) in floors.iter_mut().zip(row) {
            *floor = floor.max(y.norm_sqr());
        }
    }
    // The smallest normal number, so that an empty bin has a logarithm.
    floors.iter().map(|highest| (highest * DYNAMIC_RANGE).max(f32::MIN_POSITIVE)).collect()
}

/// The power `[bins]` above which a bin's gate opens. Levels are binary logarithms of power: mean and deviation mean the
/// same in them as in dB.
fn thresholds(spectra: &Spectra) -> Vec<f32> {
    let frames = spectra.centred();
    let n = frames.len() as f64;
    let floors = floors(spectra, frames.clone());
    let mut levels = vec![0.0f32; spectra.bins()];
    let mut sums = vec![0.0f64; spectra.bins()];
    let mut squares = sums.clone();
    for row in spectra.rows(frames) {
        // Three loops, because the call of the logarithm keeps what it stands among from running four bins at once.
        for ((level, y), &floor) in levels.iter_mut().zip(row).zip(&floors) {
            *level = y.norm_sqr().max(floor);
        }
        for level in &mut levels {
            *level = level.log2();
        }
        for ((sum, square), &level) in sums.iter_mut().zip(&mut squares).zip(&levels) {
            let level = f64::from(level);
            *sum += level;
            *square += level * level;
        }
    }
    let threshold = |(sum, squares): (f64, f64)| {
        let mean = sum / n;
        let deviation = (squares / n - mean * mean).max(0.0).sqrt();
        (mean + DEVIATIONS * deviation).exp2() as f32
    };
    sums.into_iter().zip(squares).map(threshold).collect()
}

/// Σ (half − |d|)·padded\[place + d\] over d, for each place between the `half` zeros that `padded` begins with and the
/// `half + 1` that it ends with. From one place to the next the sum grows by what comes nearer and shrinks by what moves
/// away, both of which are running sums.
fn triangle_sums(padded: &[f32], half: usize) -> impl Iterator<Item = f32> {
    let weight = |i: usize| (half - i.abs_diff(half)) as f32;
    let mut sum: f32 = (0..2 * half).map(|i| weight(i) * padded[i]).sum();
    let mut nearer: f32 = padded[half + 1..=2 * half].iter().sum();
    let mut farther: f32 = padded[1..=half].iter().sum();
    let entering = &padded[2 * half + 1..];
    let passing = &padded[half + 1..];
    let leaving = &padded[1..];
    entering.iter().zip(passing).zip(leaving).map(move |((entering, passing), leaving)| {
        let here = sum;
        sum += nearer - farther;
        nearer += entering - passing;
        farther += passing - leaving;
        here
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_triangle_sums_equal_their_definition() {
        for half in [1usize, 2, 5, 17] {
            let inside: Vec<f32> = (0..40).map(|i| ((i * i * 7 + i) % 5) as f32).collect();
            let mut padded = vec![0.0; half];
            padded.extend(&inside);
            padded.extend(vec![0.0; half + 1]);
            let wanted = (0..inside.len()).map(|place| {
                let weight = |i: usize| half.saturating_sub(i.abs_diff(place)) as f32;
                inside.iter().enumerate().map(|(i, x)| weight(i) * x).sum::<f32>()
            });
            assert_eq!(triangle_sums(&padded, half).collect::<Vec<_>>(), wanted.collect::<Vec<_>>(), "half {half}");
        }
    }
}
