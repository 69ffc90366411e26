//! The command line.
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// The coordinator of a federation: it sums what it cannot read.
#[derive(Parser, Debug)]
#[command(
    name = "sottovoce-coordinator",
    version,
    after_help = "Exit codes: 0 ok · 1 failed · 2 usage or config · 10 privacy budget exhausted · 11 quorum lost\n\
                  Killed and started again with the same config, it goes on from transport.state: what was spent stays spent."
)]
pub(crate) struct Args {
    /// The run's TOML file (all keys: configs/README.md); transport.state is the run directory.
    pub(crate) config: PathBuf,
    /// Overrides one key, for example --set transport.listen=0.0.0.0:4470 (repeatable).
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Events: text for people on stderr, or json, one object a line on stdout.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Draws the run in this terminal, on stdout; where stdout is none, says one line for each change. No events are told then.
    #[arg(long, conflicts_with = "format")]
    pub(crate) watch: bool,
    /// Leaves out the page, /state.json and /metrics that transport.dashboard serves.
    #[arg(long)]
    pub(crate) no_dashboard: bool,
    /// Logs on stderr: text, or json, one object a line, events among them, so that stderr holds nothing else.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) log_format: Format,
    /// Colour in errors that point into the config: auto (on a terminal, where `NO_COLOR` is not set), always, or never.
    #[arg(long, default_value_t, value_name = "WHEN")]
    pub(crate) color: sottovoce_config::Colour,
    /// More about connections, on stderr.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// How events are told, and logs written.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}
