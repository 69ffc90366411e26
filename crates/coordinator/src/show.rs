//! Showing the run: the dashboard, and the view in this terminal.
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result};
use sottovoce_config::Config;
use sottovoce_live::{Dashboard, Limits, Live, Serving, Traffic, Viewer, line, screen};
use sottovoce_transcript::{Party, Tap};
use sottovoce_types::Tick;
use sottovoce_wire::Frame;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::args::Args;
use crate::tell::Voice;

/// Columns where the terminal does not say how many it has.
const COLUMNS: usize = 100;
/// Between two drawings: often enough for a countdown, and never more often than this.
const SECOND: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);
/// Drawings that may wait to be written.
const WAITING: usize = 64;

/// A tap that counts what passes, of all clients together.
pub(crate) struct Counted<T> {
    pub(crate) tap: T,
    pub(crate) traffic: Arc<Traffic>,
}

impl<T: Tap> Tap for Counted<T> {
    fn record(&mut self, at: Tick, from: Party, to: Party, frame: &Frame) {
        let bytes = u64::try_from(Frame::HEADER_LEN.saturating_add(frame.body.len())).unwrap_or(u64::MAX);
        match from {
            Party::Coordinator => self.traffic.left(bytes),
            Party::Client(_) => self.traffic.came(bytes),
        }
        self.tap.record(at, from, to, frame);
    }
}

/// What shows the run.
pub(crate) struct Shown {
    dashboard: Option<(Serving, String)>,
    watching: Option<JoinHandle<()>>,
}

impl Shown {
    /// Starts what config and command line ask for.
    pub(crate) async fn start(config: &Config, args: &Args, voice: Voice, live: &Live) -> Result<Self> {
        let dashboard = if args.no_dashboard { None } else { Some(serve(config, voice, live).await?) };
        let watching = args.watch.then(|| tokio::spawn(watch(live.viewer())));
        Ok(Self { dashboard, watching })
    }

    /// Where the dashboard is.
    pub(crate) fn url(&self) -> Option<&str> {
        self.dashboard.as_ref().map(|(_, url)| url.as_str())
    }

    /// Lets readers take the last state, once nothing is written any more.
    pub(crate) async fn close(self) {
        if let Some((serving, _)) = self.dashboard {
            serving.close(SECOND).await;
        }
        if let Some(watching) = self.watching {
            // Fails only where drawing panicked, and that was said on stderr.
            let _ = tokio::time::timeout(SECOND, watching).await;
        }
    }
}

async fn serve(config: &Config, voice: Voice, live: &Live) -> Result<(Serving, String)> {
    let wanted = config.transport.dashboard;
    let dashboard = match Dashboard::bind(wanted).await {
        // Several coordinators on one machine keep one default. A port that others rely on is not replaced in silence.
        Err(error) if error.kind() == ErrorKind::AddrInUse && wanted.ip().is_loopback() => {
            voice.complain(&format!("{wanted} (transport.dashboard) is taken: the dashboard takes a free port"));
            Dashboard::bind(SocketAddr::new(wanted.ip(), 0)).await
        }
        bound => bound,
    };
    let dashboard = dashboard.with_context(|| {
        format!("the dashboard cannot listen on {wanted}: choose another transport.dashboard, or --no-dashboard")
    })?;
    let address = dashboard.address()?;
    if config.transport.dashboard_public {
        voice.complain(&format!(
            "warning: whoever reaches {address} sees who takes part in the run, and when (transport.dashboard_public)"
        ));
    }
    Ok((dashboard.serve(live.viewer(), Limits::default()), format!("http://{address}/")))
}

/// Draws until the run's end has been drawn, or nobody reads.
async fn watch(mut viewer: Viewer) {
    let terminal = std::io::stdout().is_terminal();
    let (drawings, drawn) = printer();
    let mut said = String::new();
    let mut first = true;
    loop {
        let snapshot = viewer.snapshot();
        let drawing = if terminal {
            let size = terminal_size::terminal_size();
            let (columns, rows) = size.map_or((COLUMNS, usize::MAX), |(w, h)| (usize::from(w.0), usize::from(h.0)));
            let text = screen(&snapshot, columns);
            // Over what was there, line by line, so that nothing flickers; then away with what is left below.
            let lines: Vec<_> = text.lines().take(rows.saturating_sub(1)).map(|l| format!("{l}\x1b[K\n")).collect();
            Some(format!("{}\x1b[H{}\x1b[J", if first { "\x1b[2J" } else { "" }, lines.concat()))
        } else {
            let line = line(&snapshot) + "\n";
            (line != said).then(|| {
                said.clone_from(&line);
                line
            })
        };
        first = false;
        if let Some(drawing) = drawing
            && let Err(TrySendError::Disconnected(_)) = drawings.try_send(drawing)
        {
            return;
        }
        tokio::time::sleep(PAUSE).await;
        let more = tokio::select! {
            more = viewer.changed() => more,
            () = tokio::time::sleep(SECOND), if terminal => true,
        };
        if !more {
            break;
        }
    }
    drop(drawings);
    // Fails where the printer ended, which is what is waited for.
    let _ = drawn.await;
}

/// Writes on a thread of its own: a terminal that is held (Ctrl-S), or a pipe that nobody reads, holds that thread and nothing
/// else. What it cannot take in time is left out.
fn printer() -> (SyncSender<String>, oneshot::Receiver<()>) {
    let (drawings, waiting) = sync_channel::<String>(WAITING);
    let (done, drawn) = oneshot::channel();
    std::thread::spawn(move || {
        for drawing in waiting {
            let mut stdout = std::io::stdout().lock();
            if stdout.write_all(drawing.as_bytes()).and_then(|()| stdout.flush()).is_err() {
                break;
            }
        }
        // Nobody may be waiting.
        let _ = done.send(());
    });
    (drawings, drawn)
}
