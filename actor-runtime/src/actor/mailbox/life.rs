//! The life of an actor as its mailbox knows it: that it has started, that it is to make way for its next run, that it has
//! ended; and who waits for that.
//!
//! ```text
//!                 started                    end
//!   new ──────────────────────► receiver ─────────────► ended
//!                                │    ▲                  ▲
//!   retire, a failure:      rest │    │ resume           │ end: stopped, killed or given up meanwhile
//!                                ▼    │                  │
//!                               resting ─────────────────┘
//! ```
//!
//! An actor that nobody supervises never rests.

use std::{sync::Arc, task::Waker};

use slab::Slab;
use tokio::{sync::watch, time::Instant};

use super::{Entry, Mailbox, State, lock, wake};
use crate::{call::StopReason, sync::Ordering};

/// What only some actors need.
#[derive(Default)]
pub(super) struct Life {
    /// Tells that it started or ended; made by the first one who waits.
    pub(super) changed: Option<watch::Sender<()>>,
    /// When its grace is over.
    kill_at: Option<Instant>,
    /// Why this run of the actor is to end; the mailbox goes on.
    retiring: Option<Arc<StopReason>>,
    /// Why this run was told to end at once, if it was a failure elsewhere.
    broken: Option<Arc<StopReason>>,
    runs: u64,
    /// How many turns were left when their runs ended.
    cut_off: u64,
    /// How the last run ended that was to be followed by another.
    last: Option<Arc<StopReason>>,
}

/// What is left to be done, without the lock, when a run was told to end at its next await.
pub(crate) struct Cut {
    running: Vec<Entry>,
    receiver: Option<Waker>,
    /// Whether no other run can follow.
    pub(crate) is_last: bool,
}

impl Cut {
    /// Fails the calls that run, and then has their actor see it.
    pub(crate) fn tell(self, reason: &StopReason) {
        for call in self.running {
            call.fail(&mut |stage| reason.interruption(stage));
        }
        wake(self.receiver);
    }
}

/// What becomes of a mailbox whose receiver is gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It waits for the next one.
    Resting,
    /// It has ended.
    Ended,
}

impl Mailbox {
    /// The actor has started.
    pub(crate) fn start(&self) {
        let mut state = lock(&self.state);
        state.started = true;
        let changed = state.life.as_ref().and_then(|life| life.changed.clone());
        drop(state);
        tell(changed);
    }

    /// Waits until the actor has started; the reason if it ended before.
    pub(crate) async fn started(&self) -> Result<(), Arc<StopReason>> {
        self.wait(|state| state.started.then_some(Ok(())).or_else(|| state.end().map(Err))).await
    }

    /// Waits until the actor has ended.
    pub(crate) async fn ended(&self) -> Arc<StopReason> {
        self.wait(State::end).await
    }

    /// Why it has ended, if it has.
    pub(crate) fn end_reason(&self) -> Option<Arc<StopReason>> {
        lock(&self.state).end()
    }

    async fn wait<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        loop {
            let mut changes = {
                let mut state = lock(&self.state);
                if let Some(seen) = look(&state) {
                    return seen;
                }
                state.life().changed.get_or_insert_with(|| watch::Sender::new(())).subscribe()
            };
            // The sender lives as long as the mailbox does.
            let _ = changes.changed().await;
        }
    }

    /// The actor is to be killed at this time. `true` asks the caller to have the mailbox's deadlines looked after.
    pub(crate) fn limit(&self, kill_at: Instant) -> bool {
        let mut state = lock(&self.state);
        let limit = &mut state.life().kill_at;
        *limit = Some(limit.map_or(kill_at, |before| before.min(kill_at)));
        !std::mem::replace(&mut state.watched, true)
    }

    /// Whether the actor's grace is over.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        let mut state = lock(&self.state);
        let limit = state.life.as_mut().map(|life| &mut life.kill_at);
        limit.and_then(|limit| limit.take_if(|at| *at <= now)).is_some()
    }

    /// Ends this run of the actor once its turns have: what is queued is for the next run. `false` if none is running.
    pub(crate) fn retire(&self, reason: StopReason) -> bool {
        let mut state = lock(&self.state);
        if state.ended || state.resting {
            return false;
        }
        state.life().retiring.get_or_insert_with(|| Arc::new(reason));
        let receiver = state.receiver.take();
        drop(state);
        wake(receiver);
        true
    }

    /// Ends this run of the actor at its next await.
    pub(crate) fn cut(&self, reason: &StopReason) {
        let mut state = lock(&self.state);
        if state.ended || state.resting {
            return;
        }
        self.killed.store(true, Ordering::Release);
        let cut = state.cut();
        drop(state);
        cut.tell(reason);
    }

    /// Which run of the actor there is; `None` between two, and after the last.
    pub(crate) fn run(&self) -> Option<u64> {
        lock(&self.state).run()
    }

    /// This run of the actor is to end at its next await, because of a failure elsewhere. `None` if it has ended, or is to
    /// end at once anyway. The queue is as it was.
    pub(crate) fn break_run(&self, run: u64, reason: &Arc<StopReason>) -> Option<Cut> {
        let mut state = lock(&self.state);
        if state.run() != Some(run) || self.is_killed() {
            return None;
        }
        self.killed.store(true, Ordering::Release);
        state.life().broken = Some(reason.clone());
        Some(state.cut())
    }

    /// The failure elsewhere that this run ends by, if any.
    pub(crate) fn broken(&self) -> Option<Arc<StopReason>> {
        lock(&self.state).life.as_ref()?.broken.clone()
    }

    /// Why this run is to make way for the next, if it is.
    pub(crate) fn retiring(&self) -> Option<Arc<StopReason>> {
        lock(&self.state).life.as_ref()?.retiring.clone()
    }

    /// The receiver is gone, and with it the turns that were not given back; what is queued waits for the next one.
    pub(crate) fn rest(&self, reason: &Arc<StopReason>) -> Rest {
        let mut state = lock(&self.state);
        if state.ended || state.closing.is_some() {
            return Rest::Ended;
        }
        let running = state.take_running();
        let question = state.question.take();
        // Nobody waits for their turns any more.
        let joins = state.beside.as_mut().map(|beside| std::mem::take(&mut beside.joins)).unwrap_or_default();
        (state.resting, state.receiver) = (true, None);
        self.killed.store(false, Ordering::Release);
        let life = state.life();
        (life.retiring, life.broken, life.last) = (None, None, Some(reason.clone()));
        drop(state);
        drop(question);
        for (_, call) in running {
            call.fail(&mut |stage| reason.interruption(stage));
        }
        for call in joins {
            call.fail(&mut |_| reason.refusal());
        }
        Rest::Resting
    }

    /// There is no receiver before the first run.
    pub(crate) fn await_first_run(&self) {
        lock(&self.state).resting = true;
    }

    /// The next run begins. `false` if the mailbox has ended meanwhile.
    pub(crate) fn resume(&self) -> bool {
        let mut state = lock(&self.state);
        if state.ended {
            return false;
        }
        state.resting = false;
        state.childless = false;
        state.life().runs += 1;
        true
    }

    /// No actor may begin as a child of this run any more.
    pub(crate) fn make_childless(&self) {
        lock(&self.state).childless = true;
    }

    pub(crate) fn is_childless(&self) -> bool {
        let state = lock(&self.state);
        state.ended || state.resting || state.childless
    }

    /// How the last run ended that was to be followed by another.
    pub(crate) fn last_reason(&self) -> Option<StopReason> {
        lock(&self.state).life.as_ref()?.last.as_deref().cloned()
    }

    /// How often it was restarted, and how it had ended before the last time.
    pub(crate) fn restarts(&self) -> (u64, Option<Arc<StopReason>>) {
        lock(&self.state)
            .life
            .as_ref()
            .map_or((0, None), |life| (life.runs.saturating_sub(1), life.last.clone()))
    }
}

impl State {
    /// Takes no more calls, for the reason that says most.
    pub(super) fn close(&mut self, reason: StopReason) -> Arc<StopReason> {
        match &mut self.closing {
            Some(before) if !self.ended && reason.outweighs(before) => *before = Arc::new(reason),
            Some(_) => {}
            none => *none = Some(Arc::new(reason)),
        }
        self.closing.clone().unwrap_or_else(|| Arc::new(StopReason::Abandoned))
    }

    pub(super) fn is_retiring(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.retiring.is_some())
    }

    pub(super) fn kill_at(&self) -> Option<Instant> {
        self.life.as_ref()?.kill_at
    }

    fn end(&self) -> Option<Arc<StopReason>> {
        self.closing.clone().filter(|_| self.ended)
    }

    /// The turns that were not given back: they end with their run.
    pub(super) fn take_running(&mut self) -> Slab<Entry> {
        let running = std::mem::take(&mut self.running);
        if !running.is_empty() {
            self.life().cut_off += running.len() as u64;
        }
        running
    }

    pub(super) fn cut_off(&self) -> u64 {
        self.life.as_ref().map_or(0, |life| life.cut_off)
    }

    fn run(&self) -> Option<u64> {
        let runs = self.life.as_ref().map_or(0, |life| life.runs);
        (!self.ended && !self.resting).then_some(runs)
    }

    fn cut(&mut self) -> Cut {
        Cut {
            running: self.running.iter().map(|(_, call)| call.clone()).collect(),
            receiver: self.receiver.take(),
            is_last: self.closing.is_some(),
        }
    }

    fn life(&mut self) -> &mut Life {
        self.life.get_or_insert_default()
    }
}

/// Wakes those who wait for the actor; not under the lock.
pub(super) fn tell(changed: Option<watch::Sender<()>>) {
    if let Some(changed) = changed {
        changed.send_replace(());
    }
}
