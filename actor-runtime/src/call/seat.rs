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
//! 3. Who the member is, nobody here knows. What a good answer changes lies in its [`Host`], at the same place for all; the
//!    [`Judge`] behind it is asked for the rest.

use std::{any::Any, fmt::Debug, sync::Arc};

use tokio::time::Instant;

use super::{AnyCall, Failure};
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering, lock};

/// Room for the places that a call has; calls without a pool have none, and pay no more than a look at this.
#[derive(Debug)]
pub(crate) struct Seats(Option<Room>);

#[derive(Debug)]
struct Room {
    /// The first place, which the call takes before anybody else has it. Most calls have no other one.
    first: Option<Arc<Host>>,
    /// Whether that is to be given back.
    taken: AtomicBool,
    /// The one that it has elsewhere, after that.
    later: Mutex<Option<Arc<Later>>>,
    /// It has values that it never has: they say that there is no room, without a word more in each call.
    _is_room: bool,
}

/// A place that was taken when the call had been elsewhere. Dropping it gives it back.
#[derive(Debug)]
struct Later {
    host: Arc<Host>,
    since: Instant,
    taken: AtomicBool,
}

/// A member, as its calls see it: how many it has, and who judges how they end. What most of them change at their end lies
/// here, whoever the judge is: they find it without asking anybody.
#[derive(Debug)]
pub(crate) struct Host<J: ?Sized = dyn Judge> {
    /// Calls that it has.
    outstanding: AtomicU64,
    /// Answers that the judge need not see before the next one that it does.
    rest: AtomicU64,
    /// Whether the judge is to see them all the same.
    troubled: AtomicBool,
    judge: J,
}

/// Who learns from the calls of a member how it behaves.
pub(crate) trait Judge: Any + Debug + Send + Sync {
    /// A call, which was here since then, has left because it is over: whether it failed, or `None` if its caller did not
    /// wait. Of those that went well it is told only what it has asked for.
    fn over(&self, host: &Host, call: &dyn AnyCall, failed: Option<bool>, since: Option<Instant>);

    /// One, which was here since then, has not been taken, or may not have been run, and goes elsewhere.
    fn refused(&self, host: &Host, call: &dyn AnyCall, failure: &Failure, since: Option<Instant>);

    /// One has left, and nobody will say how it ended. Called where a call is dropped: it takes no lock but its own.
    fn forgotten(&self);

    /// Where the member is.
    fn endpoint(&self) -> String;
}

impl Seats {
    pub(crate) const NONE: Self = Self(None);

    /// Makes room, while nobody else has the call, if there is none.
    pub(crate) fn open(&mut self) {
        self.0.get_or_insert_with(|| Room::new(None));
    }

    /// Takes the first place, which this host has counted, while nobody else has the call.
    #[inline]
    pub(crate) fn begin(&mut self, host: Arc<Host>) {
        let before = self.0.replace(Room::new(Some(host)));
        if before.is_some() {
            drop(before);
        } else {
            // There is nothing to drop, and no call to find that out.
            std::mem::forget(before);
        }
    }

    /// Takes another place, which this host has counted, from now on, and gives back the one before.
    pub(crate) fn change(&self, host: Arc<Host>, since: Instant) {
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
        host.judge.refused(&host, call, failure, since);
    }

    /// The call, which was made then, is over: whether it failed, or `None` if its caller has left.
    #[inline]
    pub(crate) fn over(&self, call: &dyn AnyCall, failed: Option<bool>, made: Option<Instant>) {
        match &self.0 {
            Some(Room { first: Some(first), taken, .. }) if take(taken) => {
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
            seat.host.over(call, failed, Some(seat.since));
        }
    }

    /// The member where the call is, or was last.
    pub(crate) fn host(&self) -> Option<Arc<Host>> {
        let Room { first, later, .. } = self.0.as_ref()?;
        let later = lock(later).as_ref().map(|later| later.host.clone());
        later.or_else(|| first.clone())
    }

    /// Where the call is, or was last; empty if it was at no member.
    pub(crate) fn endpoint(&self) -> String {
        self.host().map(|host| host.judge.endpoint()).unwrap_or_default()
    }
}

impl Room {
    #[inline]
    fn new(first: Option<Arc<Host>>) -> Self {
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
            first.judge.forgotten();
        }
    }
}

impl<J> Host<J> {
    /// A member without calls, whose judge is to see all answers.
    pub(crate) fn new(judge: J) -> Self {
        Self {
            outstanding: AtomicU64::new(0),
            rest: AtomicU64::new(0),
            troubled: AtomicBool::new(true),
            judge,
        }
    }
}

impl<J: ?Sized> Host<J> {
    pub(crate) fn judge(&self) -> &J {
        &self.judge
    }

    /// How many calls it has.
    #[inline]
    pub(crate) fn outstanding(&self) -> u64 {
        self.outstanding.load(Ordering::Relaxed)
    }

    /// Counts a call, which is to have a place here.
    #[inline]
    pub(crate) fn enter(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    /// How many answers the judge need not see from now on, while there is no trouble.
    pub(crate) fn rest(&self, answers: u64) {
        self.rest.store(answers, Ordering::Relaxed);
    }

    /// Whether the judge sees each answer, however long it could rest.
    pub(crate) fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Relaxed)
    }

    /// Has the judge see each answer from now on, or not.
    pub(crate) fn trouble(&self, troubled: bool) {
        self.troubled.store(troubled, Ordering::Relaxed);
    }

    /// A call has left.
    #[inline]
    fn leave(&self) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the judge need not see an answer. It is counted.
    #[inline]
    fn rests(&self) -> bool {
        let rest = self.rest.load(Ordering::Relaxed);
        let rests = rest != 0 && !self.is_troubled();
        if rests {
            // A count that two threads lose does no harm.
            self.rest.store(rest - 1, Ordering::Relaxed);
        }
        rests
    }
}

impl Host {
    /// A call has left, which is over: whether it failed, or `None` if its caller did not wait.
    #[inline]
    fn over(&self, call: &dyn AnyCall, failed: Option<bool>, since: Option<Instant>) {
        self.leave();
        if failed != Some(false) || !self.rests() {
            self.judge.over(self, call, failed, since);
        }
    }
}

/// Whether a place is to be given back, by whoever asks this; afterwards it is not.
#[inline]
fn take(taken: &AtomicBool) -> bool {
    taken.swap(false, Ordering::Relaxed)
}

impl Drop for Room {
    #[inline]
    fn drop(&mut self) {
        // Nobody else has it: to look is enough for calls that are over.
        if self.taken.load(Ordering::Relaxed) {
            self.forget_first();
        }
    }
}

impl Drop for Later {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        if take(&self.taken) {
            self.host.leave();
            self.host.judge.forgotten();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        call::{Delivery, FailureKind, sample},
        node::clock,
    };

    /// A judge that counts what it is told of calls that have left.
    #[derive(Debug, Default)]
    struct Counts(AtomicU64);

    impl Counts {
        fn tell(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn member() -> Arc<Host<Counts>> {
        Arc::new(Host::new(Counts::default()))
    }

    fn enter(host: &Arc<Host<Counts>>) -> Arc<Host> {
        host.enter();
        host.clone()
    }

    /// How many calls it has, and of how many its judge knows the end.
    fn seen(host: &Host<Counts>) -> (u64, u64) {
        (host.outstanding(), host.judge().0.load(Ordering::Relaxed))
    }

    impl Judge for Counts {
        fn over(&self, _: &Host, _: &dyn AnyCall, _: Option<bool>, _: Option<Instant>) {
            self.tell();
        }

        fn refused(&self, _: &Host, _: &dyn AnyCall, _: &Failure, _: Option<Instant>) {
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
        let [first, second, third] = [(); 3].map(|()| member());
        let mut seats = Seats::NONE;
        seats.begin(enter(&first));
        seats.refused(&*call, &full());
        seats.refused(&*call, &full());
        assert_eq!(seen(&first), (0, 1));
        seats.change(enter(&second), clock::now());
        // Nobody has said how it ended there.
        seats.change(enter(&third), clock::now());
        assert_eq!((seen(&second), seen(&third)), ((0, 1), (1, 0)));
        seats.over(&*call, Some(false), None);
        seats.over(&*call, None, None);
        drop(seats);
        assert_eq!([first, second, third].map(|host| seen(&host)), [(0, 1); 3]);
    }

    #[cfg(not(actor_loom))]
    #[test]
    fn a_call_that_is_dropped_gives_its_place_back_wherever_it_is() {
        let [first, second] = [(); 2].map(|()| member());
        let (mut at_first, mut kept, unmade) = (Seats::NONE, Seats::NONE, Seats::NONE);
        at_first.begin(enter(&first));
        kept.open();
        kept.change(enter(&second), clock::now());
        unmade.change(enter(&second), clock::now());
        assert_eq!(seen(&second), (1, 1), "without room there is no place");
        drop((at_first, kept));
        assert_eq!((seen(&first), seen(&second)), ((0, 1), (0, 2)));
    }

    #[cfg(not(actor_loom))]
    #[test]
    fn good_answers_are_told_when_the_judge_asked_for_them_and_others_always() {
        let call = sample::call(&sample::SHARED, 7, None);
        let host = member();
        let end = |failed| {
            let mut seats = Seats::NONE;
            seats.begin(enter(&host));
            seats.over(&*call, failed, None);
            seen(&host)
        };
        host.rest(2);
        assert_eq!(end(Some(false)), (0, 1), "it is in trouble from the beginning");
        host.trouble(false);
        assert_eq!([(); 3].map(|()| end(Some(false))), [(0, 1), (0, 1), (0, 2)]);
        host.rest(2);
        assert_eq!([Some(true), None, Some(false)].map(end), [(0, 3), (0, 4), (0, 4)]);
        host.trouble(true);
        assert_eq!(end(Some(false)), (0, 5));
    }

    #[cfg(not(actor_loom))]
    #[test]
    fn that_there_is_room_or_none_needs_no_word() {
        assert_eq!(size_of::<Seats>(), size_of::<Room>());
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
                    let [first, second] = [(); 2].map(|()| member());
                    let mut seats = Seats::NONE;
                    if elsewhere {
                        seats.open();
                        seats.change(enter(&first), clock::now());
                    } else {
                        seats.begin(enter(&first));
                    }
                    let seats = Arc::new(seats);
                    let refuses = ::loom::thread::spawn({
                        let (call, seats, second) = (call.clone(), seats.clone(), second.clone());
                        move || {
                            seats.refused(&*call, &full());
                            seats.change(enter(&second), clock::now());
                        }
                    });
                    seats.over(&*call, Some(false), None);
                    refuses.join().expect("no panic");
                    drop(seats);
                    assert_eq!((seen(&first), seen(&second)), ((0, 1), (0, 1)));
                });
            }
        }
    }
}
