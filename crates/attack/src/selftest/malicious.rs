//! A coordinator that chooses the models (R4, M12): what it reads from clients whose checks are off, and that clients of this protocol refuse.
use std::error::Error;
use std::sync::Arc;

use serde::Serialize;
use sottovoce_dp::SeededNoise;
use sottovoce_round::{
    ClientEngine, ClientSetup, ConfigStatement, Deadlines, Manifest, Member, ProtocolFault, PublicKey, RoundConfig,
    RoundTerms, RunPlan, RunSpec, ServerSpec, Signed, Welcome,
};
use sottovoce_secagg::{Identity, KeyAgreement, MaskSuite, graph::MaskGraph};
use sottovoce_train::{Device, TrainError, Trainer};
use sottovoce_types::{
    AttemptId, ClipNorm, Digest, ExampleMeta, Examples, FlatParams, Lanes, ModelSpec, NoiseRemoval, Rotation, RoundId,
    RunId, Tick, TrainJob, Unit,
};
use sottovoce_wire::{Encode as _, Frame, Kind};

use crate::malicious::{ascended, imprint, imprinted_statistic, read_imprint, silenced};
use crate::random::Stream;
use crate::stats::{Trial, auc_with_interval};

const WIDTH: usize = 20;
const HIDDEN: usize = 64;
const CLIENTS: usize = 6;
/// Clips of a client.
const CLIPS: usize = 4;
const RUN: RunId = RunId([9; 16]);

/// One kind of model that a coordinator might send.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MaliciousRow {
    /// Which attack.
    pub attack: &'static str,
    /// What it read from clients that train on whatever they are sent.
    pub unchecked: String,
    /// Whether it worked there, as it must: else the refusal protects from nothing.
    pub works: bool,
    /// In whose words a client of this protocol refuses; `None` where it does not.
    pub refused: Option<String>,
}

impl MaliciousRow {
    /// Whether it works without the check and is refused with it.
    pub fn as_expected(&self) -> bool {
        self.works && self.refused.is_some()
    }
}

/// Why the attacks could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the malicious coordinator could not be set up: {0}")]
pub struct MaliciousError(#[from] Box<dyn Error + Send + Sync>);

/// Each attack against clients without checks, and against a client of this protocol.
///
/// # Errors
/// [`MaliciousError`] when a model does not fit, or a client cannot be made.
pub fn malicious(seed: u64) -> Result<Vec<MaliciousRow>, MaliciousError> {
    let boxed = |e: TrainError| MaliciousError(Box::new(e));
    let trainer = Trainer::new(model(), Device::Cpu).map_err(|e| MaliciousError(Box::new(e)))?;
    let plan = plan()?;
    let honest = plan.initial_params();
    let sites: Vec<Examples> = (0..CLIENTS).map(|i| clips(seed, i, CLIPS)).collect();
    let clip = sites[0].select(&[0]);
    let public = clips(seed, 99, 500);
    let statistic: Vec<f64> = (0..public.len()).map(|i| imprinted_statistic(public.row(i))).collect();
    let mean = statistic.iter().sum::<f64>() / statistic.len() as f64;
    let deviation = (statistic.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / statistic.len() as f64).sqrt();
    let trap = imprint(&model(), (mean, deviation)).unwrap_or_else(|| honest.clone());
    let climbed = ascended(&trainer, &honest, &clip, 0.5).map_err(boxed)?;
    let rows = [
        ("imprint (R4)", imprinted(&trainer, &trap, &sites).map_err(boxed)?, trap),
        ("model inconsistency", inconsistent(&trainer, &honest, &sites).map_err(boxed)?, silenced(&honest)),
        ("gradient ascent (M12)", climbing(&trainer, &honest, seed).map_err(boxed)?, climbed),
    ];
    rows.into_iter()
        .map(|(attack, (unchecked, works), trap)| {
            let refused = refusal(&plan, &trap)?.map(|fault| fault.to_string());
            Ok(MaliciousRow { attack, unchecked, works, refused })
        })
        .collect()
}

fn model() -> ModelSpec {
    ModelSpec::Dnn { inputs: WIDTH, hidden: vec![HIDDEN], classes: 4 }
}

fn clips(seed: u64, site: usize, n: usize) -> Examples {
    let mut stream = Stream::new("selftest-malicious", seed.wrapping_mul(1000).wrapping_add(site as u64));
    let mut data = Examples::empty(WIDTH);
    for clip in 0..n {
        let x: Vec<f32> = (0..WIDTH).map(|_| stream.normal() as f32).collect();
        data.push(&x, (clip % 4) as u16, ExampleMeta::default());
    }
    data
}

/// One full-batch step.
fn one_step() -> TrainJob {
    TrainJob { epochs: 1, batch: 64, learning_rate: 0.1, ..TrainJob::default() }
}

/// What secure aggregation opens of clients that train from whatever they are handed: the exact sum.
fn sum_of(trainer: &Trainer, models: &[&FlatParams], sites: &[Examples]) -> Result<Vec<f64>, TrainError> {
    let mut sum = vec![0.0; models[0].values().len()];
    for (model, data) in models.iter().zip(sites) {
        let update = trainer.train(model, data, &one_step())?;
        sum.iter_mut().zip(&update.values).for_each(|(s, v)| *s += f64::from(*v));
    }
    Ok(sum)
}

fn imprinted(trainer: &Trainer, trap: &FlatParams, sites: &[Examples]) -> Result<(String, bool), TrainError> {
    let read = read_imprint(&model(), &sum_of(trainer, &vec![trap; sites.len()], sites)?, 1e-4);
    let found = |x: &[f32]| {
        let apart =
            |r: &Vec<f64>| r.iter().zip(x).map(|(r, x)| (r - f64::from(*x)).powi(2)).sum::<f64>() / WIDTH as f64;
        read.iter().any(|r| apart(r) < 1e-3)
    };
    let all: usize = sites.iter().map(Examples::len).sum();
    let hits = sites.iter().flat_map(|s| (0..s.len()).map(move |i| s.row(i))).filter(|x| found(x)).count();
    Ok((format!("{hits} of {all} clips out of the sum of {} clients", sites.len()), 3 * hits >= all))
}

fn inconsistent(trainer: &Trainer, honest: &FlatParams, sites: &[Examples]) -> Result<(String, bool), TrainError> {
    let dead = silenced(honest);
    let mut models = vec![&dead; sites.len()];
    models[2] = honest;
    let sum = sum_of(trainer, &models, sites)?;
    let alone = trainer.train(honest, &sites[2], &one_step())?;
    let layer = WIDTH * HIDDEN + HIDDEN;
    let worst = sum[..layer].iter().zip(&alone.values).map(|(s, a)| (s - f64::from(*a)).abs()).fold(0.0, f64::max);
    let moved = alone.values[..layer].iter().any(|v| v.abs() > 1e-4);
    Ok((format!("one client's first layer out of the sum, to {worst:.1e}"), moved && worst < 1e-9))
}

fn climbing(trainer: &Trainer, honest: &FlatParams, seed: u64) -> Result<(String, bool), TrainError> {
    let job = TrainJob { epochs: 5, batch: 4, ..one_step() };
    let mut trials = Vec::new();
    for client in 0..5usize {
        let (own, strangers) = (clips(seed, client, 8), clips(seed, 200 + client, 8));
        for (data, positive) in [(&own, true), (&strangers, false)] {
            for i in 0..data.len() {
                let clip = data.select(&[i]);
                let climbed = ascended(trainer, honest, &clip, 0.5)?;
                let update = trainer.train(&climbed, &own, &job)?;
                let mut after = climbed.clone();
                after.values_mut().iter_mut().zip(&update.values).for_each(|(t, v)| *t += v);
                let loss = |m: &FlatParams| trainer.losses(m, &clip).map(|l| l.first().copied().unwrap_or(f64::NAN));
                let score = loss(&climbed).unwrap_or(f64::NAN) - loss(&after).unwrap_or(f64::NAN);
                trials.push(Trial { score, positive, cluster: client.to_string() });
            }
        }
    }
    Ok(match auc_with_interval(&trials, seed) {
        Ok(auc) => (
            format!("who has a clip: AUC {:.2} ({:.2} to {:.2})", auc.value, auc.ci95.low, auc.ci95.high),
            auc.ci95.low > 0.5,
        ),
        Err(error) => (error.to_string(), false),
    })
}

fn identity(i: u8) -> Identity {
    Identity::from_seed([i; 32])
}

fn plan() -> Result<Arc<RunPlan>, MaliciousError> {
    let spec = RunSpec {
        name: "attacked".into(),
        rounds: 1,
        model: model(),
        init_seed: 5,
        job: one_step(),
        features: Digest::default(),
        unit: Unit::None,
        clip: ClipNorm::new(64.0).map_err(|e| MaliciousError(Box::new(e)))?,
        clip_bits: 38,
        lanes: Lanes::new(1).expect("1 lane exists"),
        rotation: Rotation::None,
        privacy: None,
        n_min: 3,
        max_corrupt: 0,
        graph: MaskGraph::Complete,
        suite: MaskSuite::Aes256Ctr,
        key_agreement: KeyAgreement::X25519,
        audit_chunks: 0,
        noise_removal: NoiseRemoval::None,
        deadlines: Deadlines { join_ms: 1_000, advert_ms: 5_000, phase_ms: 1_000 },
        adaptive_clip: None,
        server: ServerSpec::default(),
        max_attempts: 3,
    };
    let key = |i: u8| PublicKey(identity(i).public_key());
    let members = (1..=4).map(|i| Member { name: format!("site {i}"), public_key: key(i), units: 1 }).collect();
    let manifest = Manifest::new("attacked".into(), key(100), members).map_err(|e| MaliciousError(Box::new(e)))?;
    Ok(Arc::new(RunPlan::new(spec, Arc::new(manifest)).map_err(|e| MaliciousError(Box::new(e)))?))
}

fn frame(kind: Kind, round: u64, attempt: u32, body: Vec<u8>) -> Frame {
    Frame { kind, run: RUN, round: RoundId(round), attempt: AttemptId(attempt), body: body.into() }
}

/// In whose words a client of `plan` refuses the coordinator's signed word that round 1 begins from `trap`.
fn refusal(plan: &Arc<RunPlan>, trap: &FlatParams) -> Result<Option<ProtocolFault>, MaliciousError> {
    let setup = ClientSetup {
        plan: Arc::clone(plan),
        identity: identity(1),
        noise: Box::new(SeededNoise::new([1; 32])),
        seed: [51; 32],
        history: Vec::new(),
        allow_plain: false,
    };
    let mut client = ClientEngine::new(setup).map_err(|e| MaliciousError(Box::new(e)))?;
    client.handle_connect(Tick(0));
    while client.poll_transmit().is_some() {}
    let welcome = Welcome { plan: plan.digest(), last_input: Default::default(), published: 0 };
    let welcome = frame(Kind::Welcome, 1, 0, welcome.to_bytes());
    client.handle_frame(Tick(0), &welcome).map_err(|e| MaliciousError(Box::new(e)))?;
    let terms = RoundTerms::first(plan);
    let statement = ConfigStatement::of(plan, RUN, RoundId(1), AttemptId(1), trap.digest(), &terms);
    let Signed { statement, signature } = Signed::by(statement, &identity(100));
    let config = RoundConfig { model: statement.model, terms: statement.terms, signature };
    let answer = client.handle_frame(Tick(0), &frame(Kind::RoundConfig, 1, 1, config.to_bytes()));
    // A fault after which the client trained all the same would be no refusal.
    Ok(answer.err().filter(|_| client.poll_work().is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_works_without_the_check_and_is_refused_with_it_and_the_plans_own_model_is_not() {
        for row in malicious(1).unwrap() {
            assert!(row.as_expected(), "{row:?}");
        }
        // The refusal is not of everything.
        let plan = plan().unwrap();
        assert!(refusal(&plan, &plan.initial_params()).unwrap().is_none());
    }
}
