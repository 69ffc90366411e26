//! Tails of the hypergeometric and the binomial distribution, as natural logarithms and rounded up.
//!
//! Every function here gives an *upper bound* on ln of a probability: the sums are of positive terms, so that nothing
//! cancels, and [`MARGIN`] covers rounding. `ln` and `lgamma` are libm's (musl's, to about one unit in the last place), so
//! that all parties compute the same. Up to the 2^20 clients that the solver takes, ln(n!) is below 1.4e7 with an error
//! below 4e-9; a term adds at most a dozen of them, which is below 5e-8. That holds for ln of a term; the sum adds less.

/// What is added to ln of every tail: twenty times the rounding error above.
pub(super) const MARGIN: f64 = 1e-6;

/// ln(n!).
pub(super) fn ln_factorial(n: u32) -> f64 {
    libm::lgamma(f64::from(n) + 1.0)
}

/// ln of the number of `k`-subsets of `n` things; −∞ where there is none.
pub(super) fn ln_choose(n: u32, k: u32) -> f64 {
    match n.checked_sub(k) {
        Some(rest) => ln_factorial(n) - ln_factorial(k) - ln_factorial(rest),
        None => f64::NEG_INFINITY,
    }
}

/// ln(e^a + e^b).
pub(super) fn ln_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + libm::log1p(libm::exp(low - high)) }
}

/// How many of `sample` things, drawn without replacement from `population`, are among its `marked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hypergeometric {
    population: u32,
    marked: u32,
    sample: u32,
}

impl Hypergeometric {
    /// Counts above the population mean all of it.
    pub(super) fn new(population: u32, marked: u32, sample: u32) -> Self {
        Self { population, marked: marked.min(population), sample: sample.min(population) }
    }

    /// ln P[X ≥ x], or 0 up to the mean, where nothing better is needed.
    pub(super) fn ln_at_least(self, x: u32) -> f64 {
        let Self { population, marked, sample } = self;
        if x > marked.min(sample) {
            return f64::NEG_INFINITY;
        }
        let (n, m, k) = (f64::from(population), f64::from(marked), f64::from(sample));
        if f64::from(x) * n <= m * k {
            return 0.0;
        }
        // pmf(x + 1) / pmf(x)
        let ratio = |x: f64| (m - x) * (k - x) / ((x + 1.0) * (n - m - k + x + 1.0));
        let first = ln_choose(marked, x) + ln_choose(population.saturating_sub(marked), sample.saturating_sub(x))
            - ln_choose(population, sample);
        (first + ln_series(x, ratio) + MARGIN).min(0.0)
    }

    /// ln P[X ≤ x], or 0 from the mean on.
    pub(super) fn ln_at_most(self, x: u32) -> f64 {
        // sample − X counts the unmarked.
        let unmarked = Self { marked: self.population.saturating_sub(self.marked), ..self };
        self.sample.checked_sub(x).map_or(0.0, |least| unmarked.ln_at_least(least))
    }
}

/// ln P[X ≥ x] for X binomial with `trials` of chance `sample`/`population`, or 0 up to the mean.
pub(super) fn ln_binomial_at_least(trials: u32, sample: u32, population: u32, x: u32) -> f64 {
    if x > trials {
        return f64::NEG_INFINITY;
    }
    let chance = f64::from(sample) / f64::from(population);
    let n = f64::from(trials);
    if f64::from(x) <= n * chance {
        return 0.0;
    }
    let ratio = |x: f64| (n - x) / (x + 1.0) * chance / (1.0 - chance);
    let first = ln_choose(trials, x)
        + f64::from(x) * libm::log(chance)
        + f64::from(trials.saturating_sub(x)) * libm::log1p(-chance);
    (first + ln_series(x, ratio) + MARGIN).min(0.0)
}

/// ln(1 + r(x) + r(x)·r(x+1) + …) for ratios that fall and are at most about 1, until the terms no longer count.
fn ln_series(x: u32, ratio: impl Fn(f64) -> f64) -> f64 {
    let (mut term, mut sum, mut x) = (1.0, 1.0, f64::from(x));
    // Ratios reach 0 at the end of the support at the latest.
    while term > sum * 1e-18 {
        term *= ratio(x).max(0.0);
        sum += term;
        x += 1.0;
    }
    libm::log(sum)
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "the oracle's loss is 1e-16 of its value")]
mod tests {
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;

    fn choose(n: u32, k: u32) -> BigUint {
        if k > n {
            return BigUint::from(0u32);
        }
        (0..k).fold(BigUint::from(1u32), |c, i| c * (n - i) / (i + 1))
    }

    /// ln of a ratio of integers to about 1e-15, through their leading 64 bits.
    fn ln_ratio(a: &BigUint, b: &BigUint) -> f64 {
        let ln = |v: &BigUint| {
            let shift = v.bits().saturating_sub(64);
            let digits = (v >> shift).to_u64_digits();
            let top = digits.first().copied().unwrap_or(0);
            (top as f64).ln() + shift as f64 * std::f64::consts::LN_2
        };
        if a.bits() == 0 { f64::NEG_INFINITY } else { ln(a) - ln(b) }
    }

    fn exact(n: u32, m: u32, k: u32, xs: impl Iterator<Item = u32>) -> f64 {
        let ways: BigUint = xs.filter(|x| *x <= k).map(|x| choose(m, x) * choose(n - m, k - x)).sum();
        ln_ratio(&ways, &choose(n, k))
    }

    /// An upper bound, and tight: above the exact logarithm by no more than two margins. Up to the mean it is 0.
    fn bounds(found: f64, exact: f64, beyond_mean: bool) -> bool {
        if !beyond_mean {
            return found.total_cmp(&0.0).is_eq();
        }
        found.total_cmp(&exact).is_eq() || (found >= exact && found <= exact + 2.0 * MARGIN)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn tails_are_those_of_exact_counting(n in 1u32..300, m: u32, k: u32, x: u32) {
            let (m, k) = (m % (n + 1), k % (n + 1));
            let x = x % (k + 1);
            let x_is = Hypergeometric::new(n, m, k);
            prop_assert!(bounds(x_is.ln_at_least(x), exact(n, m, k, x..=k), x * n > m * k || x > m.min(k)));
            let found = x_is.ln_at_most(x);
            let below = (k - x) * n > (n - m) * k || k - x > (n - m).min(k);
            prop_assert!(bounds(found, exact(n, m, k, 0..=x), below), "{} {}", found, exact(n, m, k, 0..=x));
        }

        #[test]
        fn binomial_tails_are_those_of_exact_counting(trials in 1u32..120, sample in 1u32..40, more in 1u32..40, x: u32) {
            let population = sample + more;
            let above = trials * sample / population + 1; // at most trials
            let x = above + x % (trials + 1 - above);
            let ways: BigUint = (x..=trials)
                .map(|i| choose(trials, i) * BigUint::from(sample).pow(i) * BigUint::from(more).pow(trials - i))
                .sum();
            let exact = ln_ratio(&ways, &BigUint::from(population).pow(trials));
            prop_assert!(bounds(ln_binomial_at_least(trials, sample, population, x), exact, true));
        }
    }

    #[test]
    fn the_margin_covers_factorials_at_the_largest_roster() {
        let sum: f64 = {
            // Neumaier's summation of ln 2 … ln 2^20: its own error is below 2e-9.
            let (mut sum, mut lost) = (0.0f64, 0.0f64);
            for i in 2..=1u32 << 20 {
                let term = f64::from(i).ln();
                let next = sum + term;
                lost += if sum >= term { (sum - next) + term } else { (term - next) + sum };
                sum = next;
            }
            sum + lost
        };
        let error = (ln_factorial(1 << 20) - sum).abs();
        assert!(error < 4e-9, "{error}");
        const { assert!(12.0 * 4e-9 < MARGIN / 10.0) };
    }
}
