//! `audit` on the command line.
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use sottovoce_attack::canary::Mutation;

/// `audit`
#[derive(Subcommand, Debug)]
pub enum AuditCommand {
    /// What an audit of a run would cost, what it could certify and what it could miss, before anything is run.
    Plan {
        /// A config, or a run directory.
        #[arg(value_name = "CONFIG|RUN")]
        path: PathBuf,
        /// Overrides, for example --set audit.canaries=5000 (repeatable).
        #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
        set: Vec<String>,
    },
    /// Attacks a finished run, sets empirical epsilon against its bound, and writes RUN/audit/report.html.
    Run(AuditRunArgs),
    /// Shows that the audit catches broken privacy and does not cry wolf on a private mechanism.
    Selftest(SelftestArgs),
    /// Scores of any tool: AUC, ROC, bounds on epsilon, and whether a claim stands against them.
    ImportScores(ImportScoresArgs),
}

/// `audit run`
#[derive(Args, Debug)]
pub struct AuditRunArgs {
    /// Run directory.
    pub run: PathBuf,
    /// Overrides of the run's config, for example --set corpus.cache=evaluation.h5 for a deployed run (repeatable).
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// The gate's canaries alone, in these rounds: what a finding's reproducer runs. Nothing is written.
    #[arg(long, value_name = "ROUND|FIRST-LAST", value_parser = rounds)]
    pub rounds: Option<(u64, u64)>,
    /// The gate's canaries alone, with a defect planted in what they go through: this audit of this run must call it a violation.
    /// Nothing is written.
    #[arg(long, value_enum, value_name = "DEFECT")]
    pub plant: Option<PlantArg>,
}

/// One round, or the first and the last of several.
fn rounds(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if 1 <= first && first <= last => Ok((first, last)),
        _ => Err("a round from 1 on, or the first and the last as in 3-5".to_owned()),
    }
}

/// A defect to plant.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantArg {
    /// No noise.
    NoiseOff,
    /// Noise short by a factor of 4.
    NoiseShort,
    /// Shares of noise made for four times as many clients as there are.
    NoiseForAll,
    /// Updates are not clipped.
    ClipSkipped,
    /// Each unit is at two clients.
    UnitAtTwoClients,
    /// Units are replaced, accounted for as removed.
    ReplacedNotRemoved,
}

impl PlantArg {
    /// As on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
    }

    /// In a run of `clients`.
    pub fn mutation(self, clients: u32) -> Mutation {
        match self {
            Self::NoiseOff => Mutation::NoiseOff,
            Self::NoiseShort => Mutation::NoiseShort { factor: 4.0 },
            Self::NoiseForAll => Mutation::NoiseForAll { clients: clients.saturating_mul(4) },
            Self::ClipSkipped => Mutation::ClipSkipped,
            Self::UnitAtTwoClients => Mutation::UnitAtTwoClients,
            Self::ReplacedNotRemoved => Mutation::ReplacedNotRemoved,
        }
    }
}

/// `audit selftest`
#[derive(Args, Debug)]
pub struct SelftestArgs {
    /// Canaries of each mechanism.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub canaries: u32,
    /// Seed of coins and noise.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// One mechanism by its name, and no null suite.
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,
    /// Private mechanisms simulated for each bound.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub repetitions: u64,
}

/// How imported scores came about. A bound is valid under some and refused under others: docs/audits.md.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum DesignArg {
    /// One run; each canary was in or out by a fair coin of its own.
    OneRun,
    /// Each row is a trial of its own: one canary a run, or orthonormal canaries under independent noise.
    IndependentTrials,
    /// Both.
    IndependentCoins,
    /// Members and non-members as they were found: AUC and ROC alone.
    Observed,
}

/// `audit import-scores`
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("chosen").args(["threshold", "guesses", "split"]))]
pub struct ImportScoresArgs {
    /// CSV: unit,score,member[,cluster,run,SLICES...], or score,member, or in_canary_scores,out_canary_scores.
    pub file: PathBuf,
    /// How the scores came about.
    #[arg(long, value_enum, default_value_t = DesignArg::Observed)]
    pub design: DesignArg,
    /// The epsilon that is claimed.
    #[arg(long, requires = "delta")]
    pub epsilon: Option<f64>,
    /// The delta that is claimed; the bounds are at it. Below 1 over the number of units.
    #[arg(long)]
    pub delta: Option<f64>,
    /// The claim is of Gaussian noise, so that its whole trade-off curve is held against the scores.
    #[arg(long, requires = "epsilon")]
    pub gaussian: bool,
    /// Privacy units behind the claim; by default those in the file.
    #[arg(long)]
    pub units: Option<u64>,
    /// A threshold that was fixed before the scores were seen: from here on, "member".
    #[arg(long, allow_negative_numbers = true)]
    pub threshold: Option<f64>,
    /// A share of all canaries to guess that was fixed before the scores were seen, half at either end (one-run bounds).
    #[arg(long)]
    pub guesses: Option<f64>,
    /// A share of the canaries to choose the threshold on.
    #[arg(long)]
    pub split: Option<f64>,
    /// Bounds hold at level 1 - alpha.
    #[arg(long, default_value_t = 0.05)]
    pub alpha: f64,
    /// Seed of resampling and of the split.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Also writes the scores in the form unit,score,member,...
    #[arg(long, value_name = "FILE.csv")]
    pub out: Option<PathBuf>,
}
