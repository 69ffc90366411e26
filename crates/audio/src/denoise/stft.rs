//! The short-time Fourier transform and its inverse by weighted overlap-add (Crochiere 1980; Griffin & Lim 1984, Eq. 6).
use std::f64::consts::TAU;
use std::ops::Range;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// How much of a frame the next one covers; settles the window, which weighs each frame before the transform and again
/// after its inverse. The squares of the window add up to a constant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Overlap {
    /// Two hops a frame, periodic root-Hann window: the squares are Hann windows and add up to 1.
    Half,
    /// Four hops a frame, periodic Hann window: the squares add up to 3/2.
    ThreeQuarters,
}

impl Overlap {
    fn hops(self) -> usize {
        match self {
            Self::Half => 2,
            Self::ThreeQuarters => 4,
        }
    }

    fn window(self, n: usize, frame: usize) -> f64 {
        let hann = 0.5 - 0.5 * (TAU * n as f64 / frame as f64).cos();
        match self {
            Self::Half => hann.sqrt(),
            Self::ThreeQuarters => hann,
        }
    }

    /// What the squares add up to.
    fn sum(self) -> f64 {
        match self {
            Self::Half => 1.0,
            Self::ThreeQuarters => 1.5,
        }
    }
}

/// Transforms of one frame length.
pub(super) struct Stft {
    hop: usize,
    window: Vec<f32>,
    /// Undoes the sum of the squared windows and the FFT's factor of one frame.
    scale: f32,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

/// The spectra of a signal, frame by frame. The first frame holds one hop of the signal and the last one at least one
/// sample, so that every sample lies in as many frames as every other one; what is beyond the ends is 0.
pub(super) struct Spectra {
    /// `[frames, bins]`.
    values: Vec<Complex<f32>>,
    bins: usize,
    hop: usize,
    frame: usize,
    samples: usize,
}

impl Stft {
    /// Frames begin every `hop` samples, at least 1.
    pub(super) fn new(hop: usize, overlap: Overlap) -> Self {
        let frame = hop * overlap.hops();
        let mut planner = RealFftPlanner::new();
        Self {
            hop,
            window: (0..frame).map(|n| overlap.window(n, frame) as f32).collect(),
            scale: (1.0 / (overlap.sum() * frame as f64)) as f32,
            forward: planner.plan_fft_forward(frame),
            inverse: planner.plan_fft_inverse(frame),
        }
    }

    /// Samples per frame.
    pub(super) fn frame(&self) -> usize {
        self.window.len()
    }

    /// Samples from one frame to the next.
    pub(super) fn hop(&self) -> usize {
        self.hop
    }

    pub(super) fn analyse(&self, samples: &[f32]) -> Spectra {
        let (frame, bins) = (self.frame(), self.frame() / 2 + 1);
        let lead = frame - self.hop;
        let frames = (samples.len() + lead).div_ceil(self.hop);
        let mut padded = vec![0.0; (frames - 1) * self.hop + frame];
        padded[lead..lead + samples.len()].copy_from_slice(samples);
        let mut values = vec![Complex::default(); frames * bins];
        let mut time = self.forward.make_input_vec();
        let mut scratch = self.forward.make_scratch_vec();
        for (index, spectrum) in values.chunks_exact_mut(bins).enumerate() {
            let start = index * self.hop;
            for ((t, &x), &w) in time.iter_mut().zip(&padded[start..start + frame]).zip(&self.window) {
                *t = x * w;
            }
            self.forward
                .process_with_scratch(&mut time, spectrum, &mut scratch)
                .expect("the buffers were made by this plan");
        }
        Spectra { values, bins, hop: self.hop, frame, samples: samples.len() }
    }

    /// The signal of `spectra`, which serve as work space.
    pub(super) fn synthesise(&self, spectra: &mut Spectra) -> Vec<f32> {
        let (frame, lead) = (self.frame(), self.frame() - self.hop);
        let mut padded = vec![0.0; (spectra.frames() - 1) * self.hop + frame];
        let mut time = self.inverse.make_output_vec();
        let mut scratch = self.inverse.make_scratch_vec();
        for (index, spectrum) in spectra.values.chunks_exact_mut(spectra.bins).enumerate() {
            // Real weights leave these real; realfft refuses anything else.
            spectrum[0].im = 0.0;
            if frame.is_multiple_of(2) {
                spectrum[frame / 2].im = 0.0;
            }
            self.inverse
                .process_with_scratch(spectrum, &mut time, &mut scratch)
                .expect("the buffers were made by this plan and the ends are real");
            let start = index * self.hop;
            for ((sum, &t), &w) in padded[start..start + frame].iter_mut().zip(&time).zip(&self.window) {
                *sum += t * w * self.scale;
            }
        }
        padded.drain(..lead);
        padded.truncate(spectra.samples);
        padded
    }
}

impl Spectra {
    pub(super) fn bins(&self) -> usize {
        self.bins
    }

    pub(super) fn frames(&self) -> usize {
        self.values.len() / self.bins
    }

    /// Frames that begin and end within the signal.
    pub(super) fn whole(&self) -> Range<usize> {
        let first = (self.frame - self.hop) / self.hop;
        let count = (self.samples + self.hop).saturating_sub(self.frame) / self.hop;
        first..first + count
    }

    /// Frames whose middle lies within the signal or at one of its ends: those that scipy's `stft` makes.
    pub(super) fn centred(&self) -> Range<usize> {
        let first = (self.frame / 2 - self.hop) / self.hop;
        first..first + self.samples / self.hop + 1
    }

    /// The spectra of `frames`, `[bins]` each.
    pub(super) fn rows(&self, frames: Range<usize>) -> impl Iterator<Item = &[Complex<f32>]> {
        self.values[frames.start * self.bins..frames.end * self.bins].chunks_exact(self.bins)
    }

    /// All spectra, `[bins]` each.
    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = &mut [Complex<f32>]> {
        self.values.chunks_exact_mut(self.bins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_analysed_and_not_touched_comes_back() {
        for (overlap, hop) in [(Overlap::Half, 256), (Overlap::ThreeQuarters, 256), (Overlap::Half, 1)] {
            let stft = Stft::new(hop, overlap);
            for samples in [1, 2, 255, 256, 511, 512, 513, 1024, 5000] {
                let signal: Vec<f32> = (0..samples).map(|n| ((n * 7919 % 2001) as f32 / 1000.0) - 1.0).collect();
                let mut spectra = stft.analyse(&signal);
                let back = stft.synthesise(&mut spectra);
                assert_eq!(back.len(), samples);
                let error = signal.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(error < 1e-5, "{overlap:?}, {samples} samples: {error}");
            }
        }
    }

    #[test]
    fn whole_frames_hold_nothing_from_beyond_the_ends() {
        let stft = Stft::new(4, Overlap::ThreeQuarters); // frames begin at -12, -8, …
        let ranges = |samples| {
            let spectra = stft.analyse(&vec![1.0; samples]);
            (spectra.frames(), spectra.whole(), spectra.centred())
        };
        assert_eq!(ranges(15), (7, 3..3, 1..5));
        assert_eq!(ranges(16), (7, 3..4, 1..6));
        assert_eq!(ranges(19), (8, 3..4, 1..6));
        assert_eq!(ranges(20), (8, 3..5, 1..7));
    }
}
