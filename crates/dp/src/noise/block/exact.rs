//! Decisions with as many digits as they need, in integers of any size.
use num_bigint::BigUint;

use super::proposal::{BLOCK_BITS, Outcome, Proposal};
use super::{Number, Reach, Reals};
use crate::noise::Sigma;

/// A uniform real number in (0, 1) of which 64 · `words` binary digits are known.
pub(super) struct Real {
    number: Number,
    words: Vec<u64>,
}

impl Real {
    /// `words` are its first digits.
    pub(super) fn new(number: Number, words: Vec<u64>) -> Self {
        Self { number, words }
    }

    fn know(&mut self, digits: u32, reals: &mut impl Reals) {
        while u64::BITS * u32::try_from(self.words.len()).expect("few") < digits {
            self.words.push(reals.more(self.number));
        }
    }

    /// ⌊2^digits · the number⌋.
    fn leading(&mut self, digits: u32, reals: &mut impl Reals) -> BigUint {
        self.know(digits, reals);
        let words = usize::try_from(digits.div_ceil(u64::BITS)).expect("few");
        let all = self.words[..words].iter().fold(BigUint::ZERO, |all, &word| (all << u64::BITS) | BigUint::from(word));
        all >> (digits.next_multiple_of(u64::BITS) - digits)
    }

    /// `bits` digits from `place` on; they lie within one word.
    pub(super) fn digits(&mut self, place: u32, bits: u32, reals: &mut impl Reals) -> u64 {
        self.know(place + bits, reals);
        let word = self.words[usize::try_from(place / u64::BITS).expect("few")];
        (word << (place % u64::BITS)) >> (u64::BITS - bits)
    }
}

/// The factor f of the acceptance probability f·e^(−(i+u)²h²/2), as a fraction.
pub(super) struct Ratio {
    numerator: BigUint,
    denominator: BigUint,
}

impl Ratio {
    /// C / W of a block of the table.
    pub(super) fn of_block(proposal: &Proposal, block: Outcome) -> Self {
        let weight = proposal.blocks[usize::from(block.0)].weight;
        Self { numerator: proposal.ceiling.into(), denominator: weight.into() }
    }

    /// C / (W·p) of the block that lies `steps` beyond the table's end and that the tail, of weight W, proposes with probability p.
    pub(super) fn of_tail(proposal: &Proposal, steps: u32) -> Self {
        let tail = &proposal.tail;
        // p = (2^bits − 1)^steps / 2^(bits·(steps + 1))
        let numerator = BigUint::from(proposal.ceiling) << (u64::from(tail.bits) * (u64::from(steps) + 1));
        let denominator = BigUint::from((1u64 << tail.bits) - 1).pow(steps) * tail.weight;
        Self { numerator, denominator }
    }
}

/// Whether test < f·e^(−(block + offset)²h²/2). They differ with probability 1, so this ends with probability 1.
pub(super) fn accept<Q: Reach>(
    ratio: &Ratio,
    block: u64,
    offset: &mut Real,
    test: &mut Real,
    reals: &mut impl Reals,
) -> bool {
    let mut digits = Q::FIRST_DIGITS;
    loop {
        let (u, v) = (offset.leading(digits, reals), test.leading(digits, reals));
        // The exponent is between near²/2^scale and far²/2^scale.
        let near = (BigUint::from(block) << digits) + u;
        let far = &near + 1u8;
        let scale = 2 * (digits + BLOCK_BITS) + 1;
        let precision = digits + 64;
        let low = exp_bracket(&(&far * &far), scale, precision).low;
        let high = exp_bracket(&(&near * &near), scale, precision).high;
        // v and test differ by less than 2^−digits; both sides times denominator · 2^(digits + precision).
        let below = ((&v + 1u8) * &ratio.denominator) << precision <= (&ratio.numerator * low) << digits;
        let above = (v * &ratio.denominator) << precision >= (&ratio.numerator * high) << digits;
        if below || above {
            return below;
        }
        digits += Q::MORE_DIGITS;
    }
}

/// ⌊σ·(block + offset)·h + 1/2⌋.
pub(super) fn round<Q: Reach>(sigma: Sigma, block: u64, offset: &mut Real, reals: &mut impl Reals) -> i64 {
    let mut digits = Q::FIRST_DIGITS;
    loop {
        let position = (BigUint::from(block) << digits) + offset.leading(digits, reals);
        if let Some(steps) = common_rounding(sigma, &position, digits) {
            // σ ≤ 2^40 and (block + u)·h < 2^22 but for an event of probability e^(−2^43).
            return i64::try_from(steps).expect("a normal deviate below 2^22");
        }
        digits += Q::MORE_DIGITS;
    }
}

/// The rounding of σ·y·h for all y in (position, position + 1) / 2^digits, if they have one.
pub(super) fn common_rounding(sigma: Sigma, position: &BigUint, digits: u32) -> Option<BigUint> {
    let shift = Sigma::FRACTION_BITS + BLOCK_BITS + digits;
    let low = position * sigma.raw() + (BigUint::from(1u8) << (shift - 1));
    // The interval is open above, so its largest floor is that of the end less the smallest amount.
    let high = (&low + (sigma.raw() - 1)) >> shift;
    let low = low >> shift;
    (low == high).then_some(low)
}

/// low ≤ 2^precision · e^(−x) ≤ high.
pub(super) struct Bracket {
    pub(super) low: BigUint,
    pub(super) high: BigUint,
}

/// e^(−x) for x = `numerator` / 2^`scale`, by the alternating series at x/2^r ≤ 1/2 and r squarings, each operation rounded outwards.
pub(super) fn exp_bracket(numerator: &BigUint, scale: u32, precision: u32) -> Bracket {
    // numerator < 2^bits, so x/2^r < 2^(bits − scale − r) ≤ 1/2.
    let bits = u32::try_from(numerator.bits()).expect("an exponent that is drawn");
    let halvings = (bits + 1).saturating_sub(scale);
    // A squaring doubles the relative error at most and e^(−x/2^r) > 1/2: guard bits for the squarings and for 2^10 roundings.
    let q = precision + 2 * halvings + 16;
    let y_low = (numerator << q) >> (scale + halvings);
    let y_high = &y_low + 1u8;
    let one = BigUint::from(1u8) << q;
    // The bracket of y^n/n!, then of the partial sum.
    let (mut term_low, mut term_high) = (one.clone(), one.clone());
    let (mut low, mut high) = (one.clone(), one);
    let mut n = 0u32;
    while term_high > BigUint::from(2u8) {
        n += 1;
        term_low = ((term_low * &y_low) >> q) / n;
        term_high = ((term_high * &y_high) >> q) / n + 2u8;
        if n % 2 == 1 {
            (low, high) = (low - &term_high, high - &term_low);
        } else {
            (low, high) = (low + &term_low, high + &term_high);
        }
    }
    // The terms fall and alternate, so what is left out is at most the last term.
    (low, high) = (low - &term_high, high + &term_high);
    for _ in 0..halvings {
        (low, high) = ((&low * &low) >> q, ((&high * &high) >> q) + 1u8);
    }
    let drop = q - precision;
    Bracket { low: low >> drop, high: (high >> drop) + 1u8 }
}
