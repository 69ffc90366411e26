//! One cell of a sweep: a federation, the same model trained in one place, and the audit, as far as the sweep asks for them.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result};
use sottovoce_config::{Config, CorpusKind, Privacy, Sweep, SweepCell};
use sottovoce_transcript::Party;
use sottovoce_types::{AttackScore, Digest, Epsilon, LeakageRow, SCHEMA_VERSION, SweepRow, Unit};

use super::table::CellResult;
use crate::auditing::{Audit, Audited, clips_of};
use crate::output::Output;
use crate::speech;
use crate::study::{self, Study};

/// What cells share.
pub(super) struct Cells<'a> {
    pub(super) workspace: &'a Path,
    pub(super) centralised: Centralised,
}

impl Cells<'_> {
    /// Extracts every feature that a cell will need, before cells run side by side and would extract the same. Where one cannot be, its
    /// cells will say so themselves, and the others run.
    pub(super) fn extract(&self, cells: &[&(Digest, SweepCell)], output: &Output) {
        let mut extracted = Vec::new();
        for (_, cell) in cells {
            let config = with_cache(&cell.config, self.workspace);
            let key = (config.corpus.clone(), config.features.clone(), config.partition.seed);
            if !extracted.contains(&key) {
                if let Err(error) = speech::load(&config, self.workspace, output) {
                    output.remark(format!("the speech of {}: {error:#}", cell.name()));
                }
                extracted.push(key);
            }
        }
    }

    /// Runs a cell.
    pub(super) fn run(&self, digest: Digest, cell: &SweepCell, output: &Output) -> Result<CellResult> {
        let began = Instant::now();
        let mut config = with_cache(&cell.config, self.workspace);
        config.run.evaluate_every = 0;
        let study = study::simulate(&config, self.workspace, false, output)?;
        let audit = if config.sweep.attacks { Some(self.audit(&config, &study, output)?) } else { None };
        let value = |pick: &dyn Fn(&AttackScore) -> bool| {
            let mut attacks = audit.iter().flat_map(|a| &a.attacks);
            attacks.find(|a| a.control_of.is_none() && pick(a)).map(|a| a.value)
        };
        let centralised =
            if config.sweep.centralised { Some(self.centralised.of(cell, &config, &study)?) } else { None };
        let metrics = &study.summary.metrics;
        let (up, down) = bytes_per_client_round(&study);
        let row = SweepRow {
            schema: SCHEMA_VERSION,
            config_sha256: digest,
            epsilon_target: cell.epsilon.map(Epsilon::value),
            epsilon_spent: study.summary.privacy.first().and_then(|p| p.epsilon),
            delta: config.privacy.delta.value(),
            seed: cell.seed,
            unit: config.privacy.unit,
            variant: cell.variant.clone(),
            settings: cell.settings.clone(),
            aggregation: Some(study.summary.aggregation.clone()),
            clients: Some(study.summary.clients),
            bytes_up_per_client_round: up,
            bytes_down_per_client_round: down,
            fold: cell.fold,
            split: Some(study.summary.split.clone()),
            model: Some(config.model.kind.name().to_owned()),
            parameters: Some(study.summary.parameters),
            rounds: Some(study.summary.rounds),
            noise_multiplier: study.plan.spec().privacy.map_or(0.0, |p| p.noise_multiplier.value()),
            accuracy: metrics.accuracy,
            uar: metrics.uar,
            macro_precision: metrics.macro_precision,
            macro_recall: metrics.macro_recall,
            macro_f1: metrics.macro_f1,
            centralised_accuracy: centralised.map(|c| c.accuracy),
            centralised_uar: centralised.map(|c| c.uar),
            centralised_macro_f1: centralised.map(|c| c.macro_f1),
            membership_auc: value(&|a| a.metric == "auc" && a.attack.contains("loss")),
            label_profile_correlation: value(&|a| a.attack.contains("label-profile") && a.metric.contains("corr")),
            epsilon_empirical_lower: audit.as_ref().and_then(|a| a.canary.as_ref()).map(|c| c.epsilon_lower),
            leakage_scores: Some(u32::try_from(audit.as_ref().map_or(0, |a| a.attacks.len())).unwrap_or(u32::MAX)),
            wall_s: began.elapsed().as_secs_f64(),
        };
        let scores = audit.iter().flat_map(|a| &a.attacks);
        let leakage = scores.map(|score| LeakageRow::of(&row, score)).collect();
        Ok(CellResult { leakage, row, training_s: study.summary.wall_s })
    }

    fn audit(&self, config: &Config, study: &Study, output: &Output) -> Result<Audit> {
        Audited {
            config,
            plan: &study.plan,
            trainer: &study.trainer,
            partition: &study.partition,
            model: study.models.last().context("a model")?,
            models: &study.models,
            clips: clips_of(&study.records, &study.plan),
            transcript: &study.transcript,
            rounds: study.summary.rounds,
        }
        .audit(self.workspace, output)
    }
}

/// Bytes of frames that a client sent and received in a round: the mean over clients and published rounds; `None` where no round was.
fn bytes_per_client_round(study: &Study) -> (Option<f64>, Option<f64>) {
    let (mut up, mut down) = (0, 0);
    for message in study.transcript.network().messages() {
        *if message.from == Party::Coordinator { &mut down } else { &mut up } += message.bytes;
    }
    let over = study.summary.rounds as f64 * f64::from(study.summary.clients);
    let mean = |bytes: usize| (over > 0.0).then(|| bytes as f64 / over);
    (mean(up), mean(down))
}

/// The config with a cache in the sweep's own folder where it names none: cells by the hundred would each read all recordings
/// again. Synthetic voices have one already.
pub(super) fn with_cache(config: &Config, workspace: &Path) -> Config {
    let mut config = config.clone();
    let made_here = config.corpus.kind == CorpusKind::Synthetic && config.corpus.path.is_none();
    if config.corpus.cache.is_none() && !made_here {
        let of = Config { corpus: config.corpus.clone(), features: config.features.clone(), ..Config::default() };
        let digest = of.digest().to_string();
        config.corpus.cache = Some(workspace.join(format!("features-{}.h5", &digest[..12])));
    }
    config
}

/// How well a model does that was trained in one place.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Scores {
    pub(super) accuracy: f64,
    pub(super) uar: f64,
    pub(super) macro_f1: f64,
}

/// What was trained in one place already. Cells that differ by their privacy alone have the same baseline.
pub(super) struct Centralised(Mutex<BTreeMap<[u8; 32], Scores>>);

impl Centralised {
    /// With what the rows of these cells know.
    pub(super) fn known(cells: &[(Digest, SweepCell)], rows: &[SweepRow]) -> Self {
        let of_row = |row: &SweepRow| {
            let (_, cell) = cells.iter().find(|(digest, _)| *digest == row.config_sha256)?;
            let (accuracy, uar) = (row.centralised_accuracy?, row.centralised_uar?);
            Some((baseline(cell).0, Scores { accuracy, uar, macro_f1: row.centralised_macro_f1? }))
        };
        Self(Mutex::new(rows.iter().filter_map(of_row).collect()))
    }

    fn of(&self, cell: &SweepCell, config: &Config, study: &Study) -> Result<Scores> {
        let key = baseline(cell).0;
        let known = || self.0.lock().expect("no cell panics while it holds the baselines");
        if let Some(scores) = known().get(&key) {
            return Ok(*scores);
        }
        // Not under the lock: two cells that train the same at once get the same, and a thread that waited here could be the one
        // that the other waits for.
        let metrics = study::centralised(config, &study.trainer, &study.partition)?;
        let scores = Scores { accuracy: metrics.accuracy, uar: metrics.uar, macro_f1: metrics.macro_f1 };
        known().insert(key, scores);
        Ok(scores)
    }
}

/// Identifies the baseline of a cell: all of its configuration but its privacy.
fn baseline(cell: &SweepCell) -> Digest {
    let mut config = cell.config.clone();
    config.privacy = Privacy { unit: Unit::None, ..Privacy::default() };
    config.sweep = Sweep::default();
    config.digest()
}

#[cfg(test)]
mod tests {
    use sottovoce_config::SweepPlan;

    use super::*;

    fn cells(text: &str) -> Vec<SweepCell> {
        SweepPlan::parse(text, &[] as &[&str]).unwrap().cells
    }

    #[test]
    fn cells_have_one_baseline_exactly_where_model_data_and_passes_are_the_same() {
        let text = "[partition]\nfolds = 3\n[sweep]\nepsilons = [\"none\", 8, 2]\nseeds = [1, 2]\nfolds = [1, 2]\n\
                    [[sweep.variant]]\nname = \"a\"\nset_private = [\"run.rounds=3\"]\n\
                    [[sweep.variant]]\nname = \"b\"\n";
        let cells = cells(text);
        let same = |a: &SweepCell, b: &SweepCell| {
            (a.seed, a.fold, a.config.run.rounds) == (b.seed, b.fold, b.config.run.rounds)
        };
        for a in &cells {
            for b in &cells {
                assert_eq!(baseline(a) == baseline(b), same(a, b), "{} and {}", a.name(), b.name());
            }
        }
    }

    #[test]
    fn a_cell_is_named_by_all_that_was_swept() {
        let text = "[partition]\nfolds = 3\n[sweep]\nepsilons = [\"none\", 2]\nfolds = [2]\n[[sweep.variant]]\nname = \"cnn\"\n";
        let names: Vec<_> = cells(text).iter().map(SweepCell::name).collect();
        assert_eq!(names, ["cnn, no DP, fold 2, seed 1", "cnn, epsilon 2, fold 2, seed 1"]);
        assert_eq!(cells("")[0].name(), "DP as configured, seed 1");
    }

    #[test]
    fn features_of_recordings_are_kept_with_the_sweep_unless_the_config_has_a_place_for_them() {
        let cache = |text: &str| with_cache(&cells(text)[0].config, Path::new("data")).corpus.cache;
        assert_eq!(cache(""), None, "synthetic voices have their own");
        let ravdess = "[corpus]\nkind = \"ravdess\"\npath = \"a\"\n";
        assert!(cache(ravdess).unwrap().starts_with("data"));
        assert_ne!(cache(ravdess), cache(&ravdess.replace("\"a\"", "\"b\"")), "another folder is another corpus");
        assert_ne!(cache(ravdess), cache(&format!("{ravdess}[features]\ntrim_db = 30\n")));
        assert_eq!(cache(&format!("{ravdess}cache = \"own.h5\"\n")).unwrap(), Path::new("own.h5"));
    }
}
