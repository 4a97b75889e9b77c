//! What was put out, and when and on which thread it leaves.
//!
//! ```text
//!   a call, no other under way ──────────────────► now, on its caller's thread
//!   calls of callers that got their replies together ─┐
//!   replies of one poll of an actor ──────────────────┴─► when all have been made, on that thread
//!   anything else, and more than [`OWN`] ────────► the network thread is woken, which takes what there is by then
//! ```
//!
//! Who sends on its own thread spares a wake-up of the network thread and a change of threads, which is most of what a small
//! batch costs; a large one is encrypted by the network thread while callers and actors go on.

use std::{sync::atomic::Ordering, task::Waker};

use super::{Link, Wire};
use crate::{cork::Flush, proto::Woken, sync::lock};

/// What takes the lane's bytes to the other side.
pub(crate) trait Carry: Send + Sync {
    /// This thread has something sent, by itself or by the network thread.
    fn works_here(&self);

    /// Takes what is there now, on this thread, unless another one is at it: then that one does. False if it does not any
    /// more.
    fn carry(&self) -> bool;
}

/// What is to be done for what was put out, once nothing is locked.
#[must_use = "or it lies there"]
pub(super) enum Leaves {
    /// Nothing: it leaves with others.
    Later,
    Woken(Woken),
    /// From this thread: there is nothing that it could leave with.
    Now,
}

/// So much waits for nothing else.
const BURST: usize = 8 * 1024;

/// More than this is left to the network thread.
const OWN: usize = 4 * 1024;

impl Link {
    /// Looks at the machine, and wakes who carries what came into the outbox.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Wire) -> T) -> T {
        let mut machine = lock(&self.machine);
        let result = act(&mut machine);
        let (woken, writers) = (machine.out.woken(), machine.take_woken());
        drop(machine);
        woken.wake();
        if !writers.is_empty() {
            writers.into_iter().for_each(Waker::wake);
        }
        result
    }

    /// As [`with`](Self::with), for a call: what it gives beside the result is for [`leave`](Self::leave).
    pub(super) fn sending<T>(&self, act: impl FnOnce(&mut Wire) -> T) -> (T, Leaves) {
        let mut machine = lock(&self.machine);
        let result = act(&mut machine);
        let leaves = if self.burst.load(Ordering::Relaxed) && machine.out.lane_len() < BURST {
            Leaves::Later
        } else if machine.is_alone() {
            Leaves::Now
        } else {
            Leaves::Woken(machine.out.woken())
        };
        (result, leaves)
    }

    /// Has a call leave. Other calls' wakers may be woken here, and quinn may be driven.
    pub(super) fn leave(&self, leaves: Leaves) {
        match leaves {
            Leaves::Later => {}
            Leaves::Woken(woken) => {
                self.works_here();
                woken.wake();
            }
            Leaves::Now => self.carry(),
        }
    }

    /// What writes the lane from now on, whoever has put something into it.
    pub(crate) fn carried_by(&self, carrier: Box<dyn Carry>) {
        // There is one for each connection.
        let _ = self.carrier.set(carrier);
    }

    fn works_here(&self) {
        if let Some(carrier) = self.carrier.get() {
            carrier.works_here();
        }
    }

    /// Sends what was put out, from this thread where that can be.
    fn carry(&self) {
        let mut machine = lock(&self.machine);
        let much = machine.out.lane_len();
        let carrier = self.carrier.get().filter(|_| (1..=OWN).contains(&much));
        let woken = if carrier.is_some() { machine.out.woken_beside_lane() } else { machine.out.woken() };
        let writers = machine.take_woken();
        drop(machine);
        if much > 0 {
            self.works_here();
        }
        woken.wake();
        if let Some(carrier) = carrier
            && !carrier.carry()
        {
            // Whoever writes it now parks a waker of his own.
            self.with(|_| ());
        }
        writers.into_iter().for_each(Waker::wake);
    }
}

impl Flush for Link {
    fn flush(&self) {
        self.burst.store(false, Ordering::Relaxed);
        self.carry();
    }
}
