//! `[features]`: the keys of [`FeatureSpec`], and how features are scaled.
use serde::{Deserialize, Serialize};
use sottovoce_types::{
    Convention, Denoising, FeatureSpec, FirstCoefficient, Loudness, MelNorm, MelScale, Standardisation, Window,
};

/// The section and its conversions from one list, so that a key that [`FeatureSpec`] gains must be given a place here.
macro_rules! features {
    ($($(#[$attribute:meta])* $key:ident: $type:ty),* $(,)?) => {
        /// `[features]`: the keys of [`FeatureSpec`], and how features are scaled. `convention` gives all others their defaults.
        #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[allow(missing_docs, reason = "the fields are those of FeatureSpec, which documents them")]
        pub struct Features {
            $($(#[$attribute])* pub $key: $type,)*
            pub standardisation: Standardisation,
        }

        impl Features {
            /// What a convention's library does by its own defaults.
            pub fn of(convention: Convention) -> Self {
                let FeatureSpec { $($key),* } = FeatureSpec::of(convention);
                Self { $($key,)* standardisation: Standardisation::default() }
            }

            /// The front end.
            pub fn spec(&self) -> FeatureSpec {
                let Self { $($key,)* standardisation: _ } = self.clone();
                FeatureSpec { $($key),* }
            }
        }
    };
}

features! {
    convention: Convention,
    sample_rate_hz: u32,
    #[serde(deserialize_with = "decibels_or_none")]
    noise_snr_db: Option<f64>,
    denoise: Denoising,
    #[serde(deserialize_with = "decibels_or_none")]
    trim_db: Option<f64>,
    loudness: Loudness,
    frame_ms: f64,
    hop_ms: f64,
    n_fft: u32,
    window: Window,
    preemphasis: f64,
    n_mels: u16,
    mel_scale: MelScale,
    mel_norm: MelNorm,
    mel_low_hz: f64,
    mel_high_hz: f64,
    log_floor: f64,
    n_mfcc: u16,
    lifter: u16,
    first_coefficient: FirstCoefficient,
    deltas: u8,
}

impl Default for Features {
    fn default() -> Self {
        Self::of(Convention::default())
    }
}

/// A number, or the word `none`: TOML has no null, and a file must be able to take back what the file that it extends says.
fn decibels_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected decibels, or \"none\"")]
    enum Written {
        Decibels(f64),
        Word(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Decibels(db) => Ok(Some(db)),
        Written::Word(word) if word == "none" => Ok(None),
        Written::Word(word) => Err(serde::de::Error::custom(format!("expected decibels, or \"none\", not {word:?}"))),
    }
}
