//! The front end against another implementation's output.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(clippy::cast_possible_truncation, reason = "the f32 path is what is tested")]

use serde_json::Value;
use sottovoce_audio::Mfcc;
use sottovoce_types::FeatureSpec;

/// Oracle: python_speech_features 0.6 with `winfunc=numpy.hamming, appendEnergy=False`; the file says so and how its
/// signal is made.
fn golden() -> (usize, Vec<f64>) {
    let text = include_str!("vectors/mfcc-default.json");
    let vector: Value = serde_json::from_str(text).unwrap();
    let rows = vector["mfcc"].as_array().unwrap();
    let values = rows.iter().flat_map(|row| row.as_array().unwrap()).map(|x| x.as_f64().unwrap()).collect();
    (usize::try_from(vector["frames"].as_u64().unwrap()).unwrap(), values)
}

/// The signal that the vector describes.
fn signal() -> Vec<f64> {
    let tone = |hz: f64, n: f64| (std::f64::consts::TAU * hz * n / 16_000.0).sin();
    (0u32..1700)
        .map(|n| {
            let noise = f64::from((7919 * n) % 2001) / 1000.0 - 1.0;
            0.6 * tone(440.0, f64::from(n)) + 0.3 * tone(1770.0, f64::from(n)) + 0.05 * noise
        })
        .collect()
}

/// Largest difference relative to the larger of 1 and the expected size: coefficients cross zero.
fn worst(got: impl Iterator<Item = f64>, wanted: &[f64]) -> f64 {
    got.zip(wanted).map(|(g, w)| (g - w).abs() / w.abs().max(1.0)).fold(0.0, f64::max)
}

#[test]
fn the_default_front_end_equals_python_speech_features() {
    let (frames, wanted) = golden();
    let mfcc = Mfcc::new(&FeatureSpec::default()).unwrap();
    let double = mfcc.compute_f64(&signal());
    assert_eq!(double.len(), frames * 13);
    let error = worst(double.into_iter(), &wanted);
    assert!(error < 1e-6, "f64 differs by {error}");
    let samples: Vec<f32> = signal().into_iter().map(|x| x as f32).collect();
    let single = mfcc.compute(&samples);
    assert_eq!(single.len(), frames * 13);
    let error = worst(single.into_iter().map(f64::from), &wanted);
    assert!(error < 1e-3, "f32 differs by {error}");
}

#[test]
fn another_convention_does_not_pass_for_the_default_one() {
    let (_, wanted) = golden();
    for other in [
        FeatureSpec { preemphasis: 0.95, ..FeatureSpec::default() },
        FeatureSpec { lifter: 0, ..FeatureSpec::default() },
        FeatureSpec { n_mels: 25, ..FeatureSpec::default() },
    ] {
        let got = Mfcc::new(&other).unwrap().compute_f64(&signal());
        assert!(worst(got.into_iter(), &wanted) > 1e-2, "{other:?}");
    }
}
