//! Whom to sweep, and when.
//!
//! ```text
//!   push ──► holder (lock) ──► deadline < next?  ── no ──► nothing
//!                                  └── yes ──► next = deadline, wake the sweeper
//! ```
//!
//! Why no call is missed: a sweep first sets `next` to "sweeping", then looks at the holders one by one, then sets
//! `next` to the earliest of what it found and what came meanwhile. A call that is pushed to a holder after the sweep
//! looked there finds "sweeping" or a later value (the holder's lock orders the two), and so makes itself known. A
//! call that is pushed to a holder before the holder is on the list, by somebody else than the one who puts it there,
//! may be missed by a sweep in between; so whoever puts a holder on the list looks at all its deadlines afterwards.
//!
//! No lock is held while a holder is swept: what ends there runs wakers and drops arguments, and these may make calls. One
//! lock is another's: `AnyCall::fail` and `expire` make their failure under that of the call, so what a holder gives them
//! takes no lock and runs no code of users; it says what it has learnt before. A sweep that panics all the same is begun
//! again a little later, and is nobody else's.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    panics::text_of,
    sync::{AtomicU64, Mutex, Ordering, lock},
};

/// Somebody who holds calls that may run out of time.
pub(crate) trait Sweep: Send + Sync {
    /// Ends what is past its deadline at `now`; gives the next deadline, or `None` to be forgotten.
    fn sweep(&self, now: Instant) -> Option<Instant>;

    /// The earliest time at which there may be something to end.
    fn next(&self) -> Option<Instant>;
}

/// The holders of one node, and the time of the next sweep.
pub(super) struct Schedule {
    epoch: Instant,
    /// Nanoseconds from `epoch` to the next sweep; [`SWEEPING`] while one is under way or none is planned.
    next: AtomicU64,
    watched: Mutex<Watched>,
}

struct Watched {
    holders: Vec<Weak<dyn Sweep>>,
    /// The list is searched for holders that are gone when it reaches this length.
    prune_at: usize,
}

const SWEEPING: u64 = u64::MAX;
const PRUNE_FROM: usize = 64;

/// How long a holder whose sweep panicked is left alone.
const AFTER_PANIC: Duration = Duration::from_millis(50);

impl Schedule {
    pub(super) fn new(epoch: Instant) -> Self {
        let watched = Watched { holders: Vec::new(), prune_at: PRUNE_FROM };
        Self { epoch, next: AtomicU64::new(SWEEPING), watched: Mutex::new(watched) }
    }

    /// Has `holder` swept from now on. True if the sweeper is to be woken.
    #[must_use]
    pub(super) fn watch(&self, holder: &Weak<dyn Sweep>) -> bool {
        let mut watched = lock(&self.watched);
        if watched.holders.len() >= watched.prune_at {
            watched.holders.retain(|holder| holder.strong_count() > 0);
            watched.prune_at = PRUNE_FROM.max(2 * watched.holders.len());
        }
        watched.holders.push(holder.clone());
        drop(watched);
        let next = holder.upgrade().and_then(|holder| holder.next());
        next.is_some_and(|next| self.expect(next))
    }

    /// A watched holder got a call with this deadline. True if the sweeper is to be woken.
    #[must_use]
    pub(super) fn expect(&self, deadline: Instant) -> bool {
        let at = self.since_epoch(deadline);
        if at >= self.next.load(Ordering::SeqCst) {
            return false;
        }
        let _watched = lock(&self.watched);
        let earlier = at < self.next.load(Ordering::SeqCst);
        if earlier {
            self.next.store(at, Ordering::SeqCst);
        }
        earlier
    }

    /// When to sweep; `None` if nothing is known to run out.
    pub(super) fn next(&self) -> Option<Instant> {
        match self.next.load(Ordering::SeqCst) {
            SWEEPING => None,
            at => Some(self.epoch + Duration::from_nanos(at)),
        }
    }

    /// Sweeps everybody on the list. Only one task does.
    pub(super) fn sweep(&self, now: Instant) {
        let mut watched = lock(&self.watched);
        self.next.store(SWEEPING, Ordering::SeqCst);
        let mut holders = std::mem::take(&mut watched.holders);
        drop(watched);
        let mut next = SWEEPING;
        holders.retain(|holder| {
            let wanted = holder.upgrade().and_then(|holder| sweep_one(&holder, now));
            next = wanted.map_or(next, |wanted| next.min(self.since_epoch(wanted)));
            wanted.is_some()
        });
        let mut watched = lock(&self.watched);
        watched.holders.append(&mut holders);
        let next = next.min(self.next.load(Ordering::SeqCst));
        self.next.store(next, Ordering::SeqCst);
    }

    fn since_epoch(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_nanos())
            .unwrap_or(SWEEPING - 1)
            .min(SWEEPING - 1)
    }

    #[cfg(test)]
    pub(super) fn watched(&self) -> usize {
        lock(&self.watched).holders.len()
    }
}

fn sweep_one(holder: &Arc<dyn Sweep>, now: Instant) -> Option<Instant> {
    catch_unwind(AssertUnwindSafe(|| holder.sweep(now))).unwrap_or_else(|panic| {
        tracing::error!(message = %text_of(&*panic), "what ends with a deadline panicked");
        // It has not said what it wants, and counts on being looked after.
        Some(now + AFTER_PANIC)
    })
}

#[cfg(all(test, actor_loom))]
mod loom;
