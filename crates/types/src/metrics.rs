//! Results of an evaluation.
use serde::{Deserialize, Serialize};

/// A closed interval.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// One class's figures.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Class name.
    pub label: String,
    /// Of those predicted as it, the fraction that is it; 0 when none was predicted (scikit-learn's `zero_division=0`).
    pub precision: f64,
    /// Of those that are it, the fraction predicted as it.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Examples that are it.
    pub support: u32,
}

/// An evaluation on speakers never trained on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Metrics {
    /// Fraction right.
    pub accuracy: f64,
    /// Unweighted average recall over the classes that occur.
    pub uar: f64,
    /// Mean precision over classes.
    pub macro_precision: f64,
    /// Mean recall over classes.
    pub macro_recall: f64,
    /// Mean F1 over classes.
    pub macro_f1: f64,
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// 95 % interval of the accuracy, by bootstrap over speakers.
    pub accuracy_ci95: Interval,
    /// 95 % interval of the UAR, by bootstrap over speakers.
    pub uar_ci95: Interval,
    /// UAR of guessing: 1 / classes.
    pub uar_chance: f64,
    /// By class.
    pub per_class: Vec<ClassMetrics>,
    /// `confusion[truth][predicted]`.
    pub confusion: Vec<Vec<u32>>,
    /// Examples.
    pub examples: u32,
    /// Speakers.
    pub speakers: u32,
}
