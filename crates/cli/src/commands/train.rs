//! `train`: the centralised baseline.
use serde_json::json;
use sottovoce_report::evaluation_text;
use sottovoce_types::SCHEMA_VERSION;

use super::load_config;
use crate::args::ConfigArgs;
use crate::exit::Exit;
use crate::output::Output;
use crate::{federation, speech, study};

/// `train`
pub fn run(args: &ConfigArgs, output: &Output) -> anyhow::Result<Exit> {
    let config = load_config(args)?;
    let workspace = tempfile::tempdir()?;
    let speech = speech::load(&config, workspace.path(), output)?;
    let partition = federation::partition(&config, &speech.examples(&config))?;
    let trainer = federation::trainer(&config)?;
    let metrics = study::centralised(&config, &trainer, &partition)?;
    let split = federation::split_in_words(&config, &partition);
    let object = json!({
        "schema": SCHEMA_VERSION, "corpus": speech.description, "synthetic": speech.synthetic, "split": split,
        "standardisation": config.features.standardisation, "training": "centralised", "model": trainer.spec(),
        "parameters": trainer.spec().layout().len(), "metrics": metrics,
    });
    output.result(&object, || {
        format!(
            "{}\n{split}\n{}, {} parameters, trained centrally\n\n{}",
            speech.description,
            trainer.spec().name(),
            trainer.spec().layout().len(),
            evaluation_text(&metrics)
        )
    })?;
    Ok(Exit::Ok)
}
