//! What `sweep` takes.
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ConfigArgs;

/// Where the cells of a sweep run.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executor {
    /// On this machine.
    Local,
    /// As a Slurm job array; OUT must be a folder that every node sees.
    Slurm,
}

/// How else a sweep is written down.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracking {
    /// MLflow's file store in OUT/mlruns: mlflow ui --backend-store-uri OUT/mlruns.
    Mlflow,
}

/// `sweep`
#[derive(Args, Debug)]
pub struct SweepArgs {
    /// The config, with a section named sweep.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where cells, table and report go; cells that are there are kept.
    #[arg(long)]
    pub out: PathBuf,
    /// Cells at once. By default one a core, as long as they fit into memory; cores that are left go to the threads of each cell. On
    /// Slurm, the most tasks at once; by default as many as the cluster gives.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Prints the cells, how long they may take and what their audits could find, and runs none. The time is that of cells that are
    /// done; where none is, one round of the first is tried, which leaves its features in OUT/data.
    #[arg(long, conflicts_with_all = ["cell", "track"])]
    pub dry_run: bool,
    /// Where cells run.
    #[arg(long, value_enum, default_value_t = Executor::Local)]
    pub executor: Executor,
    /// A further argument of sbatch, after those of [sweep.slurm], for example --slurm-arg=--account=speech (repeatable).
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub slurm_arg: Vec<String>,
    /// Runs one cell alone, by its place in --dry-run or by the first digits of its digest, into OUT/cells: for other schedulers. The
    /// next sweep without it takes the result into its table.
    #[arg(long, value_name = "PLACE|DIGEST")]
    pub cell: Option<String>,
    /// Writes every finished cell down for an experiment tracker, too.
    #[arg(long, value_enum)]
    pub track: Option<Tracking>,
}
