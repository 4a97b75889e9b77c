//! One member of a pool: the way to it, the calls that it has, and how it behaves.

use std::{
    any::Any,
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
    call::{AnyCall, Delivery, Failure, FailureKind, Host, Judge},
    client::Route,
    names::ResolvedEndpoint,
    service::{FNV_OFFSET, fnv1a},
    sync::{AtomicU64, Mutex, Ordering, lock},
};

/// A member of a pool, as a [`Choose`](super::Choose) sees it. A clone is the same member.
#[derive(Clone)]
pub struct Member(Arc<Host<Inner>>);

/// What there is of a member beside its calls.
struct Inner {
    id: ActorId,
    endpoint: Arc<ResolvedEndpoint>,
    route: Arc<Route>,
    hash: u64,
    /// The mean time of its calls, of which the last ones count most, in nanoseconds; 0 before the first.
    latency: AtomicU64,
    /// Answers that were looked at since its time was last judged from the beginning: of the first ones all.
    looks: AtomicU64,
    /// Calls in all, and those that failed.
    calls: AtomicU64,
    failed: AtomicU64,
    /// While a good call changes anything of it, the host is troubled.
    record: Arc<Mutex<Record>>,
    core: Weak<Core>,
}

/// The part of a new time in the mean: an eighth, as in the round-trip times of TCP (RFC 6298).
const SHIFT: u32 = 3;

/// Nanoseconds: who is faster than this is not preferred for it.
const NEGLIGIBLE: u64 = 10_000;

/// Of calls that take less than [`SHORT`] each so many-th is timed: to read the clock costs as much as all else that a pool
/// does for a call.
const EACH: u64 = 16;

/// Nanoseconds. Where calls take longer, all of them are timed.
const SHORT: u64 = 100_000;

impl Member {
    /// A member of which this is known already.
    pub(super) fn new(route: Route, id: ActorId, record: Arc<Mutex<Record>>, core: Weak<Core>) -> Self {
        let hash = mix(fnv1a(FNV_OFFSET, &id.to_bytes()));
        // It may be out already: a host is troubled from the beginning.
        Self(Arc::new(Host::new(Inner {
            id,
            endpoint: Arc::new(route.endpoint().clone()),
            route: Arc::new(route),
            hash,
            latency: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            record,
            core,
        })))
    }

    fn inner(&self) -> &Inner {
        self.0.judge()
    }

    /// Which registration it is.
    pub fn id(&self) -> ActorId {
        self.inner().id
    }

    /// Where it is, and what was registered with it, as the resolver said when it was reached.
    pub fn endpoint(&self) -> &ResolvedEndpoint {
        &self.inner().endpoint
    }

    /// The same, to be kept.
    pub(super) fn shared_endpoint(&self) -> Arc<ResolvedEndpoint> {
        self.inner().endpoint.clone()
    }

    /// How many calls of this pool it has now.
    pub fn outstanding(&self) -> usize {
        self.0.outstanding() as usize
    }

    /// How long its calls take, as seen from here: a mean in which the last ones count most. Of calls that take less than
    /// 0.1 ms some are timed, of others all. `None` before the first.
    pub fn latency(&self) -> Option<Duration> {
        match self.inner().latency.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.inner().hash
    }

    /// What one more call costs there. One that has answered none yet gets one call, and no more before its first answer if
    /// there is another one (as "peak EWMA" of Finagle, its client documentation).
    pub(super) fn cost(&self) -> u64 {
        let calls = self.0.outstanding();
        match self.inner().latency.load(Ordering::Relaxed) {
            0 if calls == 0 => 0,
            0 => u64::MAX / 2 + calls.min(u64::MAX / 4),
            time => calls.saturating_add(1).saturating_mul(time.max(NEGLIGIBLE)).min(u64::MAX / 2),
        }
    }

    /// Its mean time, if it has answered enough calls to be judged by it.
    pub(super) fn judged(&self) -> Option<Duration> {
        let enough = self.inner().looks.load(Ordering::Relaxed) >= u64::from(ENOUGH);
        self.latency().filter(|_| enough)
    }

    /// Its time is judged anew.
    pub(super) fn forget_time(&self) {
        self.inner().looks.store(0, Ordering::Relaxed);
        self.0.rest(0);
        self.inner().latency.store(0, Ordering::Relaxed);
    }

    /// The way to it.
    pub(super) fn route(&self) -> &Arc<Route> {
        &self.inner().route
    }

    pub(super) fn record(&self) -> &Mutex<Record> {
        &self.inner().record
    }

    /// Its calls in all.
    pub(super) fn calls(&self) -> u64 {
        self.inner().calls.load(Ordering::Relaxed)
    }

    /// Those of them that failed.
    pub(super) fn failed(&self) -> u64 {
        self.inner().failed.load(Ordering::Relaxed)
    }

    /// It is left out, or is to be tried.
    pub(super) fn trouble(&self) {
        self.0.trouble(true);
    }

    /// Takes a call.
    pub(super) fn enter(self) -> Arc<Host> {
        self.0.enter();
        // Counts for people: that two threads lose one now and then is no harm, a locked instruction a call is.
        let calls = &self.inner().calls;
        calls.store(calls.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.0
    }
}

/// The way to the member of a pool at which a call has its place.
pub(super) fn way_of(host: &Host) -> Option<&Arc<Route>> {
    let judge: &dyn Any = host.judge();
    judge.downcast_ref().map(|Inner { route, .. }| route)
}

impl Inner {
    /// An answer took so long.
    fn took(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        // Lost updates do no harm to a mean.
        let before = self.latency.load(Ordering::Relaxed);
        let mean = if before == 0 { nanos } else { before - (before >> SHIFT) + (nanos >> SHIFT) };
        self.latency.store(mean.max(1), Ordering::Relaxed);
    }

    /// Learns from an answer what the clock says of it.
    fn look_at(&self, host: &Host, since: Option<Instant>) {
        let Some(core) = self.core.upgrade() else { return };
        let now = core.node.now();
        if let Some(since) = since {
            self.took(now.saturating_duration_since(since));
        }
        let looks = self.looks.load(Ordering::Relaxed).saturating_add(1);
        self.looks.store(looks, Ordering::Relaxed);
        let all = looks < EACH.max(u64::from(ENOUGH)) || self.latency.load(Ordering::Relaxed) > SHORT;
        host.rest(if all { 0 } else { EACH - 1 });
        self.succeeded(host, now);
    }

    /// A call ended well.
    fn succeeded(&self, host: &Host, now: Instant) {
        if !host.is_troubled() {
            return;
        }
        let mut record = lock(&self.record);
        let is_back = record.succeeded(now);
        // Who is out while a call ends well is still to come back by another one.
        host.trouble(!record.is_well());
        drop(record);
        if is_back && let Some(core) = self.core.upgrade() {
            core.is_back(self.id);
        }
    }

    /// A call failed for a reason that may be the member's.
    fn failed(&self, host: &Host, why: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let Some(core) = self.core.upgrade() else { return };
        let mut record = lock(&self.record);
        let enough = record.failed(core.ejection());
        // Under the lock: a call that ends well meanwhile does not undo it.
        host.trouble(true);
        drop(record);
        if enough {
            core.eject(self.id, why);
        }
    }

    /// A call ended, and nothing is to be learned of it.
    fn unanswered(&self) {
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

impl Judge for Inner {
    #[cold]
    fn over(&self, host: &Host, call: &dyn AnyCall, failed: Option<bool>, since: Option<Instant>) {
        match failed {
            Some(false) => self.look_at(host, since),
            _ => self.learn(host, call, failed, since),
        }
    }

    fn refused(&self, host: &Host, call: &dyn AnyCall, failure: &Failure, since: Option<Instant>) {
        self.refuse(host, call, failure, since);
    }

    fn forgotten(&self) {
        lock(&self.record).unanswered();
    }

    fn endpoint(&self) -> String {
        self.endpoint.to_string()
    }
}

impl Inner {
    /// A call that was here since then is over: whether it failed, or `None` if its caller has left. One that went well is
    /// for `look_at`.
    fn learn(&self, host: &Host, call: &dyn AnyCall, failed: Option<bool>, since: Option<Instant>) {
        if failed.is_some()
            && let Err(failure) = call.peek()
            && self.is_to_blame(&failure, call, since)
        {
            self.failed(host, &failure.to_string());
            if failure.kind() == FailureKind::ConnectionLost {
                self.lose(&failure);
            }
        } else {
            self.unanswered();
        }
    }

    /// A call that was here since then came back. This may be a member that was lost by another call: the call may have been
    /// its probe.
    fn refuse(&self, host: &Host, call: &dyn AnyCall, failure: &Failure, since: Option<Instant>) {
        use FailureKind::{ConnectionLost, NotFound, Stale, Stopped, Unreachable};
        if self.is_to_blame(failure, call, since) {
            self.failed(host, &failure.to_string());
        } else {
            self.unanswered();
        }
        if matches!(failure.kind(), ConnectionLost | NotFound | Stale | Stopped | Unreachable) {
            self.lose(failure);
        }
    }

    fn lose(&self, why: &Failure) {
        if let Some(core) = self.core.upgrade() {
            core.lost(self.id, why);
        }
    }

    /// Whether a failure says something against the member.
    fn is_to_blame(&self, failure: &Failure, call: &dyn AnyCall, since: Option<Instant>) -> bool {
        use FailureKind::{ConnectionLost, DeadlineExceeded, Internal, Overloaded, Panicked, Unreachable};
        match failure.kind() {
            // Who is busy with something else does not begin. Time that passed before the call was there is not the member's.
            DeadlineExceeded if failure.delivery() == Delivery::NotDelivered => {
                let (Some(since), Some(core)) = (since, self.core.upgrade()) else { return false };
                let before = since.saturating_duration_since(call.head().made.unwrap_or(since));
                core.node.now().saturating_duration_since(since) > before
            }
            ConnectionLost | DeadlineExceeded | Internal | Overloaded | Panicked | Unreachable => true,
            _ => false,
        }
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
        self.inner().fmt(f)
    }
}
