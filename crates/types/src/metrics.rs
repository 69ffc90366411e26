//! Results of an evaluation.
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Sex;

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

/// The examples whose top probability lies in (`low`, `high`]. Over the bins of a [`Calibration`], they make a
/// reliability diagram.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Lower end of the confidences, not in the bin.
    pub low: f64,
    /// Upper end of the confidences, in the bin.
    pub high: f64,
    /// Examples.
    pub count: u32,
    /// Mean confidence; `None` in an empty bin.
    pub confidence: Option<f64>,
    /// Fraction right; `None` in an empty bin.
    pub accuracy: Option<f64>,
}

/// Whether probabilities can be taken at their word. An example's confidence is the probability of the class predicted.
///
/// The expected calibration error is biased upwards: a model that is calibrated perfectly has one above 0 on few
/// examples, where bins hold few (Kumar, Liang and Ma, "Verified Uncertainty Calibration", NeurIPS 2019). The Brier
/// score and the cross-entropy, which is [`Metrics::loss`], have no bins.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Calibration {
    /// Σ over bins of the bin's share of the examples × |fraction right − mean confidence| (Guo, Pleiss, Sun and
    /// Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, eq. 3).
    pub expected_calibration_error: f64,
    /// Mean over examples of Σ over classes of (p − 1 if it is the truth)², 0 to 2 (Brier, "Verification of forecasts
    /// expressed in terms of probability", Monthly Weather Review 78(1), 1950, eq. 2).
    pub brier: f64,
    /// Mean confidence; above the accuracy, the model is overconfident.
    pub mean_confidence: f64,
    /// Bins of equal width over (0, 1], from the lowest.
    pub bins: Vec<CalibrationBin>,
}

/// Figures on the speakers of one sex.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SexMetrics {
    /// The sex.
    pub sex: Sex,
    /// Examples.
    pub examples: u32,
    /// Speakers.
    pub speakers: u32,
    /// Fraction right.
    pub accuracy: f64,
    /// Its 95 % interval, as [`Metrics::accuracy_ci95`].
    pub accuracy_ci95: Option<Interval>,
    /// Unweighted average recall over the classes that occur in the group.
    pub uar: f64,
    /// Its 95 % interval, as [`Metrics::uar_ci95`].
    pub uar_ci95: Option<Interval>,
    /// Recall by class, in the order of [`Metrics::per_class`]; `None` where the class does not occur in the group.
    pub recall: Vec<Option<f64>>,
}

/// Figures on women minus figures on men: above 0, women are recognised better.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SexGap {
    /// Of accuracy.
    pub accuracy: f64,
    /// Its 95 % interval, by bootstrap over the speakers of either sex apart; `None` where either group has one speaker.
    pub accuracy_ci95: Option<Interval>,
    /// Of UAR.
    pub uar: f64,
    /// Its 95 % interval, likewise.
    pub uar_ci95: Option<Interval>,
}

/// An evaluation on a set of examples, most often of speakers never trained on.
///
/// Intervals are percentile bootstraps over whole speakers. They cover the choice of speakers, not the randomness of
/// training. Over one speaker there is nothing to resample, and they are `None`; over fewer than
/// [`Metrics::ROUGH_BELOW_SPEAKERS`] they are rough, and tend to be too narrow. Where all speakers score the
/// same, an interval has no width: it saw no difference between speakers, which is no proof that there is none.
///
/// JSON from before a figure existed reads back: weighted means follow from the classes, other figures are absent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
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
    /// Mean precision over classes, by support.
    #[serde(default = "not_recorded")]
    pub weighted_precision: f64,
    /// Mean recall over classes, by support: the accuracy.
    #[serde(default = "not_recorded")]
    pub weighted_recall: f64,
    /// Mean F1 over classes, by support.
    #[serde(default = "not_recorded")]
    pub weighted_f1: f64,
    /// Mean cross-entropy in nats: the negative log likelihood.
    pub loss: f64,
    /// 95 % interval of the accuracy.
    pub accuracy_ci95: Option<Interval>,
    /// 95 % interval of the UAR.
    pub uar_ci95: Option<Interval>,
    /// 95 % interval of the macro F1.
    #[serde(default)]
    pub macro_f1_ci95: Option<Interval>,
    /// UAR of guessing: 1 / classes.
    pub uar_chance: f64,
    /// By class.
    pub per_class: Vec<ClassMetrics>,
    /// `confusion[truth][predicted]`.
    pub confusion: Vec<Vec<u32>>,
    /// Calibration of the probabilities.
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// By sex, where the corpus tells it; speakers of whom it does not are in no group.
    #[serde(default)]
    pub by_sex: Vec<SexMetrics>,
    /// Between the two sexes; `None` without speakers of both, or where a class occurs in one of the groups only.
    #[serde(default)]
    pub sex_gap: Option<SexGap>,
    /// Examples.
    pub examples: u32,
    /// Speakers.
    pub speakers: u32,
}

impl Metrics {
    /// Speakers below which a bootstrap over them is rough: of 4 speakers there are 35 different resamples.
    pub const ROUGH_BELOW_SPEAKERS: u32 = 5;

    /// Mean over classes of a figure by support, as scikit-learn's `average="weighted"`; 0 without examples.
    pub fn weighted(per_class: &[ClassMetrics], figure: impl Fn(&ClassMetrics) -> f64) -> f64 {
        let support: f64 = per_class.iter().map(|c| f64::from(c.support)).sum();
        let sum: f64 = per_class.iter().map(|c| f64::from(c.support) * figure(c)).sum();
        if support > 0.0 { sum / support } else { 0.0 }
    }

    /// What older files lack and what they said wrongly.
    fn brought_up_to_date(mut self) -> Self {
        for (written, figure) in [
            (&mut self.weighted_precision, (|c| c.precision) as fn(&ClassMetrics) -> f64),
            (&mut self.weighted_recall, |c| c.recall),
            (&mut self.weighted_f1, |c| c.f1),
        ] {
            if written.is_nan() {
                *written = Self::weighted(&self.per_class, figure);
            }
        }
        if self.speakers <= 1 {
            // They were written with no width.
            (self.accuracy_ci95, self.uar_ci95) = (None, None);
        }
        self
    }
}

/// JSON has no NaN, so that none can have been written.
fn not_recorded() -> f64 {
    f64::NAN
}

// With `remote = "Self"`, the derived functions are Metrics' own, and the traits can add to them.
impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer).map(Self::brought_up_to_date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `metrics.json` held it before weighted means, calibration and groups by sex.
    fn old(speakers: u32) -> String {
        format!(
            r#"{{"accuracy":0.7,"uar":0.65,"macro_precision":0.5,"macro_recall":0.65,"macro_f1":0.5,"loss":1.1,
            "accuracy_ci95":{{"low":0.7,"high":0.75}},"uar_ci95":{{"low":0.6,"high":0.65}},"uar_chance":0.5,
            "per_class":[{{"label":"angry","precision":0.5,"recall":0.75,"f1":0.6,"support":30}},
            {{"label":"sad","precision":0.25,"recall":0.55,"f1":0.2,"support":10}}],
            "confusion":[[23,7],[5,5]],"examples":40,"speakers":{speakers}}}"#
        )
    }

    #[test]
    fn an_older_file_reads_back_with_weighted_means_and_without_what_it_never_held() {
        let read: Metrics = serde_json::from_str(&old(8)).unwrap();
        let weighted = [read.weighted_precision, read.weighted_recall, read.weighted_f1];
        for (ours, by_hand) in weighted.into_iter().zip([0.4375, 0.7, 0.5]) {
            assert!((ours - by_hand).abs() < 1e-12, "{ours} is not {by_hand}");
        }
        assert_eq!(read.accuracy_ci95, Some(Interval { low: 0.7, high: 0.75 }));
        assert_eq!((read.macro_f1_ci95, &read.calibration, read.by_sex.len()), (None, &None, 0));
        let again: Metrics = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(again, read);
    }

    #[test]
    fn an_interval_that_an_older_file_gave_over_one_speaker_is_taken_back() {
        let read: Metrics = serde_json::from_str(&old(1)).unwrap();
        assert_eq!((read.accuracy_ci95, read.uar_ci95), (None, None));
        assert!(serde_json::to_string(&read).unwrap().contains(r#""uar_ci95":null"#));
    }

    #[test]
    fn a_weighted_mean_of_nothing_is_zero() {
        assert!(Metrics::weighted(&[], |c| c.f1).abs() < f64::EPSILON);
    }
}
