//! One federation simulated and evaluated: what `simulate` and every cell of `sweep` do.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use rayon::prelude::*;
use sottovoce_config::Config;
use sottovoce_dp::accountant::{self, Accountant, Adjacency};
use sottovoce_dp::{DpEvent, Ledger};
use sottovoce_round::{ClientEvent, CoordinatorEvent, Entry, Outcome, RunPlan};
use sottovoce_sim::{ClientReport, Script, SimClient, Simulation};
use sottovoce_train::{Partition, Trainer};
use sottovoce_transcript::{MemoryTap, Transcript};
use sottovoce_types::{
    EpsilonByVantage, FlatParams, Metrics, RoundRecord, RunSummary, SCHEMA_VERSION, Sha256Writer, TrainJob, Unit,
    Vantage,
};

use crate::federation::{self, Simulated};
use crate::output::Output;
use crate::site::SiteTrainer;
use crate::speech::{self, Speech};

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
        script: Script::by_chance(
            plan.manifest().len() as usize,
            config.run.rounds,
            config.run.dropout,
            config.run.seed,
            plan.spec().deadlines,
        ),
        seed: seed_of_noise_and_keys(config),
    };
    let tap = MemoryTap::new();
    let bar = output.progress("rounds", config.run.rounds);
    let outcome = simulation.run(&mut tap.clone(), &mut |event| {
        if matches!(event, CoordinatorEvent::Published { .. }) {
            bar.inc(1);
        }
    })?;
    bar.finish_and_clear();
    for (reason, (round, clients)) in sat_out(&outcome.clients) {
        output.remark(format!("{clients} client(s) sent nothing in round {round}, the first of them: {reason}"));
    }
    let parties = [&outcome.journal].into_iter().chain(outcome.clients.iter().map(|c| &c.journal));
    let parties = parties.map(sottovoce_round::MemoryJournal::entries);
    let mut records = outcome.records;
    evaluate_rounds(config, &trainer, &partition, &outcome.models, &mut records)?;
    let last = outcome.models.last().expect("the initial model at least");
    let mut summary = Evaluated {
        config,
        plan: &plan,
        trainer: &trainer,
        partition: &partition,
        speech: &speech,
        records: &records,
        model: last,
        spent: spent(&plan, parties)?,
        noise_source: "seeded",
    }
    .summary()?;
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

/// The simulation's seed: the run's, and in a cross-validation another for each fold. Were all folds run on one draw of the noise, an interval over
/// folds would leave out what the noise contributes.
fn seed_of_noise_and_keys(config: &Config) -> u64 {
    let (seed, fold) = (config.run.seed, config.partition.fold);
    if config.partition.folds == 0 {
        return seed;
    }
    let mixed = Sha256Writer::new("sottovoce/1/sim/fold").number(seed).number(fold.into()).finish();
    u64::from_le_bytes(*mixed.0.first_chunk().expect("32 bytes"))
}

/// Why clients sat out: each reason with the first round and attempt of it, and how many clients it kept away there.
fn sat_out(clients: &[ClientReport]) -> BTreeMap<String, (u64, usize)> {
    let mut reasons = BTreeMap::new();
    for event in clients.iter().flat_map(|c| &c.events) {
        let ClientEvent::SatOut { round, attempt, reason } = event else { continue };
        let (first, kept_away) = reasons.entry(reason.clone()).or_insert(((*round, *attempt), 0));
        if (*round, *attempt) < *first {
            (*first, *kept_away) = ((*round, *attempt), 0);
        }
        *kept_away += usize::from((*round, *attempt) == *first);
    }
    reasons.into_iter().map(|(reason, ((round, _), kept_away))| (reason, (round.0, kept_away))).collect()
}

/// A run with all that its summary is made from.
pub struct Evaluated<'a> {
    /// The config.
    pub config: &'a Config,
    /// The plan.
    pub plan: &'a RunPlan,
    /// Evaluates the model.
    pub trainer: &'a Trainer,
    /// Who had what.
    pub partition: &'a Partition,
    /// The speech it is evaluated on.
    pub speech: &'a Speech,
    /// One record per round.
    pub records: &'a [RoundRecord],
    /// The last model.
    pub model: &'a FlatParams,
    /// [`spent`].
    pub spent: DpEvent,
    /// Where noise came from: `os` or `seeded`.
    pub noise_source: &'static str,
}

impl Evaluated<'_> {
    /// `metrics.json`, without baselines and wall time.
    pub fn summary(&self) -> Result<RunSummary> {
        let labels = speech::labels(self.config);
        Ok(RunSummary {
            schema: SCHEMA_VERSION,
            name: self.config.run.name.clone(),
            config_sha256: self.config.digest(),
            corpus: self.speech.description.clone(),
            synthetic: self.speech.synthetic,
            labels: labels.names(),
            split: federation::split_in_words(self.config, self.partition),
            unit: self.config.privacy.unit,
            units: u32::try_from(self.plan.total_units()).unwrap_or(u32::MAX),
            clients: self.plan.manifest().len(),
            rounds: self.records.len() as u64,
            model: self.plan.spec().model.name().to_owned(),
            parameters: self.plan.layout().len() as u64,
            aggregation: self.config.aggregation.mode.name().to_owned(),
            noise_source: self.noise_source.to_owned(),
            dropouts: self.records.iter().map(|r| r.dropouts).sum(),
            model_sha256: self.model.digest(),
            privacy: guarantees(self.plan, &self.spent)?,
            metrics: self.trainer.evaluate(self.model, &self.partition.test, &labels)?,
            centralised: None,
            local_only_uar: None,
            wall_s: 0.0,
        })
    }
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

/// All that was charged, by the ledger of whichever party charged most. Not what the published rounds came to: an attempt that was
/// opened and not published, and an input that left a site for an attempt that the coordinator says failed, are spent too.
pub fn spent<'a>(plan: &RunPlan, parties: impl IntoIterator<Item = &'a [Entry]>) -> Result<DpEvent> {
    let Some(budget) = plan.budget() else { return Ok(DpEvent::NoOp) };
    let mut most = (0.0, DpEvent::NoOp);
    for entries in parties {
        let entries = entries.iter().filter_map(|e| e.ledger.clone());
        let ledger = Ledger::replay_under(budget, plan.filter(), entries)?;
        let epsilon = ledger.epsilon_spent().upper;
        if epsilon > most.0 {
            most = (epsilon, ledger.spent_event());
        }
    }
    Ok(most.1)
}

/// ε by vantage, after all of `spent`.
pub fn guarantees(plan: &RunPlan, spent: &DpEvent) -> Result<Vec<EpsilonByVantage>> {
    let unit = plan.spec().unit.name();
    let Some(privacy) = plan.spec().privacy else {
        return Ok([Vantage::Coordinator, Vantage::Released]
            .map(|vantage| EpsilonByVantage {
                vantage,
                epsilon: None,
                delta: 0.0,
                basis: "no differential privacy: nothing is clipped or noised, epsilon is infinite".to_owned(),
            })
            .to_vec());
    };
    let delta = privacy.delta;
    let f = plan.spec().max_corrupt;
    let plain = plan.spec().suite == sottovoce_secagg::MaskSuite::None;
    let against = |vantage, seen: &DpEvent, basis: &str| -> Result<EpsilonByVantage> {
        let accounted = accountant::epsilon(seen, delta, Accountant::Auto, Adjacency::AddOrRemoveOne)?;
        let epsilon = Some(accounted.bracket.upper).filter(|e| e.is_finite());
        let basis = format!("{}; {basis}", accounted.accountant.in_words());
        Ok(EpsilonByVantage { vantage, epsilon, delta: delta.value(), basis })
    };
    let one_site = match plan.spec().unit {
        Unit::Speaker => " (one that is recorded at two sites pays at both)",
        _ => "",
    };
    let sampled = match plan.sampling() {
        Some(q) => format!("each unit in a round with probability {q} by its site's secret coins"),
        None => "no sampling".to_owned(),
    };
    let colluders = match f {
        0 => "as long as no client colludes with the coordinator".to_owned(),
        _ => format!("even if {f} client(s) collude with the coordinator"),
    };
    let of_sum = format!(
        "unit = {unit}{one_site}, zero-out adjacency, {sampled}; every sum is sure of the noise of its honest survivors {colluders}"
    );
    let mut all = Vec::new();
    if plain {
        // Each update shows its own share alone: 1/m of the noise variance, m the honest survivors it was sized for. That is
        // most, and the share smallest, when every member is in the cohort.
        let honest = sottovoce_secagg::honest_floor(plan.manifest().len(), f).max(1);
        let share = spent.with_noise_times(f64::from(honest).sqrt().recip());
        let basis = format!("without masks only the client's own noise share protects it; unit = {unit}, {sampled}");
        all.push(against(Vantage::CoordinatorPlain, &share, &basis)?);
    } else {
        all.push(against(Vantage::Coordinator, spent, &of_sum)?);
        // With max_corrupt = 0 nothing is promised against a coordinator that any client helps: it could even make two survivor
        // sets reach their quorum.
        if f > 0 {
            all.push(against(Vantage::Collusion, spent, &of_sum)?);
        }
    }
    let released = format!("unit = {unit}, {sampled}; models are post-processing of the sums");
    all.push(against(Vantage::Released, spent, &released)?);
    if plan.sampling().is_some() {
        let known = format!(
            "unit = {unit}; to whoever knows which units were drawn, for example from how long a site trains, nothing is amplified"
        );
        all.push(against(Vantage::KnowsSample, &spent.with_samples_known(), &known)?);
    }
    Ok(all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use sottovoce_dp::{Charge, LedgerEntry, LedgerKey, NoiseShare, gdp};
    use sottovoce_round::{Deadlines, JournalEvent, Manifest, Member, PrivacyPlan, PublicKey, RunSpec, ServerSpec};
    use sottovoce_secagg::{Identity, KeyAgreement, MaskSuite, honest_floor};
    use sottovoce_types::{
        AttemptId, ClipNorm, Delta, Digest, Epsilon, Lanes, LocalOptimiser, ModelSpec, NoiseMultiplier, Rotation,
        RoundId, RunId,
    };

    use super::*;

    /// Ten members, any four of which are enough.
    fn plan(suite: MaskSuite, max_corrupt: u32) -> RunPlan {
        let key = |i: u8| PublicKey(Identity::from_seed([i; 32]).public_key());
        let members = (1..=10).map(|i| Member { name: format!("site {i}"), public_key: key(i), units: 2 }).collect();
        let manifest = Manifest::new("ten".into(), key(100), members).unwrap();
        let spec = RunSpec {
            name: "ten".into(),
            rounds: 1,
            model: ModelSpec::Dnn { inputs: 3, hidden: vec![], classes: 2 },
            init_seed: 1,
            job: TrainJob {
                epochs: 1,
                batch: 1,
                learning_rate: 0.1,
                momentum: 0.0,
                weight_decay: 0.0,
                proximal_mu: 0.0,
                optimiser: LocalOptimiser::Sgd,
                seed: 1,
                ..TrainJob::default()
            },
            features: Digest::default(),
            unit: Unit::Speaker,
            clip: ClipNorm::new(1.0).unwrap(),
            clip_bits: 16,
            lanes: Lanes::new(2).unwrap(),
            rotation: Rotation::None,
            privacy: Some(PrivacyPlan {
                noise_multiplier: NoiseMultiplier::new(2.0).unwrap(),
                sampling: None,
                delta: Delta::new(1e-5).unwrap(),
                epsilon_budget: Epsilon::new(100.0).unwrap(),
            }),
            n_min: 4,
            max_corrupt,
            graph: sottovoce_secagg::graph::MaskGraph::Complete,
            suite,
            deadlines: Deadlines { join_ms: 1, advert_ms: 1, phase_ms: 1 },
            adaptive_clip: None,
            server: ServerSpec::default(),
            max_attempts: 1,
            key_agreement: KeyAgreement::X25519,
            audit_chunks: 0,
            noise_removal: sottovoce_types::NoiseRemoval::None,
        };
        RunPlan::new(spec, Arc::new(manifest)).unwrap()
    }

    #[test]
    fn claim_without_masks_the_epsilon_printed_covers_the_smallest_share_of_any_cohort() {
        let plan = plan(MaskSuite::None, 0);
        let privacy = plan.spec().privacy.unwrap();
        let printed = guarantees(&plan, &plan.event()).unwrap();
        let printed = printed.iter().find(|g| g.vantage == Vantage::CoordinatorPlain).unwrap().epsilon.unwrap();
        for n in plan.spec().n_min..=plan.manifest().len() {
            let share = NoiseShare::new(privacy.noise_multiplier, 1 << 16, honest_floor(n, 0)).unwrap();
            let true_epsilon = gdp::epsilon(65_536.0 / share.sigma().to_f64(), privacy.delta).upper;
            assert!(printed >= true_epsilon, "{n} clients: {printed} printed, {true_epsilon} spent");
        }
    }

    #[test]
    fn claim_what_was_charged_and_never_published_is_in_the_epsilon_printed() {
        let plan = plan(MaskSuite::Aes256Ctr, 0);
        let mut site = Ledger::new(plan.budget().unwrap());
        let run = RunId([1; 16]);
        let entries: Vec<Entry> = (1..=2)
            .map(|attempt| {
                let (round, attempt) = (RoundId(1), AttemptId(attempt));
                let charge = Charge::on_the_word_of_the_plan(plan.event());
                let (_kept, reserved) = site.reserve(LedgerKey { run, round, attempt }, charge).unwrap();
                assert!(matches!(reserved, LedgerEntry::Reserved { .. }));
                Entry { event: JournalEvent::InputReserved { run, round, attempt }, ledger: Some(reserved) }
            })
            .collect();
        let coordinator: &[Entry] = &[];
        let event = spent(&plan, [coordinator, entries.as_slice()]).unwrap();
        assert_eq!(event, plan.event().self_composed(2));
        let printed = guarantees(&plan, &event).unwrap()[0].epsilon.unwrap();
        let delta = plan.spec().privacy.unwrap().delta;
        let exact = gdp::epsilon(0.5 * 2f64.sqrt(), delta);
        assert!(printed >= exact.lower && printed < exact.upper * (1.0 + 1e-9), "two attempts at z = 2: {printed}");
    }

    #[test]
    fn nothing_is_said_of_colluding_clients_where_none_are_reckoned_with() {
        let vantages = |f| -> Vec<Vantage> {
            let plan = plan(MaskSuite::Aes256Ctr, f);
            guarantees(&plan, &plan.event()).unwrap().into_iter().map(|g| g.vantage).collect()
        };
        assert_eq!(vantages(0), [Vantage::Coordinator, Vantage::Released]);
        assert_eq!(vantages(1), [Vantage::Coordinator, Vantage::Collusion, Vantage::Released]);
    }
}
