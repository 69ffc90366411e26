//! Mask expansion: a key becomes a stream of 64-bit words, added to or subtracted from a vector in the same pass.
//!
//! The streams are part of the protocol and pinned by known-answer tests ([`Prg`] says what each is). A mask may be expanded
//! from any word on, so that a part of a vector is checked without the rest of it.
//!
//! Many masks on one vector go block by block: all masks onto one block of the vector while that is in the second-level
//! cache, then the next block. The vector then passes through memory once for many masks. Work is shared out by
//! `std::thread::scope`: equal parts of one vector need no work stealing, and the crate no further dependency.
use std::num::NonZeroUsize;

use zeroize::{Zeroize, ZeroizeOnDrop};

mod keystream;
#[cfg(test)]
mod tests;

pub use keystream::Prg;
use keystream::{Keystream, Schedule};

/// The key of one mask. No `Debug`, no `Clone`; wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MaskKey([u8; 32]);

impl MaskKey {
    /// The key of these bytes, which must be used for nothing else.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Whether a mask is put on or taken off. Of two clients the one earlier on the roster adds and the other subtracts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// words += mask
    Add,
    /// words −= mask
    Subtract,
}

/// Bytes of keystream made at a time: small enough for four of them in the first-level cache beside the words, large enough
/// for the ciphers to keep all their lanes full.
const CHUNK: usize = 4096;

/// Words of a chunk.
const CHUNK_WORDS: usize = CHUNK / 8;

/// Words of a vector that all masks of a batch are put on before the next words: 64 KiB.
const BLOCK_WORDS: usize = 8192;

/// Keys made ready together: their round keys (up to 1 KiB each) stay in the second-level cache beside a block.
const BATCH: usize = 64;

/// Streams added in one pass over the words: the words are loaded and stored once for four masks.
const ABREAST: usize = 4;

/// Fewest words that are worth a thread of their own.
const PART_WORDS: usize = 4096;

/// Fewest key agreements that are worth a thread of their own.
const PART_KEYS: usize = 8;

/// Adds or subtracts `words.len()` words of the mask of `key`, from its word `offset` on, to or from `words`, mod 2^64 each.
pub fn expand_into(prg: Prg, key: &MaskKey, sign: Sign, offset: u64, words: &mut [u64]) {
    let schedule = [Schedule::new(prg, key)];
    let mut buffers = Buffers::of_words(words.len());
    match sign {
        Sign::Add => combine(&schedule, offset, words, &mut buffers, u64::wrapping_add),
        Sign::Subtract => combine(&schedule, offset, words, &mut buffers, u64::wrapping_sub),
    }
}

/// Puts many whole masks on `words`, or takes them off, on up to `workers` threads. What it holds beside the vector does not
/// grow with the number of masks; they are asked for a batch at a time.
pub fn expand_all(
    prg: Prg,
    masks: impl IntoIterator<Item = (MaskKey, Sign)>,
    words: &mut [u64],
    workers: NonZeroUsize,
) {
    let mut masks = masks.into_iter();
    loop {
        let mut batch = Batch { added: Vec::new(), subtracted: Vec::new() };
        for (key, sign) in masks.by_ref().take(BATCH) {
            let schedule = Schedule::new(prg, &key);
            match sign {
                Sign::Add => batch.added.push(schedule),
                Sign::Subtract => batch.subtracted.push(schedule),
            }
        }
        if batch.added.is_empty() && batch.subtracted.is_empty() {
            return;
        }
        batch.expand(words, workers);
    }
}

/// Writes `out.len()` bytes of the keystream of `key` from word `offset` on: the mask by itself, nothing added. What a bench
/// sets beside [`expand_into`].
pub fn keystream(prg: Prg, key: &MaskKey, offset: u64, out: &mut [u8]) {
    Schedule::new(prg, key).at_word(offset).write(out);
}

/// `make` of each item, in order, on up to `workers` threads: for keys that cost an agreement each.
pub(crate) fn parallel_map<T: Sync, R: Send>(
    items: &[T],
    workers: NonZeroUsize,
    make: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let part = items.len().div_ceil(workers.get()).max(PART_KEYS);
    let make = &make;
    let mut parts = items.chunks(part);
    let Some(first) = parts.next() else { return Vec::new() };
    std::thread::scope(|scope| {
        let others: Vec<_> = parts.map(|part| scope.spawn(move || part.iter().map(make).collect::<Vec<R>>())).collect();
        let mut made: Vec<R> = first.iter().map(make).collect();
        for other in others {
            // A panic there is a panic here.
            made.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        made
    })
}

struct Batch {
    added: Vec<Schedule>,
    subtracted: Vec<Schedule>,
}

impl Batch {
    fn expand(&self, words: &mut [u64], workers: NonZeroUsize) {
        // Whole chunks, so that each part begins where a block of every cipher does.
        let part = words.len().div_ceil(workers.get()).next_multiple_of(CHUNK_WORDS).max(PART_WORDS);
        let mut parts = (0u64..).step_by(part).zip(words.chunks_mut(part));
        let Some((first_offset, first)) = parts.next() else { return };
        std::thread::scope(|scope| {
            for (offset, part) in parts {
                scope.spawn(move || self.expand_part(offset, part));
            }
            self.expand_part(first_offset, first);
        });
    }

    fn expand_part(&self, offset: u64, part: &mut [u64]) {
        let mut buffers = Buffers::of_words(part.len());
        for (position, block) in (offset..).step_by(BLOCK_WORDS).zip(part.chunks_mut(BLOCK_WORDS)) {
            combine(&self.added, position, block, &mut buffers, u64::wrapping_add);
            combine(&self.subtracted, position, block, &mut buffers, u64::wrapping_sub);
        }
    }
}

/// Keystream on its way to the words; wiped on drop.
struct Buffers([Vec<u8>; ABREAST]);

impl Buffers {
    /// For vectors of up to so many words.
    fn of_words(words: usize) -> Self {
        Self(std::array::from_fn(|_| vec![0; words.saturating_mul(8).min(CHUNK)]))
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
    }
}

/// Combines every stream, from word `offset` on, with the words.
fn combine(
    schedules: &[Schedule],
    offset: u64,
    words: &mut [u64],
    buffers: &mut Buffers,
    op: impl Fn(u64, u64) -> u64 + Copy,
) {
    for abreast in schedules.chunks(ABREAST) {
        let mut streams: Vec<Keystream<'_>> = abreast.iter().map(|s| s.at_word(offset)).collect();
        for chunk in words.chunks_mut(CHUNK_WORDS) {
            let bytes = size_of_val(chunk);
            let mut fresh = streams.iter_mut().zip(&mut buffers.0).map(|(stream, buffer)| {
                let buffer = buffer.get_mut(..bytes).expect("a chunk of words is no longer than a chunk of keystream");
                stream.write(buffer);
                buffer.as_chunks::<8>().0
            });
            match (fresh.next(), fresh.next(), fresh.next(), fresh.next()) {
                (Some(a), Some(b), Some(c), Some(d)) => combine_four(chunk, [a, b, c, d], op),
                (a, b, c, _) => [a, b, c].into_iter().flatten().for_each(|one| combine_one(chunk, one, op)),
            }
        }
    }
}

fn combine_one(words: &mut [u64], mask: &[[u8; 8]], op: impl Fn(u64, u64) -> u64) {
    for (word, mask) in words.iter_mut().zip(mask) {
        *word = op(*word, u64::from_le_bytes(*mask));
    }
}

fn combine_four(words: &mut [u64], [a, b, c, d]: [&[[u8; 8]]; ABREAST], op: impl Fn(u64, u64) -> u64) {
    for ((((word, a), b), c), d) in words.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *word = [a, b, c, d].into_iter().fold(*word, |sum, mask| op(sum, u64::from_le_bytes(*mask)));
    }
}
