//! One federation simulated and evaluated: what `simulate` and every cell of `sweep` do.
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use rayon::prelude::*;
use sottovoce_config::Config;
use sottovoce_round::{CoordinatorEvent, Outcome, RunPlan};
use sottovoce_sim::{Script, SimClient, Simulation};
use sottovoce_train::{Partition, Trainer};
use sottovoce_transcript::{MemoryTap, Transcript};
use sottovoce_types::{
    EpsilonByVantage, FlatParams, Metrics, RoundRecord, RunSummary, SCHEMA_VERSION, TrainJob, Vantage,
};

use crate::federation::{self, Simulated};
use crate::output::Output;
use crate::site::SiteTrainer;
use crate::speech;

/// A federation that was simulated.
pub struct Study {
    /// Who had what.
    pub partition: Partition,
    /// The plan.
    pub plan: Arc<RunPlan>,
    /// The trainer, for evaluation.
    pub trainer: Trainer,
    /// How it ended.
    pub outcome: Outcome,
    /// One record per round, evaluated where the config says.
    pub records: Vec<RoundRecord>,
    /// The initial model, then one per round.
    pub models: Vec<FlatParams>,
    /// All frames.
    pub transcript: Transcript,
    /// The summary.
    pub summary: RunSummary,
}

/// Simulates a config's federation and evaluates it on speakers never trained on.
pub fn simulate(config: &Config, workspace: &Path, baselines: bool, output: &Output) -> Result<Study> {
    let began = Instant::now();
    let speech = speech::load(config, workspace, output)?;
    let data = speech.examples(config);
    let partition = federation::partition(config, &data)?;
    let trainer = federation::trainer(config)?;
    let Simulated { coordinator, clients, plan } = federation::simulated(config, &partition)?;
    let unit = config.privacy.unit;
    let sim_clients = clients
        .into_iter()
        .zip(&partition.clients)
        .map(|(identity, own)| {
            let trainer = Box::new(SiteTrainer::new(trainer.clone(), unit, &own.train));
            SimClient { identity, trainer }
        })
        .collect();
    let simulation = Simulation {
        plan: plan.clone(),
        coordinator,
        clients: sim_clients,
        script: Script::default(),
        seed: config.run.seed,
    };
    let tap = MemoryTap::new();
    let bar = output.progress("rounds", config.run.rounds);
    let outcome = simulation.run(&mut tap.clone(), &mut |event| {
        if matches!(event, CoordinatorEvent::Published { .. }) {
            bar.inc(1);
        }
    })?;
    bar.finish_and_clear();
    let labels = speech::labels(config);
    let mut records = outcome.records;
    evaluate_rounds(config, &trainer, &partition, &outcome.models, &mut records)?;
    let last = outcome.models.last().expect("the initial model at least");
    let metrics = trainer.evaluate(last, &partition.test, &labels)?;
    let mut summary = RunSummary {
        schema: SCHEMA_VERSION,
        name: config.run.name.clone(),
        config_sha256: config.digest(),
        corpus: speech.description.clone(),
        synthetic: speech.synthetic,
        labels: labels.names(),
        split: federation::split_in_words(config, &partition),
        unit,
        units: u32::try_from(plan.total_units()).unwrap_or(u32::MAX),
        clients: plan.manifest().len(),
        rounds: records.len() as u64,
        parameters: plan.layout().len() as u64,
        aggregation: config.aggregation.mode.name().to_owned(),
        noise_source: "seeded".to_owned(),
        dropouts: records.iter().map(|r| r.dropouts).sum(),
        model_sha256: last.digest(),
        privacy: guarantees(&plan, records.last().map_or(0.0, |r| r.gdp_mu_spent)),
        metrics,
        centralised: None,
        local_only_uar: None,
        wall_s: 0.0,
    };
    if baselines {
        summary.centralised = Some(centralised(config, &trainer, &partition)?);
        summary.local_only_uar = Some(local_only(config, &trainer, &partition)?);
    }
    summary.wall_s = began.elapsed().as_secs_f64();
    Ok(Study {
        partition,
        plan,
        trainer,
        outcome: outcome.outcome,
        records,
        models: outcome.models,
        transcript: tap.transcript(),
        summary,
    })
}

/// Fills in the evaluations that the config asks for; `models[i]` is the model after round i.
pub fn evaluate_rounds(
    config: &Config,
    trainer: &Trainer,
    partition: &Partition,
    models: &[FlatParams],
    records: &mut [RoundRecord],
) -> Result<()> {
    let labels = speech::labels(config);
    let every = config.run.evaluate_every;
    let last = records.len();
    records.par_iter_mut().zip(models.par_iter().skip(1)).enumerate().try_for_each(|(i, (record, model))| {
        let due = i + 1 == last || (every > 0 && (i as u64 + 1).is_multiple_of(every));
        if due {
            record.metrics = Some(trainer.evaluate(model, &partition.test, &labels)?);
        }
        Ok(())
    })
}

/// Training on all clients' data in one place, as long as the federation trains: rounds × epochs.
pub fn centralised(config: &Config, trainer: &Trainer, partition: &Partition) -> Result<Metrics> {
    let job = TrainJob { epochs: total_epochs(config), ..config.training.job(config.run.seed) };
    let initial = trainer.spec().initialise(config.run.seed);
    let model = trainer.train_centralised(&initial, &partition.pooled(), &job, |_| ())?;
    Ok(trainer.evaluate(&model, &partition.test, &speech::labels(config))?)
}

/// Mean UAR of each client training alone for as long.
pub fn local_only(config: &Config, trainer: &Trainer, partition: &Partition) -> Result<f64> {
    let job = TrainJob { epochs: total_epochs(config), ..config.training.job(config.run.seed) };
    let initial = trainer.spec().initialise(config.run.seed);
    let uars: Vec<f64> = partition
        .clients
        .par_iter()
        .map(|own| -> Result<f64> {
            let model = trainer.train_centralised(&initial, &own.train, &job, |_| ())?;
            Ok(trainer.evaluate(&model, &partition.test, &speech::labels(config))?.uar)
        })
        .collect::<Result<_>>()?;
    Ok(uars.iter().sum::<f64>() / uars.len().max(1) as f64)
}

fn total_epochs(config: &Config) -> u32 {
    let rounds = u32::try_from(config.run.rounds).unwrap_or(u32::MAX);
    rounds.saturating_mul(config.training.epochs)
}

/// ε by vantage. No amplification is claimed against anyone: every unit takes part in every round.
pub fn guarantees(plan: &RunPlan, mu_spent: f64) -> Vec<EpsilonByVantage> {
    let unit = plan.spec().unit.name();
    let Some(privacy) = plan.spec().privacy else {
        return [Vantage::Coordinator, Vantage::Released]
            .map(|vantage| EpsilonByVantage {
                vantage,
                epsilon: None,
                delta: 0.0,
                basis: "no differential privacy: nothing is clipped or noised, epsilon is infinite".to_owned(),
            })
            .to_vec();
    };
    let delta = privacy.delta;
    let epsilon = |mu: f64| if mu > 0.0 { Some(sottovoce_dp::gdp::epsilon(mu, delta).upper) } else { Some(0.0) };
    let f = plan.spec().max_corrupt;
    let plain = plan.spec().suite == sottovoce_secagg::MaskSuite::None;
    let against = |vantage, mu: f64, basis: String| EpsilonByVantage {
        vantage,
        epsilon: epsilon(mu),
        delta: delta.value(),
        basis,
    };
    let sum_basis = format!(
        "GDP, closed form; unit = {unit}, zero-out adjacency, no sampling; every sum is sure of the noise of its honest \
         survivors even if {f} client(s) collude with the coordinator"
    );
    let mut all = Vec::new();
    if plain {
        // Each update shows its own share alone: 1/m of the noise variance, m the honest survivors it was sized for.
        let honest = sottovoce_secagg::honest_floor(plan.spec().n_min, f).max(1);
        let mu = mu_spent * f64::from(honest).sqrt();
        all.push(against(
            Vantage::CoordinatorPlain,
            mu,
            format!("GDP; without masks only the client's own noise share protects it; unit = {unit}"),
        ));
    } else {
        all.push(against(Vantage::Coordinator, mu_spent, sum_basis.clone()));
        all.push(against(Vantage::Collusion, mu_spent, sum_basis));
    }
    all.push(against(
        Vantage::Released,
        mu_spent,
        format!("GDP; unit = {unit}; models are post-processing of the sums, and no amplification is claimed"),
    ));
    all
}
