//! `audit`: what could be found, what is found, and whether the audit itself can be trusted.
mod import_scores;
mod plan;
mod selftest;

use anyhow::Context;
use serde_json::json;
use sottovoce_attack::canary::{Mutation, Narrowed};
use sottovoce_attack::gate::{Finding, worst};
use sottovoce_report::attacks_text;
use sottovoce_transcript::Transcript;
use sottovoce_types::{CanaryAudit, SCHEMA_VERSION, Verdict};

use crate::args::{AuditCommand, AuditRunArgs};
use crate::auditing::canaries::{self, Gated};
use crate::auditing::{Audited, Told, clips_of};
use crate::exit::{Exit, usage};
use crate::output::Output;
use crate::run_dir::RunDir;
use crate::{federation, speech};

/// `audit`
pub fn run(command: &AuditCommand, output: &Output) -> anyhow::Result<Exit> {
    match command {
        AuditCommand::Run(args) => run_audit(args, output),
        AuditCommand::Plan { path, set } => plan::run(path, set, output),
        AuditCommand::Selftest(args) => selftest::run(args, output),
        AuditCommand::ImportScores(args) => import_scores::run(args, output),
    }
}

fn run_audit(args: &AuditRunArgs, output: &Output) -> anyhow::Result<Exit> {
    let (dir, config) = RunDir::open(&args.run, &args.set)?;
    RunDir::needs_speech(&config)?;
    let workspace = args.run.join("data");
    let speech = speech::load(&config, &workspace, output)?;
    let partition = federation::partition(&config, &speech.examples(&config))?;
    let plan = RunDir::plan(&config, &partition)?;
    let records = dir.read_rounds()?;
    let rounds = records.len() as u64;
    let told = Told::new(&args.run, &args.set, speech.synthetic);
    if args.rounds.is_some() || args.plant.is_some() {
        let all = (1, rounds.max(1));
        let (first, last) = args.rounds.unwrap_or(all);
        if last > all.1 {
            return Err(usage(format!("--rounds {first}-{last}: the run has {} rounds", all.1)));
        }
        let planted = args.plant.map_or(String::new(), |p| format!(" --plant {}", p.name()));
        let mutation = args.plant.map_or(Mutation::None, |p| p.mutation(plan.manifest().len()));
        let gated = Gated { rounds: first..=last, mutation, again: format!("{}{planted}", told.again) };
        return gate_alone(&config, &plan, &gated, output);
    }
    let trainer = federation::trainer(&config)?;
    let models = dir.read_models(rounds, &config)?;
    let model = models.last().context("the run has no checkpoint")?;
    let transcript = Transcript::read(dir.transcript())?;
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
    let audit = audited.audit_and_tell(&told, &workspace, output)?;
    dir.write_audit(&audit)?;
    dir.write_gallery(&audit.gallery)?;
    if dir.path().join("metrics.json").exists() {
        dir.write_report()?;
    }
    let page = dir.path().join("audit").join("report.html");
    let object = json!({
        "schema": SCHEMA_VERSION, "attacks": audit.attacks, "canary": audit.canary, "gate": audit.gate,
        "whole_training": audit.report.verdict.whole_training, "verdict": audit.verdict, "report": page,
    });
    output.result(&object, || {
        let mut text = attacks_text(&audit.attacks);
        if let Some(canary) = &audit.canary {
            text.push_str(&format!("\n\n{}", canary_text(canary)));
        }
        let findings = audit.gate.iter().flat_map(|g| &g.findings).zip(&audit.report.verdict.findings);
        for (finding, laid_out) in findings {
            text.push_str(&format!("\n\n{}", finding_text(finding, &laid_out.narrowed)));
        }
        if let Some(whole) = &audit.report.verdict.whole_training {
            text.push_str(&format!("\n\n{}", whole_text(whole)));
        }
        text.push_str(&format!("\n\nreport: {}", page.display()));
        text
    })?;
    Ok(audit.verdict.map_or(Exit::Ok, exit_of))
}

/// The gate by itself, in some rounds or with a defect planted: what a finding's reproducer runs. Nothing is written.
fn gate_alone(
    config: &sottovoce_config::Config,
    plan: &sottovoce_round::RunPlan,
    gated: &Gated,
    output: &Output,
) -> anyhow::Result<Exit> {
    let Some(found) = canaries::audit(config, plan, gated)? else {
        return Err(usage("this run makes no guarantee: there is nothing to hold canaries against"));
    };
    let object = json!({
        "schema": SCHEMA_VERSION, "canary": found.audit, "gate": found.report, "narrowed": found.narrowed,
    });
    output.result(&object, || {
        let narrowed: Vec<String> = found.narrowed.iter().map(Narrowed::to_string).collect();
        let findings = found.report.findings.iter().map(|f| finding_text(f, &narrowed));
        findings.collect::<Vec<_>>().join("\n\n")
    })?;
    Ok(exit_of(worst(found.report.findings.iter().map(|f| f.verdict))))
}

/// A finding, and to where it was narrowed.
fn finding_text(finding: &Finding, narrowed: &[String]) -> String {
    let mut text = finding.to_string();
    for line in narrowed {
        text.push_str(&format!("\n  narrowed to: {line}"));
    }
    text
}

fn whole_text(whole: &sottovoce_report::audit::WholeTraining) -> String {
    let bounds: Vec<String> = whole.bounds.iter().map(|(bound, epsilon)| format!("{bound} {epsilon:.3}")).collect();
    format!(
        "canaries in training: claimed epsilon {:.3}, empirical lower bounds {} (alpha {} together, {} canaries): {:?}",
        whole.epsilon_claimed,
        bounds.join(", "),
        whole.alpha,
        whole.canaries,
        whole.verdict
    )
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
