//! Mel-frequency cepstral coefficients, planned once and computed often.
use std::sync::{Arc, OnceLock};

use realfft::num_complex::Complex;
use realfft::{FftNum, RealFftPlanner, RealToComplex};
use sottovoce_types::FeatureSpec;

use crate::mel::MelBank;

/// Smallest mel energy, so that silence has a logarithm (python_speech_features: the machine epsilon of f64).
const ENERGY_FLOOR: f64 = 2.2e-16;

/// A feature spec that no front end can follow.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum SpecError {
    #[error("features.n_mfcc = {n_mfcc} must be at least 1 and at most features.n_mels = {n_mels}")]
    Coefficients { n_mfcc: u16, n_mels: u16 },
    #[error(
        "mel filter {filter} of {n_mels} is narrower than one bin of the FFT; \
         use fewer features.n_mels or a longer features.n_fft"
    )]
    EmptyFilter { filter: usize, n_mels: u16 },
    #[error("features.frame_ms is {frame} samples and must be at least 2 and at most features.n_fft = {n_fft}")]
    Frame { frame: usize, n_fft: u32 },
    #[error("features.hop_ms = {hop_ms} must be at least one sample long")]
    Hop { hop_ms: f64 },
    #[error(
        "the mel bank from {low_hz} to {high_hz} Hz must rise and lie within 0..{nyquist_hz} Hz (half the sample rate)"
    )]
    MelRange { low_hz: f64, high_hz: f64, nyquist_hz: f64 },
    #[error("features.preemphasis = {0} must be at least 0 and below 1")]
    Preemphasis(f64),
}

/// The MFCC front end of a [`FeatureSpec`]: pre-emphasis, frames, symmetric Hamming window, |FFT|²/n_fft, triangular mel
/// bank, natural logarithm, orthonormal DCT-II, lifter.
///
/// With the default spec this is python_speech_features 0.6 with `winfunc=numpy.hamming, appendEnergy=False`; a golden
/// vector holds the f64 path to 1e-6 and the f32 path to 1e-3 of it. It is shared freely between threads.
pub struct Mfcc {
    spec: FeatureSpec,
    single: Chain<f32>,
    double: OnceLock<Chain<f64>>,
}

impl Mfcc {
    /// Plans the transform of `spec`.
    ///
    /// # Errors
    /// [`SpecError`] naming the key that does not fit.
    pub fn new(spec: &FeatureSpec) -> Result<Self, SpecError> {
        Ok(Self { spec: spec.clone(), single: Chain::new(spec)?, double: OnceLock::new() })
    }

    /// The spec that this front end follows.
    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// Coefficients per frame.
    pub fn n_mfcc(&self) -> usize {
        usize::from(self.spec.n_mfcc)
    }

    /// Frames of a signal of `samples` samples: none for none, else 1 + ⌈(n − frame)/hop⌉, the last one zero-padded.
    pub fn frames(&self, samples: usize) -> usize {
        self.single.frames(samples)
    }

    /// MFCCs `[frames, n_mfcc]`, row by row, of samples at the spec's rate.
    pub fn compute(&self, samples: &[f32]) -> Vec<f32> {
        self.single.compute(samples)
    }

    /// [`Self::compute`] in double precision, for comparison with other implementations.
    pub fn compute_f64(&self, samples: &[f64]) -> Vec<f64> {
        self.double.get_or_init(|| Chain::new(&self.spec).expect("the spec was accepted in f32")).compute(samples)
    }
}

impl std::fmt::Debug for Mfcc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mfcc").field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// The floating-point types that the chain is written for.
trait Real: FftNum + PartialOrd {
    fn ln(self) -> Self;
}

impl Real for f32 {
    fn ln(self) -> Self {
        self.ln()
    }
}

impl Real for f64 {
    fn ln(self) -> Self {
        self.ln()
    }
}

struct Chain<T: FftNum> {
    hop: usize,
    n_mfcc: usize,
    n_mels: usize,
    preemphasis: T,
    floor: T,
    window: Vec<T>,
    fft: Arc<dyn RealToComplex<T>>,
    mel: MelBank<T>,
    /// DCT and lifter as one matrix `[n_mels, n_mfcc]`: this order lets the inner loop run over coefficients.
    cepstra: Vec<T>,
}

impl<T: Real> Chain<T> {
    fn new(spec: &FeatureSpec) -> Result<Self, SpecError> {
        let (frame, hop) = checked_lengths(spec)?;
        let fft = RealFftPlanner::new().plan_fft_forward(spec.n_fft as usize);
        // |X|² / n_fft: the division sits in the filters' weights.
        let mel = MelBank::new(spec, 1.0 / f64::from(spec.n_fft))
            .map_err(|filter| SpecError::EmptyFilter { filter, n_mels: spec.n_mels })?;
        let hamming = |i: usize| 0.54 - 0.46 * (std::f64::consts::TAU * i as f64 / (frame - 1) as f64).cos();
        Ok(Self {
            hop,
            n_mfcc: usize::from(spec.n_mfcc),
            n_mels: usize::from(spec.n_mels),
            preemphasis: real(spec.preemphasis),
            floor: real(ENERGY_FLOOR),
            window: (0..frame).map(|i| real(hamming(i))).collect(),
            fft,
            mel,
            cepstra: cepstral_matrix(spec).into_iter().map(real).collect(),
        })
    }

    fn frames(&self, samples: usize) -> usize {
        if samples == 0 { 0 } else { 1 + samples.saturating_sub(self.window.len()).div_ceil(self.hop) }
    }

    fn compute(&self, samples: &[T]) -> Vec<T> {
        let frames = self.frames(samples.len());
        let mut out = vec![T::zero(); frames * self.n_mfcc];
        let mut time = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let mut power = vec![T::zero(); spectrum.len()];
        let mut energies = vec![T::zero(); self.n_mels];
        for (index, row) in out.chunks_exact_mut(self.n_mfcc).enumerate() {
            self.fill_frame(samples, index * self.hop, &mut time);
            self.fft
                .process_with_scratch(&mut time, &mut spectrum, &mut scratch)
                .expect("the buffers were made by this plan");
            for (p, &Complex { re, im }) in power.iter_mut().zip(&spectrum) {
                *p = re * re + im * im;
            }
            self.mel.apply(&power, &mut energies);
            for (&energy, weights) in energies.iter().zip(self.cepstra.chunks_exact(self.n_mfcc)) {
                let log = (if energy > self.floor { energy } else { self.floor }).ln();
                for (c, &w) in row.iter_mut().zip(weights) {
                    *c = *c + log * w;
                }
            }
        }
        out
    }

    /// Pre-emphasised, windowed samples from `start`, zeros after the end of the signal and of the frame.
    fn fill_frame(&self, samples: &[T], start: usize, time: &mut [T]) {
        let frame = self.window.len();
        let present = samples.len().saturating_sub(start).min(frame);
        time[present..].fill(T::zero());
        if present == 0 {
            return; // only when hop > frame and the signal ends in between
        }
        // y[0] = x[0] for the signal; later frames look one sample back across their edge.
        let before = if start == 0 { T::zero() } else { samples[start - 1] };
        time[0] = (samples[start] - self.preemphasis * before) * self.window[0];
        let pairs = samples[start..start + present].windows(2);
        for ((t, pair), &w) in time[1..present].iter_mut().zip(pairs).zip(&self.window[1..]) {
            *t = (pair[1] - self.preemphasis * pair[0]) * w;
        }
    }
}

fn real<T: FftNum>(v: f64) -> T {
    T::from_f64(v).expect("every f64 has a nearest value in f32 and f64")
}

/// Frame and hop in samples, or the key of the spec that does not fit.
fn checked_lengths(spec: &FeatureSpec) -> Result<(usize, usize), SpecError> {
    let rate = f64::from(spec.sample_rate_hz);
    let samples = |ms: f64| (ms * rate / 1000.0).round() as usize; // a float out of range saturates; NaN becomes 0
    let (frame, hop) = (samples(spec.frame_ms), samples(spec.hop_ms));
    if frame < 2 || frame > spec.n_fft as usize {
        return Err(SpecError::Frame { frame, n_fft: spec.n_fft });
    }
    if hop == 0 {
        return Err(SpecError::Hop { hop_ms: spec.hop_ms });
    }
    if spec.n_mfcc == 0 || spec.n_mfcc > spec.n_mels {
        return Err(SpecError::Coefficients { n_mfcc: spec.n_mfcc, n_mels: spec.n_mels });
    }
    if !(0.0..1.0).contains(&spec.preemphasis) {
        return Err(SpecError::Preemphasis(spec.preemphasis));
    }
    let (low_hz, high_hz, nyquist_hz) = (spec.mel_low_hz, spec.mel_high_hz, rate / 2.0);
    if !(low_hz >= 0.0 && low_hz < high_hz && high_hz <= nyquist_hz) {
        return Err(SpecError::MelRange { low_hz, high_hz, nyquist_hz });
    }
    Ok((frame, hop))
}

/// `[n_mels, n_mfcc]`: orthonormal DCT-II times the lifter 1 + L/2·sin(πk/L).
fn cepstral_matrix(spec: &FeatureSpec) -> Vec<f64> {
    use std::f64::consts::PI;
    let (mels, lifter) = (f64::from(spec.n_mels), f64::from(spec.lifter));
    let lift = |k: f64| if spec.lifter == 0 { 1.0 } else { 1.0 + lifter / 2.0 * (PI * k / lifter).sin() };
    let norm = |k: f64| if k == 0.0 { (1.0 / mels).sqrt() } else { (2.0 / mels).sqrt() };
    (0..spec.n_mels)
        .map(f64::from)
        .flat_map(|m| {
            (0..spec.n_mfcc).map(f64::from).map(move |k| norm(k) * (PI * k * (m + 0.5) / mels).cos() * lift(k))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_that_cannot_work_is_refused_by_the_key_at_fault() {
        let good = FeatureSpec::default();
        let refused = |spec: FeatureSpec| Mfcc::new(&spec).unwrap_err();
        assert!(matches!(refused(FeatureSpec { frame_ms: 40.0, ..good.clone() }), SpecError::Frame { frame: 640, .. }));
        assert!(matches!(refused(FeatureSpec { frame_ms: f64::NAN, ..good.clone() }), SpecError::Frame { .. }));
        assert!(matches!(refused(FeatureSpec { hop_ms: 0.0, ..good.clone() }), SpecError::Hop { .. }));
        assert!(matches!(refused(FeatureSpec { n_mfcc: 27, ..good.clone() }), SpecError::Coefficients { .. }));
        assert!(matches!(refused(FeatureSpec { preemphasis: 1.0, ..good.clone() }), SpecError::Preemphasis(_)));
        assert!(matches!(refused(FeatureSpec { mel_high_hz: 9000.0, ..good.clone() }), SpecError::MelRange { .. }));
        assert!(matches!(refused(FeatureSpec { n_mels: 200, ..good.clone() }), SpecError::EmptyFilter { .. }));
        assert!(Mfcc::new(&good).is_ok());
    }

    #[test]
    fn frames_are_counted_as_python_speech_features_counts_them() {
        let mfcc = Mfcc::new(&FeatureSpec::default()).unwrap();
        let counts: Vec<usize> = [0, 1, 320, 321, 640, 641, 1700].into_iter().map(|n| mfcc.frames(n)).collect();
        assert_eq!(counts, [0, 1, 1, 2, 2, 3, 6]);
    }

    #[test]
    fn overlapping_and_gapped_frames_stay_within_the_signal() {
        let samples: Vec<f32> = (0u16..1000).map(|n| (f32::from(n) * 0.1).sin()).collect();
        for hop_ms in [5.0, 10.0, 35.0] {
            let mfcc = Mfcc::new(&FeatureSpec { hop_ms, ..FeatureSpec::default() }).unwrap();
            let out = mfcc.compute(&samples);
            assert_eq!(out.len(), mfcc.frames(1000) * 13);
            assert!(out.iter().all(|x| x.is_finite()));
        }
    }

    #[test]
    fn silence_has_finite_coefficients() {
        let mfcc = Mfcc::new(&FeatureSpec::default()).unwrap();
        assert!(mfcc.compute(&[0.0; 640]).iter().all(|x| x.is_finite()));
    }
}
