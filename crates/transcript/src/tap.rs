//! Where a driver hands over each frame that passes.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sottovoce_types::Tick;
use sottovoce_wire::Frame;

use crate::{Party, Record, Transcript};

/// Sees every frame that a driver passes on. Recording never fails and never slows the protocol down for a reason of
/// its own: a tap that cannot write says so when it is finished ([`crate::FileTap::finish`]).
pub trait Tap: Send {
    /// Notes that at `at` the frame went from `from` to `to`.
    fn record(&mut self, at: Tick, from: Party, to: Party, frame: &Frame);
}

impl<T: Tap + ?Sized> Tap for Box<T> {
    fn record(&mut self, at: Tick, from: Party, to: Party, frame: &Frame) {
        (**self).record(at, from, to, frame);
    }
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullTap;

impl Tap for NullTap {
    fn record(&mut self, _at: Tick, _from: Party, _to: Party, _frame: &Frame) {}
}

/// Keeps everything in memory. Clones share one recording, so that a driver can own one and a test read the other.
#[derive(Clone, Debug, Default)]
pub struct MemoryTap(Arc<Mutex<Vec<Record>>>);

impl MemoryTap {
    /// An empty recording.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was recorded until now, by this tap and its clones.
    pub fn transcript(&self) -> Transcript {
        Transcript::from_memory(self.lock().clone())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        // A panic elsewhere cannot leave a Vec half pushed, so a poisoned recording is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tap for MemoryTap {
    fn record(&mut self, at: Tick, from: Party, to: Party, frame: &Frame) {
        let mut records = self.lock();
        let seq = records.len() as u64;
        records.push(Record { seq, at, from, to, frame: frame.clone() });
    }
}
