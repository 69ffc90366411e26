//! Noise put in on purpose.
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use sottovoce_types::Digest;

/// Adds white noise (uniform, from a stream seeded by the samples themselves) whose power is `snr_db` decibels below that of
/// `samples`. Silence stays silence.
pub(crate) fn add_noise(samples: &mut [f32], snr_db: f64) {
    let power = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / samples.len().max(1) as f64;
    // A uniform variable in ±a has power a²/3.
    let peak = (3.0 * power * 10f64.powf(-snr_db / 10.0)).sqrt() as f32;
    let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut draw = ChaCha8Rng::from_seed(Digest::of(&bytes).0);
    for x in samples {
        *x += peak * (draw.next_u32() as f32 / 2_147_483_648.0 - 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noise_has_the_power_that_was_asked_for_and_is_the_same_again() {
        let clean: Vec<f32> = (0u16..20_000).map(|n| 0.3 * (f32::from(n) * 0.05).sin()).collect();
        let noisy = |db| {
            let mut samples = clean.clone();
            add_noise(&mut samples, db);
            samples
        };
        let power = |x: &[f32]| x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        for db in [0.0, 10.0, 30.0] {
            let noise: Vec<f32> = noisy(db).iter().zip(&clean).map(|(n, c)| n - c).collect();
            let measured = 10.0 * (power(&clean) / power(&noise)).log10();
            assert!((measured - db).abs() < 0.1, "{measured} dB for {db}");
        }
        assert_eq!(noisy(10.0), noisy(10.0));
        let mut silence = vec![0.0; 100];
        add_noise(&mut silence, 0.0);
        assert_eq!(silence, vec![0.0; 100]);
    }
}
