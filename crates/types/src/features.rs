//! The feature front end as a spec that travels: what is done to a recording until it is rows of coefficients.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Digest, Sha256Writer};

/// Version of the arithmetic behind a [`FeatureSpec`]: it is raised when the same spec comes to give other features, so that no
/// older cache is taken for a new one.
const ARITHMETIC: u64 = 1;

/// How features are scaled before training.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standardisation {
    /// As they are.
    None,
    /// Mean 0 and variance 1 of each coefficient over the frames of each clip. Throws away what differs between clips: about
    /// 6 points on acted speech.
    PerUtterance,
    /// Mean 0 and variance 1 over each speaker's own clips; nothing leaves the device.
    #[default]
    PerSpeaker,
    /// By the mean and variance that synthesised voices have under the same front end: nobody's data, the same at every site,
    /// and an utterance's features depend on no other utterance.
    Public,
}

/// Whose arithmetic the front end follows. A convention settles what no other key does: how frames are cut and padded, where
/// pre-emphasis acts, the geometry of the mel triangles, the logarithm, the scale of the cosine transform and of the samples;
/// and it gives every other key its default ([`FeatureSpec::of`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// The seed paper's chain: python_speech_features with `winfunc=numpy.hamming, appendEnergy=False`, 20 ms frames without
    /// overlap.
    #[default]
    Sottovoce,
    /// python_speech_features 0.6 by its own defaults.
    PythonSpeechFeatures,
    /// `librosa.feature.mfcc` by its own defaults.
    Librosa,
    /// `torchaudio.transforms.MFCC` by its own defaults.
    Torchaudio,
    /// Kaldi's `compute-mfcc-feats` by its own defaults, without dither.
    Kaldi,
    /// HTK as its book's tutorial sets it; c0 comes first here and last there.
    Htk,
}

impl Convention {
    /// All conventions.
    pub const ALL: [Self; 6] =
        [Self::Sottovoce, Self::PythonSpeechFeatures, Self::Librosa, Self::Torchaudio, Self::Kaldi, Self::Htk];

    /// The word used in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sottovoce => "sottovoce",
            Self::PythonSpeechFeatures => "python_speech_features",
            Self::Librosa => "librosa",
            Self::Torchaudio => "torchaudio",
            Self::Kaldi => "kaldi",
            Self::Htk => "htk",
        }
    }
}

impl fmt::Display for Convention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no convention.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no convention; use one of: sottovoce, python_speech_features, librosa, torchaudio, kaldi, htk")]
pub struct UnknownConvention(pub String);

impl FromStr for Convention {
    type Err = UnknownConvention;
    fn from_str(s: &str) -> Result<Self, UnknownConvention> {
        Self::ALL.into_iter().find(|c| c.name() == s).ok_or_else(|| UnknownConvention(s.to_owned()))
    }
}

/// What takes noise out before the features.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Denoising {
    /// Nothing: on clean acted speech denoising brings nothing and can cost 2 to 4 points.
    #[default]
    None,
    /// Power spectral subtraction, mild (Berouti, Schwartz & Makhoul 1979).
    SpectralSubtraction,
    /// A gate per frequency bin at a threshold above the noise's own spectrum, smoothed (Sainburg & Zorea 2024, stationary).
    SpectralGating,
    /// Decision-directed Wiener filter (Ephraim & Malah 1984; Scalart & Vieira Filho 1996).
    Wiener,
}

/// How loud a recording is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loudness {
    /// As recorded: loudness tells emotions apart.
    #[default]
    AsRecorded,
    /// The largest sample at full scale.
    Peak,
    /// The same root mean square in all, 20 dB below full scale.
    Rms,
}

/// The window that each frame is weighted with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// 0.54 − 0.46 cos(2πn/(N−1)).
    #[default]
    Hamming,
    /// 0.5 − 0.5 cos(2πn/N): periodic, as libraries make it for the short-time transform.
    Hann,
    /// (0.5 − 0.5 cos(2πn/(N−1)))^0.85, Kaldi's.
    Povey,
    /// All ones.
    Rectangular,
}

/// How frequency becomes mel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MelScale {
    /// 2595·log10(1 + f/700).
    #[default]
    Htk,
    /// Linear to 1 kHz, logarithmic above (Slaney's Auditory Toolbox, 1998).
    Slaney,
}

/// How high the mel triangles are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MelNorm {
    /// Peak 1.
    #[default]
    Peak,
    /// Area 1 over Hz: the peak is 2 / width (Slaney).
    Area,
}

/// What stands in the place of c0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstCoefficient {
    /// c0 itself: the mean of the log energies.
    #[default]
    Cepstral,
    /// The logarithm of the frame's energy.
    LogEnergy,
}

/// The whole front end, from samples at any rate to rows of coefficients; two caches hold the same features exactly if their
/// specs are equal. The default is the convention of the seed paper.
///
/// The order of work: resampling, added noise, denoising, trimming, loudness, then frames and cepstra.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSpec {
    /// Whose arithmetic is followed.
    pub convention: Convention,
    /// Samples per second after resampling.
    pub sample_rate_hz: u32,
    /// White noise added to each recording at this ratio of its power to the noise's, in decibels, to see what noise does to results
    /// and what denoising mends; the same for the same recording. None is added where this is absent.
    pub noise_snr_db: Option<f64>,
    /// What takes noise out.
    pub denoise: Denoising,
    /// Cut what is before and after the voice: frames that are this many decibels below the loudest one (30 is usual). Nothing is cut
    /// where this is absent.
    pub trim_db: Option<f64>,
    /// How loud the recording is made.
    pub loudness: Loudness,
    /// Frame length in milliseconds.
    pub frame_ms: f64,
    /// Step between frames in milliseconds.
    pub hop_ms: f64,
    /// Length of the discrete Fourier transform.
    pub n_fft: u32,
    /// The window.
    pub window: Window,
    /// Pre-emphasis factor a in y\[n\] = x\[n\] − a·x\[n−1\].
    pub preemphasis: f64,
    /// Mel filters.
    pub n_mels: u16,
    /// How frequency becomes mel.
    pub mel_scale: MelScale,
    /// How high the triangles are.
    pub mel_norm: MelNorm,
    /// Lower edge of the mel bank in Hz.
    pub mel_low_hz: f64,
    /// Upper edge of the mel bank in Hz.
    pub mel_high_hz: f64,
    /// Smallest mel energy, on the convention's scale, so that silence has a logarithm.
    pub log_floor: f64,
    /// Cepstral coefficients kept, c0 first.
    pub n_mfcc: u16,
    /// Sinusoidal lifter length; 0 for none.
    pub lifter: u16,
    /// What stands in the place of c0.
    pub first_coefficient: FirstCoefficient,
    /// Orders of differences appended to each frame: 0, 1 (deltas) or 2 (deltas and delta-deltas), by regression over two frames to each
    /// side (HTK Book, Eq. 5.16).
    pub deltas: u8,
}

impl Default for FeatureSpec {
    fn default() -> Self {
        Self::of(Convention::default())
    }
}

impl FeatureSpec {
    /// The defaults of a convention, at 16 kHz: what its library computes when nothing else is asked of it.
    pub fn of(convention: Convention) -> Self {
        let sottovoce = Self {
            convention,
            sample_rate_hz: 16_000,
            noise_snr_db: None,
            denoise: Denoising::None,
            trim_db: None,
            loudness: Loudness::AsRecorded,
            frame_ms: 20.0,
            hop_ms: 20.0,
            n_fft: 512,
            window: Window::Hamming,
            preemphasis: 0.97,
            n_mels: 26,
            mel_scale: MelScale::Htk,
            mel_norm: MelNorm::Peak,
            mel_low_hz: 0.0,
            mel_high_hz: 8_000.0,
            log_floor: f64::EPSILON,
            n_mfcc: 13,
            lifter: 22,
            first_coefficient: FirstCoefficient::Cepstral,
            deltas: 0,
        };
        match convention {
            Convention::Sottovoce => sottovoce,
            Convention::PythonSpeechFeatures => Self {
                frame_ms: 25.0,
                hop_ms: 10.0,
                window: Window::Rectangular,
                first_coefficient: FirstCoefficient::LogEnergy,
                ..sottovoce
            },
            Convention::Librosa => Self {
                frame_ms: 128.0,
                hop_ms: 32.0,
                n_fft: 2048,
                window: Window::Hann,
                preemphasis: 0.0,
                n_mels: 128,
                mel_scale: MelScale::Slaney,
                mel_norm: MelNorm::Area,
                log_floor: 1e-10,
                n_mfcc: 20,
                lifter: 0,
                ..sottovoce
            },
            Convention::Torchaudio => Self {
                frame_ms: 25.0,
                hop_ms: 12.5,
                n_fft: 400,
                window: Window::Hann,
                preemphasis: 0.0,
                n_mels: 128,
                log_floor: 1e-10,
                n_mfcc: 40,
                lifter: 0,
                ..sottovoce
            },
            Convention::Kaldi => Self {
                frame_ms: 25.0,
                hop_ms: 10.0,
                window: Window::Povey,
                n_mels: 23,
                mel_low_hz: 20.0,
                log_floor: 1.192_092_895_507_812_5e-7, // the machine epsilon of f32
                first_coefficient: FirstCoefficient::LogEnergy,
                ..sottovoce
            },
            Convention::Htk => Self { frame_ms: 25.0, hop_ms: 10.0, log_floor: 1.0, ..sottovoce },
        }
    }

    /// Statistics that one vector of a clip holds for each value of a frame (`sottovoce_audio::pooled_statistics`).
    pub const STATISTICS: usize = 5;

    /// Frames that a model reads of a clip, at most: one minute at 20 ms. What a site can do must not hang on how long its longest
    /// recording is, and memory of self-attention grows with the square of it.
    pub const MAX_FRAMES: usize = 3000;

    /// Values per frame: the cepstral coefficients, and as many for each order of differences.
    pub fn width(&self) -> usize {
        usize::from(self.n_mfcc) * (1 + usize::from(self.deltas))
    }

    /// Identifies the spec: caches made under another one are refused.
    pub fn digest(&self) -> Digest {
        // No `..`: a key that the spec gains must enter its digest.
        let Self {
            convention,
            sample_rate_hz,
            noise_snr_db,
            denoise,
            trim_db,
            loudness,
            frame_ms,
            hop_ms,
            n_fft,
            window,
            preemphasis,
            n_mels,
            mel_scale,
            mel_norm,
            mel_low_hz,
            mel_high_hz,
            log_floor,
            n_mfcc,
            lifter,
            first_coefficient,
            deltas,
        } = self;
        let mut w = Sha256Writer::new("sottovoce/2/features");
        w.number(ARITHMETIC);
        w.field(convention.name().as_bytes());
        let choices = [
            *denoise as u64,
            *loudness as u64,
            *window as u64,
            *mel_scale as u64,
            *mel_norm as u64,
            *first_coefficient as u64,
        ];
        let counts = [*sample_rate_hz, *n_fft, (*n_mels).into(), (*n_mfcc).into(), (*lifter).into(), (*deltas).into()];
        for n in choices.into_iter().chain(counts.map(u64::from)) {
            w.number(n);
        }
        for v in [frame_ms, hop_ms, preemphasis, mel_low_hz, mel_high_hz, log_floor] {
            w.number(v.to_bits());
        }
        for db in [noise_snr_db, trim_db] {
            match db {
                None => w.number(0),
                Some(db) => w.number(1).number(db.to_bits()),
            };
        }
        w.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feature_specs_that_differ_have_different_digests() {
        let default = FeatureSpec::default();
        let others = [
            FeatureSpec { hop_ms: 10.0, ..default.clone() },
            FeatureSpec { trim_db: Some(0.0), ..default.clone() },
            FeatureSpec { noise_snr_db: Some(0.0), ..default.clone() },
            FeatureSpec { denoise: Denoising::Wiener, ..default.clone() },
            FeatureSpec { deltas: 1, ..default.clone() },
            FeatureSpec { mel_norm: MelNorm::Area, ..default.clone() },
        ];
        let all: std::collections::BTreeSet<_> =
            others.iter().chain([&default]).map(|s| s.digest().to_string()).collect();
        assert_eq!(all.len(), others.len() + 1);
        let conventions: std::collections::BTreeSet<_> =
            Convention::ALL.into_iter().map(|c| FeatureSpec::of(c).digest().to_string()).collect();
        assert_eq!(conventions.len(), Convention::ALL.len());
    }

    #[test]
    fn conventions_are_known_by_their_names() {
        for convention in Convention::ALL {
            assert_eq!(convention.name().parse(), Ok(convention));
        }
        assert!("htk2".parse::<Convention>().unwrap_err().to_string().contains("python_speech_features"));
    }
}
