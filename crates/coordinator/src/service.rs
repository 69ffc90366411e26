//! From config and journal to a running coordinator.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rand::Rng;
use serde_json::json;
use sottovoce_config::{Config, Deployment, identity_file, manifest_file};
use sottovoce_net::{Listener, Served, Service, TlsIdentity, TransportOptions, serve};
use sottovoce_round::{Coordinator, CoordinatorEvent, Entry, Journal, JournalEvent, Outcome, Standing};
use sottovoce_secagg::Identity;
use sottovoce_store::SqliteJournal;
use sottovoce_transcript::FileTap;
use sottovoce_types::{RoundRecord, RunId, Tick};

use crate::args::Args;
use crate::{exit, tell};

/// Serves until the run is over or a signal comes; returns the exit code.
pub(crate) fn run(config: &Config, deployment: &Deployment, args: &Args) -> Result<u8> {
    let identity = identity_file::load(&deployment.identity)?;
    let manifest = Arc::new(manifest_file::load_pinned(&deployment.manifest, &deployment.pin)?);
    anyhow::ensure!(
        identity.public_key() == manifest.coordinator().0,
        "{} is not the coordinator's identity of {}: its public key is {}",
        deployment.identity.display(),
        deployment.manifest.display(),
        sottovoce_round::PublicKey(identity.public_key()),
    );
    let plan = Arc::new(config.plan(manifest.clone())?);
    let state = &deployment.state;
    std::fs::create_dir_all(state).with_context(|| format!("cannot make {}", state.display()))?;
    let journal = SqliteJournal::open_sealed(state, Identity::from_seed(*identity.seed()))?;
    let entries = journal.replay()?;
    let tls = TlsIdentity::from_seed(&identity.seed());
    let resumed = Standing::of(&entries);
    let engine = if let Some(standing) = &resumed {
        let params = journal.checkpoint(standing.model, plan.layout())?;
        let server_state = standing.state.map(|state| journal.server_state(state)).transpose()?;
        Coordinator::resume(plan.clone(), identity, &entries, params, server_state.as_ref())?
    } else {
        let mut run = [0u8; 16];
        rand::rng().fill_bytes(&mut run);
        std::fs::write(state.join("config.toml"), config.to_toml())?;
        Coordinator::new(plan.clone(), identity, RunId(run))
    };
    let runtime = tokio::runtime::Runtime::new()?;
    // Sockets register with the runtime that they are made in.
    let _inside = runtime.enter();
    let listener = Listener::bind(config.transport.listen, &tls, manifest.keys(), TransportOptions::default())
        .with_context(|| format!("cannot listen on {}", config.transport.listen))?;
    let address = listener.local_addr()?;
    let started = json!({
        "event": "listening", "address": address.to_string(), "run": engine.run().to_string(), "plan": plan.digest(),
        "resumed_at_round": resumed.as_ref().map(|s| s.round),
    });
    tell::tell(args.format, &started, &format!("listening on {address}, plan {}", plan.digest()));

    let mut service = Service::new(engine, Box::new(journal));
    service.tap = Box::new(tap(state)?);
    service.base = Tick(0);
    let records = state.join("rounds.jsonl");
    restore_records(&records, &entries).context("rounds.jsonl cannot be brought up to date from the journal")?;
    let on_event = |event: &CoordinatorEvent| {
        if let CoordinatorEvent::Published { record } = event
            && let Err(error) = append_record(&records, record)
        {
            tell::complain(&format!("rounds.jsonl could not be written ({error}); the journal has the record"));
        }
        let (object, text) = tell::describe(event);
        tell::tell(args.format, &object, &text);
    };
    let (service, served) = runtime.block_on(serve(listener, service, on_event, interrupted()))?;
    if served == Served::Shutdown {
        tell::complain("told to stop before the run was over; started again with the same config, it goes on");
    }
    Ok(match service.engine.outcome() {
        Some(Outcome::Completed) => 0,
        Some(Outcome::BudgetExhausted { .. }) => exit::BUDGET_EXHAUSTED,
        Some(Outcome::QuorumLost { .. }) => exit::QUORUM_LOST,
        _ => exit::FAILED,
    })
}

/// A transcript of its own for each start: an earlier one is kept as it is.
fn tap(state: &Path) -> Result<FileTap> {
    let mut path = state.join("transcript.bin");
    let mut start = 2;
    while path.exists() {
        path = state.join(format!("transcript-{start}.bin"));
        start += 1;
    }
    Ok(FileTap::create(path)?)
}

/// Puts into `rounds.jsonl` what the journal has and the file lacks: a process killed between the two wrote only the journal.
fn restore_records(path: &Path, entries: &[Entry]) -> Result<()> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    let Some(whole) = restored(&text, entries)? else { return Ok(()) };
    let fresh = path.with_extension("jsonl.new");
    std::fs::write(&fresh, whole)?;
    std::fs::File::open(&fresh)?.sync_all()?;
    std::fs::rename(&fresh, path)?;
    Ok(())
}

/// The lines with what the journal has besides; `None` where nothing is missing. What an evaluation added to a record is kept.
fn restored(text: &str, entries: &[Entry]) -> Result<Option<String>> {
    // A line cut short by a kill is no record.
    let mut records: BTreeMap<u64, RoundRecord> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).map(|r: RoundRecord| (r.round, r)).collect();
    let mut complete = text.lines().count() == records.len() && (text.is_empty() || text.ends_with('\n'));
    for entry in entries {
        if let JournalEvent::Published { record, .. } = &entry.event {
            complete &= records.contains_key(&record.round);
            records.entry(record.round).or_insert_with(|| RoundRecord::clone(record));
        }
    }
    if complete {
        return Ok(None);
    }
    let mut lines = String::new();
    for record in records.values() {
        lines.push_str(&serde_json::to_string(record)?);
        lines.push('\n');
    }
    Ok(Some(lines))
}

fn append_record(path: &Path, record: &RoundRecord) -> Result<()> {
    use std::io::Write;
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(&line)?;
    file.sync_data()?;
    Ok(())
}

/// Resolves when the process is asked to stop.
async fn interrupted() {
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use sottovoce_types::{AttemptId, Digest, RoundId, SCHEMA_VERSION};

    use super::*;

    fn record(round: u64, attempt: u32) -> RoundRecord {
        RoundRecord {
            schema: SCHEMA_VERSION,
            config_sha256: Digest::default(),
            round,
            attempt,
            cohort: 3,
            contributors: 3,
            dropouts: 0,
            model_sha256: Digest::default(),
            mean_update_l2: 0.5,
            charges: round,
            epsilon_spent: 0.25,
            duration_ms: 1,
            metrics: None,
            clip_l2: None,
            unclipped_fraction: None,
        }
    }

    #[test]
    fn a_record_that_was_journalled_and_not_written_before_a_kill_is_written_at_the_next_start() {
        let published = |round| Entry {
            event: JournalEvent::Published {
                run: RunId([1; 16]),
                round: RoundId(round),
                attempt: AttemptId(1),
                model: Digest::default(),
                state: None,
                result: Digest::default(),
                record: Box::new(record(round, 1)),
            },
            ledger: None,
        };
        let line = |r: &RoundRecord| serde_json::to_string(r).unwrap() + "\n";
        let journal = [published(1), published(2)];
        assert_eq!(restored("", &[]).unwrap(), None, "a new run writes nothing");
        let both = line(&record(1, 7)) + &line(&record(2, 1));
        assert_eq!(restored(&both, &journal).unwrap(), None);
        let first = line(&record(1, 7));
        assert_eq!(restored(&first, &journal).unwrap(), Some(both.clone()), "what was there is kept as it is");
        let killed_in_a_line = &both[..both.len() - 20];
        assert_eq!(restored(killed_in_a_line, &journal).unwrap(), Some(both.clone()));
        let without_its_end = &both[..both.len() - 1];
        assert_eq!(restored(without_its_end, &journal).unwrap(), Some(both));
    }
}
