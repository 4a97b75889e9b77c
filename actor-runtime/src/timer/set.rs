//! The timers of one actor.
//!
//! ```text
//!              set                      fire                       begin
//!   (not set) ─────► armed, in the wheel ─────► waiting, in the mailbox ─────► running, once: not set any more
//!       ▲              │        ▲                    │                           │
//!       └── cancel ────┴────────│────────────────────┘                           │ periodic
//!                               └────────────────────────────────────────────────┘
//! ```
//!
//! A timer is armed or waits, never both: a periodic one is armed again when its turn begins, and what came due meanwhile
//! is counted then. So one place of the mailbox a timer is all that is ever taken, and an actor that is busy is not woken
//! for ticks that it has no time for.
//!
//! Invariants:
//! 1. Whether a setting is still in force is decided under the set's lock alone: `begin` and `cancel` of one setting cannot
//!    both have it. So no turn of it begins after `cancel` has returned.
//! 2. What the driver has taken out of the wheel fires only if its key is still the one of the timer's setting.
//! 3. Nobody is woken, and no user code is run, under the lock. The driver's lock and those of calls are taken inside it,
//!    the mailbox's never.
//! 4. After `end` nothing is set, nor can it be.

use std::{
    collections::{HashMap, hash_map},
    sync::{Arc, Weak},
    time::Duration,
};

use super::{Driver, MissedTicks, Period, Timeout, TimerError, TimerId, driver::nanos, period, wheel::Key};
use crate::{
    call::{AnyCall, HookCall, Withdrawn},
    node::clock,
    service::{Access, Method, Reply},
    sync::{Mutex, lock},
};

/// What a turn of `on_timeout` is called where turns are named.
static ON_TIMEOUT: Method = Method::new(
    "Actor",
    "on_timeout",
    0,
    Access::Exclusive,
    &[],
    Reply::value("()", crate::schema::of::<()>),
)
.with_oneway();

/// Takes the turns of an actor's timers.
pub(crate) trait Deliver: Send + Sync {
    /// Gives the turn its place among the calls. False if the actor takes none any more.
    fn deliver(&self, turn: Arc<dyn AnyCall>) -> bool;
}

/// The timers of one actor.
pub(crate) struct TimerSet {
    state: Mutex<State>,
    driver: Arc<Driver>,
    actor: Weak<dyn Deliver>,
    name: Arc<str>,
    limit: usize,
    /// The same set, for the wheel.
    this: Weak<Self>,
}

#[derive(Default)]
struct State {
    timers: HashMap<TimerId, Timer>,
    ended: bool,
}

struct Timer {
    place: Place,
    /// When it is due, and how often; 0 is once. Nanoseconds of the driver's clock.
    due: u64,
    every: u64,
    missed: MissedTicks,
}

enum Place {
    Armed(Key),
    Waiting(Arc<DueTurn>),
}

/// A turn of `on_timeout`, from the time at which its timer fires.
pub(crate) type DueTurn = HookCall<Due>;

/// Whose turn it is.
pub(crate) struct Due {
    set: Weak<TimerSet>,
    id: TimerId,
}

impl TimerSet {
    /// `limit` is how many timers may be set.
    pub(crate) fn new(
        driver: Arc<Driver>,
        actor: Weak<dyn Deliver>,
        name: Arc<str>,
        limit: usize,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            state: Mutex::default(),
            driver,
            actor,
            name,
            limit,
            this: this.clone(),
        })
    }

    pub(super) fn set(&self, id: TimerId, first: Duration, every: Option<Period>) -> Result<(), TimerError> {
        if let Some(Period { every, .. }) = every.filter(|period| period.every < Period::MIN) {
            return Err(TimerError::TooShort { period: every });
        }
        let missed = every.map(|period| period.missed).unwrap_or_default();
        let every = every.map_or(0, |period| nanos(period.every));
        let mut state = lock(&self.state);
        if state.ended {
            return Err(TimerError::Stopped);
        }
        let full = state.timers.len() >= self.limit;
        let now = self.driver.now();
        let due = now.saturating_add(nanos(first));
        let replaced = match state.timers.entry(id) {
            hash_map::Entry::Occupied(mut entry) => {
                let place = Place::Armed(self.driver.arm(now, due, self.this.clone(), id));
                let replaced = entry.insert(Timer { place, due, every, missed });
                self.remove(replaced)
            }
            hash_map::Entry::Vacant(_) if full => return Err(TimerError::TooMany { limit: self.limit }),
            hash_map::Entry::Vacant(entry) => {
                let place = Place::Armed(self.driver.arm(now, due, self.this.clone(), id));
                entry.insert(Timer { place, due, every, missed });
                None
            }
        };
        drop(state);
        drop(replaced);
        Ok(())
    }

    pub(super) fn cancel(&self, id: TimerId) -> bool {
        let mut state = lock(&self.state);
        let Some(timer) = state.timers.remove(&id) else { return false };
        state.shrink();
        let withdrawn = self.remove(timer);
        drop(state);
        drop(withdrawn);
        true
    }

    pub(super) fn is_set(&self, id: TimerId) -> bool {
        lock(&self.state).timers.contains_key(&id)
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.state).timers.len()
    }

    /// Cancels all timers; gives how many there were.
    pub(crate) fn clear(&self) -> usize {
        self.take_all(false)
    }

    /// The actor has ended: nothing is set any more, and nothing can be.
    pub(crate) fn end(&self) {
        self.take_all(true);
    }

    fn take_all(&self, ended: bool) -> usize {
        let mut state = lock(&self.state);
        state.ended |= ended;
        let timers = std::mem::take(&mut state.timers);
        // Under the lock, so that none of them fires or begins afterwards (1).
        self.driver.disarm(timers.values().filter_map(|timer| match timer.place {
            Place::Armed(key) => Some(key),
            Place::Waiting(_) => None,
        }));
        let withdrawn: Vec<_> = timers.values().filter_map(Timer::withdraw).collect();
        drop(state);
        drop(withdrawn);
        timers.len()
    }

    /// The driver took the timer out of the wheel: it takes its place in the mailbox.
    pub(super) fn fire(&self, id: TimerId, key: Key) {
        let (Some(turn), Some(actor)) = (self.wait(id, key), self.actor.upgrade()) else { return };
        if !actor.deliver(turn) {
            self.end();
        }
    }

    /// The timer waits from now on; `None` if this setting of it is gone.
    fn wait(&self, id: TimerId, key: Key) -> Option<Arc<DueTurn>> {
        let mut state = lock(&self.state);
        let timer = state.timers.get_mut(&id)?;
        if !matches!(timer.place, Place::Armed(armed) if armed == key) {
            return None;
        }
        let due = Due { set: self.this.clone(), id };
        let turn = Arc::new(HookCall::new(&ON_TIMEOUT, self.name.clone(), clock::now(), due));
        timer.place = Place::Waiting(turn.clone());
        Some(turn)
    }

    /// The turn begins; `None` if its setting is gone.
    fn begin(&self, id: TimerId, turn: &DueTurn) -> Option<Timeout> {
        let mut state = lock(&self.state);
        let timer = state.timers.get_mut(&id)?;
        if !matches!(&timer.place, Place::Waiting(waiting) if std::ptr::eq(&**waiting, turn)) || !turn.claim()
        {
            return None;
        }
        let (due, now) = (timer.due, self.driver.now());
        let late = Duration::from_nanos(now.saturating_sub(due));
        if timer.every == 0 {
            state.timers.remove(&id);
            state.shrink();
            return Some(Timeout { id, ticks: 1, late });
        }
        let (ticks, next) = period::begin(timer.missed, timer.every, due, now);
        timer.due = next;
        // The turn itself is with the caller.
        timer.place = Place::Armed(self.driver.arm(now, next, self.this.clone(), id));
        Some(Timeout { id, ticks, late })
    }

    /// Takes a timer that is not in the set any more out of the wheel, or its turn out of the mailbox.
    #[must_use]
    fn remove(&self, timer: Timer) -> Option<Withdrawn> {
        if let Place::Armed(key) = timer.place {
            self.driver.disarm([key]);
        }
        timer.withdraw()
    }
}

impl State {
    /// Gives memory back when most of it is not used; often enough, and seldom enough to cost nothing to speak of.
    fn shrink(&mut self) {
        let (used, room) = (self.timers.len(), self.timers.capacity());
        if room > 64 && used < room / 8 {
            self.timers.shrink_to(2 * used);
        }
    }
}

impl Timer {
    /// The place of its turn in the mailbox leads nowhere from now on.
    fn withdraw(&self) -> Option<Withdrawn> {
        match &self.place {
            Place::Armed(_) => None,
            Place::Waiting(turn) => turn.withdraw(),
        }
    }
}

impl DueTurn {
    /// The turn of `on_timeout` that this is, if it is one.
    pub(crate) fn of(call: &dyn AnyCall) -> Option<&Self> {
        if std::ptr::eq(call.head().method, &ON_TIMEOUT) { call.as_any().downcast_ref() } else { None }
    }

    /// What to call the hook with; `None` if the timer was cancelled or set anew.
    pub(crate) fn begin(&self) -> Option<Timeout> {
        self.content.set.upgrade()?.begin(self.content.id, self)
    }
}

#[cfg(all(test, actor_loom))]
mod loom;
#[cfg(all(test, not(actor_loom)))]
mod tests;
