//! Taking noise out of a recording, one method a file; all of them weigh the bins of a short-time spectrum.
mod noise;
mod spectral_gating;
mod spectral_subtraction;
mod stft;
mod wiener;

use sottovoce_types::Denoising;

use self::spectral_gating::SpectralGate;
use self::stft::{Overlap, Stft};

/// Frame of spectral subtraction and of the Wiener filter in seconds, two hops long: a voice holds still that long.
const SHORT_FRAME_SECONDS: f64 = 0.032;
/// Frame of the gate in seconds, four hops long: the 1024 samples of noisereduce at 16 kHz.
const LONG_FRAME_SECONDS: f64 = 0.064;

/// Takes steady noise out of recordings at one sample rate; planned once and shared freely between threads.
///
/// No method needs a recording of the noise alone: each finds it in the signal itself. On clean acted speech denoising
/// brings nothing and can cost 2 to 4 points of accuracy; it is there for noisy rooms. Gains never exceed 1, and work is
/// done at a peak of 1, so that a louder recording gives the same output, louder.
pub struct Denoiser {
    method: Denoising,
    sample_rate_hz: u32,
    filter: Option<Filter>,
}

struct Filter {
    stft: Stft,
    gains: Gains,
}

/// How the bins are weighed.
enum Gains {
    SpectralSubtraction,
    SpectralGating(SpectralGate),
    Wiener,
}

impl Denoiser {
    /// Plans `method` for signals at `sample_rate_hz` (0 counts as 1); frames last equally long at every rate.
    pub fn new(method: Denoising, sample_rate_hz: u32) -> Self {
        let sample_rate_hz = sample_rate_hz.max(1);
        let hop = |seconds: f64, hops: f64| (seconds / hops * f64::from(sample_rate_hz)).round().max(1.0) as usize;
        let short = || Stft::new(hop(SHORT_FRAME_SECONDS, 2.0), Overlap::Half);
        let filter = match method {
            Denoising::None => None,
            Denoising::SpectralSubtraction => Some(Filter { stft: short(), gains: Gains::SpectralSubtraction }),
            Denoising::SpectralGating => {
                let stft = Stft::new(hop(LONG_FRAME_SECONDS, 4.0), Overlap::ThreeQuarters);
                let gate = SpectralGate::new(&stft, sample_rate_hz);
                Some(Filter { stft, gains: Gains::SpectralGating(gate) })
            }
            Denoising::Wiener => Some(Filter { stft: short(), gains: Gains::Wiener }),
        };
        Self { method, sample_rate_hz, filter }
    }

    /// What this takes noise out with.
    pub fn method(&self) -> Denoising {
        self.method
    }

    /// `samples` with less noise; as many, in the same places, finite if they are. A signal shorter than one frame (32 or
    /// 64 ms) holds no picture of its noise and is returned as it is, as is silence.
    pub fn apply(&self, samples: &[f32]) -> Vec<f32> {
        let peak = samples.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        let Some(filter) = self.filter.as_ref().filter(|f| samples.len() >= f.stft.frame() && peak > 0.0) else {
            return samples.to_vec();
        };
        let levelled: Vec<f32> = samples.iter().map(|x| x / peak).collect();
        let mut out = filter.apply(&levelled);
        for y in &mut out {
            *y = (*y * peak).clamp(f32::MIN, f32::MAX); // overlapping frames may overshoot the peak
        }
        out
    }
}

impl Filter {
    fn apply(&self, samples: &[f32]) -> Vec<f32> {
        let mut spectra = self.stft.analyse(samples);
        match &self.gains {
            Gains::SpectralSubtraction => spectral_subtraction::weigh(&mut spectra),
            Gains::SpectralGating(gate) => gate.weigh(&mut spectra),
            Gains::Wiener => wiener::weigh(&mut spectra),
        }
        self.stft.synthesise(&mut spectra)
    }
}

impl std::fmt::Debug for Denoiser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Denoiser")
            .field("method", &self.method)
            .field("sample_rate_hz", &self.sample_rate_hz)
            .finish_non_exhaustive()
    }
}
