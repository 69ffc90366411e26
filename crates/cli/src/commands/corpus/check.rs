//! `corpus check`: what a corpus holds, beside what its papers say it holds.
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use sottovoce_audio::{Counts, Inspection, Published, Scan, inspect};
use sottovoce_report::{Align, TextTable};
use sottovoce_types::{LabelSet, SCHEMA_VERSION, Sex};

use super::scanned;
use crate::args::CorpusArgs;
use crate::exit::Exit;
use crate::output::Output;
use crate::speech::corpus_name;

/// Unused files named per reason where not all are asked for.
const NAMED: usize = 5;

pub(super) fn run(corpus: &CorpusArgs, all: bool, output: &Output) -> anyhow::Result<Exit> {
    let scan = scanned(corpus)?;
    let bar = output.progress("reading clips", scan.clips.len() as u64);
    let audio = inspect(&scan, &|done, _| bar.set_position(done as u64));
    bar.finish_and_clear();
    let counts = scan.counts();
    let published = scan.published();
    output.result(&object(&scan, &counts, &audio, published), || text(&scan, &counts, &audio, published, all))?;
    Ok(if audio.failed.is_empty() { Exit::Ok } else { Exit::Failed })
}

fn object(scan: &Scan, counts: &Counts, audio: &Inspection, published: Option<Published>) -> serde_json::Value {
    let skipped: Vec<_> = scan
        .skipped
        .iter()
        .map(
            |s| json!({"path": s.path.to_string_lossy(), "why": s.reason.tally_name(), "reason": s.reason.to_string()}),
        )
        .collect();
    let unreadable: Vec<_> =
        audio.failed.iter().map(|f| json!({"path": f.path.to_string_lossy(), "reason": f.error.to_string()})).collect();
    json!({
        "schema": SCHEMA_VERSION, "kind": scan.kind.name(), "label_source": scan.label_source.name(), "synthetic": scan.synthetic,
        "clips": scan.clips.len(), "by_emotion": counts.emotions, "by_speaker": counts.speakers, "by_sex": counts.sexes,
        "by_group": counts.groups, "tasks": tasks(scan), "speakers_by_sex": counts.speakers_by_sex,
        "hours": audio.hours(), "seconds_mean": mean(&audio.seconds), "seconds_min": extreme(&audio.seconds, f64::min),
        "seconds_max": extreme(&audio.seconds, f64::max), "by_sample_rate_hz": audio.sample_rates, "by_channels": audio.channels,
        "published": published.map(|p| json!({
            "clips": p.clips, "speakers": p.speakers, "source": p.source,
            "by_emotion": p.emotions.iter().map(|(e, n)| (e.name(), n)).collect::<BTreeMap<_, _>>(),
        })),
        "skipped_by_reason": scan.skipped_by_reason(), "skipped": skipped, "unreadable": unreadable,
    })
}

fn text(scan: &Scan, counts: &Counts, audio: &Inspection, published: Option<Published>, all: bool) -> String {
    let mut out = format!(
        "{}: {} clips of {} speakers",
        corpus_name(scan.kind, scan.label_source, scan.synthetic),
        scan.clips.len(),
        counts.speakers.len()
    );
    let sexes = |by: &BTreeMap<Sex, usize>| [Sex::Female, Sex::Male].map(|sex| by.get(&sex).copied().unwrap_or(0));
    let ([women, men], [by_women, by_men]) = (sexes(&counts.speakers_by_sex), sexes(&counts.sexes));
    if women + men > 0 {
        out += &format!(" ({women} women, {men} men; {by_women} and {by_men} clips)");
    }
    out += &format!("\n{}\n\n{}", lengths(audio), emotions(counts, published));
    if let Some(p) = published {
        out += &format!("published: {} clips of {} speakers; {}\n", p.clips, p.speakers, p.source);
    }
    for task in tasks(scan) {
        out += &format!("corpus.labels = \"{}\": {} clips{}\n", task.labels, task.clips, listed(&task.by_group));
    }
    for failed in &audio.failed {
        out += &format!("unreadable {}: {}\n", failed.path.display(), failed.error);
    }
    for (why, n) in scan.skipped_by_reason() {
        out += &format!("\nnot used, {why}: {n}\n");
        let of_reason = scan.skipped.iter().filter(|s| s.reason.tally_name() == why);
        let named = if all { usize::MAX } else { NAMED };
        of_reason.take(named).for_each(|s| out += &format!("  {}: {}\n", s.path.display(), s.reason));
        if n > named {
            out += &format!("  … and {} more (--all names them)\n", n - named);
        }
    }
    out
}

/// Clips of one set of classes.
#[derive(Serialize)]
struct Task {
    labels: &'static str,
    clips: usize,
    by_class: BTreeMap<String, usize>,
    /// Per recording group, where the corpus has such.
    by_group: BTreeMap<String, usize>,
}

/// What each set of classes would train and test on. Excited counts as happy.
fn tasks(scan: &Scan) -> Vec<Task> {
    let sets = [("four", LabelSet::four()), ("five", LabelSet::five()), ("six", LabelSet::six())];
    let task = |(labels, set): (&'static str, LabelSet)| {
        let mut task = Task { labels, clips: 0, by_class: BTreeMap::new(), by_group: BTreeMap::new() };
        for clip in &scan.clips {
            let Some(class) = set.index_of(clip.annotation.emotion) else { continue };
            task.clips += 1;
            *task.by_class.entry(set.names()[usize::from(class)].clone()).or_default() += 1;
            if let Some(group) = &clip.annotation.group {
                *task.by_group.entry(group.clone()).or_default() += 1;
            }
        }
        task
    };
    sets.into_iter().map(task).collect()
}

/// ` (Ses01 1085, Ses02 1023)`, or nothing for nothing.
fn listed(counts: &BTreeMap<String, usize>) -> String {
    let parts: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

fn lengths(audio: &Inspection) -> String {
    let several = |what: BTreeMap<String, usize>| match what.len() {
        0 | 1 => what.into_keys().collect(),
        _ => what.into_iter().map(|(name, n)| format!("{name} ({n} clips)")).collect::<Vec<_>>().join(", "),
    };
    let rates = audio.sample_rates.iter().map(|(hz, n)| (format!("{hz} Hz"), *n)).collect();
    let channels =
        audio.channels.iter().map(|(c, n)| (if *c == 1 { "mono".to_owned() } else { format!("{c} channels") }, *n));
    format!(
        "{:.2} hours; clips of {:.2} to {:.2} s, {:.2} s on average; {}, {}",
        audio.hours(),
        extreme(&audio.seconds, f64::min),
        extreme(&audio.seconds, f64::max),
        mean(&audio.seconds),
        several(rates),
        several(channels.collect())
    )
}

fn emotions(counts: &Counts, published: Option<Published>) -> String {
    let stated = published.map_or(&[][..], |p| p.emotions);
    let mut columns = vec![("emotion", Align::Left), ("clips", Align::Right)];
    if !stated.is_empty() {
        columns.push(("published", Align::Right));
    }
    let mut table = TextTable::new(columns);
    let all = counts.emotions.keys().chain(stated.iter().map(|(e, _)| e)).copied();
    for emotion in all.collect::<std::collections::BTreeSet<_>>() {
        let found = counts.emotions.get(&emotion).copied().unwrap_or(0).to_string();
        let mut cells = vec![emotion.name().to_owned(), found];
        if !stated.is_empty() {
            let n = stated.iter().find(|(e, _)| *e == emotion).map_or_else(|| "–".to_owned(), |(_, n)| n.to_string());
            cells.push(n);
        }
        table.row(cells);
    }
    table.render()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// 0 where there is nothing.
fn extreme(values: &[f64], pick: fn(f64, f64) -> f64) -> f64 {
    values.iter().copied().reduce(pick).unwrap_or(0.0)
}
