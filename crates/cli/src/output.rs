//! Results on stdout, everything else on stderr.
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::args::{Format, Global};

/// Where results, remarks and progress go.
#[derive(Clone, Debug)]
pub struct Output {
    format: Format,
    quiet: bool,
    /// All remarks, said or not: reports tell some of them.
    remarks: Arc<Mutex<Vec<String>>>,
}

impl Output {
    /// As the command line asks.
    pub fn new(global: &Global) -> Self {
        Self { format: global.format, quiet: global.quiet, remarks: Arc::default() }
    }

    /// The same without remarks and progress: for work that runs side by side.
    #[must_use]
    pub fn silent(&self) -> Self {
        Self { format: self.format, quiet: true, remarks: Arc::default() }
    }

    /// The result: one JSON object, or the text.
    pub fn result(&self, object: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Json => serde_json::to_string_pretty(object)?,
            Format::Text => text(),
        };
        match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
            // Whoever closes the pipe has read enough.
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    }

    /// A remark about what happens.
    pub fn remark(&self, text: impl AsRef<str>) {
        self.remarks.lock().unwrap_or_else(PoisonError::into_inner).push(text.as_ref().to_owned());
        if !self.quiet {
            let mut stderr = std::io::stderr().lock();
            // A closed stderr is no reason to stop a run.
            let _ = writeln!(stderr, "{}", text.as_ref());
        }
    }

    /// All remarks so far, those that were silenced too.
    pub fn remarks(&self) -> Vec<String> {
        self.remarks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A progress bar with rate and time left; hidden where stderr is no terminal.
    pub fn progress(&self, what: &str, total: u64) -> ProgressBar {
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let style = ProgressStyle::with_template("{msg:>24} [{bar:32}] {pos}/{len} {per_sec} eta {eta}")
            .expect("the template is a constant")
            .progress_chars("=> ");
        bar.set_style(style);
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}
