//! Speech in, stage by stage, on one 2.5 s clip. Throughput counts audio-milliseconds, so `Kelem/s` reads as audio-seconds per second.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]
use std::hint::black_box;
use std::io::Cursor;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sottovoce_audio::synth::{Voice, synthesise_clip, write_wav};
use sottovoce_audio::{Denoiser, FrontEnd, Mfcc, Resampler, decode_bytes, pooled_statistics};
use sottovoce_types::{Convention, Denoising, Emotion, FeatureSpec, Level};

/// 2.5 s at 16 kHz.
const SAMPLES: usize = 40_000;
const AUDIO_MILLISECONDS: u64 = 2_500;

/// Synthetic voices, one clip after another.
fn voice() -> Vec<f32> {
    let voice = Voice::new(1, 0);
    let clips = ["DFA", "IOM", "ITH"].map(|s| synthesise_clip(&voice, s, Emotion::Happy, Level::Unspecified));
    clips.concat()[..SAMPLES].to_vec()
}

fn speech(c: &mut Criterion) {
    let samples = voice();
    let mut wav = Cursor::new(Vec::new());
    write_wav(&mut wav, &samples).unwrap();
    let wav = wav.into_inner();
    let name = Path::new("clip.wav");
    let mut group = c.benchmark_group("speech");
    group.throughput(Throughput::Elements(AUDIO_MILLISECONDS));
    group.bench_function("decode", |b| b.iter(|| decode_bytes(black_box(wav.clone()), name).unwrap()));
    let high = Resampler::new(16_000, 48_000).unwrap().apply(&samples);
    let down = Resampler::new(48_000, 16_000).unwrap();
    group.bench_function("resample/48k_to_16k", |b| b.iter(|| down.apply(black_box(&high))));
    for (label, method) in [
        ("spectral_subtraction", Denoising::SpectralSubtraction),
        ("spectral_gating", Denoising::SpectralGating),
        ("wiener", Denoising::Wiener),
    ] {
        let denoiser = Denoiser::new(method, 16_000);
        group.bench_function(format!("denoise/{label}"), |b| b.iter(|| denoiser.apply(black_box(&samples))));
    }
    for convention in Convention::ALL {
        let mfcc = Mfcc::new(&FeatureSpec::of(convention)).unwrap();
        group.bench_function(format!("mfcc/{convention}"), |b| b.iter(|| mfcc.compute(black_box(&samples))));
    }
    let spec = FeatureSpec::default();
    let features = Mfcc::new(&spec).unwrap().compute(&samples);
    group.bench_function("pooled", |b| b.iter(|| pooled_statistics(black_box(&features), spec.width())));
    group.bench_function("plan", |b| b.iter(|| FrontEnd::new(black_box(&spec)).unwrap()));
    let whole = FrontEnd::new(&spec).unwrap();
    group.bench_function("pipeline", |b| {
        b.iter(|| whole.features(&decode_bytes(black_box(wav.clone()), name).unwrap(), name).unwrap());
    });
    group.finish();
}

criterion_group!(benches, speech);
criterion_main!(benches);
