//! How loud a recording is.
use sottovoce_types::Loudness;

/// Root mean square that [`Loudness::Rms`] brings a recording to: 20 dB below full scale leaves room for the peaks of speech.
const RMS_TARGET: f64 = 0.1;

/// Scales `samples` as asked. Digital silence stays as it is.
pub fn set_loudness(samples: &mut [f32], loudness: Loudness) {
    let gain = match loudness {
        Loudness::AsRecorded => return,
        Loudness::Peak => f64::from(samples.iter().fold(0.0f32, |peak, x| peak.max(x.abs()))).recip(),
        Loudness::Rms => {
            let power = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / samples.len().max(1) as f64;
            RMS_TARGET / power.sqrt()
        }
    };
    if gain.is_finite() {
        for x in samples {
            *x = (f64::from(*x) * gain) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_and_rms_are_what_was_asked_and_silence_stays_silence() {
        let mut silence = [0.0f32; 8];
        set_loudness(&mut silence, Loudness::Peak);
        set_loudness(&mut silence, Loudness::Rms);
        assert!(silence.iter().all(|x| *x == 0.0));
        let recorded: Vec<f32> = (0u8..100).map(|n| 0.02 * (f32::from(n) * 0.7).sin()).collect();
        let with = |loudness| {
            let mut samples = recorded.clone();
            set_loudness(&mut samples, loudness);
            samples
        };
        assert_eq!(with(Loudness::AsRecorded), recorded);
        let peak = with(Loudness::Peak).into_iter().fold(0.0f32, |p, x| p.max(x.abs()));
        assert!((peak - 1.0).abs() < 1e-6);
        let rms = with(Loudness::Rms);
        let rms = (rms.iter().map(|x| x * x).sum::<f32>() / 100.0).sqrt();
        assert!((rms - 0.1).abs() < 1e-6);
    }
}
