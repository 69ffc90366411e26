//! Every statistic of the suite, in one place that sees scores and truths only.
//!
//! Rules (after what went wrong elsewhere): intervals resample *speakers*, never clips; a true-positive rate is refused
//! where too few non-members stand behind it; thresholds are given, never picked on the data that is scored.
mod bands;
mod binomial;
mod clustered;
mod clusters;
mod correlation;
mod decision;
mod roc;

pub use bands::{RocPoint, roc};
pub use binomial::{binomial_cdf, clopper_pearson, clopper_pearson_upper, normal_cdf, normal_quantile};
pub use clustered::{Judged, judge_across_clusters, roc_over_clusters, tpr_over_clusters};
pub use clusters::{UAR_CHANCE, Uar, mean_with_interval, uar_with_interval};
pub use correlation::{Correlation, clustered_correlation, pearson};
pub use decision::{Decision, PRIORS, Ppv, decide};
pub use roc::{Auc, RocError, TprAtFpr, Trial, auc, auc_with_interval, tpr_at_fpr};
