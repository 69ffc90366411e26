//! `corpus synth` and `corpus check`.
use std::path::Path;

use serde_json::json;
use sottovoce_audio::synth::{SynthSpec, write_corpus};
use sottovoce_audio::{CorpusKind, scan, unreadable};
use sottovoce_report::{Align, TextTable};
use sottovoce_types::SCHEMA_VERSION;

use crate::args::CorpusCommand;
use crate::exit::{Exit, usage};
use crate::output::Output;

/// `corpus`
pub fn run(command: &CorpusCommand, output: &Output) -> anyhow::Result<Exit> {
    match command {
        CorpusCommand::Synth { out, speakers, sentences, seed } => {
            let spec = SynthSpec { speakers: *speakers, sentences: *sentences, seed: *seed };
            let bar = output.progress("synthesising voices", 0);
            let report = write_corpus(out, &spec, &|done, total| {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            })?;
            bar.finish_and_clear();
            let object = json!({
                "schema": SCHEMA_VERSION, "synthetic": true, "path": out, "speakers": speakers, "sentences": sentences,
                "seed": seed, "clips": report.clips, "seconds": report.seconds,
            });
            output.result(&object, || {
                format!(
                    "{} synthetic clips of {speakers} voices ({:.0} s of audio) in {}\nThey say nothing about emotion in human speech.",
                    report.clips, report.seconds, out.display()
                )
            })?;
            Ok(Exit::Ok)
        }
        CorpusCommand::Check { kind, path } => check(kind, path, output),
    }
}

/// A kind by its name on the command line.
pub fn kind(name: &str) -> anyhow::Result<CorpusKind> {
    name.parse().map_err(|e: sottovoce_audio::UnsupportedKind| usage(e.to_string()))
}

fn check(kind_name: &str, path: &Path, output: &Output) -> anyhow::Result<Exit> {
    let scan = scan(kind(kind_name)?, path)?;
    let bar = output.progress("reading clips", scan.clips.len() as u64);
    let broken = unreadable(&scan, &|done, _| bar.set_position(done as u64));
    bar.finish_and_clear();
    let counts = scan.counts();
    let skipped: Vec<_> =
        scan.skipped.iter().map(|s| json!({"path": s.path, "reason": s.reason.to_string()})).collect();
    let unreadable: Vec<_> = broken.iter().map(|f| json!({"path": f.path, "reason": f.error.to_string()})).collect();
    let by_sex: std::collections::BTreeMap<String, usize> =
        counts.sexes.iter().map(|(sex, n)| (format!("{sex:?}").to_lowercase(), *n)).collect();
    let object = json!({
        "schema": SCHEMA_VERSION, "kind": scan.kind.name(), "clips": scan.clips.len(),
        "by_emotion": counts.emotions, "by_speaker": counts.speakers, "by_sex": by_sex,
        "skipped": skipped, "unreadable": unreadable,
    });
    output.result(&object, || {
        let mut table = TextTable::new([("emotion", Align::Left), ("clips", Align::Right)]);
        for (emotion, n) in &counts.emotions {
            table.row([emotion.name().to_owned(), n.to_string()]);
        }
        let mut text = format!(
            "{}: {} clips of {} speakers\n\n{}\n",
            scan.kind.name(),
            scan.clips.len(),
            counts.speakers.len(),
            table.render()
        );
        for (sex, n) in &by_sex {
            text.push_str(&format!("{sex}: {n}\n"));
        }
        for failed in &broken {
            text += &format!("unreadable {}: {}\n", failed.path.display(), failed.error);
        }
        for s in &scan.skipped {
            text += &format!("skipped {}: {}\n", s.path.display(), s.reason);
        }
        text
    })?;
    Ok(if broken.is_empty() { Exit::Ok } else { Exit::Failed })
}
