//! The command line: what `--help` says is the contract.
mod audit;
mod bench;
mod privacy;
mod sweep;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sottovoce_config::Colour;

pub use self::audit::{AuditCommand, AuditRunArgs, DesignArg, ImportScoresArgs, SelftestArgs};
pub use self::bench::{AdversaryName, AgreementName, BenchCommand, BenchSecaggArgs, GraphName, SuiteName};
pub use self::privacy::{AccountantArg, AdjacencyArg, PrivacyCommand, ReleasedArgs};
pub use self::sweep::{Executor, SweepArgs, Tracking};

const EXIT_CODES: &str = "\
Exit codes:
   0  ok
   1  failed
   2  usage or config
  10  privacy budget exhausted
  11  quorum lost
  12  protocol violation by a peer
  20  audit: violation (empirical epsilon above the bound)
  21  audit: inconclusive (power below the floor)";

/// Federated speech-emotion recognition that proves how little leaked.
#[derive(Parser, Debug)]
#[command(name = "sottovoce", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Args, Debug, Clone)]
pub struct Global {
    /// Output: text for people, json (one schema-versioned object on stdout) for programs.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// No progress, no remarks: results and errors alone.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More about what happens, on stderr; twice for all of it.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Colour in errors that point into a config: auto (on a terminal, where `NO_COLOR` is not set), always, or never.
    #[arg(long, global = true, default_value_t, value_name = "WHEN")]
    pub color: Colour,
}

/// How results are printed.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A configuration file and what overrides it.
#[derive(Args, Debug, Clone)]
pub struct ConfigArgs {
    /// The run's TOML file (all keys: configs/README.md).
    pub config: PathBuf,
    /// Overrides one key, for example --set privacy.epsilon=4 (repeatable).
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// The main job end to end on synthetic speech: separate processes over QUIC, one killed mid-round, audited.
    Demo(DemoArgs),
    /// Corpora: synthesise, check, draw and probe them.
    #[command(subcommand)]
    Corpus(CorpusCommand),
    /// MFCCs of a whole corpus into an HDF5 cache; a re-run touches only what changed.
    Extract(ExtractArgs),
    /// MFCCs of one file.
    Mfcc(MfccArgs),
    /// Centralised baseline on the same split with the same metrics.
    Train(ConfigArgs),
    /// A whole federation in one process: the same engines, the same bytes, a virtual clock.
    Simulate(SimulateArgs),
    /// One site of a deployed federation, over QUIC (the other side: sottovoce-coordinator).
    Client(ClientArgs),
    /// Identities and the federation's manifest.
    #[command(subcommand)]
    Cert(CertCommand),
    /// Checks what a run will need, before it: identity, manifest, state, budget, data, disk, clock, and that the coordinator lets this site in.
    Preflight(ConfigArgs),
    /// Who can learn what under a config, before anything is run: epsilon by vantage, the coordinator with c clients, what is not hidden.
    Explain(ExplainArgs),
    /// Privacy arithmetic and ledgers.
    #[command(subcommand)]
    Privacy(PrivacyCommand),
    /// Accuracy, UAR, precision, recall, F1, confusion, by sex, calibration, with intervals; of speakers never trained on.
    Evaluate(EvaluateArgs),
    /// Emotion probabilities of recordings, on this device, without network.
    Predict(PredictArgs),
    /// Attacks on a finished run, each with its control, and empirical epsilon beside the claimed bound.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Utility and leakage against epsilon: any config keys x epsilon x fold x seed, resumable, here or on Slurm, one table and one report.
    Sweep(SweepArgs),
    /// One self-contained HTML file of one or several runs.
    Report(ReportArgs),
    /// Checks offline what a run, a site's state, or evidence against a coordinator says: signatures, hash chains, sums, models, ledgers.
    Verify(VerifyArgs),
    /// What this machine can do, with the physical limit beside it.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Shell completions.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// `verify`
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Run directories, states of a coordinator or of sites, evidence files, receipts.jsonl files (beside the config.toml that they are of), or
    /// statements.jsonl files of several sites. What they heard
    /// is compared: a coordinator that told two sites different things is named, with the two statements as evidence.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// The federation's manifest, where a path has no config that names it.
    #[arg(long)]
    pub manifest: Option<PathBuf>,
    /// Where to write evidence that is found.
    #[arg(long)]
    pub evidence: Option<PathBuf>,
}

/// `demo`
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Where everything goes; made anew.
    #[arg(long, default_value = "runs/demo")]
    pub out: PathBuf,
    /// Institutions.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(4..=64))]
    pub clients: u32,
    /// Rounds.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(2..=1000))]
    pub rounds: u64,
    /// Epsilon of the whole run, per speaker, against the coordinator.
    #[arg(long, default_value_t = 8.0)]
    pub epsilon: f64,
    /// Seed of voices, split and initial model; never of keys or noise.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// `corpus`
#[derive(Subcommand, Debug)]
pub enum CorpusCommand {
    /// Writes a CREMA-D-shaped synthetic corpus: it says nothing about emotion in human speech.
    Synth {
        /// Folder to write.
        #[arg(long)]
        out: PathBuf,
        /// Speakers.
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8999))]
        speakers: u32,
        /// Sentences of each speaker in each emotion.
        #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=12))]
        sentences: u32,
        /// Seed: the same seed gives the same bytes.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Counts per emotion, speaker, sex and session beside the published ones; unreadable and unused files by name.
    Check {
        /// The corpus.
        #[command(flatten)]
        corpus: CorpusArgs,
        /// Names every unused file; by default the first few of each reason.
        #[arg(long)]
        all: bool,
    },
    /// Pictures (SVG): emotion counts of a corpus, one recording, or who holds what under a config.
    Plot(PlotArgs),
    /// What a linear model reads from a cache: emotion and sex of unseen speakers, speakers of unseen clips.
    Probe {
        /// An HDF5 cache made by extract.
        cache: PathBuf,
        /// Folds of the cross-validation.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=100))]
        folds: u32,
        /// Classes: five (angry, fear, happy, neutral, sad), four (angry, happy with excited, neutral, sad), six (all of CREMA-D), or auto.
        #[arg(long, default_value = "auto")]
        labels: String,
    },
}

/// A corpus on disk.
#[derive(Args, Debug, Clone)]
pub struct CorpusArgs {
    /// Kind of corpus: crema-d, iemocap, ravdess, emodb, savee, tess, manifest (a CSV file of paths, speakers and emotions), auto.
    #[arg(long, default_value = "auto")]
    pub kind: String,
    /// Whose judgement is the label: intended, or for CREMA-D voice or multimodal (what most listeners chose).
    #[arg(long, default_value = "intended")]
    pub labelling: String,
    /// Folder of the corpus, or the manifest's CSV file.
    pub path: PathBuf,
}

/// `corpus plot`
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["path", "wave", "partition", "clients"]))]
pub struct PlotArgs {
    /// Folder of a corpus: draws its emotion counts.
    pub path: Option<PathBuf>,
    /// Kind of that corpus, as in corpus check.
    #[arg(long, default_value = "auto")]
    pub kind: String,
    /// Whose judgement is the label, as in corpus check.
    #[arg(long, default_value = "intended")]
    pub labelling: String,
    /// A wav or flac file: draws its waveform, spectrogram and MFCCs.
    #[arg(long, value_name = "FILE")]
    pub wave: Option<PathBuf>,
    /// A config: draws clients x emotions, with those tested on, as a run of it would deal them out.
    #[arg(long, value_name = "CONFIG")]
    pub partition: Option<PathBuf>,
    /// A config: draws the emotion counts of each client.
    #[arg(long, value_name = "CONFIG")]
    pub clients: Option<PathBuf>,
    /// The SVG file to write.
    #[arg(long)]
    pub out: PathBuf,
    /// Overrides, for example --set features.trim_db=30 (repeatable).
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

/// `extract`
#[derive(Args, Debug)]
pub struct ExtractArgs {
    /// The corpus.
    #[command(flatten)]
    pub corpus: CorpusArgs,
    /// The HDF5 cache to write or bring up to date.
    #[arg(long)]
    pub out: PathBuf,
    /// Overrides, for example --set features.convention=kaldi or --set features.trim_db=30 (repeatable).
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

/// `mfcc`
#[derive(Args, Debug)]
pub struct MfccArgs {
    /// A wav or flac file.
    pub file: PathBuf,
    /// A config whose `[features]` hold, for example RUN/config.toml.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Overrides, for example --set features.n_mfcc=20 (repeatable).
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

/// `simulate`
#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Run directory to write.
    #[arg(long)]
    pub out: PathBuf,
    /// Replace a run that is already there.
    #[arg(long)]
    pub overwrite: bool,
    /// Also train centrally and locally alone on the same split.
    #[arg(long)]
    pub baselines: bool,
}

/// `explain`
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Explain a config that protects nobody, too.
    #[arg(long)]
    pub unprotected: bool,
    /// Draws epsilon against the number of colluding clients (SVG).
    #[arg(long, value_name = "F.svg")]
    pub plot: Option<PathBuf>,
}

/// `client`
#[derive(Args, Debug)]
pub struct ClientArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `cert`
#[derive(Subcommand, Debug)]
pub enum CertCommand {
    /// Makes this party's identity: the private key stays in the file, the public key is printed.
    Init {
        /// File of the private key; never overwritten.
        #[arg(long)]
        out: PathBuf,
    },
    /// Makes this site's request to be a member, signed with its key: this file is sent to whoever makes the manifest.
    Request {
        /// File of the private key.
        #[arg(long)]
        identity: PathBuf,
        /// Name of the federation.
        #[arg(long)]
        federation: String,
        /// The site's name, for people.
        #[arg(long)]
        name: String,
        /// Privacy units that it may contribute: its speakers.
        #[arg(long)]
        units: u32,
        /// The request to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Prints what an identity, a request or a manifest says, and whether its signatures hold.
    Show {
        /// The file.
        file: PathBuf,
    },
    /// Writes the federation's manifest from requests and public keys; everyone pins its digest.
    Manifest {
        /// Name of the federation; a revision keeps it.
        #[arg(long, required_unless_present = "revises")]
        federation: Option<String>,
        /// The coordinator's public key, 64 hexadecimal digits; a revision keeps it unless another is given.
        #[arg(long, required_unless_present = "revises")]
        coordinator: Option<String>,
        /// A member's request, made by `cert request` (repeatable).
        #[arg(long = "request")]
        requests: Vec<PathBuf>,
        /// A member as NAME:PUBLIC_KEY:UNITS, units being its speakers (repeatable).
        #[arg(long = "member")]
        members: Vec<String>,
        /// The manifest that this one revises: its members stay, those given again have another key or other units.
        #[arg(long)]
        revises: Option<PathBuf>,
        /// A member of the manifest that is revised who leaves, or whose key is revoked (repeatable).
        #[arg(long = "remove", requires = "revises")]
        removed: Vec<String>,
        /// The manifest to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Signs a manifest, in place: for the consortium's key, or a member that agrees.
    Sign {
        /// The manifest.
        manifest: PathBuf,
        /// File of the private key.
        #[arg(long)]
        identity: PathBuf,
    },
}

/// What a model is evaluated on.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvaluatedOn {
    /// Speakers never trained on.
    Test,
    /// What the clients train on: how well it fits, not how well it recognises.
    Train,
    /// Clips held out of training, of speakers that are trained on.
    Holdout,
}

/// `evaluate`
#[derive(Args, Debug)]
pub struct EvaluateArgs {
    /// Run directory, for its last model; or a checkpoint (safetensors) in one.
    #[arg(value_name = "RUN|CHECKPOINT")]
    pub run: PathBuf,
    /// What to evaluate on. Only a whole run on `test` updates rounds.jsonl and metrics.json; anything else writes nothing.
    #[arg(long, value_enum, default_value_t = EvaluatedOn::Test)]
    pub split: EvaluatedOn,
    /// Overrides of the run's config, for example --set corpus.cache=evaluation.h5 for a deployed run (repeatable).
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

/// `predict`
#[derive(Args, Debug)]
pub struct PredictArgs {
    /// A checkpoint (safetensors) of a run.
    #[arg(long)]
    pub model: PathBuf,
    /// What is said, for models that read words: once for each file, in their order (repeatable).
    #[arg(long, value_name = "WORDS")]
    pub text: Vec<String>,
    /// Adds what the model read to the JSON: scaled frames or statistics. docs/pytorch/check.py takes it.
    #[arg(long)]
    pub with_features: bool,
    /// wav or flac files.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
}

/// `report`
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Directories of runs, or of sweeps: several are set side by side, sweeps cell by cell.
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// The HTML file; by default report.html in the first directory.
    #[arg(long)]
    pub out: Option<PathBuf>,
}
