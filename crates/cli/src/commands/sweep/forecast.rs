//! `--dry-run`: the cells of a sweep, how long they may take, and what their audits could find. Nothing is run but, where no cell was
//! run before, one round of the first, to have a time to reckon with.
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use sottovoce_config::{AttackName, Config, SweepCell, SweepPlan};
use sottovoce_report::{Align, TextTable};
use sottovoce_types::{Digest, Epsilon, NoiseMultiplier, SCHEMA_VERSION, Setting, SweepRow, Unit};

use super::cell::{Cells, Centralised, with_cache};
use super::local::Lanes;
use super::progress::in_words;
use super::table::Table;
use crate::args::SweepArgs;
use crate::auditing::power::CanaryPower;
use crate::exit::Exit;
use crate::output::Output;
use crate::speech;

/// A cell before it runs.
#[derive(Serialize)]
struct Forecast<'a> {
    /// Its place, from 1.
    index: usize,
    config_sha256: Digest,
    cell: String,
    settings: &'a BTreeMap<String, Setting>,
    unit: Unit,
    epsilon_target: Option<f64>,
    noise_multiplier: Option<f64>,
    fold: Option<u32>,
    seed: u64,
    done: bool,
    expected_s: f64,
    canaries: Option<Canaries>,
}

/// What a cell's canaries could find.
#[derive(Clone, Copy, Serialize)]
struct Canaries {
    count: u64,
    /// The smallest factor by which noise could fall short and be caught with probability 0.95; `None` where none would be.
    detectable_noise_shortfall: Option<f64>,
    epsilon_lower_expected: f64,
}

/// `sweep --dry-run`
pub(super) fn run(args: &SweepArgs, plan: &SweepPlan, cells: &[(Digest, SweepCell)], output: &Output) -> Result<Exit> {
    let table = Table::read(&args.out, cells, output)?;
    let (times, lanes) = measured_or_tried(args, plan, cells, &table, output)?;
    let mut powers = BTreeMap::new();
    let all: Vec<Forecast<'_>> = cells
        .iter()
        .enumerate()
        .map(|(i, (digest, cell))| {
            let noise = cell.config.noise_multiplier();
            Forecast {
                index: i + 1,
                config_sha256: *digest,
                cell: cell.name(),
                settings: &cell.settings,
                unit: cell.config.privacy.unit,
                epsilon_target: cell.epsilon.map(Epsilon::value),
                noise_multiplier: noise.map(NoiseMultiplier::value),
                fold: cell.fold,
                seed: cell.seed,
                done: table.has(digest),
                expected_s: times.of(&cell.config, *digest),
                canaries: noise.and_then(|z| canaries(&cell.config, z, &mut powers)),
            }
        })
        .collect();
    let left: f64 = all.iter().filter(|f| !f.done).map(|f| f.expected_s).sum();
    let left_s = left / lanes.jobs as f64;
    let excluded: Vec<_> = plan.excluded.iter().map(|e| json!({"cell": e.cell.name(), "rule": e.rule})).collect();
    let object = json!({
        "schema": SCHEMA_VERSION,
        "cells": all,
        "excluded": excluded,
        "same_as_another": plan.cells.len() - cells.len(),
        "jobs": lanes.jobs,
        "threads_of_a_cell": lanes.threads,
        "expected_s": left_s,
        "expected_from": times.from(),
    });
    output.result(&object, || text(plan, &all, lanes, left_s, &times))?;
    Ok(Exit::Ok)
}

fn canaries(config: &Config, z: NoiseMultiplier, known: &mut BTreeMap<(u64, u64, u64), Canaries>) -> Option<Canaries> {
    if !(config.sweep.attacks && config.audit.attacks.contains(&AttackName::Canary)) {
        return None;
    }
    let canaries = u64::from(config.audit.canaries);
    let made = || {
        let power = CanaryPower::new(canaries, config.run.rounds, z, config.privacy.delta);
        Canaries {
            count: canaries,
            detectable_noise_shortfall: power.detects().then_some(power.detectable_noise_shortfall),
            epsilon_lower_expected: power.epsilon_lower_expected,
        }
    };
    Some(*known.entry((canaries, config.run.rounds, z.value().to_bits())).or_insert_with(made))
}

/// A cell that is done.
struct Done {
    digest: Digest,
    line: String,
    rounds: u64,
    seconds: f64,
}

/// How long a cell takes.
enum Times {
    /// By the cells that are done.
    Measured(Vec<Done>),
    /// By one round of one cell.
    Tried { cell: String, setup: f64, round: f64, audit: f64 },
}

impl Times {
    /// Seconds: of the cell itself where it is done; else the mean of done cells of the same line, or of all, by rounds.
    fn of(&self, config: &Config, digest: Digest) -> f64 {
        match self {
            Self::Tried { setup, round, audit, .. } => setup + round * config.run.rounds as f64 + audit,
            Self::Measured(done) => {
                if let Some(own) = done.iter().find(|own| own.digest == digest) {
                    return own.seconds;
                }
                let line = line(config);
                let alike: Vec<&Done> = done.iter().filter(|other| other.line == line).collect();
                let like = if alike.is_empty() { done.iter().collect() } else { alike };
                let a_round: f64 = like.iter().map(|other| other.seconds / other.rounds.max(1) as f64).sum();
                a_round / like.len() as f64 * config.run.rounds as f64
            }
        }
    }

    fn from(&self) -> String {
        match self {
            Self::Measured(done) => format!("{} cells that are done", done.len()),
            Self::Tried { cell, .. } => format!("one round of one cell ({cell})"),
        }
    }
}

/// Cells whose time is alike: of one model, in one way.
fn line(config: &Config) -> String {
    let unit = config.privacy.unit.name();
    format!(
        "{} {unit} {} {}",
        config.model_spec().layout().len(),
        config.partition.clients,
        config.aggregation.mode.name()
    )
}

fn measured_or_tried(
    args: &SweepArgs,
    plan: &SweepPlan,
    cells: &[(Digest, SweepCell)],
    table: &Table,
    output: &Output,
) -> Result<(Times, Lanes)> {
    let todo: Vec<&(Digest, SweepCell)> = cells.iter().filter(|(digest, _)| !table.has(digest)).collect();
    if !table.rows().is_empty() {
        let of_row = |row: &SweepRow| {
            let (digest, cell) = cells.iter().find(|(digest, _)| *digest == row.config_sha256)?;
            Some(Done { digest: *digest, line: line(&cell.config), rounds: row.rounds?, seconds: row.wall_s })
        };
        let done: Vec<_> = table.rows().iter().filter_map(of_row).collect();
        if !done.is_empty() {
            // Features are read for the memory that they take alone; that is not worth the time here.
            let largest = todo.iter().map(|(_, cell)| super::local::memory(&cell.config, 0)).max().unwrap_or(0);
            return Ok((Times::Measured(done), Lanes::new(args.jobs.map(usize::from), todo.len(), largest)));
        }
    }
    let workspace = args.out.join("data");
    std::fs::create_dir_all(&workspace)?;
    let speech = speech::load(&with_cache(&plan.config, &workspace), &workspace, output)?;
    let lanes = super::lanes(args, &todo, &speech);
    let (digest, cell) = &cells[0];
    let mut one = cell.clone();
    one.config.run.rounds = u64::from(one.config.training.warmup_rounds) + 1;
    let rounds = one.config.run.rounds as f64;
    output.remark(format!("no cell is done: trying {rounds} round(s) of {}", cell.name()));
    let began = std::time::Instant::now();
    speech::load(&with_cache(&cell.config, &workspace), &workspace, output)?;
    let setup = began.elapsed().as_secs_f64();
    let runner = Cells { workspace: &workspace, centralised: Centralised::known(&[], &[]) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(lanes.threads).build()?;
    let tried = pool.install(|| runner.run(*digest, &one, &output.silent()))?;
    let round = (tried.training_s - setup).max(0.0) / rounds;
    let audit = (tried.row.wall_s - tried.training_s).max(0.0);
    Ok((Times::Tried { cell: cell.name(), setup, round, audit }, lanes))
}

fn text(plan: &SweepPlan, all: &[Forecast<'_>], lanes: Lanes, left_s: f64, times: &Times) -> String {
    let mut table = TextTable::new([
        ("", Align::Right),
        ("cell", Align::Left),
        ("noise", Align::Right),
        ("about", Align::Right),
        ("shortfall caught", Align::Right),
        ("", Align::Left),
    ]);
    for f in all {
        let caught = f.canaries.map_or(String::new(), |c| match c.detectable_noise_shortfall {
            Some(factor) => format!("{factor:.2}"),
            None => "none".to_owned(),
        });
        table.row([
            f.index.to_string(),
            f.cell.clone(),
            f.noise_multiplier.map_or(String::new(), |z| format!("{z:.3}")),
            format!("{:.1} s", f.expected_s),
            caught,
            if f.done { "done".to_owned() } else { f.config_sha256.to_string()[..12].to_owned() },
        ]);
    }
    let mut out = table.render();
    for e in &plan.excluded {
        out.push_str(&format!("left out by rule {}: {}\n", e.rule, e.cell.name()));
    }
    let doubles = plan.cells.len() - all.len();
    if doubles > 0 {
        out.push_str(&format!("{doubles} more are the same runs in other words\n"));
    }
    let done = all.iter().filter(|f| f.done).count();
    out.push_str(&format!(
        "{} cells, {done} done; about {} for the rest with {} at once, {} thread(s) each; by {}\n",
        all.len(),
        in_words(Duration::from_secs_f64(left_s)),
        lanes.jobs,
        lanes.threads,
        times.from()
    ));
    if all.iter().any(|f| f.canaries.is_some()) {
        out.push_str("shortfall caught: noise short by this factor would be caught by the cell's canaries with probability 0.95\n");
    }
    out
}
