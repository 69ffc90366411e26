//! Every attack must win where models remember, and must find nothing where there is nothing to find.
use sottovoce_train::{Device, Trainer};
use sottovoce_types::{AttackScore, Examples, ModelSpec, TrainJob};

use super::tests::toy;
use super::*;
use crate::random::Stream;
use crate::scores::Scores;
use crate::shadows::{Design, Masks, Recipe, ShadowLogits, phi_of};

const SHADOWS: usize = 16;

fn trainer() -> Trainer {
    Trainer::new(ModelSpec::Dnn { inputs: 8, hidden: vec![32], classes: 4 }, Device::Cpu).unwrap()
}

fn job(epochs: u32) -> TrainJob {
    TrainJob { epochs, batch: 8, learning_rate: 0.05, momentum: 0.9, ..TrainJob::default() }
}

fn who(clips: &Examples) -> Vec<String> {
    clips.meta.iter().map(|m| m.speaker.clone()).collect()
}

fn shadows(epochs: u32, seed: u64, clips: &Examples, public: &Examples) -> ShadowLogits {
    let masks = Masks::within(&who(clips), SHADOWS, seed).unwrap();
    let (trainer, recipe) = (trainer(), Recipe { job: job(epochs), federation: None });
    let design = Design {
        trainer: &trainer,
        recipe: &recipe,
        train: clips,
        trained_on: &masks,
        scored: clips,
        member: &masks,
        population: public,
        seed,
    };
    design.train(&|| ()).unwrap()
}

/// Clips, and public clips from the same distribution: other speakers of the same classes.
fn corpus() -> (Examples, Examples) {
    let all = toy(14, 20, 8);
    let public = |s: &str| s == "s12" || s == "s13" || s == "s11";
    (all.filter(|m| !public(&m.speaker)), all.filter(|m| public(&m.speaker)))
}

/// One target: what is seen of it, and what it trained on.
type Target = (View, Vec<bool>);

/// Each shadow in turn.
fn left_out(logits: &ShadowLogits) -> Vec<Target> {
    let one = |target| {
        let (view, member) = logits.leave_one_out(target);
        (view, member.to_vec())
    };
    (0..SHADOWS).map(one).collect()
}

/// Models that are none of the shadows.
fn outside(logits: &ShadowLogits, others: &ShadowLogits) -> Vec<Target> {
    let one = |t: usize| (logits.view_of(&others.scored[t], &others.population[t]), others.member.row(t).to_vec());
    (0..SHADOWS).map(one).collect()
}

/// Areas over all targets: M1, then [`ShadowAttack::ALL`].
fn areas(targets: &[Target], clips: &Examples) -> Vec<(&'static str, AttackScore)> {
    let names = std::iter::once(OF_LOSS_THRESHOLD).chain(ShadowAttack::ALL.map(ShadowAttack::described_over_shadows));
    let mut all: Vec<Scores> = names.map(|of| Scores { of, units: Vec::new() }).collect();
    for (run, (view, member)) in (0..).zip(targets) {
        let values = std::iter::once(view.clips.target.clone()).chain(ShadowAttack::ALL.map(|a| a.scores(view)));
        for (scores, values) in all.iter_mut().zip(values) {
            scores.units.extend(scored(scores.of, &values, clips, member, &[], run).units);
        }
    }
    all.iter().map(|s| (s.of.attack, records(s, 1).unwrap().remove(0))).collect()
}

fn at_chance(area: &AttackScore) -> bool {
    area.ci95.low <= 0.5 && 0.5 <= area.ci95.high
}

/// Leave-one-out leans below 0.5 where there is nothing to find: a target is missing from the mean of its own side alone.
fn no_finding(area: &AttackScore) -> bool {
    area.ci95.low <= 0.5 && area.value > 0.45
}

#[test]
fn on_models_that_remember_every_attack_wins_and_shadows_beat_the_loss_alone() {
    let (clips, public) = corpus();
    let (logits, others) = (shadows(60, 3, &clips, &public), shadows(60, 4, &clips, &public));
    for targets in [left_out(&logits), outside(&logits, &others)] {
        let found = areas(&targets, &clips);
        let loss = &found[0].1;
        for (name, area) in &found {
            assert!(area.ci95.low > 0.55, "{name}: {area:?}");
            // The point of these attacks: it helps to know how hard a clip is. (Of M3 the mean alone helps little here.)
            let ratio = !name.contains("loss") && !name.contains("reference");
            assert!(!ratio || area.value > loss.value + 0.02, "{name}: {} against {}", area.value, loss.value);
        }
    }
}

#[test]
fn on_models_that_have_not_trained_no_attack_finds_anything() {
    let (clips, public) = corpus();
    let (logits, others) = (shadows(0, 3, &clips, &public), shadows(0, 4, &clips, &public));
    for (name, area) in areas(&outside(&logits, &others), &clips) {
        assert!(at_chance(&area), "{name}: {area:?}");
    }
    for (name, area) in areas(&left_out(&logits), &clips) {
        assert!(no_finding(&area), "{name}: {area:?}");
    }
}

#[test]
fn with_memberships_drawn_anew_no_attack_finds_anything_on_models_that_remember() {
    let (clips, public) = corpus();
    let mut stream = Stream::new("other-truths", 2);
    let mut targets = left_out(&shadows(60, 3, &clips, &public));
    for m in targets.iter_mut().flat_map(|(_, member)| member) {
        *m = stream.coin();
    }
    for (name, area) in areas(&targets, &clips) {
        assert!(at_chance(&area), "{name}: {area:?}");
    }
}

#[test]
fn attacks_without_shadows_win_on_a_model_that_remembers_and_find_nothing_in_one_that_has_not_trained() {
    let (clips, public) = corpus();
    let (members, others) = halves_within_speakers(&clips, 1);
    let mut both = members.clone();
    both.append(&others);
    let truth: Vec<bool> = (0..both.len()).map(|i| i < members.len()).collect();
    let trainer = trainer();
    for (epochs, wins) in [(4, true), (0, false)] {
        let mut models = vec![trainer.spec().initialise(1)];
        for stage in 0..12 {
            let job = TrainJob { seed: stage, ..job(epochs) };
            let next = trainer.train_centralised(models.last().unwrap(), &members, &job, |_| ()).unwrap();
            models.push(next);
        }
        let phi: Vec<Vec<f64>> = models.iter().map(|m| phi_of(&trainer, m, &both).unwrap()).collect();
        let (last, public_phi) = (&phi[12], phi_of(&trainer, &models[12], &public).unwrap());
        let by = [
            (OF_POPULATION, population((last, &both.labels), (&public_phi, &public.labels))),
            (OF_QUANTILE, quantile((last, &both), (&public_phi, &public), 4).unwrap()),
            (OF_TRAJECTORY, trajectory(&phi, Signal::Logit)),
        ];
        for (of, values) in by {
            let area = records(&scored(of, &values, &both, &truth, &[], 0), 1).unwrap().remove(0);
            assert!(if wins { area.ci95.low > 0.55 } else { at_chance(&area) }, "{} {epochs}: {area:?}", of.attack);
        }
    }
}

#[test]
fn a_regression_on_few_public_clips_or_on_other_features_is_refused() {
    let (clips, public) = corpus();
    let few = public.select(&[0, 1, 2]);
    let error = quantile((&vec![0.0; clips.len()], &clips), (&[0.0; 3], &few), 4).unwrap_err();
    assert_eq!(error, MembershipError::FewPublic { found: 3 });
    let wide = Examples::empty(9);
    assert!(matches!(quantile((&[], &wide), (&[], &public), 4), Err(MembershipError::Width { .. })));
}

#[test]
fn a_speaker_is_found_by_clips_that_were_never_trained_on_and_only_where_models_trained() {
    // Speakers who differ by more than their emotions do, which a wide model remembers.
    let all = toy(16, 24, 6);
    let mut strong = Examples::empty(8);
    for i in 0..all.len() {
        let mut stream = Stream::new("voice", all.meta[i].speaker[1..].parse::<u64>().unwrap());
        let voice: Vec<f32> = all.row(i).iter().map(|x| x * 0.3 + (3.0 * stream.normal()) as f32).collect();
        strong.push(&voice, all.labels[i], all.meta[i].clone());
    }
    let (train, asked) = halves_within_speakers(&strong, 1);
    let (trained_on, member) =
        (Masks::whole(&who(&train), SHADOWS, 2).unwrap(), Masks::whole(&who(&asked), SHADOWS, 2).unwrap());
    let (trainer, nobody) = (trainer(), Examples::empty(8));
    for (epochs, wins) in [(60, true), (0, false)] {
        let recipe = Recipe { job: job(epochs), federation: None };
        let logits = Design {
            trainer: &trainer,
            recipe: &recipe,
            train: &train,
            trained_on: &trained_on,
            scored: &asked,
            member: &member,
            population: &nobody,
            seed: 4,
        }
        .train(&|| ())
        .unwrap();
        let mut scores = Scores { of: OF_SPEAKER_OVER_SHADOWS, units: Vec::new() };
        for target in 0..SHADOWS {
            let (view, truth) = logits.leave_one_out(target);
            let values = lira_online(&view.clips, Variance::Pooled);
            for (speaker, score) in by_speaker(&values, &who(&asked), Pool::Sum) {
                let clip = asked.meta.iter().position(|m| m.speaker == speaker).unwrap();
                let run = u32::try_from(target).unwrap();
                let cluster = format!("model {run}");
                let slices = std::collections::BTreeMap::new();
                scores.units.push(crate::scores::Scored {
                    unit: speaker,
                    score,
                    truth: truth[clip],
                    cluster,
                    run,
                    slices,
                });
            }
        }
        let area = records(&scores, 1).unwrap().remove(0);
        assert!(if wins { area.ci95.low > 0.55 } else { at_chance(&area) }, "{epochs}: {area:?}");
    }
}
