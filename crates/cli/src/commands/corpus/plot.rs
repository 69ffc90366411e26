//! `corpus plot`: pictures of a corpus, of a recording, of who holds what.
use std::path::Path;

use anyhow::Context;
use serde_json::json;
use sottovoce_audio::{decode, spectrogram};
use sottovoce_report::speech::{
    ClientCounts, EmotionCount, Matrix, Recording, Spectrogram, emotion_counts, emotion_counts_by_client, partition,
    recording,
};
use sottovoce_report::write_text;
use sottovoce_types::SCHEMA_VERSION;

use super::super::{features_config, load_config_file};
use super::scanned;
use crate::args::{CorpusArgs, PlotArgs};
use crate::exit::Exit;
use crate::federation;
use crate::output::Output;
use crate::speech::{self, corpus_name};

pub(super) fn run(args: &PlotArgs, output: &Output) -> anyhow::Result<Exit> {
    let (what, svg) = match (&args.path, &args.wave, &args.partition, &args.clients) {
        (Some(path), ..) => ("emotion counts", of_corpus(args, path)?),
        (_, Some(file), ..) => ("recording", of_recording(args, file)?),
        (.., Some(config), _) => ("partition", of_partition(args, config, output, false)?),
        (.., Some(config)) => ("emotion counts by client", of_partition(args, config, output, true)?),
        _ => unreachable!("the command line asks for one of them"),
    };
    if let Some(folder) = args.out.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    write_text(&args.out, &svg)?;
    let object =
        json!({ "schema": SCHEMA_VERSION, "picture": what, "path": args.out.to_string_lossy(), "bytes": svg.len() });
    output.result(&object, || format!("{what}: {}", args.out.display()))?;
    Ok(Exit::Ok)
}

fn of_corpus(args: &PlotArgs, path: &Path) -> anyhow::Result<String> {
    let corpus = CorpusArgs { kind: args.kind.clone(), labelling: args.labelling.clone(), path: path.to_owned() };
    let scan = scanned(&corpus)?;
    let counts = scan.counts();
    let bars: Vec<EmotionCount<'_>> =
        counts.emotions.iter().map(|(emotion, n)| EmotionCount { emotion: emotion.name(), clips: *n as u64 }).collect();
    let skipped = scan.skipped.len();
    let note = (skipped > 0).then(|| format!("files not used: {skipped} (corpus check names them)"));
    let title = title(&corpus_name(scan.kind, scan.label_source, scan.synthetic), scan.synthetic).to_owned();
    Ok(emotion_counts(&title, &bars, note.as_deref(), scan.synthetic))
}

/// The picture says itself, in a strip of its own, what synthetic voices are worth.
fn title(description: &str, synthetic: bool) -> &str {
    if synthetic { "Synthetic voices, shaped like CREMA-D" } else { description }
}

fn of_recording(args: &PlotArgs, file: &Path) -> anyhow::Result<String> {
    let front_end = speech::front_end(&features_config(&args.set)?)?;
    let signal = decode(file)?;
    let samples = front_end.condition(&signal, file)?;
    let features = front_end.features(&signal, file)?;
    let spec = front_end.spec();
    let picture = spectrogram(&samples, spec.sample_rate_hz);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(recording(&Recording {
        title: &name,
        sample_rate_hz: spec.sample_rate_hz,
        samples: &samples,
        spectrogram: Spectrogram {
            decibels: Matrix::by_column(picture.bins, &picture.decibels).context("the spectrogram is whole")?,
            max_hz: f64::from(spec.sample_rate_hz) / 2.0,
            seconds: picture.frames() as f64 * picture.hop_seconds,
        },
        mfcc: Matrix::by_column(spec.width(), &features).context("the features are whole")?,
        frame_hop_s: spec.hop_ms / 1000.0,
        synthetic: sottovoce_audio::synth::is_recording(file),
    }))
}

fn of_partition(args: &PlotArgs, config: &Path, output: &Output, by_client: bool) -> anyhow::Result<String> {
    let config = load_config_file(config, &args.set)?;
    let workspace = tempfile::tempdir()?;
    let speech = speech::load(&config, workspace.path(), output)?;
    let dealt = federation::partition(&config, &speech.examples(&config))?;
    let picture = federation::picture(&config, &dealt, speech.synthetic);
    if !by_client {
        return Ok(partition(&picture));
    }
    let emotions: Vec<&str> = picture.classes.iter().map(String::as_str).collect();
    let clients: Vec<ClientCounts<'_>> =
        picture.clients.iter().map(|row| ClientCounts { client: &row.name, clips: &row.counts }).collect();
    let title = title(&speech.description, speech.synthetic);
    Ok(emotion_counts_by_client(title, &emotions, &clients, None, speech.synthetic))
}
