//! A sweep's grid: config keys with the values that they are given in turn, and rules that leave combinations out.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Value;

use crate::error::{ConfigError, Fault, Place};
use crate::layers::{Layers, known_key, known_section};
use crate::sweep::{Sweep, SweepCell};

/// `[sweep.grid]`: each config key with the values that it is given in turn, crossed with all else that is swept.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Grid(BTreeMap<String, Vec<Value>>);

/// `[[sweep.exclude]]`: what a cell must be, in all of these, to be left out. A list means any of its values.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Rule(BTreeMap<String, Value>);

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Written(toml::Table);

/// A grid or a rule that cannot be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("`{0}` has a list of at least one value here, such as [\"dnn\", \"cnn\"]")]
    NotAList(String),
    #[error("a rule without any key would leave every cell out: say what the cells have that it leaves out")]
    Empty,
}

/// What a rule may name besides config keys.
const OF_A_CELL: [&str; 4] = ["variant", "epsilon", "fold", "seed"];

impl TryFrom<Written> for Grid {
    type Error = Unreadable;
    fn try_from(Written(table): Written) -> Result<Self, Unreadable> {
        let lists = flat(table).into_iter().map(|(key, value)| match value {
            Value::Array(values) if !values.is_empty() => Ok((key, values)),
            _ => Err(Unreadable::NotAList(key)),
        });
        Ok(Self(lists.collect::<Result<_, _>>()?))
    }
}

impl From<Grid> for Written {
    fn from(grid: Grid) -> Self {
        Self(grid.0.into_iter().map(|(key, values)| (key, Value::Array(values))).collect())
    }
}

impl TryFrom<Written> for Rule {
    type Error = Unreadable;
    fn try_from(Written(table): Written) -> Result<Self, Unreadable> {
        if table.is_empty() { Err(Unreadable::Empty) } else { Ok(Self(flat(table))) }
    }
}

impl From<Rule> for Written {
    fn from(rule: Rule) -> Self {
        Self(rule.0.into_iter().collect())
    }
}

/// `"model.kind" = …` and `model.kind = …`, which TOML reads as a table in a table, are one key.
fn flat(table: toml::Table) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) => all.extend(inner.into_iter().map(|(key, value)| (format!("{name}.{key}"), value))),
            value => drop(all.insert(name, value)),
        }
    }
    all
}

/// A key that is known.
type Known = (&'static str, &'static str);

/// One value for each key of the grid.
pub(crate) type Combination = Vec<(Known, Value)>;

impl Grid {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys, as `section.key`.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Every combination of values, the last key changing fastest; one of no key where the grid is empty.
    pub(crate) fn combinations(
        &self,
        sweep: &Sweep,
        layers: &Layers,
        overrides: &[&str],
    ) -> Result<Vec<Combination>, ConfigError> {
        let mut all = vec![Vec::new()];
        for (written, values) in &self.0 {
            let place = || layers.place_within(&format!("grid.{written}")).cloned();
            let known = known(written).map_err(|fault| ConfigError::new(fault, place()))?;
            if let Some(why) = refused(sweep, known, overrides) {
                let fault = Fault::Value { key: written.as_str().into(), expected: why.into() };
                return Err(ConfigError::new(fault, place()));
            }
            let with = |so_far: &Combination| {
                let so_far = so_far.clone();
                values.iter().map(move |value| {
                    let mut longer = so_far.clone();
                    longer.push((known, value.clone()));
                    longer
                })
            };
            all = all.iter().flat_map(with).collect();
        }
        Ok(all)
    }
}

/// Why the grid may not have a key.
fn refused(sweep: &Sweep, (section, key): Known, overrides: &[&str]) -> Option<&'static str> {
    let name = |line: &str| {
        let path = line.split('=').next().unwrap_or_default();
        path.split('.').map(str::trim).collect::<Vec<_>>().join(".")
    };
    let own = format!("{section}.{key}");
    if sweep.variant.iter().flat_map(|v| v.set.iter().chain(&v.set_private)).any(|line| name(line) == own) {
        return Some("a variant sets it, and the grid would overrule it: take it out of one of them");
    }
    if overrides.iter().any(|line| name(line) == own) {
        return Some("the command line sets it, and the grid has several values of it: set sweep.grid instead");
    }
    match (section, key) {
        ("transport", _) => Some("cells are simulated, where nothing listens: take it out of the grid"),
        ("run", "name") => Some("it changes nothing in a cell: take it out of the grid"),
        _ => swept_elsewhere(sweep, (section, key)),
    }
}

/// Why neither a variant nor the grid may set a key: every cell would overrule it, or rows of one table would be incomparable.
pub(crate) fn swept_elsewhere(sweep: &Sweep, known: (&str, &str)) -> Option<&'static str> {
    match known {
        ("sweep", _) => Some("it says what is swept, and not what a run is like: take it out"),
        ("corpus", _) => Some("one table is about one corpus: sweep each corpus by itself"),
        ("run", "seed") => Some("every cell has its seed from sweep.seeds: take it out"),
        ("partition", "fold") if !sweep.folds.is_empty() => {
            Some("every cell has its fold from sweep.folds: take it out")
        }
        ("privacy", "epsilon" | "epsilon_budget" | "noise_multiplier") if !sweep.epsilons.is_empty() => {
            Some("every cell has its noise from sweep.epsilons: take it out")
        }
        _ => None,
    }
}

fn known(written: &str) -> Result<Known, Fault> {
    let (section, key) = written.split_once('.').ok_or(Fault::OverrideForm)?;
    let section = known_section(section)?;
    Ok((section, known_key(section, key)?))
}

/// Every rule, with its keys known and its values such as could be in a cell.
pub(crate) fn check_rules(sweep: &Sweep, layers: &Layers) -> Result<(), ConfigError> {
    for (i, rule) in sweep.exclude.iter().enumerate() {
        for (key, value) in &rule.0 {
            let place = || layers.place_within(&format!("exclude.{i}.{key}")).cloned();
            if OF_A_CELL.contains(&key.as_str()) {
                let names = sweep.variant.iter().map(|v| Value::String(v.name.clone())).collect::<Vec<_>>();
                if key == "variant" {
                    has(&names, value).map_err(|()| nothing(key, "no variant has this name", place()))?;
                }
                continue;
            }
            known(key).map_err(|fault| match fault {
                Fault::OverrideForm => {
                    nothing(key, "a rule names config keys, variant, epsilon, fold or seed", place())
                }
                fault => ConfigError::new(fault, place()),
            })?;
            if let Some(values) = sweep.grid.0.get(key) {
                has(values, value).map_err(|()| {
                    nothing(key, "the grid has no such value, and the rule leaves nothing out", place())
                })?;
            }
        }
    }
    Ok(())
}

fn nothing(key: &str, why: &str, place: Option<Place>) -> ConfigError {
    ConfigError::new(Fault::Value { key: format!("sweep.exclude: {key}").into(), expected: why.into() }, place)
}

/// Whether a rule's value, or each of its list, is among `values`.
fn has(values: &[Value], wanted: &Value) -> Result<(), ()> {
    let is_there = |wanted: &Value| values.iter().any(|value| same(value, wanted));
    match wanted {
        wanted if is_there(wanted) => Ok(()),
        Value::Array(any) if any.iter().all(is_there) => Ok(()),
        _ => Err(()),
    }
}

impl Rule {
    /// Whether it leaves a cell out; `values` is the cell's configuration.
    pub(crate) fn excludes(&self, cell: &SweepCell, values: &toml::Table) -> bool {
        self.0.iter().all(|(key, wanted)| {
            let is = match key.as_str() {
                "variant" => cell.variant.clone().map(Value::String),
                "epsilon" => Some(cell.epsilon.map_or(Value::String("none".to_owned()), |e| Value::Float(e.value()))),
                "fold" => cell.fold.map(|fold| Value::Integer(fold.into())),
                "seed" => i64::try_from(cell.seed).ok().map(Value::Integer),
                key => {
                    let within = key.split_once('.').and_then(|(section, key)| values.get(section)?.get(key));
                    within.cloned()
                }
            };
            // Without DP is written as sweep.epsilons writes it.
            let no_dp = |wanted: &Value| key == "epsilon" && cell.epsilon.is_none() && same(wanted, &Value::Integer(0));
            let meets = |wanted: &Value| is.as_ref().is_some_and(|is| same(is, wanted)) || no_dp(wanted);
            meets(wanted) || wanted.as_array().is_some_and(|any| any.iter().any(meets))
        })
    }
}

/// Whether two values are one: `2` and `2.0` are.
fn same(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| match value {
        #[allow(clippy::cast_precision_loss, reason = "a written number: to compare it with another")]
        Value::Integer(integer) => Some(*integer as f64),
        Value::Float(float) => Some(*float),
        _ => None,
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

/// A combination in words, which is also how `--set` writes it.
pub(crate) fn in_words(combination: &Combination) -> String {
    let one = |((section, key), value): &(Known, Value)| match value {
        Value::String(text) => format!("{section}.{key}={text}"),
        value => format!("{section}.{key}={value}"),
    };
    combination.iter().map(one).collect::<Vec<_>>().join(", ")
}
