//! What an attack hands to the statistics: one score and one truth a unit, and nothing else.
//!
//! Everything in [`crate::stats`] and [`crate::bound`] takes [`Scores`] only, so that an auditor can check the statistics
//! without reading an attack, and feed in scores of other tools (`audit import-scores`).
use std::collections::BTreeMap;

use sottovoce_types::Vantage;

use crate::stats::Trial;

mod csv;

pub use self::csv::{CsvError, CsvForm, SCORES_CSV};

/// Which attack, what it saw and where it was published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Described {
    /// Its name in records: `membership-loss-threshold`.
    pub attack: &'static str,
    /// What it saw.
    pub vantage: Vantage,
    /// Formula and paper.
    pub citation: &'static str,
}

/// One unit (clip, speaker, client or canary) that an attack scored.
#[derive(Clone, PartialEq, Debug)]
pub struct Scored {
    /// The unit's name: a clip's path, a speaker's id.
    pub unit: String,
    /// The attacker's score; higher means "yes".
    pub score: f64,
    /// The truth.
    pub truth: bool,
    /// What the unit is not independent within: its speaker, or the client.
    pub cluster: String,
    /// Which target model (or run) was attacked, from 0.
    pub run: u32,
    /// Names to slice by: `emotion` → `angry`, `sex` → `female`.
    pub slices: BTreeMap<String, String>,
}

/// All scores of one attack.
#[derive(Clone, PartialEq, Debug)]
pub struct Scores {
    /// Which attack.
    pub of: Described,
    /// The units, in no order that means anything.
    pub units: Vec<Scored>,
}

impl Scores {
    /// The scores as trials: clustered by speaker and by run, because one model's errors go together.
    pub fn trials(&self) -> Vec<Trial> {
        let several = self.units.iter().any(|u| u.run != self.units[0].run);
        self.units
            .iter()
            .map(|u| Trial {
                score: u.score,
                positive: u.truth,
                cluster: if several { format!("{}#{}", u.cluster, u.run) } else { u.cluster.clone() },
            })
            .collect()
    }

    /// The scores as trials, clustered by speaker alone, whichever model they are of: who is easy to find under one is under others.
    pub fn trials_of_speakers(&self) -> Vec<Trial> {
        let trial = |u: &Scored| Trial { score: u.score, positive: u.truth, cluster: u.cluster.clone() };
        self.units.iter().map(trial).collect()
    }

    /// The scores as trials, clustered by the model that was attacked.
    pub fn trials_of_runs(&self) -> Vec<Trial> {
        let trial = |u: &Scored| Trial { score: u.score, positive: u.truth, cluster: u.run.to_string() };
        self.units.iter().map(trial).collect()
    }

    /// The scores whose slice `key` has `value`.
    #[must_use]
    pub fn slice(&self, key: &str, value: &str) -> Self {
        let units = self.units.iter().filter(|u| u.slices.get(key).is_some_and(|v| v == value)).cloned().collect();
        Self { of: self.of, units }
    }

    /// The values that slice `key` takes, in order.
    pub fn values_of(&self, key: &str) -> Vec<String> {
        let mut values: Vec<String> = self.units.iter().filter_map(|u| u.slices.get(key).cloned()).collect();
        values.sort_unstable();
        values.dedup();
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(score: f64, run: u32, emotion: &str) -> Scored {
        Scored {
            unit: format!("{score}"),
            score,
            truth: score > 0.5,
            cluster: "s1".into(),
            run,
            slices: BTreeMap::from([("emotion".into(), emotion.into())]),
        }
    }

    #[test]
    fn runs_are_clusters_only_where_there_are_several() {
        let of = Described { attack: "test", vantage: Vantage::Released, citation: "" };
        let one = Scores { of, units: vec![unit(0.1, 0, "sad"), unit(0.9, 0, "angry")] };
        assert!(one.trials().iter().all(|t| t.cluster == "s1"));
        let two = Scores { of, units: vec![unit(0.1, 0, "sad"), unit(0.9, 1, "angry")] };
        assert_ne!(two.trials()[0].cluster, two.trials()[1].cluster);
        assert_eq!(two.values_of("emotion"), ["angry", "sad"]);
        assert_eq!(two.slice("emotion", "sad").units.len(), 1);
        assert!(two.slice("sex", "female").units.is_empty());
    }
}
