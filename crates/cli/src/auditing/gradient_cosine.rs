//! Membership by the direction of a clip's gradient (M10): on the bytes of this run, and on a run without masks as its control.
use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use sottovoce_attack::gradient_cosine::{GradientCosine, Knowledge};
use sottovoce_attack::membership::records;
use sottovoce_attack::scores::{Described, Scores};
use sottovoce_attack::view::{MaskedTakenForPlain, Observed, ServerPlain, SingleUpdates};
use sottovoce_attack::{Attack as _, Truth, Truths};
use sottovoce_round::RunPlan;
use sottovoce_types::{AttackScore, ClientId, Examples};

use super::{Audited, control};
use crate::output::Output;

/// Rounds of the control.
const ROUNDS: u64 = 4;
/// Clips of each client, and as many of the same speakers that were held out.
const CLIPS: usize = 60;

/// Records of the attack and of its control, and the attack's scores.
pub fn audit(audited: &Audited<'_>, output: &Output) -> Result<(Vec<AttackScore>, Vec<Scores>)> {
    if audited.partition.holdout.is_empty() {
        output.remark(
            "membership by gradients is not audited: partition.holdout_fraction = 0 leaves no non-members of the same speakers",
        );
        return Ok((Vec::new(), Vec::new()));
    }
    if audited.partition.clients.len() < 4 {
        output.remark("membership by gradients is not audited: with fewer than 4 clients nobody shows what not having a clip looks like");
        return Ok((Vec::new(), Vec::new()));
    }
    let seed = audited.config.run.seed;
    let observed = Observed::new(audited.transcript, Arc::new(audited.plan.clone()))?;
    let scores = asked::<MaskedTakenForPlain>(audited, &observed.masked_taken_for_plain()?, audited.plan)?;
    let config =
        control::config(audited.config, audited.partition.clients.len(), audited.config.run.rounds.min(ROUNDS))?;
    let (plan, transcript) = control::run(&config, audited.trainer, audited.partition)?;
    let view = Observed::new(&transcript, plan.clone())?.server_plain()?;
    let without = asked::<ServerPlain>(audited, &view, &plan)?;
    let mut all = records(&scores, seed)?;
    let note = "The same attack on the same federation without masks and without noise, and must win.";
    let control = |r: AttackScore| AttackScore { control_of: Some(r.attack.clone()), note: note.to_owned(), ..r };
    all.extend(records(&without, seed)?.into_iter().map(control));
    Ok((all, vec![scores]))
}

/// Every client's clips, and those of its speakers that nobody trained on, against what is seen of the client.
fn asked<V: SingleUpdates>(audited: &Audited<'_>, view: &V, plan: &RunPlan) -> Result<Scores> {
    let attack = GradientCosine::<V>::default();
    let of: Described = attack.describe();
    let mut scores = Scores { of, units: Vec::new() };
    for client in &audited.partition.clients {
        let Some(member) = plan.manifest().members().iter().find(|m| m.name == client.name) else { continue };
        let id = ClientId::of_public_key(&member.public_key.0);
        if !view.clients().contains(&id) {
            // It was lost in every round.
            continue;
        }
        let speakers = client.train.speakers();
        let held = audited.partition.holdout.filter(|m| speakers.contains(&m.speaker));
        let mut clips = spread(&client.train);
        let truths: Truths = clips
            .meta
            .iter()
            .map(|m| (m, true))
            .chain(held.meta.iter().map(|m| (m, false)))
            .map(|(m, positive)| {
                (m.path.clone(), Truth { positive, cluster: m.speaker.clone(), slices: BTreeMap::new() })
            })
            .collect();
        clips.append(&spread(&held));
        let aux = Knowledge { trainer: audited.trainer, client: id, clips: &clips };
        let guesses = attack.run(view, &aux, audited.config.run.seed)?;
        scores.units.extend(guesses.against(&truths, 0).units);
    }
    Ok(scores)
}

/// At most so many clips, from all over.
fn spread(clips: &Examples) -> Examples {
    let step = clips.len().div_ceil(CLIPS).max(1);
    clips.select(&(0..clips.len()).step_by(step).collect::<Vec<_>>())
}
