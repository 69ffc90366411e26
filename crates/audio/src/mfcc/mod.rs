//! Mel-frequency cepstral coefficients, planned once and computed often.
//!
//! A [`Convention`](sottovoce_types::Convention) is two things: defaults of all keys, in the spec itself, and the rest, in [`recipe`].
//! `tests/mfcc_conventions.rs` holds each to its library's own output.
mod chain;
mod deltas;
mod mel;
mod recipe;

use std::sync::OnceLock;

use sottovoce_types::FeatureSpec;

use crate::resample::RATES_HZ;

use chain::Chain;

/// Lengths of the transform: a quarter of a second at 192 kHz is more than speech needs.
const N_FFT: std::ops::RangeInclusive<u32> = 2..=65_536;
/// Noise that is heard, up to noise that drowns all.
pub(crate) const SNR_DB: std::ops::RangeInclusive<f64> = -100.0..=100.0;

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
    #[error("features.n_fft = {0} must be between {low} and {high}", low = N_FFT.start(), high = N_FFT.end())]
    Fft(u32),
    #[error("features.frame_ms is {frame} samples and must be at least 2 and at most features.n_fft = {n_fft}")]
    Frame { frame: usize, n_fft: u32 },
    #[error("features.hop_ms = {hop_ms} must be at least one sample long")]
    Hop { hop_ms: f64 },
    #[error(
        "the mel bank from {low_hz} to {high_hz} Hz must rise and lie within 0..{nyquist_hz} Hz (half the sample rate)"
    )]
    MelRange { low_hz: f64, high_hz: f64, nyquist_hz: f64 },
    #[error("features.deltas = {0} must be 0, 1 or 2")]
    Deltas(u8),
    #[error("features.noise_snr_db = {0} must be between {low} and {high}", low = SNR_DB.start(), high = SNR_DB.end())]
    Noise(f64),
    #[error(
        "features.sample_rate_hz = {0} must be between {low} and {high}",
        low = RATES_HZ.start(),
        high = RATES_HZ.end()
    )]
    SampleRate(u32),
    #[error(
        "features.log_floor = {0} must be at least 1.2e-38 (the smallest f32) and finite, or silence has no logarithm"
    )]
    LogFloor(f64),
    #[error("features.preemphasis = {0} must be at least 0 and below 1")]
    Preemphasis(f64),
    #[error("features.trim_db = {0} must be above 0: decibels below the loudest frame (30 is usual)")]
    Trim(f64),
}

/// The cepstral part of a [`FeatureSpec`]: pre-emphasis, frames, window, spectrum, triangular mel bank, logarithm, DCT-II, lifter,
/// differences. What comes before it (resampling, denoising, trimming, loudness) is [`FrontEnd`](crate::FrontEnd)'s.
///
/// With the default spec this is python_speech_features 0.6 with `winfunc=numpy.hamming, appendEnergy=False`; a golden
/// vector holds the f64 path to 1e-6 and the f32 path to 1e-3 of it. Frames of digital silence but for the lowest bit come out up to a few units apart in
/// f32: there the rounding of the transform is as large as the energy. It is shared freely between threads.
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

    /// Values per frame: [`FeatureSpec::width`].
    pub fn width(&self) -> usize {
        self.spec.width()
    }

    /// Frames of a signal of `samples` samples, counted as the convention counts them: by default none for none, else
    /// 1 + ⌈(n − frame)/hop⌉, the last one zero-padded.
    pub fn frames(&self, samples: usize) -> usize {
        self.single.frames(samples)
    }

    /// MFCCs `[frames, width]`, row by row, of samples at the spec's rate.
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

/// Frame and hop in samples, or the key of the spec that does not fit.
fn checked_lengths(spec: &FeatureSpec) -> Result<(usize, usize), SpecError> {
    if !N_FFT.contains(&spec.n_fft) {
        return Err(SpecError::Fft(spec.n_fft));
    }
    if !RATES_HZ.contains(&spec.sample_rate_hz) {
        return Err(SpecError::SampleRate(spec.sample_rate_hz));
    }
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
    if spec.deltas > 2 {
        return Err(SpecError::Deltas(spec.deltas));
    }
    if !(spec.log_floor >= f64::from(f32::MIN_POSITIVE) && spec.log_floor <= f64::from(f32::MAX)) {
        return Err(SpecError::LogFloor(spec.log_floor));
    }
    let (low_hz, high_hz, nyquist_hz) = (spec.mel_low_hz, spec.mel_high_hz, rate / 2.0);
    if !(low_hz >= 0.0 && low_hz < high_hz && high_hz <= nyquist_hz) {
        return Err(SpecError::MelRange { low_hz, high_hz, nyquist_hz });
    }
    Ok((frame, hop))
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
        assert!(matches!(refused(FeatureSpec { deltas: 3, ..good.clone() }), SpecError::Deltas(3)));
        assert!(matches!(refused(FeatureSpec { log_floor: 1e-50, ..good.clone() }), SpecError::LogFloor(_)));
        assert!(matches!(refused(FeatureSpec { n_fft: u32::MAX, ..good.clone() }), SpecError::Fft(_)));
        assert!(matches!(refused(FeatureSpec { sample_rate_hz: 500, ..good.clone() }), SpecError::SampleRate(500)));
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
