//! A Wiener filter whose SNR leans on the frame before.
use super::noise::quietest_power;
use super::stft::Spectra;

/// α: weight of the previous frame in the SNR (Ephraim & Malah 1984). It is what keeps musical noise away.
const MEMORY: f32 = 0.98;
/// Smallest gain, −20 dB: a voice in a quiet room, not in none.
const GAIN_FLOOR: f32 = 0.1;

/// Weighs each bin with ξ/(1+ξ), where ξ is the SNR before the frame is seen, by the decision-directed rule
/// ξ = α·Â²/N + (1−α)·max(|Y|²/N − 1, 0) with Â² the power that the previous frame was left with (Ephraim & Malah,
/// IEEE Trans. ASSP 32(6), 1984, Eq. 51; with this gain: Scalart & Vieira Filho, ICASSP 1996). Both sides are multiplied
/// with N here, so that no noise in a bin divides by nothing.
pub(super) fn weigh(spectra: &mut Spectra) {
    let Some(noise) = quietest_power(spectra) else { return };
    // Before the first frame Â² = N, as in the paper.
    let mut previous = noise.clone();
    for row in spectra.rows_mut() {
        for ((y, &n), before) in row.iter_mut().zip(&noise).zip(&mut previous) {
            let power = y.norm_sqr();
            let signal = MEMORY * *before + (1.0 - MEMORY) * (power - n).max(0.0);
            // 0/0 is NaN, and the greater of NaN and the floor is the floor: that bin is empty.
            let gain = (signal / (signal + n)).max(GAIN_FLOOR);
            *before = gain * gain * power;
            *y *= gain;
        }
    }
}
