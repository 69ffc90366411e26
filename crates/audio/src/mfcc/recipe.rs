//! What a convention settles that no key of the feature spec does. Each line was read in the library's own source;
//! `tests/vectors/NOTES.md` says where, and reference vectors hold each to its library.
use sottovoce_types::Convention;

/// How a signal is cut into frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// Frame i is centred on sample i·hop; what lies outside is zero.
    CentreZeros,
    /// Frame i is centred on sample i·hop; what lies outside mirrors the signal about its end sample.
    CentreReflect,
    /// From the first sample on; the last frame is completed with zeros.
    PadLast,
    /// From the first sample on; whole frames only.
    WholeFrames,
}

/// Where pre-emphasis acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Emphasis {
    /// On the signal: y\[0\] = x\[0\].
    Signal,
    /// In each frame by itself: y\[0\] = (1 − a)·x\[0\].
    Frame,
}

/// What the filters sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Spectrum {
    /// |X|.
    Magnitude,
    /// |X|².
    Power,
    /// |X|² / n_fft.
    PowerPerBin,
}

/// Where the corners of the triangles lie, and on which axis their sides are straight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Triangles {
    /// Corners at whole bins, floor((n_fft + 1)·f / rate); straight over bins.
    WholeBins,
    /// Corners anywhere; straight over Hz.
    Hertz,
    /// Corners anywhere; straight over mel.
    Mel,
}

/// How energies are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Logarithm {
    /// 10·log10, and nothing more than 80 dB below the loudest value of the clip.
    DecibelsTop80,
    /// Natural.
    Natural,
}

/// The scale of the cosine transform.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cosine {
    /// √(2/N) on all coefficients, c0 too.
    Htk,
    /// Orthonormal: √(1/N) on c0.
    Orthonormal,
}

/// Which sine lifts coefficient k.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LifterPhase {
    /// 1 + L/2·sin(πk/L): c0 stays.
    FromZero,
    /// 1 + L/2·sin(π(k + 1)/L).
    FromOne,
}

/// The energy of a frame, where its logarithm takes c0's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FrameEnergy {
    /// Sum of squares of the frame without its mean, before pre-emphasis and window.
    Samples,
    /// Sum of the spectrum that the filters see.
    Spectrum,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Recipe {
    /// Factor on samples of full scale ±1.
    pub(super) scale: f64,
    pub(super) framing: Framing,
    /// Whether each frame loses its mean first.
    pub(super) remove_mean: bool,
    pub(super) emphasis: Emphasis,
    pub(super) spectrum: Spectrum,
    pub(super) triangles: Triangles,
    pub(super) logarithm: Logarithm,
    pub(super) cosine: Cosine,
    pub(super) lifter: LifterPhase,
    pub(super) energy: FrameEnergy,
}

impl Recipe {
    pub(super) fn of(convention: Convention) -> Self {
        let python_speech_features = Self {
            scale: 1.0,
            framing: Framing::PadLast,
            remove_mean: false,
            emphasis: Emphasis::Signal,
            spectrum: Spectrum::PowerPerBin,
            triangles: Triangles::WholeBins,
            logarithm: Logarithm::Natural,
            cosine: Cosine::Orthonormal,
            lifter: LifterPhase::FromZero,
            energy: FrameEnergy::Spectrum,
        };
        let librosa = Self {
            framing: Framing::CentreZeros,
            spectrum: Spectrum::Power,
            triangles: Triangles::Hertz,
            logarithm: Logarithm::DecibelsTop80,
            lifter: LifterPhase::FromOne,
            ..python_speech_features
        };
        let kaldi = Self {
            // Both work on 16-bit samples as whole numbers.
            scale: 32_768.0,
            framing: Framing::WholeFrames,
            remove_mean: true,
            emphasis: Emphasis::Frame,
            spectrum: Spectrum::Power,
            triangles: Triangles::Mel,
            energy: FrameEnergy::Samples,
            ..python_speech_features
        };
        match convention {
            Convention::Sottovoce | Convention::PythonSpeechFeatures => python_speech_features,
            Convention::Librosa => librosa,
            Convention::Torchaudio => {
                Self { framing: Framing::CentreReflect, lifter: LifterPhase::FromZero, ..librosa }
            }
            Convention::Kaldi => kaldi,
            Convention::Htk => Self { remove_mean: false, spectrum: Spectrum::Magnitude, cosine: Cosine::Htk, ..kaldi },
        }
    }

    /// Whether frames reach over both ends of the signal.
    pub(super) fn centred(&self) -> bool {
        matches!(self.framing, Framing::CentreZeros | Framing::CentreReflect)
    }
}
