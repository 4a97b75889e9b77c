//! Every interleaving of calls that come to holders with sweeps: no deadline is forgotten.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use loom::thread;
use tokio::time::Instant;

use super::{Schedule, Sweep};
use crate::{
    node::clock,
    sync::{Mutex, lock},
};

/// Calls that may run out of time, and whether somebody looks after them.
#[derive(Default)]
struct Holder(Mutex<(Vec<Instant>, bool)>);

impl Sweep for Holder {
    fn sweep(&self, now: Instant) -> Option<Instant> {
        let (calls, watched) = &mut *lock(&self.0);
        calls.retain(|deadline| *deadline > now);
        let next = calls.iter().min().copied();
        *watched = next.is_some();
        next
    }

    fn next(&self) -> Option<Instant> {
        lock(&self.0).0.iter().min().copied()
    }
}

impl Holder {
    /// As a mailbox takes a call.
    fn push(&self, deadline: Option<Instant>) -> bool {
        let (calls, watched) = &mut *lock(&self.0);
        calls.extend(deadline);
        !std::mem::replace(watched, true)
    }
}

/// As [`Deadlines`](crate::node::deadlines::Deadlines), with a flag in place of tokio's `Notify`.
struct Node {
    schedule: Schedule,
    changed: Mutex<bool>,
}

impl Node {
    fn call(&self, holder: &Arc<Holder>, deadline: Option<Instant>) {
        if holder.push(deadline) {
            let weak: Weak<dyn Sweep> = Arc::downgrade(&(holder.clone() as Arc<dyn Sweep>));
            if self.schedule.watch(&weak) {
                *lock(&self.changed) = true;
            }
        }
        if let Some(deadline) = deadline
            && self.schedule.expect(deadline)
        {
            *lock(&self.changed) = true;
        }
    }

    /// One round of the sweeper; how long it would sleep now.
    fn round(&self, now: Instant) -> Option<Instant> {
        *lock(&self.changed) = false;
        if self.schedule.next().is_some_and(|at| at <= now) {
            self.schedule.sweep(now);
            // It looks again before it sleeps.
            *lock(&self.changed) = false;
        }
        self.schedule.next()
    }
}

/// Two calls with these deadlines come to one holder while the sweeper makes its rounds at `now`.
fn race(present: Option<u64>, deadlines: [Option<u64>; 2], now: u64) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let start = clock::now();
        let at = move |millis: u64| start + Duration::from_millis(millis);
        let node = Arc::new(Node { schedule: Schedule::new(start), changed: Mutex::new(false) });
        let holder = Arc::new(Holder::default());
        if let Some(present) = present {
            node.call(&holder, Some(at(present)));
        }
        let callers = deadlines.map(|deadline| {
            let (node, holder) = (node.clone(), holder.clone());
            thread::spawn(move || node.call(&holder, deadline.map(at)))
        });
        let mut asleep_until = node.round(at(now));
        for caller in callers {
            caller.join().expect("no panic");
        }
        // Time passes: the sweeper goes on as long as it sleeps until some time, or was woken.
        while asleep_until.is_some() || *lock(&node.changed) {
            asleep_until = node.round(at(1000));
        }
        assert_eq!(holder.next(), None, "a call was forgotten");
    });
}

#[test]
fn two_first_calls_of_a_holder() {
    race(None, [Some(5), Some(3)], 4);
}

#[test]
fn a_call_without_a_deadline_comes_first() {
    race(None, [None, Some(3)], 4);
}

#[test]
fn calls_that_come_while_the_last_one_expires() {
    race(Some(1), [Some(5), Some(2)], 4);
}

#[test]
fn a_later_deadline_against_a_sweep() {
    race(Some(1), [Some(100), None], 4);
}
