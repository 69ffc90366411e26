//! Resampling against formulas and against another implementation.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "samples")]

use std::f64::consts::{PI, TAU};

use proptest::prelude::*;
use serde_json::Value;
use sottovoce_audio::{RateError, Resampler, resample};

/// Where the filter's ends no longer reach: it is 1024 samples long at the lower rate, 1280 at most in these tests.
const EDGE_SECONDS: f64 = 0.1;

/// One second of a tone of amplitude 1.
fn tone(hz: f64, rate_hz: u32) -> Vec<f32> {
    (0..rate_hz).map(|n| (TAU * hz * f64::from(n) / f64::from(rate_hz)).sin() as f32).collect()
}

fn interior(samples: &[f32], rate_hz: u32) -> &[f32] {
    let edge = (EDGE_SECONDS * f64::from(rate_hz)) as usize;
    &samples[edge..samples.len() - edge]
}

fn energy(samples: impl IntoIterator<Item = f64>) -> f64 {
    samples.into_iter().map(|x| x * x).sum()
}

/// Signal over difference in dB, in the interior.
fn snr_db(wanted: &[f32], got: &[f32], rate_hz: u32) -> f64 {
    assert_eq!(wanted.len(), got.len());
    let (wanted, got) = (interior(wanted, rate_hz), interior(got, rate_hz));
    let error = energy(wanted.iter().zip(got).map(|(&w, &g)| f64::from(w) - f64::from(g)));
    10.0 * (energy(wanted.iter().map(|&w| f64::from(w))) / error).log10()
}

/// Level against a tone of amplitude 1 in dB, in the interior.
fn level_db(samples: &[f32], rate_hz: u32) -> f64 {
    let samples = interior(samples, rate_hz);
    10.0 * (2.0 * energy(samples.iter().map(|&x| f64::from(x))) / samples.len() as f64).log10()
}

/// Every `from/to`-th sample: what is often done instead.
fn nearest(samples: &[f32], from_hz: u32, to_hz: u32) -> Vec<f32> {
    let step = f64::from(from_hz) / f64::from(to_hz);
    let len = (samples.len() as f64 / step).round() as usize;
    (0..len).map(|n| samples[((n as f64 * step).round() as usize).min(samples.len() - 1)]).collect()
}

/// Rates of corpora and of damaged ones, to 16 kHz.
const RATES: [u32; 6] = [8_000, 11_025, 22_050, 44_100, 48_000, 96_000];

#[test]
fn what_lies_above_the_new_band_vanishes() {
    let decimated = nearest(&tone(12_000.0, 48_000), 48_000, 16_000);
    assert!(level_db(&decimated, 16_000) > -1.0, "taking every third sample leaves an alias, and the check sees it");
    for from_hz in [22_050, 44_100, 48_000, 96_000] {
        let resampler = Resampler::new(from_hz, 16_000).unwrap();
        for hz in [8_000.0, 8_010.0, 8_500.0, 9_999.0, 12_000.0, 15_900.0, 16_000.0, 23_000.0] {
            if hz < f64::from(from_hz) / 2.0 {
                // Measured: −138 dB or less.
                let level = level_db(&resampler.apply(&tone(hz, from_hz)), 16_000);
                assert!(level < -100.0, "{hz} Hz at {from_hz} Hz: {level} dB");
            }
        }
    }
}

#[test]
fn a_tone_is_the_same_tone_at_the_new_rate() {
    let off = nearest(&tone(1_000.0, 44_100), 44_100, 16_000);
    assert!(snr_db(&tone(1_000.0, 16_000), &off, 16_000) < 40.0, "a nearest neighbour does not pass");
    for from_hz in RATES {
        let resampler = Resampler::new(from_hz, 16_000).unwrap();
        let nyquist = f64::from(from_hz.min(16_000)) / 2.0;
        for share in [0.01, 0.125, 0.5, 0.8, 0.9, 0.95] {
            // Measured: 111 dB or more, which is also a passband flat to 0.0001 dB and images as far down.
            let hz = share * nyquist;
            let snr = snr_db(&tone(hz, 16_000), &resampler.apply(&tone(hz, from_hz)), 16_000);
            assert!(snr > 100.0, "{hz} Hz from {from_hz} Hz: {snr} dB");
        }
    }
}

#[test]
fn a_click_stays_where_it_is() {
    for from_hz in RATES {
        let resampler = Resampler::new(from_hz, 16_000).unwrap();
        for click in [0, 1, 999, 4_000, 7_990] {
            let mut samples = vec![0.0; 8_000];
            samples[click] = 1.0;
            let out = resampler.apply(&samples);
            let peak = (0..out.len()).max_by(|&a, &b| out[a].abs().total_cmp(&out[b].abs())).unwrap();
            let wanted = click as f64 * 16_000.0 / f64::from(from_hz);
            assert!((peak as f64 - wanted).abs() <= 0.5, "{from_hz} Hz: from {click} to {peak}, not {wanted}");
        }
    }
}

#[test]
fn lengths_are_rounded_to_the_nearest() {
    let lengths = |from_hz, to_hz, lengths: [usize; 6]| {
        let resampler = Resampler::new(from_hz, to_hz).unwrap();
        lengths.map(|n| {
            let out = resampler.apply(&vec![0.5; n]);
            assert_eq!(out.len(), resampler.output_len(n));
            out.len()
        })
    };
    assert_eq!(lengths(48_000, 16_000, [0, 1, 2, 3, 4, 48_000]), [0, 0, 1, 1, 1, 16_000]);
    assert_eq!(lengths(32_000, 16_000, [0, 1, 2, 3, 4, 32_000]), [0, 1, 1, 2, 2, 16_000]);
    assert_eq!(lengths(8_000, 16_000, [0, 1, 2, 3, 4, 8_000]), [0, 2, 4, 6, 8, 16_000]);
    assert_eq!(lengths(44_100, 16_000, [0, 1, 2, 3, 4, 44_100]), [0, 0, 1, 1, 1, 16_000]);
}

#[test]
fn the_same_rate_changes_no_bit() {
    let samples = [0.1, f32::MIN_POSITIVE, -0.0, 1e30];
    let out = resample(&samples, 16_000, 16_000).unwrap();
    assert!(samples.iter().zip(&out).all(|(a, b)| a.to_bits() == b.to_bits()));
}

#[test]
fn rates_of_damaged_headers_are_refused_by_name() {
    assert_eq!(resample(&[0.0], 0, 16_000), Err(RateError(0)));
    assert_eq!(resample(&[0.0], 16_000, u32::MAX), Err(RateError(u32::MAX)));
    assert!(RateError(0).to_string().contains("1000 to 768000 Hz"));
}

#[test]
fn one_resampler_serves_many_clips_and_threads() {
    let resampler = Resampler::new(44_100, 16_000).unwrap();
    let clips: Vec<Vec<f32>> = (1..9).map(|k| tone(f64::from(k) * 500.0, 44_100)).collect();
    let alone: Vec<Vec<f32>> = clips.iter().map(|clip| resample(clip, 44_100, 16_000).unwrap()).collect();
    let together: Vec<Vec<f32>> = std::thread::scope(|scope| {
        let started: Vec<_> = clips.iter().map(|clip| scope.spawn(|| resampler.apply(clip))).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(alone, together);
    let again: Vec<Vec<f32>> = clips.iter().map(|clip| resampler.apply(clip)).collect();
    assert_eq!(alone, again, "nothing of one clip stays for the next");
}

/// Oracle: soxr, whose version, call and signal the file gives (`vectors/resample.py`).
#[test]
fn the_output_equals_soxrs() {
    let vector: Value = serde_json::from_str(include_str!("vectors/resample.json")).unwrap();
    for case in vector["cases"].as_array().unwrap() {
        let rate = |key: &str| u32::try_from(case[key].as_u64().unwrap()).unwrap();
        let (from_hz, to_hz, top_hz) = (rate("from_hz"), rate("to_hz"), case["top_hz"].as_f64().unwrap());
        let wanted: Vec<f64> = case["out"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        let samples: Vec<f32> = (0..(0.06 * f64::from(from_hz)).round() as u32)
            .map(|n| f64::from(n) / f64::from(from_hz))
            .map(|t| ((PI * top_hz * t * t / 0.06).sin() * (PI * t / 0.06).sin().powi(2)) as f32)
            .collect();
        let worst = |got: &[f32]| {
            assert_eq!(got.len(), wanted.len());
            got.iter().zip(&wanted).map(|(&g, w)| (f64::from(g) - w).abs()).fold(0.0, f64::max)
        };
        // The chirp's amplitude is 1. Measured: 7e-6, 27e-6 and 33e-6 in the three cases. From the chirp's own formula at the
        // new rate soxr is 15e-6, 27e-6 and 43e-6 away, and this 8e-6, 8e-6 and 28e-6.
        let mut out = resample(&samples, from_hz, to_hz).unwrap();
        let error = worst(&out);
        assert!(error < 5e-5, "{from_hz} to {to_hz} Hz: {error}");
        out.rotate_right(1);
        assert!(worst(&out) > 1e-2, "one sample late does not pass");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_clip_at_any_pair_of_rates_gives_finite_samples_of_the_right_number(
        samples in proptest::collection::vec(-1e30f32..1e30, 0..3000),
        from_hz in prop_oneof![proptest::sample::select(RATES.to_vec()), 1_000u32..50_000],
        to_hz in prop_oneof![Just(16_000u32), 1_000u32..50_000],
    ) {
        let out = resample(&samples, from_hz, to_hz).unwrap();
        let exact = samples.len() as f64 * f64::from(to_hz) / f64::from(from_hz);
        prop_assert!((out.len() as f64 - exact).abs() <= 0.5);
        prop_assert!(out.iter().all(|x| x.is_finite()));
    }
}
