//! Federations that are simulated for an attack's control: without masks and without noise.
use std::sync::Arc;

use anyhow::Result;
use sottovoce_config::{AggregationMode, Config};
use sottovoce_round::RunPlan;
use sottovoce_sim::{Script, SimClient, Simulation};
use sottovoce_train::{Partition, Trainer};
use sottovoce_transcript::{MemoryTap, Transcript};

use crate::federation::{self, Simulated};
use crate::site::SiteTrainer;

/// The config of such a run over `clients` clients.
pub fn config(of: &Config, clients: usize, rounds: u64) -> Result<Config> {
    let mut config = of.clone();
    config.aggregation.mode = AggregationMode::Plain;
    config.privacy.drop_unit();
    config.privacy.epsilon = None;
    config.privacy.noise_multiplier = None;
    config.privacy.epsilon_budget = None;
    config.aggregation.max_corrupt = 0;
    config.aggregation.n_min = config.aggregation.n_min.min(u32::try_from(clients)?).max(3);
    config.run.rounds = rounds;
    config.run.evaluate_every = 0;
    Ok(config)
}

/// Simulates a partition's federation and keeps what its coordinator saw.
pub fn run(config: &Config, trainer: &Trainer, partition: &Partition) -> Result<(Arc<RunPlan>, Transcript)> {
    let Simulated { coordinator, clients, plan } = federation::simulated(config, partition)?;
    let unit = config.privacy.unit;
    let clients = clients.into_iter().zip(&partition.clients).map(|(identity, own)| {
        let trainer = Box::new(SiteTrainer::new(trainer.clone(), unit, &own.train));
        SimClient { identity, trainer }
    });
    let simulation = Simulation {
        plan: plan.clone(),
        coordinator,
        clients: clients.collect(),
        script: Script::default(),
        seed: config.run.seed,
    };
    let tap = MemoryTap::new();
    simulation.run(&mut tap.clone(), &mut |_| ())?;
    Ok((plan, tap.transcript()))
}
