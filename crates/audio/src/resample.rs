//! One sample rate to another, by blocks of FFTs.
use std::sync::{Mutex, PoisonError};

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler as _, WindowFunction};

/// Block length at the lower of the two rates, at least. It is also the length of the anti-aliasing filter there: the
/// transition of a squared Blackman-Harris window is 2·13.7 / 1024 = 2.7 % of the band (rubato, `calculate_cutoff`), so
/// that all is whole up to 97 % of the lower Nyquist frequency.
const MIN_BLOCK: usize = 1024;
/// Rates between which anything is resampled, in Hz: a rate beyond them is a damaged header, and two rates far apart
/// would ask for FFTs of gigabytes.
pub(crate) const RATES_HZ: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// A sample rate that nothing is resampled from or to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} Hz is not a rate that audio is resampled from or to ({low} to {high} Hz); the file's header may be damaged",
    low = RATES_HZ.start(),
    high = RATES_HZ.end()
)]
pub struct RateError(pub u32);

/// Resampling between two rates, planned once and used for many clips, from several threads.
///
/// Each block is transformed, multiplied with a windowed sinc and transformed back at the other rate (rubato's `Fft`).
/// Tested: a tone up to 95 % of the lower Nyquist frequency comes out as its formula says to 100 dB, and what lies above
/// that frequency is 100 dB down. Beyond both ends the signal counts as 0.
pub struct Resampler {
    from_hz: u32,
    to_hz: u32,
    /// Plans not in use at the moment. One holds the state of the clip that it works on, so each thread takes its own.
    idle: Mutex<Vec<Fft<f32>>>,
}

impl Resampler {
    /// Plans resampling from `from_hz` to `to_hz`.
    ///
    /// # Errors
    /// [`RateError`] for a rate below 1 kHz or above 768 kHz.
    pub fn new(from_hz: u32, to_hz: u32) -> Result<Self, RateError> {
        if let Some(&bad) = [from_hz, to_hz].iter().find(|hz| !RATES_HZ.contains(hz)) {
            return Err(RateError(bad));
        }
        let first = if from_hz == to_hz { Vec::new() } else { vec![plan(from_hz, to_hz)] };
        Ok(Self { from_hz, to_hz, idle: Mutex::new(first) })
    }

    /// Samples that `samples` samples become: `samples`·to/from, rounded to the nearest, half upwards.
    pub fn output_len(&self, samples: usize) -> usize {
        let (from, to) = (u128::from(self.from_hz), u128::from(self.to_hz));
        ((2 * samples as u128 * to + from) / (2 * from)) as usize
    }

    /// `samples` at the new rate, [`Self::output_len`] of them; sample n lies where n/to seconds lay before. The same
    /// rate gives a copy. Finite for samples up to 1e30.
    pub fn apply(&self, samples: &[f32]) -> Vec<f32> {
        if self.from_hz == self.to_hz || samples.is_empty() {
            return samples.to_vec();
        }
        // A plan is whole at any moment at which a panic could poison the lock: it is moved in and out in one step.
        let taken = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut fft = taken.unwrap_or_else(|| plan(self.from_hz, self.to_hz));
        let out = run(&mut fft, samples, self.output_len(samples.len()));
        fft.reset();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(fft);
        out
    }
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler").field("from_hz", &self.from_hz).field("to_hz", &self.to_hz).finish_non_exhaustive()
    }
}

/// One clip from one rate to another; [`Resampler`] is cheaper for many.
///
/// # Errors
/// As [`Resampler::new`].
pub fn resample(samples: &[f32], from_hz: u32, to_hz: u32) -> Result<Vec<f32>, RateError> {
    Ok(Resampler::new(from_hz, to_hz)?.apply(samples))
}

/// The shortest blocks that hold a whole number of periods of both rates and [`MIN_BLOCK`] samples.
fn plan(from_hz: u32, to_hz: u32) -> Fft<f32> {
    let common = gcd(from_hz, to_hz);
    let (unit_in, unit_out) = ((from_hz / common) as usize, (to_hz / common) as usize);
    // A power of two transforms fast. It is at least 2, because the filter is centred on half a block: an odd block
    // would be half a sample late.
    let units = MIN_BLOCK.div_ceil(unit_in.min(unit_out)).next_power_of_two().max(2);
    let window = WindowFunction::BlackmanHarris2;
    Fft::new_custom(from_hz as usize, to_hz as usize, units * unit_in, 1, 1, window, FixedSync::Both)
        .expect("the rates and the block are not 0")
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The first `len` samples after the filter's delay.
fn run(fft: &mut Fft<f32>, samples: &[f32], len: usize) -> Vec<f32> {
    let (block_in, block_out, delay) = (fft.input_frames_next(), fft.output_frames_next(), fft.output_delay());
    let blocks = (delay + len).div_ceil(block_out);
    let mut out = vec![0.0; blocks * block_out];
    let input = SequentialSlice::new(samples, 1, samples.len()).expect("one channel of all samples");
    for (block, chunk) in out.chunks_exact_mut(block_out).enumerate() {
        let start = (block * block_in).min(samples.len());
        let present = (samples.len() - start).min(block_in);
        let mut output = SequentialSlice::new_mut(chunk, 1, block_out).expect("one channel of one block");
        let indexing = Indexing::new().input_offset(start).partial_len(present);
        fft.process_into_buffer(&input, &mut output, Some(&indexing)).expect("the buffers have the sizes of this plan");
    }
    out.drain(..delay);
    out.truncate(len);
    out
}
