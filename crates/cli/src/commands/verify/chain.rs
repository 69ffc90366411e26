//! The chain of models and sums, followed from the plan's first model.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use sottovoce_config::Config;
use sottovoce_round::{ModelChain, RunPlan};
use sottovoce_store::load_checkpoint;
use sottovoce_transcript::Transcript;
use sottovoce_types::{RoundId, RunId};

use super::inputs::{Recorded, Tally};
use super::{Check, Subject};
use crate::run_dir::RunDir;

/// A run that was simulated, by its transcript.
pub fn check_run(path: PathBuf, plan: &Arc<RunPlan>, config: &Config) -> Subject {
    let mut checks = Vec::new();
    let mut inputs = Ok(Tally::default());
    match of_transcript(&path, plan, &mut inputs) {
        Ok(chain) => {
            checks.push(Check::of("sums and models", Ok(describe(&chain))));
            checks.push(Check::of("masked inputs", inputs.map(|tally| tally.describe(chain.rounds()))));
            checks.push(Check::of("last model", last_model(&path, config, &chain)));
            checks.push(Check::of("rounds.jsonl", records(&path, &chain)));
        }
        Err(error) => checks.push(Check::of("sums and models", Err(error))),
    }
    Subject { path, what: "run", checks, heard: Vec::new() }
}

/// What a chain shows, in words.
pub fn describe(chain: &ModelChain) -> String {
    let fewest = chain.links().iter().map(|l| l.certified.contributors.len()).min().unwrap_or(0);
    let honest = chain.links().iter().map(|l| l.certified.honest_floor).min().unwrap_or(0);
    let model = chain.model().to_string();
    format!(
        "{} rounds, each signed by a quorum and recomputed to the bit; at least {fewest} inputs in a sum, {honest} of them honest; \
         last model {}",
        chain.rounds(),
        &model[..12]
    )
}

/// The chain; and beside it what its masked inputs show, or the first bad link among them.
fn of_transcript(path: &Path, plan: &Arc<RunPlan>, inputs: &mut Result<Tally>) -> Result<ModelChain> {
    let transcript = Transcript::read(path.join("transcript.bin")).context("the transcript cannot be read")?;
    let recorded = Recorded::of(&transcript, plan);
    let released = transcript.released();
    let results: Vec<_> = released.results().collect();
    let run = results.first().map_or(RunId([0; 16]), |frame| frame.run);
    let mut chain = ModelChain::new(Arc::clone(plan), run);
    for frame in results {
        ensure!(frame.run == run, "results of two runs are in the transcript");
        if frame.round.0 == chain.rounds().saturating_add(1) {
            let round = frame.round.0;
            chain.follow(frame.round, &frame.body).with_context(|| format!("round {round}"))?;
            if let Ok(tally) = inputs
                && let Err(broken) = recorded.check(plan, &chain, frame, tally)
            {
                *inputs = Err(broken);
            }
        }
    }
    Ok(chain)
}

fn last_model(path: &Path, config: &Config, chain: &ModelChain) -> Result<String> {
    let layout = Arc::new(config.model_spec().layout());
    let file = path.join("checkpoints").join(format!("round-{:04}.safetensors", chain.rounds()));
    let found = load_checkpoint(&file, &layout)?.params.digest();
    ensure!(found == chain.model(), "{} holds another model than the one that follows", file.display());
    Ok("the checkpoint is the model that follows from the sums".to_owned())
}

fn records(path: &Path, chain: &ModelChain) -> Result<String> {
    let (dir, _) = RunDir::open(path, &[])?;
    let records = dir.read_rounds()?;
    ensure!(
        records.len() as u64 == chain.rounds(),
        "{} rounds are recorded, the sums are of {}",
        records.len(),
        chain.rounds()
    );
    for (record, link) in records.iter().zip(chain.links()) {
        let round = RoundId(record.round);
        ensure!(record.model_sha256 == link.announced.statement.model, "round {}: another model", round.0);
        let inputs = link.certified.contributors.len();
        ensure!(
            usize::try_from(record.contributors) == Ok(inputs),
            "round {}: {} contributors are recorded, {inputs} are in the sum",
            round.0,
            record.contributors
        );
    }
    Ok(format!("{} records agree with the signed sets", records.len()))
}
