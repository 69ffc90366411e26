//! Two sweeps of the same cells: what changed, paired by fold and seed.
use std::collections::BTreeMap;

use serde::Serialize;
use sottovoce_types::{Digest, SweepRow, Unit};

use super::SweepReport;
use crate::Estimate;
use crate::text::{Align, NONE, TextTable, bare_percent, points, significant};

/// By what the cells of two sweeps were paired.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairing {
    /// Their resolved configs are the same: whatever differs, differs by the program or by the randomness of noise.
    SameConfig,
    /// They have the same line, unit, ε, fold and seed, and configs that differ elsewhere.
    SameCell,
}

/// How one figure of the cells of one line and ε changed from the first sweep to the second.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CellDifference {
    /// The line: variant and what the grid set.
    pub line: Option<String>,
    /// The privacy unit.
    pub unit: Unit,
    /// Target ε; `None` without DP.
    pub epsilon: Option<f64>,
    /// What is compared: a column of `results.csv`.
    pub figure: &'static str,
    /// Mean in the first sweep, over the pairs.
    pub first: f64,
    /// Mean in the second.
    pub second: f64,
    /// Second minus first, paired by fold and seed.
    pub difference: Estimate,
}

impl CellDifference {
    /// Whether the 95 % interval of the difference leaves out zero.
    pub fn changed(&self) -> bool {
        self.difference.ci95.is_some_and(|ci| ci.low > 0.0 || ci.high < 0.0)
    }
}

/// Two sweeps side by side.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Comparison {
    /// Name of the first.
    pub first: String,
    /// Name of the second.
    pub second: String,
    /// How cells were paired.
    pub pairing: Pairing,
    /// Cells of the first without a partner.
    pub only_first: usize,
    /// Cells of the second without a partner.
    pub only_second: usize,
    /// Every figure of every line and ε.
    pub differences: Vec<CellDifference>,
}

type Figure = (&'static str, fn(&SweepRow) -> Option<f64>);

const FIGURES: [Figure; 6] = [
    ("uar", |r| Some(r.uar)),
    ("accuracy", |r| Some(r.accuracy)),
    ("macro_f1", |r| Some(r.macro_f1)),
    ("membership_auc", |r| r.membership_auc),
    ("epsilon_empirical_lower", |r| r.epsilon_empirical_lower),
    ("wall_s", |r| Some(r.wall_s)),
];

/// What makes a cell of one sweep the partner of a cell of another whose config is not the same.
type Cell = (Option<String>, &'static str, u64, Option<u32>, u64);

impl Comparison {
    /// Of two sweeps: by their configs where any is in both, else by line, unit, ε, fold and seed.
    pub fn of(first: &SweepReport, second: &SweepReport) -> Self {
        let digests: BTreeMap<Digest, &SweepRow> = second.rows.iter().map(|r| (r.config_sha256, r)).collect();
        let by_config: Vec<_> = first.rows.iter().filter_map(|r| Some((r, *digests.get(&r.config_sha256)?))).collect();
        let (pairing, pairs) = if by_config.is_empty() {
            let cells: BTreeMap<Cell, &SweepRow> = second.rows.iter().map(|r| (cell(second, r), r)).collect();
            let pairs = first.rows.iter().filter_map(|r| Some((r, *cells.get(&cell(first, r))?)));
            (Pairing::SameCell, pairs.collect())
        } else {
            (Pairing::SameConfig, by_config)
        };
        Self {
            first: first.name.clone(),
            second: second.name.clone(),
            pairing,
            only_first: first.rows.len() - pairs.len(),
            only_second: second.rows.len().saturating_sub(pairs.len()),
            differences: differences(first, &pairs),
        }
    }

    /// The pairing and the leftovers, in words.
    pub fn note(&self) -> String {
        let how = match self.pairing {
            Pairing::SameConfig => "Cells are paired by their resolved configs, which are the same in both",
            Pairing::SameCell => {
                "No config is in both sweeps: cells are paired by line, unit, ε, fold and seed, and their configs differ elsewhere"
            }
        };
        format!(
            "{how}. Without a partner: {} of “{}”, {} of “{}”. Intervals are of single comparisons, each at 95 %: of twenty that compare \
             what is equal, one leaves out zero by chance.",
            self.only_first, self.first, self.only_second, self.second
        )
    }

    /// The columns and rows of the table.
    pub(crate) fn cells(&self) -> ([(&'static str, Align); 8], Vec<[String; 8]>) {
        let columns = [
            ("cells", Align::Left),
            ("unit", Align::Left),
            ("ε", Align::Right),
            ("figure", Align::Left),
            ("first", Align::Right),
            ("second", Align::Right),
            ("second − first (95 %)", Align::Right),
            ("", Align::Left),
        ];
        (columns, self.differences.iter().map(CellDifference::cells).collect())
    }

    /// The table for a terminal.
    pub fn text(&self) -> String {
        let (columns, rows) = self.cells();
        let mut table = TextTable::new(columns);
        for row in rows {
            table.row(row);
        }
        format!("{} → {}\n{}\n{}\n", self.first, self.second, table.render(), self.note())
    }
}

impl CellDifference {
    fn cells(&self) -> [String; 8] {
        let fraction = matches!(self.figure, "uar" | "accuracy" | "macro_f1");
        let shown = |v: f64| if fraction { bare_percent(v) + " %" } else { format!("{v:.3}") };
        let signed = |v: f64| if fraction { points(v) } else { format!("{v:+.3}").replace('-', "−") };
        let interval = match self.difference.ci95 {
            Some(ci) => format!(" ({} to {})", signed(ci.low), signed(ci.high)),
            None => String::new(),
        };
        let verdict = match (self.changed(), self.difference.ci95, self.difference.mean.abs() < 1e-12) {
            (true, ..) => "changed",
            (_, None, true) => "the same",
            (_, None, _) => "no interval",
            _ => "not told apart",
        };
        [
            self.line.clone().unwrap_or_else(|| NONE.to_owned()),
            self.unit.name().to_owned(),
            self.epsilon.map_or("no DP".to_owned(), significant),
            self.figure.to_owned(),
            shown(self.first),
            shown(self.second),
            signed(self.difference.mean) + &interval,
            verdict.to_owned(),
        ]
    }
}

fn cell(sweep: &SweepReport, row: &SweepRow) -> Cell {
    let epsilon = row.epsilon_target.unwrap_or(f64::INFINITY).to_bits();
    (sweep.line(row), row.unit.name(), epsilon, row.fold, row.seed)
}

fn differences(first: &SweepReport, pairs: &[(&SweepRow, &SweepRow)]) -> Vec<CellDifference> {
    let mut out = Vec::new();
    for group in first.groups() {
        let own = |r: &SweepRow| {
            (first.line(r), r.unit, r.epsilon_target) == (group.line.clone(), group.unit, group.epsilon_target)
        };
        let of_group: Vec<_> = pairs.iter().filter(|(a, _)| own(a)).collect();
        for (figure, pick) in FIGURES {
            let both = of_group.iter().filter_map(|(a, b)| Some((a, pick(a)?, pick(b)?)));
            let values: Vec<(&SweepRow, f64, f64)> = both.map(|(row, first, second)| (*row, first, second)).collect();
            if values.is_empty() {
                continue;
            }
            let mean = |sum: f64| sum / values.len() as f64;
            out.push(CellDifference {
                line: group.line.clone(),
                unit: group.unit,
                epsilon: group.epsilon_target,
                figure,
                first: mean(values.iter().map(|v| v.1).sum()),
                second: mean(values.iter().map(|v| v.2).sum()),
                difference: Estimate::over_folds(values.iter().map(|v| (v.0.fold, v.0.seed, v.2 - v.1))),
            });
        }
    }
    out
}
