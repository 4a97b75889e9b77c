//! Every interleaving of the driver, the actor and those who cancel and set anew, over the real mailbox.

use std::{
    future::poll_fn,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use loom::thread;

use super::{Deliver, DueTurn, TimerSet};
use crate::{
    actor::model::{Admit, Mailbox, Overflow, Step},
    call::{AnyCall, StopReason},
    node::clock,
    timer::Driver,
};

/// An actor as far as its timers know it.
struct Actor(Mailbox);

impl Deliver for Actor {
    fn deliver(&self, turn: Arc<dyn AnyCall>) -> bool {
        self.0.push_own(turn)
    }
}

fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

fn actor() -> (Arc<Actor>, Arc<TimerSet>) {
    let actor = Arc::new(Actor(Mailbox::new(1, Overflow::Fail)));
    let weak: Weak<Actor> = Arc::downgrade(&actor);
    let driver = Arc::new(Driver::new(clock::now()));
    let set = TimerSet::new(driver, weak, "sample".into(), 8);
    (actor, set)
}

/// The turns that are queued begin, one after the other; gives how many did.
fn run(actor: &Actor) -> usize {
    let cx = Context::from_waker(Waker::noop());
    let mut begun = 0;
    while let Poll::Ready(Step::Turn(started)) = actor.0.poll_next(&cx, None, Admit::Any) {
        let turn = DueTurn::of(&*started.call).expect("there is nothing else");
        begun += usize::from(turn.begin().is_some());
        turn.finish();
        actor.0.finish(started.slot);
    }
    begun
}

/// 1: of `cancel` and the turn one has the timer, wherever it is meanwhile.
#[test]
fn a_cancel_against_the_fire_and_the_turn() {
    model(|| {
        let (actor, set) = actor();
        set.set(1.into(), Duration::ZERO, None).expect("there is room");
        let fires = thread::spawn({
            let set = set.clone();
            move || set.driver.fire_all()
        });
        let cancels = thread::spawn({
            let set = set.clone();
            move || set.cancel(1.into())
        });
        let mut begun = run(&actor);
        fires.join().expect("no panic");
        let cancelled = cancels.join().expect("no panic");
        begun += run(&actor);
        assert_eq!(begun + usize::from(cancelled), 1);
        assert_eq!((set.len(), set.driver.len()), (0, 0));
    });
}

/// 1 and 2: a setting that is replaced has no turn after that, and the new one has one.
#[test]
fn setting_anew_against_the_fire_and_the_turn() {
    model(|| {
        let (actor, set) = actor();
        set.set(1.into(), Duration::ZERO, None).expect("there is room");
        let fires = thread::spawn({
            let set = set.clone();
            move || set.driver.fire_all()
        });
        let before = run(&actor);
        set.set(1.into(), Duration::from_secs(3600), None).expect("there is room");
        fires.join().expect("no panic");
        assert!(before <= 1);
        assert_eq!(run(&actor), 0, "what is left is the new setting, whose time has not come");
        assert_eq!((set.len(), set.driver.len()), (1, 1));
    });
}

/// 4: nothing is left over, and nothing begins, after the end.
#[test]
fn the_end_against_a_set_and_the_fire() {
    model(|| {
        let (actor, set) = actor();
        set.set(1.into(), Duration::ZERO, None).expect("there is room");
        let fires = thread::spawn({
            let set = set.clone();
            move || set.driver.fire_all()
        });
        let sets = thread::spawn({
            let set = set.clone();
            move || drop(set.set(2.into(), Duration::from_secs(3600), None))
        });
        actor.0.end(StopReason::Abandoned);
        set.end();
        assert_eq!(run(&actor), 0);
        fires.join().expect("no panic");
        sets.join().expect("no panic");
        assert_eq!((set.len(), set.driver.len()), (0, 0));
    });
}

/// The mailbox's third invariant: a receiver that is parked is woken by a timeout.
#[test]
fn a_timeout_against_parking() {
    model(|| {
        let (actor, set) = actor();
        set.set(1.into(), Duration::ZERO, None).expect("there is room");
        let fires = thread::spawn({
            let set = set.clone();
            move || set.driver.fire_all()
        });
        let begun = loom::future::block_on(poll_fn(|cx| match actor.0.poll_next(cx, None, Admit::Any) {
            Poll::Ready(Step::Turn(started)) => {
                Poll::Ready(DueTurn::of(&*started.call).and_then(DueTurn::begin))
            }
            Poll::Ready(_) => panic!("nobody closes it"),
            Poll::Pending => Poll::Pending,
        }));
        assert_eq!(begun.map(|timeout| timeout.id()), Some(1.into()));
        fires.join().expect("no panic");
    });
}
