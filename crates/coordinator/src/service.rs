//! From config and journal to a running coordinator.
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rand::Rng;
use serde_json::json;
use sottovoce_config::{Config, Deployment, identity_file, manifest_file};
use sottovoce_live::{About, Board, Live, Traffic, unix_ms};
use sottovoce_net::{Listener, Served, Service, TlsIdentity, TransportOptions, serve};
use sottovoce_round::{Coordinator, CoordinatorEvent, Entry, Journal, Outcome, Standing};
use sottovoce_secagg::Identity;
use sottovoce_store::SqliteJournal;
use sottovoce_transcript::FileTap;
use sottovoce_types::{RoundRecord, RunId, Tick};

use crate::args::Args;
use crate::records::{append_record, read_records, restore_records};
use crate::show::{Counted, Shown};
use crate::tell::Voice;
use crate::{exit, tell};

/// Serves until the run is over or a signal comes; returns the exit code.
pub(crate) fn run(config: &Config, deployment: &Deployment, args: &Args, voice: Voice) -> Result<u8> {
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
    let listener = Listener::bind(config.transport.listen, &tls, manifest.keys(), transport(manifest.len()))
        .with_context(|| format!("cannot listen on {}", config.transport.listen))?;
    let address = listener.local_addr()?;
    let records = state.join("rounds.jsonl");
    restore_records(&records, &entries).context("rounds.jsonl cannot be brought up to date from the journal")?;
    let traffic = Arc::new(Traffic::default());
    let live = Live::new(board(&engine, &entries, &read_records(&records)), Arc::clone(&traffic));
    let shown = runtime.block_on(Shown::start(config, args, voice, &live))?;
    let started = json!({
        "event": "listening", "address": address.to_string(), "run": engine.run().to_string(), "plan": plan.digest(),
        "resumed_at_round": resumed.as_ref().map(|s| s.round), "dashboard": shown.url(),
    });
    let dashboard = shown.url().map_or_else(String::new, |url| format!(", dashboard {url}"));
    voice.tell(&started, &format!("listening on {address}, plan {}{dashboard}", plan.digest()));
    tracing::info!(%address, plan = %plan.digest(), dashboard = shown.url(), "listening");

    let mut service = Service::new(engine, Box::new(journal));
    service.tap = Box::new(Counted { tap: tap(state)?, traffic });
    service.base = Tick(0);
    let on_event = |event: &CoordinatorEvent| {
        if let CoordinatorEvent::Published { record } = event
            && let Err(error) = append_record(&records, record)
        {
            voice.complain(&format!("rounds.jsonl could not be written ({error}); the journal has the record"));
        }
        live.apply(event);
        tell::log(event);
        if let Some((object, text)) = tell::describe(event) {
            voice.tell(&object, &text);
        }
    };
    let (service, served) = runtime.block_on(serve(listener, service, on_event, interrupted()))?;
    if served == Served::Shutdown {
        live.stopped();
        voice.complain("told to stop before the run was over; started again with the same config, it goes on");
    }
    drop(live);
    runtime.block_on(shown.close());
    Ok(match service.engine.outcome() {
        Some(Outcome::Completed) => 0,
        Some(Outcome::BudgetExhausted { .. }) => exit::BUDGET_EXHAUSTED,
        Some(Outcome::QuorumLost { .. }) => exit::QUORUM_LOST,
        _ => exit::FAILED,
    })
}

/// The board of a run that begins or goes on: what its journal says happened, and what its ledger holds.
fn board(engine: &Coordinator, entries: &[Entry], evaluated: &[RoundRecord]) -> Board {
    let mut board = Board::new(About::of(engine.plan(), engine.run()), unix_ms());
    board.replay(entries, evaluated);
    if let Some(ledger) = engine.ledger() {
        board.charged(u64::try_from(ledger.charges()).unwrap_or(u64::MAX), ledger.epsilon_spent().upper);
    }
    board
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

/// Room for every member, and for as many again that come back before their old connection is known to be lost.
fn transport(members: u32) -> TransportOptions {
    let mut options = TransportOptions::default();
    options.max_connections = options.max_connections.max(2 * members as usize);
    options
}
