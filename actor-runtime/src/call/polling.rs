//! Which of an actor's turns has a thread just now, for those who look from outside.
//!
//! Whoever polls a turn says so before it, and after it if it goes on, with plain stores of its own: nothing is locked, and
//! nobody is told. Who looks sees a count. As long as it is the same odd one and the turn still runs, that turn is in one
//! poll; as long as it is the same even one, no turn has been polled. A turn that has ended leaves the odd one behind: most
//! turns end in their first poll, and pay for one store less.

use std::sync::atomic::{AtomicU32, Ordering};

/// The polls of the turns on an actor's own task: one at a time.
#[derive(Debug, Default)]
pub(crate) struct Polling {
    count: AtomicU32,
    place: AtomicU32,
}

impl Polling {
    /// In place of the number of a turn: the hook `on_start`.
    pub(crate) const START: usize = u32::MAX as usize;
    /// Likewise: the hook `on_stop`.
    pub(crate) const STOP: usize = u32::MAX as usize - 1;

    /// From now on it is this turn that is polled.
    #[inline]
    pub(crate) fn turn_to(&self, slot: usize) {
        // No mailbox holds as many as this could confuse.
        self.place.store(slot as u32, Ordering::Relaxed);
    }

    /// The turn is polled.
    // No read-modify-write: the actor's task is the only writer.
    #[inline]
    pub(crate) fn begin(&self) {
        self.count.store(self.count.load(Ordering::Relaxed).wrapping_add(2) | 1, Ordering::Relaxed);
    }

    /// The poll has returned, and the turn has not ended.
    #[inline]
    pub(crate) fn end(&self) {
        self.count.store(self.count.load(Ordering::Relaxed) & !1, Ordering::Relaxed);
    }

    /// The count, and the turn. What belongs together is seen once the count has stood still.
    pub(crate) fn look(&self) -> (u32, usize) {
        (self.count.load(Ordering::Relaxed), self.place.load(Ordering::Relaxed) as usize)
    }
}

/// Whether a turn that has a task to itself is in a poll, and in which: none is the same as another one of its actor.
#[derive(Debug, Default)]
pub(crate) struct InPoll(AtomicU32);

impl InPoll {
    /// `number` is not 0, and no other poll's of this actor.
    pub(crate) fn begin(&self, number: u32) {
        self.0.store(number, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// `None` if it is in none.
    pub(crate) fn look(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|number| *number != 0)
    }
}
