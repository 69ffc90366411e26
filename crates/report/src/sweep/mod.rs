//! Results of a sweep: groups over seeds, and figures of utility, leakage, claims and cost.
mod axis;
mod claims;
mod compare;
mod cost;
mod groups;
mod leakage;
mod leakage_table;
mod lines;
mod pareto;
mod read;
mod utility;

use sottovoce_types::{LeakageRow, SweepRow};

pub use compare::{CellDifference, Comparison, Pairing};
pub(crate) use groups::Spread;
pub use groups::SweepGroup;
pub(crate) use leakage_table::LEAKAGE_NOTE;

use crate::Plot;

/// A sweep and what a reader must know about it.
#[derive(Clone, PartialEq, Debug)]
pub struct SweepReport {
    /// Name of the sweep.
    pub name: String,
    /// Corpus, in words.
    pub corpus: String,
    /// Whether the speech is synthetic.
    pub synthetic: bool,
    /// How sums were formed: `secure` or `plain`.
    pub aggregation: String,
    /// Where noise came from: `os` or `seeded`.
    pub noise_source: String,
    /// UAR of guessing, where it is known.
    pub uar_chance: Option<f64>,
    /// One row a finished cell, in the order in which tables are to show them.
    pub rows: Vec<SweepRow>,
    /// Every score of every attack on those cells.
    pub leakage: Vec<LeakageRow>,
    /// Cells that failed, each with its reason.
    pub failed: Vec<String>,
    /// What choosing among the cells by their results costs, a line a privacy unit.
    pub selection: Vec<String>,
}

impl SweepReport {
    /// What one group holds several of: seeds, or, where folds are swept, runs.
    pub(crate) fn counted(&self) -> &'static str {
        if self.rows.iter().any(|r| r.fold != self.rows[0].fold) { "runs" } else { "seeds" }
    }

    /// Whether an attack was made on any cell.
    pub(crate) fn is_audited(&self) -> bool {
        let scores = |r: &SweepRow| [r.membership_auc, r.label_profile_correlation, r.epsilon_empirical_lower];
        !self.leakage.is_empty() || self.rows.iter().flat_map(scores).any(|score| score.is_some())
    }

    /// Every figure, in the order of the page: utility, leakage, the front between them, empirical against claimed ε, cost.
    pub fn plots(&self) -> Vec<Plot> {
        let mut plots = self.utility_plots();
        plots.extend(self.leakage_plots());
        plots.extend(self.pareto_plots());
        plots.extend(self.claims_plot());
        plots.extend(self.cost_plot());
        plots
    }
}
