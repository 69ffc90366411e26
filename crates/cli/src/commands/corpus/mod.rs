//! `corpus`: synthesise, check, draw and probe corpora.
mod check;
mod plot;
mod probe;

use serde_json::json;
use sottovoce_audio::synth::{SynthSpec, write_corpus};
use sottovoce_audio::{Scan, scan};
use sottovoce_types::SCHEMA_VERSION;

use crate::args::{CorpusArgs, CorpusCommand};
use crate::exit::{Exit, usage};
use crate::output::Output;
use crate::speech::scan_error;

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
                "schema": SCHEMA_VERSION, "synthetic": true, "path": out.to_string_lossy(), "speakers": speakers, "sentences": sentences,
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
        CorpusCommand::Check { corpus, all } => check::run(corpus, *all, output),
        CorpusCommand::Plot(args) => plot::run(args, output),
        CorpusCommand::Probe { cache, folds, labels } => probe::run(cache, *folds, labels, output),
    }
}

/// The corpus that the command line names.
pub fn scanned(corpus: &CorpusArgs) -> anyhow::Result<Scan> {
    let kind = corpus.kind.parse().map_err(|e: sottovoce_audio::UnsupportedKind| usage(e.to_string()))?;
    let labelling = corpus.labelling.parse().map_err(|e: sottovoce_audio::UnknownLabelling| usage(e.to_string()))?;
    scan(kind, &corpus.path, labelling).map_err(scan_error)
}
