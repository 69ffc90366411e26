//! Sex inference from real updates of speakers whose features differ by sex.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests"
)]
mod common;

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sottovoce_attack::attribute::{
    AttributeError, AttributeInference, COHORT, CohortProperty, Knowledge, Role, SEX, Settings, ShadowSpeaker, Shadows,
    sex_record, unit_of,
};
use sottovoce_attack::stats::{Trial, auc_with_interval};
use sottovoce_attack::view::{MaskedTakenForPlain, Observed, ServerPlain};
use sottovoce_attack::{Attack as _, Truth, Truths};
use sottovoce_round::RunSpec;
use sottovoce_secagg::{MaskSuite, honest_floor};
use sottovoce_train::{Device, Trainer};
use sottovoce_types::{AttackScore, ExampleMeta, Examples, ModelSpec, TrainJob};

const WIDTH: usize = 20;
const CLIENTS: usize = 16;

fn model() -> ModelSpec {
    ModelSpec::Dnn { inputs: WIDTH, hidden: vec![16], classes: 3 }
}

/// Thirty clips of a speaker: six features are higher in women, one says the class, and every speaker is somewhere else.
fn speaker(rng: &mut ChaCha20Rng, woman: bool, name: &str) -> Examples {
    let mut normal = || {
        let sum: f64 = (0..12).map(|_| f64::from(rng.next_u32()) / f64::from(u32::MAX)).sum();
        sum - 6.0
    };
    let own: Vec<f64> =
        (0..WIDTH).map(|j| 0.3 * normal() + if j < 6 { if woman { 1.0 } else { -1.0 } } else { 0.0 }).collect();
    let mut data = Examples::empty(WIDTH);
    for clip in 0..30u16 {
        let x: Vec<f32> = own
            .iter()
            .enumerate()
            .map(|(j, m)| (m + normal() + if j == 8 + usize::from(clip % 3) { 1.5 } else { 0.0 }) as f32)
            .collect();
        data.push(
            &x,
            clip % 3,
            ExampleMeta { path: format!("{name}-{clip}"), speaker: name.into(), sex: None, group: None },
        );
    }
    data
}

struct World {
    sites: Vec<Examples>,
    truths: Truths,
    shadows: Vec<ShadowSpeaker>,
}

fn world() -> World {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let sites: Vec<Examples> = (0..CLIENTS).map(|i| speaker(&mut rng, i.is_multiple_of(2), &format!("c{i}"))).collect();
    let truth = |i: usize| Truth { positive: i.is_multiple_of(2), cluster: format!("c{i}"), slices: BTreeMap::new() };
    let truths = (0..CLIENTS).map(|i| (unit_of(common::client(i)), truth(i))).collect();
    let shadow = |i: usize| {
        let name = format!("shadow{i}");
        ShadowSpeaker { data: speaker(&mut rng, i.is_multiple_of(2), &name), positive: i.is_multiple_of(2), name }
    };
    World { sites, truths, shadows: (0..24).map(shadow).collect() }
}

fn settings(shadows: Shadows) -> Settings {
    Settings { rounds: 4, replicas: 3, shadows }
}

fn attack(suite: MaskSuite, shadows: Shadows, change: impl FnOnce(RunSpec) -> RunSpec) -> AttackScore {
    let world = world();
    let job = TrainJob { epochs: 2, batch: 8, learning_rate: 0.05, ..TrainJob::default() };
    let (_, transcript, plan) = common::run(change(common::spec(model(), job, 4, suite)), &world.sites);
    let observed = Observed::new(&transcript, plan).unwrap();
    let trainer = Trainer::new(model(), Device::Cpu).unwrap();
    let aux = Knowledge { trainer: &trainer, speakers: &world.shadows };
    let guesses = if suite == MaskSuite::None {
        let attack = AttributeInference::<ServerPlain>::new(settings(shadows));
        attack.run(&observed.server_plain().unwrap(), &aux, 1).unwrap()
    } else {
        let attack = AttributeInference::<MaskedTakenForPlain>::new(settings(shadows));
        attack.run(&observed.masked_taken_for_plain().unwrap(), &aux, 1).unwrap()
    };
    let scores = guesses.against(&world.truths, 0);
    assert_eq!(scores.units.len(), CLIENTS);
    sex_record(&scores, Role::Attack, "made-up speakers", 1).unwrap()
}

#[test]
fn sex_is_read_off_plain_updates() {
    let found = attack(MaskSuite::None, Shadows::Clean, |s| s);
    println!("A1 plain: {found:?}");
    assert!(found.ci95.low > found.chance + 0.1 && found.attack == SEX, "{found:?}");
}

#[test]
fn claim_masked_updates_of_one_client_say_nothing_of_its_speakers_sex() {
    let found = attack(MaskSuite::Aes256Ctr, Shadows::Clean, |s| s);
    println!("A1 masked: {found:?}");
    assert!(found.ci95.low <= 0.5 && 0.5 <= found.ci95.high, "{found:?}");
}

/// Each client's share of the sum's noise, as a standard deviation.
fn share(clip: f64, z: f64) -> f64 {
    z * clip / f64::from(honest_floor(16, 0)).sqrt()
}

#[test]
fn an_attacker_that_knows_the_noise_does_better_than_one_that_does_not() {
    let (clip, z) = (0.5, 0.15);
    let noise = share(clip, z);
    let private = |s: RunSpec| common::private(s, clip, z);
    let blunt = attack(MaskSuite::None, Shadows::Clean, private);
    let adaptive = attack(MaskSuite::None, Shadows::Adaptive { noise }, private);
    println!("A1 under noise: {:.3}; A2: {:.3} {:?}", blunt.value, adaptive.value, adaptive.ci95);
    assert!(adaptive.value >= blunt.value && adaptive.ci95.low > 0.5, "{blunt:?} {adaptive:?}");
}

#[test]
fn noise_that_is_much_larger_than_updates_leaves_chance_even_to_who_knows_it() {
    let (clip, z) = (0.5, 60.0);
    let found = attack(MaskSuite::None, Shadows::Adaptive { noise: share(clip, z) }, |s| common::private(s, clip, z));
    println!("A2 under heavy noise: {found:?}");
    assert!(found.ci95.low <= 0.5 && 0.5 <= found.ci95.high, "{found:?}");
}

#[test]
fn too_few_shadows_and_empty_views_are_refused() {
    let world = world();
    let trainer = Trainer::new(model(), Device::Cpu).unwrap();
    let job = TrainJob::default();
    let (_, transcript, plan) = common::run(common::spec(model(), job, 1, MaskSuite::None), &world.sites);
    let observed = Observed::new(&transcript, plan.clone()).unwrap();
    let attack = AttributeInference::new(settings(Shadows::Clean));
    let few = Knowledge { trainer: &trainer, speakers: &world.shadows[..3] };
    let refused = attack.run(&observed.server_plain().unwrap(), &few, 1).unwrap_err();
    assert_eq!(refused, AttributeError::TooFewShadows { positives: 2, negatives: 1 });
    let empty = sottovoce_transcript::Transcript::default();
    let nothing = Observed::new(&empty, plan).unwrap().server_plain().unwrap();
    let aux = Knowledge { trainer: &trainer, speakers: &world.shadows };
    assert_eq!(attack.run(&nothing, &aux, 1).unwrap_err(), AttributeError::NothingSeen);
}

/// A cohort of `n` clients, `women` of them women, guessed at from its sums.
fn cohort(seed: u64, n: usize, women: usize, noise: f64) -> f64 {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let sites: Vec<Examples> = (0..n).map(|i| speaker(&mut rng, i < women, &format!("c{i}"))).collect();
    let shadows = world().shadows;
    let job = TrainJob { epochs: 2, batch: 8, learning_rate: 0.05, ..TrainJob::default() };
    let spec = common::spec(model(), job, 2, MaskSuite::Aes256Ctr);
    let spec = if noise > 0.0 { common::private(spec, 0.5, noise) } else { spec };
    let (_, transcript, plan) = common::run(spec, &sites);
    let view = Observed::new(&transcript, plan).unwrap().server_secagg().unwrap();
    let trainer = Trainer::new(model(), Device::Cpu).unwrap();
    let aux = Knowledge { trainer: &trainer, speakers: &shadows };
    let attack = CohortProperty { rounds: 2, noise: noise * 0.5 / n as f64 };
    let guesses = attack.run(&view, &aux, seed).unwrap();
    assert_eq!((guesses.scores.len(), guesses.scores[0].0.as_str()), (1, COHORT));
    guesses.scores[0].1
}

#[test]
fn sums_of_few_clients_still_say_of_what_sex_most_are_and_noise_hides_it() {
    let score = |noise: f64| {
        let trials: Vec<Trial> = (0..12)
            .map(|i| {
                let women = if i % 2 == 0 { 4 } else { 0 };
                Trial { score: cohort(100 + i, 4, women, noise), positive: women > 0, cluster: i.to_string() }
            })
            .collect();
        auc_with_interval(&trials, 1).unwrap()
    };
    let (clean, noisy) = (score(0.0), score(60.0));
    println!(
        "A3: AUC {:.3} [{:.3}, {:.3}] without noise, {:.3} [{:.3}, {:.3}] with",
        clean.value, clean.ci95.low, clean.ci95.high, noisy.value, noisy.ci95.low, noisy.ci95.high
    );
    assert!(clean.ci95.low > 0.6, "{clean:?}");
    assert!(noisy.ci95.low <= 0.5, "{noisy:?}");
}
