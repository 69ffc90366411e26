//! The `sottovoce` command.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]
#![allow(clippy::cast_precision_loss, reason = "counts and seconds for people, not privacy")]
#![allow(clippy::format_push_string, reason = "text for a terminal: clearer than write! and its impossible error")]
#![allow(unreachable_pub, unnameable_types, reason = "a binary: pub means shared between its modules")]

mod args;
mod auditing;
mod commands;
mod exit;
mod federation;
mod output;
mod run_dir;
mod site;
mod speech;
mod study;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{Cli, Command};
use crate::exit::{Exit, Refused, WithExit};
use crate::output::Output;

/// Tensors come and go by the megabyte. The system's allocator gives such blocks back at once and takes them anew, page by page,
/// which was half of an LSTM's training step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A panic of the audio parser on a damaged file is caught and told as that file's error.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|place| place.file().contains("symphonia")) {
            tell(panic);
        }
    }));
    start_log(cli.global.verbose);
    let output = Output::new(&cli.global);
    let colour = cli.global.color.on_stderr();
    match run(cli.command, &output) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = error.downcast_ref::<WithExit>().map_or(Exit::Failed, |e| e.exit);
            if let Some(Refused(config)) = error.downcast_ref() {
                complain(&anyhow::Error::msg(config.render(colour)));
                return Exit::Usage.into();
            }
            complain(&error);
            exit.into()
        }
    }
}

fn run(command: Command, output: &Output) -> anyhow::Result<Exit> {
    match command {
        Command::Demo(args) => commands::demo::run(&args, output),
        Command::Corpus(command) => commands::corpus::run(&command, output),
        Command::Extract(args) => commands::extract::extract(&args, output),
        Command::Mfcc(args) => commands::extract::mfcc(&args, output),
        Command::Train(args) => commands::train::run(&args, output),
        Command::Simulate(args) => commands::simulate::run(&args, output),
        Command::Client(args) => commands::client::run(&args, output),
        Command::Cert(command) => commands::cert::run(&command, output),
        Command::Preflight(args) => commands::preflight::run(&args, output),
        Command::Explain(args) => commands::explain::run(&args, output),
        Command::Privacy(command) => commands::privacy::run(&command, output),
        Command::Evaluate(args) => commands::evaluate::evaluate(&args, output),
        Command::Predict(args) => commands::predict::run(&args, output),
        Command::Audit(command) => commands::audit::run(&command, output),
        Command::Sweep(args) => commands::sweep::run(&args, output),
        Command::Report(args) => commands::report::run(&args, output),
        Command::Verify(args) => commands::verify::run(&args, output),
        Command::Bench(command) => commands::bench::run(&command, output),
        Command::Completions { shell } => Ok(commands::completions(shell)),
    }
}

/// The chain of causes, one a line, on stderr.
#[allow(clippy::print_stderr, reason = "errors belong on stderr")]
fn complain(error: &anyhow::Error) {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::TRACE,
    };
    // What the audio parser remarks on is in our own errors, with the file's name.
    let chosen = Targets::new().with_default(level).with_target("symphonia", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).without_time();
    tracing_subscriber::registry().with(lines.with_filter(chosen)).init();
}
