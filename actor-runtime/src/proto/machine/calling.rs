//! The calls that this side makes: their numbers, their places, the credit they need, their ends.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use bytes::Bytes;

use super::{Abort, ByNumber, Event, Expected, Lost, Machine, Violation, within};
use crate::{
    call::{Delivery, Failure, FailureKind, WireReply},
    proto::{
        CallHeader, Grants, ReplyHeader, StreamKind,
        call::{Bind, encode_cancel, encode_release},
        hello::Credit,
    },
    service::Status,
};

pub(super) struct Calling<C> {
    calls: ByNumber<Ours<C>>,
    last: u64,
    targets: HashMap<u32, OurTarget>,
    last_target: u32,
    /// Bytes of calls that the peer has not begun, as far as it told.
    bytes: u64,
    /// A target waits for the connection's own credit.
    short: bool,
    /// The target that got credit last.
    credited: Option<u32>,
}

impl<C> Default for Calling<C> {
    fn default() -> Self {
        Self {
            calls: ByNumber::default(),
            last: 0,
            targets: HashMap::new(),
            last_target: 0,
            bytes: 0,
            short: false,
            credited: None,
        }
    }
}

struct OurTarget {
    bind: Bind,
    /// Whether the peer knows the number.
    told: bool,
    /// Calls that the peer has not begun, as far as it told, and their bytes.
    calls: u32,
    bytes: u64,
    /// Calls that wait for credit; some may be over.
    queue: VecDeque<u64>,
    /// The queue is searched for calls that are over when it is so long.
    purge_at: usize,
}

struct Ours<C> {
    keep: C,
    state: State,
}

enum State {
    /// It waits for credit.
    Queued(Box<NewCall>),
    /// It was written up to this place of the lane.
    Sent { end: u64, own_stream: bool },
    /// It has ended, and the body of the reply is on its way.
    Replied { status: Status, length: u64 },
}

/// A call to be sent.
#[derive(Debug)]
pub(crate) struct NewCall {
    /// The number of the target.
    pub(crate) target: u32,
    pub(crate) method: u32,
    pub(crate) deadline: Option<Instant>,
    /// [`CallContext::encode`](crate::proto::CallContext::encode).
    pub(crate) context: Bytes,
    pub(crate) body: Bytes,
    /// The large call of the same handle that this one must not overtake, or 0.
    pub(crate) after: u64,
}

/// The order of one handle's calls: which large call came last. Calls that are not large keep their order on the lane.
#[derive(Debug, Default)]
pub(crate) struct Order {
    large: AtomicU64,
}

/// A call that was not taken.
#[derive(Debug)]
pub(crate) struct RefusedCall<C> {
    pub(crate) keep: C,
    pub(crate) failure: Failure,
}

impl<C, I> Machine<C, I> {
    /// Gives a number to what is to be called. `None` if the peer allows no more.
    pub(crate) fn target(&mut self, bind: Bind) -> Option<u32> {
        let allowed = self.peer()?.grants.targets as usize;
        self.calling.target(bind, allowed)
    }

    /// The number is not needed any more; its calls have ended.
    pub(crate) fn release(&mut self, target: u32) {
        let Some(left) = self.calling.targets.remove(&target) else { return };
        self.calling.bytes -= left.bytes;
        if left.told && !self.is_ending() {
            encode_release(target, &mut self.out.lane);
        }
    }

    /// Sends a call, or keeps it until there is credit for it. Gives its number.
    pub(crate) fn call(
        &mut self,
        now: Instant,
        mut call: NewCall,
        order: Option<&Order>,
        keep: C,
    ) -> Result<u64, RefusedCall<C>> {
        if let Some(failure) = self.refusal(&call) {
            return Err(RefusedCall { keep, failure });
        }
        self.calling.last += 1;
        let number = self.calling.last;
        if let Some(order) = order {
            let large = order.large.load(Ordering::Relaxed);
            if large != 0 && self.calling.calls.contains_key(&large) {
                call.after = large;
            }
            if call.body.len() > self.settings.own_stream {
                order.large.store(number, Ordering::Relaxed);
            }
        }
        let target = call.target;
        let at_once = self.calling.targets.get(&target).is_some_and(|target| target.queue.is_empty())
            && self.has_credit(target);
        if at_once {
            match self.write(now, number, call) {
                Ok(state) => self.calling.calls.insert(number, Ours { keep, state }),
                Err(failure) => return Err(RefusedCall { keep, failure }),
            };
        } else {
            let state = State::Queued(Box::new(call));
            self.calling.calls.insert(number, Ours { keep, state });
            if let Some(target) = self.calling.targets.get_mut(&target) {
                target.queue.push_back(number);
            }
        }
        Ok(number)
    }

    /// Nobody waits for the end of this call any more. Gives it, unless it had ended.
    pub(crate) fn cancel(&mut self, number: u64) -> Option<C> {
        let Ours { keep, state } = self.calling.calls.remove(&number)?;
        if !self.is_ending() {
            match state {
                State::Queued(call) => self.calling.purge(call.target),
                State::Sent { own_stream, .. } => {
                    if own_stream {
                        self.out.abort(Abort::Sending(StreamKind::CallBody(number)));
                    }
                    encode_cancel(number, &mut self.out.lane);
                }
                State::Replied { .. } => self.out.abort(Abort::Receiving(StreamKind::ReplyBody(number))),
            }
        }
        Some(keep)
    }

    /// The calls that have not ended.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &C> {
        self.calling.calls.values().map(|call| &call.keep)
    }

    /// A call of ours, by its number.
    pub(crate) fn call_mut(&mut self, number: u64) -> Option<&mut C> {
        self.calling.calls.get_mut(&number).map(|call| &mut call.keep)
    }

    fn refusal(&self, call: &NewCall) -> Option<Failure> {
        let refused = |kind, detail: String| Some(Failure::new(kind, Delivery::NotDelivered, detail));
        let Some(peer) = self.peer().filter(|_| !self.is_ending()) else {
            return refused(FailureKind::Unreachable, "the connection has ended".to_owned());
        };
        // Questions about the server itself are answered to the end.
        let own = |target: &OurTarget| target.bind.name.starts_with('$');
        if let Some(reason) = &self.leaving
            && !self.calling.targets.get(&call.target).is_some_and(own)
        {
            return refused(FailureKind::Stopped, reason.clone());
        }
        if !within(&peer.grants, call.body.len() as u64) {
            let detail = format!(
                "the arguments have {} bytes and the callee takes {}; send them in parts, or raise its \
                 `Config::max_message_bytes`",
                call.body.len(),
                peer.grants.message
            );
            return refused(FailureKind::TooLarge, detail);
        }
        None
    }

    fn has_credit(&mut self, target: u32) -> bool {
        let Some(grants) = self.peer.as_ref().map(|peer| peer.hello.grants) else { return false };
        let Some(target) = self.calling.targets.get(&target) else { return false };
        if self.calling.bytes >= grants.total_bytes {
            self.calling.short = true;
            return false;
        }
        target.calls < grants.calls && target.bytes < grants.bytes
    }

    /// Writes a call for which there is credit.
    fn write(&mut self, now: Instant, number: u64, call: NewCall) -> Result<State, Failure> {
        let too_long = |what: &str, length: usize| {
            let detail = format!("the call's {what} of {length} bytes is longer than a server reads");
            Failure::new(FailureKind::TooLarge, Delivery::NotDelivered, detail)
        };
        let Some(target) = self.calling.targets.get_mut(&call.target) else {
            let detail = "the call has no target; please report this";
            return Err(Failure::new(FailureKind::Internal, Delivery::NotDelivered, detail));
        };
        if !target.told {
            target.bind.encode(&mut self.out.lane).map_err(|length| too_long("target", length.0))?;
            target.told = true;
        }
        let length = call.body.len() as u64;
        let own_stream = call.body.len() > self.settings.own_stream;
        let header = CallHeader {
            call: number,
            method: call.method,
            target: call.target,
            remaining: call.deadline.map(|deadline| deadline.saturating_duration_since(now)),
            body_length: own_stream.then_some(length),
            after: (call.after != 0 && self.calling.calls.contains_key(&call.after)).then_some(call.after),
            context: crate::proto::CallContext::default(),
        };
        let on_the_lane = if own_stream { &[][..] } else { &call.body };
        header
            .encode(&call.context, on_the_lane, &mut self.out.lane)
            .map_err(|length| too_long("envelope", length.0))?;
        target.calls += 1;
        target.bytes += length;
        self.calling.bytes += length;
        if own_stream {
            self.out.send(StreamKind::CallBody(number), call.body);
        }
        Ok(State::Sent { end: self.out.lane_end(), own_stream })
    }

    /// Sends what waits for credit, as far as there is some now.
    pub(super) fn send_queued(&mut self, now: Instant, events: &mut Vec<Event<C, I>>) {
        let mut waiting: Vec<u32> = if mem::take(&mut self.calling.short) {
            let queued = |target: &(&u32, &OurTarget)| !target.1.queue.is_empty();
            self.calling.targets.iter().filter(queued).map(|(number, _)| *number).collect()
        } else {
            mem::take(&mut self.calling.credited).into_iter().collect()
        };
        waiting.sort_unstable();
        for target in waiting {
            while self.has_credit(target) {
                let Some(number) =
                    self.calling.targets.get_mut(&target).and_then(|target| target.queue.pop_front())
                else {
                    break;
                };
                self.send_one(now, number, events);
            }
        }
    }

    fn send_one(&mut self, now: Instant, number: u64, events: &mut Vec<Event<C, I>>) {
        // It may be over.
        let Some(Ours { keep, state: State::Queued(call) }) = self.calling.calls.remove(&number) else {
            return;
        };
        match self.write(now, number, *call) {
            Ok(state) => {
                self.calling.calls.insert(number, Ours { keep, state });
            }
            Err(failure) => events.push(Event::Reply(keep, WireReply::Failed(failure))),
        }
    }
}

impl<C> Calling<C> {
    fn target(&mut self, bind: Bind, allowed: usize) -> Option<u32> {
        if self.targets.len() >= allowed {
            return None;
        }
        self.last_target = self.last_target.checked_add(1)?;
        let bind = Bind { target: self.last_target, ..bind };
        let target = OurTarget { bind, told: false, calls: 0, bytes: 0, queue: VecDeque::new(), purge_at: 0 };
        self.targets.insert(self.last_target, target);
        Some(self.last_target)
    }

    /// Forgets calls that are over, once they are the most of a queue.
    fn purge(&mut self, target: u32) {
        let Some(target) = self.targets.get_mut(&target) else { return };
        if target.queue.front().is_some_and(|number| !self.calls.contains_key(number)) {
            target.queue.pop_front();
        }
        if target.queue.len() >= target.purge_at.max(64) {
            target.queue.retain(|number| self.calls.contains_key(number));
            target.purge_at = 2 * target.queue.len();
        }
    }

    pub(super) fn credit(&mut self, credit: Credit) {
        // A number that was released meanwhile is not known any more.
        let Some(target) = self.targets.get_mut(&credit.target) else { return };
        target.calls = target.calls.saturating_sub(credit.calls);
        let bytes = credit.bytes.min(target.bytes);
        target.bytes -= bytes;
        self.bytes -= bytes;
        self.credited = Some(credit.target);
    }

    pub(super) fn reply<I>(
        &mut self,
        header: ReplyHeader,
        grants: &Grants,
        events: &mut Vec<Event<C, I>>,
    ) -> Result<(), Violation> {
        let ReplyHeader { call, body_length, reply } = header;
        if call > self.last || call == 0 {
            return Err(Violation::protocol(format!("a reply to call {call}, which was not made")));
        }
        // Else its caller has left.
        let Some(ours) = self.calls.get_mut(&call) else { return Ok(()) };
        match (body_length, &reply, &ours.state) {
            (_, _, State::Queued(_)) => {
                return Err(Violation::protocol(format!("a reply to call {call}, which was not sent yet")));
            }
            (_, _, State::Replied { .. }) => {
                return Err(Violation::protocol(format!("a second reply to call {call}")));
            }
            (Some(length), _, _) if !within(grants, length) => {
                let detail = format!(
                    "the reply has {length} bytes and the caller takes {}; raise its `Config::max_message_bytes`, or \
                     ask for less",
                    grants.message
                );
                let failure = Failure::new(FailureKind::TooLarge, Delivery::Executed, detail);
                events.extend(self.ended(call, WireReply::Failed(failure)));
            }
            (Some(length), WireReply::Ended(status, _), _) => {
                ours.state = State::Replied { status: *status, length };
            }
            _ => events.extend(self.ended(call, reply)),
        }
        Ok(())
    }

    pub(super) fn body_expected(&self, call: u64) -> Option<Expected> {
        match self.calls.get(&call).map(|ours| &ours.state) {
            Some(State::Replied { length, .. }) => Some(Expected::Bytes(*length)),
            Some(_) => None,
            None => Some(Expected::Nothing),
        }
    }

    pub(super) fn body_arrived<I>(&mut self, call: u64, body: Bytes, events: &mut Vec<Event<C, I>>) {
        let Some(State::Replied { status, length }) = self.calls.get(&call).map(|ours| &ours.state) else {
            return;
        };
        let reply = if body.len() as u64 == *length { WireReply::Ended(*status, body) } else { cut_short() };
        events.extend(self.ended(call, reply));
    }

    pub(super) fn body_failed<I>(&mut self, call: u64, events: &mut Vec<Event<C, I>>) {
        if let Some(State::Replied { .. }) = self.calls.get(&call).map(|ours| &ours.state) {
            events.extend(self.ended(call, cut_short()));
        }
    }

    fn ended<I>(&mut self, call: u64, reply: WireReply) -> Option<Event<C, I>> {
        let ours = self.calls.remove(&call)?;
        Some(Event::Reply(ours.keep, reply))
    }

    /// Gives up what was not sent.
    pub(super) fn take_queued(&mut self) -> impl Iterator<Item = C> {
        let mut queued: Vec<u64> =
            self.targets.values_mut().flat_map(|target| mem::take(&mut target.queue)).collect();
        // In the order in which they were made.
        queued.sort_unstable();
        queued.into_iter().filter_map(|number| self.calls.remove(&number)).map(|ours| ours.keep)
    }

    /// Gives up everything. What was written beyond `taken` has not left.
    pub(super) fn end(&mut self, taken: u64) -> Vec<Lost<C>> {
        let mut calls: Vec<(u64, Ours<C>)> = mem::take(&mut self.calls).into_iter().collect();
        calls.sort_unstable_by_key(|(number, _)| *number);
        let lost = |(_, Ours { keep, state }): (u64, Ours<C>)| {
            let delivery = match state {
                State::Queued(_) => Delivery::NotDelivered,
                State::Sent { end, .. } if end > taken => Delivery::NotDelivered,
                State::Sent { .. } => Delivery::Unknown,
                State::Replied { .. } => Delivery::Executed,
            };
            Lost { call: keep, delivery }
        };
        self.targets.clear();
        calls.into_iter().map(lost).collect()
    }
}

fn cut_short() -> WireReply {
    let detail = "the reply was cut short on its way";
    WireReply::Failed(Failure::new(FailureKind::ConnectionLost, Delivery::Executed, detail))
}
