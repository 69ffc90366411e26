//! The blind baseline: can members be told from non-members without the model?
use sottovoce_types::{AttackScore, Examples, SCHEMA_VERSION, Vantage};

use crate::membership::pooled::one_vector_each;
use crate::membership::{LOSS_THRESHOLD, MembershipError};
use crate::random::Stream;
use crate::stats::{Trial, auc_with_interval};

/// The baseline's name in records.
pub const BLIND_BASELINE: &str = "blind-baseline";

const CITATION: &str = "Blind baseline: logistic regression on (x, y) without the model. Das, Zhang, Tramer, \"Blind \
                        Baselines Beat Membership Inference Attacks for Foundation Models\", 2024 (arXiv:2406.16201)";

const FOLDS: usize = 5;
const STEPS: usize = 150;
const LEARNING_RATE: f64 = 0.5;
const RIDGE: f64 = 1e-2;

/// A logistic regression that tells members from non-members by features and label alone, scored out of fold (five
/// folds, each with the same share of members).
///
/// Its area must have 0.5 inside the interval ([`may_be_blind`]); otherwise the two groups differ by themselves.
///
/// # Errors
/// [`MembershipError`] when a side is empty or the widths differ.
pub fn blind_baseline(
    members: &Examples,
    non_members: &Examples,
    classes: usize,
    seed: u64,
) -> Result<AttackScore, MembershipError> {
    if members.width != non_members.width {
        return Err(MembershipError::Width { members: members.width, non_members: non_members.width });
    }
    let (members, non_members) = (&one_vector_each(members), &one_vector_each(non_members));
    let mut rows = Vec::with_capacity(members.len() + non_members.len());
    let mut truth = Vec::with_capacity(rows.capacity());
    let mut speakers = Vec::with_capacity(rows.capacity());
    for (set, member) in [(members, true), (non_members, false)] {
        for i in 0..set.len() {
            let mut row: Vec<f64> = set.row(i).iter().map(|&v| f64::from(v)).collect();
            row.extend((0..classes).map(|c| f64::from(u8::from(usize::from(set.labels[i]) == c))));
            rows.push(row);
            truth.push(member);
            speakers.push(set.meta[i].speaker.clone());
        }
    }
    standardise(&mut rows);

    let folds = stratified_folds(&truth, seed);
    let mut trials = Vec::with_capacity(rows.len());
    for fold in 0..FOLDS {
        let train: Vec<usize> = (0..rows.len()).filter(|&i| folds[i] != fold).collect();
        let weights = fit(&rows, &truth, &train);
        for i in (0..rows.len()).filter(|&i| folds[i] == fold) {
            trials.push(Trial { score: logit(&weights, &rows[i]), positive: truth[i], cluster: speakers[i].clone() });
        }
    }
    let auc = auc_with_interval(&trials, seed)?;
    Ok(AttackScore {
        schema: SCHEMA_VERSION,
        attack: BLIND_BASELINE.into(),
        control_of: Some(LOSS_THRESHOLD.into()),
        vantage: Vantage::Released,
        metric: "auc".into(),
        value: auc.value,
        ci95: auc.ci95,
        chance: 0.5,
        trials: u32::try_from(trials.len()).unwrap_or(u32::MAX),
        citation: CITATION.into(),
        note: "This control must stay at chance: were 0.5 below its interval, members and non-members would differ by \
               themselves and the membership score would say nothing about the model."
            .into(),
    })
}

/// Whether the blind baseline found nothing: its interval does not lie above chance. (Out-of-fold scores lean slightly
/// below 0.5 when there is nothing to find; that is no finding.)
pub fn may_be_blind(baseline: &AttackScore) -> bool {
    baseline.ci95.low <= baseline.chance
}

fn standardise(rows: &mut [Vec<f64>]) {
    let n = rows.len() as f64;
    for j in 0..rows.first().map_or(0, Vec::len) {
        let mean = rows.iter().map(|r| r[j]).sum::<f64>() / n;
        let sd = (rows.iter().map(|r| (r[j] - mean).powi(2)).sum::<f64>() / n).sqrt().max(1e-9);
        for row in rows.iter_mut() {
            row[j] = (row[j] - mean) / sd;
        }
    }
}

/// A fold for each row, the same share of members in each: otherwise the fitted intercept would know the held-out share.
fn stratified_folds(truth: &[bool], seed: u64) -> Vec<usize> {
    let mut stream = Stream::new("blind-folds", seed);
    let mut folds = vec![0; truth.len()];
    for side in [true, false] {
        let mut own: Vec<usize> = (0..truth.len()).filter(|&i| truth[i] == side).collect();
        stream.shuffle(&mut own);
        for (place, i) in own.into_iter().enumerate() {
            folds[i] = place % FOLDS;
        }
    }
    folds
}

/// Ridge logistic regression by full-batch gradient descent; the last weight is the intercept.
fn fit(rows: &[Vec<f64>], truth: &[bool], train: &[usize]) -> Vec<f64> {
    let width = rows.first().map_or(0, Vec::len);
    let mut weights = vec![0.0; width + 1];
    for _ in 0..STEPS {
        let mut gradient = vec![0.0; width + 1];
        for &i in train {
            let p = 1.0 / (1.0 + (-logit(&weights, &rows[i])).exp());
            let error = p - f64::from(u8::from(truth[i]));
            for (g, x) in gradient.iter_mut().zip(&rows[i]) {
                *g += error * x;
            }
            gradient[width] += error;
        }
        for (j, (w, g)) in weights.iter_mut().zip(&gradient).enumerate() {
            let ridge = if j < width { RIDGE * *w } else { 0.0 };
            *w -= LEARNING_RATE / (1.0 + width as f64 / 8.0) * (g / train.len().max(1) as f64 + ridge);
        }
    }
    weights
}

fn logit(weights: &[f64], row: &[f64]) -> f64 {
    weights[row.len()] + weights.iter().zip(row).map(|(w, x)| w * x).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::halves_within_speakers;
    use crate::membership::tests::toy;

    #[test]
    fn a_blind_baseline_cannot_tell_random_halves_apart() {
        for seed in 0..5 {
            let (members, non_members) = halves_within_speakers(&toy(10, 30, seed), seed);
            let score = blind_baseline(&members, &non_members, 4, seed).unwrap();
            assert!(may_be_blind(&score) && score.ci95.high >= 0.45, "seed {seed}: {score:?}");
        }
    }

    #[test]
    fn a_blind_baseline_catches_groups_that_differ_by_themselves() {
        let (members, mut non_members) = halves_within_speakers(&toy(10, 30, 1), 1);
        for v in &mut non_members.features {
            *v += 0.4; // another microphone
        }
        let score = blind_baseline(&members, &non_members, 4, 1).unwrap();
        assert!(!may_be_blind(&score), "{score:?}");
        assert_eq!(score.control_of.as_deref(), Some(LOSS_THRESHOLD));
    }
}
