//! The timers of one node: a wheel, and the one task that turns it.
//!
//! ```text
//!   set, cancel, end of an actor ──► wheel (lock) ── earlier than planned? ──► wake the task
//!                                       │
//!   task: sleep until the wheel has something to do ──► a batch of what expired ──► without the lock: TimerSet::fire
//! ```
//!
//! The lock is held for a few operations on words, or for a batch of [`BATCH`] steps of the wheel; never while an actor is
//! told. The wheel keeps nothing alive: its entries know their sets weakly, and the task knows no node.

use std::{
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    TimerId, TimerSet,
    wheel::{self, Key, Wheel},
};
use crate::{
    node::clock,
    sync::{Mutex, lock},
};

/// How many steps of the wheel are done with one lock, and how many timers fire before other tasks go first.
const BATCH: usize = 128;

const NANOS_A_TICK: u64 = 1_000_000;

/// The timers of one node.
pub(crate) struct Driver {
    epoch: Instant,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    wheel: Wheel<Armed>,
    /// When the task looks next; `u64::MAX` if it does not, 0 while it looks.
    planned: u64,
}

/// A timer in the wheel.
struct Armed {
    set: Weak<TimerSet>,
    id: TimerId,
}

/// What the task has to do after a batch.
enum Then {
    Again,
    At(u64),
    Wait,
}

impl Driver {
    pub(crate) fn new(epoch: Instant) -> Self {
        let state = State { wheel: Wheel::new(), planned: u64::MAX };
        Self { epoch, state: Mutex::new(state), changed: Notify::new() }
    }

    /// The present time, in nanoseconds of the driver's life. Five centuries fit.
    pub(super) fn now(&self) -> u64 {
        nanos(clock::now().saturating_duration_since(self.epoch))
    }

    /// Has the timer fire at this time, and not before.
    pub(super) fn arm(&self, now: u64, due: u64, set: Weak<TimerSet>, id: TimerId) -> Key {
        let tick = due.div_ceil(NANOS_A_TICK);
        let mut state = lock(&self.state);
        let key = state.wheel.insert(now / NANOS_A_TICK, tick, Armed { set, id });
        let earlier = tick < state.planned;
        if earlier {
            state.planned = tick;
        }
        drop(state);
        if earlier {
            self.changed.notify_one();
        }
        key
    }

    /// The timers do not fire any more. The keys of those that have fired find nothing.
    pub(super) fn disarm(&self, keys: impl IntoIterator<Item = Key>) {
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            let mut state = lock(&self.state);
            for key in keys.by_ref().take(BATCH) {
                // A pointer that keeps nothing alive: dropping it runs nothing.
                drop(state.wheel.remove(key));
            }
        }
    }

    /// How many timers have yet to fire.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.state).wheel.len()
    }

    /// Fires what is due within a minute, without the task and its clock.
    #[cfg(all(test, actor_loom))]
    pub(super) fn fire_all(&self) {
        let mut expired = Vec::new();
        while matches!(self.turn(60_000, &mut expired), Then::Again) {}
        fire(&mut expired);
    }

    /// Fires timers for ever; the one task of the node's timers.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut sleep = pin!(clock::sleep_until(self.epoch));
        let mut expired = Vec::with_capacity(BATCH);
        loop {
            let then = self.turn(self.now() / NANOS_A_TICK, &mut expired);
            fire(&mut expired);
            let changed = self.changed.notified();
            match then {
                Then::Again => tokio::task::yield_now().await,
                Then::Wait => changed.await,
                Then::At(tick) => {
                    sleep.as_mut().reset(self.epoch + Duration::from_millis(tick));
                    tokio::select! {
                        () = sleep.as_mut() => {}
                        () = changed => {}
                    }
                }
            }
        }
    }

    /// Turns the wheel by one batch, up to this tick.
    fn turn(&self, now: u64, expired: &mut Vec<(Key, Armed)>) -> Then {
        let mut state = lock(&self.state);
        for _ in 0..BATCH {
            match state.wheel.step(now) {
                wheel::Step::Expired(key, armed) => expired.push((key, armed)),
                wheel::Step::Fell => {}
                wheel::Step::Idle => {
                    let next = state.wheel.next();
                    state.planned = next.unwrap_or(u64::MAX);
                    return next.map_or(Then::Wait, Then::At);
                }
            }
        }
        // It looks again, whatever comes meanwhile.
        state.planned = 0;
        Then::Again
    }
}

fn fire(expired: &mut Vec<(Key, Armed)>) {
    for (key, Armed { set, id }) in expired.drain(..) {
        if let Some(set) = set.upgrade() {
            set.fire(id, key);
        }
    }
}

/// As a number, the longest time there is if it is longer.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
