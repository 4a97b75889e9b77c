//! Every interleaving of those who put something into the lane with each other and with the task: nothing lies there.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Wake, Waker},
};

use loom::thread;

use super::{Lane, Pump};
use crate::sync::{AtomicBool, Mutex, Ordering, lock};

/// What lies in the lane, and who is to be woken for it.
#[derive(Default)]
struct Outbox {
    lies: u32,
    parked: Option<Waker>,
}

#[derive(Default)]
struct World {
    outbox: Mutex<Outbox>,
    /// Written into the stream, and sent by the driver.
    written: Mutex<(u32, u32)>,
    task: AtomicBool,
}

impl Lane for Arc<World> {
    fn write(&mut self, cx: &mut Context<'_>) {
        let mut outbox = lock(&self.outbox);
        let taken = std::mem::take(&mut outbox.lies);
        outbox.parked = Some(cx.waker().clone());
        drop(outbox);
        lock(&self.written).0 += taken;
    }
}

/// As a link puts out: told to who parks, or carried.
fn put(world: &Arc<World>, pump: Option<&Arc<Pump<Arc<World>>>>) {
    let mut outbox = lock(&world.outbox);
    outbox.lies += 1;
    match pump {
        Some(pump) => {
            drop(outbox);
            assert!(pump.carry());
        }
        None => {
            let parked = outbox.parked.take();
            drop(outbox);
            if let Some(parked) = parked {
                parked.wake();
            }
        }
    }
}

/// Marks that the task is to be polled.
struct Woken(Weak<World>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        if let Some(world) = self.0.upgrade() {
            world.task.store(true, Ordering::SeqCst);
        }
    }
}

fn all_is_sent(carried: [bool; 2]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let world = Arc::new(World::default());
        let sends = world.clone();
        let driver = Box::pin(poll_fn(move |_| {
            let mut written = lock(&sends.written);
            let (waits, sent) = *written;
            *written = (0, sent + waits);
            Poll::Pending
        }));
        let (pump, task) = Pump::new(None, driver);
        let mut task = pin!(task);
        let waker = Waker::from(Arc::new(Woken(Arc::downgrade(&world))));
        let mut cx = Context::from_waker(&waker);
        assert!(task.as_mut().poll(&mut cx).is_pending());
        pump.give_lane(world.clone());
        let putting = carried.map(|carried| {
            let (world, pump) = (world.clone(), pump.clone());
            thread::spawn(move || put(&world, carried.then_some(&pump)))
        });
        // As the runtime of the task does: it is polled once for each time that it was woken.
        if world.task.swap(false, Ordering::SeqCst) {
            assert!(task.as_mut().poll(&mut cx).is_pending());
        }
        for putting in putting {
            putting.join().unwrap();
        }
        while world.task.swap(false, Ordering::SeqCst) {
            assert!(task.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!(lock(&world.outbox).lies, 0);
        assert_eq!(*lock(&world.written), (0, 2));
    });
}

#[test]
fn what_two_carry_at_once_is_sent() {
    all_is_sent([true, true]);
}

#[test]
fn what_one_carries_and_another_leaves_to_the_task_is_sent() {
    all_is_sent([true, false]);
}
