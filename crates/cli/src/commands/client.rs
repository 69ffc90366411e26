//! `client`: one site of a deployed federation.
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rand::Rng;
use serde::Serialize;
use serde_json::json;
use sottovoce_config::{Config, Role, identity_file, manifest_file};
use sottovoce_dp::OsNoise;
use sottovoce_net::{NetError, Participant, ParticipateOptions, TlsIdentity, participate};
use sottovoce_report::write_text;
use sottovoce_round::{ClientEngine, ClientEvent, ClientOutcome, ClientSetup, Evidence, Heard, Journal};
use sottovoce_secagg::Identity;
use sottovoce_store::{CheckpointInfo, SqliteJournal, save_checkpoint};
use sottovoce_types::{Digest, Examples, SCHEMA_VERSION};

use super::load_config;
use crate::args::ClientArgs;
use crate::exit::{Exit, refused, usage};
use crate::output::Output;
use crate::site::SiteTrainer;
use crate::{federation, speech};

/// `client`
pub fn run(args: &ClientArgs, output: &Output) -> Result<Exit> {
    let config = load_config(&args.config)?;
    let deployment = config.deployment(Role::Client).map_err(refused)?;
    let identity = identity_file::load(&deployment.identity)?;
    let manifest = Arc::new(manifest_file::load_pinned(&deployment.manifest, &deployment.pin)?);
    let client = identity.client_id();
    let member = manifest.member(&client).with_context(|| {
        format!("this site's identity ({}) is not in {}", client.to_hex(), deployment.manifest.display())
    })?;
    output.remark(format!("site {:?} of federation {:?}", member.name, manifest.federation()));
    let plan = Arc::new(config.plan(manifest.clone()).map_err(|e| usage(e.to_string()))?);
    std::fs::create_dir_all(&deployment.state)
        .with_context(|| format!("cannot make {}", deployment.state.display()))?;
    // What a model of this state needs to be used: how its features are made.
    write_text(deployment.state.join("config.toml"), &config.to_toml())?;
    let data = training_data(&config, &deployment.state, output)?;
    let trainer = SiteTrainer::new(federation::trainer(&config)?, config.privacy.unit, &data);
    let journal = SqliteJournal::open_sealed(&deployment.state, Identity::from_seed(*identity.seed()))?;
    let history = journal.replay()?;
    let tls = TlsIdentity::from_seed(&identity.seed());
    let mut seed = [0u8; 32];
    rand::rng().fill_bytes(&mut seed);
    let setup =
        ClientSetup { plan: plan.clone(), identity, noise: Box::new(OsNoise), seed, history, allow_plain: false };
    let engine = ClientEngine::capped(setup, config.privacy.site_epsilon_cap)?;
    let options = ParticipateOptions::new(config.transport.coordinator.clone(), manifest.coordinator().0, tls);
    let participant = Participant::new(engine, Box::new(journal), Box::new(trainer));
    let runtime = tokio::runtime::Runtime::new()?;
    let kept = Kept { state: &deployment.state, output };
    let say = |event: &ClientEvent| {
        kept.keep(event);
        output.remark(sentence(event));
    };
    let taken = runtime.block_on(participate(options, participant, say, interrupted()));
    let taken = match taken {
        Ok(taken) => taken,
        Err(error @ NetError::Coordinator { .. }) => {
            return Err(crate::exit::WithExit { exit: Exit::ProtocolViolation, message: error.to_string() }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let mut model = None;
    if let Some(params) = taken.engine.last_model() {
        let file = deployment.state.join("final.safetensors");
        let info = CheckpointInfo { model: Some(plan.spec().model.clone()), ..CheckpointInfo::default() };
        save_checkpoint(&file, params, &info)?;
        model = Some(file);
    }
    let spent = taken.engine.ledger().map(|l| l.epsilon_spent().upper);
    let declined = match taken.engine.outcome() {
        Some(ClientOutcome::BudgetExhausted { round, why }) => Some(format!("round {round} is declined: {why}")),
        _ => None,
    };
    let object = json!({
        "schema": SCHEMA_VERSION, "client": client, "outcome": taken.engine.outcome().map(|o| format!("{o:?}")),
        "ending": format!("{:?}", taken.ending), "model": model, "epsilon_spent": spent,
        "declined": declined,
    });
    output.result(&object, || {
        let spent = spent.map_or("no differential privacy".to_owned(), |e| {
            format!("epsilon {e:.4} spent by this site's own ledger")
        });
        let declined = declined.map_or_else(String::new, |why| format!("; {why}"));
        format!("{:?}; {spent}{declined}", taken.ending)
    })?;
    Ok(match taken.engine.outcome() {
        Some(ClientOutcome::Completed) => Exit::Ok,
        Some(ClientOutcome::BudgetExhausted { .. }) => Exit::BudgetExhausted,
        _ => Exit::QuorumLost,
    })
}

/// What this site trains on: its cache, cut to the list that the config names.
fn training_data(config: &Config, workspace: &Path, output: &Output) -> Result<Examples> {
    let data = speech::load(config, workspace, output)?.examples(config);
    let Some(list) = &config.corpus.train_only else { return Ok(data) };
    let text = std::fs::read_to_string(list)
        .with_context(|| format!("corpus.train_only ({}) cannot be read", list.display()))?;
    let wanted: BTreeSet<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let chosen = data.filter(|m| wanted.contains(m.path.as_str()));
    anyhow::ensure!(!chosen.is_empty(), "corpus.train_only ({}) names no utterance of the cache", list.display());
    Ok(chosen)
}

/// What the coordinator said, kept for people who compare it with what other sites heard (`sottovoce verify`). Nothing of the protocol rests
/// on it, so that a failure to write is told and no more.
struct Kept<'a> {
    state: &'a Path,
    output: &'a Output,
}

impl Kept<'_> {
    fn keep(&self, event: &ClientEvent) {
        let kept = match event {
            ClientEvent::Heard { statement } => self.line("statements.jsonl", statement),
            ClientEvent::Receipt { receipt } => self.line("receipts.jsonl", receipt),
            ClientEvent::Caught { evidence } => self.evidence(evidence),
            _ => Ok(()),
        };
        if let Err(error) = kept {
            self.output.remark(format!("what the coordinator said, or a receipt, could not be kept: {error:#}"));
        }
    }

    fn line(&self, file: &str, said: &impl Serialize) -> Result<()> {
        let path = self.state.join(file);
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.write_all((serde_json::to_string(said)? + "\n").as_bytes())?;
        Ok(())
    }

    fn evidence(&self, evidence: &Evidence) -> Result<()> {
        let text = serde_json::to_string_pretty(evidence)? + "\n";
        let name = format!("evidence-{}.json", &Digest::of(text.as_bytes()).to_string()[..12]);
        let path = self.state.join(name);
        write_text(&path, &text)?;
        let path = path.display();
        self.output.remark(format!(
            "evidence against the coordinator: {path} (check it with `sottovoce verify {path} --manifest ...`)"
        ));
        Ok(())
    }
}

fn sentence(event: &ClientEvent) -> String {
    match event {
        ClientEvent::Welcomed { run } => format!("welcomed to run {run}"),
        ClientEvent::Training { round, attempt } => format!("round {round} attempt {attempt}: training"),
        ClientEvent::InputSent { round, epsilon_spent, .. } => match epsilon_spent {
            Some(epsilon) => format!("round {round}: masked input leaves, epsilon {epsilon:.4} spent so far"),
            None => format!("round {round}: masked input leaves"),
        },
        ClientEvent::SurvivorsSigned { round, .. } => format!("round {round}: survivor set signed"),
        ClientEvent::Opening { round, .. } => format!("round {round}: shares opened"),
        ClientEvent::Receipt { receipt } => {
            let r = &receipt.receipt;
            format!(
                "round {}: {} of {} dealers are in the sum, {} layers of noise come off, honest noise of multiplier {:.4} stays",
                r.round,
                r.contributors,
                r.dealers,
                r.layers_removed.len(),
                r.noise.noise_multiplier
            )
        }
        ClientEvent::RoundEnded { round, model } => format!("round {round}: published {}", &model.to_string()[..12]),
        ClientEvent::SatOut { round, reason, .. } => {
            format!("round {round}: local training failed, nothing was sent, sitting this attempt out: {reason}")
        }
        ClientEvent::Finished { outcome: ClientOutcome::BudgetExhausted { round, why } } => {
            format!("round {round} is declined, nothing was sent for it: {why}")
        }
        ClientEvent::Finished { outcome } => format!("finished: {outcome:?}"),
        ClientEvent::Heard { statement: Heard::Config(said) } => {
            let s = said.statement;
            format!("round {} attempt {}: begins from {}", s.round.0, s.attempt.0, &s.model.to_string()[..12])
        }
        ClientEvent::Heard { statement: Heard::Result(said) } => {
            format!("round {}: the sum is opened, and the model follows from it", said.statement.round.0)
        }
        ClientEvent::Caught { .. } => "the coordinator contradicted itself under its own signature".to_owned(),
        other => format!("{other:?}"),
    }
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
