//! The board between the one who writes it and those who read it.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use sottovoce_round::CoordinatorEvent;
use tokio::sync::watch;

use crate::board::Board;

/// Milliseconds since 1970 by the system's clock.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Frames and bytes of all clients together, headers included. Counted where frames pass, read from anywhere.
#[derive(Debug, Default)]
pub struct Traffic {
    frames_in: AtomicU64,
    bytes_in: AtomicU64,
    frames_out: AtomicU64,
    bytes_out: AtomicU64,
}

/// What was counted until now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct TrafficTotals {
    /// Frames from clients.
    pub frames_in: u64,
    /// Bytes of those.
    pub bytes_in: u64,
    /// Frames to clients.
    pub frames_out: u64,
    /// Bytes of those.
    pub bytes_out: u64,
}

impl Traffic {
    /// One frame of so many bytes came from a client.
    pub fn came(&self, bytes: u64) {
        self.frames_in.fetch_add(1, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    /// One frame of so many bytes left for a client.
    pub fn left(&self, bytes: u64) {
        self.frames_out.fetch_add(1, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What was counted until now.
    pub fn totals(&self) -> TrafficTotals {
        TrafficTotals {
            frames_in: self.frames_in.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            frames_out: self.frames_out.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
        }
    }
}

/// The writing end: the coordinator's. Writing waits for nobody: a reader sees the newest board, and none that it was too slow for.
/// Dropped, it ends every feed.
#[derive(Debug)]
pub struct Live {
    board: watch::Sender<Board>,
    traffic: Arc<Traffic>,
}

impl Live {
    /// Shows this board from now on.
    pub fn new(board: Board, traffic: Arc<Traffic>) -> Self {
        Self { board: watch::Sender::new(board), traffic }
    }

    /// Folds one event in and wakes the readers.
    pub fn apply(&self, event: &CoordinatorEvent) {
        self.board.send_modify(|board| board.apply(event, unix_ms()));
    }

    /// Told to stop, as [`Board::stopped`].
    pub fn stopped(&self) {
        self.board.send_modify(Board::stopped);
    }

    /// A reading end.
    pub fn viewer(&self) -> Viewer {
        Viewer { board: self.board.subscribe(), traffic: Arc::clone(&self.traffic) }
    }
}

/// A reading end.
#[derive(Clone, Debug)]
pub struct Viewer {
    board: watch::Receiver<Board>,
    traffic: Arc<Traffic>,
}

/// A moment of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapshot {
    /// Where it stands.
    pub board: Board,
    /// Frames and bytes so far.
    pub traffic: TrafficTotals,
    /// When this was, in milliseconds since 1970.
    pub now_ms: u64,
}

impl Viewer {
    /// The newest board, which counts as seen.
    pub fn snapshot(&mut self) -> Snapshot {
        let board = self.board.borrow_and_update().clone();
        Snapshot { board, traffic: self.traffic.totals(), now_ms: unix_ms() }
    }

    /// Waits for a board that was not seen; `false` when none will come.
    pub async fn changed(&mut self) -> bool {
        self.board.changed().await.is_ok()
    }
}
