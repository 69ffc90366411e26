//! Attacks against settings: one row an attack, one column a line and ε.
use sottovoce_types::LeakageRow;

use super::SweepReport;
use super::groups::{Spread, SweepGroup};
use crate::text::{NONE, significant};

/// A table of what each attack scored in each setting.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct LeakageTable {
    /// Names of the settings.
    pub(crate) settings: Vec<String>,
    /// Attack, measure and chance; whether it is a control; then a score a setting.
    pub(crate) rows: Vec<(String, bool, Vec<String>)>,
}

/// What the table's figures are.
pub(crate) const LEAKAGE_NOTE: &str = "Means over runs; in brackets from the lowest to the highest end of the runs' 95 % intervals, which is \
     wider than an interval of the mean. A control has the defence off, or sees no model (blind-baseline).";

impl SweepReport {
    /// What each attack scored in each setting: the mean over runs and, in brackets, from the lowest lower end to the highest upper end of the
    /// runs' 95 % intervals, which is wider than an interval of the mean. Controls follow what they control. `None` where nothing was attacked.
    pub(crate) fn leakage_table(&self) -> Option<LeakageTable> {
        if self.leakage.is_empty() {
            return None;
        }
        let keys = self.telling_keys();
        let groups = self.groups();
        let in_group = |row: &LeakageRow, group: &SweepGroup| {
            row.epsilon_target.map(f64::to_bits) == group.epsilon_target.map(f64::to_bits)
                && Self::line_among(&keys, row) == group.line
        };
        let row = |attack: &Attack| {
            let own: Vec<&LeakageRow> = self.leakage.iter().filter(|r| Attack::of(r) == *attack).collect();
            let score = |group: &SweepGroup| {
                let here = || own.iter().filter(|r| in_group(r, group));
                let Some(mean) = Spread::of_some(here().map(|r| r.value)) else { return NONE.to_owned() };
                let low = here().map(|r| r.low).fold(f64::NAN, f64::min);
                let high = here().map(|r| r.high).fold(f64::NAN, f64::max);
                format!("{:.2} [{low:.2}, {high:.2}]", mean.mean)
            };
            let chance = Spread::of_some(own.iter().map(|r| r.chance)).map_or(NONE.to_owned(), |c| significant(c.mean));
            let name = format!("{}, {} (chance {chance})", attack.name, attack.metric);
            (name, attack.control_of.is_some(), groups.iter().map(score).collect())
        };
        let rows = attacks(&self.leakage).iter().map(row).collect();
        Some(LeakageTable { settings: groups.iter().map(setting).collect(), rows })
    }

    /// The same in Markdown, with what the figures are; empty where nothing was attacked.
    pub fn leakage_markdown(&self) -> String {
        let Some(table) = self.leakage_table() else { return String::new() };
        let line = |first: &str, cells: &[String]| {
            let cells = std::iter::once(first).chain(cells.iter().map(String::as_str));
            format!("| {} |\n", cells.map(|c| c.replace('|', "\\|")).collect::<Vec<_>>().join(" | "))
        };
        let mut out = line("attack", &table.settings);
        out += &line("---", &vec!["---:".to_owned(); table.settings.len()]);
        for (name, control, scores) in &table.rows {
            let name = if *control { format!("control: {name}") } else { name.clone() };
            out += &line(&name, scores);
        }
        let synthetic = if self.synthetic { format!("{}.\n", crate::html::SYNTHETIC) } else { String::new() };
        format!("{out}\n{LEAKAGE_NOTE}\n{synthetic}")
    }
}

/// What is one row of the table.
#[derive(Clone, PartialEq)]
struct Attack {
    name: String,
    control_of: Option<String>,
    metric: String,
}

impl Attack {
    fn of(row: &LeakageRow) -> Self {
        Self { name: row.attack.clone(), control_of: row.control_of.clone(), metric: row.metric.clone() }
    }
}

/// Every attack in the order of its first score, its controls after it.
fn attacks(rows: &[LeakageRow]) -> Vec<Attack> {
    let mut all: Vec<Attack> = Vec::new();
    for row in rows {
        let attack = Attack::of(row);
        if !all.contains(&attack) {
            all.push(attack);
        }
    }
    let mut ordered = Vec::new();
    for attack in all.iter().filter(|a| a.control_of.is_none()) {
        ordered.push(attack.clone());
        let of_it = |c: &&Attack| c.control_of.as_ref() == Some(&attack.name) && c.metric == attack.metric;
        ordered.extend(all.iter().filter(of_it).cloned());
    }
    ordered
}

/// A group in words.
fn setting(group: &SweepGroup) -> String {
    let epsilon = group.epsilon_target.map_or("no DP".to_owned(), |e| format!("ε {}", significant(e)));
    group.line.as_ref().map_or(epsilon.clone(), |line| format!("{line}, {epsilon}"))
}
