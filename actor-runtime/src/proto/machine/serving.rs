//! The calls that the peer makes: whether it may, in which order they begin, what becomes of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    num::NonZero,
    sync::{Arc, atomic::AtomicU64},
};

use bytes::Bytes;

use super::{Abort, Account, Event, Expected, Machine, Numbered, Outbox, Violation, within};
use crate::{
    call::{Delivery, Failure, FailureKind, WireReply},
    proto::{CallHeader, Grants, Part, StreamId, StreamKind, call::Bind, reply::encode_reply},
};

pub(super) struct Serving<I> {
    grants: Grants,
    pub(super) calls: Numbered<Theirs<I>>,
    pub(super) targets: BTreeMap<u32, TheirTarget>,
    /// Bytes of calls that have not begun, as far as the peer was told.
    pub(super) bytes: u64,
    /// Given back by all targets, and not told.
    pub(super) total: Arc<AtomicU64>,
    called: u64,
    cancelled: u64,
    /// Calls whose callers left before their bodies came; some of these may still come, and are no offence.
    left: BTreeSet<u64>,
}

pub(super) struct TheirTarget {
    pub(super) account: Arc<Account>,
    /// Calls that have not begun, as far as the peer was told, and their bytes.
    pub(super) calls: u32,
    pub(super) bytes: u64,
    /// Calls that have not ended.
    live: u64,
}

pub(super) enum Theirs<I> {
    /// Its body is on its way, or it waits for another one whose body is.
    Waiting(Box<Waiting>),
    /// It was handed out, for this target.
    Begun(u32, Option<I>),
}

impl<I> Theirs<I> {
    fn target(&self) -> u32 {
        match self {
            Self::Waiting(waiting) => waiting.header.target,
            Self::Begun(target, _) => *target,
        }
    }
}

pub(super) struct Waiting {
    header: CallHeader,
    body: Option<Bytes>,
    /// The call that has to be handed out first.
    after: Option<u64>,
    /// The calls that wait for this one.
    then: Vec<u64>,
}

/// So many calls without their bodies are remembered; a peer may have no more streams under way.
const MOST_LEFT: usize = 4096;

impl<I> Serving<I> {
    pub(super) fn new(grants: Grants) -> Self {
        Self {
            grants,
            calls: Numbered::default(),
            targets: BTreeMap::new(),
            bytes: 0,
            total: Arc::default(),
            called: 0,
            cancelled: 0,
            left: BTreeSet::new(),
        }
    }

    pub(super) fn bind<C>(&mut self, bind: Bind, events: &mut Vec<Event<C, I>>) -> Result<(), Violation> {
        if self.targets.len() >= self.grants.targets as usize {
            return Err(Violation::limit(format!(
                "more targets than the {} that are granted",
                self.grants.targets
            )));
        }
        if self.targets.contains_key(&bind.target) {
            return Err(Violation::protocol(format!("target {} was bound already", bind.target)));
        }
        let account = Account::new(bind.target, self.grants, self.total.clone());
        let target = TheirTarget { account: account.clone(), calls: 0, bytes: 0, live: 0 };
        self.targets.insert(bind.target, target);
        events.push(Event::Bound(bind, account));
        Ok(())
    }

    pub(super) fn release<C>(&mut self, target: u32, events: &mut Vec<Event<C, I>>) -> Result<(), Violation> {
        let live = self.targets.get(&target).map_or(0, |target| target.live);
        if live > 0 {
            // Else a peer could have any number of calls here, by binding anew again and again.
            return Err(Violation::protocol(format!(
                "target {target} was released while {live} of its calls had not ended"
            )));
        }
        let Some(left) = self.targets.remove(&target) else {
            return Err(Violation::protocol(format!("target {target} was not bound")));
        };
        self.bytes -= left.bytes;
        left.account.release();
        events.push(Event::Released(target));
        Ok(())
    }

    pub(super) fn call<C>(
        &mut self,
        header: CallHeader,
        body: Bytes,
        events: &mut Vec<Event<C, I>>,
    ) -> Result<(), Violation> {
        let Some(target) = self.targets.get_mut(&header.target) else {
            return Err(Violation::protocol(format!("target {} was not bound", header.target)));
        };
        let length = header.body_length.unwrap_or(body.len() as u64);
        if !within(&self.grants, length) {
            return Err(Violation::limit(format!(
                "arguments of {length} bytes, and {} are granted",
                self.grants.message
            )));
        }
        let Grants { calls, bytes, total_bytes, .. } = self.grants;
        if target.calls >= calls || target.bytes >= bytes || self.bytes >= total_bytes {
            return Err(Violation::limit("a call beyond its credit"));
        }
        let number = header.call;
        if self.calls.contains(number) {
            return Err(Violation::protocol(format!("call {number} was made before")));
        }
        target.calls += 1;
        target.bytes += length;
        target.live += 1;
        self.bytes += length;
        self.called += 1;
        let own_stream = header.body_length.is_some();
        let after = header.after.map(NonZero::get).filter(|after| *after != number);
        let blocked = match after.and_then(|after| self.calls.get_mut(after)) {
            Some(Theirs::Waiting(before)) => {
                before.then.push(number);
                true
            }
            _ => false,
        };
        let state = if own_stream || blocked {
            let after = if blocked { after } else { None };
            let body = (!own_stream).then(|| body.clone());
            Theirs::Waiting(Box::new(Waiting { header: header.clone(), body, after, then: Vec::new() }))
        } else {
            Theirs::Begun(header.target, None)
        };
        let waits = matches!(state, Theirs::Waiting(_));
        self.calls.insert(number, state);
        if !waits {
            events.push(Event::Call(header, body));
        }
        Ok(())
    }

    pub(super) fn cancel<C>(
        &mut self,
        number: u64,
        out: &mut Outbox,
        events: &mut Vec<Event<C, I>>,
    ) -> Result<(), Violation> {
        self.cancelled += 1;
        if self.cancelled > self.called {
            return Err(Violation::protocol("more cancellations than calls"));
        }
        self.forget(number, out, events);
        Ok(())
    }

    /// Whether a call waits for its reply.
    pub(super) fn is_served(&self, number: u64) -> bool {
        self.calls.contains(number)
    }

    /// It has it.
    pub(super) fn answered(&mut self, number: u64) {
        self.take(number);
    }

    /// A call is over.
    fn take(&mut self, number: u64) -> Option<Theirs<I>> {
        let call = self.calls.remove(number)?;
        if let Some(target) = self.targets.get_mut(&call.target()) {
            target.live -= 1;
        }
        Some(call)
    }

    /// The caller of a call has left.
    fn forget<C>(&mut self, number: u64, out: &mut Outbox, events: &mut Vec<Event<C, I>>) {
        match self.take(number) {
            Some(Theirs::Begun(_, Some(call))) => events.push(Event::Abandoned(call)),
            Some(Theirs::Waiting(waiting)) => {
                let length = waiting.header.body_length;
                if length.is_some() && waiting.body.is_none() {
                    out.abort(Abort::Receiving(StreamKind::CallBody(number)));
                    self.left.insert(number);
                    if self.left.len() > MOST_LEFT {
                        self.left.pop_first();
                    }
                }
                let length = length.unwrap_or(waiting.body.as_ref().map_or(0, |body| body.len() as u64));
                events.push(Event::Unbegun(waiting.header.target, length));
                self.close_gap(number, waiting.after, waiting.then, events);
            }
            Some(Theirs::Begun(_, None)) | None => {}
        }
    }

    /// What came after a call that is over comes after the one before it, or begins.
    fn close_gap<C>(
        &mut self,
        number: u64,
        after: Option<u64>,
        then: Vec<u64>,
        events: &mut Vec<Event<C, I>>,
    ) {
        let Some(before) = after else { return self.hand_out(then, events) };
        for next in &then {
            if let Some(Theirs::Waiting(next)) = self.calls.get_mut(*next) {
                next.after = after;
            }
        }
        // It waits: else nothing would have waited for it.
        if let Some(Theirs::Waiting(before)) = self.calls.get_mut(before) {
            let place = before.then.iter().position(|next| *next == number);
            let place = place.map_or(before.then.len()..before.then.len(), |at| at..at + 1);
            before.then.splice(place, then);
        }
    }

    pub(super) fn body_expected(&self, number: u64) -> Option<Expected> {
        match self.calls.get(number) {
            Some(Theirs::Waiting(waiting)) if waiting.body.is_none() => {
                waiting.header.body_length.map(Expected::Bytes)
            }
            None if !self.left.contains(&number) => None,
            _ => Some(Expected::Nothing),
        }
    }

    pub(super) fn body_arrived<C>(
        &mut self,
        number: u64,
        body: Bytes,
        events: &mut Vec<Event<C, I>>,
    ) -> Result<(), Violation> {
        self.left.remove(&number);
        let Some(Theirs::Waiting(waiting)) = self.calls.get_mut(number) else { return Ok(()) };
        let (Some(length), None) = (waiting.header.body_length, &waiting.body) else { return Ok(()) };
        if body.len() as u64 != length {
            return Err(Violation::protocol(format!(
                "the arguments of call {number} have {} bytes, and {length} were announced",
                body.len()
            )));
        }
        waiting.body = Some(body);
        if waiting.after.is_none() {
            self.hand_out(vec![number], events);
        }
        Ok(())
    }

    /// It was broken off: nothing of it will come any more.
    pub(super) fn body_failed(&mut self, number: u64) {
        self.left.remove(&number);
    }

    /// Hands out these calls, and what waited for them, if they have their bodies.
    fn hand_out<C>(&mut self, mut ready: Vec<u64>, events: &mut Vec<Event<C, I>>) {
        // Last in, first out: so the first comes first.
        ready.reverse();
        while let Some(number) = ready.pop() {
            let Some(call) = self.calls.get_mut(number) else { continue };
            let Theirs::Waiting(waiting) = call else { continue };
            waiting.after = None;
            if waiting.body.is_none() {
                continue;
            }
            let target = call.target();
            if let Theirs::Waiting(waiting) = mem::replace(call, Theirs::Begun(target, None)) {
                let Waiting { header, body, then, .. } = *waiting;
                events.push(Event::Call(header, body.unwrap_or_default()));
                ready.extend(then.into_iter().rev());
            }
        }
    }

    pub(super) fn end(&mut self) -> Vec<I> {
        self.targets.clear();
        let calls = mem::take(&mut self.calls).into_sorted();
        let begun = |(_, call)| match call {
            Theirs::Begun(_, call) => call,
            Theirs::Waiting(_) => None,
        };
        calls.into_iter().filter_map(begun).collect()
    }
}

impl<C, I> Machine<C, I> {
    /// How many calls of the peer have not ended.
    pub(crate) fn serves(&self) -> usize {
        self.serving.calls.len()
    }

    /// How many numbers the peer has given.
    #[cfg(test)]
    pub(crate) fn bound(&self) -> usize {
        self.serving.targets.len()
    }

    /// What is to be told if the caller of a call that was handed out leaves. Gives it back if that has happened, or if
    /// the call has ended.
    pub(crate) fn begun(&mut self, number: u64, call: I) -> Option<I> {
        match self.serving.calls.get_mut(number) {
            Some(Theirs::Begun(_, kept)) => {
                *kept = Some(call);
                None
            }
            _ => Some(call),
        }
    }

    /// Sends the end of a call; nothing if its caller has left.
    pub(crate) fn reply(&mut self, number: u64, reply: &WireReply) {
        if self.serving.take(number).is_none() || self.is_ending() {
            return;
        }
        if matches!(reply, WireReply::Failed(failure) if failure.delivery() == Delivery::NotDelivered) {
            // Nobody has asked for the stream among its arguments: the caller may send it elsewhere.
            self.streams.drop_incoming(StreamId::incoming(Part::Arguments, number));
        }
        let own_stream = self.settings.own_stream;
        let written = match reply {
            WireReply::Ended(_, body) if !self.peer_takes(body.len()) => {
                let detail =
                    format!("the reply has {} bytes, which is more than the caller takes", body.len());
                let failure = Failure::new(FailureKind::TooLarge, Delivery::Executed, detail);
                encode_reply(number, &WireReply::Failed(failure), own_stream, &mut self.out.lane)
            }
            WireReply::Ended(_, body) if body.len() > own_stream && self.replies_pile_up() => {
                let detail = format!(
                    "{} bytes of replies wait for the caller to read them; ask for less at a time",
                    self.out.reply_bytes()
                );
                let failure = Failure::new(FailureKind::Overloaded, Delivery::Executed, detail);
                encode_reply(number, &WireReply::Failed(failure), own_stream, &mut self.out.lane)
            }
            reply => encode_reply(number, reply, own_stream, &mut self.out.lane),
        };
        match written {
            Ok(None) => {}
            Ok(Some(body)) => self.out.send(StreamKind::ReplyBody(number), body),
            Err(length) => {
                let detail =
                    format!("the reply's envelope of {} bytes is longer than a client reads", length.0);
                let failure =
                    WireReply::Failed(Failure::new(FailureKind::TooLarge, Delivery::Executed, detail));
                // Its texts are short.
                let _ = encode_reply(number, &failure, own_stream, &mut self.out.lane);
            }
        }
        self.check_backlog();
    }

    fn replies_pile_up(&self) -> bool {
        self.out.reply_bytes() > self.settings.max_backlog as u64
    }

    fn peer_takes(&self, length: usize) -> bool {
        self.peer().is_none_or(|peer| within(&peer.grants, length as u64))
    }
}
