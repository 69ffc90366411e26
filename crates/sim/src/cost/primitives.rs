//! What the machine can do: the rates that no implementation of the protocol passes, measured in the same run.
use std::hint::black_box;

use sottovoce_secagg::mask::{self, MaskKey, Prg};
use sottovoce_secagg::probes::agreement_probe;
use sottovoce_secagg::{Identity, labels, verify};
use sottovoce_types::Digest;

use super::{Clock, seconds};

/// Rates and times on one thread.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Primitives {
    /// B_prg: the raw keystream, bytes a second; infinite where there are no masks.
    pub keystream: f64,
    /// BLAKE3, bytes a second.
    pub hash: f64,
    /// Words added to words, bytes of one of the two a second: what a sum of vectors costs when nothing else does.
    pub add: f64,
    /// T_dh: one X25519 agreement, seconds.
    pub agreement: f64,
    /// One Ed25519 verification, seconds.
    pub verification: f64,
}

impl Primitives {
    /// Measures them, for vectors of so many words: the memory that they are added from is as large as the round's.
    pub fn measure(prg: Option<Prg>, words: usize, clock: Clock<'_>) -> Self {
        let key = MaskKey::from_bytes([7; 32]);
        let keystream = prg.map_or(f64::INFINITY, |prg| {
            // In the first-level cache, in the second, and beyond: the fastest is the limit.
            [1usize << 14, 1 << 16, 1 << 20].into_iter().fold(0.0, |best, bytes| {
                let mut out = vec![0u8; bytes];
                rate(clock, bytes, || mask::keystream(prg, &key, 0, black_box(&mut out))).max(best)
            })
        });
        let (mut sum, addend) = (vec![1u64; words], vec![3u64; words]);
        let add = rate(clock, 8 * words, || {
            for (a, b) in black_box(&mut sum).iter_mut().zip(black_box(&addend)) {
                *a = a.wrapping_add(*b);
            }
        });
        let hash = [1usize << 14, 1 << 16, 1 << 20].into_iter().fold(0.0, |best, bytes| {
            let data = vec![7u8; bytes];
            let hashed = rate(clock, bytes, || {
                black_box(blake3::hash(black_box(&data)));
            });
            hashed.max(best)
        });
        let probe = agreement_probe();
        let agreement = 1.0
            / rate(clock, 1, || {
                black_box(probe());
            });
        let (identity, message) = (Identity::from_seed([1; 32]), Digest::default());
        let (key, signature) = (identity.public_key(), identity.sign(labels::INPUT, message.as_bytes()));
        let verification = 1.0
            / rate(clock, 1, || {
                black_box(verify(&key, labels::INPUT, message.as_bytes(), black_box(&signature)).is_ok());
            });
        Self { keystream, hash, add, agreement, verification }
    }
}

/// Seconds of a piece of work on so many bytes: the best of seven parts.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
pub(super) fn time(clock: Clock<'_>, bytes: usize, work: impl FnMut()) -> f64 {
    bytes as f64 / rate(clock, bytes, work)
}

/// Units a second in the best of seven parts of 20 ms: what a part lost to other processes is not the machine's limit.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53 units")]
fn rate(clock: Clock<'_>, units: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut best: f64 = 0.0;
    for _ in 0..7 {
        let (start, mut runs, mut elapsed) = (clock(), 0usize, 0.0);
        while elapsed < 0.02 {
            // The clock may be a file that is read: not after every run of a short piece of work.
            for _ in 0..(65_536 / units.max(1)).clamp(1, 16) {
                work();
                runs += 1;
            }
            elapsed = seconds(clock, start);
        }
        best = best.max((runs * units) as f64 / elapsed);
    }
    best
}
