//! `evaluate` and `predict`.
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::json;
use sottovoce_audio::{decode, examples};
use sottovoce_report::{Align, TextTable, per_class_text};
use sottovoce_store::{load_checkpoint, read_journal};
use sottovoce_types::{Annotation, Digest, Emotion, RunSummary, SCHEMA_VERSION, Standardisation, Utterance};

use crate::args::{EvaluateArgs, PredictArgs};
use crate::exit::{Exit, usage};
use crate::output::Output;
use crate::run_dir::RunDir;
use crate::{federation, speech, study};

/// `evaluate`: every checkpoint of a run, on speakers never trained on; brings `rounds.jsonl` and `metrics.json` up to date.
pub fn evaluate(args: &EvaluateArgs, output: &Output) -> anyhow::Result<Exit> {
    let (dir, config) = RunDir::open(&args.run, &args.set)?;
    RunDir::needs_speech(&config)?;
    let speech = speech::load(&config, &args.run.join("data"), output)?;
    let partition = federation::partition(&config, &speech.examples(&config))?;
    let trainer = federation::trainer(&config)?;
    let mut records = dir.read_rounds()?;
    let models = dir.read_models(records.len() as u64, &config)?;
    let last = models.last().context("the run has no checkpoint")?;
    study::evaluate_rounds(&config, &trainer, &partition, &models, &mut records)?;
    dir.write_rounds(&records)?;
    let evaluated = study::Evaluated {
        config: &config,
        plan: &*RunDir::plan(&config, &partition)?,
        trainer: &trainer,
        partition: &partition,
        speech: &speech,
        records: &records,
        model: last,
        mu_spent: records.last().map_or(0.0, |r| r.gdp_mu_spent),
        noise_source: "os",
    };
    let mut summary = evaluated.summary()?;
    if let Some(before) = dir.read_summary()? {
        // What was measured while it ran stays; the evaluation is brought up to date.
        summary = RunSummary { metrics: summary.metrics, model_sha256: summary.model_sha256, ..before };
    } else {
        let (entries, _head) = read_journal(&args.run)?;
        summary.privacy = study::guarantees(evaluated.plan, study::mu_spent(evaluated.plan, [entries.as_slice()])?);
    }
    dir.write_summary(&summary)?;
    let metrics = summary.metrics;
    let object = json!({
        "schema": SCHEMA_VERSION, "run": args.run, "corpus": speech.description, "synthetic": speech.synthetic,
        "split": federation::split_in_words(&config, &partition), "model_sha256": last.digest(), "metrics": metrics,
    });
    output.result(&object, || {
        format!(
            "{}\n{}\naccuracy {:.1} %, UAR {:.1} % (95 % {:.1} to {:.1}, chance {:.1}), macro precision {:.1} %, recall {:.1} %, F1 {:.1} %\n\n{}",
            speech.description, federation::split_in_words(&config, &partition),
            100.0 * metrics.accuracy, 100.0 * metrics.uar, 100.0 * metrics.uar_ci95.low, 100.0 * metrics.uar_ci95.high,
            100.0 * metrics.uar_chance, 100.0 * metrics.macro_precision, 100.0 * metrics.macro_recall, 100.0 * metrics.macro_f1,
            per_class_text(&metrics)
        )
    })?;
    Ok(Exit::Ok)
}

/// `predict`: all files count as one speaker's, since models are trained on features standardised per speaker.
pub fn predict(args: &PredictArgs, output: &Output) -> anyhow::Result<Exit> {
    // RUN/checkpoints/round-0012.safetensors of a run, or STATE/final.safetensors of a site.
    let mut folders = args.model.ancestors().skip(1).take(2);
    let Some(run) = folders.find(|f| f.join("config.toml").exists()).map(Path::to_owned) else {
        bail!("{} lies in no run or state directory: its config.toml says how features are made", args.model.display());
    };
    let (_dir, config) = RunDir::open(&run, &[])?;
    if config.features.standardisation == Standardisation::PerSpeaker && args.files.len() < 2 {
        return Err(usage(
            "this model was trained on features standardised per speaker: give several recordings of the one speaker \
             (more are better), of which the one you ask about may be one",
        ));
    }
    let front_end = speech::front_end(&config)?;
    let mut utterances = Vec::new();
    for file in &args.files {
        let signal = decode(file)?;
        utterances.push(Utterance {
            path: file.display().to_string(),
            // Examples carry a label; a prediction looks at none.
            annotation: Annotation::new("given", Emotion::Neutral),
            sha256: Digest::default(),
            width: front_end.spec().width(),
            mfcc: front_end.features(&signal, file)?,
        });
    }
    let labels = speech::labels(&config);
    let data = examples(&utterances, &labels, config.features.standardisation);
    let trainer = federation::trainer(&config)?;
    let layout = std::sync::Arc::new(trainer.spec().layout());
    let params = load_checkpoint(&args.model, &layout)?.params;
    let probabilities = trainer.probabilities(&params, &data)?;
    let names = labels.names();
    let rows: Vec<&[f64]> = probabilities.chunks(names.len()).collect();
    let object = json!({
        "schema": SCHEMA_VERSION, "labels": names,
        "files": args.files.iter().zip(&rows).map(|(f, p)| json!({"path": f, "probabilities": p})).collect::<Vec<_>>(),
    });
    output.result(&object, || {
        let columns = std::iter::once(("file", Align::Left)).chain(names.iter().map(|n| (n.as_str(), Align::Right)));
        let mut table = TextTable::new(columns);
        for (file, row) in args.files.iter().zip(&rows) {
            let cells =
                std::iter::once(file.display().to_string()).chain(row.iter().map(|p| format!("{:.1} %", 100.0 * p)));
            table.row(cells);
        }
        table.render()
    })?;
    Ok(Exit::Ok)
}
