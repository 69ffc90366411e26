//! `rounds.jsonl`: one line a published round.
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use sottovoce_round::{Entry, JournalEvent};
use sottovoce_types::RoundRecord;

/// Puts into `rounds.jsonl` what the journal has and the file lacks: a process killed between the two wrote only the journal.
pub(crate) fn restore_records(path: &Path, entries: &[Entry]) -> Result<()> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    let Some(whole) = restored(&text, entries)? else { return Ok(()) };
    let fresh = path.with_extension("jsonl.new");
    std::fs::write(&fresh, whole)?;
    std::fs::File::open(&fresh)?.sync_all()?;
    std::fs::rename(&fresh, path)?;
    Ok(())
}

/// The lines with what the journal has besides; `None` where nothing is missing. What an evaluation added to a record is kept.
fn restored(text: &str, entries: &[Entry]) -> Result<Option<String>> {
    // A line cut short by a kill is no record.
    let mut records: BTreeMap<u64, RoundRecord> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).map(|r: RoundRecord| (r.round, r)).collect();
    let mut complete = text.lines().count() == records.len() && (text.is_empty() || text.ends_with('\n'));
    for entry in entries {
        if let JournalEvent::Published { record, .. } = &entry.event {
            complete &= records.contains_key(&record.round);
            records.entry(record.round).or_insert_with(|| RoundRecord::clone(record));
        }
    }
    if complete {
        return Ok(None);
    }
    let mut lines = String::new();
    for record in records.values() {
        lines.push_str(&serde_json::to_string(record)?);
        lines.push('\n');
    }
    Ok(Some(lines))
}

pub(crate) fn append_record(path: &Path, record: &RoundRecord) -> Result<()> {
    use std::io::Write;
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(&line)?;
    file.sync_data()?;
    Ok(())
}

/// The records of the file, as far as they can be read; none where there is none.
pub(crate) fn read_records(path: &Path) -> Vec<RoundRecord> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use sottovoce_types::{AttemptId, Digest, RoundId, RunId, SCHEMA_VERSION};

    use super::*;

    fn record(round: u64, attempt: u32) -> RoundRecord {
        RoundRecord {
            schema: SCHEMA_VERSION,
            config_sha256: Digest::default(),
            round,
            attempt,
            cohort: 3,
            contributors: 3,
            dropouts: 0,
            model_sha256: Digest::default(),
            mean_update_l2: 0.5,
            charges: round,
            epsilon_spent: 0.25,
            duration_ms: 1,
            metrics: None,
            clip_l2: None,
            unclipped_fraction: None,
        }
    }

    #[test]
    fn a_record_that_was_journalled_and_not_written_before_a_kill_is_written_at_the_next_start() {
        let published = |round| Entry {
            event: JournalEvent::Published {
                run: RunId([1; 16]),
                round: RoundId(round),
                attempt: AttemptId(1),
                model: Digest::default(),
                state: None,
                result: Digest::default(),
                record: Box::new(record(round, 1)),
            },
            ledger: None,
        };
        let line = |r: &RoundRecord| serde_json::to_string(r).unwrap() + "\n";
        let journal = [published(1), published(2)];
        assert_eq!(restored("", &[]).unwrap(), None, "a new run writes nothing");
        let both = line(&record(1, 7)) + &line(&record(2, 1));
        assert_eq!(restored(&both, &journal).unwrap(), None);
        let first = line(&record(1, 7));
        assert_eq!(restored(&first, &journal).unwrap(), Some(both.clone()), "what was there is kept as it is");
        let killed_in_a_line = &both[..both.len() - 20];
        assert_eq!(restored(killed_in_a_line, &journal).unwrap(), Some(both.clone()));
        let without_its_end = &both[..both.len() - 1];
        assert_eq!(restored(without_its_end, &journal).unwrap(), Some(both));
    }
}
