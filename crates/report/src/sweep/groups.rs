//! Cells that differ by their seed or fold only, as one.
use sottovoce_types::{SweepRow, Unit};

use super::SweepReport;
use crate::text::significant;

/// Mean and standard deviation over runs (with n − 1; 0 for one run).
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    pub(crate) mean: f64,
    pub(crate) sd: f64,
}

impl Spread {
    pub(super) fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let n = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / n;
        let squares: f64 = values.map(|v| (v - mean) * (v - mean)).sum();
        Self { mean, sd: if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 } }
    }

    /// Over the finite values; `None` where there is none.
    pub(super) fn of_some(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        (!values.is_empty()).then(|| Self::of(values.iter().copied()))
    }

    pub(super) fn band(self) -> (f64, f64) {
        (self.mean - self.sd, self.mean + self.sd)
    }
}

/// The cells that differ by their seed or fold only.
#[derive(Clone, PartialEq, Debug)]
pub struct SweepGroup {
    /// The line it is a point of: the variant's name and what the grid set; `None` where nothing is varied.
    pub line: Option<String>,
    /// The privacy unit.
    pub unit: Unit,
    /// Target ε; `None` is no DP.
    pub epsilon_target: Option<f64>,
    /// Runs in it: one for each seed and fold.
    pub runs: usize,
    pub(crate) noise_multiplier: Spread,
    pub(crate) uar: Spread,
    pub(crate) accuracy: Spread,
    pub(crate) macro_precision: Spread,
    pub(crate) macro_f1: Spread,
    pub(crate) membership_auc: Option<Spread>,
    pub(crate) label_profile_correlation: Option<Spread>,
    pub(crate) epsilon_lower: Option<Spread>,
    /// Largest lower bound over runs: the one that a violation would show in.
    pub(crate) epsilon_lower_max: Option<f64>,
    pub(crate) epsilon_spent_max: Option<f64>,
    pub(crate) wall_s: Spread,
    /// Bytes that a client sent in a round.
    pub(crate) bytes_up: Option<Spread>,
    /// Bytes that it received.
    pub(crate) bytes_down: Option<Spread>,
    /// Whether in any run the canaries showed more than was spent.
    pub(crate) violated: bool,
}

impl SweepGroup {
    /// Target ε in words.
    pub(crate) fn name(&self) -> String {
        self.epsilon_target.map_or("no DP".to_owned(), significant)
    }

    /// Target ε for a table: a number, or `none`.
    pub(super) fn x(&self) -> String {
        self.epsilon_target.map_or("none".to_owned(), |e| e.to_string())
    }
}

impl SweepReport {
    /// Rows joined over seeds and folds, by line, then by unit and then by target ε from small to large, no DP last.
    pub fn groups(&self) -> Vec<SweepGroup> {
        let (lines, keys) = (self.lines(), self.telling_keys());
        let place = |line: &Option<String>| lines.iter().position(|l| l == line);
        let key = |(line, row): &(Option<String>, &SweepRow)| {
            (place(line), row.unit.name(), row.epsilon_target.unwrap_or(f64::INFINITY))
        };
        let mut rows: Vec<_> = self.rows.iter().map(|row| (Self::line_among(&keys, row), row)).collect();
        rows.sort_by(|a, b| {
            let ((la, ua, ea), (lb, ub, eb)) = (key(a), key(b));
            la.cmp(&lb).then(ua.cmp(ub)).then(ea.total_cmp(&eb)).then((a.1.fold, a.1.seed).cmp(&(b.1.fold, b.1.seed)))
        });
        // No DP has no unit: it is the end of every unit's line, and its own group.
        rows.chunk_by(|a, b| key(a) == key(b)).map(group).collect()
    }
}

fn group(of: &[(Option<String>, &SweepRow)]) -> SweepGroup {
    let rows = || of.iter().map(|(_, row)| *row);
    let spread = |pick: fn(&SweepRow) -> f64| Spread::of(rows().map(pick));
    let some = |pick: fn(&SweepRow) -> Option<f64>| Spread::of_some(rows().filter_map(pick));
    let most = |values: Vec<f64>| (!values.is_empty()).then(|| values.into_iter().fold(f64::NEG_INFINITY, f64::max));
    let lowers: Vec<f64> = rows().filter_map(|r| r.epsilon_empirical_lower).collect();
    let spent: Option<Vec<f64>> = rows().map(|r| r.epsilon_spent).collect();
    let (line, first) = &of[0];
    SweepGroup {
        line: line.clone(),
        unit: first.unit,
        epsilon_target: first.epsilon_target,
        runs: of.len(),
        noise_multiplier: spread(|r| r.noise_multiplier),
        uar: spread(|r| r.uar),
        accuracy: spread(|r| r.accuracy),
        macro_precision: spread(|r| r.macro_precision),
        macro_f1: spread(|r| r.macro_f1),
        membership_auc: some(|r| r.membership_auc),
        label_profile_correlation: some(|r| r.label_profile_correlation),
        // Not by `some`: a bound of infinity is a violation, and must not drop out of the mean.
        epsilon_lower: (!lowers.is_empty()).then(|| Spread::of(lowers.iter().copied())),
        epsilon_lower_max: most(lowers),
        epsilon_spent_max: spent.and_then(most),
        wall_s: spread(|r| r.wall_s),
        bytes_up: some(|r| r.bytes_up_per_client_round),
        bytes_down: some(|r| r.bytes_down_per_client_round),
        violated: rows().any(|r| matches!((r.epsilon_empirical_lower, r.epsilon_spent), (Some(l), Some(s)) if l > s)),
    }
}
