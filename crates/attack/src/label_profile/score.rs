//! How good the guessed profiles are, against chance by permutation of clients.
use sottovoce_types::{AttackScore, SCHEMA_VERSION, Vantage};

use crate::label_profile::{LabelProfileError, Profiles};
use crate::stats::{clopper_pearson, clustered_correlation};

/// The attack's name in records.
pub const LABEL_PROFILE: &str = "label-profile";

/// The name of its second score, the dominant emotion.
pub const LABEL_PROFILE_TOP1: &str = "label-profile-top1";

pub(super) const CITATION: &str = "A4: n_c/n = p_c + delta b_c / (eta * steps). After Decaf (Dai et al., \"Decaf: Data \
                        Distribution Decompose Attack against Federated Learning\", arXiv:2405.15316) and LLG";

/// What a score stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The attack on the run as deployed: the coordinator behind secure aggregation.
    Attack,
    /// The control that must win: the same code on a run without masks and without noise.
    ControlWithoutMasks,
}

/// What the attack found.
#[derive(Clone, PartialEq, Debug)]
pub struct LabelProfileScores {
    /// Pearson correlation between guessed and true deviations from the cohort's mean profile; chance 0.
    pub correlation: AttackScore,
    /// Fraction of clients whose dominant emotion was named; chance is naming the most common one for all.
    pub top1: AttackScore,
    /// Fraction of permutations of clients that correlate at least as well.
    pub p_value: f64,
}

/// Scores guesses against the truth, both as shares per class. Deviations from the mean over clients are compared, so
/// that the cohort's common profile, which the sum gives away anyway, earns nothing.
///
/// # Errors
/// [`LabelProfileError`] when fewer than two clients are in both, lengths differ, or a side does not vary.
pub fn score(
    guesses: &Profiles,
    truths: &Profiles,
    role: Role,
    seed: u64,
) -> Result<LabelProfileScores, LabelProfileError> {
    let both: Vec<(&Vec<f64>, &Vec<f64>)> =
        guesses.iter().filter_map(|(client, guess)| Some((guess, truths.get(client)?))).collect();
    if both.len() < 2 {
        return Err(LabelProfileError::TooFewClients { found: both.len() });
    }
    let classes = both[0].1.len();
    if let Some(odd) = both.iter().flat_map(|&(g, t)| [g, t]).find(|v| v.len() != classes) {
        return Err(LabelProfileError::Classes { expected: classes, found: odd.len() });
    }
    let guess_rows = deviations(both.iter().map(|b| b.0), classes);
    let truth_rows = deviations(both.iter().map(|b| b.1), classes);
    for (rows, what) in [(&truth_rows, "true profiles"), (&guess_rows, "guesses")] {
        if rows.iter().flatten().all(|v| v.abs() < 1e-12) {
            return Err(LabelProfileError::NoVariation { what });
        }
    }
    let found = clustered_correlation(&guess_rows, &truth_rows, seed)
        .ok_or(LabelProfileError::NoVariation { what: "guesses" })?;

    let clients = both.len() as u64;
    let mut dominant = vec![0u64; classes];
    let mut right = 0u64;
    for (guess, truth) in &both {
        dominant[argmax(truth)] += 1;
        right += u64::from(argmax(guess) == argmax(truth));
    }
    let (vantage, control_of) = match role {
        Role::Attack => (Vantage::Coordinator, None),
        Role::ControlWithoutMasks => (Vantage::CoordinatorPlain, Some(LABEL_PROFILE)),
    };
    let note = match role {
        Role::Attack => "reads the masked inputs that the coordinator received",
        Role::ControlWithoutMasks => "reads the same bytes of a run without masks, and must win",
    };
    let correlation = AttackScore {
        schema: SCHEMA_VERSION,
        attack: LABEL_PROFILE.into(),
        control_of: control_of.map(Into::into),
        vantage,
        metric: "correlation".into(),
        value: found.r,
        ci95: found.ci95,
        chance: 0.0,
        trials: u32::try_from(clients).unwrap_or(u32::MAX),
        citation: CITATION.into(),
        note: format!(
            "Guessed against true emotion shares of {clients} clients; p = {:.4} by permuting clients; {note}.",
            found.p_value
        ),
    };
    let top1 = AttackScore {
        attack: LABEL_PROFILE_TOP1.into(),
        control_of: control_of.map(|_| LABEL_PROFILE_TOP1.into()),
        metric: "top1".into(),
        value: right as f64 / clients as f64,
        ci95: clopper_pearson(right, clients, 0.05),
        chance: dominant.iter().copied().max().unwrap_or(0) as f64 / clients as f64,
        note: format!("The dominant emotion was named for {right} of {clients} clients; {note}."),
        ..correlation.clone()
    };
    Ok(LabelProfileScores { correlation, top1, p_value: found.p_value })
}

/// Rows minus the mean row.
fn deviations<'a>(rows: impl Iterator<Item = &'a Vec<f64>> + Clone, classes: usize) -> Vec<Vec<f64>> {
    let n = rows.clone().count() as f64;
    let mean: Vec<f64> = (0..classes).map(|c| rows.clone().map(|r| r[c]).sum::<f64>() / n).collect();
    rows.map(|r| r.iter().zip(&mean).map(|(v, m)| v - m).collect()).collect()
}

fn argmax(v: &[f64]) -> usize {
    // The first of equals, so that ties do not depend on the iteration order.
    (0..v.len()).rev().max_by(|&a, &b| v[a].total_cmp(&v[b])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label_profile::tests::{client, profile};
    use crate::random::Stream;

    fn profiles(s: &mut Stream, n: u8) -> Profiles {
        (0..n).map(|i| (client(i), profile(s, 5))).collect()
    }

    #[test]
    fn guesses_that_know_nothing_score_zero_and_perfect_guesses_score_one() {
        let mut s = Stream::new("score", 2);
        let truth = profiles(&mut s, 16);
        let blind = score(&profiles(&mut s, 16), &truth, Role::Attack, 1).unwrap();
        assert!(blind.correlation.ci95.low <= 0.0 && 0.0 <= blind.correlation.ci95.high, "{blind:?}");
        assert!(blind.p_value > 0.01);
        let perfect = score(&truth, &truth, Role::ControlWithoutMasks, 1).unwrap();
        assert!(perfect.correlation.value > 0.999 && perfect.p_value < 0.002 && perfect.top1.value > 0.999);
        assert_eq!(perfect.correlation.control_of.as_deref(), Some(LABEL_PROFILE));
        assert!(perfect.top1.chance < 0.7);
    }

    #[test]
    fn the_cohorts_common_profile_earns_nothing() {
        let mut s = Stream::new("score", 3);
        let truth = profiles(&mut s, 8);
        let flat: Profiles = truth.keys().map(|&c| (c, vec![0.4, 0.3, 0.1, 0.1, 0.1])).collect();
        let refused = score(&flat, &truth, Role::Attack, 1).unwrap_err();
        assert_eq!(refused, LabelProfileError::NoVariation { what: "guesses" });
        let refused = score(&truth, &flat, Role::Attack, 1).unwrap_err();
        assert_eq!(refused, LabelProfileError::NoVariation { what: "true profiles" });
    }
}
