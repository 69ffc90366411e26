//! Each convention against its own library's output, and single options too. The vectors are made by `vectors/conventions.py`.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(clippy::cast_possible_truncation, reason = "the f32 path is tested beside the f64 path")]
#![allow(clippy::print_stdout, reason = "the table of differences, for --nocapture")]

use std::f64::consts::TAU;
use std::path::Path;

use serde_json::Value;
use sottovoce_audio::Mfcc;
use sottovoce_types::{Convention, FeatureSpec, FirstCoefficient, MelNorm, MelScale, Window};

/// How far the f64 path may be from a library that computes in f64, relative to the larger of 1 and the value.
const DOUBLE: f64 = 1e-6;
/// How far either path may be where one of the two computes in f32.
const SINGLE: f64 = 1e-3;

fn vectors(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The signals as the vector files describe them.
fn signal(name: &str) -> Vec<f64> {
    let tones = |n: u32| {
        let tone = |hz: f64| (TAU * hz * f64::from(n) / 16_000.0).sin();
        0.6 * tone(440.0) + 0.3 * tone(1770.0) + 0.05 * (f64::from((7919 * n) % 2001) / 1000.0 - 1.0)
    };
    let speechlike = |n: u32| {
        let t = f64::from(n) / 16_000.0;
        let u = f64::from((7919 * n + 31 * n * n) % 2001) / 1000.0 - 1.0;
        let phase = TAU * (120.0 * t + 50.0 * t * t);
        let harmonics: f64 = (1..=20u32).map(f64::from).map(|k| (k * phase).sin() / k).sum();
        let voice = 0.25 * (1.0 + 0.6 * (TAU * 4.0 * t).sin()) * harmonics;
        match n {
            0..1600 => 0.0001 * u,
            1600..4400 | 5200..7600 => voice + 0.01 + 0.002 * u,
            4400..5200 => 0.0,
            _ => 0.002 * u,
        }
    };
    match name {
        "tones" => (0..1700).map(tones).collect(),
        "short" => (0..150).map(tones).collect(),
        "speechlike" => (0..=8122).map(speechlike).collect(),
        other => panic!("no signal {other}"),
    }
}

fn rows(case: &Value, key: &str) -> Vec<Vec<f64>> {
    let row = |row: &Value| row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    case[key].as_array().unwrap().iter().map(row).collect()
}

/// Largest absolute difference, and the largest relative to the larger of 1 and the expected value: coefficients cross zero.
fn differences(got: &[f64], wanted: &[f64]) -> (f64, f64) {
    assert_eq!(got.len(), wanted.len(), "as many frames and coefficients");
    got.iter().zip(wanted).fold((0.0, 0.0), |(worst, relative), (g, w)| {
        let d = (g - w).abs();
        (d.max(worst), (d / w.abs().max(1.0)).max(relative))
    })
}

/// (absolute, relative) differences of the f64 path, and the relative one of the f32 path.
fn against(spec: &FeatureSpec, signal: &[f64], wanted: &[f64]) -> (f64, f64, f64) {
    let mfcc = Mfcc::new(spec).unwrap_or_else(|e| panic!("{}: {e}", spec.convention));
    let (absolute, relative) = differences(&mfcc.compute_f64(signal), wanted);
    let single: Vec<f32> = signal.iter().map(|&x| x as f32).collect();
    let single: Vec<f64> = mfcc.compute(&single).into_iter().map(f64::from).collect();
    (absolute, relative, differences(&single, wanted).1)
}

/// HTK writes c0 last; here it stands first, as everywhere else.
fn first_is_c0(convention: Convention, rows: Vec<Vec<f64>>) -> Vec<f64> {
    let reorder = |mut row: Vec<f64>| {
        if convention == Convention::Htk {
            row.rotate_right(1);
        }
        row
    };
    rows.into_iter().flat_map(reorder).collect()
}

#[test]
fn every_convention_equals_its_librarys_own_output() {
    println!("| convention | library | signal | frames | max abs difference (f64) | relative | relative (f32) |");
    for convention in Convention::ALL {
        let file = vectors(&format!("mfcc-{convention}.json"));
        let spec = FeatureSpec::of(convention);
        let mut compared = 0;
        for case in file["cases"].as_array().unwrap() {
            let wanted = first_is_c0(convention, rows(case, "mfcc"));
            let name = case["signal"].as_str().unwrap();
            // A signal shorter than a frame has no frames in some libraries; others refuse it, and list no case.
            let (absolute, relative, single) = against(&spec, &signal(name), &wanted);
            let library = case.get("library").unwrap_or(&file["library"]);
            let frames = &case["frames"];
            println!(
                "| {convention} | {} {} | {name} | {frames} | {absolute:.1e} | {relative:.1e} | {single:.1e} |",
                library.as_str().unwrap(),
                case.get("version").unwrap_or(&file["version"]).as_str().unwrap()
            );
            let precision = case.get("precision").unwrap_or(&file["precision"]).as_str().unwrap();
            let allowed = if precision.starts_with("f64") { DOUBLE } else { SINGLE };
            assert!(relative < allowed, "{convention}, {name}: f64 differs by {relative:.2e} (allowed {allowed:.0e})");
            assert!(single < SINGLE, "{convention}, {name}: f32 differs by {single:.2e}");
            compared += 1;
        }
        assert!(compared >= 2, "{convention} has cases");
    }
}

#[test]
fn no_convention_passes_for_another() {
    for convention in Convention::ALL {
        let file = vectors(&format!("mfcc-{convention}.json"));
        let case = &file["cases"][0];
        let wanted = first_is_c0(convention, rows(case, "mfcc"));
        let x = signal(case["signal"].as_str().unwrap());
        for other in Convention::ALL.into_iter().filter(|o| *o != convention) {
            // The other's arithmetic with this one's numbers, so that nothing but the recipe differs where it can.
            let spec = FeatureSpec { convention: other, ..FeatureSpec::of(convention) };
            let Ok(mfcc) = Mfcc::new(&spec) else { continue };
            let got = mfcc.compute_f64(&x);
            let same_recipe = [Convention::Sottovoce, Convention::PythonSpeechFeatures];
            if same_recipe.contains(&other) && same_recipe.contains(&convention) {
                continue; // they differ in numbers alone
            }
            assert!(
                got.len() != wanted.len() || differences(&got, &wanted).1 > 1e-2,
                "{other} passes for {convention}"
            );
        }
    }
}

fn option(name: &str) -> (Vec<f64>, Value) {
    let file = vectors("mfcc-options.json");
    let case = file["cases"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap().clone();
    (signal(case["signal"].as_str().unwrap()), case)
}

#[test]
fn single_options_equal_the_librarys() {
    let psf = FeatureSpec::of(Convention::PythonSpeechFeatures);
    let librosa = FeatureSpec::of(Convention::Librosa);
    let kaldi = FeatureSpec::of(Convention::Kaldi);
    for (name, spec) in [
        ("psf hamming", FeatureSpec { window: Window::Hamming, ..psf }),
        ("librosa htk", FeatureSpec { mel_scale: MelScale::Htk, mel_norm: MelNorm::Peak, ..librosa.clone() }),
        ("librosa peak 1", FeatureSpec { mel_norm: MelNorm::Peak, ..librosa.clone() }),
        ("librosa lifter", FeatureSpec { lifter: 22, ..librosa.clone() }),
        ("librosa 25/10", FeatureSpec { n_mfcc: 13, n_mels: 40, n_fft: 512, frame_ms: 25.0, hop_ms: 10.0, ..librosa }),
        ("kaldi c0", FeatureSpec { first_coefficient: FirstCoefficient::Cepstral, ..kaldi.clone() }),
        ("kaldi hamming", FeatureSpec { window: Window::Hamming, ..kaldi }),
    ] {
        let (x, case) = option(name);
        let (_, relative, single) = against(&spec, &x, &rows(&case, "mfcc").concat());
        assert!(relative < SINGLE && single < SINGLE, "{name}: f64 {relative:.2e}, f32 {single:.2e}");
    }
}

#[test]
fn deltas_and_delta_deltas_equal_python_speech_features() {
    let (x, case) = option("deltas");
    let spec = FeatureSpec { deltas: 2, ..FeatureSpec::of(Convention::PythonSpeechFeatures) };
    let parts = ["mfcc", "delta", "delta_delta"].map(|key| rows(&case, key));
    let wanted: Vec<f64> = (0..parts[0].len()).flat_map(|i| parts.iter().flat_map(move |p| p[i].clone())).collect();
    let (_, relative, single) = against(&spec, &x, &wanted);
    assert!(relative < DOUBLE && single < SINGLE, "f64 {relative:.2e}, f32 {single:.2e}");
}
