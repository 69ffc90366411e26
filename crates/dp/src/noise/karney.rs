//! Exactly normal deviates: Karney 2016, "Sampling Exactly from the Normal Distribution", ACM TOMS 42(1), Algorithms N, H, B, C.
//!
//! Every decision is a comparison of uniform *real* numbers, of which as many binary digits are drawn as the comparison
//! needs. Nothing here is a float.
use std::cmp::Ordering;

/// Where the digits of uniform real numbers in (0, 1) come from.
pub(crate) trait Digits {
    /// Binary digits drawn at a time, at most 32.
    const BITS: u32;
    /// Which real number a digit belongs to. Nothing for a plain random stream, where digits have no fixed place.
    type Number;

    /// Begins a new real number.
    fn open(&mut self) -> Self::Number;

    /// Its next digit, below 2^BITS; `place` counts from 0 and rises by one from call to call for one number.
    fn draw(&mut self, number: &Self::Number, place: usize) -> u64;
}

/// A uniform real number in (0, 1), known to finitely many digits so far.
pub(crate) struct Uniform<D: Digits> {
    number: D::Number,
    first: u64,
    later: Vec<u64>,
}

impl<D: Digits> Uniform<D> {
    #[inline]
    pub(crate) fn new(digits: &mut D) -> Self {
        let number = digits.open();
        let first = digits.draw(&number, 0);
        Self { number, first, later: Vec::new() }
    }

    /// The digit at `place`, drawn now if it is not known yet.
    pub(crate) fn digit(&mut self, digits: &mut D, place: usize) -> u64 {
        if place == 0 {
            return self.first;
        }
        while self.later.len() < place {
            let next = digits.draw(&self.number, self.later.len() + 1);
            self.later.push(next);
        }
        self.later[place - 1]
    }

    /// Whether this number is below `other`. They differ with probability 1, so this ends with probability 1.
    #[inline]
    fn below(&mut self, other: &mut Self, digits: &mut D) -> bool {
        match self.first.cmp(&other.first) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => self.below_by_later_digits(other, digits),
        }
    }

    #[cold]
    fn below_by_later_digits(&mut self, other: &mut Self, digits: &mut D) -> bool {
        let mut place = 1;
        loop {
            match self.digit(digits, place).cmp(&other.digit(digits, place)) {
                Ordering::Less => return true,
                Ordering::Greater => return false,
                Ordering::Equal => place += 1,
            }
        }
    }

    /// Whether this number is below 1/2: its first binary digit.
    #[inline]
    fn below_half(&self) -> bool {
        self.first >> (D::BITS - 1) == 0
    }

    /// Whether this number is below `numerator`/`denominator` (at most 1), comparing with its expansion in base 2^BITS.
    #[cold]
    fn below_ratio(&mut self, numerator: u64, denominator: u64, digits: &mut D) -> bool {
        let mut remainder = numerator;
        let mut place = 0;
        loop {
            if remainder == denominator {
                return true; // the ratio is 1
            }
            if remainder == 0 {
                return false; // the ratio ends here, and this number does not lie below its known digits
            }
            let shifted = remainder << D::BITS;
            match self.digit(digits, place).cmp(&(shifted / denominator)) {
                Ordering::Less => return true,
                Ordering::Greater => return false,
                Ordering::Equal => (remainder, place) = (shifted % denominator, place + 1),
            }
        }
    }
}

/// A standard normal deviate ±(k + x), x in (0, 1) known to finitely many digits so far.
pub(crate) struct Normal<D: Digits> {
    pub(crate) negative: bool,
    pub(crate) whole: u32,
    pub(crate) fraction: Uniform<D>,
}

impl<D: Digits> Normal<D> {
    /// Algorithm N.
    #[inline]
    pub(crate) fn draw(digits: &mut D) -> Self {
        loop {
            // N1: k with probability e^(−k/2)·(1 − e^(−1/2)).
            let mut whole = 0u32;
            while half_exponential(digits) {
                whole += 1;
            }
            // N2: accept k with probability e^(−k(k−1)/2).
            let trials = u64::from(whole) * u64::from(whole.saturating_sub(1));
            if !(0..trials).all(|_| half_exponential(digits)) {
                continue;
            }
            // N3, N4: accept x with probability e^(−x(2k+x)/2), as k + 1 trials of e^(−x(2k+x)/(2k+2)) each.
            let mut fraction = Uniform::new(digits);
            if !(0..=whole).all(|_| accept_fraction(whole, &mut fraction, digits)) {
                continue;
            }
            // N5, N6: join and choose a sign.
            let negative = Uniform::new(digits).below_half();
            return Self { negative, whole, fraction };
        }
    }
}

/// Algorithm H: true with probability e^(−1/2). The longest run 1/2 > u₁ > u₂ > … has length ≥ n with probability 2^(−n)/n!, so it is
/// even with probability Σ (−1/2)^n/n!.
#[inline]
fn half_exponential<D: Digits>(digits: &mut D) -> bool {
    let mut previous = Uniform::new(digits);
    if !previous.below_half() {
        return true;
    }
    loop {
        let mut next = Uniform::new(digits);
        if !next.below(&mut previous, digits) {
            return false;
        }
        let mut after = Uniform::new(digits);
        if !after.below(&mut next, digits) {
            return true;
        }
        previous = after;
    }
}

/// Algorithm B: true with probability e^(−x(2k+x)/(2k+2)): the same with a run x > z₁ > z₂ > … each of whose steps also
/// passes a trial of probability (2k+x)/(2k+2).
#[inline]
fn accept_fraction<D: Digits>(whole: u32, x: &mut Uniform<D>, digits: &mut D) -> bool {
    let mut last: Option<Uniform<D>> = None;
    let mut even = true;
    loop {
        let mut next = Uniform::new(digits);
        let descends = match &mut last {
            None => next.below(x, digits),
            Some(last) => next.below(last, digits),
        };
        if !descends || !step_trial(whole, x, digits) {
            return even;
        }
        last = Some(next);
        even = !even;
    }
}

/// True with probability (2k+x)/(2k+2), by Algorithm C: with m = 2k+2 equal parts of (0, 1), the first part fails, the
/// second is a trial of probability x, the others succeed.
#[inline]
fn step_trial<D: Digits>(whole: u32, x: &mut Uniform<D>, digits: &mut D) -> bool {
    let parts = 2 * u64::from(whole) + 2;
    let mut u = Uniform::new(digits);
    // floor(m·u) lies between these two, as u is in [first, first + 1) / 2^BITS.
    let (low, high) = ((parts * u.first) >> D::BITS, (parts * (u.first + 1) - 1) >> D::BITS);
    let part = if low.min(2) == high.min(2) {
        low
    } else if u.below_ratio(1, parts, digits) {
        0
    } else if u.below_ratio(2, parts, digits) {
        1
    } else {
        2
    };
    match part {
        0 => false,
        1 => Uniform::new(digits).below(x, digits),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digits from a list, then zeros.
    struct Script(Vec<u64>);

    impl Digits for Script {
        const BITS: u32 = 4;
        type Number = ();
        fn open(&mut self) {}
        fn draw(&mut self, (): &(), _place: usize) -> u64 {
            if self.0.is_empty() { 0 } else { self.0.remove(0) }
        }
    }

    fn below_ratio(digits: &[u64], numerator: u64, denominator: u64) -> bool {
        let mut script = Script(digits.to_vec());
        Uniform::new(&mut script).below_ratio(numerator, denominator, &mut script)
    }

    #[test]
    fn a_ratio_is_compared_digit_by_digit() {
        // 1/3 = 0.5555… in base 16.
        assert!(below_ratio(&[5, 5, 5, 4], 1, 3));
        assert!(!below_ratio(&[5, 5, 5, 6], 1, 3));
        // 1/2 = 0.8: the number 0.800… is not below it, 0.7fff… is.
        assert!(!below_ratio(&[8], 1, 2));
        assert!(below_ratio(&[7, 15, 15], 1, 2));
        assert!(below_ratio(&[15, 15], 2, 2));
    }

    #[test]
    fn equal_first_digits_are_settled_by_later_ones() {
        // Both begin with 9; then the pairs (3, 3) and (1, 2) are drawn alternately.
        let mut script = Script(vec![9, 9, 3, 3, 1, 2]);
        let (mut a, mut b) = (Uniform::new(&mut script), Uniform::new(&mut script));
        assert!(a.below(&mut b, &mut script));
        assert!(!b.below(&mut a, &mut script));
        assert_eq!((a.later, b.later), (vec![3, 1], vec![3, 2]));
    }
}
