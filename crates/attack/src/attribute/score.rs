//! Guesses at sexes against what the corpus says.
use sottovoce_types::{AttackScore, SCHEMA_VERSION};

use crate::scores::Scores;
use crate::stats::{RocError, UAR_CHANCE, uar_with_interval};

/// What a score stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The attack on the run as deployed.
    Attack,
    /// The control that must win: no masks, no noise.
    Control,
}

/// The record of sex inference: UAR over speakers with its interval. Scores of several federations are pooled; a speaker counts once.
///
/// # Errors
/// [`RocError`] when only one sex is there.
pub fn sex_record(scores: &Scores, role: Role, note: &str, seed: u64) -> Result<AttackScore, RocError> {
    // A speaker that several federations asked about is still one speaker: not `Scores::trials`, which would count each run.
    let trials: Vec<crate::stats::Trial> = scores
        .units
        .iter()
        .map(|u| crate::stats::Trial { score: u.score, positive: u.truth, cluster: u.cluster.clone() })
        .collect();
    let uar = uar_with_interval(&trials, seed)?;
    let (women, men) = uar.clusters;
    let what = match role {
        Role::Attack => "reads the bytes that each client sent in this run",
        Role::Control => "reads every client's update of runs without masks and noise, and must win",
    };
    Ok(AttackScore {
        schema: SCHEMA_VERSION,
        attack: scores.of.attack.into(),
        control_of: (role == Role::Control).then(|| scores.of.attack.into()),
        vantage: scores.of.vantage,
        metric: "uar".into(),
        value: uar.value,
        ci95: uar.ci95,
        chance: UAR_CHANCE,
        trials: u32::try_from(women + men).unwrap_or(u32::MAX),
        citation: scores.of.citation.into(),
        note: format!("{women} women and {men} men, each counted once, in {} guesses; {note}; {what}.", trials.len()),
    })
}
