//! Where a call of a pool is: the places that it takes at members.
//!
//! ```text
//!   begin ──► first ──► over: it ended there, or its caller has left
//!               │
//!               └─ refused ──► change ──► later ──► over, refused …
//! ```
//!
//! 1. A place that was taken is given back once, by whoever comes first: who refuses the call, its end, its caller who
//!    leaves, or that it is dropped.
//! 2. Calls that end at the first member take no lock for that: the first place lies in the call, unchanged, as long as
//!    others have the call, and whoever clears its flag gives it back.

use std::{fmt::Debug, sync::Arc};

use tokio::time::Instant;

use super::{AnyCall, Failure};
use crate::sync::{AtomicBool, Mutex, Ordering, lock};

/// Room for the places that a call has; calls without a pool have none, and pay no more than a look at this.
#[derive(Debug)]
pub(crate) struct Seats<H: Host>(Option<Room<H>>);

#[derive(Debug)]
struct Room<H: Host> {
    /// The first place, which the call takes before anybody else has it. Most calls have no other one.
    first: Option<Arc<H>>,
    /// Whether that is to be given back.
    taken: AtomicBool,
    /// The one that it has elsewhere, after that.
    later: Mutex<Option<Arc<Later<H>>>>,
    /// It has values that it never has: they say that there is no room, without a word more in each call.
    _is_room: bool,
}

/// A place that was taken when the call had been elsewhere. Dropping it gives it back.
#[derive(Debug)]
struct Later<H: Host> {
    host: Arc<H>,
    since: Instant,
    taken: AtomicBool,
}

/// A member, which counts the calls that it has.
pub(crate) trait Host: Debug + Send + Sync {
    /// One of them has left.
    fn leave(&self);

    /// One of them, which was here since then, has left because it is over: whether it failed, or `None` if its caller did
    /// not wait.
    fn over(&self, call: &dyn AnyCall, failed: Option<bool>, since: Option<Instant>);

    /// One of them, which was here since then, has not been taken, or may not have been run, and goes elsewhere.
    fn refused(&self, call: &dyn AnyCall, failure: &Failure, since: Option<Instant>);

    /// One has left, and nobody will say how it ended. Called where a call is dropped: it takes no lock but its own.
    fn forgotten(&self);

    /// Where it is.
    fn endpoint(&self) -> String;
}

impl<H: Host> Seats<H> {
    pub(crate) const NONE: Self = Self(None);

    /// Makes room, while nobody else has the call, if there is none.
    pub(crate) fn open(&mut self) {
        self.0.get_or_insert_with(|| Room::new(None));
    }

    /// Takes the first place, which this host has counted, while nobody else has the call.
    #[inline]
    pub(crate) fn begin(&mut self, host: Arc<H>) {
        let before = self.0.replace(Room::new(Some(host)));
        if before.is_some() {
            drop(before);
        } else {
            // There is nothing to drop, and no call to find that out.
            std::mem::forget(before);
        }
    }

    /// Takes another place, which this host has counted, from now on, and gives back the one before.
    pub(crate) fn change(&self, host: Arc<H>, since: Instant) {
        let seat = Arc::new(Later { host, since, taken: AtomicBool::new(true) });
        // Without room it has no place: this one is given back at once.
        let Some(room) = &self.0 else { return };
        room.forget_first();
        let before = lock(&room.later).replace(seat);
        drop(before);
    }

    /// The member did not take the call, or may not have run it: gives its place back.
    pub(crate) fn refused(&self, call: &dyn AnyCall, failure: &Failure) {
        let Some(Room { first, taken, later, .. }) = &self.0 else { return };
        let (host, since) = match first {
            Some(first) if take(taken) => (first.clone(), call.head().made),
            _ => match &*lock(later) {
                Some(later) if take(&later.taken) => (later.host.clone(), Some(later.since)),
                _ => return,
            },
        };
        host.leave();
        host.refused(call, failure, since);
    }

    /// The call, which was made then, is over: whether it failed, or `None` if its caller has left.
    #[inline]
    pub(crate) fn over(&self, call: &dyn AnyCall, failed: Option<bool>, made: Option<Instant>) {
        match &self.0 {
            Some(Room { first: Some(first), taken, .. }) if take(taken) => {
                first.leave();
                first.over(call, failed, made);
            }
            _ => self.over_later(call, failed),
        }
    }

    /// The same for a call that has been elsewhere, or nowhere.
    #[cold]
    fn over_later(&self, call: &dyn AnyCall, failed: Option<bool>) {
        let Some(Room { later, .. }) = &self.0 else { return };
        let seat = lock(later).take();
        if let Some(seat) = seat.filter(|seat| take(&seat.taken)) {
            seat.host.leave();
            seat.host.over(call, failed, Some(seat.since));
        }
    }

    /// The member where the call is, or was last.
    pub(crate) fn host(&self) -> Option<Arc<H>> {
        let Room { first, later, .. } = self.0.as_ref()?;
        let later = lock(later).as_ref().map(|later| later.host.clone());
        later.or_else(|| first.clone())
    }

    /// Where the call is, or was last; empty if it was at no member.
    pub(crate) fn endpoint(&self) -> String {
        self.host().map(|host| host.endpoint()).unwrap_or_default()
    }
}

impl<H: Host> Room<H> {
    #[inline]
    fn new(first: Option<Arc<H>>) -> Self {
        let taken = AtomicBool::new(first.is_some());
        Self { first, taken, later: Mutex::new(None), _is_room: true }
    }

    /// Gives the first place back, if it was not, and nobody says how the call ended.
    #[cold]
    #[inline(never)]
    fn forget_first(&self) {
        if let Some(first) = &self.first
            && take(&self.taken)
        {
            first.leave();
            first.forgotten();
        }
    }
}

/// Whether a place is to be given back, by whoever asks this; afterwards it is not.
#[inline]
fn take(taken: &AtomicBool) -> bool {
    taken.swap(false, Ordering::Relaxed)
}

impl<H: Host> Drop for Room<H> {
    #[inline]
    fn drop(&mut self) {
        // Nobody else has it: to look is enough for calls that are over.
        if self.taken.load(Ordering::Relaxed) {
            self.forget_first();
        }
    }
}

impl<H: Host> Drop for Later<H> {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        if take(&self.taken) {
            self.host.leave();
            self.host.forgotten();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        call::{Delivery, FailureKind, sample},
        node::clock,
        sync::AtomicU64,
    };

    /// A member that counts its calls, and what it is told of those that have left.
    #[derive(Debug, Default)]
    struct Counts {
        here: AtomicU64,
        told: AtomicU64,
    }

    impl Counts {
        fn enter(self: &Arc<Self>) -> Arc<Self> {
            self.here.fetch_add(1, Ordering::Relaxed);
            self.clone()
        }

        fn tell(&self) {
            self.told.fetch_add(1, Ordering::Relaxed);
        }

        /// How many calls it has, and of how many it knows the end.
        fn seen(&self) -> (u64, u64) {
            (self.here.load(Ordering::Relaxed), self.told.load(Ordering::Relaxed))
        }
    }

    impl Host for Counts {
        fn leave(&self) {
            self.here.fetch_sub(1, Ordering::Relaxed);
        }

        fn over(&self, _: &dyn AnyCall, _: Option<bool>, _: Option<Instant>) {
            self.tell();
        }

        fn refused(&self, _: &dyn AnyCall, _: &Failure, _: Option<Instant>) {
            self.tell();
        }

        fn forgotten(&self) {
            self.tell();
        }

        fn endpoint(&self) -> String {
            String::new()
        }
    }

    fn full() -> Failure {
        Failure::new(FailureKind::Overloaded, Delivery::NotDelivered, "full")
    }

    #[cfg(not(actor_loom))]
    #[test]
    fn a_place_is_given_back_once_and_its_member_told_once() {
        let call = sample::call(&sample::SHARED, 7, None);
        let [first, second, third] = [(); 3].map(|()| Arc::new(Counts::default()));
        let mut seats = Seats::NONE;
        seats.begin(first.enter());
        seats.refused(&*call, &full());
        seats.refused(&*call, &full());
        assert_eq!(first.seen(), (0, 1));
        seats.change(second.enter(), clock::now());
        // Nobody has said how it ended there.
        seats.change(third.enter(), clock::now());
        assert_eq!((second.seen(), third.seen()), ((0, 1), (1, 0)));
        seats.over(&*call, Some(false), None);
        seats.over(&*call, None, None);
        drop(seats);
        assert_eq!([first, second, third].map(|host| host.seen()), [(0, 1); 3]);
    }

    #[cfg(not(actor_loom))]
    #[test]
    fn a_call_that_is_dropped_gives_its_place_back_wherever_it_is() {
        let [first, second] = [(); 2].map(|()| Arc::new(Counts::default()));
        let (mut at_first, mut kept, unmade) = (Seats::NONE, Seats::NONE, Seats::NONE);
        at_first.begin(first.enter());
        kept.open();
        kept.change(second.enter(), clock::now());
        unmade.change(second.enter(), clock::now());
        assert_eq!(second.seen(), (1, 1), "without room there is no place");
        drop((at_first, kept));
        assert_eq!((first.seen(), second.seen()), ((0, 1), (0, 2)));
    }

    #[cfg(not(actor_loom))]
    #[test]
    fn that_there_is_room_or_none_needs_no_word() {
        assert_eq!(size_of::<Seats<Counts>>(), size_of::<Room<Counts>>());
    }

    #[cfg(actor_loom)]
    mod loom {
        use super::*;

        /// 1: the end, or the caller who leaves, beside a member that refuses the call, which goes elsewhere. The first place and
        /// later ones.
        #[test]
        fn an_end_and_a_refusal_give_each_place_back_once() {
            for elsewhere in [false, true] {
                ::loom::model(move || {
                    let call = sample::call(&sample::SHARED, 7, None);
                    let [first, second] = [(); 2].map(|()| Arc::new(Counts::default()));
                    let mut seats = Seats::NONE;
                    if elsewhere {
                        seats.open();
                        seats.change(first.enter(), clock::now());
                    } else {
                        seats.begin(first.enter());
                    }
                    let seats = Arc::new(seats);
                    let refuses = ::loom::thread::spawn({
                        let (call, seats, second) = (call.clone(), seats.clone(), second.clone());
                        move || {
                            seats.refused(&*call, &full());
                            seats.change(second.enter(), clock::now());
                        }
                    });
                    seats.over(&*call, Some(false), None);
                    refuses.join().expect("no panic");
                    drop(seats);
                    assert_eq!((first.seen(), second.seen()), ((0, 1), (0, 1)));
                });
            }
        }
    }
}
