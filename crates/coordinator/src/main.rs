//! The `sottovoce-coordinator` binary: rounds, sums and a ledger; no model, no speech, no feature file.
//!
//! It links neither a machine-learning library nor HDF5 nor an audio decoder. What it writes lies in one run directory:
//! `state.sqlite`, `checkpoints/`, `rounds.jsonl`, `transcript.bin`, `config.toml`.
#![forbid(unsafe_code)]

mod args;
mod service;
mod tell;

use std::process::ExitCode;

use clap::Parser;
use sottovoce_config::{Config, Role};

use crate::args::Args;

/// Exit codes, as `--help` lists them.
mod exit {
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const BUDGET_EXHAUSTED: u8 = 10;
    pub(crate) const QUORUM_LOST: u8 = 11;
}

fn main() -> ExitCode {
    let args = Args::parse();
    let level = if args.verbose { tracing::Level::DEBUG } else { tracing::Level::WARN };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).without_time().init();
    let config =
        match Config::load(&args.config, &args.set).and_then(|c| c.deployment(Role::Coordinator).map(|d| (c, d))) {
            Ok(loaded) => loaded,
            Err(error) => {
                tell::complain(&error.render(false));
                return ExitCode::from(exit::USAGE);
            }
        };
    match service::run(&config.0, &config.1, &args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tell::complain(&format!("error: {error:#}"));
            ExitCode::from(exit::FAILED)
        }
    }
}
