use std::sync::Mutex;

use sottovoce_train::Device;
use sottovoce_types::{ExampleMeta, ModelSpec, TrainJob, Unit};

use super::*;
use crate::membership::tests::toy;

fn trainer(hidden: Vec<usize>) -> Trainer {
    Trainer::new(ModelSpec::Dnn { inputs: 8, hidden, classes: 4 }, Device::Cpu).unwrap()
}

fn fedavg() -> std::sync::Arc<dyn Fn() -> ServerStep + Send + Sync> {
    std::sync::Arc::new(|| {
        Box::new(|theta: &mut [f32], mean: &[f32]| theta.iter_mut().zip(mean).for_each(|(t, m)| *t += m))
    })
}

fn federation(data: &Examples, unit: Unit, noise: f64) -> Federation {
    let site = |m: &ExampleMeta| usize::from(m.speaker.as_bytes()[1]) % 2;
    Federation {
        rounds: 3,
        planned: 3,
        sites: data.meta.iter().map(site).collect(),
        unit,
        clips: vec![0.5; 3],
        noise,
        sampling: 1.0,
        server: fedavg(),
        server_name: "fedavg".into(),
    }
}

#[test]
fn phi_is_the_log_odds_of_the_true_class_even_where_its_probability_rounds_to_one() {
    let logits = [1.0, 2.0, 0.5, 80.0, -40.0, 0.0];
    let found = phi(&logits, &[1, 0], 3);
    let p = |z: [f64; 3], y: usize| z[y].exp() / z.iter().map(|z| z.exp()).sum::<f64>();
    let first = p([1.0, 2.0, 0.5], 1);
    assert!((found[0] - (first / (1.0 - first)).ln()).abs() < 1e-9);
    assert!((found[1] - 80.0).abs() < 1e-9, "{found:?}");
}

/// One shadow, by the trainer and by hand.
fn by_hand(trainer: &Trainer, data: &Examples, members: &[usize], f: &Federation, job: &TrainJob) -> Vec<f32> {
    let mut model = trainer.spec().initialise(job.seed);
    for round in 1..=f.rounds {
        let job = job.in_round(round, f.rounds);
        let mut sum = vec![0.0f64; model.values().len()];
        let mut weight = 0.0;
        for site in 0..2 {
            let own: Vec<usize> = members.iter().copied().filter(|&i| f.sites[i] == site).collect();
            let own = data.select(&own);
            let parts = if f.unit == Unit::Speaker { own.by_speaker() } else { vec![("site".to_owned(), own)] };
            for (name, own) in parts {
                let update = sottovoce_train::unit_update(trainer, &model, &job, &name, &own).unwrap();
                let private = f.unit == Unit::Speaker;
                let own_weight = if private { 1.0 } else { own.len() as f64 };
                let factor = if private { (0.5 / update.norm()).min(1.0) } else { own_weight };
                sum.iter_mut().zip(&update.values).for_each(|(s, u)| *s += factor * f64::from(*u));
                weight += own_weight;
            }
        }
        model.values_mut().iter_mut().zip(sum).for_each(|(t, s)| *t += (s / weight) as f32);
    }
    model.values().to_vec()
}

#[test]
fn a_federated_shadow_is_the_federation_of_its_members() {
    let data = toy(4, 10, 3);
    let members: Vec<usize> = (0..data.len()).filter(|i| i % 3 > 0).collect();
    let trainer = trainer(vec![8]);
    let job = TrainJob { epochs: 3, batch: 4, learning_rate: 0.3, seed: 11, ..TrainJob::default() };
    for unit in [Unit::Speaker, Unit::None] {
        let f = federation(&data, unit, 0.0);
        let expected = by_hand(&trainer, &data, &members, &f, &job);
        let recipe = Recipe { job: job.clone(), federation: Some(f) };
        let found = recipe.train(&trainer, &data, &members, 11, &|| ()).unwrap();
        let apart = expected.iter().zip(found.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "{unit:?}: {apart}");
    }
}

#[test]
fn noise_and_clipping_of_a_shadow_are_what_they_are_said_to_be() {
    let data = toy(4, 10, 3);
    let all: Vec<usize> = (0..data.len()).collect();
    let trainer = trainer(vec![16]);
    let job = TrainJob { epochs: 1, learning_rate: 0.0, ..TrainJob::default() };
    // Nothing is learnt at a learning rate of 0: what moves is noise, of standard deviation 2·C/4 a round for three rounds.
    let f = federation(&data, Unit::Speaker, 2.0);
    let recipe = Recipe { job, federation: Some(f) };
    let found = recipe.train(&trainer, &data, &all, 5, &|| ()).unwrap();
    let start = trainer.spec().initialise(5);
    let n = found.values().len() as f64;
    let square = found.values().iter().zip(start.values()).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / n;
    let expected = 2.0 * 0.5 / 4.0 * 3f64.sqrt();
    assert!((square.sqrt() / expected - 1.0).abs() < 0.2, "{} and not {expected}", square.sqrt());
    // One utterance's gradient at most C, times the learning rate, over all of them.
    let mut f = federation(&data, Unit::Utterance, 0.0);
    (f.rounds, f.clips) = (1, vec![1e-3]);
    let recipe = Recipe { job: TrainJob { learning_rate: 0.5, ..TrainJob::default() }, federation: Some(f) };
    let found = recipe.train(&trainer, &data, &all, 5, &|| ()).unwrap();
    let moved = found.values().iter().zip(start.values()).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    assert!(moved > 1e-5 && moved <= 0.5 * 1e-3 * 1.01, "{moved}");
}

#[test]
fn models_that_read_frames_have_shadows_too_and_every_tick_comes() {
    let data = toy(2, 6, 1);
    let masks = Masks::within(&data.meta.iter().map(|m| m.speaker.clone()).collect::<Vec<_>>(), 8, 1).unwrap();
    let spec = ModelSpec::Cnn { inputs: 8, channels: vec![3], kernel: 3, classes: 4 };
    let trainer = Trainer::new(spec, Device::Cpu).unwrap();
    let recipe = Recipe { job: TrainJob::default(), federation: Some(federation(&data, Unit::Speaker, 1.0)) };
    let design = Design {
        trainer: &trainer,
        recipe: &recipe,
        train: &data,
        trained_on: &masks,
        scored: &data,
        member: &masks,
        population: &data,
        seed: 1,
    };
    let ticks = Mutex::new(0);
    let logits = design.train(&|| *ticks.lock().unwrap() += 1).unwrap();
    assert_eq!(*ticks.lock().unwrap(), 8 * recipe.ticks());
    assert_eq!((logits.scored.len(), logits.scored[0].len(), logits.population[7].len()), (8, 12, 12));
    assert_eq!(logits, design.train(&|| ()).unwrap(), "the same seed, the same shadows");
    let other = Masks::within(&vec!["a".to_owned(); 5], 8, 1).unwrap();
    let error = Design { trained_on: &other, ..design }.train(&|| ()).unwrap_err();
    assert_eq!(error, ShadowError::Masks { units: 5, examples: 12 });
}

#[test]
fn all_that_shadows_depend_on_is_in_their_key() {
    let (data, other) = (toy(3, 6, 1), toy(3, 6, 2));
    let who: Vec<String> = data.meta.iter().map(|m| m.speaker.clone()).collect();
    let (masks, others) = (Masks::within(&who, 8, 1).unwrap(), Masks::within(&who, 8, 2).unwrap());
    let (small, wide) = (trainer(vec![4]), trainer(vec![5]));
    let job = TrainJob::default();
    let recipe = |f| Recipe { job: job.clone(), federation: f };
    let (central, federated) = (recipe(None), recipe(Some(federation(&data, Unit::Speaker, 1.0))));
    let noisier = recipe(Some(federation(&data, Unit::Speaker, 2.0)));
    let base = Design {
        trainer: &small,
        recipe: &federated,
        train: &data,
        trained_on: &masks,
        scored: &data,
        member: &masks,
        population: &data,
        seed: 1,
    };
    let again = || Design { ..base };
    let keys = [
        base.key(),
        Design { trainer: &wide, ..again() }.key(),
        Design { recipe: &central, ..again() }.key(),
        Design { recipe: &noisier, ..again() }.key(),
        Design { train: &other, ..again() }.key(),
        Design { scored: &other, ..again() }.key(),
        Design { population: &other, ..again() }.key(),
        Design { trained_on: &others, ..again() }.key(),
        Design { member: &others, ..again() }.key(),
        Design { seed: 2, ..again() }.key(),
    ];
    for (i, a) in keys.iter().enumerate() {
        assert!(keys[..i].iter().all(|b| a != b), "key {i}");
    }
    assert_eq!(again().key(), keys[0]);
}
