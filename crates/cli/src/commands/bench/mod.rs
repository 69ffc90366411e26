//! `bench`: what this machine can do, with the physical limit beside it.
mod accountant;
mod mfcc;
mod noise;
mod secagg;
mod train;

use std::time::{Duration, Instant};

use crate::args::BenchCommand;
use crate::exit::{Exit, usage};
use crate::output::Output;

/// `bench`
pub fn run(command: &BenchCommand, output: &Output) -> anyhow::Result<Exit> {
    match command {
        BenchCommand::Mfcc { seconds } => mfcc::run(checked(*seconds)?, output),
        BenchCommand::Noise { seconds } => noise::run(checked(*seconds)?, output),
        BenchCommand::Accountant { seconds } => accountant::run(checked(*seconds)?, output),
        BenchCommand::Secagg(args) => secagg::run(args, output),
        BenchCommand::Train { seconds } => train::run(checked(*seconds)?, output),
    }
}

fn checked(seconds: f64) -> anyhow::Result<f64> {
    if seconds > 0.0 && seconds < 3600.0 {
        Ok(seconds)
    } else {
        Err(usage("--seconds must be above 0 and below an hour"))
    }
}

/// Time that this thread has run, which another process on the core does not lengthen: from the scheduler where it says, else wall time.
struct Clock {
    start: Instant,
    cpu: bool,
}

impl Clock {
    fn new() -> Self {
        let start = Instant::now();
        let before = thread_cpu();
        // Some kernels print zeros, others move it by ticks: it is used where it follows 20 ms of work.
        while start.elapsed() < Duration::from_millis(20) {
            std::hint::black_box(thread_cpu());
        }
        let advanced = thread_cpu().zip(before).map(|(now, before)| now.saturating_sub(before));
        let cpu = advanced.is_some_and(|d| d > Duration::from_millis(2) && d < Duration::from_millis(25));
        Self { start, cpu }
    }

    fn now(&self) -> Duration {
        self.cpu.then(thread_cpu).flatten().unwrap_or_else(|| self.start.elapsed())
    }
}

/// Linux: the first number is nanoseconds on a core.
fn thread_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Runs per second in the best of five parts of the time: what a part lost to other processes is not the stage's.
fn best_rate(clock: &Clock, seconds: f64, stage: &mut dyn FnMut() -> usize) -> f64 {
    let part = Duration::from_secs_f64(seconds / 5.0);
    let first = Instant::now();
    stage();
    let at_once = if first.elapsed() < Duration::from_millis(1) { 8 } else { 1 };
    let mut best: f64 = 0.0;
    for _ in 0..5 {
        let (start, began, mut runs) = (clock.now(), Instant::now(), 0u32);
        let elapsed = loop {
            // The clock is a file that is read: not after every run of a short stage.
            for _ in 0..at_once {
                std::hint::black_box(stage());
            }
            runs += at_once;
            let elapsed = clock.now().saturating_sub(start);
            // A part that gets no core at all ends, too.
            if elapsed >= part || began.elapsed() > 20 * part {
                break elapsed;
            }
        };
        best = best.max(f64::from(runs) / elapsed.as_secs_f64());
    }
    best
}
