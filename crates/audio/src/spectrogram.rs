//! A spectrogram to look at.
use realfft::RealFftPlanner;

/// Samples of a frame's transform.
const N_FFT: usize = 512;
/// Nothing is shown that is so far below the loudest value.
const RANGE_DB: f32 = 80.0;

/// Power over time and frequency.
#[derive(Clone, PartialEq, Debug)]
pub struct Spectrogram {
    /// Decibels below the loudest value, at least −80; `[frames, bins]`, from 0 Hz to half the sampling rate.
    pub decibels: Vec<f32>,
    /// Bins of a frame.
    pub bins: usize,
    /// Seconds between frames.
    pub hop_seconds: f64,
}

impl Spectrogram {
    /// Frames.
    pub fn frames(&self) -> usize {
        self.decibels.len() / self.bins
    }
}

/// The spectrogram of samples: 512-point transforms of Hann windows, every 10 ms.
pub fn spectrogram(samples: &[f32], sample_rate_hz: u32) -> Spectrogram {
    let hop = (sample_rate_hz as usize / 100).max(1);
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(N_FFT);
    let window: Vec<f32> =
        (0..N_FFT).map(|n| 0.5 - 0.5 * (std::f32::consts::TAU * n as f32 / N_FFT as f32).cos()).collect();
    let (mut time, mut spectrum) = (fft.make_input_vec(), fft.make_output_vec());
    let mut decibels = Vec::new();
    for start in (0..samples.len()).step_by(hop) {
        let present = &samples[start..samples.len().min(start + N_FFT)];
        time.fill(0.0);
        for ((t, x), w) in time.iter_mut().zip(present).zip(&window) {
            *t = x * w;
        }
        fft.process(&mut time, &mut spectrum).expect("the buffers were made by this plan");
        decibels.extend(spectrum.iter().map(|c| 10.0 * c.norm_sqr().max(1e-20).log10()));
    }
    let top = decibels.iter().copied().fold(f32::MIN, f32::max);
    for v in &mut decibels {
        *v = (*v - top).max(-RANGE_DB);
    }
    Spectrogram { decibels, bins: N_FFT / 2 + 1, hop_seconds: hop as f64 / f64::from(sample_rate_hz) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_stands_out_at_its_frequency_and_nothing_has_no_frames() {
        assert_eq!(spectrogram(&[], 16_000).frames(), 0);
        let tone: Vec<f32> =
            (0u16..16_000).map(|n| (std::f32::consts::TAU * 2_000.0 * f32::from(n) / 16_000.0).sin()).collect();
        let s = spectrogram(&tone, 16_000);
        assert_eq!(s.frames(), 100);
        let frame = &s.decibels[50 * s.bins..51 * s.bins];
        let loudest = (0..s.bins).max_by(|&a, &b| frame[a].total_cmp(&frame[b])).unwrap();
        assert_eq!(loudest, 2_000 * 512 / 16_000);
        assert!(frame[10] < -60.0);
    }
}
