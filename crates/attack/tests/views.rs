//! Which views a transcript yields, and what is in them.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs, reason = "tests")]
mod common;

use std::collections::BTreeMap;

use sottovoce_attack::Attack as _;
use sottovoce_attack::distinguisher::{Distinguisher, DistinguisherError, Knowledge};
use sottovoce_attack::view::{Contribution, Observed, SingleUpdates as _, ViewError};
use sottovoce_secagg::MaskSuite;
use sottovoce_train::{Device, Trainer, unit_update};
use sottovoce_transcript::Transcript;
use sottovoce_types::{ExampleMeta, Examples, ModelSpec, RoundId, TrainJob, Update, Vantage};

const MODEL: fn() -> ModelSpec = || ModelSpec::Dnn { inputs: 3, hidden: vec![4], classes: 2 };

fn sites(n: u16) -> Vec<Examples> {
    let site = |i: u16| {
        let mut data = Examples::empty(3);
        for clip in 0..4u16 {
            let x = [f32::from(i), f32::from(clip), 1.0].map(|v| v * 0.3 - 0.5);
            data.push(&x, (i + clip) % 2, ExampleMeta::default());
        }
        data
    };
    (0..n).map(site).collect()
}

fn job() -> TrainJob {
    TrainJob { epochs: 1, batch: 2, learning_rate: 0.2, ..TrainJob::default() }
}

/// What the site at place `i` trained, from a model.
fn trained(model: &sottovoce_types::FlatParams, i: usize) -> Update {
    let trainer = Trainer::new(MODEL(), Device::Cpu).unwrap();
    unit_update(&trainer, model, &job(), &format!("site {}", i + 1), &sites(5)[i]).unwrap()
}

fn close(a: &[f64], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - f64::from(*b)).abs() < 1e-6)
}

#[test]
fn without_masks_the_coordinator_sees_what_each_client_trained() {
    let (outcome, transcript, plan) = common::run(common::spec(MODEL(), job(), 2, MaskSuite::None), &sites(5));
    let observed = Observed::new(&transcript, plan).unwrap();
    let plain = observed.server_plain().unwrap();
    assert_eq!(plain.updates().len(), 10);
    for update in plain.updates() {
        let i = (0..5).find(|&i| common::client(i) == update.client).unwrap();
        let start = plain.start(update.round).unwrap();
        assert!(close(&update.values, &trained(&start.model, i).values), "client {i}, round {:?}", update.round);
    }
    // The models are those of the run, and the released one is the last.
    let models: Vec<_> = plain.starts().iter().map(|s| s.model.clone()).collect();
    assert_eq!(models, outcome.models);
    assert_eq!(observed.final_model().model(), outcome.models.last().unwrap());
    // A weaker view would understate it.
    assert!(matches!(observed.server_secagg(), Err(ViewError::NotMasked)));
    let auditor = observed.auditor().unwrap();
    assert!(auditor.plain().is_some() && auditor.sums().len() == 2 && auditor.vantage() == Vantage::Auditor);
    // The same bytes read without being told that they are plain.
    assert_eq!(observed.masked_taken_for_plain().unwrap().updates(), plain.updates());
}

#[test]
fn with_masks_it_sees_sums_and_who_is_in_them_and_no_view_of_single_updates_can_be_had() {
    let (outcome, transcript, plan) = common::run(common::spec(MODEL(), job(), 2, MaskSuite::Aes256Ctr), &sites(5));
    let observed = Observed::new(&transcript, plan).unwrap();
    let refused = observed.server_plain().unwrap_err();
    assert!(refused.to_string().contains("aes-256-ctr") && refused.to_string().contains("server_secagg"), "{refused}");
    let view = observed.server_secagg().unwrap();
    assert_eq!((view.sums().len(), view.vantage()), (2, Vantage::Coordinator));
    for sum in view.sums() {
        assert_eq!(sum.cohort.len(), 5);
        let model = &view.start(sum.round).unwrap().model;
        let mean: Vec<f32> =
            (0..model.values().len()).map(|j| (0..5).map(|i| trained(model, i).values[j]).sum::<f32>() / 5.0).collect();
        assert!(sum.mean().iter().zip(&mean).all(|(a, b)| (a - f64::from(*b)).abs() < 1e-5));
    }
    assert_eq!(view.starts().last().unwrap().model, *outcome.models.last().unwrap());
    // The bytes taken for plain are nobody's update.
    let masked = observed.masked_taken_for_plain().unwrap();
    let model = &masked.starts()[0].model;
    let of_first = masked.updates().iter().find(|u| u.client == common::client(0)).unwrap();
    assert!(!close(&of_first.values, &trained(model, 0).values));
    assert!(observed.auditor().unwrap().plain().is_none());
}

#[test]
fn colluders_leave_the_sum_of_the_others() {
    let (_, transcript, plan) = common::run(common::spec(MODEL(), job(), 1, MaskSuite::Aes256Ctr), &sites(5));
    let observed = Observed::new(&transcript, plan).unwrap();
    let model = observed.server_secagg().unwrap().starts()[0].model.clone();
    // Each weighs 4 of 4096 examples.
    let weight = 4.0 / 4096.0;
    let own = |i: usize| Contribution {
        values: trained(&model, i).values.iter().map(|&v| weight * f64::from(v)).collect(),
        units: weight,
    };
    let colluders: BTreeMap<_, _> = (1..5).map(|i| ((RoundId(1), common::client(i)), own(i))).collect();
    let view = observed.server_secagg_with(&colluders).unwrap();
    assert_eq!((view.vantage(), view.sums()[0].cohort.as_slice()), (Vantage::Collusion, &[common::client(0)][..]));
    // Of all but one, one is left: secure aggregation hides nobody from everybody else.
    let left = view.sums()[0].mean();
    assert!(left.iter().zip(&trained(&model, 0).values).all(|(a, b)| (a - f64::from(*b)).abs() < 1e-4));
    let stranger = BTreeMap::from([((RoundId(1), common::client(9)), own(1))]);
    assert!(matches!(observed.server_secagg_with(&stranger), Err(ViewError::NotInSum { round: 1, .. })));
    let late = BTreeMap::from([((RoundId(7), common::client(1)), own(1))]);
    assert!(matches!(observed.server_secagg_with(&late), Err(ViewError::NotInSum { round: 7, .. })));
}

#[test]
fn peers_see_models_and_whoever_was_not_there_sees_nothing() {
    let (outcome, transcript, plan) = common::run(common::spec(MODEL(), job(), 2, MaskSuite::Aes256Ctr), &sites(5));
    let observed = Observed::new(&transcript, plan).unwrap();
    let peer = observed.peer(common::client(2)).unwrap();
    assert_eq!((peer.client(), peer.vantage()), (common::client(2), Vantage::PeerClient));
    assert_eq!(peer.starts()[0].model, outcome.models[0]);
    assert!(peer.starts().len() >= 2);
    assert!(matches!(observed.peer(common::client(9)), Err(ViewError::NotThere { .. })));
}

#[test]
fn a_transcript_of_another_run_does_not_follow_from_the_plan() {
    let (_, transcript, _) = common::run(common::spec(MODEL(), job(), 1, MaskSuite::None), &sites(5));
    let other = TrainJob { learning_rate: 0.3, ..job() };
    let (_, _, plan) = common::run(common::spec(MODEL(), other, 1, MaskSuite::None), &sites(5));
    let refused = Observed::new(&transcript, plan.clone()).err().unwrap();
    assert!(matches!(refused, ViewError::Chain { round: 1, .. }), "{refused}");
    // Nothing recorded is a run that has not begun.
    let empty = Transcript::default();
    let observed = Observed::new(&empty, plan).unwrap();
    assert!(observed.server_plain().unwrap().updates().is_empty());
}

#[test]
fn the_distinguisher_reads_a_real_sum_and_names_a_client_that_is_not_in_it() {
    let (_, transcript, plan) = common::run(common::spec(MODEL(), job(), 1, MaskSuite::Aes256Ctr), &sites(5));
    let view = Observed::new(&transcript, plan).unwrap().server_secagg().unwrap();
    let model = &view.starts()[0].model;
    let weight = 4.0 / 4096.0;
    let of = |i: usize| -> Vec<f64> { trained(model, i).values.iter().map(|&v| weight * f64::from(v)).collect() };
    let (absent, present, shadows) = (vec![0.0; of(0).len()], of(0), (1..5).map(of).collect::<Vec<_>>());
    let mut aux = Knowledge {
        victim: common::client(0),
        round: RoundId(1),
        absent: &absent,
        present: &present,
        shadows: &shadows,
        noise_variance: 0.0,
    };
    let told = Distinguisher.run(&view, &aux, 1).unwrap();
    assert!(told.cohort == 5 && told.log_likelihood_ratio > 0.0 && told.d_prime > 0.0, "{told:?}");
    // Noise in the sum hides it: d′ falls.
    aux.noise_variance = 1.0;
    assert!(Distinguisher.run(&view, &aux, 1).unwrap().d_prime < 0.1 * told.d_prime);
    aux.victim = common::client(9);
    assert!(matches!(Distinguisher.run(&view, &aux, 1), Err(DistinguisherError::NotInSum { round: 1, .. })));
}
