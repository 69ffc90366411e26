//! `bench` on the command line.
use clap::{Args, Subcommand, ValueEnum};

/// `bench`
#[derive(Subcommand, Debug)]
pub enum BenchCommand {
    /// Seconds of audio per second of one core: decoding, resampling, denoising, MFCCs, and all of it.
    Mfcc {
        /// How long each stage is measured.
        #[arg(long, default_value_t = 1.0)]
        seconds: f64,
    },
    /// Samples of noise per second of one core, beside the keystream that they are made from.
    Noise {
        /// How long each is measured.
        #[arg(long, default_value_t = 1.0)]
        seconds: f64,
    },
    /// Milliseconds of each privacy accountant and of a calibration, on one core. benches/peers/accountants.py sets dp_accounting beside it.
    Accountant {
        /// How long each is measured.
        #[arg(long, default_value_t = 1.0)]
        seconds: f64,
    },
    /// Milliseconds of a training step, of a forward pass and of gradients one by one, on one core: DNN, CNN and LSTM at
    /// batch 32 and 125 frames. benches/peers/train.py sets PyTorch beside it.
    Train {
        /// How long each is measured.
        #[arg(long, default_value_t = 1.0)]
        seconds: f64,
    },
    /// One attempt of secure aggregation: seconds of one client and of the coordinator in each phase, bytes, and how far
    /// from the limit of this machine's keystream, memory and key agreement, all on one core.
    Secagg(BenchSecaggArgs),
}

/// `bench secagg`
#[derive(Args, Debug)]
pub struct BenchSecaggArgs {
    /// Clients. The cost of a complete graph grows with their square, and all of them run in this process; each checks what is its
    /// own, and the measured one the rest, too.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=20_000))]
    pub clients: u32,
    /// Coordinates of a vector.
    #[arg(long, default_value_t = 500_000)]
    pub dimension: usize,
    /// Coordinates a 64-bit word, 1 to 6.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=6))]
    pub lanes: u8,
    /// Share of the clients whose input never comes, 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    pub dropout: f64,
    /// Clients that may be corrupt and collude with the coordinator; a tenth of all where it is not given.
    #[arg(long)]
    pub max_corrupt: Option<u32>,
    /// Attempts; of each phase the least time counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub attempts: u32,
    /// Between whom masks are.
    #[arg(long, value_enum, default_value_t = GraphName::Complete)]
    pub graph: GraphName,
    /// Sparse: share of the clients that may drop out.
    #[arg(long, default_value_t = 0.1)]
    pub max_dropout: f64,
    /// Sparse: what it has to withstand.
    #[arg(long, value_enum, default_value_t = AdversaryName::Malicious)]
    pub graph_adversary: AdversaryName,
    /// What makes the masks.
    #[arg(long, value_enum, default_value_t = SuiteName::Aes256Ctr)]
    pub suite: SuiteName,
    /// How keys are agreed on.
    #[arg(long, value_enum, default_value_t = AgreementName::X25519)]
    pub key_agreement: AgreementName,
}

/// Between whom masks are.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphName {
    /// Everybody and everybody.
    Complete,
    /// Neighbours that clients pick.
    Sparse,
}

/// What a sparse graph has to withstand.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdversaryName {
    /// A coordinator that does whatever it likes, with a second barrier against two survivor sets.
    Malicious,
    /// The same without that barrier.
    OneSurvivorSet,
}

/// How clients agree on keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum AgreementName {
    /// X25519.
    #[value(name = "x25519")]
    X25519,
    /// X25519 and ML-KEM-768.
    #[value(name = "x25519-ml-kem-768")]
    Hybrid,
}

/// What makes masks.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuiteName {
    /// AES-256 in counter mode.
    #[value(name = "aes-256-ctr")]
    Aes256Ctr,
    /// ChaCha20.
    #[value(name = "chacha20")]
    ChaCha20,
    /// AES-128 in counter mode.
    #[value(name = "aes-128-ctr")]
    Aes128Ctr,
    /// ChaCha8, for simulations.
    #[value(name = "chacha8")]
    ChaCha8,
    /// No masks: what the rest costs.
    None,
}
