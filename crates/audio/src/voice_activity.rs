//! Silence at both ends.

/// Frame over which energy is measured: long enough for one period of the lowest voice (50 Hz).
const FRAME_SECONDS: f64 = 0.02;

/// The part of `samples` between the first and the last 20 ms frame whose energy is less than `threshold_db` below the
/// loudest frame's. Acted corpora are up to half silence (RAVDESS: 49 % is left at 30 dB). Digital silence is returned
/// whole.
pub fn trim_silence(samples: &[f32], sample_rate_hz: u32, threshold_db: f64) -> &[f32] {
    let frame = ((f64::from(sample_rate_hz) * FRAME_SECONDS) as usize).max(1);
    let energy: Vec<f64> = samples
        .chunks(frame)
        .map(|chunk| chunk.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / chunk.len() as f64)
        .collect();
    let peak = energy.iter().copied().fold(0.0, f64::max);
    let threshold = peak * 10f64.powf(-threshold_db.abs() / 10.0);
    let loud = |e: &f64| *e > 0.0 && *e >= threshold;
    match (energy.iter().position(loud), energy.iter().rposition(loud)) {
        (Some(first), Some(last)) => &samples[first * frame..((last + 1) * frame).min(samples.len())],
        _ => samples,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn silence_at_both_ends_goes_and_a_pause_inside_stays() {
        let mut samples = vec![1e-4f32; 3200];
        samples.extend(vec![0.5; 1600]);
        samples.extend(vec![0.0; 3200]);
        samples.extend(vec![-0.5; 1600]);
        samples.extend(vec![1e-4; 1000]);
        assert_eq!(trim_silence(&samples, 16_000, 30.0), &samples[3200..3200 + 6400]);
        assert_eq!(trim_silence(&samples, 16_000, 120.0).len(), samples.len(), "quiet is kept when asked to");
    }

    #[test]
    fn digital_silence_and_nothing_are_returned_whole() {
        assert_eq!(trim_silence(&[0.0; 1000], 16_000, 30.0).len(), 1000);
        assert!(trim_silence(&[], 16_000, 30.0).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_left_is_never_empty_and_always_holds_the_peak_frame(
            samples in proptest::collection::vec(-1.0f32..1.0, 1..2000), db in 0.0f64..80.0
        ) {
            let left = trim_silence(&samples, 8000, db);
            prop_assert!(!left.is_empty());
            let peak = |x: &[f32]| x.chunks(160).map(|c| c.iter().map(|v| v * v).sum::<f32>() / c.len() as f32).fold(0.0, f32::max);
            prop_assert!((peak(left) - peak(&samples)).abs() < 1e-6);
        }
    }
}
