//! A grid of runs from one configuration.
use serde::{Deserialize, Serialize};
use sottovoce_types::{Epsilon, Unit};

use crate::Config;
use crate::sections::Sweep;

/// One target of a sweep: ε, or no DP (written `0` or `"none"`).
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct EpsilonTarget(pub Option<Epsilon>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Word(String),
}

/// What stands in a sweep's list of targets is none.
#[derive(Debug, thiserror::Error)]
#[error("a target is an epsilon above 0, or 0 or \"none\" for a run without differential privacy")]
struct NotATarget;

impl TryFrom<Written> for EpsilonTarget {
    type Error = NotATarget;
    fn try_from(written: Written) -> Result<Self, NotATarget> {
        match written {
            Written::Word(word) if word == "none" => Ok(Self(None)),
            Written::Word(_) => Err(NotATarget),
            Written::Number(0.0) => Ok(Self(None)),
            Written::Number(number) => Epsilon::new(number).map(|e| Self(Some(e))).map_err(|_| NotATarget),
        }
    }
}

impl From<EpsilonTarget> for Written {
    fn from(target: EpsilonTarget) -> Self {
        target.0.map_or(Self::Word("none".into()), |e| Self::Number(e.value()))
    }
}

/// One run of a sweep.
#[derive(Clone, PartialEq, Debug)]
pub struct SweepCell {
    /// Target ε; `None` without DP.
    pub epsilon: Option<Epsilon>,
    /// Seed.
    pub seed: u64,
    /// The whole configuration of the run, without a sweep of its own: its digest identifies the cell, so that a sweep
    /// that is run again skips what is done.
    pub config: Config,
}

impl Config {
    /// The runs of the sweep, seeds innermost. Without `sweep.epsilons` the run's own privacy is swept over seeds.
    pub fn sweep_cells(&self) -> Vec<SweepCell> {
        let mut cells = Vec::new();
        for &seed in &self.sweep.seeds {
            if self.sweep.epsilons.is_empty() {
                cells.push(self.cell(seed, |_| {}));
            }
        }
        for &EpsilonTarget(epsilon) in &self.sweep.epsilons {
            for &seed in &self.sweep.seeds {
                cells.push(self.cell(seed, |config| {
                    config.privacy.noise_multiplier = None;
                    config.privacy.epsilon_budget = None;
                    config.privacy.epsilon = epsilon;
                    if epsilon.is_none() {
                        config.privacy.drop_unit();
                    }
                }));
            }
        }
        cells
    }

    fn cell(&self, seed: u64, change: impl FnOnce(&mut Self)) -> SweepCell {
        let mut config = self.clone();
        config.run.seed = seed;
        config.sweep = Sweep { epsilons: Vec::new(), seeds: vec![seed] };
        change(&mut config);
        let epsilon = match config.privacy.unit {
            Unit::None => None,
            _ => config.privacy.epsilon,
        };
        SweepCell { epsilon, seed, config }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_has_one_run_for_each_target_and_seed_and_each_has_its_own_digest() {
        let config = Config::parse("[sweep]\nepsilons = [2, \"none\", 0]\nseeds = [1, 2]\n", &[] as &[&str]).unwrap();
        let cells = config.sweep_cells();
        assert_eq!(cells.len(), 6);
        assert_eq!(cells[0].epsilon.map(Epsilon::value), Some(2.0));
        assert_eq!(cells[2].config.privacy.unit, Unit::None);
        assert_ne!(cells[0].config.digest(), cells[1].config.digest());
        // "none" and 0 are two spellings of one run.
        assert_eq!(cells[2].config.digest(), cells[4].config.digest());
    }

    #[test]
    fn a_run_without_a_unit_adapts_no_clipping_norm() {
        let text =
            "[run]\nrounds = 3\n[privacy]\nadaptive_clip = true\nclip_quantile = 0.6\n[sweep]\nepsilons = [8, 0]\n";
        for cell in Config::parse(text, &[] as &[&str]).unwrap().sweep_cells() {
            let again = Config::parse(&cell.config.to_toml(), &[] as &[&str]);
            let again = again.unwrap_or_else(|e| panic!("{}", e.render(false)));
            assert_eq!(again.privacy.adaptive_clip, cell.epsilon.is_some());
        }
    }

    #[test]
    fn a_negative_target_is_refused() {
        assert!(Config::parse("[sweep]\nepsilons = [-1]\n", &[] as &[&str]).is_err());
        assert!(Config::parse("[sweep]\nepsilons = [\"nona\"]\n", &[] as &[&str]).is_err());
    }

    #[test]
    fn without_targets_the_run_itself_is_repeated_over_seeds() {
        let config = Config::parse("[sweep]\nseeds = [3, 4]\n", &["privacy.epsilon=5"]).unwrap();
        let cells = config.sweep_cells();
        assert_eq!(cells.iter().map(|c| c.seed).collect::<Vec<_>>(), [3, 4]);
        assert!(cells.iter().all(|c| c.epsilon.map(Epsilon::value) == Some(5.0)));
    }
}
