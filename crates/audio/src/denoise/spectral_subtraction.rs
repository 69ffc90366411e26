//! Power spectral subtraction.
use super::noise::quietest_power;
use super::stft::Spectra;

/// α: how many times the noise's power is taken off. More leaves fewer of its peaks standing ("musical noise") and takes
/// more of the voice. The paper lets it fall with each frame's SNR, as 4 − 0.15·SNR between −5 and 20 dB; 2 is its value
/// at 13 dB.
const OVER_SUBTRACTION: f32 = 2.0;
/// β: the share of the noise's power that is left at least, so that single peaks do not stand out of nothing.
const SPECTRAL_FLOOR: f32 = 0.05;

/// Weighs each bin so that its power |Y|² becomes max(|Y|² − α·N, β·N), where N is the noise's power in that bin (Berouti,
/// Schwartz & Makhoul, "Enhancement of speech corrupted by acoustic noise", ICASSP 1979). What is already below β·N is
/// left as it is, where the paper would raise it.
pub(super) fn weigh(spectra: &mut Spectra) {
    let Some(noise) = quietest_power(spectra) else { return };
    for row in spectra.rows_mut() {
        for (y, &n) in row.iter_mut().zip(&noise) {
            let power = y.norm_sqr();
            let wanted = (power - OVER_SUBTRACTION * n).max(SPECTRAL_FLOOR * n);
            // 0/0 is NaN, and the lesser of NaN and 1 is 1.
            *y *= (wanted / power).min(1.0).sqrt();
        }
    }
}
