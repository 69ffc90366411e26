//! What a site heard the coordinator say.
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sottovoce_round::{Heard, Manifest};

use super::Check;

/// Reads `statements.jsonl`, and checks each line's signature.
pub fn check(path: &Path, manifest: &Manifest) -> (Check, Vec<Heard>) {
    match read(path, manifest) {
        Ok(heard) => {
            let detail = format!("{} statements signed by the coordinator", heard.len());
            (Check::of("statements", Ok(detail)), heard)
        }
        Err(error) => (Check::of("statements", Err(error)), Vec::new()),
    }
}

fn read(path: &Path, manifest: &Manifest) -> Result<Vec<Heard>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let ours = manifest.digest();
    let mut heard = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let said: Heard = serde_json::from_str(line).with_context(|| format!("line {number} is no statement"))?;
        let (of, signed) = match &said {
            Heard::Config(s) => (s.statement.manifest, s.verify(manifest.coordinator())),
            Heard::Result(s) => (s.statement.manifest, s.verify(manifest.coordinator())),
        };
        ensure!(of == ours, "line {number} is of another federation");
        signed.with_context(|| format!("line {number}: its signature is not the coordinator's"))?;
        heard.push(said);
    }
    Ok(heard)
}
