//! The engines' time: milliseconds of a steady clock since the driver started.
use sottovoce_types::Tick;
use tokio::time::{Duration, Instant};

/// Maps the machine's steady clock to [`Tick`]s.
///
/// A resumed run passes a base tick at or after the last one it used, so that ticks never go back across a restart.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    base: Tick,
}

impl Clock {
    /// A clock that reads `base` now.
    pub fn starting_at(base: Tick) -> Self {
        Self { start: Instant::now(), base }
    }

    /// The tick of this moment.
    pub fn now(&self) -> Tick {
        let elapsed_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.base.after_ms(elapsed_ms)
    }

    /// The moment at which [`Clock::now`] reads `tick`; a tick that has passed is the moment the clock started.
    pub(crate) fn instant_of(&self, tick: Tick) -> Instant {
        // A day is further away than any phase; a tick beyond it (say u64::MAX for "never") must not overflow Instant.
        let ms = tick.0.saturating_sub(self.base.0).min(self.elapsed_day_ms());
        self.start + Duration::from_millis(ms)
    }

    fn elapsed_day_ms(&self) -> u64 {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(DAY_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_clock_never_reads_less_than_its_base() {
        let clock = Clock::starting_at(Tick(5_000));
        assert!(clock.now() >= Tick(5_000));
        assert!(clock.now() < Tick(4_000).after_ms(3_600_000));
    }

    #[test]
    fn a_tick_that_never_comes_does_not_overflow() {
        let clock = Clock::starting_at(Tick(3));
        let _ = clock.instant_of(Tick(u64::MAX));
        assert!(clock.instant_of(Tick(0)) <= Instant::now(), "a tick in the past is due");
    }
}
