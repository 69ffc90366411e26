//! `evaluate`.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use serde_json::json;
use sottovoce_config::Config;
use sottovoce_report::evaluation_text;
use sottovoce_store::{load_checkpoint, read_journal};
use sottovoce_train::{Partition, Trainer};
use sottovoce_types::{FlatParams, Metrics, RunSummary, SCHEMA_VERSION};

use crate::args::{EvaluateArgs, EvaluatedOn};
use crate::exit::{Exit, usage};
use crate::output::Output;
use crate::run_dir::RunDir;
use crate::speech::Speech;
use crate::{federation, speech, study};

/// `evaluate`: one model on speakers never trained on, or on what `--split` names.
pub fn evaluate(args: &EvaluateArgs, output: &Output) -> anyhow::Result<Exit> {
    let run = run_of(&args.run)?;
    let checkpoint = (run != args.run).then_some(args.run.as_path());
    let (dir, config) = RunDir::open(&run, &args.set)?;
    RunDir::needs_speech(&config)?;
    if args.split != EvaluatedOn::Test {
        dir.knows_who_trained_on_what(&config)?;
    }
    let speech = speech::load(&config, &run.join("data"), output)?;
    let partition = federation::partition(&config, &speech.examples(&config))?;
    let trainer = federation::trainer(&config)?;
    let pooled;
    let (data, set) = match args.split {
        EvaluatedOn::Test => (&partition.test, "test"),
        EvaluatedOn::Train => {
            pooled = partition.pooled();
            (&pooled, "train")
        }
        EvaluatedOn::Holdout => (&partition.holdout, "holdout"),
    };
    if data.is_empty() {
        return Err(nothing_in(args.split));
    }
    let (round, model, metrics) = match (checkpoint, args.split) {
        (None, EvaluatedOn::Test) => whole_run(&dir, &config, &speech, &partition, &trainer)?,
        (file, _) => {
            let (round, model) = match file {
                Some(file) => {
                    let layout = Arc::new(trainer.spec().layout());
                    let checkpoint = load_checkpoint(file, &layout)?;
                    (checkpoint.info.round, checkpoint.params)
                }
                None => dir.read_last_model(&config)?,
            };
            let metrics = trainer.evaluate(&model, data, &speech::labels(&config))?;
            (round, model, metrics)
        }
    };
    let split = federation::split_in_words(&config, &partition);
    let object = json!({
        "schema": SCHEMA_VERSION, "run": run, "round": round, "corpus": speech.description, "synthetic": speech.synthetic,
        "split": split, "evaluated_on": set, "model_sha256": model.digest(), "metrics": metrics,
    });
    output.result(&object, || {
        let model = round.map_or("model".to_owned(), |r| format!("model after round {r}"));
        let on = match args.split {
            EvaluatedOn::Test if partition.leaks => "on the test clips",
            EvaluatedOn::Test => "on the test speakers, never trained on",
            EvaluatedOn::Train => "on what the clients train on: how well it fits, not how well it recognises",
            EvaluatedOn::Holdout => {
                "on clips held out, of speakers that are trained on: not how well it recognises others"
            }
        };
        format!("{}\n{split}\n{model}, {on}\n\n{}", speech.description, evaluation_text(&metrics))
    })?;
    Ok(Exit::Ok)
}

/// The run that a path names: a run directory is one, and a checkpoint lies in one. A site's state is none: which of its
/// speakers were trained on, its config does not tell.
fn run_of(path: &Path) -> anyhow::Result<PathBuf> {
    if !path.is_file() {
        return Ok(path.to_owned());
    }
    let mut folders = path.ancestors().skip(1).take(2);
    match folders.find(|f| f.join("config.toml").exists() && f.join("rounds.jsonl").exists()) {
        Some(run) => Ok(run.to_owned()),
        None => bail!(
            "{} lies in no run directory: its config.toml and rounds.jsonl say whom the model was trained on (`sottovoce \
             predict` needs neither)",
            path.display()
        ),
    }
}

fn nothing_in(split: EvaluatedOn) -> anyhow::Error {
    usage(match split {
        EvaluatedOn::Test => "there are no speakers to test on: set partition.test_speakers above 0",
        EvaluatedOn::Train => "there are no clips to train on",
        EvaluatedOn::Holdout => {
            "the run holds out no clips: only one made with partition.holdout_fraction above 0 does"
        }
    })
}

/// Every checkpoint that the config asks for, and the last; brings `rounds.jsonl` and `metrics.json` up to date.
fn whole_run(
    dir: &RunDir,
    config: &Config,
    speech: &Speech,
    partition: &Partition,
    trainer: &Trainer,
) -> anyhow::Result<(Option<u64>, FlatParams, Metrics)> {
    let mut records = dir.read_rounds()?;
    let mut models = dir.read_models(records.len() as u64, config)?;
    study::evaluate_rounds(config, trainer, partition, &models, &mut records)?;
    dir.write_rounds(&records)?;
    let last = models.pop().context("the run has no checkpoint")?;
    let plan = RunDir::plan(config, partition)?;
    let charges = records.last().map_or(0, |r| r.charges);
    let evaluated = study::Evaluated {
        config,
        plan: &plan,
        trainer,
        partition,
        speech,
        records: &records,
        model: &last,
        spent: plan.event().self_composed(charges),
        noise_source: "os",
    };
    let mut summary = evaluated.summary()?;
    if let Some(before) = dir.read_summary()? {
        // What was measured while it ran stays; the evaluation is brought up to date.
        summary = RunSummary { metrics: summary.metrics, model_sha256: summary.model_sha256, ..before };
    } else {
        let (entries, _head) = read_journal(dir.path())?;
        summary.privacy = study::guarantees(evaluated.plan, &study::spent(evaluated.plan, [entries.as_slice()])?)?;
    }
    dir.write_summary(&summary)?;
    Ok((Some(records.len() as u64), last, summary.metrics))
}
