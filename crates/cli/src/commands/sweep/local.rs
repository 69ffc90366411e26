//! Cells on this machine: so many at once, each on its own share of the cores and within the memory that is free.
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Result;
use sottovoce_config::{AggregationMode, Config, SweepCell};
use sottovoce_types::{Digest, Unit};

use super::progress::Progress;
use super::table::{CellResult, Table};
use super::{Failed, isolated};

/// What a cell takes besides its data, models and frames: the canaries' vectors, the tensors of a few batches.
const MEMORY_OF_ANY_CELL: u64 = 64 << 20;

/// How cells share the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lanes {
    /// Cells at once.
    pub(super) jobs: usize,
    /// Threads of each: a cell trains speakers and evaluates models side by side.
    pub(super) threads: usize,
}

impl Lanes {
    /// As many cells as were asked for; otherwise one a core, as long as there are so many to run and they fit into memory. Cells that
    /// run side by side wait for nobody, and so cores go to cells first and to the threads of a cell with what is left.
    pub(super) fn new(asked: Option<usize>, cells: usize, largest: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::of(asked, cells, cores, available_memory().map(|free| free / 5 * 4 / largest.max(1)))
    }

    fn of(asked: Option<usize>, cells: usize, cores: usize, fit: Option<u64>) -> Self {
        let fit = fit.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        let jobs = asked.unwrap_or_else(|| cores.min(cells).min(fit)).max(1);
        Self { jobs, threads: (cores / jobs).max(1) }
    }
}

/// An upper estimate of what a cell holds in memory, in bytes: its utterances three times over (as read, as examples, as dealt out), the
/// model after each round, and every frame of the run, which the audit reads.
pub(super) fn memory(config: &Config, features: u64) -> u64 {
    let parameters = config.model_spec().layout().len() as u64;
    let lanes = match (config.privacy.unit, config.aggregation.mode) {
        (_, AggregationMode::Plain) | (Unit::None, _) => 1,
        _ => config.aggregation.lanes.count() as u64,
    };
    let frames = u64::from(config.partition.clients) * 2 * (parameters * 8).div_ceil(lanes);
    MEMORY_OF_ANY_CELL + 3 * features + config.run.rounds * (frames + parameters * 4)
}

/// Memory that is free, in bytes; `None` where the system does not say.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Runs cells, each by whoever is free next. A cell that fails is told at the end; what stops the sweep is a table that cannot be written.
pub(super) fn run(
    cells: &[&(Digest, SweepCell)],
    lanes: Lanes,
    table: &mut Table,
    progress: &Progress<'_>,
    one: impl Fn(Digest, &SweepCell) -> Result<CellResult> + Sync,
) -> Result<Vec<Failed>> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let shared = Mutex::new((table, Vec::new()));
    let work = || -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(lanes.threads).build()?;
        while !stop.load(Ordering::Relaxed) {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some((digest, cell)) = cells.get(i) else { break };
            let outcome = pool.install(|| isolated(|| one(*digest, cell)));
            let mut shared = shared.lock().expect("no cell panics while it holds the table");
            let failed = match outcome {
                Ok(result) => {
                    if let Err(error) = shared.0.push(result) {
                        stop.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                    false
                }
                Err(error) => {
                    shared.1.push((i, Failed { cell: cell.name(), error: format!("{error:#}") }));
                    true
                }
            };
            drop(shared);
            progress.ended(failed);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..lanes.jobs.min(cells.len())).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|w| w.join().expect("a cell's panic is caught in its thread"))
    })?;
    let (_, mut failed) = shared.into_inner().expect("no cell panics while it holds the table");
    failed.sort_by_key(|(i, _)| *i);
    Ok(failed.into_iter().map(|(_, failed)| failed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_and_their_threads_together_are_no_more_than_the_cores() {
        let lanes = |jobs, threads| Lanes { jobs, threads };
        assert_eq!(Lanes::of(None, 100, 8, None), lanes(8, 1));
        assert_eq!(Lanes::of(None, 3, 8, None), lanes(3, 2), "what cells leave goes to the threads of each");
        assert_eq!(Lanes::of(None, 100, 8, Some(2)), lanes(2, 4), "what fits into memory");
        assert_eq!(Lanes::of(None, 100, 8, Some(0)), lanes(1, 8), "one runs in any case");
        assert_eq!(Lanes::of(Some(3), 100, 8, Some(1)), lanes(3, 2), "what was asked for holds");
        assert_eq!(Lanes::of(Some(20), 100, 8, None), lanes(20, 1));
    }

    #[test]
    fn a_cell_with_more_rounds_or_clients_takes_more_memory() {
        let of = |text: &str| memory(&Config::parse(text, &[] as &[&str]).unwrap(), 1000);
        let some = of("[run]\nrounds = 10\n");
        assert!(of("[run]\nrounds = 20\n") > some);
        assert!(of("[run]\nrounds = 10\n[model]\nhidden = [256]\n") > some);
    }
}
