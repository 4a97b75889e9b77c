//! The calls that this side makes: their numbers, their places, the credit they need, their ends.

use std::{collections::VecDeque, mem, num::NonZero, time::Instant};

use bytes::Bytes;

use super::{
    Abort, CloseCode, Event, Expected, Lost, Machine, Numbered, Order, Outbox, Violation, order::Large,
    within,
};
use crate::{
    call::{Delivery, Failure, FailureKind, WireReply},
    proto::{
        CallHeader, Grants, Part, ReplyHeader, StreamId, StreamKind,
        call::{Bind, encode_cancel, encode_release},
        credit::Credit,
        record::MAX_NAME,
    },
    service::Status,
};

pub(super) struct Calling<C> {
    pub(super) calls: Numbered<Ours<C>>,
    last: u64,
    pub(super) targets: Numbered<OurTarget>,
    last_target: u32,
    /// Bytes of calls that the peer has not begun, as far as it told.
    pub(super) bytes: u64,
    /// A target waits for the connection's own credit.
    short: bool,
    /// The target whose turn to use the connection's own credit came last.
    served: u32,
    pub(super) large: Large,
}

impl<C> Default for Calling<C> {
    fn default() -> Self {
        Self {
            calls: Numbered::default(),
            last: 0,
            targets: Numbered::default(),
            last_target: 0,
            bytes: 0,
            short: false,
            served: 0,
            large: Large::default(),
        }
    }
}

pub(super) struct OurTarget {
    bind: Bind,
    /// Whether the peer knows the number.
    told: bool,
    /// Calls that the peer has not begun, as far as it told, and their bytes.
    pub(super) calls: u32,
    pub(super) bytes: u64,
    /// Calls that wait for credit; some may be over.
    pub(super) queue: VecDeque<u64>,
    /// The queue is searched for calls that are over when it is so long.
    purge_at: usize,
}

pub(super) struct Ours<C> {
    keep: C,
    state: State,
    /// The order in which it is one of the large calls, or 0.
    large_in: u64,
}

enum State {
    /// It waits for credit; with the order that it keeps, or 0.
    Queued(Box<NewCall>, u64),
    /// It was written up to this place of the lane. A driver that says so still has some of its body.
    Sent { end: u64, own_stream: bool, body_held: bool },
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
    /// Whether a stream is among the arguments.
    pub(crate) stream: bool,
}

/// The longest envelope of a call without its context: the numbers of seven records.
const LONGEST_FIXED: usize = 80;

impl<C, I> Machine<C, I> {
    /// Gives a number to what is to be called. `None` if the peer allows no more.
    pub(crate) fn target(&mut self, bind: Bind) -> Option<u32> {
        let allowed = self.peer()?.grants.targets as usize;
        self.calling.target(bind, allowed)
    }

    /// The number is not needed any more; its calls have ended.
    pub(crate) fn release(&mut self, now: Instant, target: u32) {
        let Some(left) = self.calling.targets.remove(target.into()) else { return };
        self.calling.bytes -= left.bytes;
        if left.told && !self.is_ending() {
            encode_release(target, &mut self.out.lane);
            // The connection's own credit that it held is free, and no frame will come to say so.
            self.send_queued(now, None);
        }
    }

    /// Sends a call, or keeps it until there is credit for it. Gives its number, for which `keep` makes what is kept of the
    /// call; a call that is refused has none.
    // Inlined: what is kept is made where it is to lie.
    #[inline]
    pub(crate) fn call(
        &mut self,
        now: Instant,
        call: NewCall,
        order: Option<&Order>,
        keep: impl FnOnce(u64) -> C,
    ) -> Result<u64, Failure> {
        if let Some(failure) = self.refusal(&call) {
            return Err(failure);
        }
        self.calling.last += 1;
        let number = self.calling.last;
        let is_large = call.body.len() > self.settings.own_stream;
        let order = order.map_or(0, |order| if is_large { order.numbered() } else { order.number() });
        let large_in = if is_large { order } else { 0 };
        if large_in != 0 {
            self.calling.large.insert(large_in, number);
        }
        let target = call.target;
        if call.stream {
            self.streams.announce(number);
        }
        let at_once = self.calling.targets.get(target.into()).is_some_and(|target| target.queue.is_empty())
            && self.has_credit(target);
        let state = if at_once {
            self.write(now, number, &call, order)
        } else {
            if let Some(target) = self.calling.targets.get_mut(target.into()) {
                target.queue.push_back(number);
            }
            State::Queued(Box::new(call), order)
        };
        self.calling.calls.insert(number, Ours { keep: keep(number), state, large_in });
        self.check_backlog();
        Ok(number)
    }

    /// Whether a call of this target would leave at once. True also if it would be refused, for another reason.
    pub(crate) fn has_room(&mut self, target: u32) -> bool {
        match self.calling.targets.get(target.into()) {
            Some(found) if !self.is_ending() && self.leaving.is_none() => {
                found.queue.is_empty() && self.has_credit(target)
            }
            _ => true,
        }
    }

    /// Nobody waits for the end of this call any more. Gives it, unless it had ended.
    pub(crate) fn cancel(&mut self, number: u64) -> Option<C> {
        let Ours { keep, state, .. } = self.calling.take(number)?;
        self.streams.drop_outgoing(StreamId::outgoing(Part::Arguments, number), &mut self.out);
        if !self.is_ending() {
            match state {
                State::Queued(call, _) => self.calling.purge(call.target),
                State::Sent { own_stream, .. } => {
                    if own_stream {
                        self.out.abort(Abort::Sending(StreamKind::CallBody(number)));
                    }
                    encode_cancel(number, &mut self.out.lane);
                }
                State::Replied { .. } => self.out.abort(Abort::Receiving(StreamKind::ReplyBody(number))),
            }
            self.check_backlog();
        }
        Some(keep)
    }

    /// Whether the driver still holds some of a body. It may say so when it has taken the body, and then has to say
    /// otherwise before it hands over the last byte: a call whose body is not complete reaches nobody, and is known not
    /// to have been delivered if the connection ends.
    pub(crate) fn body_held(&mut self, body: StreamKind, held: bool) {
        if let StreamKind::CallBody(call) = body
            && let Some(Ours { state: State::Sent { body_held, .. }, .. }) = self.calling.calls.get_mut(call)
        {
            *body_held = held;
        }
    }

    /// The calls that have not ended.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &C> {
        self.calling.calls.values().map(|call| &call.keep)
    }

    /// Whether no more than one call has been made and not ended.
    pub(crate) fn is_alone(&self) -> bool {
        self.calling.calls.len() <= 1
    }

    /// Takes back those of the calls that wait for credit that are not wanted any more: nothing of them was sent.
    pub(crate) fn take_back(&mut self, unwanted: impl Fn(&C) -> bool) -> Vec<C> {
        let waits = |ours: &Ours<C>| matches!(ours.state, State::Queued(..)) && unwanted(&ours.keep);
        let ours = self.calling.calls.iter().filter(|(_, ours)| waits(ours));
        let numbers: Vec<u64> = ours.map(|(number, _)| number).collect();
        numbers.into_iter().filter_map(|number| self.cancel(number)).collect()
    }

    fn refusal(&self, call: &NewCall) -> Option<Failure> {
        let refused = |kind, detail: String| Some(Failure::new(kind, Delivery::NotDelivered, detail));
        if self.is_ending() {
            return refused(FailureKind::Unreachable, "the connection has ended".to_owned());
        }
        let Some(peer) = self.peer() else {
            return refused(FailureKind::Unreachable, "the connection is not open yet".to_owned());
        };
        let Some(target) = self.calling.targets.get(call.target.into()) else {
            return refused(FailureKind::Internal, "the call has no target; please report this".to_owned());
        };
        // Questions about the server itself are answered to the end.
        let own = |target: &OurTarget| target.bind.name.starts_with('$');
        if let Some(reason) = &self.leaving
            && !self.calling.targets.get(call.target.into()).is_some_and(own)
        {
            return refused(FailureKind::Stopped, reason.clone());
        }
        if call.stream && self.streams.is_full() {
            let detail = "too many streams are open on this connection; end some first";
            return refused(FailureKind::Overloaded, detail.to_owned());
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
        let longest_name = target.bind.namespace.len().max(target.bind.name.len());
        let envelope = LONGEST_FIXED + call.context.len();
        // Here, so that nothing can go wrong with a call once it waits for credit.
        let too_long = [
            ("name", longest_name, MAX_NAME),
            ("context (metadata and chain of callers)", envelope, usize::from(u16::MAX)),
        ];
        let (what, length, limit) = too_long.into_iter().find(|(_, length, limit)| length > limit)?;
        let detail = format!(
            "the call's {what} has {length} bytes and a server reads {limit}; use less of it for this call"
        );
        refused(FailureKind::TooLarge, detail)
    }

    fn has_credit(&mut self, target: u32) -> bool {
        let Some(grants) = self.peer.as_ref().map(|peer| peer.hello.grants) else { return false };
        let Some(target) = self.calling.targets.get(target.into()) else { return false };
        if self.calling.bytes >= grants.total_bytes {
            self.calling.short = true;
            return false;
        }
        target.calls < grants.calls && target.bytes < grants.bytes
    }

    /// Writes a call for which there is credit, and whose parts were found short enough.
    fn write(&mut self, now: Instant, number: u64, call: &NewCall, order: u64) -> State {
        let own_stream = call.body.len() > self.settings.own_stream;
        let length = call.body.len() as u64;
        let header = CallHeader {
            call: number,
            method: call.method,
            target: call.target,
            remaining: call.deadline.map(|deadline| deadline.saturating_duration_since(now)),
            arrived: None,
            body_length: own_stream.then_some(length),
            after: self.calling.large.before(order, number).and_then(NonZero::new),
            stream: call.stream,
            context: None,
        };
        if let Some(target) = self.calling.targets.get_mut(call.target.into()) {
            if !mem::replace(&mut target.told, true) {
                let _ = target.bind.encode(&mut self.out.lane);
            }
            target.calls += 1;
            target.bytes += length;
            self.calling.bytes += length;
        }
        let on_the_lane = if own_stream { &[][..] } else { &call.body };
        let _ = header.encode(&call.context, on_the_lane, &mut self.out.lane);
        if own_stream {
            self.out.send(StreamKind::CallBody(number), call.body.clone());
        }
        State::Sent { end: self.out.lane_end(), own_stream, body_held: false }
    }

    /// Sends what waits for credit, as far as there is some now: of the target that got some, and of all if the
    /// connection's own credit was short. Of those, each sends one call at a time, so that none starves another.
    pub(super) fn send_queued(&mut self, now: Instant, credited: Option<u32>) {
        let mut waiting: VecDeque<u32> = if mem::take(&mut self.calling.short) {
            let queued = |target: &(u64, &OurTarget)| !target.1.queue.is_empty();
            let mut all: Vec<u32> =
                self.calling.targets.iter().filter(queued).map(|(_, target)| target.bind.target).collect();
            let served = self.calling.served;
            all.sort_unstable_by_key(|target| (*target <= served, *target));
            all.into()
        } else {
            credited.into_iter().collect()
        };
        while let Some(target) = waiting.pop_front() {
            if self.has_credit(target) && self.send_one(now, target) {
                self.calling.served = target;
                waiting.push_back(target);
            }
        }
        self.check_backlog();
    }

    /// Sends the first call of a queue. False if there is none.
    fn send_one(&mut self, now: Instant, target: u32) -> bool {
        loop {
            let queue = self.calling.targets.get_mut(target.into()).map(|target| &mut target.queue);
            let Some(number) = queue.and_then(VecDeque::pop_front) else { return false };
            // It may be over.
            let Some(Ours { keep, state: State::Queued(call, order), large_in }) =
                self.calling.calls.remove(number)
            else {
                continue;
            };
            let state = self.write(now, number, &call, order);
            self.calling.calls.insert(number, Ours { keep, state, large_in });
            return true;
        }
    }

    /// Gives the connection up if the peer does not read what it is sent.
    pub(super) fn check_backlog(&mut self) {
        if self.out.lane.len() > self.settings.max_backlog {
            self.violated(CloseCode::Limit, "the peer does not read what it is sent");
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
        self.targets.insert(self.last_target.into(), target);
        Some(self.last_target)
    }

    /// A call is over.
    #[inline]
    fn take(&mut self, number: u64) -> Option<Ours<C>> {
        let ours = self.calls.remove(number)?;
        if ours.large_in != 0 {
            self.large.remove(ours.large_in, number);
        }
        Some(ours)
    }

    /// Forgets calls that are over, once they are the most of a queue.
    fn purge(&mut self, target: u32) {
        let Some(target) = self.targets.get_mut(target.into()) else { return };
        if target.queue.front().is_some_and(|number| !self.calls.contains(*number)) {
            target.queue.pop_front();
        }
        if target.queue.len() >= target.purge_at.max(64) {
            target.queue.retain(|number| self.calls.contains(*number));
            target.purge_at = 2 * target.queue.len();
        }
    }

    pub(super) fn credit(&mut self, credit: Credit) {
        // A number that was released meanwhile is not known any more.
        let Some(target) = self.targets.get_mut(credit.target.into()) else { return };
        target.calls = target.calls.saturating_sub(credit.calls);
        let bytes = credit.bytes.min(target.bytes);
        target.bytes -= bytes;
        self.bytes -= bytes;
    }

    #[inline]
    pub(super) fn reply<I>(
        &mut self,
        header: ReplyHeader,
        grants: &Grants,
        events: &mut Vec<Event<C, I>>,
    ) -> Result<(), Violation> {
        let plain = header.body_length.is_none() && !header.stream;
        let sent = || matches!(self.calls.get(header.call), Some(Ours { state: State::Sent { .. }, .. }));
        if !plain || !sent() {
            return self.reply_otherwise(header, grants, events);
        }
        if let Some(ours) = self.take(header.call) {
            events.push(Event::Reply(ours.keep, header.reply));
        }
        Ok(())
    }

    #[inline(never)]
    fn reply_otherwise<I>(
        &mut self,
        header: ReplyHeader,
        grants: &Grants,
        events: &mut Vec<Event<C, I>>,
    ) -> Result<(), Violation> {
        let ReplyHeader { call, body_length, stream, reply } = header;
        if call > self.last || call == 0 {
            return Err(Violation::protocol(format!("a reply to call {call}, which was not made")));
        }
        // Else its caller has left.
        let Some(ours) = self.calls.get_mut(call) else { return Ok(()) };
        match (body_length, &reply, &ours.state) {
            (_, _, State::Queued(..)) => {
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
            _ if stream => {
                if let Some(ours) = self.take(call) {
                    events.push(Event::Begun(ours.keep, call));
                }
            }
            _ => events.extend(self.ended(call, reply)),
        }
        Ok(())
    }

    /// Whether a call of ours has had this number.
    pub(super) fn was_made(&self, call: u64) -> bool {
        call != 0 && call <= self.last
    }

    pub(super) fn body_expected(&self, call: u64) -> Option<Expected> {
        match self.calls.get(call).map(|ours| &ours.state) {
            Some(State::Replied { length, .. }) => Some(Expected::Bytes(*length)),
            Some(_) => None,
            None => Some(Expected::Nothing),
        }
    }

    pub(super) fn body_arrived<I>(&mut self, call: u64, body: Bytes, events: &mut Vec<Event<C, I>>) {
        let Some(State::Replied { status, length }) = self.calls.get(call).map(|ours| &ours.state) else {
            return;
        };
        let reply = if body.len() as u64 == *length { WireReply::Ended(*status, body) } else { cut_short() };
        events.extend(self.ended(call, reply));
    }

    pub(super) fn body_failed<I>(&mut self, call: u64, events: &mut Vec<Event<C, I>>) {
        if let Some(State::Replied { .. }) = self.calls.get(call).map(|ours| &ours.state) {
            events.extend(self.ended(call, cut_short()));
        }
    }

    fn ended<I>(&mut self, call: u64, reply: WireReply) -> Option<Event<C, I>> {
        let ours = self.take(call)?;
        Some(Event::Reply(ours.keep, reply))
    }

    /// Gives up what was not sent.
    pub(super) fn take_queued(&mut self) -> impl Iterator<Item = C> {
        let mut queued: Vec<u64> =
            self.targets.values_mut().flat_map(|target| mem::take(&mut target.queue)).collect();
        // In the order in which they were made.
        queued.sort_unstable();
        queued.into_iter().filter_map(|number| self.take(number)).map(|ours| ours.keep)
    }

    /// Gives up everything. What is still in the outbox has not left.
    pub(super) fn end(&mut self, out: &Outbox) -> Vec<Lost<C>> {
        let taken = out.lane_taken();
        let unsent = out.unsent_calls();
        let calls = mem::take(&mut self.calls).into_sorted();
        let lost = |(number, Ours { keep, state, .. }): (u64, Ours<C>)| {
            let delivery = match state {
                State::Queued(..) => Delivery::NotDelivered,
                State::Sent { end, .. } if end > taken => Delivery::NotDelivered,
                State::Sent { own_stream: true, .. } if unsent.contains(&number) => Delivery::NotDelivered,
                State::Sent { body_held: true, .. } => Delivery::NotDelivered,
                State::Sent { .. } => Delivery::Unknown,
                State::Replied { .. } => Delivery::Executed,
            };
            Lost { call: keep, delivery }
        };
        self.targets.clear();
        self.large.clear();
        self.bytes = 0;
        calls.into_iter().map(lost).collect()
    }
}

fn cut_short() -> WireReply {
    let detail = "the reply was cut short on its way";
    WireReply::Failed(Failure::new(FailureKind::ConnectionLost, Delivery::Executed, detail))
}
