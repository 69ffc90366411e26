//! Events in order of virtual time; those of one tick in the order in which they were scheduled.
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use sottovoce_round::{TrainFailed, UnitSum, Work};
use sottovoce_types::Tick;
use sottovoce_wire::Frame;

/// Something that happens to a party.
pub(crate) enum Event {
    Connect { client: usize },
    ToCoordinator { client: usize, session: u64, frame: Frame },
    ToClient { client: usize, session: u64, frame: Frame },
    Disconnect { client: usize, session: u64 },
    Trained { client: usize, session: u64, work: Box<Work>, units: Box<Result<UnitSum, TrainFailed>> },
}

struct Scheduled {
    at: Tick,
    seq: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.seq) == (other.at, other.seq)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// The queue.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Scheduled>>,
    seq: u64,
}

impl Queue {
    pub(crate) fn schedule(&mut self, at: Tick, event: Event) {
        self.seq += 1;
        self.heap.push(Reverse(Scheduled { at, seq: self.seq, event }));
    }

    pub(crate) fn next_tick(&self) -> Option<Tick> {
        self.heap.peek().map(|Reverse(s)| s.at)
    }

    /// The next event of exactly this tick.
    pub(crate) fn pop_at(&mut self, tick: Tick) -> Option<Event> {
        if self.next_tick()? == tick { self.heap.pop().map(|Reverse(s)| s.event) } else { None }
    }
}
