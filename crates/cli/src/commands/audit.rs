//! `audit run` and `audit selftest`.
use anyhow::Context;
use serde_json::json;
use sottovoce_attack::canary::{CanaryClaim, CanaryDesign, Mutation, PipelineSpec};
use sottovoce_dp::gdp;
use sottovoce_report::{Align, TextTable, attacks_text};
use sottovoce_transcript::Transcript;
use sottovoce_types::{CanaryAudit, ClipNorm, Delta, Epsilon, Lanes, Rotation, SCHEMA_VERSION, Verdict};

use crate::args::AuditCommand;
use crate::auditing::{Audited, canary_audit, clips_of};
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
            if dir.path().join("metrics.json").exists() {
                dir.write_report()?;
            }
            let object = json!({"schema": SCHEMA_VERSION, "attacks": audit.attacks, "canary": audit.canary});
            output.result(&object, || {
                let mut text = attacks_text(&audit.attacks);
                if let Some(canary) = &audit.canary {
                    text.push_str("\n\n");
                    text.push_str(&canary_text(canary));
                }
                text
            })?;
            Ok(audit.canary.map_or(Exit::Ok, |c| exit_of(c.verdict)))
        }
        AuditCommand::Selftest { canaries } => selftest(*canaries, output),
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

/// The mechanism as it is must pass, and each defect must be caught.
fn selftest(canaries: u32, output: &Output) -> anyhow::Result<Exit> {
    let (epsilon, delta, rounds) = (Epsilon::new(4.0)?, Delta::new(1e-5)?, 10);
    let pipeline = PipelineSpec {
        clip: ClipNorm::new(1.0)?,
        clip_bits: 16,
        lanes: Lanes::new(2).context("2 lanes exist")?,
        rotation: Rotation::None,
        noise_multiplier: gdp::calibrate(epsilon, delta, u64::from(rounds)),
        honest: 4,
        canaries: usize::try_from(canaries)?,
    };
    let cases = [
        ("as it is", Mutation::None, Verdict::NoViolation),
        ("no noise", Mutation::NoiseOff, Verdict::Violation),
        ("half the noise", Mutation::NoiseShort { factor: 2.0 }, Verdict::Violation),
        ("noise shares for 16 clients where 4 are sure", Mutation::NoiseForAll { clients: 16 }, Verdict::Violation),
        ("clipping skipped", Mutation::ClipSkipped, Verdict::Violation),
    ];
    let bar = output.progress("canary audits", cases.len() as u64);
    let mut rows = Vec::new();
    for (i, (name, mutation, expected)) in cases.into_iter().enumerate() {
        let claim = CanaryClaim { epsilon, delta, confidence: 0.99, max_shortfall: 2.0 };
        let design = CanaryDesign { canaries: pipeline.canaries, rounds, seed: i as u64 + 1 };
        let audit = canary_audit(pipeline, mutation, design, claim)?;
        rows.push((name, audit, expected));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let passed = rows.iter().all(|(_, audit, expected)| audit.verdict == *expected);
    let object = json!({
        "schema": SCHEMA_VERSION, "passed": passed,
        "cases": rows.iter().map(|(name, audit, expected)| json!({"mechanism": name, "expected": expected, "audit": audit})).collect::<Vec<_>>(),
    });
    output.result(&object, || {
        let mut table = TextTable::new([
            ("mechanism", Align::Left),
            ("claimed", Align::Right),
            ("empirical lower bound", Align::Right),
            ("verdict", Align::Left),
            ("expected", Align::Left),
        ]);
        for (name, audit, expected) in &rows {
            table.row([
                (*name).to_owned(),
                format!("{:.2}", audit.epsilon_claimed),
                format!("{:.2}", audit.epsilon_lower),
                format!("{:?}", audit.verdict),
                format!("{expected:?}"),
            ]);
        }
        format!(
            "{}\n{}",
            table.render(),
            if passed {
                "every defect was caught, and the private mechanism passed"
            } else {
                "the audit itself is broken"
            }
        )
    })?;
    Ok(if passed { Exit::Ok } else { Exit::Failed })
}
