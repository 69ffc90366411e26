//! A coordinator that chooses the models: what it gets from clients that train on whatever they are sent, and from clients of this
//! protocol.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests"
)]
mod common;

use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sottovoce_attack::malicious::{ascended, imprint, imprinted_statistic, read_imprint, silenced};
use sottovoce_attack::stats::{Trial, auc_with_interval};
use sottovoce_dp::SeededNoise;
use sottovoce_round::{
    ClientEngine, ClientSetup, ConfigStatement, ProtocolFault, RoundConfig, RoundTerms, RunPlan, Signed, Welcome,
};
use sottovoce_secagg::MaskSuite;
use sottovoce_train::{Device, Trainer};
use sottovoce_types::{AttemptId, ExampleMeta, Examples, FlatParams, ModelSpec, RoundId, RunId, Tick, TrainJob};
use sottovoce_wire::{Encode as _, Frame, Kind};

const WIDTH: usize = 20;
const CLIENTS: usize = 6;
const RUN: RunId = RunId([9; 16]);

fn model() -> ModelSpec {
    ModelSpec::Dnn { inputs: WIDTH, hidden: vec![64], classes: 4 }
}

fn clips(seed: u64, n: u16) -> Examples {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut normal = || (0..12).map(|_| f64::from(rng.next_u32()) / f64::from(u32::MAX)).sum::<f64>() - 6.0;
    let mut data = Examples::empty(WIDTH);
    for clip in 0..n {
        let x: Vec<f32> = (0..WIDTH).map(|_| normal() as f32).collect();
        data.push(&x, clip % 4, ExampleMeta::default());
    }
    data
}

fn trainer() -> Trainer {
    Trainer::new(model(), Device::Cpu).unwrap()
}

/// One full-batch step.
fn one_step() -> TrainJob {
    TrainJob { epochs: 1, batch: 64, learning_rate: 0.1, ..TrainJob::default() }
}

/// A client whose checks are off: it trains from whatever model it is handed. Secure aggregation gives the coordinator the exact sum of what such
/// clients return.
fn unchecked(models: &[FlatParams], sites: &[Examples]) -> Vec<f64> {
    let mut sum = vec![0.0; models[0].values().len()];
    for (model, data) in models.iter().zip(sites) {
        let update = trainer().train(model, data, &one_step()).unwrap();
        sum.iter_mut().zip(&update.values).for_each(|(s, v)| *s += f64::from(*v));
    }
    sum
}

/// A client of this protocol in a run of `plan`, greeted by its coordinator.
fn checked(plan: &Arc<RunPlan>) -> ClientEngine {
    let mut client = ClientEngine::new(ClientSetup {
        plan: Arc::clone(plan),
        identity: common::identity(1),
        noise: Box::new(SeededNoise::new([1; 32])),
        seed: [51; 32],
        history: Vec::new(),
        allow_plain: false,
    })
    .unwrap();
    client.handle_connect(Tick(0));
    assert_eq!(client.poll_transmit().unwrap().kind, Kind::Hello);
    let welcome = Welcome { plan: plan.digest(), last_input: Default::default(), published: 0 };
    client.handle_frame(Tick(0), &frame(Kind::Welcome, 1, 0, welcome.to_bytes())).unwrap();
    client
}

fn frame(kind: Kind, round: u64, attempt: u32, body: Vec<u8>) -> Frame {
    Frame { kind, run: RUN, round: RoundId(round), attempt: AttemptId(attempt), body: body.into() }
}

/// The coordinator's signed word that round 1 begins from this model. It is all that it can send: models do not travel.
fn begins_from(plan: &RunPlan, model: &FlatParams) -> Frame {
    let terms = RoundTerms::first(plan);
    let statement = ConfigStatement::of(plan, RUN, RoundId(1), AttemptId(1), model.digest(), &terms);
    let Signed { statement, signature } = Signed::by(statement, &common::identity(100));
    let config = RoundConfig { model: statement.model, terms: statement.terms, signature };
    frame(Kind::RoundConfig, 1, 1, config.to_bytes())
}

fn plan() -> Arc<RunPlan> {
    let sites: Vec<Examples> = (0..4).map(|i| clips(i, 2)).collect();
    common::run(common::spec(model(), one_step(), 1, MaskSuite::Aes256Ctr), &sites).2
}

#[test]
fn an_imprinted_layer_reads_single_clips_out_of_the_sum_of_clients_that_do_not_check() {
    let sites: Vec<Examples> = (0..CLIENTS as u64).map(|i| clips(i, 4)).collect();
    let public = clips(99, 500);
    let statistic: Vec<f64> = (0..public.len()).map(|i| imprinted_statistic(public.row(i))).collect();
    let mean = statistic.iter().sum::<f64>() / 500.0;
    let deviation = (statistic.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 500.0).sqrt();
    let trap = imprint(&model(), (mean, deviation)).unwrap();
    let sum = unchecked(&vec![trap; CLIENTS], &sites);
    let read = read_imprint(&model(), &sum, 1e-4);
    let truths: Vec<Vec<f64>> =
        sites.iter().flat_map(|s| (0..s.len()).map(|i| s.row(i).iter().map(|&v| f64::from(v)).collect())).collect();
    let apart = |a: &Vec<f64>, b: &Vec<f64>| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / WIDTH as f64;
    let hits = truths.iter().filter(|x| read.iter().any(|r| apart(r, x) < 1e-3)).count();
    println!("R4: {hits} of {} clips read out of the sum of {CLIENTS} clients", truths.len());
    assert!(hits >= truths.len() / 3, "{hits} of {}", truths.len());
    // From an honest model the same reading finds none.
    let sum = unchecked(&vec![model().initialise(5); CLIENTS], &sites);
    let read = read_imprint(&model(), &sum, 1e-4);
    assert!(truths.iter().all(|x| read.iter().all(|r| apart(r, x) > 1e-3)));
}

#[test]
fn dead_models_for_the_others_leave_one_clients_update_in_the_sum_of_clients_that_do_not_check() {
    let sites: Vec<Examples> = (0..CLIENTS as u64).map(|i| clips(i, 4)).collect();
    let honest = model().initialise(5);
    let mut models = vec![silenced(&honest); CLIENTS];
    models[2] = honest.clone();
    let sum = unchecked(&models, &sites);
    let alone = trainer().train(&honest, &sites[2], &one_step()).unwrap();
    let layer = WIDTH * 64 + 64;
    assert!(alone.values[..layer].iter().any(|v| v.abs() > 1e-4));
    assert!(sum[..layer].iter().zip(&alone.values).all(|(s, a)| (s - f64::from(*a)).abs() < 1e-9));
    // With one model for all, it is not there.
    let fair = unchecked(&vec![honest; CLIENTS], &sites);
    assert!(fair[..layer].iter().zip(&alone.values).any(|(s, a)| (s - f64::from(*a)).abs() > 1e-3));
}

#[test]
fn a_model_that_climbed_a_clips_loss_tells_whether_a_client_that_does_not_check_has_the_clip() {
    let start = model().initialise(5);
    let trainer = trainer();
    let job = TrainJob { epochs: 5, batch: 4, ..one_step() };
    let mut trials = Vec::new();
    for client in 0..5u64 {
        let (own, strangers) = (clips(client, 8), clips(1000 + client, 8));
        for (data, positive) in [(&own, true), (&strangers, false)] {
            for i in 0..data.len() {
                let clip = data.select(&[i]);
                let climbed = ascended(&trainer, &start, &clip, 0.5).unwrap();
                let loss = |m: &FlatParams| trainer.losses(m, &clip).unwrap()[0];
                assert!(loss(&climbed) > loss(&start), "it has climbed");
                let update = trainer.train(&climbed, &own, &job).unwrap();
                let mut after = climbed.clone();
                after.values_mut().iter_mut().zip(&update.values).for_each(|(t, v)| *t += v);
                trials.push(Trial { score: loss(&climbed) - loss(&after), positive, cluster: client.to_string() });
            }
        }
    }
    let found = auc_with_interval(&trials, 1).unwrap();
    println!("M12: AUC {:.3} [{:.3}, {:.3}]", found.value, found.ci95.low, found.ci95.high);
    assert!(found.ci95.low > 0.6, "{found:?}");
}

#[test]
fn claim_clients_train_from_no_model_of_the_coordinators_making() {
    let plan = plan();
    let honest = plan.initial_params();
    let clip = clips(1, 1);
    let traps = [
        ("imprinted", imprint(&model(), (0.0, 1.0)).unwrap()),
        ("silenced", silenced(&honest)),
        ("ascended", ascended(&trainer(), &honest, &clip, 0.5).unwrap()),
    ];
    for (what, trap) in traps {
        let mut client = checked(&plan);
        let fault = client.handle_frame(Tick(0), &begins_from(&plan, &trap)).unwrap_err();
        assert!(matches!(fault, ProtocolFault::WrongModel { .. }), "{what}: {fault}");
        assert!(client.poll_work().is_none() && client.poll_persist().is_none(), "{what}: nothing is trained");
        while let Some(left) = client.poll_transmit() {
            assert_eq!(left.kind, Kind::Abort, "{what}: nothing but a refusal leaves");
        }
    }
    // The model of the plan is trained from: the refusals are not of everything.
    let mut client = checked(&plan);
    client.handle_frame(Tick(0), &begins_from(&plan, &honest)).unwrap();
    assert!(client.poll_persist().is_some());
    let (work, _) = client.poll_work().unwrap();
    assert_eq!(work.params, honest);
    // Another architecture has another layout hash, under the same signature: not even the plan is the same.
    let wider = ModelSpec::Dnn { inputs: WIDTH, hidden: vec![128], classes: 4 };
    assert_ne!(wider.layout().digest(), plan.layout().digest());
    let mut client = checked(&plan);
    let fault = client.handle_frame(Tick(0), &begins_from(&plan, &wider.initialise(5))).unwrap_err();
    assert!(matches!(fault, ProtocolFault::WrongModel { .. }), "{fault}");
}
