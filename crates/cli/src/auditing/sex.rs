//! Sex inference (A1, A2) on the run, and its control on federations of one speaker a client.
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use sottovoce_attack::attribute::{
    AttributeInference, Knowledge, Role, Settings, ShadowSpeaker, Shadows, sex_record, unit_of,
};
use sottovoce_attack::scores::Scores;
use sottovoce_attack::view::{MaskedTakenForPlain, Observed, ServerPlain};
use sottovoce_attack::{Attack as _, Truth, Truths};
use sottovoce_config::{PartitionMode, Split, TestSpeakers};
use sottovoce_round::RunPlan;
use sottovoce_secagg::honest_floor;
use sottovoce_train::Partition;
use sottovoce_types::{AttackScore, ClientId, Examples, Sex, Sha256Writer, Standardisation};

use super::{Audited, control};
use crate::output::Output;
use crate::{federation, speech};

/// Rounds of a client's updates that the attack averages.
const ROUNDS: usize = 8;
/// Shadow clients made of each shadow speaker.
const REPLICAS: usize = 4;
/// Times that the speakers are cut into clients and shadows anew; each time both halves are attacked.
const REPEATS: u64 = 3;

/// The attack on the run, and its control.
pub fn audit(audited: &Audited<'_>, workspace: &Path, output: &Output) -> Result<Vec<AttackScore>> {
    let mut scores = on_the_run(audited, output)?;
    scores.extend(without_defence(audited, workspace, output)?);
    Ok(scores)
}

fn settings(shadows: Shadows) -> Settings {
    Settings { rounds: ROUNDS, replicas: REPLICAS, shadows }
}

/// On the bytes that each client sent in this run; shadows are its test speakers.
fn on_the_run(audited: &Audited<'_>, output: &Output) -> Result<Vec<AttackScore>> {
    let shadows = speakers(&audited.partition.test);
    let truths = truths(audited.plan, audited.partition);
    let observed = Observed::new(audited.transcript, std::sync::Arc::new(audited.plan.clone()))?;
    let view = observed.masked_taken_for_plain()?;
    let aux = Knowledge { trainer: audited.trainer, speakers: &shadows };
    let mut kinds = vec![Shadows::Clean];
    if let Some(noise) = noise_of_one_client(audited.plan) {
        kinds.push(Shadows::Adaptive { noise });
    }
    let mut records = Vec::new();
    for kind in kinds {
        let attack = AttributeInference::<MaskedTakenForPlain>::new(settings(kind));
        let found = attack.run(&view, &aux, audited.config.run.seed).map_err(anyhow::Error::from).and_then(|guesses| {
            let scores = guesses.against(&truths, 0);
            let note = "a client of several speakers counts where they are of one sex";
            Ok(sex_record(&scores, Role::Attack, note, audited.config.run.seed)?)
        });
        match found {
            Ok(record) => records.push(record),
            Err(error) => output.remark(format!("sex is not inferred on this run, only in the control: {error}")),
        }
    }
    Ok(records)
}

/// Speakers cut in two, one half as clients and the other as shadows, and the other way round; features on a public scale, because a
/// scale of each speaker's own takes away most of what tells the sexes apart.
fn without_defence(audited: &Audited<'_>, workspace: &Path, output: &Output) -> Result<Vec<AttackScore>> {
    let mut config = audited.config.clone();
    config.features.standardisation = Standardisation::Public;
    let data = speech::load(&config, workspace, output)?.examples(&config);
    let data = data.filter(|m| m.sex.is_some());
    let all = speakers(&data);
    let enough = |positive: bool| all.iter().filter(|s| s.positive == positive).count() >= 4;
    if !enough(true) || !enough(false) {
        output.remark("sex inference has no control: the corpus has fewer than 4 speakers of known sex on a side");
        return Ok(Vec::new());
    }
    let bar = output.progress("federations for sex inference", 2 * REPEATS);
    let mut pooled: Option<Scores> = None;
    for repeat in 0..REPEATS {
        for half in halves(&all, repeat) {
            let clients = all.len() - half.len();
            let rounds = u64::try_from(ROUNDS)?;
            let mut own = control::config(&config, clients, rounds)?;
            own.run.seed = config.run.seed.wrapping_add(repeat);
            own.partition = sottovoce_config::Partition {
                mode: PartitionMode::Speakers,
                clients: u32::try_from(clients)?,
                speakers_per_client: 1,
                split: Split::Speaker,
                test_speakers: TestSpeakers::Named(half),
                holdout_fraction: 0.0,
                folds: 0,
                ..own.partition
            };
            let partition = federation::partition(&own, &data)?;
            let (plan, transcript) = control::run(&own, audited.trainer, &partition)?;
            let observed = Observed::new(&transcript, plan.clone())?;
            let shadows = speakers(&partition.test);
            let aux = Knowledge { trainer: audited.trainer, speakers: &shadows };
            let attack = AttributeInference::<ServerPlain>::new(settings(Shadows::Clean));
            let guesses = attack.run(&observed.server_plain()?, &aux, own.run.seed)?;
            let scores = guesses.against(&truths(&plan, &partition), u32::try_from(repeat)?);
            match &mut pooled {
                Some(pooled) => pooled.units.extend(scores.units),
                None => pooled = Some(scores),
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let Some(pooled) = pooled else { return Ok(Vec::new()) };
    let note = format!("{} federations of one speaker a client, features on a public scale", 2 * REPEATS);
    Ok(vec![sex_record(&pooled, Role::Control, &note, config.run.seed)?])
}

/// The two halves of the speakers, each with half of the women and half of the men.
fn halves(all: &[ShadowSpeaker], repeat: u64) -> [Vec<String>; 2] {
    let mut halves = [Vec::new(), Vec::new()];
    for positive in [true, false] {
        let mut names: Vec<&String> = all.iter().filter(|s| s.positive == positive).map(|s| &s.name).collect();
        let key = |name: &String| {
            Sha256Writer::new("sottovoce/1/audit/halves").number(repeat).field(name.as_bytes()).finish().0
        };
        names.sort_by_key(|name| key(name));
        for (i, name) in names.into_iter().enumerate() {
            halves[i % 2].push(name.clone());
        }
    }
    halves
}

/// The speakers of known sex.
fn speakers(data: &Examples) -> Vec<ShadowSpeaker> {
    let of_known_sex = |(name, data): (String, Examples)| {
        let sex = data.meta.first()?.sex?;
        Some(ShadowSpeaker { name, positive: sex == Sex::Female, data })
    };
    data.by_speaker().into_iter().filter_map(of_known_sex).collect()
}

/// Clients whose speakers are all of one known sex.
fn truths(plan: &RunPlan, partition: &Partition) -> Truths {
    let ids: BTreeMap<&str, ClientId> =
        plan.manifest().members().iter().map(|m| (m.name.as_str(), ClientId::of_public_key(&m.public_key.0))).collect();
    let truth = |client: &sottovoce_train::ClientData| {
        let first = client.train.meta.first()?;
        let sex = first.sex?;
        let one_sex = client.train.meta.iter().all(|m| m.sex == Some(sex));
        let speakers = client.train.speakers().join("+");
        let truth = Truth { positive: sex == Sex::Female, cluster: speakers, slices: BTreeMap::new() };
        one_sex.then_some((unit_of(*ids.get(client.name.as_str())?), truth))
    };
    partition.clients.iter().filter_map(truth).collect()
}

/// The standard deviation of the noise in each parameter of one client's mean update, at the smallest share that the plan allows;
/// `None` without noise.
fn noise_of_one_client(plan: &RunPlan) -> Option<f64> {
    let (spec, privacy) = (plan.spec(), plan.spec().privacy?);
    let members = u32::try_from(plan.manifest().len()).ok()?;
    let honest = f64::from(honest_floor(members, spec.max_corrupt).max(1));
    let units = plan.total_units() as f64 / f64::from(members.max(1));
    Some(privacy.noise_multiplier.value() * spec.clip.value() / honest.sqrt() / units.max(1.0))
}
