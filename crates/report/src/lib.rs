//! From what a run left behind to what a person can read: tables for a terminal, SVG figures, and one HTML file that
//! loads nothing and runs no script.
//!
//! This crate reads run directories and sweep results; it computes no privacy bound and runs no attack. A report says
//! what it does not show: a missing part, an attack whose control did not win, speech that is synthetic.
//!
//! Read [`RunReport`] and [`Figure`] first; [`audit`] lays out an audit; [`SweepReport`] draws utility and leakage against ε; [`speech`] draws
//! recordings, emotions and who holds them.
//!
//! ```
//! let svg = sottovoce_report::bar_svg("Utterances by emotion", "utterances", &[("angry".into(), 120.0), ("sad".into(), 96.0)]);
//! assert!(svg.starts_with("<svg") && svg.contains("angry"));
//! ```
//!
//! # Errors
//! [`ReportError`] names the file and the line that cannot be read. A part that is missing is no error: the report says
//! so.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "samples, batches and plots, not privacy"
)]

pub mod audit;
mod baselines;
mod evaluation;
mod figures;
mod files;
mod html;
mod intervals;
mod plot;
mod progress;
mod run;
pub mod speech;
mod svg;
mod sweep;
mod tables;
mod text;

pub use baselines::{BaselineLine, Setting};
pub use evaluation::{evaluation_text, per_class_text};
pub use figures::{
    attack_figures, bar_svg, by_sex_figure, canary_figure, confusion_figure, confusion_svg, epsilon_figure,
    learning_curve_figure, learning_curve_svg, reliability_figure, reliability_svg,
};
pub use files::{Jsonl, ReportError, append_jsonl, append_jsonl_rows, read_jsonl, write_text};
pub use html::{audit_html, html, sweep_html, sweeps_html};
pub use intervals::{Estimate, Over};
pub use plot::{Datum, Plot, write_plots};
pub use progress::{Spending, progress_figures, spending_figure};
pub use run::{RunReport, beats_guessing};
pub use svg::{Figure, page_style};
pub use sweep::{CellDifference, Comparison, Pairing, SweepGroup, SweepReport};
pub use tables::{read_leakage_csv, read_results_csv, write_leakage_csv, write_results_csv};
pub use text::{Align, TextTable, attacks_text, rounds_text, summary_text, sweep_text};
