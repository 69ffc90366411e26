//! Digits from a keystream.
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{Number, Reals, Trial};

/// Bytes of a trial.
const TRIAL: usize = 24;
/// Bytes drawn at a time at most: 512 trials. Generators fill long runs several times faster than words one by one.
pub(crate) const BULK: usize = 512 * TRIAL;
/// For single samples.
pub(crate) const SINGLE: usize = TRIAL;

/// Reads words in the generator's order. It never draws more bytes than the samples still wanted are sure to need, so nothing is
/// left over or thrown away, and with a generator whose bytes do not depend on how they are asked for (a stream cipher, in multiples of 8 bytes)
/// `fill` in one call or in many gives the same samples.
pub(crate) struct Stream<'a, R: ?Sized, const CAPACITY: usize> {
    rng: &'a mut R,
    buffer: Zeroizing<[u8; CAPACITY]>,
    at: usize,
    end: usize,
}

impl<'a, R: CryptoRng + ?Sized, const CAPACITY: usize> Stream<'a, R, CAPACITY> {
    pub(crate) fn new(rng: &'a mut R) -> Self {
        Self { rng, buffer: Zeroizing::new([0; CAPACITY]), at: 0, end: 0 }
    }

    /// What a refinement left, and fresh bytes up to what `wanted` trials need.
    #[cold]
    #[inline(never)]
    fn refill(&mut self, wanted: usize) {
        let left = self.end - self.at;
        self.buffer.copy_within(self.at..self.end, 0);
        (self.at, self.end) = (0, TRIAL * wanted.clamp(1, CAPACITY / TRIAL));
        self.rng.fill_bytes(&mut self.buffer[left..self.end]);
    }
}

impl<R: CryptoRng + ?Sized, const CAPACITY: usize> Reals for Stream<'_, R, CAPACITY> {
    #[inline]
    fn trial(&mut self, wanted: usize) -> Trial {
        if self.end - self.at < TRIAL {
            self.refill(wanted);
        }
        let (words, _) = self.buffer[self.at..].first_chunk::<TRIAL>().expect("refilled above").as_chunks::<8>();
        let word = |i: usize| u64::from_le_bytes(words[i]);
        self.at += TRIAL;
        Trial { choice: word(0), offset: word(1), test: word(2) }
    }

    #[cold]
    fn more(&mut self, _number: Number) -> u64 {
        let mut word = [0; 8];
        if self.at < self.end {
            word.copy_from_slice(&self.buffer[self.at..self.at + 8]);
            self.at += 8;
        } else {
            self.rng.fill_bytes(&mut word);
        }
        u64::from_le_bytes(word)
    }
}
