//! What happened in one run: the calls as their callers saw them, the effects as the actors had them, the faults.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actor_runtime::{Delivery, FailureKind};
use tokio::time::Instant;

/// Since the beginning of the run.
pub(super) type Time = Duration;

/// Which registration of an actor.
pub(super) type RegistrationId = usize;

/// Shared by callers, actors and the one who makes the faults. Clones are the same history.
#[derive(Clone)]
pub(super) struct History {
    start: Instant,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) calls: Vec<CallRecord>,
    pub(super) effects: Vec<Effect>,
    pub(super) registrations: Vec<Registered>,
    pub(super) faults: Vec<Fault>,
    pub(super) shutdowns: Vec<Shutdown>,
    /// What was found wrong while the run went on.
    pub(super) wrong: Vec<String>,
}

/// A call, as its caller sees it.
#[derive(Clone, Debug)]
pub(super) struct CallRecord {
    /// The handle that it was made with.
    pub(super) handle: usize,
    pub(super) pinned: bool,
    pub(super) timeout: Option<Duration>,
    /// Its place among the calls of its handle, and when it took it. None if it was never polled.
    pub(super) started: Option<(u64, Time)>,
    pub(super) end: Option<(Outcome, Time)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Replied,
    Failed(FailureKind, Delivery),
    /// The caller left.
    Left,
}

#[derive(Clone, Debug)]
pub(super) struct Effect {
    pub(super) at: Time,
    pub(super) registration: RegistrationId,
    pub(super) call: u64,
    pub(super) kind: EffectKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EffectKind {
    Begins { access: Access, remaining: Option<Duration> },
    Ends,
    Dropped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Shared,
    Exclusive,
}

#[derive(Clone, Debug)]
pub(super) struct Registered {
    pub(super) at: Time,
    pub(super) server: usize,
}

/// Something that was done to a server or to its network, from one time to another.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) server: usize,
    pub(super) from: Time,
    pub(super) until: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    Killed,
    Partitioned,
    Paused,
    /// Not a fault: the server takes leave.
    ShutDown,
    /// Not a fault: an actor is registered anew.
    Moved,
}

#[derive(Clone, Debug)]
pub(super) struct Shutdown {
    pub(super) grace: Duration,
    pub(super) took: Duration,
}

impl History {
    pub(super) fn new() -> Self {
        Self { start: now(), inner: Arc::default() }
    }

    pub(super) fn time(&self) -> Time {
        now() - self.start
    }

    pub(super) fn look(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn effect(&self, registration: RegistrationId, call: u64, kind: EffectKind) {
        let at = self.time();
        self.look().effects.push(Effect { at, registration, call, kind });
    }

    /// Adds a call, and gives its number.
    pub(super) fn call(&self, handle: usize, pinned: bool, timeout: Option<Duration>) -> u64 {
        let mut inner = self.look();
        inner.calls.push(CallRecord { handle, pinned, timeout, started: None, end: None });
        inner.calls.len() as u64 - 1
    }

    pub(super) fn started(&self, call: u64, place: u64) {
        let at = self.time();
        self.look().calls[call as usize].started = Some((place, at));
    }

    pub(super) fn ended(&self, call: u64, outcome: Outcome) {
        let at = self.time();
        self.look().calls[call as usize].end = Some((outcome, at));
    }

    pub(super) fn registered(&self, server: usize) -> RegistrationId {
        let at = self.time();
        let mut inner = self.look();
        inner.registrations.push(Registered { at, server });
        inner.registrations.len() - 1
    }

    /// Something begins now and ends after this time.
    pub(super) fn fault(&self, kind: FaultKind, server: usize, time: Duration) {
        let from = self.time();
        self.look().faults.push(Fault { kind, server, from, until: from + time });
    }

    pub(super) fn wrong(&self, what: impl fmt::Display) {
        let at = self.time();
        self.look().wrong.push(format!("at {at:?}: {what}"));
    }
}

#[expect(clippy::disallowed_methods, reason = "time is simulated")]
fn now() -> Instant {
    Instant::now()
}
