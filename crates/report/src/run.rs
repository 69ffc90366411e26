//! What a run directory holds.
use std::path::Path;

use serde::de::DeserializeOwned;
use sottovoce_types::{AttackScore, CanaryAudit, RoundRecord, RunSummary, SCHEMA_VERSION};

use crate::speech::PartitionPicture;
use crate::{ReportError, read_jsonl};

/// Everything that a report tells about one run.
#[derive(Clone, PartialEq, Debug)]
pub struct RunReport {
    /// `metrics.json`.
    pub summary: RunSummary,
    /// `rounds.jsonl`.
    pub rounds: Vec<RoundRecord>,
    /// `attacks.jsonl`; empty when no attack was run.
    pub attacks: Vec<AttackScore>,
    /// `canary.json`.
    pub canary: Option<CanaryAudit>,
    /// `partition.json`; a run need not have it.
    pub partition: Option<PartitionPicture>,
    /// `provenance.json`.
    pub provenance: Option<serde_json::Value>,
    /// `config.toml`, as resolved.
    pub config: Option<String>,
    /// Whether `audit/report.html` lies there: the audit's own page.
    pub audited: bool,
    /// Parts that were missing or cut off, in words.
    pub missing: Vec<String>,
}

impl RunReport {
    /// A report of a summary alone; the other parts can be added.
    pub fn new(summary: RunSummary) -> Self {
        Self {
            summary,
            rounds: Vec::new(),
            attacks: Vec::new(),
            canary: None,
            partition: None,
            provenance: None,
            config: None,
            audited: false,
            missing: Vec::new(),
        }
    }

    /// Reads a run directory. Only `metrics.json` must be there; what else is missing goes into
    /// [`RunReport::missing`].
    ///
    /// # Errors
    /// [`ReportError::NotARun`] without `metrics.json`; otherwise the file and line that cannot be read.
    pub fn read(dir: impl AsRef<Path>) -> Result<Self, ReportError> {
        let dir = dir.as_ref();
        let mut missing = Vec::new();
        let summary: RunSummary = read_json(&dir.join("metrics.json"), "", &mut Vec::new())?
            .ok_or_else(|| ReportError::NotARun { path: dir.to_owned() })?;
        if summary.schema != SCHEMA_VERSION {
            let path = dir.join("metrics.json");
            return Err(ReportError::Schema { path, found: summary.schema, expected: SCHEMA_VERSION });
        }
        let config = match std::fs::read_to_string(dir.join("config.toml")) {
            Ok(text) => Some(text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                missing.push("config.toml is missing: the settings of the run are known by their hash only".to_owned());
                None
            }
            Err(source) => return Err(ReportError::Io { path: dir.join("config.toml"), source }),
        };
        let rounds = read_lines(&dir.join("rounds.jsonl"), "there is no learning curve", &mut missing)?;
        let attacks = read_lines(&dir.join("attacks.jsonl"), "no attack was run", &mut missing)?;
        let canary = read_json(&dir.join("canary.json"), "no canary audit was run", &mut missing)?;
        let partition = read_partition(&dir.join("partition.json"))?;
        let provenance =
            read_json(&dir.join("provenance.json"), "commit, toolchain and device are not known", &mut missing)?;
        let audited = dir.join("audit").join("report.html").exists();
        Ok(Self { summary, rounds, attacks, canary, partition, provenance, config, audited, missing })
    }

    /// Whether the coordinator saw single updates.
    pub(crate) fn is_plain(&self) -> bool {
        self.summary.aggregation != "secure"
    }

    /// Whether someone who knows the seed knows the noise.
    pub(crate) fn is_seeded(&self) -> bool {
        self.summary.noise_source == "seeded"
    }

    /// Whether speakers may lie on both sides of the split.
    pub(crate) fn leaks_speakers(&self) -> bool {
        self.summary.split.to_lowercase().contains("random")
    }

    /// δ of the guarantee against the coordinator, or of the first there is.
    pub(crate) fn delta(&self) -> Option<f64> {
        let privacy = &self.summary.privacy;
        let coordinator = privacy.iter().find(|p| p.vantage == sottovoce_types::Vantage::Coordinator);
        coordinator.or(privacy.first()).map(|p| p.delta)
    }
}

fn read_json<T: DeserializeOwned>(
    path: &Path,
    means: &str,
    missing: &mut Vec<String>,
) -> Result<Option<T>, ReportError> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|source| ReportError::Json {
            path: path.to_owned(),
            line: source.line(),
            source,
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            missing.push(format!("{} is missing: {means}", file_name(path)));
            Ok(None)
        }
        Err(source) => Err(ReportError::Io { path: path.to_owned(), source }),
    }
}

/// Who holds what, where the run tells. Old runs do not, and lack nothing else by it.
fn read_partition(path: &Path) -> Result<Option<PartitionPicture>, ReportError> {
    let partition: Option<PartitionPicture> = read_json(path, "", &mut Vec::new())?;
    match partition {
        Some(p) if p.schema != SCHEMA_VERSION => {
            Err(ReportError::Schema { path: path.to_owned(), found: p.schema, expected: SCHEMA_VERSION })
        }
        partition => Ok(partition),
    }
}

fn read_lines<T: DeserializeOwned>(path: &Path, means: &str, missing: &mut Vec<String>) -> Result<Vec<T>, ReportError> {
    match read_jsonl(path) {
        Ok(lines) => {
            if lines.torn {
                missing.push(format!("the last line of {} was cut off and is left out", file_name(path)));
            }
            Ok(lines.rows)
        }
        Err(ReportError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            missing.push(format!("{} is missing: {means}", file_name(path)));
            Ok(Vec::new())
        }
        Err(e) => Err(e),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The attacks in their order, each followed by its controls; controls of nothing last.
pub(crate) fn in_order_with_controls(attacks: &[AttackScore]) -> Vec<&AttackScore> {
    let mut ordered: Vec<&AttackScore> = Vec::with_capacity(attacks.len());
    for attack in attacks.iter().filter(|a| a.control_of.is_none()) {
        ordered.push(attack);
        ordered.extend(controls_of(attack, attacks));
    }
    let orphans: Vec<_> = attacks.iter().filter(|a| !ordered.iter().any(|o| std::ptr::eq(*o, *a))).collect();
    ordered.extend(orphans);
    ordered
}

/// The controls of one attack: same measure, defence off.
pub(crate) fn controls_of<'a>(attack: &AttackScore, all: &'a [AttackScore]) -> impl Iterator<Item = &'a AttackScore> {
    let (name, metric) = (attack.attack.clone(), attack.metric.clone());
    all.iter().filter(move |c| c.control_of.as_deref() == Some(&name) && c.metric == metric)
}

/// Whether the attack did better than blind guessing beyond its interval.
pub fn beats_guessing(score: &AttackScore) -> bool {
    // For errors and distances the attacker wants little.
    let less_is_better = ["mse", "error", "distance", "divergence"].iter().any(|w| score.metric.contains(w));
    if less_is_better { score.ci95.high < score.chance } else { score.ci95.low > score.chance }
}
