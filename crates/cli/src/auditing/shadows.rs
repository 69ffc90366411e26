//! Shadow models of one run: trained as it trains, on halves of its own clips, and kept on disk.
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use sottovoce_attack::shadows::{Design, Federation, Masks, Recipe, ServerStep, ShadowLogits};
use sottovoce_round::ServerSteps;
use sottovoce_secagg::honest_floor;
use sottovoce_types::{Examples, InputKind};

use super::Audited;
use crate::exit::usage;
use crate::output::Output;

/// A clipping norm that clips nothing.
const UNCLIPPED: f64 = 1e9;

/// Clips with the site that each lies at.
pub(super) struct Placed {
    pub(super) clips: Examples,
    pub(super) sites: Vec<usize>,
}

impl Placed {
    /// The clips that the run trained on, and then `more`; of the latter each at the site of its speaker, and those of speakers that no site
    /// has at one site after the other.
    pub(super) fn of(audited: &Audited<'_>, more: &Examples) -> Self {
        let clients = &audited.partition.clients;
        let mut clips = audited.partition.pooled();
        let mut sites: Vec<usize> =
            clients.iter().enumerate().flat_map(|(k, c)| std::iter::repeat_n(k, c.train.len())).collect();
        let strangers = more.speakers();
        let site_of = |speaker: &String| {
            let own = clients.iter().position(|c| c.train.meta.iter().any(|m| m.speaker == *speaker));
            own.unwrap_or_else(|| strangers.iter().position(|s| s == speaker).unwrap_or(0) % clients.len().max(1))
        };
        let by_speaker: Vec<(String, usize)> = strangers.iter().map(|s| (s.clone(), site_of(s))).collect();
        let place = |speaker: &String| by_speaker.iter().find(|(s, _)| s == speaker).map_or(0, |(_, site)| *site);
        sites.extend(more.meta.iter().map(|m| place(&m.speaker)));
        clips.append(more);
        Self { clips, sites }
    }
}

/// What shadows train on, and are asked about.
pub(super) struct Task<'a> {
    pub(super) what: &'static str,
    pub(super) train: &'a Placed,
    pub(super) trained_on: &'a Masks,
    pub(super) scored: &'a Examples,
    pub(super) member: &'a Masks,
    pub(super) population: &'a Examples,
    /// Whether they are clipped and noised as the run is; without, they are the control.
    pub(super) defended: bool,
}

impl Audited<'_> {
    /// How many shadows the config asks for.
    pub(super) fn shadow_models(&self) -> Result<usize> {
        let plain = self.trainer.spec().input_kind() == InputKind::Statistics;
        Ok(usize::try_from(self.config.audit.shadow_models(plain))?)
    }

    /// The run's training: local job, rounds, clipping, noise, server. Secure aggregation is left out, since it opens the same sum.
    fn recipe(&self, sites: &[usize], defended: bool) -> Result<Recipe> {
        let spec = self.plan.spec();
        let dim = self.plan.layout().len();
        let server = spec.server;
        let first = ServerSteps::new(&server, dim).ok_or_else(|| {
            usage(
                "audit.attacks names an attack with shadow models, which do not follow server.optimiser = \"scaffold\"",
            )
        })?;
        let members = self.plan.manifest().len();
        // Each of n sites adds a share that m of them would be enough for.
        let surplus = f64::from(members) / f64::from(honest_floor(members, spec.max_corrupt).max(1));
        let noise = spec.privacy.filter(|_| defended).map_or(0.0, |p| p.noise_multiplier.value() * surplus.sqrt());
        Ok(Recipe {
            job: spec.job.clone(),
            federation: Some(Federation {
                rounds: self.rounds,
                planned: spec.rounds,
                sites: sites.to_vec(),
                unit: spec.unit,
                clips: if defended { self.clips.clone() } else { vec![UNCLIPPED; self.clips.len()] },
                noise,
                sampling: spec
                    .privacy
                    .and_then(|p| p.sampling)
                    .map_or(1.0, sottovoce_dp::sampling::SamplingProbability::value),
                server: Arc::new(move || -> ServerStep {
                    let mut steps = first.clone();
                    Box::new(move |theta: &mut [f32], mean: &[f32]| steps.step(theta, mean))
                }),
                server_name: format!("{server:?}"),
            }),
        })
    }

    /// Trains them, or takes them from disk where they were trained before.
    pub(super) fn shadows(&self, task: &Task<'_>, workspace: &Path, output: &Output) -> Result<ShadowLogits> {
        let recipe = self.recipe(&task.train.sites, task.defended)?;
        let design = Design {
            trainer: self.trainer,
            recipe: &recipe,
            train: &task.train.clips,
            trained_on: task.trained_on,
            scored: task.scored,
            member: task.member,
            population: task.population,
            seed: self.config.run.seed,
        };
        let (folder, key) = (workspace.join("shadows"), design.key());
        if let Some(known) = ShadowLogits::read(&folder, key)? {
            return Ok(known);
        }
        let shadows = task.trained_on.shadows() as u64;
        let bar = output.progress(task.what, shadows * recipe.ticks());
        let logits = design.train(&|| bar.inc(1))?;
        bar.finish_and_clear();
        logits.write(&folder, key).context("the shadows could not be kept")?;
        Ok(logits)
    }
}
