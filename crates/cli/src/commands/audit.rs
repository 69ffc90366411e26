//! `audit`: what could be found, what is found, and whether the audit itself can be trusted.
mod import_scores;
mod plan;
mod selftest;

use anyhow::Context;
use serde_json::json;
use sottovoce_report::attacks_text;
use sottovoce_transcript::Transcript;
use sottovoce_types::{CanaryAudit, SCHEMA_VERSION, Verdict};

use crate::args::AuditCommand;
use crate::auditing::{Audited, clips_of};
use crate::exit::Exit;
use crate::output::Output;
use crate::run_dir::RunDir;
use crate::{federation, speech};

/// `audit`
pub fn run(command: &AuditCommand, output: &Output) -> anyhow::Result<Exit> {
    match command {
        AuditCommand::Run { run, set } => {
            let (dir, config) = RunDir::open(run, set)?;
            RunDir::needs_speech(&config)?;
            let workspace = run.join("data");
            let speech = speech::load(&config, &workspace, output)?;
            let partition = federation::partition(&config, &speech.examples(&config))?;
            let trainer = federation::trainer(&config)?;
            let plan = RunDir::plan(&config, &partition)?;
            let records = dir.read_rounds()?;
            let models = dir.read_models(records.len() as u64, &config)?;
            let model = models.last().context("the run has no checkpoint")?;
            let transcript = Transcript::read(dir.transcript())?;
            let rounds = records.len() as u64;
            let audited = Audited {
                config: &config,
                plan: &plan,
                trainer: &trainer,
                partition: &partition,
                model,
                models: &models,
                clips: clips_of(&records, &plan),
                transcript: &transcript,
                rounds,
            };
            let audit = audited.audit(&workspace, output)?;
            dir.write_audit(&audit)?;
            dir.write_gallery(&audit.gallery)?;
            if dir.path().join("metrics.json").exists() {
                dir.write_report()?;
            }
            let object = json!({
                "schema": SCHEMA_VERSION, "attacks": audit.attacks, "canary": audit.canary, "gate": audit.gate,
            });
            output.result(&object, || {
                let mut text = attacks_text(&audit.attacks);
                if let Some(canary) = &audit.canary {
                    text.push_str("\n\n");
                    text.push_str(&canary_text(canary));
                }
                for finding in audit.gate.iter().flat_map(|g| &g.findings) {
                    text.push_str(&format!("\n\n{finding}"));
                }
                text
            })?;
            Ok(audit.canary.map_or(Exit::Ok, |c| exit_of(c.verdict)))
        }
        AuditCommand::Plan { path, set } => plan::run(path, set, output),
        AuditCommand::Selftest(args) => selftest::run(args, output),
        AuditCommand::ImportScores(args) => import_scores::run(args, output),
    }
}

/// The exit code of a verdict.
pub fn exit_of(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::NoViolation => Exit::Ok,
        Verdict::Violation => Exit::AuditViolation,
        Verdict::Inconclusive => Exit::AuditInconclusive,
    }
}

/// The canaries' verdict for people.
pub fn canary_text(c: &CanaryAudit) -> String {
    format!(
        "canaries: claimed epsilon {:.3}, empirical lower bound {:.3} at {:.0} % confidence (delta {}, {} canaries, {} rounds): {:?}\n\
         power: noise short by a factor of {:.2} would have been caught with probability 0.95. No violation is no proof of privacy.",
        c.epsilon_claimed,
        c.epsilon_lower,
        100.0 * c.confidence,
        c.delta,
        c.canaries,
        c.rounds,
        c.verdict,
        c.detectable_noise_shortfall
    )
}
