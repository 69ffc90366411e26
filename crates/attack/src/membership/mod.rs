//! Membership inference on a released model, with its two controls.
//!
//! [`loss_threshold`] is the attack (M1). [`blind_baseline`] tries the same without the model and must fail: if it wins,
//! members and non-members differ by themselves and the attack's score says nothing (Das et al. 2024, "Blind baselines
//! beat membership inference attacks"). [`overfit_control`] runs the attack on a model trained to remember and must win.
//!
//! Members and non-members must be random halves of the clips of the *same* speakers ([`halves_within_speakers`]).
//! Training speakers against test speakers is no membership test.
//!
//! | attack | needs | file |
//! |---|---|---|
//! | M1 loss threshold | the model | here |
//! | M2 [`population`] | public clips | `population.rs` |
//! | M3 [`reference()`] | shadows | `reference.rs` |
//! | M4, M5 [`lira_online`], [`lira_offline`] | shadows | `lira.rs` |
//! | M6 [`rmia`] | few shadows, public clips | `rmia.rs` |
//! | M7 [`bavaria`] | few shadows | `bavaria.rs` |
//! | M8 [`quantile()`] | public clips | `quantile.rs` |
//! | M9 [`trajectory`] | the models of all rounds | `trajectory.rs` |
//! | U1 [`by_speaker`] | shadows that leave out whole speakers | `speaker.rs` |
//!
//! Each makes one score a clip ([`ShadowAttack`] names those with shadows); [`scored`] joins them with the truths, and [`records`], [`by_slice`] and
//! [`most_exposed`] report them. A [`View`] is all that an attack with shadows sees.
mod bavaria;
mod blind;
mod evidence;
mod lira;
mod overfit;
mod pooled;
mod population;
mod quantile;
mod record;
mod reference;
mod rmia;
mod shadow_attacks;
mod speaker;
mod trajectory;

pub use bavaria::bavaria;
pub use blind::{BLIND_BASELINE, blind_baseline, may_be_blind};
pub use evidence::{Evidence, Rehearsal, View};
pub use lira::{Offline, Variance, lira_offline, lira_online};
pub use overfit::{OVERFIT_CONTROL, OverfitError, OverfitSpec, overfit_control};
pub use population::population;
pub use quantile::{gaussian_head, quantile};
pub use record::{Exposed, LEAST_OF_A_SLICE, SLICES, SliceScore, by_slice, most_exposed, records, scored};
pub use reference::reference;
pub use rmia::{GAMMA, ratios, rmia, tuned};
pub use shadow_attacks::ShadowAttack;
use sottovoce_types::{AttackScore, Examples, SCHEMA_VERSION, Vantage};
pub use speaker::{Pool, by_speaker};
pub use trajectory::{Signal, trajectory};

use crate::random::Stream;
use crate::scores::Described;
use crate::stats::{RocError, Trial, auc_with_interval, tpr_over_clusters};

/// The attack's name in records.
pub const LOSS_THRESHOLD: &str = "membership-loss-threshold";

const CITATION: &str = "M1: score = -loss(theta_T; x). Yeom, Giacomelli, Fredrikson, Jha, \"Privacy Risk in Machine \
                        Learning: Analyzing the Connection to Overfitting\", CSF 2018, Adversary 1 (arXiv:1709.01604)";

/// M1, as [`scored`] names it.
pub const OF_LOSS_THRESHOLD: Described =
    Described { attack: LOSS_THRESHOLD, vantage: Vantage::Released, citation: CITATION };

/// M2.
pub const OF_POPULATION: Described =
    Described { attack: "membership-population", vantage: Vantage::Released, citation: population::CITATION };

/// M8.
pub const OF_QUANTILE: Described =
    Described { attack: "membership-quantile", vantage: Vantage::Released, citation: quantile::CITATION };

/// M9: whoever sees the model of each round, as coordinator and clients do.
pub const OF_TRAJECTORY: Described =
    Described { attack: "membership-trajectory", vantage: Vantage::Coordinator, citation: trajectory::CITATION };

/// U1.
pub const OF_SPEAKER: Described =
    Described { attack: "membership-speaker", vantage: Vantage::Released, citation: speaker::CITATION };

/// U1 against each shadow in turn.
pub const OF_SPEAKER_OVER_SHADOWS: Described = Described { attack: "membership-speaker-over-shadows", ..OF_SPEAKER };

/// The false-positive rates that are reported wherever enough non-members stand behind them.
const RATES: [f64; 2] = [0.01, 0.001];

/// Per-example losses of one group and whose each example is: `[n]` both.
#[derive(Clone, Copy, Debug)]
pub struct Losses<'a> {
    /// Cross-entropy in nats of the released model, `[n]`.
    pub losses: &'a [f64],
    /// Speaker of each example, `[n]`.
    pub speakers: &'a [String],
}

/// What the attack found.
#[derive(Clone, PartialEq, Debug)]
pub struct MembershipScores {
    /// Area under the ROC curve; chance 0.5.
    pub auc: AttackScore,
    /// True-positive rates at 1 % and 0.1 % false positives, where at least ten false positives stand behind them.
    pub tpr: Vec<AttackScore>,
}

impl MembershipScores {
    /// All scores, the area first.
    pub fn into_scores(self) -> Vec<AttackScore> {
        std::iter::once(self.auc).chain(self.tpr).collect()
    }
}

/// Why membership could not be scored.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// Losses and speakers are not lists of one length.
    #[error("{losses} losses, but {speakers} speakers: one speaker for each loss")]
    Ragged {
        /// Losses given.
        losses: usize,
        /// Speakers given.
        speakers: usize,
    },
    /// Features of members and non-members have different widths.
    #[error("members have {members} features each, non-members {non_members}: take both from one feature cache")]
    Width {
        /// Features of a member.
        members: usize,
        /// Features of a non-member.
        non_members: usize,
    },
    /// Too few public clips for a regression.
    #[error("{found} public clips: a regression needs at least 20; keep more test speakers (partition.test_speakers)")]
    FewPublic {
        /// Clips found.
        found: usize,
    },
    /// The trials carry no ROC curve.
    #[error(transparent)]
    Roc(#[from] RocError),
}

/// M1: a clip whose loss under the released model is small was trained on.
///
/// # Errors
/// [`MembershipError`] when a side is empty, lists differ in length, or a loss is no number.
pub fn loss_threshold(
    members: Losses<'_>,
    non_members: Losses<'_>,
    seed: u64,
) -> Result<MembershipScores, MembershipError> {
    let mut trials = trials_of(members, true)?;
    trials.extend(trials_of(non_members, false)?);
    let auc = auc_with_interval(&trials, seed)?;
    let base = AttackScore {
        schema: SCHEMA_VERSION,
        attack: LOSS_THRESHOLD.into(),
        control_of: None,
        vantage: Vantage::Released,
        metric: "auc".into(),
        value: auc.value,
        ci95: auc.ci95,
        chance: 0.5,
        trials: u32::try_from(trials.len()).unwrap_or(u32::MAX),
        citation: CITATION.into(),
        note: format!(
            "{} training clips against {} held-out clips of {} speakers; stronger attacks with shadow models exist, so \
             an area near 0.5 is no proof of privacy.",
            members.losses.len(),
            non_members.losses.len(),
            auc.clusters
        ),
    };
    let mut tpr = Vec::new();
    for fpr in RATES {
        match tpr_over_clusters(&trials, fpr, seed) {
            Ok(rate) => tpr.push(AttackScore {
                metric: format!("tpr@fpr={fpr}"),
                value: rate.tpr,
                ci95: rate.ci95,
                chance: fpr,
                note: format!(
                    "{} false positives stand behind this rate; the interval also resamples clusters.",
                    rate.false_positives
                ),
                ..base.clone()
            }),
            Err(RocError::TooFewNegatives { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(MembershipScores { auc: base, tpr })
}

fn trials_of(group: Losses<'_>, positive: bool) -> Result<Vec<Trial>, MembershipError> {
    if group.losses.len() != group.speakers.len() {
        return Err(MembershipError::Ragged { losses: group.losses.len(), speakers: group.speakers.len() });
    }
    let trial = |(loss, speaker): (&f64, &String)| Trial { score: -loss, positive, cluster: speaker.clone() };
    Ok(group.losses.iter().zip(group.speakers).map(trial).collect())
}

/// Splits every speaker's clips into random halves: `(members, non_members)`. The odd clip goes to the members of the
/// first speaker that has one, to the non-members of the next, and so on.
///
/// The split must be made *before* training: train on the first, never on the second.
pub fn halves_within_speakers(examples: &Examples, seed: u64) -> (Examples, Examples) {
    let mut stream = Stream::new("halves-within-speakers", seed);
    let (mut members, mut non_members) = (Vec::new(), Vec::new());
    let mut odd_to_members = true;
    for speaker in examples.speakers() {
        let mut own: Vec<usize> = (0..examples.len()).filter(|&i| examples.meta[i].speaker == speaker).collect();
        stream.shuffle(&mut own);
        let mut half = own.len() / 2;
        if own.len() % 2 == 1 {
            half += usize::from(odd_to_members);
            odd_to_members = !odd_to_members;
        }
        members.extend_from_slice(&own[..half]);
        non_members.extend_from_slice(&own[half..]);
    }
    members.sort_unstable();
    non_members.sort_unstable();
    (examples.select(&members), examples.select(&non_members))
}

#[cfg(test)]
mod power;

#[cfg(test)]
pub(crate) mod tests {
    use sottovoce_types::ExampleMeta;

    use super::*;

    /// `clips` clips a speaker of `speakers` speakers: Gaussian features around a class mean and a speaker's own offset.
    pub(crate) fn toy(speakers: usize, clips: usize, seed: u64) -> Examples {
        let mut s = Stream::new("toy", seed);
        let means: Vec<Vec<f64>> = (0..4).map(|_| (0..8).map(|_| s.normal()).collect()).collect();
        let mut out = Examples::empty(8);
        for speaker in 0..speakers {
            let offset: Vec<f64> = (0..8).map(|_| 0.3 * s.normal()).collect();
            for clip in 0..clips {
                let label = s.below(4);
                let x: Vec<f32> = (0..8).map(|j| (0.5 * means[label][j] + offset[j] + s.normal()) as f32).collect();
                let meta = ExampleMeta {
                    path: format!("{speaker}/{clip}"),
                    speaker: format!("s{speaker}"),
                    sex: None,
                    group: None,
                };
                out.push(&x, label as u16, meta);
            }
        }
        out
    }

    fn speakers(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("s{}", i % 10)).collect()
    }

    #[test]
    fn equal_losses_are_chance_and_smaller_losses_of_members_are_not() {
        let mut s = Stream::new("losses", 3);
        let draw = |shift: f64, s: &mut Stream| -> Vec<f64> { (0..200).map(|_| shift + s.normal()).collect() };
        let (a, b, low) = (draw(0.0, &mut s), draw(0.0, &mut s), draw(-1.0, &mut s));
        let who = speakers(200);
        let group = |losses| Losses { losses, speakers: &who };
        let null = loss_threshold(group(&a), group(&b), 1).unwrap().auc;
        assert!(null.ci95.low <= 0.5 && 0.5 <= null.ci95.high, "{null:?}");
        let win = loss_threshold(group(&low), group(&b), 1).unwrap().auc;
        assert!(win.ci95.low > 0.6, "{win:?}");
        assert!(win.citation.starts_with("M1:") && win.control_of.is_none());
    }

    #[test]
    fn a_rate_is_reported_only_where_ten_false_positives_stand_behind_it() {
        let who = speakers(1000);
        let losses: Vec<f64> = (0..1000).map(f64::from).collect();
        let many = Losses { losses: &losses, speakers: &who };
        let metrics: Vec<String> =
            loss_threshold(many, many, 1).unwrap().into_scores().into_iter().map(|s| s.metric).collect();
        assert_eq!(metrics, ["auc", "tpr@fpr=0.01"]);
    }

    #[test]
    fn lists_of_different_length_are_refused() {
        let who = speakers(2);
        let bad = Losses { losses: &[1.0], speakers: &who };
        assert_eq!(loss_threshold(bad, bad, 1), Err(MembershipError::Ragged { losses: 1, speakers: 2 }));
    }

    #[test]
    fn halves_share_every_speaker_and_no_clip() {
        let all = toy(5, 7, 1);
        let (a, b) = halves_within_speakers(&all, 9);
        assert_eq!(a.len() + b.len(), all.len());
        assert_eq!((a.speakers(), b.speakers()), (all.speakers(), all.speakers()));
        assert!(a.meta.iter().all(|m| !b.meta.contains(m)));
        assert!(a.len().abs_diff(b.len()) <= 1);
    }
}
