//! The audit, audited: it must be silent on what is private and loud on what is broken.
//!
//! [`null_suite`] runs every bound on a thousand simulated mechanisms that are exactly as private as claimed, and on a thousand
//! that release nothing; more false alarms than a binomial law of α allows, and the bound is wrong. [`Mutant`]s are defects
//! that real systems had, planted in the code of a run; each must be a violation at the gate, and the same code without the
//! defect must not. [`malicious()`] shows what a coordinator that chooses the models would read from clients without their checks.
mod malicious;
mod mechanisms;
mod mutants;
mod null;

pub use malicious::{MaliciousError, MaliciousRow, malicious};
pub use mutants::{Expected, Mutant, MutantError, MutantRow, RefusalRow, mutants, refusals};
pub use null::{NullRow, null_suite};

use crate::random::Stream;

/// A seed of 32 bytes for noise, apart from every other purpose.
fn noise_seed(purpose: &str, seed: u64) -> [u8; 32] {
    let mut stream = Stream::new(purpose, seed);
    let mut out = [0; 32];
    for byte in &mut out {
        *byte = stream.below(256) as u8;
    }
    out
}
