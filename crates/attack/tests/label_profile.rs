//! Label-profile inference by the coordinator: real training, real encoding, and the frames that a simulated run leaves.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_sign_loss, missing_docs, reason = "tests")]
mod common;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sottovoce_attack::Attack as _;
use sottovoce_attack::label_profile::{
    InferSpec, LabelProfile, LabelProfileScores, MeanPrediction, Profiles, Role, Scale, score,
};
use sottovoce_attack::view::Observed;
use sottovoce_round::RunSpec;
use sottovoce_secagg::MaskSuite;
use sottovoce_types::{ExampleMeta, Examples, ModelSpec, Rotation, TrainJob};

const CLIENTS: u8 = 10;
const CLASSES: u16 = 4;
const WIDTH: usize = 6;

/// Clips of one speaker with one dominant emotion, and their true profile.
fn site(rng: &mut ChaCha20Rng, speaker: u8) -> (Examples, Vec<f64>) {
    let mut uniform = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    let mut data = Examples::empty(WIDTH);
    let mut counts = vec![0.0; usize::from(CLASSES)];
    let dominant = u16::from(speaker) % CLASSES;
    let share = 0.35 + 0.4 * uniform();
    for clip in 0..24 {
        let other = (uniform() * f64::from(CLASSES)) as u16 % CLASSES;
        let label = if uniform() < share { dominant } else { other };
        counts[usize::from(label)] += 1.0 / 24.0;
        // A weak signal: the label shifts one coordinate by one standard deviation of the uniform noise.
        let x: Vec<f32> =
            (0..WIDTH).map(|j| (uniform() - 0.5 + if j == usize::from(label) { 0.3 } else { 0.0 }) as f32).collect();
        data.push(
            &x,
            label,
            ExampleMeta { path: format!("{clip}"), speaker: format!("{speaker}"), sex: None, group: None },
        );
    }
    (data, counts)
}

/// A run of three rounds, changed; the attack reads the coordinator's bytes of it.
fn attack(suite: MaskSuite, role: Role, change: impl FnOnce(&mut RunSpec)) -> LabelProfileScores {
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    let (sites, profiles): (Vec<_>, Vec<_>) = (0..CLIENTS).map(|i| site(&mut rng, i)).unzip();
    let truth: Profiles = (0..).map(common::client).zip(profiles).collect();
    let model = ModelSpec::Dnn { inputs: WIDTH, hidden: vec![8], classes: usize::from(CLASSES) };
    let job = TrainJob { epochs: 2, batch: 8, learning_rate: 0.1, ..TrainJob::default() };
    let mut spec = common::spec(model, job, 3, suite);
    change(&mut spec);
    let (_, transcript, plan) = common::run(spec, &sites);
    let observed = Observed::new(&transcript, plan).unwrap();
    let infer =
        InferSpec { classes: usize::from(CLASSES), scale: Scale::Unknown, mean_prediction: MeanPrediction::Uniform };
    let guesses = LabelProfile::new(infer).run(&observed.masked_taken_for_plain().unwrap(), &(), 1).unwrap();
    score(&guesses, &truth, role, 1).unwrap()
}

#[test]
fn claim_coordinator_learns_no_label_profile_with_masks() {
    let found = attack(MaskSuite::Aes256Ctr, Role::Attack, |_| ());
    let ci95 = found.correlation.ci95;
    assert!(ci95.low <= 0.0 && 0.0 <= ci95.high, "{found:?}");
    assert!(found.p_value > 0.01, "{found:?}");
    // Naming the dominant emotion does no better than always naming the most common one.
    assert!(found.top1.ci95.low <= found.top1.chance, "{found:?}");
}

#[test]
fn label_profile_wins_without_masks() {
    let found = attack(MaskSuite::None, Role::ControlWithoutMasks, |_| ());
    assert!(found.correlation.ci95.low > 0.5 && found.p_value < 0.005, "{found:?}");
    assert!(found.top1.ci95.low > found.top1.chance, "{found:?}");
    assert_eq!(found.correlation.control_of.as_deref(), Some("label-profile"));
}

/// Clipped and without noise: 1e-5 of the clipping norm is less than what training differs by.
fn clipped(spec: &mut RunSpec, clip: f64) {
    *spec = common::private(spec.clone(), clip, 0.001);
    spec.clip_bits = 24;
    spec.lanes = sottovoce_types::Lanes::new(1).unwrap();
}

#[test]
fn a_rotation_hides_nothing_from_who_knows_its_public_signs() {
    let found = attack(MaskSuite::None, Role::ControlWithoutMasks, |spec| {
        clipped(spec, 1.0);
        spec.rotation = Rotation::Hadamard;
    });
    assert!(found.correlation.ci95.low > 0.5 && found.p_value < 0.005, "{found:?}");
}

#[test]
fn clipping_alone_does_not_hide_the_label_profile() {
    let found = attack(MaskSuite::None, Role::ControlWithoutMasks, |spec| clipped(spec, 0.05));
    assert!(found.correlation.ci95.low > 0.5 && found.p_value < 0.005, "{found:?}");
}
