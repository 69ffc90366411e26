//! The report of an audit: what was attacked, what was found, how sure that is, and what was not tried.
//!
//! The statistics are made elsewhere (`sottovoce_attack::stats`); here they are laid out, as `report.json`, as one page, and as figures
//! with their data beside them.
mod data;
mod figures;
mod write;

pub use data::{
    AuditCurve, AuditFamily, AuditFinding, AuditHeader, AuditReport, AuditRow, AuditVerdict, CurvePoint, ExposedUnit,
    Histogram, JudgedRow, RateRow, ScoreRow, SliceRow, TrueAndRecovered, ValueAtPrior, WholeTraining,
};
pub(crate) use figures::{recovered_figure, roc_figure, scores_figure};
pub use write::write_audit;
