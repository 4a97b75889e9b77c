//! Where a call of a pool is: the place that it takes at a member.

use std::{any::Any, fmt::Debug, sync::Arc};

use super::{AnyCall, Failure};
use crate::sync::{Mutex, lock, lock_mut};

/// Room for the place that a call has; calls without a pool have none.
#[derive(Debug, Default)]
pub(crate) struct Seats(Mutex<Option<Seat>>);

/// A place of a call at a member. However the call ends, dropping this gives it back.
#[derive(Debug)]
pub(crate) struct Seat {
    host: Arc<dyn Host>,
    taken: bool,
}

/// A member, which counts the calls that it has.
pub(crate) trait Host: Any + Debug + Send + Sync {
    /// One of them has left.
    fn leave(&self);

    /// One of them has left because it is over: whether it failed, or `None` if its caller did not wait.
    fn over(&self, call: &dyn AnyCall, failed: Option<bool>);

    /// One of them has not been taken, or may not have been run, and goes elsewhere. It has left already.
    fn refused(&self, call: &dyn AnyCall, failure: &Failure);

    /// One has left, and nobody will say how it ended. Called where a call is dropped: it takes no lock but its own.
    fn forgotten(&self);

    /// Where it is.
    fn endpoint(&self) -> String;
}

impl Seats {
    /// Takes the first place, while nobody else has the call: that needs no lock.
    pub(crate) fn begin(&mut self, seat: Seat) {
        *lock_mut(&mut self.0) = Some(seat);
    }

    /// Takes another place, and gives back the one before.
    pub(crate) fn change(&self, seat: Seat) {
        let before = lock(&self.0).replace(seat);
        drop(before);
    }

    /// The member did not take the call, or may not have run it: gives its place back.
    pub(crate) fn refused(&self, call: &dyn AnyCall, failure: &Failure) {
        let left = |seat: &mut Seat| seat.leave().then(|| seat.host.clone());
        let host = lock(&self.0).as_mut().and_then(left);
        if let Some(host) = host {
            host.refused(call, failure);
        }
    }

    /// The call is over.
    pub(crate) fn over(&self, call: &dyn AnyCall, failed: Option<bool>) {
        let seat = lock(&self.0).take();
        if let Some(mut seat) = seat
            && std::mem::replace(&mut seat.taken, false)
        {
            seat.host.over(call, failed);
        }
    }

    /// The member where the call is, or was last.
    pub(crate) fn host(&self) -> Option<Arc<dyn Host>> {
        lock(&self.0).as_ref().map(|seat| seat.host.clone())
    }

    /// Where the call is, or was last; empty if it was at no member.
    pub(crate) fn endpoint(&self) -> String {
        self.host().map(|host| host.endpoint()).unwrap_or_default()
    }
}

impl Seat {
    /// A place that this host has counted.
    pub(crate) fn at(host: Arc<dyn Host>) -> Self {
        Self { host, taken: true }
    }

    fn leave(&mut self) -> bool {
        let taken = std::mem::replace(&mut self.taken, false);
        if taken {
            self.host.leave();
        }
        taken
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.leave() {
            self.host.forgotten();
        }
    }
}
