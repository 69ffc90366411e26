//! Which cells belong to one line of a figure: those that differ by ε, fold and seed alone.
use std::collections::{BTreeMap, BTreeSet};

use sottovoce_types::{LeakageRow, Setting, SweepRow};

use super::SweepReport;

/// What names a line: the variant, and what the grid set.
#[derive(Clone, Copy)]
pub(super) struct Varied<'a> {
    pub(super) variant: Option<&'a str>,
    pub(super) settings: &'a BTreeMap<String, Setting>,
}

impl<'a> From<&'a SweepRow> for Varied<'a> {
    fn from(row: &'a SweepRow) -> Self {
        Self { variant: row.variant.as_deref(), settings: &row.settings }
    }
}

impl<'a> From<&'a LeakageRow> for Varied<'a> {
    fn from(row: &'a LeakageRow) -> Self {
        Self { variant: row.variant.as_deref(), settings: &row.settings }
    }
}

impl SweepReport {
    /// The keys that tell lines apart: those with several values among the cells of one variant, with DP or without. What a variant
    /// sets in all its cells, its name says already, and what it sets in private cells alone is no other line.
    pub(super) fn telling_keys(&self) -> BTreeSet<&str> {
        let mut values: BTreeMap<(Option<&str>, bool, &str), BTreeSet<String>> = BTreeMap::new();
        for row in &self.rows {
            for (key, value) in &row.settings {
                let of = (row.variant.as_deref(), row.epsilon_target.is_some(), key.as_str());
                values.entry(of).or_default().insert(value.to_string());
            }
        }
        values.into_iter().filter(|(_, seen)| seen.len() > 1).map(|((_, _, key), _)| key).collect()
    }

    /// The name of a cell's line; `None` where nothing but ε, folds and seeds was swept.
    pub(super) fn line_among<'a>(keys: &BTreeSet<&str>, of: impl Into<Varied<'a>>) -> Option<String> {
        let of = of.into();
        let told = of.settings.iter().filter(|(key, _)| keys.contains(key.as_str()));
        let told = told.map(|(key, value)| format!("{} {value}", short(key)));
        let words: Vec<String> = of.variant.map(str::to_owned).into_iter().chain(told).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// The name of a row's line.
    pub(crate) fn line(&self, row: &SweepRow) -> Option<String> {
        Self::line_among(&self.telling_keys(), row)
    }

    /// The lines, in the order of their first rows.
    pub(crate) fn lines(&self) -> Vec<Option<String>> {
        let keys = self.telling_keys();
        let mut all = Vec::new();
        for row in &self.rows {
            let line = Self::line_among(&keys, row);
            if !all.contains(&line) {
                all.push(line);
            }
        }
        all
    }
}

/// The part of a key that a reader needs: the last word, with its section where the word alone says nothing.
fn short(key: &str) -> String {
    let (section, word) = key.split_once('.').unwrap_or(("", key));
    match word {
        "kind" | "mode" => section.to_owned(),
        _ => word.replace('_', " "),
    }
}
