//! A run's directory: what is written where, in one place.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::json;
use sottovoce_attack::inversion::Panel;
use sottovoce_config::Config;
use sottovoce_report::{RunReport, html, read_jsonl, write_text};
use sottovoce_round::{Manifest, RunPlan};
use sottovoce_store::{CheckpointInfo, load_checkpoint, save_checkpoint};
use sottovoce_train::Partition;
use sottovoce_types::{Digest, FlatParams, RoundRecord, RunSummary, SCHEMA_VERSION};

use crate::auditing::Audit;

/// A run's directory.
pub struct RunDir {
    path: PathBuf,
}

/// A run that is being made, beside its place: until it is whole, what is at its place is not touched, and a run that fails
/// leaves nothing.
pub struct NewRun {
    dir: RunDir,
    place: PathBuf,
}

impl NewRun {
    /// Begins it. A run that is at its place already is an error, unless `overwrite` says that it may be replaced in the
    /// end; anything else there is an error always.
    pub fn begin(place: &Path, config: &Config, overwrite: bool) -> Result<Self> {
        if !is_replaceable(place)? {
            bail!("{} is not empty and holds no run: choose another --out", place.display());
        }
        if place.join("config.toml").exists() && !overwrite {
            bail!("{} already holds a run: choose another --out, or say --overwrite", place.display());
        }
        let name = place.file_name().with_context(|| format!("--out {} names no folder", place.display()))?;
        let path = place.with_file_name(format!("{}.partial", name.to_string_lossy()));
        if !is_replaceable(&path)? {
            bail!("{} is where the run would be made, and is not empty: move it away first", path.display());
        }
        if path.exists() {
            // Of a process that was killed.
            std::fs::remove_dir_all(&path).with_context(|| format!("cannot replace {}", path.display()))?;
        }
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let new = Self { dir: RunDir { path }, place: place.to_owned() };
        write_text(new.dir.path.join("config.toml"), &config.to_toml())?;
        new.dir.write_provenance(config)?;
        Ok(new)
    }

    /// Where it will lie.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Where it is made.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// It is whole: it takes its place.
    pub fn finish(self) -> Result<RunDir> {
        if self.place.exists() {
            std::fs::remove_dir_all(&self.place).with_context(|| format!("cannot replace {}", self.place.display()))?;
        }
        std::fs::rename(&self.dir.path, &self.place)
            .with_context(|| format!("cannot move {} to {}", self.dir.path.display(), self.place.display()))?;
        Ok(RunDir { path: self.place.clone() })
    }
}

impl Drop for NewRun {
    fn drop(&mut self) {
        // Finished, it is there no longer; failed, its error is told already.
        let _ = std::fs::remove_dir_all(&self.dir.path);
    }
}

/// Nothing, an empty folder, or a run: nothing else is ever replaced.
fn is_replaceable(path: &Path) -> Result<bool> {
    if !path.exists() || path.join("provenance.json").exists() && path.join("config.toml").exists() {
        return Ok(true);
    }
    let mut entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(entries.next().is_none())
}

impl RunDir {
    /// A run that is there, with overrides of its config.
    pub fn open(path: &Path, set: &[String]) -> Result<(Self, Config)> {
        let file = path.join("config.toml");
        if !file.exists() {
            bail!("{} is no run directory: it has no config.toml", path.display());
        }
        let config = Config::load(&file, set).map_err(crate::exit::refused)?;
        Ok((Self { path: path.to_owned() }, config))
    }

    /// A deployed coordinator's config names no speech: defaults must not stand in for it.
    pub fn needs_speech(config: &Config) -> Result<()> {
        let deployed = config.transport.state.is_some();
        if deployed && config.corpus.cache.is_none() && config.corpus.path.is_none() {
            return Err(crate::exit::usage(
                "this is a deployed coordinator's state, which holds no speech: name what to evaluate on, for example \
                 --set corpus.cache=\"evaluation.h5\" --set partition.clients=3 --set partition.test_speakers=8",
            ));
        }
        Ok(())
    }

    /// A deployed coordinator does not know what its sites train on; a partition drawn anew from its config would be made up.
    pub fn knows_who_trained_on_what(&self, config: &Config) -> Result<()> {
        if config.transport.state.is_some() && !self.path.join("partition.json").exists() {
            return Err(crate::exit::usage(
                "this is a deployed coordinator's state: what the sites trained on and held out is known to them alone, so that \
                 only --split test can be evaluated",
            ));
        }
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the transcript is.
    pub fn transcript(&self) -> PathBuf {
        self.path.join("transcript.bin")
    }

    /// Where the checkpoint of a round is; round 0 is the initial model.
    pub fn checkpoint(&self, round: u64) -> PathBuf {
        self.path.join("checkpoints").join(format!("round-{round:04}.safetensors"))
    }

    /// Writes `rounds.jsonl`, replacing an earlier one.
    pub fn write_rounds(&self, rounds: &[RoundRecord]) -> Result<()> {
        let lines: Vec<String> = rounds.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        write_text(self.path.join("rounds.jsonl"), &(lines.join("\n") + "\n"))?;
        Ok(())
    }

    /// `metrics.json`, where there is one.
    pub fn read_summary(&self) -> Result<Option<RunSummary>> {
        let file = self.path.join("metrics.json");
        if !file.exists() {
            return Ok(None);
        }
        let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Some(serde_json::from_slice(&text).with_context(|| format!("{} is damaged", file.display()))?))
    }

    /// Writes `metrics.json`.
    pub fn write_summary(&self, summary: &RunSummary) -> Result<()> {
        write_text(self.path.join("metrics.json"), &(serde_json::to_string_pretty(summary)? + "\n"))?;
        Ok(())
    }

    /// Writes `manifest.toml`: who took part, by public keys. A simulated run's are made of its seed.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        write_text(self.path.join("manifest.toml"), &toml::to_string(manifest)?)?;
        Ok(())
    }

    /// Writes `partition.json`: who holds what.
    pub fn write_partition(&self, config: &Config, partition: &Partition, synthetic: bool) -> Result<()> {
        let picture = crate::federation::picture(config, partition, synthetic);
        write_text(self.path.join("partition.json"), &(serde_json::to_string_pretty(&picture)? + "\n"))?;
        Ok(())
    }

    /// Writes `attacks.jsonl`, `canary.json`, `exposure.json`, `scores/ATTACK.csv` and `audit/`, replacing earlier ones.
    pub fn write_audit(&self, audit: &Audit) -> Result<()> {
        let lines: Vec<String> = audit.attacks.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        write_text(self.path.join("attacks.jsonl"), &(lines.join("\n") + "\n"))?;
        if let Some(canary) = &audit.canary {
            write_text(self.path.join("canary.json"), &(serde_json::to_string_pretty(canary)? + "\n"))?;
        }
        let folder = self.path.join("scores");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot replace {}", folder.display()))?;
        }
        sottovoce_report::audit::write_audit(self.path.join("audit"), &audit.report, &audit.score_rows)?;
        if audit.scores.is_empty() {
            return Ok(());
        }
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for scores in &audit.scores {
            let file = folder.join(format!("{}.csv", scores.of.attack));
            let mut csv = Vec::new();
            scores.write_csv(&mut csv)?;
            std::fs::write(&file, csv).with_context(|| format!("cannot write {}", file.display()))?;
        }
        let exposure = json!({"schema": SCHEMA_VERSION, "slices": audit.slices, "most_exposed": audit.exposed});
        write_text(self.path.join("exposure.json"), &(serde_json::to_string_pretty(&exposure)? + "\n"))?;
        Ok(())
    }

    /// Writes `reconstructions.json`: true features beside recovered ones. Nothing where nothing was recovered.
    pub fn write_gallery(&self, panels: &[Panel]) -> Result<()> {
        if panels.is_empty() {
            return Ok(());
        }
        let gallery = json!({"schema": SCHEMA_VERSION, "panels": panels});
        write_text(self.path.join("reconstructions.json"), &(serde_json::to_string(&gallery)? + "\n"))?;
        Ok(())
    }

    /// Writes `report.html` from what is there.
    pub fn write_report(&self) -> Result<PathBuf> {
        let report = RunReport::read(&self.path)?;
        let file = self.path.join("report.html");
        write_text(&file, &html(&[report]))?;
        Ok(file)
    }

    /// Writes every model: `models[0]` is the initial one.
    pub fn write_models(&self, models: &[FlatParams], config: &Config) -> Result<()> {
        std::fs::create_dir_all(self.path.join("checkpoints"))?;
        for (round, model) in models.iter().enumerate() {
            let info = CheckpointInfo {
                model: Some(config.model_spec()),
                round: Some(round as u64),
                ..CheckpointInfo::default()
            };
            save_checkpoint(self.checkpoint(round as u64), model, &info)?;
        }
        Ok(())
    }

    /// The initial model and one per round.
    pub fn read_models(&self, rounds: u64, config: &Config) -> Result<Vec<FlatParams>> {
        let layout = Arc::new(config.model_spec().layout());
        (0..=rounds).map(|round| Ok(load_checkpoint(self.checkpoint(round), &layout)?.params)).collect()
    }

    /// The last model, with its round.
    pub fn read_last_model(&self, config: &Config) -> Result<(Option<u64>, FlatParams)> {
        let round = self.read_rounds()?.len() as u64;
        let layout = Arc::new(config.model_spec().layout());
        Ok((Some(round), load_checkpoint(self.checkpoint(round), &layout)?.params))
    }

    /// `rounds.jsonl`.
    pub fn read_rounds(&self) -> Result<Vec<RoundRecord>> {
        Ok(read_jsonl(self.path.join("rounds.jsonl"))?.rows)
    }

    /// The plan of the run: from its manifest where it was deployed, else from the simulated identities.
    pub fn plan(config: &Config, partition: &Partition) -> Result<Arc<RunPlan>> {
        match &config.transport.manifest {
            Some(file) => {
                let manifest = sottovoce_config::manifest_file::load(file)?;
                Ok(Arc::new(config.plan(Arc::new(manifest))?))
            }
            None => Ok(crate::federation::simulated(config, partition)?.plan),
        }
    }

    /// Writes `provenance.json`: what was run, by what, on what.
    pub fn write_provenance(&self, config: &Config) -> Result<()> {
        const LOCK: &[u8] = include_bytes!("../../../Cargo.lock");
        let provenance = json!({
            "schema": SCHEMA_VERSION,
            "sottovoce": env!("CARGO_PKG_VERSION"),
            "commit": env!("SOTTOVOCE_COMMIT"),
            "toolchain": env!("SOTTOVOCE_TOOLCHAIN"),
            "cargo_lock_sha256": Digest::of(LOCK),
            "config_sha256": config.digest(),
            "seed": config.run.seed,
            "device": format!("{:?}", config.training.device).to_lowercase(),
            "threads": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
        });
        write_text(self.path.join("provenance.json"), &(serde_json::to_string_pretty(&provenance)? + "\n"))?;
        Ok(())
    }
}
