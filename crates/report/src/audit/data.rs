//! What `audit/report.json` holds.
use serde::{Deserialize, Serialize};
use sottovoce_types::{Digest, Interval, Unit, Vantage, Verdict};

/// `audit/report.json`: an audit of one run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AuditReport {
    /// [`sottovoce_types::SCHEMA_VERSION`].
    pub schema: u32,
    /// What was audited.
    pub header: AuditHeader,
    /// Theory against measurement.
    pub verdict: AuditVerdict,
    /// Attacks that share their controls.
    pub families: Vec<AuditFamily>,
    /// Areas by emotion, sex and speaker.
    pub slices: Vec<SliceRow>,
    /// What the attacks are surest of, by id.
    pub exposed: Vec<ExposedUnit>,
    /// What was recovered beside the truth. Features are left to `figures/*.csv`.
    pub reconstructions: Vec<TrueAndRecovered>,
    /// What was not tried.
    pub not_tested: Vec<String>,
}

/// What was audited.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AuditHeader {
    /// Name of the run.
    pub run: String,
    /// Whether the speech is synthetic.
    pub synthetic: bool,
    /// Unit of the guarantee.
    pub unit: Unit,
    /// Units N.
    pub units: u64,
    /// Views that attacks had.
    pub views: Vec<Vantage>,
    /// Clip, noise, sums, rounds, in words.
    pub mechanism: String,
    /// Accountant, in words.
    pub accountant: String,
    /// ε against the coordinator; `None` without a guarantee.
    pub epsilon: Option<f64>,
    /// δ; `None` without a guarantee.
    pub delta: Option<f64>,
    /// Clips that were trained on.
    pub members: usize,
    /// Clips of the same speakers that were not.
    pub non_members: usize,
    /// Speakers of those.
    pub speakers: usize,
    /// Shadow models; 0 where no attack needs any.
    pub shadows: usize,
    /// Clients.
    pub clients: usize,
    /// Rounds.
    pub rounds: u64,
    /// Seeds, in words.
    pub seeds: String,
    /// Digest of the resolved config.
    pub config_sha256: Digest,
    /// Digest of the released model.
    pub model_sha256: Digest,
    /// Seconds that the audit took.
    pub wall_s: f64,
}

impl AuditHeader {
    /// Whether δ < 1/N; `None` without a guarantee.
    pub fn delta_is_small(&self) -> Option<bool> {
        self.delta.map(|delta| delta * (self.units as f64) < 1.0)
    }
}

/// Theory against measurement.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AuditVerdict {
    /// What the gate says; `None` where nothing was held against it.
    pub verdict: Option<Verdict>,
    /// ε that the accountant claims of what the canaries went through.
    pub epsilon_claimed: Option<f64>,
    /// Empirical lower bound.
    pub epsilon_lower: Option<f64>,
    /// δ of both.
    pub delta: Option<f64>,
    /// The bound that was used.
    pub bound: String,
    /// Its α.
    pub alpha: f64,
    /// Canaries.
    pub canaries: u32,
    /// Smallest factor by which noise could fall short and be caught with probability 0.95; `None` where there is none.
    pub power: Option<f64>,
    /// Tests of the gate.
    pub findings: Vec<AuditFinding>,
    /// Canaries in a whole training, where that was asked for.
    pub whole_training: Option<WholeTraining>,
}

/// One test of the gate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AuditFinding {
    /// Its verdict.
    pub verdict: Verdict,
    /// What was tested.
    pub component: String,
    /// In full, with both error rates.
    pub text: String,
    /// To where a violation was narrowed.
    pub narrowed: Vec<String>,
    /// A command that does it again.
    pub reproducer: String,
}

/// Canaries in a whole training.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WholeTraining {
    /// Its verdict.
    pub verdict: Verdict,
    /// Canaries.
    pub canaries: usize,
    /// ε that is claimed.
    pub epsilon_claimed: f64,
    /// Each bound with its lower bound on ε, all together at `alpha`.
    pub bounds: Vec<(String, f64)>,
    /// α.
    pub alpha: f64,
    /// Seconds that it took.
    pub wall_s: f64,
}

/// Attacks that share their controls.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AuditFamily {
    /// Its name.
    pub name: String,
    /// What is asked.
    pub question: String,
    /// The attacks.
    pub attacks: Vec<AuditRow>,
    /// What must win, and what must not.
    pub controls: Vec<AuditRow>,
    /// ROC curves and scores of those attacks that score units.
    pub curves: Vec<AuditCurve>,
}

/// One attack, or one control, by one measure.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AuditRow {
    /// Name of the attack.
    pub attack: String,
    /// From where it looks.
    pub vantage: Vantage,
    /// What is measured.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// 95 % interval.
    pub ci95: Interval,
    /// Blind guessing.
    pub chance: f64,
    /// Trials.
    pub trials: u32,
    /// How it reads beside its controls.
    pub reading: String,
    /// What it means.
    pub note: String,
    /// Source.
    pub citation: String,
    /// True-positive rates at small false-positive rates; empty where the attack scores no units.
    pub rates: Vec<RateRow>,
    /// Decisions at a threshold chosen on other speakers; `None` where there are none.
    pub judged: Option<JudgedRow>,
    /// Why there are none.
    pub not_judged: Option<String>,
}

/// A true-positive rate, or why it is refused.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RateRow {
    /// False-positive rate.
    pub fpr: f64,
    /// True-positive rate; `None` where it is refused.
    pub tpr: Option<f64>,
    /// Its 95 % interval.
    pub ci95: Option<Interval>,
    /// True positives.
    pub true_positives: Option<u64>,
    /// False positives.
    pub false_positives: Option<u64>,
    /// Non-members there are.
    pub non_members: u64,
    /// Non-members that the rate needs.
    pub needed: u64,
}

/// Decisions at a threshold that was chosen on other speakers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JudgedRow {
    /// (TPR + 1 − FPR)/2.
    pub balanced_accuracy: f64,
    /// 95 % interval.
    pub ci95: Interval,
    /// Of those accused, how many are members.
    pub ppv: Vec<ValueAtPrior>,
}

/// A predictive value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ValueAtPrior {
    /// Share of members before the attack.
    pub prior: f64,
    /// Share of members among those accused.
    pub value: f64,
    /// 95 % interval.
    pub ci95: Interval,
}

/// A ROC curve with what it was made of.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AuditCurve {
    /// Name of the attack.
    pub attack: String,
    /// Members.
    pub members: u64,
    /// Non-members.
    pub non_members: u64,
    /// By rising false-positive rate.
    pub points: Vec<CurvePoint>,
    /// The largest true-positive rate that the accountant allows at each false-positive rate; `None` where it says nothing of this attack's unit.
    pub ceiling: Option<Vec<[f64; 2]>>,
    /// Why there is a ceiling, or why there is none.
    pub ceiling_note: String,
    /// The scores.
    pub histogram: Histogram,
}

/// One point of a ROC curve.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct CurvePoint {
    /// False-positive rate.
    pub fpr: f64,
    /// True-positive rate.
    pub tpr: f64,
    /// 95 % interval at this rate, over clusters.
    pub band: Interval,
    /// 95 % band of the whole curve, for independent trials.
    pub simultaneous: Interval,
    /// False positives.
    pub false_positives: u64,
    /// True positives.
    pub true_positives: u64,
}

/// Scores of both sides in bins of one width; what lies beyond the ends is in the last bins.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// Ends of the bins, `[bins + 1]`.
    pub edges: Vec<f64>,
    /// Members in each.
    pub members: Vec<u64>,
    /// Non-members in each.
    pub non_members: Vec<u64>,
}

const BINS: usize = 30;

impl Histogram {
    /// Of finite scores, from their 0.5 % to their 99.5 % quantile.
    pub fn of(members: &[f64], non_members: &[f64]) -> Self {
        let mut all: Vec<f64> = members.iter().chain(non_members).copied().filter(|v| v.is_finite()).collect();
        all.sort_by(f64::total_cmp);
        let Some(last) = all.len().checked_sub(1) else { return Self::default() };
        let at = |q: f64| all[(q * last as f64).round() as usize];
        let (low, high) = (at(0.005), at(0.995));
        let (low, high) = if high > low { (low, high) } else { (low - 0.5, low + 0.5) };
        let width = (high - low) / BINS as f64;
        let count = |side: &[f64]| {
            let mut bins = vec![0u64; BINS];
            for v in side.iter().filter(|v| v.is_finite()) {
                bins[(((v - low) / width).max(0.0) as usize).min(BINS - 1)] += 1;
            }
            bins
        };
        let edges = (0..=BINS).map(|i| low + width * i as f64).collect();
        Self { edges, members: count(members), non_members: count(non_members) }
    }
}

/// One slice of an attack.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SliceRow {
    /// Name of the attack.
    pub attack: String,
    /// What is sliced by.
    pub key: String,
    /// Which slice.
    pub value: String,
    /// Members in it.
    pub members: usize,
    /// Non-members in it.
    pub non_members: usize,
    /// Area; `None` where it is refused.
    pub auc: Option<f64>,
    /// Its 95 % interval.
    pub ci95: Option<Interval>,
    /// Why it is refused.
    pub refused: Option<String>,
}

/// A clip, or a speaker, that an attack is sure of. By its id: nothing else of it is shown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ExposedUnit {
    /// Name of the attack.
    pub attack: String,
    /// Its id.
    pub unit: String,
    /// Share of non-members that score as high.
    pub false_positive_rate: f64,
    /// Models that trained on it.
    pub models: usize,
}

/// One clip, true and recovered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TrueAndRecovered {
    /// Which attack recovered it.
    pub attack: String,
    /// The clip's id.
    pub clip: String,
    /// Frames.
    pub frames: usize,
    /// Features of a frame.
    pub width: usize,
    /// `[frames, width]`.
    #[serde(skip)]
    pub truth: Vec<f64>,
    /// `[frames, width]`.
    #[serde(skip)]
    pub recovered: Vec<f64>,
    /// Signal-to-noise ratio of the recovered features in dB.
    pub snr_db: f64,
    /// Mean squared error in standard deviations.
    pub mse: f64,
    /// The blind guess's.
    pub blind_mse: f64,
    /// Place of the true clip among all, by distance from what was recovered.
    pub rank: usize,
    /// The blind guess's.
    pub blind_rank: usize,
    /// Clips among which it was looked for.
    pub candidates: usize,
}

/// A line of `audit/scores.csv`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ScoreRow {
    /// Name of the attack.
    pub attack: String,
    /// The unit.
    pub unit: String,
    /// Its score.
    pub score: f64,
    /// 1 for members.
    pub member: u8,
    /// What it is not independent within.
    pub cluster: String,
    /// Which target.
    pub run: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_every_finite_score_and_needs_no_spread() {
        let members: Vec<f64> = (0..1000).map(f64::from).collect();
        let h = Histogram::of(&members, &[f64::NAN, 1e9, -1e9]);
        assert_eq!((h.members.iter().sum::<u64>(), h.non_members.iter().sum::<u64>()), (1000, 2));
        assert_eq!((h.non_members[0], h.non_members[BINS - 1], h.edges.len()), (1, 1, BINS + 1));
        let flat = Histogram::of(&[2.0; 5], &[2.0; 5]);
        assert_eq!(flat.members.iter().sum::<u64>(), 5);
        assert!(flat.edges.windows(2).all(|e| e[1] > e[0]));
        assert_eq!(Histogram::of(&[], &[]), Histogram::default());
    }
}
