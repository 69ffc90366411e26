//! What the noise is, found in the pauses.
use realfft::num_complex::Complex;

use super::stft::Spectra;

/// Share of the frames that are taken for pauses: even acted sentences without silence at their ends have that many.
const QUIET_SHARE: f64 = 0.1;

/// Mean power spectrum `[bins]` of the quietest tenth of the whole frames, at least one. Frames of digital silence say
/// nothing of the noise and do not count; `None` if no other ones are left.
pub(super) fn quietest_power(spectra: &Spectra) -> Option<Vec<f32>> {
    let energy = |row: &[Complex<f32>]| row.iter().map(Complex::norm_sqr).sum::<f32>();
    let mut frames: Vec<(f32, &[Complex<f32>])> =
        spectra.rows(spectra.whole()).map(|row| (energy(row), row)).filter(|(e, _)| *e > 0.0).collect();
    // A stable sort: of frames equally loud, the earlier ones.
    frames.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    frames.truncate((QUIET_SHARE * frames.len() as f64).ceil() as usize);
    let share = 1.0 / frames.len() as f32;
    let mut mean = vec![0.0; spectra.bins()];
    for (_, row) in &frames {
        for (m, y) in mean.iter_mut().zip(*row) {
            *m += y.norm_sqr() * share;
        }
    }
    (!frames.is_empty()).then_some(mean)
}
