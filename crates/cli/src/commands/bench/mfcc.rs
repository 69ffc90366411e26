//! `bench mfcc`: what each stage of the front end costs.
use std::io::Cursor;
use std::path::Path;

use serde_json::json;
use sottovoce_audio::{Denoiser, FrontEnd, Mfcc, Resampler, decode_bytes, synth};
use sottovoce_report::{Align, TextTable};
use sottovoce_types::{Denoising, Emotion, FeatureSpec, Level, SCHEMA_VERSION};

use super::{Clock, best_rate};
use crate::exit::Exit;
use crate::output::Output;

/// One run of a stage; returns how much it made, so that it cannot be left out.
type Work<'a> = Box<dyn FnMut() -> usize + 'a>;

struct Stage {
    name: &'static str,
    audio_seconds_per_second: f64,
}

pub(super) fn run(seconds: f64, output: &Output) -> anyhow::Result<Exit> {
    let voice = synth::Voice::new(1, 0);
    let clip = synth::synthesise_clip(&voice, "DFA", Emotion::Happy, Level::Unspecified);
    let audio_seconds = clip.len() as f64 / f64::from(synth::SAMPLE_RATE_HZ);
    let wav = wav(&clip)?;
    let high = Resampler::new(synth::SAMPLE_RATE_HZ, 48_000)?.apply(&clip);
    let down = Resampler::new(48_000, synth::SAMPLE_RATE_HZ)?;
    let spec = FeatureSpec::default();
    let mfcc = Mfcc::new(&spec)?;
    let plain = FrontEnd::new(&spec)?;
    let seed =
        FrontEnd::new(&FeatureSpec { denoise: Denoising::SpectralSubtraction, trim_db: Some(30.0), ..spec.clone() })?;
    let denoisers = [Denoising::SpectralSubtraction, Denoising::SpectralGating, Denoising::Wiener]
        .map(|method| Denoiser::new(method, synth::SAMPLE_RATE_HZ));
    let name = Path::new("clip.wav");
    let whole = |front_end: &FrontEnd| {
        let signal = decode_bytes(wav.clone(), name).expect("the clip was written above");
        front_end.features(&signal, name).expect("a clip of seconds has frames").len()
    };
    let [subtraction, gating, wiener] = &denoisers;
    let mut copy = vec![0.0f32; clip.len()];
    let mut stages: Vec<(&'static str, Work<'_>)> = vec![
        ("decode", Box::new(|| decode_bytes(wav.clone(), name).expect("the clip was written above").samples.len())),
        ("resample 48 to 16 kHz", Box::new(|| down.apply(&high).len())),
        ("denoise spectral-subtraction", Box::new(|| subtraction.apply(&clip).len())),
        ("denoise spectral-gating", Box::new(|| gating.apply(&clip).len())),
        ("denoise wiener", Box::new(|| wiener.apply(&clip).len())),
        ("mfcc", Box::new(|| mfcc.compute(&clip).len())),
        ("pipeline", Box::new(|| whole(&plain))),
        ("pipeline denoised and trimmed", Box::new(|| whole(&seed))),
        (
            "limit: copying the samples",
            Box::new(|| {
                copy.copy_from_slice(std::hint::black_box(&clip));
                std::hint::black_box(&copy).len()
            }),
        ),
    ];
    let clock = Clock::new();
    let bar = output.progress("measuring", stages.len() as u64);
    let mut measured = Vec::new();
    for (name, stage) in &mut stages {
        let runs_per_second = best_rate(&clock, seconds, stage);
        measured.push(Stage { name, audio_seconds_per_second: runs_per_second * audio_seconds });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let rows: Vec<_> = measured
        .iter()
        .map(|s| {
            json!({
                "stage": s.name, "audio_s_per_cpu_s": s.audio_seconds_per_second,
                "us_per_clip": 1e6 * audio_seconds / s.audio_seconds_per_second,
            })
        })
        .collect();
    let clock_name = if clock.cpu { "cpu" } else { "wall" };
    let object = json!({
        "schema": SCHEMA_VERSION, "bench": "mfcc", "threads": 1, "clock": clock_name, "clip_s": audio_seconds, "stages": rows,
    });
    output.result(&object, || {
        let mut table =
            TextTable::new([("stage", Align::Left), ("audio-s per s", Align::Right), ("µs a clip", Align::Right)]);
        for s in &measured {
            let per_clip = 1e6 * audio_seconds / s.audio_seconds_per_second;
            table.row([s.name.to_owned(), format!("{:.0}", s.audio_seconds_per_second), format!("{per_clip:.1}")]);
        }
        format!("one thread, {clock_name} time, a clip of {audio_seconds:.2} s at 16 kHz\n\n{}", table.render())
    })?;
    Ok(Exit::Ok)
}

fn wav(samples: &[f32]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    synth::write_wav(&mut bytes, samples)?;
    Ok(bytes.into_inner())
}
