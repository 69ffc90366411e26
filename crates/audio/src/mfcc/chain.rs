//! From samples to cepstra in one floating-point type, planned once.
use std::borrow::Cow;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::num_traits::Float;
use realfft::{FftNum, RealFftPlanner, RealToComplex};
use sottovoce_types::{Convention, FeatureSpec, FirstCoefficient, Window};

use super::SpecError;
use super::deltas::with_deltas;
use super::mel::MelBank;
use super::recipe::{Cosine, Emphasis, FrameEnergy, Framing, LifterPhase, Logarithm, Recipe, Spectrum};

/// Below the loudest value of a clip, nothing is kept (librosa's and torchaudio's `top_db`).
const TOP_DB: f64 = 80.0;

/// The floating-point types that the chain is written for: f32 and f64.
pub(super) trait Real: FftNum + Float {}
impl<T: FftNum + Float> Real for T {}

pub(super) struct Chain<T: FftNum> {
    recipe: Recipe,
    hop: usize,
    n_mfcc: usize,
    n_mels: usize,
    deltas: u8,
    preemphasis: T,
    scale: T,
    floor: T,
    /// Factor on natural logarithms: 1, or 10 / ln 10 for decibels.
    log_unit: T,
    window: Vec<T>,
    fft: Arc<dyn RealToComplex<T>>,
    mel: MelBank<T>,
    /// Factor on the spectrum that already sits in the filters' weights, for what else sums the spectrum.
    spectrum_scale: T,
    /// DCT and lifter as one matrix `[n_mels, n_mfcc]`: this order lets the inner loop run over coefficients.
    cepstra: Vec<T>,
    log_energy: bool,
}

/// What one thread works in.
struct Workspace<T> {
    time: Vec<T>,
    spectrum: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
    power: Vec<T>,
}

impl<T: Real> Chain<T> {
    pub(super) fn new(spec: &FeatureSpec) -> Result<Self, SpecError> {
        let (frame, hop) = super::checked_lengths(spec)?;
        let recipe = Recipe::of(spec.convention);
        // |X|² / n_fft: the division sits in the filters' weights.
        let spectrum_scale = match recipe.spectrum {
            Spectrum::PowerPerBin => 1.0 / f64::from(spec.n_fft),
            Spectrum::Power | Spectrum::Magnitude => 1.0,
        };
        // torchaudio's own default has filters narrower than a bin, and computes a floor for them.
        let may_be_empty = spec.convention == Convention::Torchaudio;
        let mel = MelBank::new(spec, recipe.triangles, spectrum_scale, may_be_empty)
            .map_err(|filter| SpecError::EmptyFilter { filter, n_mels: spec.n_mels })?;
        let mut window = window(spec.window, frame);
        if recipe.centred() {
            // The window sits in the middle of the transform.
            let margin = (spec.n_fft as usize - frame) / 2;
            let mut whole = vec![0.0; spec.n_fft as usize];
            whole[margin..margin + frame].copy_from_slice(&window);
            window = whole;
        }
        Ok(Self {
            recipe,
            hop,
            n_mfcc: usize::from(spec.n_mfcc),
            n_mels: usize::from(spec.n_mels),
            deltas: spec.deltas,
            preemphasis: real(spec.preemphasis),
            scale: real(recipe.scale),
            floor: real(spec.log_floor),
            log_unit: real(match recipe.logarithm {
                Logarithm::DecibelsTop80 => 10.0 / std::f64::consts::LN_10,
                Logarithm::Natural => 1.0,
            }),
            window: window.into_iter().map(real).collect(),
            fft: RealFftPlanner::new().plan_fft_forward(spec.n_fft as usize),
            mel,
            spectrum_scale: real(spectrum_scale),
            cepstra: cepstral_matrix(spec, &recipe).into_iter().map(real).collect(),
            log_energy: spec.first_coefficient == FirstCoefficient::LogEnergy,
        })
    }

    pub(super) fn frames(&self, samples: usize) -> usize {
        let frame = self.window.len();
        match self.recipe.framing {
            _ if samples == 0 => 0,
            Framing::CentreZeros | Framing::CentreReflect => 1 + (samples + frame / 2 * 2 - frame) / self.hop,
            Framing::PadLast => 1 + samples.saturating_sub(frame).div_ceil(self.hop),
            Framing::WholeFrames if samples < frame => 0,
            Framing::WholeFrames => 1 + (samples - frame) / self.hop,
        }
    }

    /// `[frames, n_mfcc · (1 + deltas)]`.
    pub(super) fn compute(&self, samples: &[T]) -> Vec<T> {
        let frames = self.frames(samples.len());
        let source = if self.recipe.centred() { Cow::Owned(self.padded(samples)) } else { Cow::Borrowed(samples) };
        let mut work = Workspace {
            time: self.fft.make_input_vec(),
            spectrum: self.fft.make_output_vec(),
            scratch: self.fft.make_scratch_vec(),
            power: vec![T::zero(); self.window.len().max(self.fft.len()) / 2 + 1],
        };
        let mut logs = vec![T::zero(); frames * self.n_mels];
        let mut log_energies = vec![T::zero(); if self.log_energy { frames } else { 0 }];
        for (index, row) in logs.chunks_exact_mut(self.n_mels).enumerate() {
            let energy = self.spectrum(&source, index * self.hop, &mut work);
            self.mel.apply(&work.power, row);
            for value in row {
                *value = self.log(*value) * self.log_unit;
            }
            if let Some(slot) = log_energies.get_mut(index) {
                *slot = self.log(energy);
            }
        }
        if self.recipe.logarithm == Logarithm::DecibelsTop80 {
            let greater = |a: T, b: T| if b > a { b } else { a };
            let floor = logs.iter().copied().fold(T::min_value(), greater) - real(TOP_DB);
            for v in &mut logs {
                *v = greater(*v, floor);
            }
        }
        let mut out = vec![T::zero(); frames * self.n_mfcc];
        for (row, logs) in out.chunks_exact_mut(self.n_mfcc).zip(logs.chunks_exact(self.n_mels)) {
            for (&log, weights) in logs.iter().zip(self.cepstra.chunks_exact(self.n_mfcc)) {
                for (c, &w) in row.iter_mut().zip(weights) {
                    *c = *c + log * w;
                }
            }
        }
        for (row, &energy) in out.chunks_exact_mut(self.n_mfcc).zip(&log_energies) {
            row[0] = energy;
        }
        with_deltas(out, self.n_mfcc, self.deltas)
    }

    fn log(&self, energy: T) -> T {
        (if energy > self.floor { energy } else { self.floor }).ln()
    }

    /// The spectrum of the frame at `start` into `work.power`; returns the frame's energy.
    fn spectrum(&self, source: &[T], start: usize, work: &mut Workspace<T>) -> T {
        let mut energy = match self.recipe.emphasis {
            Emphasis::Signal if self.recipe.centred() => self.fill_windowed(source, start, &mut work.time),
            Emphasis::Signal => self.fill_emphasised(source, start, &mut work.time),
            Emphasis::Frame => self.fill_alone(source, start, &mut work.time),
        };
        self.fft
            .process_with_scratch(&mut work.time, &mut work.spectrum, &mut work.scratch)
            .expect("the buffers were made by this plan");
        for (p, &Complex { re, im }) in work.power.iter_mut().zip(&work.spectrum) {
            *p = re * re + im * im;
        }
        if self.recipe.spectrum == Spectrum::Magnitude {
            work.power.iter_mut().for_each(|p| *p = p.sqrt());
        }
        if self.log_energy && self.recipe.energy == FrameEnergy::Spectrum {
            energy = work.power.iter().fold(T::zero(), |sum, &p| sum + p) * self.spectrum_scale;
        }
        energy
    }

    /// Pre-emphasised across the frame's edge and windowed; zeros after the end of the signal and of the frame.
    fn fill_emphasised(&self, samples: &[T], start: usize, time: &mut [T]) -> T {
        let frame = self.window.len();
        let present = samples.len().saturating_sub(start).min(frame);
        time[present..].fill(T::zero());
        if present > 0 {
            // y[0] = x[0] for the signal; later frames look one sample back across their edge. No sample is present only
            // when hop > frame and the signal ends in between.
            let before = if start == 0 { T::zero() } else { samples[start - 1] };
            time[0] = (samples[start] - self.preemphasis * before) * self.window[0];
            let pairs = samples[start..start + present].windows(2);
            for ((t, pair), &w) in time[1..present].iter_mut().zip(pairs).zip(&self.window[1..]) {
                *t = (pair[1] - self.preemphasis * pair[0]) * w;
            }
        }
        T::zero()
    }

    /// A frame of a signal that is already padded and pre-emphasised, windowed.
    fn fill_windowed(&self, padded: &[T], start: usize, time: &mut [T]) -> T {
        for ((t, &x), &w) in time.iter_mut().zip(&padded[start..]).zip(&self.window) {
            *t = x * w;
        }
        T::zero()
    }

    /// A frame that knows nothing of its neighbours: scaled, without its mean where the recipe says so, pre-emphasised, windowed.
    /// Returns its energy before pre-emphasis.
    fn fill_alone(&self, samples: &[T], start: usize, time: &mut [T]) -> T {
        let frame = self.window.len();
        let (head, tail) = time.split_at_mut(frame);
        tail.fill(T::zero());
        for (t, &x) in head.iter_mut().zip(&samples[start..start + frame]) {
            *t = x * self.scale;
        }
        if self.recipe.remove_mean {
            let count = T::from_usize(frame).expect("a frame's length is a number");
            let mean = head.iter().fold(T::zero(), |sum, &x| sum + x) / count;
            for t in head.iter_mut() {
                *t = *t - mean;
            }
        }
        let energy = head.iter().fold(T::zero(), |sum, &x| sum + x * x);
        for n in (1..frame).rev() {
            head[n] = head[n] - self.preemphasis * head[n - 1];
        }
        head[0] = head[0] - self.preemphasis * head[0];
        head.iter_mut().zip(&self.window).for_each(|(t, &w)| *t = *t * w);
        energy
    }

    /// The pre-emphasised signal with half a transform before and after it.
    fn padded(&self, samples: &[T]) -> Vec<T> {
        let n = samples.len();
        let margin = self.window.len() / 2;
        let emphasised = |i: usize| {
            let before = if i == 0 { T::zero() } else { samples[i - 1] };
            samples[i] - self.preemphasis * before
        };
        let at = |place: isize| match self.recipe.framing {
            Framing::CentreReflect => emphasised(mirrored(place, n)),
            _ => usize::try_from(place).ok().filter(|&i| i < n).map_or_else(T::zero, emphasised),
        };
        if n == 0 {
            return Vec::new();
        }
        (0..n + 2 * margin).map(|i| at(i.cast_signed() - margin.cast_signed())).collect()
    }
}

/// The place that `place` shows in a mirror at both end samples of a signal of `n` (numpy's `reflect`), however far out it lies.
fn mirrored(place: isize, n: usize) -> usize {
    let period = (2 * n).saturating_sub(2).max(1);
    let within = place.rem_euclid(period.cast_signed()).cast_unsigned();
    if within < n { within } else { period - within }
}

pub(super) fn real<T: FftNum>(v: f64) -> T {
    T::from_f64(v).expect("every f64 has a nearest value in f32 and f64")
}

/// `[frame]`.
fn window(window: Window, frame: usize) -> Vec<f64> {
    let cosine = |i: usize, period: usize| (std::f64::consts::TAU * i as f64 / period as f64).cos();
    let weight = |i: usize| match window {
        Window::Hamming => 0.54 - 0.46 * cosine(i, frame - 1),
        Window::Hann => 0.5 - 0.5 * cosine(i, frame),
        Window::Povey => (0.5 - 0.5 * cosine(i, frame - 1)).powf(0.85),
        Window::Rectangular => 1.0,
    };
    (0..frame).map(weight).collect()
}

/// `[n_mels, n_mfcc]`: DCT-II times the lifter.
fn cepstral_matrix(spec: &FeatureSpec, recipe: &Recipe) -> Vec<f64> {
    use std::f64::consts::PI;
    let (mels, lifter) = (f64::from(spec.n_mels), f64::from(spec.lifter));
    let phase = match recipe.lifter {
        LifterPhase::FromZero => 0.0,
        LifterPhase::FromOne => 1.0,
    };
    let lift = |k: f64| if spec.lifter == 0 { 1.0 } else { 1.0 + lifter / 2.0 * (PI * (k + phase) / lifter).sin() };
    let orthonormal = recipe.cosine == Cosine::Orthonormal;
    let norm = |k: f64| if k == 0.0 && orthonormal { (1.0 / mels).sqrt() } else { (2.0 / mels).sqrt() };
    (0..spec.n_mels)
        .map(f64::from)
        .flat_map(|m| {
            (0..spec.n_mfcc).map(f64::from).map(move |k| norm(k) * (PI * k * (m + 0.5) / mels).cos() * lift(k))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::mirrored;

    #[test]
    fn a_mirror_shows_the_neighbours_of_the_end_samples_and_goes_on_for_ever() {
        let seen: Vec<usize> = (-4..8).map(|i| mirrored(i, 3)).collect();
        assert_eq!(seen, [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]);
        assert_eq!(mirrored(-7, 1), 0);
    }
}
