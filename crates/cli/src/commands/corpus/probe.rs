//! `corpus probe`: what a straight line reads from a cache.
use std::path::Path;

use serde_json::json;
use sottovoce_audio::probe::{ProbeScore, clip_folds, probe, relabelled, speaker_folds};
use sottovoce_audio::{Scaling, cache, examples};
use sottovoce_report::{Align, TextTable};
use sottovoce_types::{Digest, Examples, InputKind, SCHEMA_VERSION, Standardisation};

use crate::exit::Exit;
use crate::output::Output;
use crate::speech::corpus_name;

/// One question to the features.
struct Reading {
    reads: &'static str,
    of: &'static str,
    standardisation: Standardisation,
    score: ProbeScore,
}

pub(super) fn run(path: &Path, folds: u32, labels: &str, output: &Output) -> anyhow::Result<Exit> {
    let (info, utterances) = cache::read_any(path)?;
    let set = format!("corpus.kind={}", info.kind.name());
    let labels = super::super::default_config(&[set, format!("corpus.labels={labels}")])?.corpus.label_set();
    let bar = output.progress("probing", 5);
    let raw = examples(&utterances, &labels, InputKind::Statistics, &Scaling::None);
    // A fold tests one speaker at least.
    let folds = (folds as usize).min(raw.speakers().len());
    let per_speaker = examples(&utterances, &labels, InputKind::Statistics, &Scaling::PerSpeaker);
    let mut readings = Vec::new();
    let mut ask = |reads, of, standardisation, data: &Examples, fold: &[usize]| {
        if let Some(score) = probe(data, fold) {
            readings.push(Reading { reads, of, standardisation, score });
        }
        bar.inc(1);
    };
    ask("emotion", "unseen speakers", Standardisation::None, &raw, &speaker_folds(&raw, folds));
    ask("emotion", "unseen speakers", Standardisation::PerSpeaker, &per_speaker, &speaker_folds(&per_speaker, folds));
    let sex = relabelled(&raw, |m| m.sex);
    ask("sex", "unseen speakers", Standardisation::None, &sex, &speaker_folds(&sex, folds));
    let speaker = relabelled(&raw, |m| Some(m.speaker.clone()));
    ask("speaker", "unseen clips", Standardisation::None, &speaker, &clip_folds(&speaker, folds));
    // The control: a coin thrown for each speaker is read only if speakers are in training and test at once.
    let coin = relabelled(&raw, |m| Some(Digest::of(m.speaker.as_bytes()).0[0] & 1));
    ask("control: a coin per speaker", "unseen speakers", Standardisation::None, &coin, &speaker_folds(&coin, folds));
    bar.finish_and_clear();

    let corpus = corpus_name(info.kind, info.label_source, info.synthetic);
    let rows: Vec<_> = readings
        .iter()
        .map(|r| {
            json!({
                "reads": r.reads, "of": r.of, "standardisation": r.standardisation, "accuracy": r.score.accuracy, "uar": r.score.uar,
                "uar_chance": r.score.chance, "classes": r.score.classes, "examples": r.score.examples,
            })
        })
        .collect();
    let object = json!({
        "schema": SCHEMA_VERSION, "corpus": corpus, "synthetic": info.synthetic, "cache": path.to_string_lossy(), "folds": folds,
        "labels": labels.names(), "speakers": raw.speakers().len(), "probes": rows,
    });
    output.result(&object, || {
        let mut table = TextTable::new([
            ("reads", Align::Left),
            ("of", Align::Left),
            ("standardised", Align::Left),
            ("accuracy", Align::Right),
            ("UAR", Align::Right),
            ("chance", Align::Right),
            ("clips", Align::Right),
        ]);
        for r in &readings {
            let percent = |v: f64| format!("{:.1} %", 100.0 * v);
            let standardised = if r.standardisation == Standardisation::None { "–" } else { "per speaker" };
            table.row([
                r.reads.to_owned(),
                r.of.to_owned(),
                standardised.to_owned(),
                percent(r.score.accuracy),
                percent(r.score.uar),
                percent(r.score.chance),
                r.score.examples.to_string(),
            ]);
        }
        format!(
            "{corpus}: {} speakers, emotions {}\nlinear probe on clip statistics, {folds} folds\n\n{}",
            raw.speakers().len(),
            labels.names().join(", "),
            table.render()
        )
    })?;
    Ok(Exit::Ok)
}
