//! `bench`: what this machine can do, with the physical limit beside it.
use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use sottovoce_audio::{Denoiser, FrontEnd, Mfcc, Resampler, decode_bytes, synth};
use sottovoce_report::{Align, TextTable};
use sottovoce_types::{Denoising, Emotion, FeatureSpec, Level, SCHEMA_VERSION};

use crate::args::BenchCommand;
use crate::exit::{Exit, usage};
use crate::output::Output;

/// `bench`
pub fn run(command: &BenchCommand, output: &Output) -> anyhow::Result<Exit> {
    match command {
        BenchCommand::Mfcc { seconds } if *seconds > 0.0 && *seconds < 3600.0 => mfcc(*seconds, output),
        BenchCommand::Mfcc { .. } => Err(usage("--seconds must be above 0 and below an hour")),
    }
}

/// Time that this thread has run, which another process on the core does not lengthen: from the scheduler where it says, else wall time.
struct Clock {
    start: Instant,
    cpu: bool,
}

impl Clock {
    fn new() -> Self {
        let start = Instant::now();
        let before = thread_cpu();
        // Some kernels print zeros, others move it by ticks: it is used where it follows 20 ms of work.
        while start.elapsed() < Duration::from_millis(20) {
            std::hint::black_box(thread_cpu());
        }
        let advanced = thread_cpu().zip(before).map(|(now, before)| now.saturating_sub(before));
        let cpu = advanced.is_some_and(|d| d > Duration::from_millis(2) && d < Duration::from_millis(25));
        Self { start, cpu }
    }

    fn now(&self) -> Duration {
        self.cpu.then(thread_cpu).flatten().unwrap_or_else(|| self.start.elapsed())
    }
}

/// Linux: the first number is nanoseconds on a core.
fn thread_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// One run of a stage; returns how much it made, so that it cannot be left out.
type Work<'a> = Box<dyn FnMut() -> usize + 'a>;

struct Stage {
    name: &'static str,
    audio_seconds_per_second: f64,
}

fn mfcc(seconds: f64, output: &Output) -> anyhow::Result<Exit> {
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

/// Runs per second in the best of five parts of the time: what a part lost to other processes is not the stage's.
fn best_rate(clock: &Clock, seconds: f64, stage: &mut dyn FnMut() -> usize) -> f64 {
    let part = Duration::from_secs_f64(seconds / 5.0);
    stage();
    let mut best: f64 = 0.0;
    for _ in 0..5 {
        let (start, began, mut runs) = (clock.now(), Instant::now(), 0u32);
        let elapsed = loop {
            // The clock is a file that is read: not after every run.
            for _ in 0..8 {
                std::hint::black_box(stage());
            }
            runs += 8;
            let elapsed = clock.now().saturating_sub(start);
            // A part that gets no core at all ends, too.
            if elapsed >= part || began.elapsed() > 20 * part {
                break elapsed;
            }
        };
        best = best.max(f64::from(runs) / elapsed.as_secs_f64());
    }
    best
}

fn wav(samples: &[f32]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    synth::write_wav(&mut bytes, samples)?;
    Ok(bytes.into_inner())
}
