//! Membership: every attack that the config names, against the released model, and with shadows against each of them in turn.
use std::path::Path;

use anyhow::Result;
use sottovoce_attack::membership::{
    self, Exposed, Losses, OF_LOSS_THRESHOLD, OF_POPULATION, OF_QUANTILE, OF_SPEAKER, OF_SPEAKER_OVER_SHADOWS,
    OF_TRAJECTORY, OverfitSpec, Pool, ShadowAttack, Signal, SliceScore, Variance, View, blind_baseline, by_slice,
    by_speaker, halves_within_speakers, lira_online, loss_threshold, may_be_blind, most_exposed, overfit_control,
    records, scored,
};
use sottovoce_attack::scores::{Described, Scored, Scores};
use sottovoce_attack::shadows::{Masks, ShadowLogits, phi_of};
use sottovoce_config::AttackName;
use sottovoce_types::{AttackScore, Examples};

use super::Audited;
use super::shadows::{Placed, Task};
use crate::output::Output;
use crate::speech;

/// Clips that are listed as exposed most, for each attack.
const MOST_EXPOSED: usize = 20;

/// What the attacks found.
#[derive(Default)]
pub struct Membership {
    /// Areas and rates, controls among them.
    pub records: Vec<AttackScore>,
    /// The scores behind them.
    pub scores: Vec<Scores>,
    /// Areas by emotion, sex and speaker.
    pub slices: Vec<SliceScore>,
    /// The clips that each attack is surest of.
    pub exposed: Vec<Exposed>,
}

/// Clips of the released model: members first, then those held out.
struct Released {
    clips: Examples,
    member: Vec<bool>,
    classes: Vec<String>,
    seed: u64,
}

impl Membership {
    fn add(&mut self, scores: Scores, seed: u64) -> Result<()> {
        self.records.extend(records(&scores, seed)?);
        self.slices.extend(by_slice(&scores, seed)?);
        self.exposed.extend(most_exposed(&scores, MOST_EXPOSED));
        self.scores.push(scores);
        Ok(())
    }

    /// The area of the same attack without clipping and noise, which must win.
    fn control(&mut self, scores: &Scores, seed: u64) -> Result<()> {
        let note = "The same attack on shadows of the same training without clipping and noise, and must win.";
        let control = |r: AttackScore| AttackScore { control_of: Some(r.attack.clone()), note: note.to_owned(), ..r };
        self.records.extend(records(scores, seed)?.into_iter().filter(|r| r.metric == "auc").map(control));
        Ok(())
    }

    fn released(&mut self, of: Described, values: &[f64], released: &Released) -> Result<()> {
        let scores = scored(of, values, &released.clips, &released.member, &released.classes, 0);
        self.add(scores, released.seed)
    }
}

/// The attack with shadows that a config's name means.
fn shadow_attack(name: AttackName) -> Option<ShadowAttack> {
    Some(match name {
        AttackName::MembershipReference => ShadowAttack::Reference,
        AttackName::MembershipLiraOnline => ShadowAttack::LiraOnline,
        AttackName::MembershipLiraFixedVariance => ShadowAttack::LiraFixedVariance,
        AttackName::MembershipLiraOffline => ShadowAttack::LiraOffline,
        AttackName::MembershipRmia => ShadowAttack::Rmia,
        AttackName::MembershipBavaria => ShadowAttack::Bavaria,
        _ => return None,
    })
}

/// Whether an attack trains shadow models.
pub(super) fn needs_shadows(name: AttackName) -> bool {
    shadow_attack(name).is_some() || name == AttackName::MembershipSpeaker
}

/// Whether an attack is about membership.
fn is_membership(name: AttackName) -> bool {
    shadow_attack(name).is_some()
        || matches!(
            name,
            AttackName::Membership
                | AttackName::MembershipPopulation
                | AttackName::MembershipQuantile
                | AttackName::MembershipTrajectory
                | AttackName::MembershipSpeaker
        )
}

impl Audited<'_> {
    pub(super) fn membership(&self, workspace: &Path, output: &Output) -> Result<Membership> {
        let mut found = Membership::default();
        let wanted = &self.config.audit.attacks;
        if !wanted.iter().copied().any(is_membership) {
            return Ok(found);
        }
        let (members, holdout) = (self.partition.pooled(), &self.partition.holdout);
        if holdout.is_empty() {
            output.remark("membership is not audited: partition.holdout_fraction = 0 leaves no non-members");
            return Ok(found);
        }
        let mut clips = members.clone();
        clips.append(holdout);
        let released = Released {
            member: (0..clips.len()).map(|i| i < members.len()).collect(),
            clips,
            classes: speech::labels(self.config).names(),
            seed: self.config.run.seed,
        };
        let classes = self.trainer.spec().classes();
        if wanted.contains(&AttackName::Membership) {
            self.loss_threshold(&mut found, &members, &released)?;
        }
        let blind = blind_baseline(&members, holdout, classes, released.seed)?;
        if !may_be_blind(&blind) {
            output.remark("membership: the blind baseline tells members from non-members without the model; the split differs, and the attacks' scores show nothing");
        }
        found.records.push(blind);
        self.without_shadows(&mut found, &released)?;
        let with_shadows: Vec<ShadowAttack> = wanted.iter().copied().filter_map(shadow_attack).collect();
        if !with_shadows.is_empty() {
            self.with_shadows(&mut found, &with_shadows, &released, workspace, output)?;
        }
        if wanted.contains(&AttackName::MembershipSpeaker) {
            self.speakers(&mut found, &released, workspace, output)?;
        }
        Ok(found)
    }

    fn loss_threshold(&self, found: &mut Membership, members: &Examples, released: &Released) -> Result<()> {
        let holdout = &self.partition.holdout;
        let losses = |data: &Examples| self.trainer.losses(self.model, data);
        let speakers = |data: &Examples| -> Vec<String> { data.meta.iter().map(|m| m.speaker.clone()).collect() };
        let (inside, outside) = (losses(members)?, losses(holdout)?);
        let (inside_of, outside_of) = (speakers(members), speakers(holdout));
        let attack = loss_threshold(
            Losses { losses: &inside, speakers: &inside_of },
            Losses { losses: &outside, speakers: &outside_of },
            released.seed,
        )?;
        found.records.extend(attack.into_scores());
        let classes = self.trainer.spec().classes();
        let control = overfit_control(members, holdout, classes, &OverfitSpec::default(), self.trainer.device())?;
        found.records.push(control);
        let values: Vec<f64> = inside.iter().chain(&outside).map(|loss| -loss).collect();
        let scores = scored(OF_LOSS_THRESHOLD, &values, &released.clips, &released.member, &released.classes, 0);
        found.slices.extend(by_slice(&scores, released.seed)?);
        found.exposed.extend(most_exposed(&scores, MOST_EXPOSED));
        found.scores.push(scores);
        Ok(())
    }

    /// M2, M8, M9.
    fn without_shadows(&self, found: &mut Membership, released: &Released) -> Result<()> {
        let wanted = |name| self.config.audit.attacks.contains(&name);
        let (clips, public) = (&released.clips, &self.partition.test);
        let phi = |data: &Examples| phi_of(self.trainer, self.model, data);
        if wanted(AttackName::MembershipPopulation) {
            let values = membership::population((&phi(clips)?, &clips.labels), (&phi(public)?, &public.labels));
            found.released(OF_POPULATION, &values, released)?;
        }
        if wanted(AttackName::MembershipQuantile) {
            let classes = self.trainer.spec().classes();
            let values = membership::quantile((&phi(clips)?, clips), (&phi(public)?, public), classes)?;
            found.released(OF_QUANTILE, &values, released)?;
        }
        if wanted(AttackName::MembershipTrajectory) {
            // Not the initial model: nothing has been trained on there, and it is far from the rest.
            let models = self.models.iter().skip(usize::from(self.models.len() > 2));
            let rounds: Vec<Vec<f64>> =
                models.map(|model| phi_of(self.trainer, model, clips)).collect::<Result<_, _>>()?;
            found.released(OF_TRAJECTORY, &membership::trajectory(&rounds, Signal::Logit), released)?;
        }
        Ok(())
    }

    /// M3 to M7.
    fn with_shadows(
        &self,
        found: &mut Membership,
        attacks: &[ShadowAttack],
        released: &Released,
        workspace: &Path,
        output: &Output,
    ) -> Result<()> {
        let public = &self.partition.test;
        let train = Placed::of(self, &self.partition.holdout);
        let masks = Masks::within(&speakers(&train.clips), self.shadow_models()?, released.seed)?;
        let task = Task {
            what: "shadow models",
            train: &train,
            trained_on: &masks,
            scored: &train.clips,
            member: &masks,
            population: public,
            defended: true,
        };
        let logits = self.shadows(&task, workspace, output)?;
        let phi = |data: &Examples| phi_of(self.trainer, self.model, data);
        let view = logits.view_of(&phi(&released.clips)?, &phi(public)?);
        let bar = output.progress("attacks with shadows", 2 * attacks.len() as u64);
        for attack in attacks {
            found.released(attack.described(), &attack.scores(&view), released)?;
            bar.inc(1);
        }
        for scores in over_shadows(attacks, &logits, released) {
            found.add(scores, released.seed)?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        if self.plan.spec().privacy.is_some() {
            let task = Task { what: "shadow models of the control", defended: false, ..task };
            for scores in over_shadows(attacks, &self.shadows(&task, workspace, output)?, released) {
                found.control(&scores, released.seed)?;
            }
        }
        Ok(())
    }

    /// U1. Trained on: the run's training clips, and of each test speaker what is left when as large a share is held out; asked: what is held out.
    fn speakers(&self, found: &mut Membership, released: &Released, workspace: &Path, output: &Output) -> Result<()> {
        let (rest, mut asked) = held_out(&self.partition.test, self.config.partition.holdout_fraction, released.seed);
        asked.append(&self.partition.holdout);
        let train = Placed::of(self, &rest);
        let shadows = self.shadow_models()?;
        let (trained_on, member) = (
            Masks::whole(&speakers(&train.clips), shadows, released.seed)?,
            Masks::whole(&speakers(&asked), shadows, released.seed)?,
        );
        let nobody = Examples::empty(asked.width);
        let task = Task {
            what: "shadows of speakers",
            train: &train,
            trained_on: &trained_on,
            scored: &asked,
            member: &member,
            population: &nobody,
            defended: true,
        };
        let logits = self.shadows(&task, workspace, output)?;
        let trained: Vec<String> = self.partition.clients.iter().flat_map(|c| c.train.speakers()).collect();
        let truth: Vec<bool> = asked.meta.iter().map(|m| trained.contains(&m.speaker)).collect();
        let view = logits.view_of(&phi_of(self.trainer, self.model, &asked)?, &[]);
        found.add(speaker_scores(OF_SPEAKER, &view, &asked, &truth, 0), released.seed)?;
        found.add(speakers_over_shadows(&logits, &asked), released.seed)?;
        if self.plan.spec().privacy.is_some() {
            let task = Task { what: "shadows of speakers of the control", defended: false, ..task };
            let control = speakers_over_shadows(&self.shadows(&task, workspace, output)?, &asked);
            found.control(&control, released.seed)?;
        }
        Ok(())
    }
}

/// Every attack on each shadow in turn.
fn over_shadows(attacks: &[ShadowAttack], logits: &ShadowLogits, released: &Released) -> Vec<Scores> {
    // One view at a time: each is as large as all shadows.
    let mut over: Vec<Scores> =
        attacks.iter().map(|a| Scores { of: a.described_over_shadows(), units: Vec::new() }).collect();
    for (run, view, member) in targets(logits) {
        for (attack, scores) in attacks.iter().zip(&mut over) {
            let values = attack.scores(&view);
            scores.units.extend(scored(scores.of, &values, &released.clips, member, &released.classes, run).units);
        }
    }
    over
}

/// Speakers' scores on each shadow in turn.
fn speakers_over_shadows(logits: &ShadowLogits, asked: &Examples) -> Scores {
    let mut over = Scores { of: OF_SPEAKER_OVER_SHADOWS, units: Vec::new() };
    for (run, view, member) in targets(logits) {
        let mut one = speaker_scores(over.of, &view, asked, member, run);
        // Speakers of one model go together: runs are what is resampled.
        one.units.iter_mut().for_each(|u| u.cluster = format!("model {run}"));
        over.units.append(&mut one.units);
    }
    over
}

/// Each shadow as the target: its number, its view, its truths.
fn targets(logits: &ShadowLogits) -> impl Iterator<Item = (u32, View, &[bool])> {
    (0..logits.scored.len()).map(|target| {
        let (view, member) = logits.leave_one_out(target);
        (u32::try_from(target).unwrap_or(u32::MAX), view, member)
    })
}

fn speakers(clips: &Examples) -> Vec<String> {
    clips.meta.iter().map(|m| m.speaker.clone()).collect()
}

/// Clips to train on and clips to ask about, of every speaker: about `share` of hers, and one at least.
fn held_out(clips: &Examples, share: f64, seed: u64) -> (Examples, Examples) {
    let (mut rest, mut out) = (Examples::empty(clips.width), Examples::empty(clips.width));
    for (_, own) in clips.by_speaker() {
        // A random order of hers: halves of halves.
        let (first, second) = halves_within_speakers(&own, seed);
        let mut shuffled = second;
        shuffled.append(&first);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a count of clips"
        )]
        let held = ((share * own.len() as f64).round() as usize).clamp(1, own.len().saturating_sub(1).max(1));
        out.append(&shuffled.select(&(0..held).collect::<Vec<_>>()));
        rest.append(&shuffled.select(&(held..own.len()).collect::<Vec<_>>()));
    }
    (rest, out)
}

fn speaker_scores(of: Described, view: &View, asked: &Examples, truth: &[bool], run: u32) -> Scores {
    let who = speakers(asked);
    let values = lira_online(&view.clips, Variance::Pooled);
    let units = by_speaker(&values, &who, Pool::Sum).into_iter().map(|(speaker, score)| {
        let clip = who.iter().position(|s| *s == speaker).expect("a speaker of these clips");
        let sex = asked.meta[clip].sex.map(|sex| ("sex".to_owned(), sex.name().to_owned()));
        let slices = sex.into_iter().collect();
        Scored { unit: speaker.clone(), score, truth: truth[clip], cluster: speaker, run, slices }
    });
    Scores { of, units: units.collect() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use sottovoce_types::ExampleMeta;

    use super::*;

    #[test]
    fn every_speaker_has_clips_that_are_asked_about_and_none_of_them_is_trained_on() {
        let mut clips = Examples::empty(1);
        for i in 0..30u8 {
            let speaker = format!("s{}", i % 3);
            clips.push(&[f32::from(i)], 0, ExampleMeta { path: i.to_string(), speaker, ..ExampleMeta::default() });
        }
        let (rest, asked) = held_out(&clips, 0.25, 1);
        assert_eq!((rest.len(), asked.len()), (21, 9));
        assert_eq!((rest.speakers().len(), asked.speakers().len()), (3, 3));
        assert!(asked.meta.iter().all(|m| !rest.meta.contains(m)));
        assert_eq!(held_out(&clips, 0.0, 1).1.len(), 3, "one of each at least");
    }

    #[test]
    fn every_name_of_a_membership_attack_is_one() {
        let names = |text: &str| {
            let text = format!("[audit]\nattacks = [{text}]\n");
            sottovoce_config::Config::parse(&text, &[] as &[&str]).unwrap().audit.attacks
        };
        let with_shadows = names(
            "\"membership-reference\", \"membership-lira-online\", \"membership-lira-fixed-variance\", \
             \"membership-lira-offline\", \"membership-rmia\", \"membership-bavaria\"",
        );
        let attacks: Vec<_> = with_shadows.iter().copied().filter_map(shadow_attack).collect();
        assert_eq!(attacks, ShadowAttack::ALL);
        // A record's name is the config's.
        for (name, attack) in with_shadows.iter().zip(attacks) {
            assert_eq!(serde_json::to_value(name).unwrap(), attack.described().attack);
        }
        assert!(names("\"label-profile\", \"canary\"").into_iter().all(|n| !is_membership(n)));
    }
}
