//! `privacy` on the command line.
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `privacy`
#[derive(Subcommand, Debug)]
pub enum PrivacyCommand {
    /// Epsilon of a noise multiplier: a bracket, certified at both ends.
    Epsilon {
        /// Noise on the sum divided by the clipping norm.
        #[arg(long)]
        noise_multiplier: f64,
        /// What is released, and how it is accounted for.
        #[command(flatten)]
        released: ReleasedArgs,
    },
    /// The smallest safe noise multiplier for an epsilon.
    Calibrate {
        /// Epsilon of all steps together.
        #[arg(long)]
        epsilon: f64,
        /// What is released, and how it is accounted for.
        #[command(flatten)]
        released: ReleasedArgs,
    },
    /// What a run or a client's state has spent, reserved and left; verifies its hash chain.
    Ledger {
        /// Run directory or client state.
        state: PathBuf,
    },
}

/// Steps of one kind, and an accountant.
#[derive(Args, Debug, Clone, Copy)]
pub struct ReleasedArgs {
    /// Probability with which a unit takes part in a step, independently and in secret (Poisson sampling). Not for shuffled or fixed
    /// batches: they have no useful bound, and their epsilon may be many times larger.
    #[arg(long, default_value_t = 1.0)]
    pub sampling_rate: f64,
    /// Steps.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,
    /// Delta.
    #[arg(long)]
    pub delta: f64,
    /// How it is accounted for.
    #[arg(long, value_enum, default_value_t = AccountantArg::Auto)]
    pub accountant: AccountantArg,
    /// What neighbouring data sets differ by.
    #[arg(long, value_enum, default_value_t = AdjacencyArg::AddRemove)]
    pub adjacency: AdjacencyArg,
}

/// `--accountant`
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountantArg {
    /// The tightest: gdp without sampling, pld with it.
    Auto,
    /// Privacy loss distributions, convolved: tight for a schedule that was fixed in advance.
    Pld,
    /// Rényi DP over real orders: looser, and a filter.
    Rdp,
    /// Gaussian DP in closed form: exact, without sampling alone.
    Gdp,
}

/// `--adjacency`
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdjacencyArg {
    /// One unit more or less.
    AddRemove,
    /// One unit for another: about twice the epsilon.
    Replace,
    /// One unit's contribution set to zero: the number of units is public. As add-remove.
    ZeroOut,
}
