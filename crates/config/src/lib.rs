//! One TOML file a run, turned once into checked plans.
//!
//! Layers, later ones winning: defaults in code, the files named by `extends = "base.toml"`, the file itself, and
//! overrides of the form `privacy.delta=1e-6`. A key that does not exist is an error that points at the place and names
//! the nearest key that does; so is a value of the wrong type, and a combination that would protect nobody.
//!
//! Read [`Config`] first (what a file says), then [`Config::plan`] (what the engines run). Key names carry their units.
//! Paths inside a file are relative to the working directory; `extends` is relative to the file that says it.
//!
//! The two other files that a party keeps are read here too: its private key ([`identity_file`]) and the federation's
//! manifest ([`manifest_file`]).
//!
//! What it does not do: read recordings or models, or decide anything that needs them.
//!
//! ```
//! use sottovoce_config::Config;
//!
//! let config = Config::parse("[run]\nrounds = 3\n", &["privacy.epsilon=4"])?;
//! assert_eq!(config.run.rounds, 3);
//! let error = Config::parse("", &["privacy.epsilom=4"]).unwrap_err();
//! assert!(error.render(false).contains("privacy.epsilon"));
//! # Ok::<(), sottovoce_config::ConfigError>(())
//! ```
//!
//! # Errors
//! [`ConfigError`] says whose place it is and how to mend it; [`ConfigError::render`] draws it for people.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]

mod check;
mod colour;
mod corpus;
mod error;
mod features;
mod grid;
pub mod identity_file;
mod keys;
mod layers;
pub mod manifest_file;
mod model;
mod plan;
mod sections;
mod server;
mod sweep;
mod training;
mod variants;

pub use colour::{Colour, NotAColour};
pub use corpus::{Corpus, CorpusKind, Labels};
pub use error::{ConfigError, Fault, Problem};
pub use features::Features;
pub use grid::{Grid, Rule};
pub use keys::{Key, all_keys, key_table};
pub use model::{Model, ModelKind, ModelSize};
pub use plan::{Deployment, PlanFailed, Role};
pub use sections::{
    Aggregation, AggregationMode, Agreement, AttackName, Audit, AuditTier, FoldBy, GraphAdversary, GraphChoice,
    MaskCipher, Partition, PartitionMode, Privacy, Removal, Run, Split, TestSpeakers, Transport,
};
pub use server::{Server, ServerOptimiser};
pub use sweep::{EpsilonTarget, ExcludedCell, Slurm, Sweep, SweepCell, SweepPlan};
pub use training::{ClassWeightsKey, Training};
pub use variants::Variant;

use std::path::Path;

use serde::{Deserialize, Serialize};
use sottovoce_types::Digest;

/// What one run is to do: every key with its value, defaults included.
///
/// Made by [`Config::load`] or [`Config::parse`], which check it. The fields are public to be read; a changed copy is
/// checked again when it is turned into a plan.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name, rounds and seed.
    pub run: Run,
    /// Which speech.
    pub corpus: Corpus,
    /// How it becomes numbers.
    pub features: Features,
    /// Who holds what, and who is tested on.
    pub partition: Partition,
    /// The model.
    pub model: Model,
    /// Training at a client.
    pub training: Training,
    /// What is promised to whom.
    pub privacy: Privacy,
    /// How updates are summed.
    pub aggregation: Aggregation,
    /// How the released mean moves the model.
    pub server: Server,
    /// Addresses, identities, deadlines.
    pub transport: Transport,
    /// A grid of runs.
    pub sweep: Sweep,
    /// Attacks on the finished run.
    pub audit: Audit,
}

impl Config {
    /// Reads a file, the files that it extends, and overrides of the form `section.key=value`.
    ///
    /// # Errors
    /// [`ConfigError`]: a file that cannot be read or parsed, an unknown key, a value out of range, or a run that would
    /// protect nobody.
    pub fn load(path: &Path, overrides: &[impl AsRef<str>]) -> Result<Self, ConfigError> {
        Ok(layers::load(path, overrides)?.config)
    }

    /// Reads a text that extends no file, and overrides of the form `section.key=value`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, overrides: &[impl AsRef<str>]) -> Result<Self, ConfigError> {
        Ok(layers::parse(text, overrides)?.config)
    }

    /// The resolved configuration: every key that has a value, defaults included. Reading it back gives the same config.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("sections are tables of plain values, which TOML can write")
    }

    /// SHA-256 of [`Config::to_toml`]: what `sha256sum` says of the `config.toml` in a run's directory.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_toml().as_bytes())
    }
}
