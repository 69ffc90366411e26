//! From a decoded recording to features: what a [`FeatureSpec`] asks for, in its order.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sottovoce_types::FeatureSpec;

use crate::denoise::Denoiser;
use crate::loudness::set_loudness;
use crate::mfcc::SNR_DB;
use crate::noise::add_noise;
use crate::resample::{RateError, Resampler};
use crate::voice_activity::trim_silence;
use crate::{DecodeError, Mfcc, Signal, SpecError};

/// A feature spec, planned: resampling, added noise, denoising, trimming, loudness, cepstra. It is shared freely between threads.
#[derive(Debug)]
pub struct FrontEnd {
    denoiser: Denoiser,
    mfcc: Mfcc,
    /// One per rate of the recordings met so far.
    resamplers: Mutex<BTreeMap<u32, Arc<Resampler>>>,
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
        if let Some(db) = spec.noise_snr_db
            && !SNR_DB.contains(&db)
        {
            return Err(SpecError::Noise(db));
        }
        let mfcc = Mfcc::new(spec)?;
        let resamplers = Mutex::default();
        Ok(Self { denoiser: Denoiser::new(spec.denoise, spec.sample_rate_hz), mfcc, resamplers })
    }

    /// The spec that this front end follows.
    pub fn spec(&self) -> &FeatureSpec {
        self.mfcc.spec()
    }

    /// The cepstral part.
    pub fn mfcc(&self) -> &Mfcc {
        &self.mfcc
    }

    /// What the cepstra are computed from: the recording at the spec's rate, with noise, denoised, trimmed and of the loudness asked for; `path` is
    /// for the error.
    ///
    /// # Errors
    /// [`DecodeError::SampleRate`] for a rate at which nobody records.
    pub fn condition(&self, signal: &Signal, path: &Path) -> Result<Vec<f32>, DecodeError> {
        let spec = self.spec();
        let resampler = self
            .resampler(signal.sample_rate_hz)
            .map_err(|source| DecodeError::SampleRate { path: path.to_owned(), source })?;
        let mut recorded = resampler.apply(&signal.samples);
        if let Some(db) = spec.noise_snr_db {
            add_noise(&mut recorded, db);
        }
        // Noise is estimated where nobody speaks, so before that is cut away.
        let denoised = self.denoiser.apply(&recorded);
        let mut samples = match spec.trim_db {
            Some(db) => trim_silence(&denoised, spec.sample_rate_hz, db).to_vec(),
            None => denoised,
        };
        set_loudness(&mut samples, spec.loudness);
        Ok(samples)
    }

    /// Features `[frames, width]` of a recording, at least one frame; `path` is for the error.
    ///
    /// # Errors
    /// [`DecodeError::TooShort`] if the convention completes no frame for it, [`DecodeError::TooLoud`] if a feature is not finite;
    /// otherwise as [`Self::condition`].
    pub fn features(&self, signal: &Signal, path: &Path) -> Result<Vec<f32>, DecodeError> {
        let samples = self.condition(signal, path)?;
        let features = self.mfcc.compute(&samples);
        if features.is_empty() {
            let (path, frame_ms) = (path.to_owned(), self.spec().frame_ms);
            return Err(DecodeError::TooShort { path, samples: samples.len(), frame_ms });
        }
        if features.iter().any(|v| !v.is_finite()) {
            return Err(DecodeError::TooLoud { path: path.to_owned() });
        }
        Ok(features)
    }

    fn resampler(&self, from_hz: u32) -> Result<Arc<Resampler>, RateError> {
        // A panic while it is held leaves the map as it was.
        let mut known = self.resamplers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(resampler) = known.get(&from_hz) {
            return Ok(resampler.clone());
        }
        let resampler = Arc::new(Resampler::new(from_hz, self.spec().sample_rate_hz)?);
        known.insert(from_hz, resampler.clone());
        Ok(resampler)
    }
}
