//! The state of a coordinator or of a site: journal, ledger, and what was published or heard.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use sottovoce_dp::{Ledger, LedgerEntry};
use sottovoce_round::{Entry, JournalEvent, ModelChain, PublicKey, RunPlan, receipts_in};
use sottovoce_store::{Witness, load_checkpoint, read_journal, read_result};
use sottovoce_types::ClientId;

use super::inputs::{self, Tally};
use super::{Check, Subject, chain, heard, receipt};

/// Checks it.
pub fn check(path: PathBuf, plan: &Arc<RunPlan>) -> Subject {
    let (entries, head) = match read_journal(&path) {
        Ok(read) => read,
        Err(error) => {
            let checks = vec![Check::of("journal", Err(error.into()))];
            return Subject { path, what: "state", checks, heard: Vec::new() };
        }
    };
    let mut checks = vec![
        Check::of(
            "journal",
            Ok(format!("hash chain of {} entries, head {}", head.entries, &head.chain.to_string()[..12])),
        ),
        Check::of("owner", owner(&path, plan)),
    ];
    let started = entries.iter().any(|e| matches!(e.event, JournalEvent::RunStarted { .. }));
    checks.push(Check::of("ledger", ledger(&entries, plan)));
    let mut said = Vec::new();
    let what = if started {
        checks.push(Check::of("plan", same_plan(&entries, plan)));
        let mut kept = Ok(Tally::default());
        let followed = published(&path, &entries, plan, &mut kept);
        let rounds = followed.as_ref().ok().map(ModelChain::rounds);
        checks.push(Check::of("sums and models", followed.map(|chain| chain::describe(&chain))));
        if let Some(rounds) = rounds {
            checks.push(Check::of("masked inputs", kept.map(|tally| tally.describe(rounds))));
        }
        "coordinator's state"
    } else {
        let statements = path.join("statements.jsonl");
        if statements.exists() {
            let (check, lines) = heard::check(&statements, plan.manifest());
            checks.push(check);
            said = lines;
        }
        checks.push(Check::of("receipts", receipts(&path, &entries, plan)));
        "site's state"
    };
    Subject { path, what, checks, heard: said }
}

/// Whose signature is over the head.
fn owner(path: &Path, plan: &RunPlan) -> Result<String> {
    let witness = Witness::read(path)?.context("there is no signed head")?;
    let Some(seal) = witness.seal else { bail!("the head of the journal is not signed: anyone can have written it") };
    let key = seal.public_key.0;
    if key == plan.manifest().coordinator().0 {
        return Ok("signed by the coordinator".to_owned());
    }
    let member = plan.manifest().member(&ClientId::of_public_key(&key));
    let member = member.with_context(|| format!("signed by {}, who is not in the manifest", seal.public_key))?;
    Ok(format!("signed by member {:?}", member.name))
}

fn same_plan(entries: &[Entry], plan: &RunPlan) -> Result<String> {
    for entry in entries {
        if let JournalEvent::RunStarted { plan: began_with, seed_model, .. } = &entry.event {
            ensure!(
                *began_with == plan.digest(),
                "the run began with plan {began_with}, config and manifest make {}",
                plan.digest()
            );
            ensure!(*seed_model == plan.initial_params().digest(), "the run began from another model than the plan's");
        }
    }
    Ok(format!("config and manifest make the plan that the run began with, {}", &plan.digest().to_string()[..12]))
}

fn ledger(entries: &[Entry], plan: &RunPlan) -> Result<String> {
    let ledger: Vec<LedgerEntry> = entries.iter().filter_map(|e| e.ledger.clone()).collect();
    let Some(agreed) = plan.budget() else {
        ensure!(ledger.is_empty(), "the plan has no privacy budget, and the journal charges one");
        return Ok("no differential privacy: nothing is charged".to_owned());
    };
    // A site may have capped itself below the plan.
    let opened =
        ledger.iter().find_map(|e| if let LedgerEntry::Opened { budget, .. } = e { Some(*budget) } else { None });
    let budget = opened.unwrap_or(agreed);
    ensure!(
        budget.epsilon.value() <= agreed.epsilon.value() && budget.delta == agreed.delta,
        "it was opened with epsilon {} at delta {}, and the plan allows {} at {}",
        budget.epsilon,
        budget.delta,
        agreed.epsilon,
        agreed.delta
    );
    let replayed = Ledger::replay_under(budget, plan.filter(), ledger)?;
    let spent = replayed.epsilon_spent().upper;
    ensure!(spent <= budget.epsilon.value(), "epsilon {spent} is spent of {}", budget.epsilon);
    Ok(format!("{} charges, epsilon {spent:.4} of {} at delta {}", replayed.charges(), budget.epsilon, budget.delta))
}

/// One receipt for each sum that the site opened, with the totals of the ledger in the same journal.
fn receipts(path: &Path, entries: &[Entry], plan: &RunPlan) -> Result<String> {
    let site = Witness::read(path)?.and_then(|witness| witness.seal).map(|seal| PublicKey(seal.public_key.0));
    let found = receipts_in(entries, plan, site)?;
    if plan.budget().is_none() {
        return Ok("no differential privacy: there is no noise to state".to_owned());
    }
    let others = match found.of_other_plans {
        0 => String::new(),
        n => format!("; {n} of other plans were not checked"),
    };
    Ok(receipt::describe(&found.checked) + &others)
}

/// Every published round: its result as it was sent, the model that follows, and the checkpoint.
fn published(path: &Path, entries: &[Entry], plan: &Arc<RunPlan>, kept: &mut Result<Tally>) -> Result<ModelChain> {
    let mut followed: Option<ModelChain> = None;
    for entry in entries {
        match &entry.event {
            JournalEvent::RunStarted { run, .. } => followed = Some(ModelChain::new(Arc::clone(plan), *run)),
            JournalEvent::Published { round, model, .. } => {
                let at = || format!("round {}", round.0);
                let chain = followed.as_mut().context("a round was published before a run began")?;
                let result = read_result(path, &entry.event)?;
                chain.follow(*round, result.bytes()).with_context(at)?;
                if let Ok(tally) = kept
                    && let Err(broken) = inputs::kept(path, chain, *round, result.bytes(), tally)
                {
                    *kept = Err(broken);
                }
                ensure!(chain.model() == *model, "round {}: the journal publishes another model", round.0);
                let file = path.join("checkpoints").join(format!("round-{:04}.safetensors", round.0));
                let kept = load_checkpoint(&file, plan.layout()).with_context(at)?.params.digest();
                ensure!(kept == *model, "round {}: {} holds another model", round.0, file.display());
            }
            _ => {}
        }
    }
    followed.context("no run was begun")
}
