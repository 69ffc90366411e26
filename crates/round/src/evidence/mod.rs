//! Statements of one party that cannot both be honest: anyone who has the manifest can check them, and nobody but that party can
//! have made them.
mod false_sum;

pub use self::false_sum::FalseSum;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sottovoce_types::{AttemptId, RoundId};

use crate::manifest::Manifest;
use crate::statement::{ConfigStatement, Heard, ResultStatement, Signed, Statement};

/// What a coordinator said that it could not honestly say. It names nobody's data: digests and signatures, and for a false sum
/// what every member may ask for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "evidence", rename_all = "kebab-case")]
pub enum Evidence {
    /// One attempt, two configurations: clients were shown different models, terms or plans.
    TwoConfigs {
        /// One.
        first: Signed<ConfigStatement>,
        /// The other.
        second: Signed<ConfigStatement>,
    },
    /// One round, two results.
    TwoResults {
        /// One.
        first: Signed<ResultStatement>,
        /// The other.
        second: Signed<ResultStatement>,
    },
    /// A round that does not begin from the model that the last result announced.
    AnotherModel {
        /// What was announced.
        result: Signed<ResultStatement>,
        /// What was begun from.
        config: Signed<ConfigStatement>,
    },
    /// A sum that is not the sum of the inputs.
    FalseSum(Box<FalseSum>),
}

/// What statements, heard by one site or by several, contradict each other.
pub fn compare(heard: &[Heard]) -> Vec<Evidence> {
    let mut configs: BTreeMap<_, Vec<&Signed<ConfigStatement>>> = BTreeMap::new();
    let mut results: BTreeMap<_, Vec<&Signed<ResultStatement>>> = BTreeMap::new();
    for said in heard {
        match said {
            Heard::Config(said) => {
                let s = &said.statement;
                let of_attempt = configs.entry((s.run, s.round, s.attempt)).or_default();
                if of_attempt.iter().all(|other| other.statement != *s) {
                    of_attempt.push(said);
                }
            }
            Heard::Result(said) => {
                let of_round = results.entry((said.statement.run, said.statement.round)).or_default();
                if of_round.iter().all(|other| other.statement != said.statement) {
                    of_round.push(said);
                }
            }
        }
    }
    let mut found = Vec::new();
    for of_attempt in configs.values() {
        let pairs = of_attempt.iter().zip(of_attempt.iter().skip(1));
        found.extend(pairs.map(|(a, b)| Evidence::TwoConfigs { first: **a, second: **b }));
    }
    for of_round in results.values() {
        let pairs = of_round.iter().zip(of_round.iter().skip(1));
        found.extend(pairs.map(|(a, b)| Evidence::TwoResults { first: **a, second: **b }));
    }
    for config in configs.values().flatten() {
        let before = RoundId(config.statement.round.0.saturating_sub(1));
        for result in results.get(&(config.statement.run, before)).into_iter().flatten() {
            if result.statement.model != config.statement.model {
                found.push(Evidence::AnotherModel { result: **result, config: **config });
            }
        }
    }
    found
}

/// What evidence shows once it is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    /// The round.
    pub round: RoundId,
    /// The attempt of the later statement.
    pub attempt: AttemptId,
    /// What the coordinator did, in words.
    pub what: &'static str,
}

/// Why evidence shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceRefused {
    /// It is of another federation.
    #[error("it is about another federation: its manifest has another digest")]
    OtherFederation,
    /// The coordinator did not sign it.
    #[error("the {0} statement is not signed by the coordinator of the manifest")]
    NotSigned(&'static str),
    /// Both can be honest.
    #[error("the two statements do not contradict each other: {0}")]
    NoContradiction(&'static str),
    /// Bytes that are not what they claim to be.
    #[error("what it holds does not decode under its own terms")]
    Malformed,
}

impl Evidence {
    /// Checks it against a manifest.
    ///
    /// # Errors
    /// [`EvidenceRefused`].
    pub fn verify(&self, manifest: &Manifest) -> Result<Shown, EvidenceRefused> {
        let ours = manifest.digest();
        let coordinator = manifest.coordinator();
        let config = |s: &Signed<ConfigStatement>, which| {
            if s.statement.manifest != ours {
                return Err(EvidenceRefused::OtherFederation);
            }
            s.verify(coordinator).map_err(|_| EvidenceRefused::NotSigned(which))
        };
        let result = |s: &Signed<ResultStatement>, which| {
            if s.statement.manifest != ours {
                return Err(EvidenceRefused::OtherFederation);
            }
            s.verify(coordinator).map_err(|_| EvidenceRefused::NotSigned(which))
        };
        match self {
            Self::TwoConfigs { first, second } => {
                config(first, "first")?;
                config(second, "second")?;
                let (a, b) = (&first.statement, &second.statement);
                if (a.run, a.round, a.attempt) != (b.run, b.round, b.attempt) {
                    return Err(EvidenceRefused::NoContradiction("they are of different attempts"));
                }
                let what = if a.model != b.model {
                    "showed different models in one attempt"
                } else if a.digest() != b.digest() {
                    "showed different terms or plans in one attempt"
                } else {
                    return Err(EvidenceRefused::NoContradiction("they are the same statement"));
                };
                Ok(Shown { round: b.round, attempt: b.attempt, what })
            }
            Self::TwoResults { first, second } => {
                result(first, "first")?;
                result(second, "second")?;
                let (a, b) = (&first.statement, &second.statement);
                if (a.run, a.round) != (b.run, b.round) {
                    return Err(EvidenceRefused::NoContradiction("they are of different rounds"));
                }
                if a.digest() == b.digest() {
                    return Err(EvidenceRefused::NoContradiction("they are the same statement"));
                }
                Ok(Shown { round: b.round, attempt: b.attempt, what: "announced two results of one round" })
            }
            Self::FalseSum(shown) => shown.verify(manifest),
            Self::AnotherModel { result: announced, config: begun } => {
                result(announced, "result")?;
                config(begun, "config")?;
                let (a, b) = (&announced.statement, &begun.statement);
                if a.run != b.run || a.round.0.checked_add(1) != Some(b.round.0) {
                    return Err(EvidenceRefused::NoContradiction("the config is not of the round after the result"));
                }
                if a.model == b.model {
                    return Err(EvidenceRefused::NoContradiction("the round begins from the announced model"));
                }
                Ok(Shown {
                    round: b.round,
                    attempt: b.attempt,
                    what: "began a round from another model than the one that it had announced",
                })
            }
        }
    }
}
