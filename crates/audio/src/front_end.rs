//! From a decoded recording to features: what a [`FeatureSpec`] asks for, in its order.
use std::path::Path;

use sottovoce_types::FeatureSpec;

use crate::denoise::Denoiser;
use crate::loudness::set_loudness;
use crate::resample::resample;
use crate::voice_activity::trim_silence;
use crate::{DecodeError, Mfcc, Signal, SpecError};

/// A feature spec, planned: resampling, denoising, trimming, loudness, cepstra. It is shared freely between threads.
#[derive(Debug)]
pub struct FrontEnd {
    denoiser: Denoiser,
    mfcc: Mfcc,
}

impl FrontEnd {
    /// Plans `spec`.
    ///
    /// # Errors
    /// [`SpecError`] naming the key that cannot be followed.
    pub fn new(spec: &FeatureSpec) -> Result<Self, SpecError> {
        if let Some(db) = spec.trim_db
            && !(db > 0.0 && db.is_finite())
        {
            return Err(SpecError::Trim(db));
        }
        Ok(Self { denoiser: Denoiser::new(spec.denoise, spec.sample_rate_hz), mfcc: Mfcc::new(spec)? })
    }

    /// The spec that this front end follows.
    pub fn spec(&self) -> &FeatureSpec {
        self.mfcc.spec()
    }

    /// The cepstral part.
    pub fn mfcc(&self) -> &Mfcc {
        &self.mfcc
    }

    /// What the cepstra are computed from: the recording at the spec's rate, denoised, trimmed and of the loudness asked for.
    pub fn condition(&self, signal: &Signal) -> Vec<f32> {
        let spec = self.spec();
        let resampled = resample(&signal.samples, signal.sample_rate_hz, spec.sample_rate_hz);
        // Noise is estimated where nobody speaks, so before that is cut away.
        let denoised = self.denoiser.apply(&resampled);
        let mut samples = match spec.trim_db {
            Some(db) => trim_silence(&denoised, spec.sample_rate_hz, db).to_vec(),
            None => denoised,
        };
        set_loudness(&mut samples, spec.loudness);
        samples
    }

    /// Features `[frames, width]` of a recording, at least one frame; `path` is for the error.
    ///
    /// # Errors
    /// [`DecodeError::TooShort`] if the convention completes no frame for it.
    pub fn features(&self, signal: &Signal, path: &Path) -> Result<Vec<f32>, DecodeError> {
        let samples = self.condition(signal);
        let features = self.mfcc.compute(&samples);
        if features.is_empty() {
            let (path, frame_ms) = (path.to_owned(), self.spec().frame_ms);
            return Err(DecodeError::TooShort { path, samples: samples.len(), frame_ms });
        }
        Ok(features)
    }
}
