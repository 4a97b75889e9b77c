//! Deadlines of calls, at no cost for a call that ends in time.
//!
//! There is no timer a call. Whoever holds calls (a mailbox, a client's gate, a link) can be *swept*: it ends those
//! that are past their deadline and says when it wants to be swept next. One task a node sleeps until the earliest of
//! these times. A new call only compares its deadline with that time; since deadlines mostly grow, it is rarely
//! earlier.
//!
//! ```text
//!   push ──► holder (lock) ──► deadline < next?  ── no ──► nothing
//!                                  └── yes ──► next = deadline, wake the sweeper
//! ```
//!
//! Why no call is missed: a sweep first sets `next` to "sweeping", then looks at the holders one by one, then sets
//! `next` to what it found, all under the list's lock. A call that is pushed to a holder after the sweep looked there
//! finds "sweeping" or a later value; "sweeping" sends it through the lock, behind the sweep.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// Somebody who holds calls that may run out of time.
pub(crate) trait Sweep: Send + Sync {
    /// Ends what is past its deadline at `now`; gives the next deadline, or `None` to be forgotten.
    fn sweep(&self, now: Instant) -> Option<Instant>;
}

/// The deadlines of one node.
pub(crate) struct Deadlines {
    epoch: Instant,
    /// Nanoseconds from `epoch` to the next sweep; [`SWEEPING`] while one is under way or none is planned.
    next: AtomicU64,
    watched: Mutex<Vec<Weak<dyn Sweep>>>,
    changed: Notify,
}

const SWEEPING: u64 = u64::MAX;

impl Deadlines {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            next: AtomicU64::new(SWEEPING),
            watched: Mutex::new(Vec::new()),
            changed: Notify::new(),
        }
    }

    /// Has `holder` swept from now on.
    pub(crate) fn watch(&self, holder: Weak<dyn Sweep>) {
        lock(&self.watched).push(holder);
    }

    /// A watched holder got a call with this deadline.
    pub(crate) fn expect(&self, deadline: Instant) {
        let at = self.since_epoch(deadline);
        if at >= self.next.load(Ordering::SeqCst) {
            return;
        }
        let watched = lock(&self.watched);
        let earlier = at < self.next.load(Ordering::SeqCst);
        if earlier {
            self.next.store(at, Ordering::SeqCst);
        }
        drop(watched);
        if earlier {
            self.changed.notify_one();
        }
    }

    /// Sweeps for ever; the one task of the node's deadlines.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let changed = self.changed.notified();
            match self.next.load(Ordering::SeqCst) {
                SWEEPING => changed.await,
                at => {
                    let at = self.epoch + Duration::from_nanos(at);
                    tokio::select! {
                        () = super::clock::sleep_until(at) => self.sweep(super::clock::now()),
                        () = changed => {}
                    }
                }
            }
        }
    }

    fn sweep(&self, now: Instant) {
        let mut watched = lock(&self.watched);
        self.next.store(SWEEPING, Ordering::SeqCst);
        let mut next: Option<Instant> = None;
        // Whoever is woken by a failing call may come back here only through a task of its own, never from `sweep`.
        watched.retain(|holder| {
            let wanted = holder.upgrade().and_then(|holder| holder.sweep(now));
            next = [next, wanted].into_iter().flatten().min();
            wanted.is_some()
        });
        if let Some(next) = next {
            self.next.store(self.since_epoch(next), Ordering::SeqCst);
        }
    }

    fn since_epoch(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_nanos())
            .unwrap_or(SWEEPING - 1)
            .min(SWEEPING - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Holder {
        deadlines: Mutex<Vec<Instant>>,
        expired: tokio::sync::mpsc::UnboundedSender<Instant>,
    }

    impl Sweep for Holder {
        fn sweep(&self, now: Instant) -> Option<Instant> {
            let mut deadlines = lock(&self.deadlines);
            deadlines.retain(|deadline| {
                let over = *deadline <= now;
                if over {
                    self.expired.send(now).expect("the test listens");
                }
                !over
            });
            deadlines.iter().min().copied()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_deadline_is_met_at_its_time_whatever_the_order() {
        let start = super::super::clock::now();
        let deadlines = Arc::new(Deadlines::new(start));
        let (expired, mut events) = tokio::sync::mpsc::unbounded_channel();
        let holder = Arc::new(Holder { deadlines: Mutex::new(Vec::new()), expired });
        let task = deadlines.clone().run();
        let check = async {
            // The last group comes after the holder had nothing left and was forgotten.
            for group in [&[30_u64, 10, 20][..], &[500, 5], &[1]] {
                let base = super::super::clock::now();
                deadlines.watch(Arc::downgrade(&(holder.clone() as Arc<dyn Sweep>)));
                for millis in group {
                    let deadline = base + Duration::from_millis(*millis);
                    lock(&holder.deadlines).push(deadline);
                    deadlines.expect(deadline);
                }
                let mut sorted = group.to_vec();
                sorted.sort_unstable();
                for millis in sorted {
                    let at = events.recv().await.expect("the holder lives");
                    let late = at.saturating_duration_since(base + Duration::from_millis(millis));
                    assert!(late <= Duration::from_millis(1), "{late:?} late");
                }
            }
        };
        tokio::select! {
            () = task => unreachable!("the sweeper never ends"),
            () = check => {}
        }
    }
}
