//! Deadlines of calls, at no cost for a call that ends in time.
//!
//! There is no timer a call. Whoever holds calls (a mailbox, a client's gate, a link) can be *swept*: it ends those
//! that are past their deadline and says when it wants to be swept next. One task a node sleeps until the earliest of
//! these times. A new call only compares its deadline with that time; since deadlines mostly grow, it is rarely
//! earlier.

use std::sync::{Arc, Weak};

use tokio::{sync::Notify, time::Instant};

use super::schedule::Schedule;
pub(crate) use super::schedule::Sweep;

/// The deadlines of one node.
pub(crate) struct Deadlines {
    schedule: Schedule,
    changed: Notify,
}

impl Deadlines {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self { schedule: Schedule::new(epoch), changed: Notify::new() }
    }

    /// Has `holder` swept from now on.
    pub(crate) fn watch(&self, holder: &Weak<dyn Sweep>) {
        if self.schedule.watch(holder) {
            self.changed.notify_one();
        }
    }

    /// A watched holder got a call with this deadline.
    pub(crate) fn expect(&self, deadline: Instant) {
        if self.schedule.expect(deadline) {
            self.changed.notify_one();
        }
    }

    /// Sweeps for ever; the one task of the node's deadlines.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let changed = self.changed.notified();
            match self.schedule.next() {
                None => changed.await,
                Some(at) => tokio::select! {
                    () = super::clock::sleep_until(at) => self.schedule.sweep(super::clock::now()),
                    () = changed => {}
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sync::{AtomicBool, Mutex, Ordering, lock};

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

        fn next(&self) -> Option<Instant> {
            lock(&self.deadlines).iter().min().copied()
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
                deadlines.watch(&Arc::downgrade(&(holder.clone() as Arc<dyn Sweep>)));
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

    /// Panics in its first sweep.
    struct Stumbles(Holder, AtomicBool);

    impl Sweep for Stumbles {
        fn sweep(&self, now: Instant) -> Option<Instant> {
            assert!(self.1.swap(true, Ordering::Relaxed), "it stumbles");
            self.0.sweep(now)
        }

        fn next(&self) -> Option<Instant> {
            self.0.next()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_that_panics_is_made_again_and_keeps_nobody_else_s_from_being_made() {
        let start = super::super::clock::now();
        let deadlines = Arc::new(Deadlines::new(start));
        let (expired, mut events) = tokio::sync::mpsc::unbounded_channel();
        let holder = |at| Holder {
            deadlines: Mutex::new(vec![start + Duration::from_millis(at)]),
            expired: expired.clone(),
        };
        let holders: [Arc<dyn Sweep>; 3] = [
            Arc::new(holder(30)),
            Arc::new(Stumbles(holder(10), AtomicBool::new(false))),
            Arc::new(holder(10)),
        ];
        for holder in &holders {
            deadlines.watch(&Arc::downgrade(holder));
        }
        let check = async {
            for within in [10, 30, 60] {
                let at = events.recv().await.expect("the holders live");
                let late = at.saturating_duration_since(start + Duration::from_millis(within));
                assert!(late <= Duration::from_millis(1), "{late:?} after {within} ms");
            }
        };
        tokio::select! {
            () = deadlines.run() => unreachable!("the sweeper never ends"),
            () = check => {}
            () = super::super::clock::sleep_until(start + Duration::from_secs(1)) => panic!("a deadline was missed"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn holders_that_are_gone_are_forgotten_without_a_sweep() {
        let deadlines = Deadlines::new(super::super::clock::now());
        for _ in 0..10_000 {
            let (expired, _) = tokio::sync::mpsc::unbounded_channel();
            let holder: Arc<dyn Sweep> = Arc::new(Holder { deadlines: Mutex::new(Vec::new()), expired });
            deadlines.watch(&Arc::downgrade(&holder));
            assert!(deadlines.schedule.watched() <= 64);
        }
    }
}
