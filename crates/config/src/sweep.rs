//! A grid of runs from one configuration: variants × grid × targets of ε × folds × seeds.
mod section;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sottovoce_types::{Epsilon, Setting, Unit};

use crate::error::{ConfigError, Fault, Problem};
use crate::grid;
use crate::layers::{self, Loaded};
use crate::sections::Partition;
use crate::variants::{Settings, Variant};
use crate::{Config, check as whole};

pub use section::{Slurm, Sweep};

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
    /// The variant's name; `None` where there are none.
    pub variant: Option<String>,
    /// What the grid sets in it, as in `aggregation.mode=plain, model.kind=cnn`; `None` without a grid.
    pub combination: Option<String>,
    /// Target ε; `None` without DP.
    pub epsilon: Option<Epsilon>,
    /// The fold that is tested on; `None` where the speakers are not cut into folds.
    pub fold: Option<u32>,
    /// Seed.
    pub seed: u64,
    /// Value of every key that any variant or the grid sets, as it is in this cell. A key without a value here (it has none by default) is left out.
    pub settings: BTreeMap<String, Setting>,
    /// The whole configuration of the run. Its sweep is this cell alone, with the variant's name: its digest identifies the cell,
    /// so that a sweep that is run again skips what is done.
    pub config: Config,
}

/// A sweep: what its file says, and its runs.
#[derive(Clone, PartialEq, Debug)]
pub struct SweepPlan {
    /// The configuration without any variant.
    pub config: Config,
    /// The runs, each checked: variants outermost, then the grid, targets of ε, folds, and seeds innermost. Without
    /// `sweep.epsilons` the run's own privacy is swept.
    pub cells: Vec<SweepCell>,
    /// What rules left out.
    pub excluded: Vec<ExcludedCell>,
}

/// A run that a rule left out of a sweep.
#[derive(Clone, PartialEq, Debug)]
pub struct ExcludedCell {
    /// It.
    pub cell: SweepCell,
    /// The first `[[sweep.exclude]]` that it meets, from 1.
    pub rule: usize,
}

impl SweepPlan {
    /// Reads a sweep as [`Config::load`] reads a run.
    ///
    /// # Errors
    /// As [`Config::load`], of the file, of any variant and of any cell; the variant is named.
    pub fn load(path: &Path, overrides: &[impl AsRef<str>]) -> Result<Self, ConfigError> {
        Self::of(layers::load(path, overrides)?)
    }

    /// Reads a sweep as [`Config::parse`] reads a run.
    ///
    /// # Errors
    /// As [`SweepPlan::load`].
    pub fn parse(text: &str, overrides: &[impl AsRef<str>]) -> Result<Self, ConfigError> {
        Self::of(layers::parse(text, overrides)?)
    }

    fn of(loaded: Loaded) -> Result<Self, ConfigError> {
        let (mut cells, mut excluded) = (Vec::new(), Vec::new());
        let sweep = &loaded.config.sweep;
        let swept = swept_keys(sweep);
        for settings in &loaded.settings {
            for mut cell in settings.cells(sweep) {
                let values = toml::Table::try_from(&cell.config).expect("a configuration is plain values");
                cell.settings = swept.iter().filter_map(|key| setting(&values, key)).collect();
                if let Some(i) = sweep.exclude.iter().position(|rule| rule.excludes(&cell, &values)) {
                    excluded.push(ExcludedCell { cell, rule: i + 1 });
                    continue;
                }
                whole::check(&cell.config).map_err(|(key, problem)| settings.error(&cell, key, problem))?;
                cells.push(cell);
            }
        }
        Ok(Self { config: loaded.config, cells, excluded })
    }
}

impl Settings {
    fn cells(&self, sweep: &Sweep) -> Vec<SweepCell> {
        let own = [self.public.partition.fold];
        let folds = if sweep.folds.is_empty() { &own[..] } else { &sweep.folds };
        let mut cells = Vec::new();
        let mut over_folds_and_seeds = |config: &Config| {
            for &fold in folds {
                cells.extend(sweep.seeds.iter().map(|&seed| self.cell(config.clone(), fold, seed)));
            }
        };
        if sweep.epsilons.is_empty() {
            over_folds_and_seeds(if self.public.privacy.unit == Unit::None { &self.public } else { &self.private });
        }
        for &EpsilonTarget(epsilon) in &sweep.epsilons {
            over_folds_and_seeds(&at_target(if epsilon.is_some() { &self.private } else { &self.public }, epsilon));
        }
        cells
    }

    fn cell(&self, mut config: Config, fold: u32, seed: u64) -> SweepCell {
        config.run.seed = seed;
        config.partition.fold = fold;
        config.sweep = Sweep {
            seeds: vec![seed],
            variant: self.name.iter().map(|name| Variant { name: name.clone(), ..Variant::default() }).collect(),
            centralised: config.sweep.centralised,
            attacks: config.sweep.attacks,
            ..Sweep::default()
        };
        let epsilon = match config.privacy.unit {
            Unit::None => None,
            _ => config.privacy.epsilon,
        };
        let fold = (config.partition.folds > 0).then_some(fold);
        let combination = (!self.combination.is_empty()).then(|| grid::in_words(&self.combination));
        SweepCell { variant: self.name.clone(), combination, epsilon, fold, seed, settings: BTreeMap::new(), config }
    }
}

/// The keys that variants and the grid set.
fn swept_keys(sweep: &Sweep) -> BTreeSet<String> {
    let lines = sweep.variant.iter().flat_map(|v| v.set.iter().chain(&v.set_private));
    let key = |line: &String| {
        let (section, key) = line.split_once('=')?.0.split_once('.')?;
        Some(format!("{}.{}", section.trim(), key.trim()))
    };
    lines.filter_map(key).chain(sweep.grid.keys().map(str::to_owned)).collect()
}

/// What a key is in a configuration.
fn setting(values: &toml::Table, key: &str) -> Option<(String, Setting)> {
    let (section, name) = key.split_once('.')?;
    let value = match values.get(section)?.get(name)? {
        toml::Value::Boolean(bool) => Setting::Bool(*bool),
        toml::Value::Integer(integer) => Setting::Integer(*integer),
        toml::Value::Float(number) => Setting::Number(*number),
        toml::Value::String(text) => Setting::Text(text.clone()),
        other => Setting::Text(other.to_string()),
    };
    Some((key.to_owned(), value))
}

impl Settings {
    /// What is wrong with a cell, with the place of the key.
    fn error(&self, cell: &SweepCell, key: &'static str, problem: Problem) -> ConfigError {
        let place = key.split_once('.').and_then(|(section, name)| self.layers.clone().take_place(section, name));
        let error = ConfigError::new(Fault::Problem { key, problem }, place);
        match &self.name {
            _ if !self.combination.is_empty() => error.of_cell(&cell.name()),
            Some(name) => error.of_variant(format!("`{name}`")),
            None => error,
        }
    }
}

impl SweepCell {
    /// It in words, such as `cnn, epsilon 2, fold 1, seed 3`.
    pub fn name(&self) -> String {
        let privacy = match (self.config.privacy.unit, self.epsilon) {
            (Unit::None, _) => "no DP".to_owned(),
            (_, Some(epsilon)) => format!("epsilon {}", epsilon.value()),
            (_, None) => "DP as configured".to_owned(),
        };
        let fold = self.fold.map(|fold| format!("fold {fold}"));
        let of = self.variant.iter().chain(&self.combination).cloned();
        of.chain([privacy]).chain(fold).chain([format!("seed {}", self.seed)]).collect::<Vec<_>>().join(", ")
    }
}

/// A configuration at a target of ε: with no noise, or with as much as the target says.
pub(crate) fn at_target(config: &Config, epsilon: Option<Epsilon>) -> Config {
    let mut config = config.clone();
    config.privacy.noise_multiplier = None;
    config.privacy.epsilon_budget = None;
    config.privacy.epsilon = epsilon;
    if epsilon.is_none() {
        config.privacy.drop_unit();
    }
    config
}

/// What a sweep asks for must be there.
pub(crate) fn check(sweep: &Sweep, partition: &Partition) -> Result<(), (&'static str, Problem)> {
    if let Some(&fold) = sweep.folds.iter().find(|f| !(1..=partition.folds).contains(*f)) {
        let must = "at least 1 and at most partition.folds";
        return Err(("sweep.folds", Problem::OutOfRange { must, is: fold.into() }));
    }
    let names: Vec<&str> = sweep.variant.iter().map(|v| v.name.as_str()).collect();
    match names.iter().enumerate().find(|(i, name)| name.trim().is_empty() || names[..*i].contains(name)) {
        Some((_, name)) => Err(("sweep.variant", Problem::VariantName((*name).into()))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NONE: &[&str] = &[];

    fn cells(text: &str, overrides: &[&str]) -> Vec<SweepCell> {
        SweepPlan::parse(text, overrides).unwrap().cells
    }

    #[test]
    fn a_sweep_has_one_run_for_each_target_and_seed_and_each_has_its_own_digest() {
        let cells = cells("[sweep]\nepsilons = [2, \"none\", 0]\nseeds = [1, 2]\n", NONE);
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
        for cell in cells(text, NONE) {
            let again = Config::parse(&cell.config.to_toml(), NONE);
            let again = again.unwrap_or_else(|e| panic!("{}", e.render(false)));
            assert_eq!(again.privacy.adaptive_clip, cell.epsilon.is_some());
        }
    }

    #[test]
    fn a_negative_target_is_refused() {
        assert!(Config::parse("[sweep]\nepsilons = [-1]\n", NONE).is_err());
        assert!(Config::parse("[sweep]\nepsilons = [\"nona\"]\n", NONE).is_err());
    }

    #[test]
    fn without_targets_the_run_itself_is_repeated_over_seeds() {
        let cells = cells("[sweep]\nseeds = [3, 4]\n", &["privacy.epsilon=5"]);
        assert_eq!(cells.iter().map(|c| c.seed).collect::<Vec<_>>(), [3, 4]);
        assert!(cells.iter().all(|c| c.epsilon.map(Epsilon::value) == Some(5.0)));
        assert!(cells.iter().all(|c| c.fold.is_none() && c.variant.is_none()));
    }

    const GRID: &str = r#"
[partition]
folds = 3
[training]
learning_rate = 0.5
[sweep]
epsilons = ["none", 8, 2]
seeds = [1, 2]
folds = [1, 3]
[[sweep.variant]]
name = "wide"
set = ["model.hidden=[32]", "training.momentum=0.9"]
set_private = ["model.hidden=[]", "run.rounds=5"]
[[sweep.variant]]
name = "narrow"
set = ["model.hidden=[4]"]
"#;

    #[test]
    fn variants_targets_folds_and_seeds_are_crossed_and_every_cell_has_its_own_digest() {
        let cells = cells(GRID, NONE);
        assert_eq!(cells.len(), 2 * 3 * 2 * 2);
        let digests: BTreeSet<_> = cells.iter().map(|c| c.config.digest().to_string()).collect();
        assert_eq!(digests.len(), cells.len());
        let seen: BTreeSet<_> = cells
            .iter()
            .map(|c| (c.variant.clone().unwrap(), c.epsilon.map(|e| e.value().to_bits()), c.fold.unwrap(), c.seed))
            .collect();
        assert_eq!(seen.len(), cells.len());
        for cell in &cells {
            assert_eq!((cell.config.partition.fold, cell.config.run.seed), (cell.fold.unwrap(), cell.seed));
            let again = SweepPlan::parse(&cell.config.to_toml(), NONE).unwrap().cells;
            // But for what other cells are compared by.
            let alone = SweepCell { settings: BTreeMap::new(), combination: None, ..cell.clone() };
            assert!(again == [alone], "a cell's file is that cell");
        }
    }

    #[test]
    fn what_is_set_in_private_cells_is_set_on_top_and_in_no_other() {
        for cell in cells(GRID, NONE) {
            let wide = cell.variant.as_deref() == Some("wide");
            let hidden = match (wide, cell.epsilon.is_some()) {
                (true, false) => vec![32],
                (true, true) => vec![],
                (false, _) => vec![4],
            };
            let config = &cell.config;
            assert_eq!((&config.model.hidden, config.run.rounds == 5), (&Some(hidden), wide && cell.epsilon.is_some()));
            let momentum = if wide { 0.9 } else { 0.0 };
            assert!((config.training.momentum - momentum).abs() < 1e-12, "set holds in private cells, too");
            assert!((config.training.learning_rate - 0.5).abs() < 1e-12, "and so does the file");
        }
    }

    #[test]
    fn what_a_privacy_unit_does_not_go_with_may_be_set_where_private_cells_take_it_back() {
        let text = |set_private: &str| {
            format!(
                "[training]\nsteps = 10\n[sweep]\nepsilons = [\"none\", 8]\n[[sweep.variant]]\nname = \"scaffold\"\n\
                 set = [\"server.optimiser=scaffold\"]\nset_private = [{set_private}]\n"
            )
        };
        let cells = cells(&text("\"server.optimiser=fedavg\""), NONE);
        let rules: Vec<_> = cells.iter().map(|c| c.config.server.optimiser).collect();
        assert_eq!(rules, [crate::ServerOptimiser::Scaffold, crate::ServerOptimiser::Fedavg]);
        let error = Config::parse(&text(""), NONE).unwrap_err().to_string();
        assert!(error.contains("variant `scaffold`: `server.optimiser`"), "{error}");
    }

    #[test]
    fn the_command_line_wins_over_a_variant_and_defaults_follow_what_a_variant_sets() {
        assert!(cells(GRID, &["model.hidden=[7]"]).iter().all(|c| c.config.model.hidden == Some(vec![7])));
        let text = "[[sweep.variant]]\nname = \"kaldi\"\nset = [\"features.convention=kaldi\"]\n";
        let said = Config::parse("[features]\nconvention = \"kaldi\"\n", NONE).unwrap();
        assert_eq!(cells(text, NONE)[0].config.features, said.features);
    }

    #[test]
    fn a_cell_says_what_every_key_that_any_variant_sets_is_in_it() {
        for cell in cells(GRID, NONE) {
            let keys: Vec<_> = cell.settings.keys().map(String::as_str).collect();
            let hidden = match (cell.variant.as_deref(), cell.epsilon) {
                (Some("wide"), None) => "[32]",
                (Some("wide"), Some(_)) => "[]",
                _ => "[4]",
            };
            assert_eq!(keys, ["model.hidden", "run.rounds", "training.momentum"]);
            assert_eq!(cell.settings["model.hidden"], Setting::Text(hidden.into()));
            assert_eq!(cell.settings["run.rounds"], Setting::Integer(cell.config.run.rounds.try_into().unwrap()));
        }
        assert!(cells("[sweep]\nseeds = [1, 2]\n", NONE).iter().all(|c| c.settings.is_empty()));
    }

    #[test]
    fn variants_of_one_content_are_still_two_variants() {
        let text = "[[sweep.variant]]\nname = \"a\"\n[[sweep.variant]]\nname = \"b\"\n";
        let cells = cells(text, NONE);
        assert_ne!(cells[0].config.digest(), cells[1].config.digest());
    }

    #[test]
    fn what_a_cell_is_to_find_out_is_in_its_digest() {
        let digest = |text: &str| cells(text, NONE)[0].config.digest();
        let as_it_is = digest("");
        assert_ne!(digest("[sweep]\nattacks = false\n"), as_it_is);
        assert_ne!(digest("[sweep]\ncentralised = true\n"), as_it_is);
    }
}
