//! Exactly normal deviates by blocks: |X| is cut into blocks of width h = 1/16, one is chosen from an alias table of integer weights,
//! and a uniform real offset in it is accepted with a uniform real test.
//!
//! A trial reads three 64-bit words of the keystream: the choice with the sign, the first 64 binary digits of the offset, the
//! first 64 of the test. What they leave open is settled with further digits of the same real numbers, in integers of any
//! size. Nothing here is a float. Why the result is exactly round(σ·X): `proof.md` beside this file.
//!
//! * `proposal`: the table's types; `table`: the table itself, written by a test of `build`.
//! * `taylor`: the acceptance in 62-bit fixed point with its margin.
//! * `exact`: acceptance and rounding with as many digits as they need.
//! * `stream`: digits from a keystream, drawn in bulk and read in order.
#[cfg(test)]
mod build;
mod exact;
mod proposal;
mod stream;
mod table;
mod taylor;

use exact::{Ratio, Real};
use proposal::{BLOCK_BITS, Outcome, Proposal};
pub(super) use stream::{BULK, SINGLE, Stream};
use table::PROPOSAL;
use taylor::Verdict;

use super::Sigma;

/// Which real number of a trial a digit belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Number {
    Offset,
    Test,
    /// Coins that choose a block beyond the table.
    Tail,
}

/// The words that every trial needs.
pub(super) struct Trial {
    /// From the top: 9 bits of column, 53 bits for the alias, 1 unused bit, the sign.
    choice: u64,
    offset: u64,
    test: u64,
}

/// Where the uniform real numbers come from, 64 binary digits at a time.
pub(super) trait Reals {
    /// Begins a trial. `wanted` samples are still to come, and each needs a trial at least.
    fn trial(&mut self, wanted: usize) -> Trial;

    /// The next 64 digits of one of the trial's numbers.
    fn more(&mut self, number: Number) -> u64;
}

/// How far the quick decisions reach. Every choice gives the same integers from the same real numbers; tests show it with others than [`Quick`].
pub(super) trait Reach {
    /// Whether words are compared with the precomputed lower bounds and rounded by the 64-bit product.
    const SHORT_CUTS: bool;
    /// Half-width of the interval around the fixed-point value in which [`taylor`] leaves a decision open, in 2^−62.
    const MARGIN: u64;
    /// Digits that the exact path looks at first.
    const FIRST_DIGITS: u32;
    /// Digits that it adds while a decision stays open.
    const MORE_DIGITS: u32;
}

/// What the sampler uses.
pub(super) struct Quick;

impl Reach for Quick {
    const SHORT_CUTS: bool = true;
    const MARGIN: u64 = taylor::ERROR;
    const FIRST_DIGITS: u32 = 64;
    const MORE_DIGITS: u32 = 64;
}

/// Fills `out` with independent samples of round(σ·X).
#[inline]
pub(super) fn fill(sigma: Sigma, reals: &mut impl Reals, out: &mut [i64]) {
    fill_from::<Quick>(&PROPOSAL, sigma, reals, out);
}

#[inline]
fn fill_from<Q: Reach>(proposal: &Proposal, sigma: Sigma, reals: &mut impl Reals, out: &mut [i64]) {
    let count = out.len();
    let mut filled = 0;
    while filled < count {
        if let Some(sample) = attempt::<Q>(proposal, sigma, reals, count - filled) {
            out[filled] = sample;
            filled += 1;
        }
    }
}

/// One trial; nothing when it is rejected.
#[inline]
fn attempt<Q: Reach>(proposal: &Proposal, sigma: Sigma, reals: &mut impl Reals, wanted: usize) -> Option<i64> {
    let trial = reals.trial(wanted);
    let outcome = proposal.choose(trial.choice);
    let magnitude = if Q::SHORT_CUTS && trial.test < proposal.lower_bound(outcome) {
        match round(sigma, outcome.block(), trial.offset) {
            Some(magnitude) => magnitude,
            None => round_exactly::<Q>(sigma, outcome, trial.offset, reals),
        }
    } else {
        settle::<Q>(proposal, sigma, outcome, &trial, reals)?
    };
    let negative = -(trial.choice & 1).cast_signed();
    Some((magnitude ^ negative) - negative)
}

/// The magnitude where the lower bound does not accept: by the fixed-point value, else exactly.
#[inline(never)]
fn settle<Q: Reach>(
    proposal: &Proposal,
    sigma: Sigma,
    outcome: Outcome,
    trial: &Trial,
    reals: &mut impl Reals,
) -> Option<i64> {
    if outcome == Outcome::REJECT {
        return None;
    }
    if outcome == Outcome::TAIL {
        return tail::<Q>(proposal, sigma, trial, reals);
    }
    let block = outcome.block();
    match taylor::decide(block, trial.offset, trial.test, proposal.scale(outcome), Q::MARGIN) {
        Verdict::Reject => None,
        Verdict::Accept => match if Q::SHORT_CUTS { round(sigma, block, trial.offset) } else { None } {
            Some(magnitude) => Some(magnitude),
            None => Some(round_exactly::<Q>(sigma, outcome, trial.offset, reals)),
        },
        Verdict::Open => {
            let ratio = Ratio::of_block(proposal, outcome);
            exact_sample::<Q>(sigma, &ratio, block, trial, reals)
        }
    }
}

/// Beyond the table: the block is `start` + k with k geometric, then as everywhere, always exactly. At the committed table's weights
/// this runs once in 2^62 trials.
#[cold]
fn tail<Q: Reach>(proposal: &Proposal, sigma: Sigma, trial: &Trial, reals: &mut impl Reals) -> Option<i64> {
    let mut coins = Real::new(Number::Tail, vec![]);
    let steps = proposal.tail.steps(|place, bits| coins.digits(place, bits, reals));
    let ratio = Ratio::of_tail(proposal, steps);
    exact_sample::<Q>(sigma, &ratio, proposal.tail.start + u64::from(steps), trial, reals)
}

#[cold]
fn exact_sample<Q: Reach>(
    sigma: Sigma,
    ratio: &Ratio,
    block: u64,
    trial: &Trial,
    reals: &mut impl Reals,
) -> Option<i64> {
    let mut offset = Real::new(Number::Offset, vec![trial.offset]);
    let mut test = Real::new(Number::Test, vec![trial.test]);
    exact::accept::<Q>(ratio, block, &mut offset, &mut test, reals)
        .then(|| exact::round::<Q>(sigma, block, &mut offset, reals))
}

#[cold]
fn round_exactly<Q: Reach>(sigma: Sigma, outcome: Outcome, offset: u64, reals: &mut impl Reals) -> i64 {
    let mut offset = Real::new(Number::Offset, vec![offset]);
    exact::round::<Q>(sigma, outcome.block(), &mut offset, reals)
}

/// ⌊σ·(block + u)·h + 1/2⌋ where all u that begin with the digits `offset` agree on it and a look at 20 bits shows that; `block` ≤ 255.
#[inline]
fn round(sigma: Sigma, block: u64, offset: u64) -> Option<i64> {
    // σ·(block + u)·h = (raw·block + raw·u) / 2^SHIFT, and raw ≤ 2^56 keeps `whole` below 2^56·256.
    const SHIFT: u32 = Sigma::FRACTION_BITS + BLOCK_BITS;
    const FRACTION: u64 = (1 << SHIFT) - 1;
    let raw = sigma.raw();
    let product = (u128::from(raw) * u128::from(offset)) >> 64;
    let whole = raw * block + u64::try_from(product).expect("below raw");
    // The number lies in [whole, whole + 2) / 2^SHIFT: raw·u is known to less than raw·2^−64 < 1, and its own fraction was cut off.
    // Only after this fraction of `whole` can it reach the next half.
    if whole & FRACTION == FRACTION >> 1 {
        return None;
    }
    let steps = ((whole >> (SHIFT - 1)) + 1) >> 1;
    Some(steps.cast_signed())
}

#[cfg(test)]
mod tests;
