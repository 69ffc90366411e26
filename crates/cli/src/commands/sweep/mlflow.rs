//! A sweep as MLflow's file store: `mlruns/EXPERIMENT/RUN/{params,metrics,tags}`, one plain file a value
//! (<https://mlflow.org/docs/latest/tracking/backend-stores>, `mlflow/store/tracking/file_store.py`). Written here and not by a crate: those on
//! crates.io talk to a server, and the layout is a few files.
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use sottovoce_report::{SweepReport, write_text};
use sottovoce_types::{LeakageRow, Sha256Writer, SweepRow};

/// Writes every finished cell that is not there yet, and returns the folder.
pub(super) fn write(out: &Path, sweep: &SweepReport) -> Result<PathBuf> {
    let folder = out.join("mlruns");
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let experiment = experiment(&sweep.name);
    let own = folder.join(&experiment);
    std::fs::create_dir_all(&own)?;
    let place = |path: &Path| std::path::absolute(path).map(|p| p.display().to_string());
    let meta = own.join("meta.yaml");
    if !meta.exists() {
        let text = format!(
            "artifact_location: {}\ncreation_time: {now}\nexperiment_id: '{experiment}'\nlast_update_time: {now}\nlifecycle_stage: active\nname: {}\n",
            yaml(&place(&own)?)?,
            yaml(&sweep.name)?
        );
        write_text(&meta, &text)?;
    }
    for row in &sweep.rows {
        let id = row.config_sha256.to_string()[..32].to_owned();
        if own.join(&id).exists() {
            continue;
        }
        // Under a name that is no run's until it is whole.
        let part = own.join(format!(".{id}.part"));
        if part.exists() {
            std::fs::remove_dir_all(&part)?;
        }
        let scores = sweep.leakage.iter().filter(|s| s.config_sha256 == row.config_sha256);
        let run = Run { row, scores: scores.collect(), corpus: &sweep.corpus, now };
        run.write(&part)?;
        let began = now.saturating_sub(milliseconds(row.wall_s));
        let text = format!(
            "artifact_uri: {}\nend_time: {now}\nentry_point_name: ''\nexperiment_id: '{experiment}'\nlifecycle_stage: active\nrun_id: {id}\n\
             run_name: {}\nrun_uuid: {id}\nsource_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: {began}\nstatus: 3\ntags: []\nuser_id: sottovoce\n",
            yaml(&place(&own.join(&id).join("artifacts"))?)?,
            yaml(&run.name())?
        );
        write_text(part.join("meta.yaml"), &text)?;
        std::fs::rename(part, own.join(&id))?;
    }
    Ok(folder)
}

/// The id of an experiment, which is digits by its name: the same sweep goes on in the same one.
fn experiment(name: &str) -> String {
    let digest = Sha256Writer::new("sottovoce/1/mlflow/experiment").field(name.as_bytes()).finish();
    let number = u64::from_le_bytes(*digest.0.first_chunk().expect("32 bytes"));
    format!("{:018}", number % 1_000_000_000_000_000_000)
}

/// A JSON string is a YAML string.
fn yaml(text: &str) -> Result<String> {
    Ok(serde_json::to_string(text)?)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time on a clock, not below 0")]
fn milliseconds(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1000.0) as u64
}

struct Run<'a> {
    row: &'a SweepRow,
    scores: Vec<&'a LeakageRow>,
    corpus: &'a str,
    now: u64,
}

impl Run<'_> {
    fn name(&self) -> String {
        let SweepRow { variant, settings, epsilon_target, fold, seed, .. } = self.row;
        let mut words: Vec<String> = variant.iter().cloned().collect();
        words.extend(settings.iter().map(|(key, value)| format!("{key}={value}")));
        words.push(epsilon_target.map_or("no DP".to_owned(), |e| format!("epsilon {e}")));
        words.extend(fold.map(|f| format!("fold {f}")));
        words.push(format!("seed {seed}"));
        words.join(", ")
    }

    fn write(&self, dir: &Path) -> Result<()> {
        for folder in ["params", "metrics", "tags", "artifacts"] {
            std::fs::create_dir_all(dir.join(folder))?;
        }
        for (key, value) in self.params() {
            write_text(dir.join("params").join(key), &value)?;
        }
        for (key, value) in self.metrics() {
            write_text(dir.join("metrics").join(key), &format!("{} {value} 0\n", self.now))?;
        }
        let name = self.name();
        let digest = self.row.config_sha256.to_string();
        for (key, value) in [("mlflow.runName", name.as_str()), ("config_sha256", &digest), ("corpus", self.corpus)] {
            write_text(dir.join("tags").join(key), value)?;
        }
        Ok(())
    }

    fn params(&self) -> Vec<(String, String)> {
        let row = self.row;
        let mut all: Vec<(String, String)> = row.settings.iter().map(|(k, v)| (k.clone(), v.to_string())).collect();
        let mut add = |key: &str, value: Option<String>| all.extend(value.map(|value| (key.to_owned(), value)));
        add("seed", Some(row.seed.to_string()));
        add("unit", Some(row.unit.name().to_owned()));
        add("epsilon_target", Some(row.epsilon_target.map_or("none".to_owned(), |e| e.to_string())));
        add("delta", Some(row.delta.to_string()));
        add("noise_multiplier", Some(row.noise_multiplier.to_string()));
        add("variant", row.variant.clone());
        add("fold", row.fold.map(|f| f.to_string()));
        add("model", row.model.clone());
        add("parameters", row.parameters.map(|n| n.to_string()));
        add("rounds", row.rounds.map(|n| n.to_string()));
        add("clients", row.clients.map(|n| n.to_string()));
        add("aggregation", row.aggregation.clone());
        all
    }

    fn metrics(&self) -> Vec<(String, f64)> {
        let row = self.row;
        let own = [
            ("accuracy", Some(row.accuracy)),
            ("uar", Some(row.uar)),
            ("macro_precision", Some(row.macro_precision)),
            ("macro_recall", Some(row.macro_recall)),
            ("macro_f1", Some(row.macro_f1)),
            ("centralised_uar", row.centralised_uar),
            ("epsilon_spent", row.epsilon_spent),
            ("epsilon_empirical_lower", row.epsilon_empirical_lower),
            ("bytes_up_per_client_round", row.bytes_up_per_client_round),
            ("bytes_down_per_client_round", row.bytes_down_per_client_round),
            ("wall_s", Some(row.wall_s)),
        ];
        let mut all: Vec<(String, f64)> = own.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))).collect();
        // In the names of metrics MLflow takes letters, digits, and _ - . and blanks.
        let word = |text: &str| -> String {
            text.chars().map(|c| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' }).collect()
        };
        all.extend(self.scores.iter().filter(|s| s.value.is_finite()).map(|s| {
            let control = if s.control_of.is_some() { "control" } else { "attack" };
            (format!("{control}.{}.{}.{}", word(&s.attack), s.vantage.name(), word(&s.metric)), s.value)
        }));
        all
    }
}
