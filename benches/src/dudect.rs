//! Whether a time depends on a secret: Welch's t between the times of two classes of inputs (Reparaz, Balasch & Verbauwhede, "Dude, is my code
//! constant time?", DATE 2017). It can show that a time depends on the class, and never that it does not.

/// From here on an implementation counts as leaking: a difference that chance gives once in 10^5 runs at 4.5 is given once in 10^23 at 10.
pub const LEAKS: f64 = 10.0;
/// From here on it is worth a second and longer run.
pub const SUSPECT: f64 = 4.5;

/// Which of two classes a measurement is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// One.
    First,
    /// The other.
    Second,
}

/// Mean and variance as they come (Welford, 1962).
#[derive(Clone, Copy, Default, Debug)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, x: f64) {
        self.count += 1.0;
        let before = x - self.mean;
        self.mean += before / self.count;
        self.squares += before * (x - self.mean);
    }

    /// Of the mean: s² / n.
    fn error(self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// Welch's t of two samples; 0 where one has fewer than two values, or neither varies and both have one mean.
pub fn welch_t(times: impl IntoIterator<Item = (Class, f64)>) -> f64 {
    let (mut first, mut second) = (Moments::default(), Moments::default());
    for (class, time) in times {
        match class {
            Class::First => first.add(time),
            Class::Second => second.add(time),
        }
    }
    if first.count < 2.0 || second.count < 2.0 {
        return 0.0;
    }
    let (difference, error) = (first.mean - second.mean, (first.error() + second.error()).sqrt());
    if difference == 0.0 { 0.0 } else { difference / error }
}

/// The largest |t| over all times and over those below some of their quantiles: what the system does beside it makes long tails, in which
/// a small difference drowns.
pub fn largest_t(times: &[(Class, f64)]) -> f64 {
    let mut sorted: Vec<f64> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_by(f64::total_cmp);
    let quantile = |share: usize| sorted.get(sorted.len() * share / 100).copied().unwrap_or(f64::INFINITY);
    let limits = [50, 75, 90, 95, 99].map(quantile).into_iter().chain([f64::INFINITY]);
    let t = |limit: f64| welch_t(times.iter().copied().filter(|(_, time)| *time <= limit)).abs();
    limits.map(t).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    fn uniform(rng: &mut ChaCha20Rng) -> f64 {
        f64::from(rng.next_u32()) / f64::from(u32::MAX)
    }

    /// Times of a clock that ticks in nanoseconds: 1000 and some jitter, interrupted once in a hundred for up to 50 µs.
    fn times(count: usize, more: impl Fn(Class, &mut ChaCha20Rng) -> f64) -> Vec<(Class, f64)> {
        let mut rng = ChaCha20Rng::from_seed([8; 32]);
        let mut time = |class| {
            let interrupted = if uniform(&mut rng) < 0.01 { 50_000.0 * uniform(&mut rng) } else { 0.0 };
            1000.0 + 40.0 * uniform(&mut rng) + interrupted + more(class, &mut rng)
        };
        (0..count).map(|i| if i % 2 == 0 { Class::First } else { Class::Second }).map(|c| (c, time(c))).collect()
    }

    #[test]
    fn t_is_that_of_an_example_by_hand() {
        // Means 2.5 and 6, variances 5/3 and 10: −3.5 / √(5/12 + 2).
        let first = [1.0, 2.0, 3.0, 4.0].map(|x| (Class::First, x));
        let second = [2.0, 4.0, 6.0, 8.0, 10.0].map(|x| (Class::Second, x));
        let t = welch_t(first.into_iter().chain(second));
        assert!((t - -3.5 / (5.0f64 / 12.0 + 2.0).sqrt()).abs() < 1e-12, "{t}");
        assert_eq!(welch_t(first).to_bits(), 0.0f64.to_bits(), "one class alone");
        let same = [(Class::First, 3.0), (Class::First, 3.0), (Class::Second, 3.0), (Class::Second, 3.0)];
        assert_eq!(welch_t(same).to_bits(), 0.0f64.to_bits());
    }

    #[test]
    fn a_time_that_does_not_depend_on_the_class_passes() {
        let seen = largest_t(&times(40_000, |_, _| 0.0));
        assert!(seen < SUSPECT, "{seen}");
    }

    /// Two nanoseconds of a thousand, which the whole sample with its interruptions does not show.
    #[test]
    fn a_small_difference_below_long_tails_is_caught() {
        let times = times(40_000, |class, _| if class == Class::First { 2.0 } else { 0.0 });
        assert!(welch_t(times.iter().copied()).abs() < SUSPECT, "it takes the quantiles");
        let seen = largest_t(&times);
        assert!(seen > LEAKS, "{seen}");
    }

    /// A step that one class takes now and then.
    #[test]
    fn a_rare_step_of_one_class_is_caught() {
        let rare = |class, rng: &mut ChaCha20Rng| {
            if class == Class::Second && uniform(rng) < 0.05 { 60.0 } else { 0.0 }
        };
        let seen = largest_t(&times(40_000, rare));
        assert!(seen > LEAKS, "{seen}");
    }
}
