//! The masked inputs of the last rounds, in files, for audits of their sums: one directory an attempt.
//!
//! ```text
//! inputs/round-0007/attempt-2/<client>.input   the words, little-endian, and behind them one leaf of 32 bytes a chunk
//! inputs/round-0007/round                      attempt, contributors, and what opened the sum
//! ```
//!
//! They are not synced: what a power cut takes cannot be audited, and no other promise rests on it. A chunk is read by itself, with
//! the leaves. What is read is not trusted, and need not be: whoever audits checks it against signed roots.
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sottovoce_round::{KEPT_ROUNDS, Keep, KeptRound, ShownChunk};
use sottovoce_secagg::chunks::{ChunkTree, chunk_count, chunk_range};
use sottovoce_types::{AttemptId, ClientId, Digest, RoundId};

/// The directory of the inputs.
const INPUTS: &str = "inputs";
/// What is kept of a published round beside them.
const ROUND: &str = "round";

fn round_dir(state: &Path, round: RoundId) -> PathBuf {
    state.join(INPUTS).join(format!("round-{:04}", round.0))
}

fn attempt_name(attempt: AttemptId) -> String {
    format!("attempt-{}", attempt.0)
}

/// Writes what is to be kept, and lets go of what is older.
pub(crate) fn keep(state: &Path, keep: &Keep) -> io::Result<()> {
    match keep {
        Keep::Input { round, attempt, client, words, leaves } => {
            let dir = round_dir(state, *round);
            let own = dir.join(attempt_name(*attempt));
            if !own.exists() {
                // Of an attempt that was not opened nothing is kept.
                remove_others(&dir, |_| false)?;
                fs::create_dir_all(&own)?;
            }
            let mut file = File::create(own.join(format!("{}.input", client.to_hex())))?;
            file.write_all(words)?;
            leaves.iter().try_for_each(|leaf| file.write_all(leaf.as_bytes()))
        }
        Keep::Round { round, kept } => {
            let dir = round_dir(state, *round);
            fs::create_dir_all(&dir)?;
            let mut bytes = kept.attempt.0.to_le_bytes().to_vec();
            bytes.extend(u32::try_from(kept.contributors.len()).map_err(io::Error::other)?.to_le_bytes());
            kept.contributors.iter().for_each(|client| bytes.extend_from_slice(&client.0));
            bytes.extend_from_slice(&kept.openings);
            fs::write(dir.join(ROUND), bytes)?;
            let kept: Vec<PathBuf> =
                (0..KEPT_ROUNDS).map(|back| round_dir(state, RoundId(round.0.saturating_sub(back)))).collect();
            remove_others(&state.join(INPUTS), |path| kept.iter().any(|dir| dir == path))
        }
    }
}

fn remove_others(dir: &Path, keep: impl Fn(&Path) -> bool) -> io::Result<()> {
    let Some(entries) = absent(fs::read_dir(dir))? else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if keep(&path) {
            continue;
        }
        if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    Ok(())
}

/// What a coordinator's state keeps of a published round for its audit; `None` for a round that is too old, or was cut short.
///
/// # Errors
/// Those of the system.
pub fn read_kept_round(state: impl AsRef<Path>, number: RoundId) -> io::Result<Option<KeptRound>> {
    round(state.as_ref(), number)
}

/// A chunk of a masked input that a coordinator's state keeps, with its path. Nothing in it is true before a signed root says so.
///
/// # Errors
/// Those of the system.
pub fn read_kept_chunk(
    state: impl AsRef<Path>,
    (round, attempt): (RoundId, AttemptId),
    client: ClientId,
    index: u32,
) -> io::Result<Option<ShownChunk>> {
    chunk(state.as_ref(), round, attempt, client, index)
}

/// What is kept of a published round.
pub(crate) fn round(state: &Path, round: RoundId) -> io::Result<Option<KeptRound>> {
    let Some(bytes) = absent(fs::read(round_dir(state, round).join(ROUND)))? else { return Ok(None) };
    let parsed = || {
        let (attempt, rest) = bytes.split_first_chunk::<4>()?;
        let (count, mut rest) = rest.split_first_chunk::<4>()?;
        let mut contributors = Vec::new();
        for _ in 0..u32::from_le_bytes(*count) {
            let (client, after) = rest.split_first_chunk::<32>()?;
            contributors.push(ClientId(*client));
            rest = after;
        }
        let attempt = AttemptId(u32::from_le_bytes(*attempt));
        Some(KeptRound { attempt, contributors, openings: rest.to_vec().into() })
    };
    // Cut short by a power cut: it cannot be audited.
    Ok(parsed())
}

/// A chunk of a kept input.
pub(crate) fn chunk(
    state: &Path,
    round: RoundId,
    attempt: AttemptId,
    client: ClientId,
    chunk: u32,
) -> io::Result<Option<ShownChunk>> {
    let path = round_dir(state, round).join(attempt_name(attempt)).join(format!("{}.input", client.to_hex()));
    let Some(mut file) = absent(File::open(path))? else { return Ok(None) };
    let length = file.metadata()?.len();
    let Some((words, index)) = words_of(length).zip(usize::try_from(chunk).ok()) else { return Ok(None) };
    let Some(range) = chunk_range(index, words) else { return Ok(None) };
    let place = |words: usize| u64::try_from(words.saturating_mul(8)).map_err(io::Error::other);
    let mut bytes = vec![0; range.len().saturating_mul(8)];
    file.seek(SeekFrom::Start(place(range.start)?))?;
    file.read_exact(&mut bytes)?;
    file.seek(SeekFrom::Start(place(words)?))?;
    let mut leaves = vec![0; chunk_count(words).saturating_mul(32)];
    file.read_exact(&mut leaves)?;
    let tree = ChunkTree::of_leaves(leaves.as_chunks::<32>().0.iter().map(|leaf| Digest(*leaf)).collect());
    let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    Ok(tree.path(index).map(|path| ShownChunk { words, path }))
}

/// W from the length of a file, 8·W + 32·⌈W/8192⌉; `None` for a length that no file of ours has.
fn words_of(length: u64) -> Option<usize> {
    let chunk = 64 * 1024 + 32;
    let (whole, rest) = (length / chunk, length % chunk);
    let last = match rest {
        0 => 0,
        rest => rest.checked_sub(32).filter(|bytes| *bytes > 0 && bytes % 8 == 0)? / 8,
    };
    usize::try_from(whole.checked_mul(8192)?.checked_add(last)?).ok()
}

fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use sottovoce_round::{Journal, MemoryJournal};
    use sottovoce_secagg::chunks::{CHUNK_WORDS, Owner};

    use super::*;

    fn input(round: u64, attempt: u32, client: u8, words: usize) -> Keep {
        let words: Vec<u64> = (0..words as u64).map(|i| i * u64::from(client)).collect();
        let client = ClientId([client; 32]);
        let leaves = ChunkTree::of(Owner::Input(client), &words, NonZeroUsize::MIN).leaves().to_vec();
        let words = words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>().into();
        Keep::Input { round: RoundId(round), attempt: AttemptId(attempt), client, words, leaves }
    }

    fn published(round: u64, attempt: u32) -> Keep {
        let contributors = vec![ClientId([1; 32]), ClientId([2; 32])];
        let kept = KeptRound { attempt: AttemptId(attempt), contributors, openings: b"openings".to_vec().into() };
        Keep::Round { round: RoundId(round), kept }
    }

    /// The journal in memory is the oracle: files give back the same, chunk for chunk, and let go of the same.
    #[test]
    fn files_keep_what_memory_keeps_and_let_go_of_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let mut memory = MemoryJournal::default();
        let words = 2 * CHUNK_WORDS + 3;
        let steps = [
            vec![input(1, 1, 1, words), input(1, 1, 2, words)],
            vec![input(1, 2, 1, words), input(1, 2, 2, words), published(1, 2)],
            vec![input(2, 1, 1, CHUNK_WORDS), published(2, 1)],
            vec![input(3, 1, 2, 1), published(3, 1)],
        ];
        for step in steps {
            for kept in step {
                keep(dir.path(), &kept).unwrap();
                memory.keep(&kept).unwrap();
            }
            for r in 0..5 {
                assert_eq!(round(dir.path(), RoundId(r)).unwrap(), memory.kept_round(RoundId(r)).unwrap());
                for (attempt, client, index) in
                    [(1, 1, 0), (1, 2, 0), (2, 1, 0), (2, 1, 1), (2, 1, 2), (2, 2, 2), (2, 2, 3)]
                {
                    let at = (RoundId(r), AttemptId(attempt), ClientId([client; 32]));
                    let file = chunk(dir.path(), at.0, at.1, at.2, index).unwrap();
                    assert_eq!(file, memory.kept_chunk(at.0, at.1, at.2, index).unwrap(), "{at:?} {index}");
                }
            }
        }
        assert_eq!(round(dir.path(), RoundId(1)).unwrap(), None, "two rounds are kept");
        assert!(!round_dir(dir.path(), RoundId(1)).exists());
        assert!(chunk(dir.path(), RoundId(3), AttemptId(1), ClientId([2; 32]), 0).unwrap().is_some(), "control");
    }

    #[test]
    fn a_file_that_was_cut_short_shows_nothing_or_what_is_under_no_root() {
        assert_eq!(
            [0, 32, 40, 64 * 1024 + 32, 64 * 1024 + 72].map(words_of),
            [Some(0), None, Some(1), Some(8192), Some(8193)]
        );
        assert_eq!(words_of(41), None);
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), &published(1, 1)).unwrap();
        fs::write(round_dir(dir.path(), RoundId(1)).join(ROUND), [1, 0, 0, 0, 9, 0, 0, 0, 7]).unwrap();
        assert_eq!(round(dir.path(), RoundId(1)).unwrap(), None);
    }
}
