//! What a mailbox does, in a few vectors.

use super::{Admit, Delivery, FailureKind, Overflow, PURGE_FROM};

/// What a call of the model is.
pub(super) struct Modelled {
    pub(super) exclusive: bool,
    pub(super) oneway: bool,
    /// It does not wait for a place.
    pub(super) now: bool,
    /// It is a oneway call that came into the queue.
    pub(super) accepted: bool,
    pub(super) deadline: Option<u64>,
    pub(super) claimed: bool,
    /// The receiver is blocked by it and is woken if it ends without a turn.
    pub(super) blocks: bool,
    pub(super) end: Option<End>,
}

impl Modelled {
    /// Once it was accepted, its deadline is over.
    fn limit(&self) -> Option<u64> {
        if self.accepted { None } else { self.deadline }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Replied,
    Left,
    Failed(FailureKind, Delivery),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ModelStep {
    Turn(usize),
    Blocked,
    Asked,
    Closed,
    Retired,
    Killed,
    Pending,
}

pub(super) struct Model {
    pub(super) capacity: usize,
    pub(super) overflow: Overflow,
    pub(super) calls: Vec<Modelled>,
    pub(super) queue: Vec<usize>,
    pub(super) waiting: Vec<usize>,
    pub(super) joins: Vec<usize>,
    pub(super) running: Vec<usize>,
    /// Whether the parked receiver, if there is one, wants to know of calls.
    pub(super) receiver: Option<bool>,
    pub(super) asked: bool,
    pub(super) ended: bool,
    pub(super) closing: bool,
    pub(super) killed: bool,
    pub(super) retiring: bool,
    pub(super) resting: bool,
    pub(super) watched: bool,
    pub(super) purge_at: usize,
    pub(super) wakes: usize,
}

impl Model {
    pub(super) fn new(capacity: usize, overflow: Overflow) -> Self {
        Self {
            capacity,
            overflow,
            calls: Vec::new(),
            queue: Vec::new(),
            waiting: Vec::new(),
            joins: Vec::new(),
            running: Vec::new(),
            receiver: None,
            asked: false,
            ended: false,
            closing: false,
            killed: false,
            retiring: false,
            resting: false,
            watched: false,
            purge_at: PURGE_FROM,
            wakes: 0,
        }
    }

    pub(super) fn push(&mut self, call: usize) -> Result<bool, FailureKind> {
        if self.closing {
            return Err(FailureKind::Stopped);
        }
        let full = self.queue.len() >= self.capacity;
        let fails = self.overflow == Overflow::Fail || self.calls[call].now;
        if full && (fails || self.waiting.len() >= self.purge_at) {
            self.purge();
        }
        if self.queue.len() < self.capacity {
            self.enqueue(call);
        } else if !fails {
            self.waiting.push(call);
        } else {
            return Err(FailureKind::Overloaded);
        }
        Ok(self.pushed())
    }

    /// A turn that the actor asked for itself; false if it takes none any more.
    pub(super) fn push_own(&mut self, call: usize) -> bool {
        if self.closing {
            return false;
        }
        if self.queue.len() >= self.capacity && self.waiting.len() >= self.purge_at {
            self.purge();
        }
        if self.queue.len() < self.capacity {
            self.enqueue(call);
        } else {
            self.waiting.push(call);
        }
        self.news();
        true
    }

    fn enqueue(&mut self, call: usize) {
        self.queue.push(call);
        let call = &mut self.calls[call];
        call.accepted |= call.oneway && call.end.is_none();
    }

    pub(super) fn join(&mut self, call: usize) -> Result<bool, FailureKind> {
        if self.closing && self.running.is_empty() {
            return Err(FailureKind::Stopped);
        }
        self.joins.push(call);
        Ok(self.pushed())
    }

    pub(super) fn pushed(&mut self) -> bool {
        self.news();
        !std::mem::replace(&mut self.watched, true)
    }

    fn news(&mut self) {
        if self.receiver == Some(true) || !self.joins.is_empty() {
            self.wake();
        }
    }

    /// False if nobody would answer.
    pub(super) fn ask(&mut self) -> bool {
        let open = !self.ended && !self.killed;
        if open && !std::mem::replace(&mut self.asked, true) {
            let alone = self.running.iter().any(|call| self.calls[*call].exclusive);
            if !alone {
                self.wake();
            }
        }
        open
    }

    pub(super) fn wake(&mut self) {
        self.wakes += usize::from(self.receiver.take().is_some());
    }

    pub(super) fn purge(&mut self) {
        let calls = &self.calls;
        for list in [&mut self.queue, &mut self.waiting, &mut self.joins] {
            list.retain(|call| calls[*call].end.is_none());
        }
        self.promote();
        self.purge_at = PURGE_FROM.max(2 * self.waiting.len());
    }

    pub(super) fn promote(&mut self) {
        while self.queue.len() < self.capacity && !self.waiting.is_empty() {
            let call = self.waiting.remove(0);
            self.enqueue(call);
        }
    }

    pub(super) fn next(&mut self, admit: Admit) -> ModelStep {
        let step = self.step(admit);
        if let ModelStep::Turn(call) = step {
            self.running.push(call);
        }
        if matches!(step, ModelStep::Pending | ModelStep::Blocked) {
            self.receiver = Some(step == ModelStep::Pending && admit != Admit::Joins);
        }
        step
    }

    pub(super) fn step(&mut self, admit: Admit) -> ModelStep {
        if self.killed {
            return ModelStep::Killed;
        }
        if std::mem::take(&mut self.asked) {
            return ModelStep::Asked;
        }
        if !self.joins.is_empty() {
            return ModelStep::Turn(self.joins.remove(0));
        }
        if self.retiring && admit == Admit::Any {
            return ModelStep::Retired;
        }
        if admit == Admit::Joins || self.retiring {
            return ModelStep::Pending;
        }
        while let Some(&call) = self.queue.first() {
            let blocks = admit == Admit::Shared && self.calls[call].exclusive;
            if blocks && self.calls[call].end.is_none() {
                self.calls[call].blocks = true;
                return ModelStep::Blocked;
            }
            self.queue.remove(0);
            self.promote();
            if !blocks {
                return ModelStep::Turn(call);
            }
        }
        if self.closing && admit == Admit::Any { ModelStep::Closed } else { ModelStep::Pending }
    }

    pub(super) fn end(&mut self, call: usize, end: End) {
        let call = &mut self.calls[call];
        if call.end.is_none() {
            call.end = Some(end);
            self.wakes += usize::from(std::mem::take(&mut call.blocks) && end != End::Replied);
        }
    }

    pub(super) fn fail(&mut self, call: usize, kind: FailureKind) {
        let delivery = if self.calls[call].claimed { Delivery::Unknown } else { Delivery::NotDelivered };
        self.end(call, End::Failed(kind, delivery));
    }

    pub(super) fn close(&mut self) {
        self.closing = true;
        self.wake();
        for call in self.held() {
            self.fail(call, FailureKind::Stopped);
        }
        self.queue.clear();
        self.waiting.clear();
        self.joins.clear();
    }

    /// There is no receiver any more, and no other one comes.
    pub(super) fn end_all(&mut self) {
        self.asked = false;
        self.ended = true;
        self.resting = false;
        self.close();
        for call in std::mem::take(&mut self.running) {
            self.fail(call, FailureKind::Stopped);
        }
    }

    /// The receiver makes way for another one. False if none is to come.
    pub(super) fn rest(&mut self) -> bool {
        if self.ended || self.closing {
            return false;
        }
        self.asked = false;
        self.resting = true;
        (self.killed, self.retiring, self.receiver) = (false, false, None);
        for call in std::mem::take(&mut self.running) {
            self.fail(call, FailureKind::Stopped);
        }
        for call in std::mem::take(&mut self.joins) {
            self.fail(call, FailureKind::Stopped);
        }
        true
    }

    /// What was not handed out.
    pub(super) fn held(&self) -> Vec<usize> {
        [&self.queue[..], &self.waiting, &self.joins].concat()
    }

    pub(super) fn sweep(&mut self, now: u64) -> Option<u64> {
        self.purge();
        let all = [self.held(), self.running.clone()].concat();
        for &call in &all {
            if self.calls[call].limit().is_some_and(|at| at <= now) {
                self.fail(call, FailureKind::DeadlineExceeded);
            }
        }
        let pending = all.iter().filter(|call| self.calls[**call].end.is_none());
        let next = pending.filter_map(|call| self.calls[*call].limit()).min();
        self.watched = next.is_some();
        next
    }
}
