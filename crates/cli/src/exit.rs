//! Exit codes: a contract with scripts.
use std::process::ExitCode;

use sottovoce_config::ConfigError;

/// How the process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Ok = 0,
    /// It failed.
    Failed = 1,
    /// Usage or config.
    Usage = 2,
    /// No budget for another round.
    BudgetExhausted = 10,
    /// Too few clients.
    QuorumLost = 11,
    /// A peer broke the protocol.
    ProtocolViolation = 12,
    /// Empirical epsilon above the bound.
    AuditViolation = 20,
    /// Too little power to tell.
    AuditInconclusive = 21,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that has an exit code of its own.
#[derive(Debug)]
pub struct WithExit {
    /// The code.
    pub exit: Exit,
    /// What to print; already rendered for people.
    pub message: String,
}

impl std::fmt::Display for WithExit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WithExit {}

/// A config that was refused, with its place in the file; in colour where the terminal has it.
#[derive(Debug)]
pub struct Refused(pub ConfigError);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.render(false))
    }
}

impl std::error::Error for Refused {}

/// An error of a config.
pub fn refused(error: ConfigError) -> anyhow::Error {
    Refused(error).into()
}

/// An error of usage.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    WithExit { exit: Exit::Usage, message: message.into() }.into()
}
