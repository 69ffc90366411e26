//! `verify`: what a finished run says of itself, checked offline against keys and arithmetic.
//!
//! A path that does not hold is named with its first bad link and the process ends with 1; a coordinator that contradicted itself is
//! named with the statements that show it, and the process ends with 12.
mod chain;
mod heard;
mod inputs;
mod receipt;
mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sottovoce_config::{Config, manifest_file};
use sottovoce_report::write_text;
use sottovoce_round::{Evidence, Heard, Manifest, RunPlan};
use sottovoce_types::SCHEMA_VERSION;

use super::load_config_file;
use crate::args::VerifyArgs;
use crate::exit::{Exit, usage};
use crate::output::Output;

/// What was looked at in one path.
struct Subject {
    path: PathBuf,
    what: &'static str,
    checks: Vec<Check>,
    /// What the coordinator was heard to say.
    heard: Vec<Heard>,
}

/// One thing that holds, or does not.
struct Check {
    what: &'static str,
    held: Result<String, String>,
}

impl Check {
    /// From a result whose error names the first bad link.
    fn of(what: &'static str, held: Result<String>) -> Self {
        Self { what, held: held.map_err(|error| format!("{error:#}")) }
    }
}

/// `verify`
pub fn run(args: &VerifyArgs, output: &Output) -> Result<Exit> {
    let given = args.manifest.as_deref().map(manifest_file::load).transpose()?;
    let mut subjects = Vec::new();
    let mut shown = Vec::new();
    let mut heard = Vec::new();
    let mut manifest = given.clone();
    for path in &args.paths {
        if let Some(evidence) = evidence_in(path)? {
            shown.push(evidence);
            continue;
        }
        let (subject, of) = subject(path, given.as_ref())?;
        heard.extend(subject.heard.iter().copied());
        manifest = manifest.or(of);
        subjects.push(subject);
    }
    let found = sottovoce_round::compare(&heard);
    let mut against = Vec::new();
    if !shown.is_empty() || !found.is_empty() {
        let manifest =
            manifest.ok_or_else(|| usage("evidence is checked against a manifest: name it with --manifest"))?;
        for evidence in shown.iter().chain(&found) {
            let shown = evidence.verify(&manifest).context("the evidence shows nothing")?;
            against.push((
                evidence.clone(),
                format!("{} in round {} attempt {}", shown.what, shown.round.0, shown.attempt.0),
            ));
        }
    }
    if let (Some(path), Some(first)) = (&args.evidence, found.first()) {
        write_text(path, &(serde_json::to_string_pretty(first)? + "\n"))?;
    }
    let holds = subjects.iter().all(|s| s.checks.iter().all(|c| c.held.is_ok()));
    output.result(&object(&subjects, &against, holds), || text(&subjects, &against))?;
    Ok(match (against.is_empty(), holds) {
        (false, _) => Exit::ProtocolViolation,
        (true, false) => Exit::Failed,
        (true, true) => Exit::Ok,
    })
}

/// Evidence, if that is what the file holds.
fn evidence_in(path: &Path) -> Result<Option<Evidence>> {
    if path.is_dir() || path.extension().is_none_or(|e| e != "json") {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let evidence = serde_json::from_str(&text).with_context(|| format!("{} holds no evidence", path.display()))?;
    Ok(Some(evidence))
}

fn subject(path: &Path, given: Option<&Manifest>) -> Result<(Subject, Option<Manifest>)> {
    let path = path.to_owned();
    if path.is_file() && path.file_name().is_some_and(|name| name == receipt::FILE) {
        let dir = path.parent().unwrap_or(Path::new(".")).to_owned();
        let (plan, _) = plan_of(&dir, given)?;
        let checks = vec![receipt::check(&path, &plan)];
        return Ok((
            Subject { path, what: "receipts", checks, heard: Vec::new() },
            Some(plan.manifest().as_ref().clone()),
        ));
    }
    if path.is_file() {
        let manifest = given.cloned();
        let manifest =
            manifest.ok_or_else(|| usage("statements are checked against a manifest: name it with --manifest"))?;
        let (check, heard) = heard::check(&path, &manifest);
        return Ok((Subject { path, what: "statements", checks: vec![check], heard }, Some(manifest)));
    }
    let (plan, config) = plan_of(&path, given)?;
    let manifest = plan.manifest().as_ref().clone();
    let subject = if path.join("state.sqlite").exists() {
        state::check(path, &plan)
    } else if path.join("transcript.bin").exists() {
        chain::check_run(path, &plan, &config)
    } else {
        return Err(usage(format!("{} is neither a run, nor a state, nor evidence", path.display())));
    };
    Ok((subject, Some(manifest)))
}

/// The plan of a run or a state: from its config, and its manifest.
fn plan_of(dir: &Path, given: Option<&Manifest>) -> Result<(Arc<RunPlan>, Config)> {
    let file = dir.join("config.toml");
    if !file.exists() {
        return Err(usage(format!("{} has no config.toml: it is neither a run nor a state", dir.display())));
    }
    let config = load_config_file(&file, &[])?;
    let own = dir.join("manifest.toml");
    let manifest = match (given, own.exists(), &config.transport.manifest) {
        (Some(manifest), ..) => manifest.clone(),
        (None, true, _) => manifest_file::load(&own)?,
        (None, false, Some(named)) => manifest_file::load(named)?,
        (None, false, None) => {
            return Err(usage(format!("{} names no manifest: say which with --manifest", file.display())));
        }
    };
    let plan = config.plan(Arc::new(manifest)).map_err(|e| usage(e.to_string()))?;
    Ok((Arc::new(plan), config))
}

fn object(subjects: &[Subject], against: &[(Evidence, String)], holds: bool) -> Value {
    let checks = |s: &Subject| -> Vec<Value> {
        s.checks
            .iter()
            .map(|c| match &c.held {
                Ok(detail) => json!({"check": c.what, "holds": true, "detail": detail}),
                Err(link) => json!({"check": c.what, "holds": false, "first_bad_link": link}),
            })
            .collect()
    };
    let subjects: Vec<Value> =
        subjects.iter().map(|s| json!({"path": s.path, "kind": s.what, "checks": checks(s)})).collect();
    let against: Vec<Value> = against
        .iter()
        .map(|(evidence, what)| json!({"party": "coordinator", "did": what, "evidence": evidence}))
        .collect();
    json!({"schema": SCHEMA_VERSION, "holds": holds, "subjects": subjects, "evidence": against})
}

fn text(subjects: &[Subject], against: &[(Evidence, String)]) -> String {
    let mut out = String::new();
    for subject in subjects {
        out.push_str(&format!("{} ({})\n", subject.path.display(), subject.what));
        for check in &subject.checks {
            match &check.held {
                Ok(detail) => out.push_str(&format!("  holds   {:<18} {detail}\n", check.what)),
                Err(link) => out.push_str(&format!("  BROKEN  {:<18} {link}\n", check.what)),
            }
        }
    }
    for (_, what) in against {
        out.push_str(&format!(
            "EVIDENCE against the coordinator of the manifest: it {what}, under its own signatures\n"
        ));
    }
    out
}
