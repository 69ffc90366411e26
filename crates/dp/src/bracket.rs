//! A number between two floats.
use std::fmt;

/// The exact value lies in [lower, upper]. Print, compare and enforce `upper`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bracket {
    /// At most the exact value.
    pub lower: f64,
    /// At least the exact value.
    pub upper: f64,
}

impl Bracket {
    /// Nothing was released.
    pub(crate) const ZERO: Self = Self { lower: 0.0, upper: 0.0 };
    /// No guarantee.
    pub(crate) const UNBOUNDED: Self = Self { lower: f64::INFINITY, upper: f64::INFINITY };
}

impl fmt::Display for Bracket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.lower, self.upper)
    }
}

/// The greatest float that `holds`, by bisection down to neighbouring floats, given that it holds at `good` and does not
/// at `bad`. Whatever the predicate's shape, it holds at what is returned.
pub(crate) fn last_that_holds(mut good: f64, mut bad: f64, holds: impl Fn(f64) -> bool) -> f64 {
    loop {
        let middle = f64::midpoint(good, bad);
        if middle <= good.min(bad) || middle >= good.max(bad) {
            return good;
        }
        if holds(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bisection_ends_at_the_last_float_that_holds_from_either_side() {
        let third = 1.0 / 3.0;
        assert_eq!(last_that_holds(0.0, 1.0, |v| v <= third).to_bits(), third.to_bits());
        assert_eq!(last_that_holds(1.0, 0.0, |v| v > third).to_bits(), third.next_up().to_bits());
    }
}
