//! The `sottovoce-coordinator` binary: rounds, sums and a ledger; no model, no speech, no feature file.
//!
//! It links neither a machine-learning library nor HDF5 nor an audio decoder. What it writes lies in one run directory:
//! `state.sqlite`, `checkpoints/`, `rounds.jsonl`, `transcript.bin`, `config.toml`.
#![forbid(unsafe_code)]

mod args;
mod log;
mod records;
mod service;
mod show;
mod tell;

use std::process::ExitCode;

use clap::Parser;
use sottovoce_config::{Config, Role};

use crate::args::Args;
use crate::tell::Voice;

/// Exit codes, as `--help` lists them.
mod exit {
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const BUDGET_EXHAUSTED: u8 = 10;
    pub(crate) const QUORUM_LOST: u8 = 11;
}

fn main() -> ExitCode {
    let args = Args::parse();
    log::start(args.log_format, args.verbose);
    let voice = Voice::of(&args);
    let config =
        match Config::load(&args.config, &args.set).and_then(|c| c.deployment(Role::Coordinator).map(|d| (c, d))) {
            Ok(loaded) => loaded,
            Err(error) => {
                voice.complain(&error.render(args.color.on_stderr()));
                return ExitCode::from(exit::USAGE);
            }
        };
    match service::run(&config.0, &config.1, &args, voice) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            voice.complain(&format!("error: {error:#}"));
            ExitCode::from(exit::FAILED)
        }
    }
}
