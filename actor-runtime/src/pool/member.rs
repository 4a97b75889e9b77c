//! One member of a pool: the way to it, the calls that it has, and how it behaves.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    balance::mix,
    core::Core,
    eject::{ENOUGH, Record},
};
use crate::{
    actor_id::ActorId,
    call::Host,
    client::Route,
    names::ResolvedEndpoint,
    service::{FNV_OFFSET, fnv1a},
    sync::{AtomicBool, AtomicU64, Mutex, Ordering, lock},
};

/// A member of a pool, as a [`Choose`](super::Choose) sees it. A clone is the same member.
#[derive(Clone)]
pub struct Member(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) id: ActorId,
    pub(super) endpoint: ResolvedEndpoint,
    pub(super) route: Route,
    hash: u64,
    /// Calls of this pool that it has.
    outstanding: AtomicU64,
    /// The mean time of its calls, of which the last ones count most, in nanoseconds; 0 before the first.
    latency: AtomicU64,
    /// Calls that were answered since its time was last judged from the beginning.
    answered: AtomicU64,
    /// Calls in all, and those that failed.
    pub(super) calls: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) record: Arc<Mutex<Record>>,
    /// Whether the record has anything that a good call changes.
    troubled: AtomicBool,
    core: Weak<Core>,
}

/// The part of a new time in the mean: an eighth, as in the round-trip times of TCP (RFC 6298).
const SHIFT: u32 = 3;

/// Nanoseconds: who is faster than this is not preferred for it.
const NEGLIGIBLE: u64 = 10_000;

impl Member {
    /// A member of which this is known already.
    pub(super) fn new(route: Route, id: ActorId, record: Arc<Mutex<Record>>, core: Weak<Core>) -> Self {
        let hash = mix(fnv1a(FNV_OFFSET, &id.to_bytes()));
        Self(Arc::new(Inner {
            id,
            endpoint: route.endpoint().clone(),
            route,
            hash,
            outstanding: AtomicU64::new(0),
            latency: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            record,
            // It may be out already.
            troubled: AtomicBool::new(true),
            core,
        }))
    }

    /// Which registration it is.
    pub fn id(&self) -> ActorId {
        self.0.id
    }

    /// Where it is, and what was registered with it, as the resolver said when it was reached.
    pub fn endpoint(&self) -> &ResolvedEndpoint {
        &self.0.endpoint
    }

    /// How many calls of this pool it has now.
    pub fn outstanding(&self) -> usize {
        self.0.outstanding.load(Ordering::Relaxed) as usize
    }

    /// How long its calls take, as seen from here: a mean in which the last ones count most. `None` before the first.
    pub fn latency(&self) -> Option<Duration> {
        match self.0.latency.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.0.hash
    }

    /// What one more call costs there. One that has answered none yet gets one call, and no more before its first answer if
    /// there is another one (as "peak EWMA" of Finagle, its client documentation).
    pub(super) fn cost(&self) -> u64 {
        let calls = self.0.outstanding.load(Ordering::Relaxed);
        match self.0.latency.load(Ordering::Relaxed) {
            0 if calls == 0 => 0,
            0 => u64::MAX / 2 + calls.min(u64::MAX / 4),
            time => calls.saturating_add(1).saturating_mul(time.max(NEGLIGIBLE)).min(u64::MAX / 2),
        }
    }

    /// Its mean time, if it has answered enough calls to be judged by it.
    pub(super) fn judged(&self) -> Option<Duration> {
        let enough = self.0.answered.load(Ordering::Relaxed) >= u64::from(ENOUGH);
        self.latency().filter(|_| enough)
    }

    /// Its time is judged anew.
    pub(super) fn forget_time(&self) {
        self.0.answered.store(0, Ordering::Relaxed);
        self.0.latency.store(0, Ordering::Relaxed);
    }

    /// Takes a call.
    pub(super) fn enter(&self) -> Arc<dyn Host> {
        self.0.outstanding.fetch_add(1, Ordering::Relaxed);
        // Counts for people: that two threads lose one now and then is no harm, a locked instruction a call is.
        self.0.calls.store(self.0.calls.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.0.clone()
    }
}

impl Inner {
    /// An answer took so long.
    pub(super) fn took(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        // Lost updates do no harm to a mean.
        let before = self.latency.load(Ordering::Relaxed);
        let mean = if before == 0 { nanos } else { before - (before >> SHIFT) + (nanos >> SHIFT) };
        self.latency.store(mean.max(1), Ordering::Relaxed);
        self.answered.store(self.answered.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
    }

    /// A call ended well.
    pub(super) fn succeeded(&self, now: Instant) {
        if !self.troubled.load(Ordering::Relaxed) {
            return;
        }
        let mut record = lock(&self.record);
        let is_back = record.succeeded(now);
        // Who is out while a call ends well is still to come back by another one.
        self.troubled.store(!record.is_well(), Ordering::Relaxed);
        drop(record);
        if is_back && let Some(core) = self.core.upgrade() {
            core.is_back(self.id);
        }
    }

    /// A call failed for a reason that may be the member's.
    pub(super) fn failed(&self, why: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let Some(core) = self.core.upgrade() else { return };
        let mut record = lock(&self.record);
        let enough = record.failed(core.ejection());
        // Under the lock: a call that ends well meanwhile does not undo it.
        self.troubled.store(true, Ordering::Relaxed);
        drop(record);
        if enough {
            core.eject(self.id, why);
        }
    }

    /// It is left out, or is to be tried.
    pub(super) fn is_troubled(&self) {
        self.troubled.store(true, Ordering::Relaxed);
    }

    /// A call ended, and nothing is to be learned of it.
    pub(super) fn unanswered(&self) {
        let mut record = lock(&self.record);
        let before = record.standing;
        record.unanswered();
        let waits = record.standing != before;
        drop(record);
        if waits && let Some(core) = self.core.upgrade() {
            core.choose_anew();
        }
    }
}

impl Host for Inner {
    fn leave(&self) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
    }

    fn forgotten(&self) {
        lock(&self.record).unanswered();
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("id", &self.id)
            .field("endpoint", &self.endpoint.to_string())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
