//! Attacks by family, each with rates, decisions, and how it reads beside the family's controls.
use anyhow::Result;
use sottovoce_attack::membership::BLIND_BASELINE;
use sottovoce_attack::scores::Scores;
use sottovoce_attack::stats::{RocError, Trial, judge_across_clusters, roc, tpr_over_clusters};
use sottovoce_report::audit::{AuditFamily, AuditRow, JudgedRow, RateRow, ValueAtPrior};
use sottovoce_report::beats_guessing;
use sottovoce_types::AttackScore;

/// The false-positive rates that are reported.
const RATES: [f64; 2] = [0.01, 0.001];

/// What is asked, by attacks that share their controls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    Clips,
    Speakers,
    Updates,
    Labels,
    Sex,
    Reconstruction,
    Sums,
    Canaries,
    Other,
}

impl Family {
    const ALL: [Self; 9] = [
        Self::Clips,
        Self::Speakers,
        Self::Updates,
        Self::Labels,
        Self::Sex,
        Self::Reconstruction,
        Self::Sums,
        Self::Canaries,
        Self::Other,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Clips => "Membership of a clip",
            Self::Speakers => "Membership of a speaker",
            Self::Updates => "Membership of a clip in one client's update",
            Self::Labels => "A client's mix of emotions",
            Self::Sex => "Sex of a client's speakers",
            Self::Reconstruction => "Reconstruction of clips",
            Self::Sums => "What a sum says of one unit",
            Self::Canaries => "Canaries",
            Self::Other => "Other attacks",
        }
    }

    fn question(self) -> &'static str {
        match self {
            Self::Clips => {
                "Was this clip trained on? Members are training clips, non-members clips of the same speakers that were held out at random. \
                 The blind baseline tries without the model and must fail; the overfit control must win."
            }
            Self::Speakers => {
                "Was anything of this speaker trained on? Asked with clips of hers that were not. Over shadows, who is a member is drawn at \
                 random, so that a blind guess is at 0.5 by design; on the released model it is training speakers against test speakers, which \
                 is no such draw."
            }
            Self::Updates => {
                "Does what a client sent point where this clip's gradient does? On the bytes that the coordinator received; the control has no masks \
                 and no noise and must win."
            }
            Self::Labels => {
                "How often does each client's speech show which emotion? Read from the bytes that the coordinator received; the control has no masks \
                 and must win. Guessing the mix of all clients is chance."
            }
            Self::Sex => {
                "Are a client's speakers women? From the first layer of what it sent; the control has no masks and no noise and must win."
            }
            Self::Reconstruction => {
                "Which clip was it? From what each client sent; the control is clients of one clip, one step, without masks and noise. The blind \
                 guess, the mean of public clips, is the chance that is given."
            }
            Self::Sums => {
                "Is one clip of one unit in the sum? The coordinator knows both candidates and other speakers' updates; the control has two units in a \
                 sum and no noise, and must win."
            }
            Self::Canaries => {
                "White-box canaries: the auditor's own units, in or out by fair coins. They test the mechanism, not the data. Their control is \
                 `audit selftest`, whose broken pipelines must be caught."
            }
            Self::Other => "Attacks of no family.",
        }
    }
}

/// The family of an attack, or of the attack that a control is of.
pub(super) fn family_of(attack: &str) -> Family {
    match attack {
        a if a.starts_with("membership-speaker") => Family::Speakers,
        a if a.starts_with("membership-gradient") => Family::Updates,
        a if a.starts_with("membership") => Family::Clips,
        a if a.starts_with("label-profile") => Family::Labels,
        a if a.starts_with("sex-") => Family::Sex,
        a if a.starts_with("inversion") => Family::Reconstruction,
        a if a.starts_with("secagg") => Family::Sums,
        a if a.starts_with("canar") => Family::Canaries,
        _ => Family::Other,
    }
}

/// All families that have attacks or scores, without their curves.
pub(super) fn families(attacks: &[AttackScore], scores: &[Scores], seed: u64) -> Result<Vec<AuditFamily>> {
    let mut out = Vec::new();
    for family in Family::ALL {
        let own: Vec<&AttackScore> =
            attacks.iter().filter(|a| family_of(a.control_of.as_deref().unwrap_or(&a.attack)) == family).collect();
        let of_scores = scores.iter().filter(|s| family_of(s.of.attack) == family);
        // Rates are columns of their attack's row.
        let (controls, attacks): (Vec<&AttackScore>, Vec<&AttackScore>) =
            own.iter().filter(|a| !a.metric.starts_with("tpr@")).partition(|a| a.control_of.is_some());
        let mut rows: Vec<AuditRow> = attacks.iter().map(|a| row(a, reading(a, &controls))).collect();
        for scores in of_scores {
            match rows.iter_mut().find(|r| r.attack == scores.of.attack) {
                Some(row) => fill(row, scores, seed)?,
                None => rows.push(of_canaries(scores, seed)?),
            }
        }
        let controls: Vec<AuditRow> = controls.iter().map(|c| row(c, reading_of_control(c))).collect();
        if !rows.is_empty() || !controls.is_empty() {
            out.push(AuditFamily {
                name: family.name().to_owned(),
                question: family.question().to_owned(),
                attacks: rows,
                controls,
                curves: Vec::new(),
            });
        }
    }
    Ok(out)
}

fn row(a: &AttackScore, reading: &str) -> AuditRow {
    AuditRow {
        attack: a.attack.clone(),
        vantage: a.vantage,
        metric: a.metric.clone(),
        value: a.value,
        ci95: a.ci95,
        chance: a.chance,
        trials: a.trials,
        reading: reading.to_owned(),
        note: a.note.clone(),
        citation: a.citation.clone(),
        rates: Vec::new(),
        judged: None,
        not_judged: None,
    }
}

/// Canaries have scores and no record: the gate judges them.
fn of_canaries(scores: &Scores, seed: u64) -> Result<AuditRow> {
    let trials = scores.trials();
    let auc = sottovoce_attack::stats::auc_with_interval(&trials, seed)?;
    let mut row = AuditRow {
        attack: scores.of.attack.to_owned(),
        vantage: scores.of.vantage,
        metric: "auc".to_owned(),
        value: auc.value,
        ci95: auc.ci95,
        chance: 0.5,
        trials: u32::try_from(trials.len()).unwrap_or(u32::MAX),
        reading: "May be found as often as the ceiling says: the verdict above is what counts.".to_owned(),
        note: String::new(),
        citation: scores.of.citation.to_owned(),
        rates: Vec::new(),
        judged: None,
        not_judged: None,
    };
    fill(&mut row, scores, seed)?;
    Ok(row)
}

fn fill(row: &mut AuditRow, scores: &Scores, seed: u64) -> Result<()> {
    let trials = scores.trials_of_speakers();
    row.rates = RATES.iter().map(|&fpr| rate(&trials, fpr, seed)).collect::<Result<_, RocError>>()?;
    match judge_across_clusters(&trials, seed) {
        Ok(j) => {
            row.judged = Some(JudgedRow {
                balanced_accuracy: j.balanced_accuracy,
                ci95: j.ci95,
                ppv: j.ppv.iter().map(|p| ValueAtPrior { prior: p.prior, value: p.value, ci95: p.ci95 }).collect(),
            });
        }
        Err(refused @ RocError::FewClusters { .. }) => row.not_judged = Some(refused.to_string()),
        Err(other) => return Err(other.into()),
    }
    Ok(())
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ten over a rate: 10 to 10 000")]
fn rate(trials: &[Trial], fpr: f64, seed: u64) -> Result<RateRow, RocError> {
    let non_members = trials.iter().filter(|t| !t.positive).count() as u64;
    let empty = RateRow {
        fpr,
        tpr: None,
        ci95: None,
        true_positives: None,
        false_positives: None,
        non_members,
        needed: (10.0 / fpr).ceil() as u64,
    };
    match tpr_over_clusters(trials, fpr, seed) {
        Ok(found) => {
            let hits = roc(trials, &[fpr])?.first().map(|p| p.true_positives);
            Ok(RateRow {
                tpr: Some(found.tpr),
                ci95: Some(found.ci95),
                true_positives: hits,
                false_positives: Some(found.false_positives),
                ..empty
            })
        }
        Err(RocError::TooFewNegatives { needed, .. }) => Ok(RateRow { needed: needed as u64, ..empty }),
        Err(other) => Err(other),
    }
}

fn reading(attack: &AttackScore, controls: &[&AttackScore]) -> &'static str {
    let blind = controls.iter().find(|c| c.attack == BLIND_BASELINE);
    if blind.is_some_and(|b| beats_guessing(b)) {
        return "The blind baseline tells the sides apart without the model: this shows nothing.";
    }
    if beats_guessing(attack) {
        return "Better than guessing: this leaks.";
    }
    let mut must_win = controls.iter().filter(|c| c.attack != BLIND_BASELINE && c.metric == attack.metric).peekable();
    match (must_win.peek().is_some(), must_win.any(|c| beats_guessing(c))) {
        (true, true) => "No better than guessing, while its control wins.",
        (true, false) => "No better than guessing, but neither is its control: this shows nothing.",
        (false, _) => "No better than guessing, but no control of its own won: this shows nothing.",
    }
}

fn reading_of_control(control: &AttackScore) -> &'static str {
    match (control.attack == BLIND_BASELINE, beats_guessing(control)) {
        (true, false) => "Stays at chance, as it must.",
        (true, true) => "Wins, and must not: the sides differ without the model.",
        (false, true) => "Wins, as it must.",
        (false, false) => "Does not win, and must.",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeMap;

    use sottovoce_attack::membership::{OF_LOSS_THRESHOLD, records};
    use sottovoce_attack::scores::Scored;
    use sottovoce_types::{Interval, Vantage};

    use super::*;

    fn scores(n: u32) -> Scores {
        let unit = |i: u32| Scored {
            unit: i.to_string(),
            score: f64::from(i * 37 % 101) + if i.is_multiple_of(2) { 60.0 } else { 0.0 },
            truth: i.is_multiple_of(2),
            cluster: format!("s{}", i / 2 % 10),
            run: 0,
            slices: BTreeMap::new(),
        };
        Scores { of: OF_LOSS_THRESHOLD, units: (0..n).map(unit).collect() }
    }

    fn control(attack: &str, low: f64) -> AttackScore {
        AttackScore {
            attack: attack.to_owned(),
            control_of: Some("membership-loss-threshold".to_owned()),
            ci95: Interval { low, high: 0.99 },
            ..records(&scores(200), 1).unwrap()[0].clone()
        }
    }

    #[test]
    fn a_row_has_its_rates_with_counts_and_a_rate_without_enough_behind_it_says_how_many_it_needs() {
        let scores = scores(4000);
        let mut attacks = records(&scores, 1).unwrap();
        attacks.push(control("membership-loss-threshold-overfit", 0.9));
        let families = families(&attacks, &[scores], 1).unwrap();
        let [family] = families.as_slice() else { panic!("{families:?}") };
        let row = &family.attacks[0];
        assert_eq!((family.attacks.len(), family.controls.len(), row.rates.len()), (1, 1, 2));
        assert_eq!((row.rates[0].false_positives.unwrap() <= 20, row.rates[0].non_members), (true, 2000));
        let refused = &row.rates[1];
        assert_eq!((refused.tpr, refused.needed, refused.non_members), (None, 10_000, 2000));
        let judged = row.judged.as_ref().unwrap();
        assert!(judged.balanced_accuracy > 0.7 && judged.ppv.len() == 3 && judged.ppv[0].value < judged.ppv[2].value);
    }

    #[test]
    fn an_attack_that_fails_reads_by_what_its_controls_did() {
        let mut failed = records(&scores(200), 1).unwrap()[0].clone();
        failed.ci95 = Interval { low: 0.45, high: 0.55 };
        failed.vantage = Vantage::Released;
        let (won, lost) =
            (control("membership-loss-threshold-overfit", 0.9), control("membership-loss-threshold-overfit", 0.4));
        let (blind, seeing) = (control(BLIND_BASELINE, 0.4), control(BLIND_BASELINE, 0.6));
        assert!(reading(&failed, &[&won, &blind]).contains("while its control wins"));
        assert!(reading(&failed, &[&lost, &blind]).contains("neither is its control"));
        assert!(reading(&failed, &[&blind]).contains("no control of its own"));
        assert!(reading(&failed, &[&won, &seeing]).contains("without the model"));
        let found = AttackScore { ci95: Interval { low: 0.6, high: 0.7 }, ..failed };
        assert!(reading(&found, &[&won, &blind]).contains("leaks"));
        assert!(reading(&found, &[&won, &seeing]).contains("shows nothing"));
    }
}
