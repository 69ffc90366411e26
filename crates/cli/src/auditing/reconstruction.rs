//! Reconstruction (R1, R3, R5) on the run, and its control on clients of one clip.
use std::collections::BTreeMap;

use anyhow::Result;
use sottovoce_attack::Attack as _;
use sottovoce_attack::inversion::{
    Cases, CosineSettings, Inversion, InversionScores, Knowledge, Method, Panel, Role, score,
};
use sottovoce_attack::view::{MaskedTakenForPlain, Observed, ServerPlain};
use sottovoce_round::RunPlan;
use sottovoce_train::{ClientData, Partition, Trainer};
use sottovoce_types::{AttackScore, ClientId, Examples, InputKind, ModelSpec};

use super::{Audited, control};
use crate::output::Output;

/// Clients of the control, one clip each.
const CLIENTS: usize = 12;
/// Frames of a clip that are looked for; of statistics there is one.
const FRAMES: usize = 40;
/// Steps of the descent on frames: each takes three passes through the model.
const ITERATIONS: u32 = 300;
/// Panels of the gallery.
const PANELS: usize = 12;

/// The attack on the run, its control, and what the control recovered.
pub fn audit(audited: &Audited<'_>, output: &Output) -> Result<(Vec<AttackScore>, Vec<Panel>)> {
    let methods = methods(audited.trainer.spec());
    if methods.is_empty() {
        output.remark(format!(
            "reconstruction is not audited: of a {} it is not implemented, only of dnn and cnn",
            audited.trainer.spec().name()
        ));
        return Ok((Vec::new(), Vec::new()));
    }
    let public = first_frames(&audited.partition.test, FRAMES);
    let (mean, deviation) = scale(&public);
    let bar = output.progress("reconstructions", 2 * methods.len() as u64);
    let (mut records, mut gallery) = (Vec::new(), Vec::new());
    for method in methods {
        let case = Case { audited, method, public: &public, mean: &mean, deviation: &deviation };
        records.extend(case.on_the_run()?.scores);
        bar.inc(1);
        let control = case.without_defence()?;
        records.extend(control.scores);
        gallery.extend(control.gallery.into_iter().take(PANELS));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((records, gallery))
}

fn methods(model: &ModelSpec) -> Vec<Method> {
    let cosine =
        CosineSettings { iterations: ITERATIONS, restarts: 1, total_variation: 1e-2, ..CosineSettings::default() };
    match model {
        ModelSpec::Dnn { .. } => {
            vec![Method::Analytic { tolerance: 1e-3 }, Method::Cosine(CosineSettings { iterations: 600, ..cosine })]
        }
        ModelSpec::Cnn { .. } => vec![Method::Cosine(cosine)],
        _ => Vec::new(),
    }
}

struct Case<'a> {
    audited: &'a Audited<'a>,
    method: Method,
    public: &'a Examples,
    mean: &'a [f64],
    deviation: &'a [f64],
}

impl Case<'_> {
    fn frames(&self) -> usize {
        if self.audited.trainer.spec().input_kind() == InputKind::Statistics { 1 } else { FRAMES }
    }

    fn knowledge<'a>(&'a self, trainer: &'a Trainer) -> Knowledge<'a> {
        Knowledge {
            trainer,
            examples: 1,
            frames: self.frames(),
            mean: self.mean.to_vec(),
            deviation: self.deviation.to_vec(),
        }
    }

    /// Every clip of every client is looked for in what its client's bytes give.
    fn on_the_run(&self) -> Result<InversionScores> {
        let (audited, seed) = (self.audited, self.audited.config.run.seed);
        let observed = Observed::new(audited.transcript, std::sync::Arc::new(audited.plan.clone()))?;
        let view = observed.masked_taken_for_plain()?;
        let attack = Inversion::<MaskedTakenForPlain>::new(self.method);
        let found = attack.run(&view, &self.knowledge(audited.trainer), seed)?;
        let truths = clips_of(audited.plan, audited.partition, self.frames());
        Ok(score(attack.describe(), &found, &self.cases(&truths), Role::Attack, seed)?)
    }

    fn without_defence(&self) -> Result<InversionScores> {
        let audited = self.audited;
        let all = first_frames(&audited.partition.pooled(), self.frames());
        let long: Vec<usize> = (0..all.len()).filter(|&i| all.frames(i) == self.frames()).collect();
        let step = (long.len() / CLIENTS).max(1);
        let chosen = long.iter().step_by(step).take(CLIENTS).enumerate();
        let clients: Vec<ClientData> = chosen
            .map(|(i, &clip)| ClientData { name: format!("client-{:02}", i + 1), train: all.select(&[clip]) })
            .collect();
        let mut config = control::config(audited.config, clients.len(), 1)?;
        (config.training.epochs, config.training.steps) = (1, 0);
        let partition = Partition {
            clients,
            test: audited.partition.test.clone(),
            holdout: Examples::empty(all.width),
            leaks: false,
        };
        let (plan, transcript) = control::run(&config, audited.trainer, &partition)?;
        let view = Observed::new(&transcript, plan.clone())?.server_plain()?;
        let attack = Inversion::<ServerPlain>::new(self.method);
        let found = attack.run(&view, &self.knowledge(audited.trainer), config.run.seed)?;
        let truths = clips_of(&plan, &partition, self.frames());
        Ok(score(attack.describe(), &found, &self.cases(&truths), Role::Control, config.run.seed)?)
    }

    fn cases<'a>(&'a self, truths: &'a BTreeMap<ClientId, Examples>) -> Cases<'a> {
        Cases { truths, others: self.public, mean: self.mean, deviation: self.deviation }
    }
}

/// Each client's clips, as far as they are looked for.
fn clips_of(plan: &RunPlan, partition: &Partition, frames: usize) -> BTreeMap<ClientId, Examples> {
    let id = |name: &str| {
        let member = plan.manifest().members().iter().find(|m| m.name == name)?;
        Some(ClientId::of_public_key(&member.public_key.0))
    };
    partition.clients.iter().filter_map(|c| Some((id(&c.name)?, first_frames(&c.train, frames)))).collect()
}

/// The first frames of each clip.
fn first_frames(data: &Examples, frames: usize) -> Examples {
    let mut out = Examples::empty(data.width);
    for i in 0..data.len() {
        let kept = data.frames(i).min(frames) * data.width;
        out.push_with_words(&data.row(i)[..kept], data.words(i).to_vec(), data.labels[i], data.meta[i].clone());
    }
    out
}

/// Mean and standard deviation of each feature over all frames.
fn scale(data: &Examples) -> (Vec<f64>, Vec<f64>) {
    let rows: Vec<&[f32]> = data.features.chunks_exact(data.width.max(1)).collect();
    let n = rows.len().max(1) as f64;
    let one = |j: usize| {
        let mean = rows.iter().map(|r| f64::from(r[j])).sum::<f64>() / n;
        let variance = rows.iter().map(|r| (f64::from(r[j]) - mean).powi(2)).sum::<f64>() / n;
        // A feature that never varies in public speech may vary in a client's.
        (mean, variance.sqrt().max(1e-3))
    };
    (0..data.width).map(one).unzip()
}
