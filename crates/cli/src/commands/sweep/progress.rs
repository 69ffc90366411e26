//! How far a sweep is, and how long it may take: a bar on a terminal, a line a cell elsewhere.
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::output::Output;

/// Counts cells as they end.
pub(super) struct Progress<'a> {
    output: &'a Output,
    bar: ProgressBar,
    total: usize,
    began: Instant,
    so_far: Mutex<SoFar>,
}

#[derive(Clone, Copy, Default)]
struct SoFar {
    before: usize,
    ended: usize,
    failed: usize,
}

impl SoFar {
    /// What is left, at the pace of what ended since the start.
    fn left(self, total: usize, elapsed: Duration) -> Option<Duration> {
        let left = total.saturating_sub(self.before + self.ended);
        (self.ended > 0).then(|| elapsed.mul_f64(left as f64 / self.ended as f64))
    }

    fn in_words(self, total: usize, elapsed: Duration) -> String {
        let Self { before, ended, failed } = self;
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        let left = match self.left(total, elapsed) {
            Some(left) if before + ended < total => format!(", about {} left", in_words(left)),
            _ => String::new(),
        };
        format!("{} of {total} cells{failed}{left}", before + ended)
    }
}

impl<'a> Progress<'a> {
    /// Of `total` cells, of which `before` were done before.
    pub(super) fn new(total: usize, before: usize, output: &'a Output) -> Self {
        let bar = output.progress("cells", total as u64);
        bar.set_position(before as u64);
        bar.reset_eta(); // What was done before took no time now.
        Self { output, bar, total, began: Instant::now(), so_far: Mutex::new(SoFar { before, ..SoFar::default() }) }
    }

    /// A cell ended.
    pub(super) fn ended(&self, failed: bool) {
        let mut so_far = self.so_far.lock().expect("nothing panics while it counts");
        so_far.ended += 1;
        so_far.failed += usize::from(failed);
        self.bar.inc(1);
        if self.bar.is_hidden() {
            self.output.remark(so_far.in_words(self.total, self.began.elapsed()));
        }
    }

    /// All ended.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// A duration as people say it.
pub(super) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_the_pace_of_this_start_alone() {
        let so_far = SoFar { before: 10, ended: 2, failed: 1 };
        let twenty = Duration::from_secs(20);
        assert_eq!(so_far.left(15, twenty), Some(Duration::from_secs(30)));
        assert_eq!(so_far.in_words(15, twenty), "12 of 15 cells, 1 failed, about 30 s left");
        assert_eq!(
            SoFar { before: 10, ..SoFar::default() }.left(15, twenty),
            None,
            "nothing is known before the first"
        );
        assert_eq!(SoFar { before: 0, ended: 2, failed: 0 }.in_words(2, twenty), "2 of 2 cells");
        assert_eq!(in_words(Duration::from_secs(61)), "2 min");
        assert_eq!(in_words(Duration::from_mins(121)), "2 h 1 min");
    }
}
