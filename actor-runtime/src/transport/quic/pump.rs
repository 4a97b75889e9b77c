//! What drives one connection, on whatever thread has something to send.
//!
//! ```text
//!   network thread: task ──────┐
//!   worker: a call leaves ─────┼─► one turn at a time: the lane into its stream ─► quinn's driver ─► the socket
//!   worker: replies leave ─────┘   whoever comes meanwhile leaves a mark, and the turn goes on
//! ```
//!
//! quinn drives a connection by a future. As a task of the network thread alone it would cost each batch that leaves a
//! wake-up of that thread, and a change of threads before the kernel has the first byte. So the future is here, and polled
//! by whoever holds the turn. No user's code runs in a turn, so no handler can hold one up; the task of the network thread
//! is there for all that nobody else does: what arrives, timers, and what is left when a worker has had its rounds.
//!
//! The state is one word. Invariants:
//! 1. Whoever sets [`RUNNING`] has the turn, and nobody else touches the work.
//! 2. A mark that is set while the turn is held is seen before it is given back: by another round, or by the task.
//! 3. Where a mark is set and nobody has the turn, the task has been woken ([`SCHEDULED`]).

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Wake, Waker},
};

use tokio::runtime::Handle;

use crate::{
    panics::{discard, text_of},
    sync::{AtomicU8, Mutex, Ordering, lock, park},
};

/// What a connection is driven by.
pub(super) struct Pump<L> {
    state: AtomicU8,
    work: Mutex<Option<Work<L>>>,
    /// The task's, once it has been polled.
    task: Mutex<Option<Waker>>,
    /// Marks that the lane has something.
    lane: Waker,
    /// Whose clock and timers the connection goes by.
    handle: Option<Handle>,
}

struct Work<L> {
    driver: Driver,
    lane: Option<L>,
}

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where what is put out gets into its stream.
pub(super) trait Lane: Send + 'static {
    /// Writes all that there is; wakes the waker when there is more, or it can go on.
    fn write(&mut self, cx: &mut Context<'_>);
}

/// Somebody has the turn.
const RUNNING: u8 = 1;
/// The driver is to be polled.
const DRIVE: u8 = 2;
/// The lane is to be written.
const LANE: u8 = 4;
/// The task was woken, and is to take the turn.
const SCHEDULED: u8 = 8;
/// There is a lane.
const CARRIES: u8 = 16;
/// The driver has ended.
const ENDED: u8 = 32;

/// How often somebody other than the task goes round before the rest is left to it.
const ROUNDS: u32 = 2;

impl<L: Lane> Pump<L> {
    /// Drives a connection from now on, by a task that is to be spawned.
    pub(super) fn new(
        handle: Option<Handle>,
        driver: Driver,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + use<L>) {
        let pump = Arc::new_cyclic(|this| Self {
            state: AtomicU8::new(SCHEDULED | DRIVE),
            work: Mutex::new(Some(Work { driver, lane: None })),
            task: Mutex::new(None),
            lane: Waker::from(Arc::new(LaneMark(this.clone()))),
            handle,
        });
        (pump.clone(), Task(pump))
    }

    /// Has the lane written from now on.
    pub(super) fn give_lane(&self, lane: L) {
        if let Some(work) = &mut *lock(&self.work) {
            work.lane = Some(lane);
            self.state.fetch_or(CARRIES, Ordering::AcqRel);
        }
        self.mark(LANE);
    }

    /// Nobody writes the lane here any more. It waits for a turn that is under way.
    pub(super) fn take_lane(&self) -> Option<L> {
        self.state.fetch_and(!CARRIES, Ordering::AcqRel);
        lock(&self.work).as_mut()?.lane.take()
    }

    /// Carries what is in the lane now, on this thread, unless somebody else has the turn: then he does. False if it has no
    /// lane.
    pub(super) fn carry(self: &Arc<Self>) -> bool {
        let mut state = self.state.load(Ordering::Acquire);
        // Timers that are made and set, and the clock, are the network's. Before the turn is taken: a thread that is ending
        // cannot enter anything.
        let _entered = self.handle.as_ref().map(Handle::enter);
        loop {
            if state & ENDED != 0 || state & CARRIES == 0 {
                return false;
            }
            let running = state & RUNNING != 0;
            let next = if running { state | LANE } else { (state & !SCHEDULED) | RUNNING | LANE };
            match self.state.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if running => return true,
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        self.turn(ROUNDS);
        true
    }

    /// The task's turn, if it was woken for one. Ready when the driver has ended.
    fn scheduled(self: &Arc<Self>, cx: &Context<'_>) -> Poll<()> {
        let before = park(&mut lock(&self.task), cx.waker());
        drop(before);
        let mut state = self.state.load(Ordering::Acquire);
        while state & (SCHEDULED | ENDED) == SCHEDULED {
            let next = (state & !SCHEDULED) | RUNNING;
            match self.state.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    self.turn(1);
                    state = self.state.load(Ordering::Acquire);
                    break;
                }
                Err(now) => state = now,
            }
        }
        if state & ENDED == 0 { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Goes round for so long as there are marks, but no more than so often. Only for who has set [`RUNNING`].
    fn turn(self: &Arc<Self>, rounds: u32) {
        let waker = Waker::from(self.clone());
        let turned = catch_unwind(AssertUnwindSafe(|| {
            let mut cx = Context::from_waker(&waker);
            for round in 1.. {
                if self.round(&mut cx).is_ready() {
                    return self.end();
                }
                if self.give_back(round >= rounds) {
                    return;
                }
            }
        }));
        if let Err(panic) = turned {
            // First: nobody would ever have the turn again.
            self.end();
            let message = text_of(&*panic);
            discard(panic);
            let told = catch_unwind(|| {
                tracing::error!(%message, "what drives a connection panicked; the connection is lost");
            });
            discard(told);
        }
    }

    fn round(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut slot = lock(&self.work);
        let Some(work) = &mut *slot else { return Poll::Ready(()) };
        // A mark that comes after this is for the next round, also if it is for what this one does.
        let marks = self.state.fetch_and(!LANE, Ordering::AcqRel);
        if marks & LANE != 0
            && let Some(lane) = &mut work.lane
        {
            lane.write(&mut Context::from_waker(&self.lane));
        }
        // What was written has marked it too.
        self.state.fetch_and(!DRIVE, Ordering::AcqRel);
        work.driver.as_mut().poll(cx)
    }

    /// Gives the turn back. False if there is more to be done; if that is to be left, the task does it.
    fn give_back(&self, leave: bool) -> bool {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            let marked = state & (DRIVE | LANE) != 0;
            if marked && !leave && state & ENDED == 0 {
                return false;
            }
            let next = (state & !RUNNING) | if marked { SCHEDULED } else { 0 };
            match self.state.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if marked => {
                    self.wake_task();
                    return true;
                }
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
    }

    /// There is something to be done: by who has the turn, or else by the task.
    fn mark(&self, mark: u8) {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            if state & ENDED != 0 {
                return;
            }
            let idle = state & (RUNNING | SCHEDULED) == 0;
            let next = state | mark | if idle { SCHEDULED } else { 0 };
            match self.state.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if idle => return self.wake_task(),
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
    }

    fn wake_task(&self) {
        let task = lock(&self.task).clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Nothing is driven any more. The work is left to the task: to drop it may panic where quinn has, and it has the last of
    /// the socket, which is to be closed on the network thread.
    fn end(&self) {
        self.state.fetch_or(ENDED, Ordering::AcqRel);
        self.wake_task();
    }
}

impl<L: Lane> Wake for Pump<L> {
    fn wake(self: Arc<Self>) {
        self.mark(DRIVE);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.mark(DRIVE);
    }
}

/// Marks that the lane has something, or can go on.
struct LaneMark<L>(Weak<Pump<L>>);

impl<L: Lane> Wake for LaneMark<L> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(pump) = self.0.upgrade() {
            pump.mark(LANE);
        }
    }
}

/// What the network thread does for it. Dropped with its runtime, nothing is driven any more.
struct Task<L: Lane>(Arc<Pump<L>>);

impl<L: Lane> Future for Task<L> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.scheduled(cx)
    }
}

impl<L: Lane> Drop for Task<L> {
    fn drop(&mut self) {
        self.0.state.fetch_or(ENDED, Ordering::AcqRel);
        // Waits for a turn that is under way.
        let work = lock(&self.0.work).take();
        // The rest of the runtime goes with it.
        let task = lock(&self.0.task).take();
        drop((work, task));
    }
}

#[cfg(all(test, actor_loom))]
mod loom;

#[cfg(all(test, not(actor_loom)))]
mod tests {
    use std::{
        future::poll_fn,
        pin::pin,
        sync::{
            atomic::{AtomicBool, AtomicUsize},
            mpsc,
        },
        thread,
    };

    use super::*;

    /// A lane that counts what is put into it, and what has been written.
    #[derive(Default)]
    struct Counts {
        put: AtomicUsize,
        written: AtomicUsize,
        driven: AtomicUsize,
        ended: AtomicBool,
    }

    impl Lane for Arc<Counts> {
        fn write(&mut self, _: &mut Context<'_>) {
            let put = self.put.swap(0, Ordering::SeqCst);
            self.written.fetch_add(put, Ordering::SeqCst);
        }
    }

    struct Ended(Arc<Counts>);

    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.ended.store(true, Ordering::SeqCst);
        }
    }

    type Pumped = (Arc<Counts>, Arc<Pump<Arc<Counts>>>, Pin<Box<dyn Future<Output = ()> + Send>>);

    /// A pump whose driver does this, and then waits.
    fn pump(drive: impl Fn(&Context<'_>) -> Poll<()> + Send + 'static) -> Pumped {
        let counts = Arc::new(Counts::default());
        let ended = Ended(counts.clone());
        let driver = Box::pin(poll_fn(move |cx| {
            ended.0.driven.fetch_add(1, Ordering::SeqCst);
            drive(cx)
        }));
        let (pump, task) = Pump::new(None, driver);
        pump.give_lane(counts.clone());
        (counts, pump, Box::pin(task))
    }

    fn poll(task: &mut Pin<Box<dyn Future<Output = ()> + Send>>) -> Poll<()> {
        task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_is_put_out_leaves_on_the_thread_that_has_put_it_out() {
        let (counts, pump, mut task) = pump(|_| Poll::Pending);
        assert!(poll(&mut task).is_pending());
        counts.put.store(3, Ordering::SeqCst);
        assert!(pump.carry());
        assert_eq!(counts.written.load(Ordering::SeqCst), 3);
        assert_eq!(counts.driven.load(Ordering::SeqCst), 2);
        // The task has nothing left to do.
        assert!(poll(&mut task).is_pending());
        assert_eq!(counts.driven.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn who_comes_while_another_has_the_turn_does_not_wait_for_it() {
        let (inside, is_inside) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel::<()>();
        let (counts, pump, mut task) = pump(move |_| {
            let _ = inside.send(());
            let _ = goes_on.recv();
            Poll::Pending
        });
        let carrying = pump.clone();
        let turn = thread::Builder::new().spawn(move || assert!(carrying.carry())).unwrap();
        is_inside.recv().unwrap();
        counts.put.store(1, Ordering::SeqCst);
        assert!(pump.carry());
        assert_eq!(counts.written.load(Ordering::SeqCst), 0);
        assert!(poll(&mut task).is_pending(), "nor does the task");
        drop(go_on);
        turn.join().unwrap();
        assert_eq!(counts.written.load(Ordering::SeqCst), 1, "the other one has written it");
    }

    /// Else a caller could be kept for ever by what others do.
    #[test]
    fn a_driver_that_always_has_more_to_do_is_left_to_the_task() {
        let (counts, pump, mut task) = pump(|cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert!(poll(&mut task).is_pending());
        assert!(pump.carry());
        assert_eq!(counts.driven.load(Ordering::SeqCst), 1 + ROUNDS as usize);
        assert!(poll(&mut task).is_pending());
        assert_eq!(counts.driven.load(Ordering::SeqCst), 2 + ROUNDS as usize);
    }

    #[test]
    fn when_the_driver_has_ended_or_its_runtime_has_nothing_is_kept_and_nothing_carried() {
        let (counts, ended, mut task) = pump(|_| Poll::Ready(()));
        assert!(ended.carry());
        assert!(poll(&mut task).is_ready());
        assert!(!counts.ended.load(Ordering::SeqCst), "it is dropped with the task");
        drop(task);
        assert!(counts.ended.load(Ordering::SeqCst) && !ended.carry());
        assert_eq!(Arc::strong_count(&counts), 1, "the lane is gone too");

        let (counts, dropped, task) = pump(|_| Poll::Pending);
        drop(task);
        assert!(counts.ended.load(Ordering::SeqCst) && !dropped.carry());

        let (counts, panicked, mut task) = pump(|_| panic!("in the driver"));
        assert!(panicked.carry());
        assert!(poll(&mut task).is_ready());
        drop(task);
        assert!(counts.ended.load(Ordering::SeqCst) && !panicked.carry());
    }

    #[test]
    fn a_lane_that_was_taken_back_is_carried_no_more() {
        let (counts, pump, task) = pump(|_| Poll::Pending);
        let _task = pin!(task);
        assert!(pump.take_lane().is_some());
        assert!(!pump.carry());
        assert_eq!(counts.driven.load(Ordering::SeqCst), 0);
    }
}
