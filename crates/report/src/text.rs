//! Plain text: numbers with the digits they deserve, and aligned tables for a terminal.
use std::fmt::Write as _;

use sottovoce_types::{AttackScore, Interval, Metrics, RoundRecord, RunSummary};

use crate::sweep::SweepReport;

/// What stands for a value that is not there.
pub(crate) const NONE: &str = "–";

/// `v` with about three significant digits and no trailing zeros.
pub(crate) fn significant(v: f64) -> String {
    if !v.is_finite() {
        return if v.is_nan() {
            NONE
        } else if v > 0.0 {
            "∞"
        } else {
            "−∞"
        }
        .to_owned();
    }
    if v == 0.0 {
        return "0".to_owned();
    }
    let magnitude = v.abs().log10().floor();
    if !(-4.0..7.0).contains(&magnitude) {
        return format!("{v:.1e}");
    }
    let decimals = (2.0 - magnitude).clamp(0.0, 6.0) as usize;
    let text = format!("{v:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A fraction as a percentage with one decimal.
pub(crate) fn percent(v: f64) -> String {
    if v.is_finite() { format!("{:.1} %", v * 100.0) } else { NONE.to_owned() }
}

/// A fraction with its interval over so many speakers, in percent.
pub(crate) fn percent_in(v: f64, ci: Option<Interval>, speakers: u32) -> String {
    match ci {
        Some(ci) => format!("{} ({}–{})", percent(v), bare_percent(ci.low), bare_percent(ci.high)),
        None => format!("{}, interval {}", percent(v), no_interval(speakers)),
    }
}

/// An interval over so many speakers, in percent.
pub(crate) fn interval(ci: Option<Interval>, speakers: u32) -> String {
    match ci {
        Some(ci) => format!("{}–{} %", bare_percent(ci.low), bare_percent(ci.high)),
        None => no_interval(speakers).to_owned(),
    }
}

/// Why there is no interval.
fn no_interval(speakers: u32) -> &'static str {
    match speakers {
        0 | 1 => "not estimable (1 speaker)",
        _ => "not recorded",
    }
}

/// A difference of fractions in percentage points, with its sign.
pub(crate) fn points(v: f64) -> String {
    if !v.is_finite() {
        return NONE.to_owned();
    }
    // What rounds to zero has no sign.
    let tenths = (v * 1000.0).round();
    let sign = if tenths > 0.0 {
        "+"
    } else if tenths < 0.0 {
        "−"
    } else {
        ""
    };
    format!("{sign}{:.1}", tenths.abs() / 10.0)
}

pub(crate) fn bare_percent(v: f64) -> String {
    if v.is_finite() { format!("{:.1}", v * 100.0) } else { NONE.to_owned() }
}

/// An upper bound on ε: rounded up, for a bound that is rounded down is none; `None` is infinity.
pub(crate) fn epsilon_upper(epsilon: Option<f64>) -> String {
    match epsilon {
        Some(e) if e.is_finite() => format!("{:.2}", (e * 100.0 - 1e-9).ceil() / 100.0),
        _ => "∞".to_owned(),
    }
}

/// A lower bound on ε: rounded down.
pub(crate) fn epsilon_lower(epsilon: f64) -> String {
    if epsilon.is_finite() { format!("{:.2}", (epsilon * 100.0 + 1e-9).floor() / 100.0) } else { NONE.to_owned() }
}

/// A probability such as δ: `1e-5` rather than `0.00001`.
pub(crate) fn small(v: f64) -> String {
    if v.is_finite() && v > 0.0 && v < 0.01 { format!("{v:e}") } else { significant(v) }
}

/// Seconds, in words that fit their size.
pub(crate) fn seconds(s: f64) -> String {
    if !s.is_finite() {
        NONE.to_owned()
    } else if s < 120.0 {
        format!("{s:.1} s")
    } else if s < 7200.0 {
        format!("{:.1} min", s / 60.0)
    } else {
        format!("{:.1} h", s / 3600.0)
    }
}

/// How a column's cells line up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Align {
    /// At the left, for words.
    #[default]
    Left,
    /// At the right, for numbers.
    Right,
}

/// A table of plain text with aligned columns.
///
/// ```
/// use sottovoce_report::{Align, TextTable};
/// let mut table = TextTable::new([("emotion", Align::Left), ("clips", Align::Right)]);
/// table.row(["angry", "12"]).row(["sad", "8"]);
/// assert_eq!(table.render(), "emotion  clips\n-------  -----\nangry       12\nsad          8\n");
/// ```
#[derive(Clone, Debug)]
pub struct TextTable {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl TextTable {
    /// A table with these columns and no rows.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = (S, Align)>) -> Self {
        Self {
            columns: columns.into_iter().map(|(name, align)| (printable(&name.into()), align)).collect(),
            rows: vec![],
        }
    }

    /// Adds a row; cells that are missing are empty, cells too many are left out. Control characters (which could drive
    /// a terminal) are taken out.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> &mut Self {
        let cells = cells.into_iter().take(self.columns.len()).map(|c| printable(&c.into()));
        self.rows.push(cells.collect());
        self
    }

    /// The table, a newline after each line.
    pub fn render(&self) -> String {
        let width = |i: usize| {
            let cells = self.rows.iter().filter_map(|r| r.get(i)).chain([&self.columns[i].0]);
            cells.map(|c| c.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut out = String::new();
        let header: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let rules: Vec<String> = widths.iter().map(|&w| "-".repeat(w)).collect();
        for row in [&header, &rules].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for (i, &w) in widths.iter().enumerate() {
                let cell = row.get(i).map_or("", String::as_str);
                let pad = " ".repeat(w - cell.chars().count());
                let between = if i == 0 { "" } else { "  " };
                match self.columns[i].1 {
                    Align::Left => write!(line, "{between}{cell}{pad}"),
                    Align::Right => write!(line, "{between}{pad}{cell}"),
                }
                .expect("writing to a string cannot fail");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// A finished run in a few lines: what it was, how well it recognises, what it cost in privacy.
pub fn summary_text(summary: &RunSummary) -> String {
    let mut out = TextTable::new([("", Align::Left), ("", Align::Left)]);
    let metrics = &summary.metrics;
    out.row(["run", &summary.name]);
    out.row(["corpus", &summary.corpus]);
    if summary.synthetic {
        out.row(["", "synthetic speech: says nothing about emotion in human speech"]);
    }
    out.row(["model", format!("{}, {} parameters", summary.model, summary.parameters).trim_start_matches(", ")]);
    out.row(["aggregation", &summary.aggregation]);
    out.row(["noise", &summary.noise_source]);
    out.row(["split", &summary.split]);
    out.row([
        "UAR",
        &format!(
            "{}, chance {}",
            percent_in(metrics.uar, metrics.uar_ci95, metrics.speakers),
            percent(metrics.uar_chance)
        ),
    ]);
    out.row(["accuracy", &percent_in(metrics.accuracy, metrics.accuracy_ci95, metrics.speakers)]);
    if let Some(central) = &summary.centralised {
        out.row(["UAR, centralised", &percent(central.uar)]);
    }
    if let Some(local) = summary.local_only_uar {
        out.row(["UAR, local only", &percent(local)]);
    }
    for guarantee in &summary.privacy {
        let epsilon = epsilon_upper(guarantee.epsilon);
        let name = format!("ε against {}", guarantee.vantage.name());
        out.row([name, format!("{epsilon} at δ = {} ({})", small(guarantee.delta), guarantee.basis)]);
    }
    out.row(["unit", &format!("{} ({} in training)", summary.unit.name(), summary.units)]);
    out.row(["clients", &format!("{}, {} dropouts survived", summary.clients, summary.dropouts)]);
    out.row(["rounds", &summary.rounds.to_string()]);
    out.row(["wall time", &seconds(summary.wall_s)]);
    // The header of a table without names is two lines of nothing.
    out.render().lines().skip(2).fold(String::new(), |text, line| text + line + "\n")
}

/// A line a round.
pub fn rounds_text(rounds: &[RoundRecord]) -> String {
    let names = ["round", "attempt", "contributors", "dropouts", "UAR", "accuracy", "‖mean update‖", "seconds"];
    let mut out = TextTable::new(names.map(|name| (name, Align::Right)));
    for r in rounds {
        let metric = |pick: fn(&Metrics) -> f64| r.metrics.as_ref().map_or(NONE.to_owned(), |m| percent(pick(m)));
        out.row([
            r.round.to_string(),
            r.attempt.to_string(),
            format!("{} of {}", r.contributors, r.cohort),
            r.dropouts.to_string(),
            metric(|m| m.uar),
            metric(|m| m.accuracy),
            significant(r.mean_update_l2),
            format!("{:.1}", r.duration_ms as f64 / 1000.0),
        ]);
    }
    out.render()
}

/// A line an attack, controls under what they control.
pub fn attacks_text(attacks: &[AttackScore]) -> String {
    let words = ["attack", "vantage", "metric"].map(|name| (name, Align::Left));
    let numbers = ["value", "95 % interval", "chance", "trials"].map(|name| (name, Align::Right));
    let mut out = TextTable::new(words.into_iter().chain(numbers));
    for score in crate::run::in_order_with_controls(attacks) {
        let indent = if score.control_of.is_some() { "  control: " } else { "" };
        out.row([
            format!("{indent}{}", score.attack),
            score.vantage.name().to_owned(),
            score.metric.clone(),
            format!("{:.3}", score.value),
            format!("{:.3} to {:.3}", score.ci95.low, score.ci95.high),
            significant(score.chance),
            score.trials.to_string(),
        ]);
    }
    out.render()
}

/// The baselines table where models, folds or settings are compared, and a line a privacy budget: means over runs.
pub fn sweep_text(sweep: &SweepReport) -> String {
    match (sweep.is_comparison(), sweep.is_audited()) {
        (true, false) => sweep.baselines_text(),
        (true, true) => format!("{}\n{}", sweep.baselines_text(), budgets_text(sweep)),
        (false, _) => budgets_text(sweep),
    }
}

fn budgets_text(sweep: &SweepReport) -> String {
    let names = ["ε", sweep.counted(), "noise", "UAR", "sd", "accuracy", "member. AUC", "label corr.", "ε lower"];
    let varied = sweep.lines() != [None];
    let words = varied.then_some(("model", Align::Left)).into_iter().chain([("unit", Align::Left)]);
    let columns = words.chain(names.map(|name| (name, Align::Right)));
    let score = |s: Option<crate::sweep::Spread>| s.map_or(NONE.to_owned(), |s| format!("{:.3}", s.mean));
    let mut out = TextTable::new(columns);
    for group in sweep.groups() {
        let noise = significant(group.noise_multiplier.mean);
        let variant = varied.then(|| group.line.clone().unwrap_or_default());
        out.row(variant.into_iter().chain([
            group.unit.name().to_owned(),
            group.name(),
            group.runs.to_string(),
            noise,
            percent(group.uar.mean),
            bare_percent(group.uar.sd),
            percent(group.accuracy.mean),
            score(group.membership_auc),
            score(group.label_profile_correlation),
            group.epsilon_lower.map_or(NONE.to_owned(), |l| epsilon_lower(l.mean)),
        ]));
    }
    out.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_rounded_to_the_side_on_which_they_stay_bounds() {
        assert_eq!(epsilon_upper(Some(7.991)), "8.00");
        assert_eq!(epsilon_upper(Some(8.0)), "8.00");
        assert_eq!(epsilon_upper(None), "∞");
        assert_eq!(epsilon_lower(2.999), "2.99");
        assert_eq!(epsilon_lower(3.0), "3.00");
    }

    #[test]
    fn numbers_have_the_digits_they_deserve() {
        let shown: Vec<_> = [0.0, 0.123_456, 12.3456, 1234.5, 1e-9, f64::NAN, f64::INFINITY].map(significant).to_vec();
        assert_eq!(shown, ["0", "0.123", "12.3", "1234", "1.0e-9", "–", "∞"]);
        assert_eq!(small(1e-5), "1e-5");
        assert_eq!(percent(f64::NAN), "–");
        assert_eq!([0.0123, -0.0123, -0.0001, f64::NAN].map(points), ["+1.2", "−1.2", "0.0", "–"]);
    }

    #[test]
    fn an_interval_that_cannot_be_estimated_is_said_to_be_none() {
        let ci = Some(Interval { low: 0.5, high: 0.625 });
        assert_eq!(percent_in(0.55, ci, 8), "55.0 % (50.0–62.5)");
        assert_eq!(percent_in(0.55, None, 1), "55.0 %, interval not estimable (1 speaker)");
        assert_eq!([interval(ci, 8), interval(None, 1)], ["50.0–62.5 %", "not estimable (1 speaker)"]);
        assert_eq!(interval(None, 8), "not recorded", "a file from before the figure had one");
    }

    #[test]
    fn a_cell_cannot_drive_the_terminal() {
        let mut table = TextTable::new([("a\u{7}", Align::Left)]);
        table.row(["\u{1b}[31mred\u{1b}[0m\n"]);
        assert_eq!(table.render(), "a\n----------\n[31mred[0m\n");
    }

    #[test]
    fn rows_may_be_short_or_long() {
        let mut table = TextTable::new([("a", Align::Left), ("b", Align::Right)]);
        table.row(["1"]).row(["1", "2", "3"]);
        assert_eq!(table.render(), "a  b\n-  -\n1\n1  2\n");
    }
}
