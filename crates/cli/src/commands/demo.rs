//! `demo`: the main job end to end, with real processes over real QUIC, one of them killed mid-round.
mod federation;
mod processes;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::json;
use sottovoce_audio::{CorpusKind, Labelling, extract, scan, synth};
use sottovoce_config::Config;
use sottovoce_report::{attacks_text, per_class_text, summary_text};
use sottovoce_round::RunPlan;
use sottovoce_train::Partition;
use sottovoce_transcript::Transcript;
use sottovoce_types::{RunSummary, SCHEMA_VERSION};

use self::federation::Sites;
use self::processes::{Killed, Processes};
use crate::args::DemoArgs;
use crate::auditing::{Audit, Audited, Told, clips_of};
use crate::commands::audit::{canary_text, exit_of};
use crate::exit::Exit;
use crate::output::Output;
use crate::run_dir::RunDir;
use crate::speech::{self, Speech};
use crate::study;

/// Speakers at each institution.
const SPEAKERS_PER_CLIENT: u32 = 6;
/// Speakers never trained on.
const TEST_SPEAKERS: u32 = 12;
/// Sentences of each speaker in each emotion.
const SENTENCES: u32 = 8;
/// Retries that the budget leaves room for, beside the rounds: a killed client or a lost quorum is charged.
const SPARE_ATTEMPTS: u64 = 1;

/// The run's config; everything that matters to it is written out in `config.toml`.
const CONFIG: &str = include_str!("../../../../configs/demo.toml");

#[derive(Serialize)]
struct Demo<'a> {
    schema: u32,
    synthetic: bool,
    run: PathBuf,
    report: PathBuf,
    summary: &'a RunSummary,
    killed: &'a Killed,
    dropouts_survived: u32,
    /// `None` where there is no interval.
    uar_interval_excludes_chance: Option<bool>,
    empirical_epsilon_below_bound: Option<bool>,
    attacks: &'a [sottovoce_types::AttackScore],
    canary: Option<&'a sottovoce_types::CanaryAudit>,
    wall_s: f64,
}

/// `demo`
pub fn run(args: &DemoArgs, output: &Output) -> Result<Exit> {
    let began = Instant::now();
    let root = prepare(args)?;
    let config = config(args, &root)?;

    output.remark("1/6  synthetic voices and their MFCCs (they say nothing about emotion in human speech)");
    let speech = voices(&config, &root, output)?;
    let partition = crate::federation::partition(&config, &speech.examples(&config))?;

    output.remark(format!(
        "2/6  {} institutions: identities, manifest, feature caches, configs",
        partition.clients.len()
    ));
    let sites = Sites::set_up(&root, &config, &partition)?;

    output.remark("3/6  federation over QUIC: 1 coordinator process, one process an institution");
    let killed = Processes::federate(&sites, args.rounds, output)?;

    output.remark("4/6  evaluation on speakers never trained on");
    let (dir, run_config) = RunDir::open(&sites.run, &[])?;
    let (summary, audited) = evaluate(&dir, &run_config, &sites, &partition, &speech, &began)?;
    dir.write_summary(&summary)?;
    dir.write_partition(&config, &partition, summary.synthetic)?;
    dir.write_provenance(&run_config)?;

    output.remark("5/6  attacks, each with its control");
    let audit = audited.audit(dir.path(), &root, output)?;
    dir.write_audit(&audit)?;

    output.remark("6/6  report");
    let report = dir.write_report()?;
    present(&summary, &audit, &killed, &dir, &report, &began, output)
}

/// An empty folder: an earlier demo there is replaced, anything else is not touched.
fn prepare(args: &DemoArgs) -> Result<PathBuf> {
    const MARKER: &str = ".sottovoce-demo";
    let root = &args.out;
    if root.exists() {
        let empty = std::fs::read_dir(root)?.next().is_none();
        if !empty && !root.join(MARKER).exists() {
            bail!("{} exists and was not made by a demo: choose another --out", root.display());
        }
        std::fs::remove_dir_all(root)?;
    }
    std::fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
    std::fs::write(root.join(MARKER), "made by `sottovoce demo`, replaced by the next one\n")?;
    Ok(root.canonicalize()?)
}

fn config(args: &DemoArgs, root: &std::path::Path) -> Result<Config> {
    let speakers = args.clients * SPEAKERS_PER_CLIENT + TEST_SPEAKERS;
    let delta = 1e-5;
    // Noise for the rounds and a spare attempt, so that the retry of a round is inside the budget, too.
    let noise = sottovoce_dp::gdp::calibrate(
        sottovoce_types::Epsilon::new(args.epsilon).map_err(|e| crate::exit::usage(e.to_string()))?,
        sottovoce_types::Delta::new(delta)?,
        args.rounds + SPARE_ATTEMPTS,
    );
    let set = [
        format!("run.rounds={}", args.rounds),
        format!("run.seed={}", args.seed),
        format!("partition.seed={}", args.seed),
        format!("partition.clients={}", args.clients),
        format!("partition.test_speakers={TEST_SPEAKERS}"),
        format!("corpus.synth_speakers={speakers}"),
        format!("corpus.synth_sentences={SENTENCES}"),
        format!("corpus.cache=\"{}\"", root.join("features.h5").display()),
        format!("aggregation.n_min={}", args.clients - 1),
        format!("privacy.delta={delta:e}"),
        format!("privacy.noise_multiplier={}", noise.value()),
        format!("privacy.epsilon_budget={}", args.epsilon),
    ];
    Config::parse(CONFIG, &set).map_err(crate::exit::refused)
}

/// Real files all the way: wav on disk, scanned, decoded, extracted to HDF5, read back.
fn voices(config: &Config, root: &std::path::Path, output: &Output) -> Result<Speech> {
    let corpus = root.join("corpus");
    let spec = synth::SynthSpec {
        speakers: config.corpus.synth_speakers,
        sentences: config.corpus.synth_sentences,
        seed: config.partition.seed,
    };
    let bar = output.progress("synthesising voices", 0);
    synth::write_corpus(&corpus, &spec, &|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let scan = scan(CorpusKind::CremaD, &corpus, Labelling::default())?;
    let path = config.corpus.cache.as_deref().context("the demo's config names a cache")?;
    let bar = output.progress("extracting MFCCs", scan.clips.len() as u64);
    extract(&scan, &config.features.spec(), path, &|done, _| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    let speech = speech::load(config, root, output)?;
    anyhow::ensure!(speech.synthetic, "the demo's corpus must be marked as synthetic");
    Ok(speech)
}

/// Everything that an audit borrows.
struct Finished {
    config: Config,
    plan: std::sync::Arc<RunPlan>,
    trainer: sottovoce_train::Trainer,
    partition: Partition,
    models: Vec<sottovoce_types::FlatParams>,
    clips: Vec<f64>,
    transcript: Transcript,
    rounds: u64,
}

impl Finished {
    fn audit(&self, run: &std::path::Path, root: &std::path::Path, output: &Output) -> Result<Audit> {
        Audited {
            config: &self.config,
            plan: &self.plan,
            trainer: &self.trainer,
            partition: &self.partition,
            model: self.models.last().expect("one was published"),
            models: &self.models,
            clips: self.clips.clone(),
            transcript: &self.transcript,
            rounds: self.rounds,
        }
        .audit_and_tell(&Told::new(run, &[], true), root, output)
    }
}

fn evaluate(
    dir: &RunDir,
    config: &Config,
    sites: &Sites,
    partition: &Partition,
    speech: &Speech,
    began: &Instant,
) -> Result<(RunSummary, Finished)> {
    let trainer = crate::federation::trainer(config)?;
    let mut records = dir.read_rounds()?;
    let models = dir.read_models(records.len() as u64, config)?;
    study::evaluate_rounds(config, &trainer, partition, &models, &mut records)?;
    dir.write_rounds(&records)?;
    let model = models.last().context("no model was published")?.clone();
    let plan = sites.plan.clone();
    let states = sites.sites.iter().filter_map(|s| s.config.transport.state.as_deref());
    let parties = std::iter::once(dir.path()).chain(states);
    let parties = parties.map(|state| Ok(sottovoce_store::read_journal(state)?.0)).collect::<Result<Vec<_>>>()?;
    let evaluated = study::Evaluated {
        config,
        plan: &plan,
        trainer: &trainer,
        partition,
        speech,
        records: &records,
        model: &model,
        spent: study::spent(&plan, parties.iter().map(Vec::as_slice))?,
        noise_source: "os",
    };
    let mut summary = evaluated.summary()?;
    summary.centralised = Some(study::centralised(config, &trainer, partition)?);
    summary.local_only_uar = Some(study::local_only(config, &trainer, partition)?);
    summary.wall_s = began.elapsed().as_secs_f64();
    let rounds = records.len() as u64;
    let transcript = Transcript::read(dir.transcript())?;
    let clips = clips_of(&records, &plan);
    let partition = partition.clone();
    let finished = Finished { config: config.clone(), plan, trainer, partition, models, clips, transcript, rounds };
    Ok((summary, finished))
}

fn present(
    summary: &RunSummary,
    audit: &Audit,
    killed: &Killed,
    dir: &RunDir,
    report: &std::path::Path,
    began: &Instant,
    output: &Output,
) -> Result<Exit> {
    let wall_s = began.elapsed().as_secs_f64();
    let demo = Demo {
        schema: SCHEMA_VERSION,
        synthetic: true,
        run: dir.path().to_owned(),
        report: report.to_owned(),
        summary,
        killed,
        dropouts_survived: summary.dropouts,
        uar_interval_excludes_chance: summary.metrics.uar_ci95.map(|ci| ci.low > summary.metrics.uar_chance),
        empirical_epsilon_below_bound: audit.canary.as_ref().map(|c| c.epsilon_lower <= c.epsilon_claimed),
        attacks: &audit.attacks,
        canary: audit.canary.as_ref(),
        wall_s,
    };
    output.result(&json!(demo), || {
        let mut text = format!("{}\n\n{}\n\n{}\n", summary_text(summary), per_class_text(&summary.metrics), attacks_text(&audit.attacks));
        if let Some(canary) = &audit.canary {
            text += &format!("\n{}\n", canary_text(canary));
        }
        text += &format!(
            "\ninstitution {} was killed (SIGKILL) in round {} and came back; {} dropout(s) survived\nreport: {}   ({wall_s:.0} s)",
            killed.name, killed.round, summary.dropouts, report.display()
        );
        text
    })?;
    Ok(audit.canary.as_ref().map_or(Exit::Ok, |c| exit_of(c.verdict)))
}
