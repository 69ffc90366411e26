//! `simulate`: a whole federation in one process.
use sottovoce_report::summary_text;
use sottovoce_round::Outcome;

use super::load_config;
use crate::args::SimulateArgs;
use crate::auditing::{Audited, Told, clips_of};
use crate::exit::{Exit, WithExit};
use crate::output::Output;
use crate::run_dir::NewRun;
use crate::study;

/// `simulate`
pub fn run(args: &SimulateArgs, output: &Output) -> anyhow::Result<Exit> {
    let config = load_config(&args.config)?;
    let new = NewRun::begin(&args.out, &config, args.overwrite)?;
    let dir = new.dir();
    let workspace = dir.path().join("data");
    std::fs::create_dir_all(&workspace)?;
    let study = study::simulate(&config, &workspace, args.baselines, output)?;
    if study.records.is_empty() {
        let why = match &study.outcome {
            Outcome::ModelDiverged { .. } => {
                "the server's step made a model that is no longer finite: lower server.learning_rate, or \
                                              choose another server.optimiser"
                    .to_owned()
            }
            other => format!("{other:?}"),
        };
        let message = format!("no round was published ({why}): nothing to evaluate or audit");
        return Err(WithExit { exit: exit_of(&study.outcome), message }.into());
    }
    dir.write_manifest(study.plan.manifest())?;
    dir.write_rounds(&study.records)?;
    dir.write_models(&study.models, &config)?;
    study.transcript.write(dir.transcript())?;
    dir.write_summary(&study.summary)?;
    dir.write_partition(&config, &study.partition, study.summary.synthetic)?;
    let audit = Audited {
        config: &config,
        plan: &study.plan,
        trainer: &study.trainer,
        partition: &study.partition,
        model: study.models.last().expect("the initial model at least"),
        models: &study.models,
        clips: clips_of(&study.records, &study.plan),
        transcript: &study.transcript,
        rounds: study.summary.rounds,
    }
    .audit_and_tell(&Told::new(new.place(), &[], study.summary.synthetic), &workspace, output)?;
    dir.write_audit(&audit)?;
    dir.write_gallery(&audit.gallery)?;
    dir.write_report()?;
    let report = new.finish()?.path().join("report.html");
    output.result(&study.summary, || format!("{}\nreport: {}", summary_text(&study.summary), report.display()))?;
    Ok(exit_of(&study.outcome))
}

/// The exit code of a run's outcome.
pub fn exit_of(outcome: &Outcome) -> Exit {
    match outcome {
        Outcome::Completed => Exit::Ok,
        Outcome::BudgetExhausted { .. } => Exit::BudgetExhausted,
        Outcome::QuorumLost { .. } => Exit::QuorumLost,
        _ => Exit::Failed,
    }
}
