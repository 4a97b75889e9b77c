//! Where calls wait for their turn (S1, S3).
//!
//! ```text
//!              push                      promote                    next
//!   callers ──────────► waiting ·· FIFO ─────────► queue ·· FIFO ─────────► running ──► finished
//!              │        (callers wait,             (at most `capacity`)    (so that deadlines
//!              │         nothing is granted)                                are seen to end)
//!              ├───────► joins        a call that its own chain's shared turn waits for (S5)
//!   stop, kill ├───────► closing      never behind user traffic
//!   retire     ├───────► life         likewise: this receiver ends, and another one takes the queue over
//!   ask        └───────► question     one place, never behind user traffic
//! ```
//!
//! A call in `waiting` belongs to its caller: the entry is a pointer to it, and goes when the caller goes. So what the
//! mailbox itself can hold is bounded by its capacity. A oneway call is accepted when it comes into the queue: from then on
//! its caller has no say in it, and its deadline is over.
//!
//! Invariants:
//! 1. Calls leave in the order in which they came, joins apart; a call is handed out at most once.
//! 2. `waiting` is empty unless `queue` is full.
//! 3. Whoever parks as the receiver is woken by the next push, join, question, stop or kill, and by the end of the call
//!    that it is blocked by. Whoever comes after a kill is told so and does not park.
//! 4. After `close` every call that was not handed out is over, and every push is refused. After `end` every call is
//!    over, and joins are refused too.
//! 5. Nothing is allocated before the first message.
//! 6. A oneway call is accepted once it is in `queue`, and never while it is in `waiting`.
//! 7. A question is handed out before any call, or dropped by `end`; there is one at most, which all askers share.
//! 8. A turn that the actor itself asked for (a timer's) is in `queue` or, however full that is, in `waiting`, until it is
//!    handed out, is over, or the mailbox closes; it is never refused before that.
//! 9. After `retire` no call of the queue is handed out to this receiver. Between `rest` and `resume` there is no
//!    receiver: calls queue, and whoever closes the mailbox ends it.
//! 10. `break_run` ends the run that it names at its next look here, or nobody.

mod life;
mod observe;

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use life::Life;
pub(crate) use life::{Cut, Rest};
pub(crate) use observe::{Answer, Awaited, Look, Question, RunningTurn};
use slab::Slab;
use tokio::time::Instant;

use crate::{
    call::{AnyCall, CallHead, Delivery, Failure, FailureKind, Refused, Stage, StopReason},
    node::clock,
    service::Access,
    sync::{AtomicBool, Mutex, MutexGuard, Ordering, lock},
};

/// A call on its way to an actor.
type Entry = Arc<dyn AnyCall>;

/// What a full mailbox does with a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The caller waits, in order and within its deadline.
    #[default]
    Wait,
    /// The call fails at once with [`Overloaded`](FailureKind::Overloaded).
    Fail,
}

/// The mailbox of one actor.
pub(crate) struct Mailbox {
    state: Mutex<State>,
    /// Whether the actor is to end without finishing anything; read without the lock.
    killed: AtomicBool,
}

struct State {
    queue: VecDeque<Entry>,
    /// Made when it is needed first: most actors are never full and never part of a circle.
    beside: Option<Box<Beside>>,
    running: Slab<Entry>,
    receiver: Option<Waker>,
    /// Whether the parked receiver wants to know of new calls, or only of the end.
    wants_calls: bool,
    closing: Option<Arc<StopReason>>,
    capacity: usize,
    overflow: Overflow,
    /// Whether somebody looks after the deadlines.
    watched: bool,
    /// Asks the receiver how the actor is.
    question: Option<Question>,
    /// When a turn had last started or ended, as far as it was noted.
    progress: Option<Instant>,
    /// Whether a turn has started or ended since `progress` was noted.
    moved: bool,
    /// How many turns were given back.
    turns: u64,
    /// How many calls could not start at once.
    delayed: u64,
    /// Whether the receiver is gone, for good.
    ended: bool,
    /// Whether the actor has started once.
    started: bool,
    /// Whether there is no receiver, and another one is to come.
    resting: bool,
    /// Whether this run of the actor has ended the actors that it had started.
    childless: bool,
    /// Made when somebody looks after the actor's life: most actors run until they are dropped.
    life: Option<Box<Life>>,
}

/// The calls that are not in the queue.
#[derive(Default)]
struct Beside {
    waiting: VecDeque<Entry>,
    joins: VecDeque<Entry>,
    /// The oneway calls that came from `waiting` into the queue, to be told so once the lock is released.
    promoted: Vec<Entry>,
    /// `waiting` is searched for calls that are over when it reaches this length, or that of [`PURGE_FROM`].
    purge_at: usize,
}

/// What there is to do next.
pub(crate) enum Step {
    /// A turn to run.
    Turn(Started),
    /// A question to answer.
    Asked(Question),
    /// The next call needs the actor for itself.
    Blocked,
    /// Nothing will come any more.
    Closed,
    /// What will come is for the next receiver.
    Retired,
    /// The actor is to end at once.
    Killed,
}

/// A call that was handed out.
pub(crate) struct Started {
    pub(crate) call: Arc<dyn AnyCall>,
    /// To be given back when the turn has ended.
    pub(crate) slot: usize,
}

/// Which calls may be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admit {
    /// Any: no turn is running.
    Any,
    /// Shared ones: shared turns are running.
    Shared,
    /// Joins only: as many shared turns run as may, or the actor is about to stop.
    Joins,
}

const PURGE_FROM: usize = 64;

impl Mailbox {
    pub(crate) fn new(capacity: usize, overflow: Overflow) -> Self {
        Self {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                beside: None,
                running: Slab::new(),
                receiver: None,
                wants_calls: false,
                closing: None,
                capacity: capacity.max(1),
                overflow,
                watched: false,
                question: None,
                progress: None,
                moved: false,
                turns: 0,
                delayed: 0,
                ended: false,
                started: false,
                resting: false,
                childless: false,
                life: None,
            }),
            killed: AtomicBool::new(false),
        }
    }

    /// Takes a call. `Ok(true)` asks the caller to have the mailbox's deadlines looked after from now on.
    pub(crate) fn push(&self, call: Entry) -> Result<bool, Refused> {
        let mut state = lock(&self.state);
        if let Some(reason) = &state.closing {
            let failure = reason.refusal();
            drop(state);
            return Err(Refused { call, failure });
        }
        let mut accepted = None;
        let method = call.head().method;
        if state.queue.len() < state.capacity {
            accepted = method.oneway.then(|| call.clone());
            state.queue.push_back(call);
        } else if let Err(call) = state.push_beyond_capacity(call) {
            let (failure, promoted) = (state.overloaded(&*call), state.promoted());
            drop(state);
            accept(promoted);
            return Err(Refused { call, failure });
        }
        let promoted = state.promoted();
        let pushed = state.pushed();
        if !state.starts(&pushed, method.access) {
            state.delayed += 1;
        }
        let watch = pushed.wake(state);
        if let Some(call) = accepted {
            call.accepted();
        }
        accept(promoted);
        Ok(watch)
    }

    /// Takes calls that came together, in their order. True asks the caller to have the mailbox's deadlines looked after
    /// from now on.
    pub(crate) fn push_all(&self, calls: impl Iterator<Item = Entry>, refused: &mut Vec<Refused>) -> bool {
        let mut accepted = Vec::new();
        let (mut first, mut taken) = (Access::Shared, 0);
        let mut state = lock(&self.state);
        for call in calls {
            let access = call.head().method.access;
            let failure = match &state.closing {
                Some(reason) => reason.refusal(),
                None if state.queue.len() < state.capacity => {
                    if call.head().method.oneway {
                        accepted.push(call.clone());
                    }
                    state.queue.push_back(call);
                    (first, taken) = (if taken == 0 { access } else { first }, taken + 1);
                    continue;
                }
                None => match state.push_beyond_capacity(call) {
                    Ok(()) => {
                        (first, taken) = (if taken == 0 { access } else { first }, taken + 1);
                        continue;
                    }
                    Err(call) => {
                        let failure = state.overloaded(&*call);
                        refused.push(Refused { call, failure });
                        continue;
                    }
                },
            };
            refused.push(Refused { call, failure });
        }
        accepted.extend(state.promoted().into_iter().flatten());
        let pushed = state.pushed();
        state.delayed += taken - u64::from(taken > 0 && state.starts(&pushed, first));
        let watch = pushed.wake(state);
        accepted.into_iter().for_each(|call| call.accepted());
        watch
    }

    /// Takes a turn that the actor itself asked for. It has its place behind what is queued, also where a call would be
    /// refused: whoever asks sees to it that there are few. False if no more turns are taken.
    pub(crate) fn push_own(&self, turn: Entry) -> bool {
        let mut state = lock(&self.state);
        if state.closing.is_some() {
            return false;
        }
        if state.queue.len() < state.capacity {
            state.queue.push_back(turn);
        } else {
            state.push_waiting(turn);
        }
        let promoted = state.promoted();
        let receiver = state.wanted();
        drop(state);
        wake(receiver);
        accept(promoted);
        true
    }

    /// Takes a call that a running shared turn of this actor waits for: it does not queue.
    pub(crate) fn join(&self, call: Entry) -> Result<bool, Refused> {
        let mut state = lock(&self.state);
        if let (Some(reason), true) = (&state.closing, state.running.is_empty()) {
            let failure = reason.refusal();
            drop(state);
            return Err(Refused { call, failure });
        }
        state.beside.get_or_insert_default().joins.push_back(call);
        Ok(state.pushed().wake(state))
    }

    /// The next thing to do. Parks the waker in `cx` if there is no turn to run now.
    pub(crate) fn poll_next(&self, cx: &Context<'_>, finished: Option<usize>, admit: Admit) -> Poll<Step> {
        let mut state = lock(&self.state);
        let done = finished.and_then(|slot| state.running.try_remove(slot));
        state.moved |= done.is_some();
        state.turns += u64::from(done.is_some());
        // Under the lock: a kill either finds the parked waker or is seen here.
        let step = if self.is_killed() {
            Poll::Ready(Step::Killed)
        } else if let Some(question) = state.question.take() {
            Poll::Ready(Step::Asked(question))
        } else {
            state.next(cx, admit)
        };
        if matches!(step, Poll::Pending | Poll::Ready(Step::Blocked)) {
            state.wants_calls = step.is_pending() && admit != Admit::Joins;
            state.suspended();
            park(&mut state.receiver, cx.waker());
        }
        let promoted = state.promoted();
        drop(state);
        accept(promoted);
        drop(done);
        step
    }

    /// A turn has ended.
    pub(crate) fn finish(&self, slot: usize) {
        let mut state = lock(&self.state);
        let done = state.running.try_remove(slot);
        state.moved |= done.is_some();
        state.turns += u64::from(done.is_some());
        drop(state);
        drop(done);
    }

    /// Parks the waker in `cx` for the end only: an exclusive turn is waiting for something. False if the end has come.
    pub(crate) fn park_for_kill(&self, cx: &Context<'_>) -> bool {
        let mut state = lock(&self.state);
        if self.is_killed() {
            return false;
        }
        state.wants_calls = false;
        state.suspended();
        park(&mut state.receiver, cx.waker());
        true
    }

    /// Whether the actor is to end at once.
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Refuses new calls; what is queued is still run, if there is somebody to run it.
    pub(crate) fn stop(&self, reason: StopReason) {
        let mut state = lock(&self.state);
        if state.resting {
            return end(state, reason);
        }
        state.close(reason);
        let receiver = state.receiver.take();
        drop(state);
        wake(receiver);
    }

    /// Ends everything now: refuses new calls, fails what was not handed out, and tells those that run that nobody
    /// waits for them any more.
    pub(crate) fn kill(&self, reason: StopReason) {
        let mut state = lock(&self.state);
        // Under the lock, so that nobody sees the kill without its reason.
        self.killed.store(true, Ordering::Release);
        let why = state.close(reason.clone());
        if state.resting {
            return end(state, reason);
        }
        let running: Vec<Entry> = state.running.iter().map(|(_, call)| call.clone()).collect();
        drop(state);
        // Before the receiver is woken: a turn that tidies up is polled once more, and finds its call over.
        for call in running {
            call.fail(&mut |stage| why.interruption(stage));
        }
        fail_queued(lock(&self.state), reason);
    }

    /// Fails what was not handed out, with the first reason that was given.
    pub(crate) fn close(&self, reason: StopReason) {
        let state = lock(&self.state);
        if state.resting {
            end(state, reason);
        } else {
            fail_queued(state, reason);
        }
    }

    /// The receiver is gone, and with it the turns that were not given back: whoever still waits is told so.
    pub(crate) fn end(&self, reason: StopReason) {
        end(lock(&self.state), reason);
    }

    /// Why it takes no more calls.
    pub(crate) fn closed(&self) -> Option<Arc<StopReason>> {
        lock(&self.state).closing.clone()
    }

    /// How many calls are queued, and how many callers wait for a place in the queue.
    #[cfg(test)]
    fn depth(&self) -> (usize, usize) {
        let state = lock(&self.state);
        let (waiting, joins) =
            state.beside.as_ref().map_or((0, 0), |all| (all.waiting.len(), all.joins.len()));
        (state.queue.len() + joins, waiting)
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let state = lock(&self.state);
        let waiting = state.beside.iter().flat_map(|all| &all.waiting);
        let waiting = waiting.filter_map(|call| call.head().deadline);
        let calls = state.calls().filter_map(|call| call.head().turn_deadline());
        calls.chain(waiting).chain(state.kill_at()).min()
    }

    /// Ends what has passed its deadline, and gives the next one; `None` if there is nothing left to look after.
    pub(crate) fn sweep(&self, now: Instant) -> Option<Instant> {
        let mut expired = Vec::new();
        let mut state = lock(&self.state);
        let state_ref = &mut *state;
        state_ref.purge();
        let in_front = state_ref.running.iter().next().map(|(_, call)| call.clone());
        let mut next: Option<Instant> = None;
        let turn = |call: &Entry| call.head().turn_deadline();
        let waiting = state_ref.beside.iter().flat_map(|all| &all.waiting);
        let waiting = waiting.map(|call| (call, call.head().deadline, true));
        let joins = state_ref.beside.iter().flat_map(|all| &all.joins);
        let queued = state_ref.queue.iter().chain(joins).map(|call| (call, turn(call), true));
        let running = state_ref.running.iter().map(|(_, call)| (call, turn(call), false));
        for (call, deadline, is_queued) in queued.chain(waiting).chain(running) {
            match deadline {
                Some(deadline) if deadline <= now => {
                    expired.push((call.clone(), if is_queued { in_front.clone() } else { None }));
                }
                Some(deadline) if call.stage() != Stage::Over => {
                    next = Some(next.map_or(deadline, |next| next.min(deadline)));
                }
                _ => {}
            }
        }
        let next = next.into_iter().chain(state_ref.kill_at()).min();
        state_ref.watched = next.is_some();
        let promoted = state_ref.promoted();
        drop(state);
        accept(promoted);
        for (call, in_front) in expired {
            let late = Late::of(&*call, in_front.as_deref());
            call.expire(&mut |stage| late.at(stage));
        }
        next
    }
}

impl State {
    /// Everything that is held.
    fn calls(&self) -> impl Iterator<Item = &Entry> {
        let beside = self.beside.iter().flat_map(|all| all.waiting.iter().chain(&all.joins));
        self.queue.iter().chain(beside).chain(self.running.iter().map(|(_, call)| call))
    }

    fn push_beyond_capacity(&mut self, call: Entry) -> Result<(), Entry> {
        let fails = self.overflow == Overflow::Fail || call.head().now;
        if fails {
            self.purge();
        }
        if fails && self.queue.len() >= self.capacity {
            return Err(call);
        }
        self.push_waiting(call);
        Ok(())
    }

    /// Takes a call into the queue if there is room after all, and else behind those that wait for it.
    fn push_waiting(&mut self, call: Entry) {
        let many = |all: &Beside| all.waiting.len() >= all.purge_at.max(PURGE_FROM);
        if self.beside.as_deref().is_some_and(many) {
            self.purge();
        }
        if self.queue.len() >= self.capacity {
            self.beside.get_or_insert_default().waiting.push_back(call);
            return;
        }
        if call.head().method.oneway {
            self.beside.get_or_insert_default().promoted.push(call.clone());
        }
        self.queue.push_back(call);
    }

    /// Forgets calls that are over: callers that left must not keep others out.
    fn purge(&mut self) {
        let alive = |call: &Entry| call.stage() != Stage::Over;
        self.queue.retain(alive);
        let Some(beside) = &mut self.beside else { return };
        beside.waiting.retain(alive);
        beside.joins.retain(alive);
        while self.queue.len() < self.capacity {
            let Some(call) = beside.promote() else { break };
            self.queue.push_back(call);
        }
        beside.purge_at = 2 * beside.waiting.len();
    }

    fn next(&mut self, cx: &Context<'_>, admit: Admit) -> Poll<Step> {
        if let Some(call) = self.beside.as_mut().and_then(|all| all.joins.pop_front()) {
            return Poll::Ready(self.start(call));
        }
        let admit = match admit {
            Admit::Any if self.is_retiring() => return Poll::Ready(Step::Retired),
            Admit::Shared if self.is_retiring() => Admit::Joins,
            admit => admit,
        };
        loop {
            match (self.queue.front(), admit) {
                (None, Admit::Any) if self.closing.is_some() => return Poll::Ready(Step::Closed),
                (None, _) | (_, Admit::Joins) => return Poll::Pending,
                (Some(call), Admit::Shared) if call.head().method.access == Access::Exclusive => {
                    // If it ends before its turn, what is behind it must not wait for the running turns.
                    if call.park_turn(cx.waker()) {
                        return Poll::Ready(Step::Blocked);
                    }
                    self.pop();
                }
                (Some(_), _) => {
                    let Some(call) = self.pop() else { return Poll::Pending };
                    return Poll::Ready(self.start(call));
                }
            }
        }
    }

    fn pop(&mut self) -> Option<Entry> {
        let call = self.queue.pop_front()?;
        if let Some(promoted) = self.beside.as_mut().and_then(|all| all.promote()) {
            self.queue.push_back(promoted);
        }
        Some(call)
    }

    /// The calls that have to be told that they came into the queue.
    #[inline]
    fn promoted(&mut self) -> Option<Vec<Entry>> {
        let promoted = &mut self.beside.as_mut()?.promoted;
        (!promoted.is_empty()).then(|| std::mem::take(promoted))
    }

    fn start(&mut self, call: Entry) -> Step {
        self.moved = true;
        let slot = self.running.insert(call.clone());
        Step::Turn(Started { call, slot })
    }

    /// The receiver parks while turns run: the one time at which noting the progress costs little beside what happens.
    fn suspended(&mut self) {
        if self.moved && !self.running.is_empty() {
            self.note_progress();
        }
    }

    #[cold]
    fn note_progress(&mut self) {
        self.progress = Some(clock::now());
        self.moved = false;
    }

    /// Whether a call that has just come into the queue has its turn as soon as the receiver looks: that one waits for calls,
    /// and no turn runs that this call has to wait for.
    fn starts(&self, pushed: &Pushed, access: Access) -> bool {
        pushed.receiver.is_some() && (self.running.is_empty() || access == Access::Shared)
    }

    fn pushed(&mut self) -> Pushed {
        let watch = !std::mem::replace(&mut self.watched, true);
        Pushed { watch, receiver: self.wanted() }
    }

    /// The receiver, if it is parked and wants to know of new calls.
    fn wanted(&mut self) -> Option<Waker> {
        let wanted = self.wants_calls || self.beside.as_ref().is_some_and(|all| !all.joins.is_empty());
        if wanted { self.receiver.take() } else { None }
    }

    fn overloaded(&self, call: &dyn AnyCall) -> Failure {
        let why = if self.overflow == Overflow::Wait && call.head().now {
            "the call was made with `try_now()`; call again later, or without it, to wait for a place"
        } else {
            "the actor was registered with `Overflow::Fail`; call again later, or call another actor"
        };
        let detail = format!("the mailbox is full ({} calls), and {why}", self.capacity);
        Failure::new(FailureKind::Overloaded, Delivery::NotDelivered, detail)
    }
}

impl Beside {
    /// Takes the call that has waited longest, into the queue.
    fn promote(&mut self) -> Option<Entry> {
        let call = self.waiting.pop_front()?;
        if call.head().method.oneway {
            self.promoted.push(call.clone());
        }
        Some(call)
    }
}

/// Tells oneway calls that they are in the queue; not under the lock.
#[inline]
fn accept(calls: Option<Vec<Entry>>) {
    if let Some(calls) = calls {
        calls.into_iter().for_each(|call| call.accepted());
    }
}

/// There is no receiver, and none will come. Under the lock that has seen so: else one might have come meanwhile.
fn end(mut state: MutexGuard<'_, State>, reason: StopReason) {
    // In one step with the queues: a join is taken as long as something runs.
    let running = state.take_running();
    let reason = (*state.close(reason)).clone();
    (state.ended, state.resting) = (true, false);
    let question = state.question.take();
    let changed = state.life.as_ref().and_then(|life| life.changed.clone());
    let reason = fail_queued(state, reason);
    drop(question);
    for (_, call) in running {
        call.fail(&mut |stage| reason.interruption(stage));
    }
    life::tell(changed);
}

/// Refuses calls from now on, and fails those that were not handed out; with the first reason that was given.
fn fail_queued(mut state: MutexGuard<'_, State>, reason: StopReason) -> Arc<StopReason> {
    let reason = state.close(reason);
    let mut left = std::mem::take(&mut state.queue);
    if let Some(mut beside) = state.beside.take() {
        left.append(&mut beside.waiting);
        left.append(&mut beside.joins);
    }
    let receiver = state.receiver.take();
    drop(state);
    wake(receiver);
    for call in left {
        call.fail(&mut |_| reason.refusal());
    }
    reason
}

/// What a push leaves to be done once the lock is released.
struct Pushed {
    watch: bool,
    receiver: Option<Waker>,
}

impl Pushed {
    fn wake(self, state: MutexGuard<'_, State>) -> bool {
        drop(state);
        wake(self.receiver);
        self.watch
    }
}

fn park(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(parked) => parked.clone_from(waker),
        None => *slot = Some(waker.clone()),
    }
}

fn wake(receiver: Option<Waker>) {
    if let Some(receiver) = receiver {
        receiver.wake();
    }
}

/// The failures of a call that ran out of time here, saying who it waited for.
struct Late {
    queued: Failure,
    running: Failure,
}

impl Late {
    fn of(call: &dyn AnyCall, in_front: Option<&dyn AnyCall>) -> Self {
        let head = call.head();
        let late = |delivery, mut detail: String| {
            if head.clamped {
                detail += "; its server allows it less time than its caller gave it (`Config::max_deadline`)";
            }
            let hops = head.chain.as_ref().map(|link| link.hops()).unwrap_or_default();
            Failure::new(FailureKind::DeadlineExceeded, delivery, detail).with_hops(hops)
        };
        let waits = |head: &CallHead, text: &str| {
            head.waits_for().map(|hop| format!("{text} waiting for {hop}")).unwrap_or_default()
        };
        let queued = match in_front.map(AnyCall::head) {
            Some(running) => {
                let waits = waits(running, ", which was");
                format!("it was still queued behind a turn of {}{waits}", running.method)
            }
            None => "it was still queued".to_owned(),
        };
        let running = format!("its turn did not end in time{}", waits(head, "; it was"));
        Self { queued: late(Delivery::NotDelivered, queued), running: late(Delivery::Unknown, running) }
    }

    fn at(&self, stage: Stage) -> Failure {
        if stage == Stage::Running { self.running.clone() } else { self.queued.clone() }
    }
}

#[cfg(all(test, actor_loom))]
mod loom;
#[cfg(all(test, not(actor_loom)))]
mod tests;
