//! One file a command, or a family of them.
pub mod audit;
pub mod bench;
pub mod cert;
pub mod client;
pub mod corpus;
pub mod demo;
pub mod evaluate;
pub mod explain;
pub mod extract;
pub mod predict;
pub mod preflight;
pub mod privacy;
pub mod report;
pub mod simulate;
pub mod sweep;
pub mod train;
pub mod verify;

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;
use sottovoce_config::Config;

use crate::args::{Cli, ConfigArgs};
use crate::exit::{Exit, refused, usage};

/// Loads a config; what is wrong with it is drawn with its place.
pub fn load_config(args: &ConfigArgs) -> anyhow::Result<Config> {
    load_config_file(&args.config, &args.set)
}

/// Loads a config file with overrides.
pub fn load_config_file(path: &Path, set: &[String]) -> anyhow::Result<Config> {
    Config::load(path, set).map_err(refused)
}

/// The defaults with overrides.
pub fn default_config(set: &[String]) -> anyhow::Result<Config> {
    Config::parse("", set).map_err(refused)
}

/// The defaults with overrides of `[features]`: the command line names the corpus, so other keys would be overlooked.
pub fn features_config(set: &[String]) -> anyhow::Result<Config> {
    if let Some(other) = set.iter().find(|s| !s.trim_start().starts_with("features.")) {
        return Err(usage(format!(
            "--set {other}: this command takes keys of [features] alone, as in --set features.n_mfcc=20"
        )));
    }
    default_config(set)
}

/// `completions`
pub fn completions(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sottovoce", &mut script);
    // Whoever closes the pipe has read enough.
    let _ = std::io::stdout().write_all(&script);
    Exit::Ok
}
