//! One connection, as a machine of bytes and time.
//!
//! The machine is generic over what its driver keeps for a call: `C` for a call that this side has made, `I` for one
//! that it serves. Streams are the driver's: it cuts their bytes into [`Frame`]s, hands these in, and writes what the
//! [`Outbox`] holds. Frames of the lane and bodies may be handed in once the handshake is through
//! ([`Event::Open`]).
//!
//! What a driver owes the machine:
//! - A body is handed in when it is complete, and its header is known ([`Machine::body_expected`]); until then the
//!   driver holds it, and bounds how much and how long.
//! - A stream of a body that is broken off is told too, once its header is known.
//! - The other side's streams are read at any pace, and in any order between them.
//! - After what was taken from the lane, or of bodies, comes [`Machine::lane_was_taken`]; after a violation,
//!   [`Machine::end`].
//!
//! Invariants:
//! 1. Every call that was taken comes out exactly once: by an [`Event::Reply`], by [`Machine::cancel`], by
//!    [`Event::Returned`], or by [`Machine::end`].
//! 2. What a peer can make the machine keep is bounded by what was granted to it.
//! 3. Calls of one target leave in the order in which they were taken.
//! 4. After a violation nothing is processed any more; [`Outbox::closing`] tells the peer why.

mod calling;
mod credit;
mod numbered;
mod order;
mod outbox;
mod serving;
mod streaming;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use bytes::Bytes;

use super::{
    CallHeader, Frame, FrameError, Grants, Hello, Part, ReplyHeader, ServiceDigest, ServiceTable, StreamId,
    call::Bind,
    hello::{encode_ask, encode_goodbye},
    record::MAX_NAME,
};
use crate::{
    call::{Delivery, Failure, WireReply},
    stream::Piece,
};
use calling::Calling;
pub(crate) use calling::NewCall;
pub(crate) use credit::Account;
use numbered::Numbered;
pub(crate) use order::Order;
pub(crate) use outbox::{Abort, Body, Closing, Outbox, Ready, StreamWork, Weight, Woken};
use serving::Serving;
pub(crate) use streaming::StreamRoom;
use streaming::Streams;

/// What a machine does on its own account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Bodies that are longer travel on streams of their own.
    pub(crate) own_stream: usize,
    /// Credit is held back while more bytes than this wait for the peer to read them.
    pub(crate) backlog: usize,
    /// With so many the connection is given up: the peer does not read.
    pub(crate) max_backlog: usize,
}

/// One side of a connection.
pub(crate) struct Machine<C, I> {
    settings: Settings,
    local: Hello,
    peer: Option<Peer>,
    hello_by: Instant,
    /// What the peer said when it took leave.
    leaving: Option<String>,
    left: bool,
    ended: bool,
    calling: Calling<C>,
    serving: Serving<I>,
    streams: Streams,
    services: BTreeMap<String, u64>,
    /// Whether somebody looks after the deadlines of our calls. The machine does not: it only remembers.
    watched: bool,
    pub(crate) out: Outbox,
}

/// The other side, once it has introduced itself.
struct Peer {
    hello: Hello,
    version: u32,
}

/// What came out of the machine for its driver.
#[derive(Debug)]
pub(crate) enum Event<C, I> {
    /// The handshake is through.
    Open,
    /// The peer gave a number to one of our actors. Its calls give back their credit here.
    Bound(Bind, Arc<Account>),
    /// The number is not used any more.
    Released(u32),
    /// A call to be served; its body is complete.
    Call(CallHeader, Bytes),
    /// Its caller has left.
    Abandoned(I),
    /// A call of this target will not be served: its caller left before its body, of this length, had arrived. Its
    /// credit is to be given back.
    Unbegun(u32, u64),
    /// The end of a call of ours.
    Reply(C, WireReply),
    /// A call of ours is answered with a stream, under the number of the call.
    Begun(C, u64),
    /// Some of a stream that comes to this side.
    Items(StreamId, Piece),
    /// The end of one; with a failure if it broke off.
    StreamEnd(StreamId, Option<Failure>),
    /// The reader of a stream that is to leave from this side has asked for it.
    StreamAsked(StreamId),
    /// Nobody reads a stream that leaves from this side.
    Stopped(StreamId),
    /// A call of ours that was not sent, and will not be: the peer took leave.
    Returned(C),
    Service(ServiceDigest),
    /// The peer wants to know the methods of a service.
    Asked(String),
    Table(ServiceTable),
    /// The peer takes no more calls.
    Goodbye(String),
}

/// A call that a connection took with it.
#[derive(Debug)]
pub(crate) struct Lost<C> {
    pub(crate) call: C,
    pub(crate) delivery: Delivery,
}

/// Why a connection ends, as its peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseCode {
    /// Nothing is wrong: the node goes away.
    Done,
    /// Bytes that are not in the protocol.
    Protocol,
    /// No common version.
    Version,
    /// No handshake, or half a frame, for too long.
    Silent,
    /// More than was granted, or a peer that does not read.
    Limit,
}

impl CloseCode {
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Done => 0,
            Self::Protocol => 1,
            Self::Version => 2,
            Self::Silent => 3,
            Self::Limit => 4,
        }
    }
}

/// The most services that a peer may announce.
const MAX_SERVICES: usize = 1024;

impl<C, I> Machine<C, I> {
    /// A connection that has just been made. The first frame is ready to be sent.
    pub(crate) fn new(local: Hello, settings: Settings, hello_by: Instant) -> Self {
        let mut out = Outbox::default();
        // Its only text is an address, which is bounded.
        let _ = local.encode(&mut out.control);
        Self {
            // Beside a header of any length a body of this length is within a frame.
            settings: Settings { own_stream: settings.own_stream.min(128 * 1024), ..settings },
            serving: Serving::new(local.grants),
            local,
            peer: None,
            hello_by,
            leaving: None,
            left: false,
            ended: false,
            calling: Calling::default(),
            streams: Streams::default(),
            services: BTreeMap::new(),
            watched: false,
            out,
        }
    }

    #[cfg(any(test, fuzzing))]
    /// Whether the handshake is through.
    pub(crate) fn is_open(&self) -> bool {
        self.peer.is_some() && !self.ended
    }

    /// How the peer introduced itself.
    pub(crate) fn peer(&self) -> Option<&Hello> {
        self.peer.as_ref().map(|peer| &peer.hello)
    }

    /// The version that both sides speak.
    pub(crate) fn version(&self) -> Option<u32> {
        self.peer.as_ref().map(|peer| peer.version)
    }

    /// The digest of a service, if the peer has announced the service.
    pub(crate) fn digest(&self, service: &str) -> Option<u64> {
        self.services.get(service).copied()
    }

    /// Takes a frame of the control stream.
    pub(crate) fn control(&mut self, frame: Frame, events: &mut Vec<Event<C, I>>) {
        if self.is_ending() {
            return;
        }
        match (frame, &self.peer) {
            (Frame::Hello(hello), None) => match self.local.versions.agree(hello.versions) {
                Some(version) => {
                    self.peer = Some(Peer { hello, version });
                    events.push(Event::Open);
                }
                None => {
                    let (ours, theirs) = (self.local.versions, hello.versions);
                    let reason = format!(
                        "no common version of the wire: this side speaks {} to {}, the other one {} to {}; update \
                         the older one",
                        ours.oldest, ours.newest, theirs.oldest, theirs.newest
                    );
                    self.violated(CloseCode::Version, reason);
                }
            },
            (_, None) => self.violated(CloseCode::Protocol, "the first frame is no hello"),
            (Frame::Service(service), Some(_)) => {
                let known = self.services.contains_key(&service.name);
                if !known && self.services.len() >= MAX_SERVICES {
                    return self.violated(CloseCode::Limit, "more services than a node may announce");
                }
                self.services.insert(service.name.clone(), service.digest);
                events.push(Event::Service(service));
            }
            (Frame::Ask(service), Some(_)) => {
                if self.out.control.len() > self.settings.backlog {
                    return self.violated(CloseCode::Limit, "more questions than answers are read");
                }
                events.push(Event::Asked(service));
            }
            (Frame::Table(table), Some(_)) => events.push(Event::Table(table)),
            // It is said once.
            (Frame::Goodbye(_), Some(_)) if self.leaving.is_some() => {}
            (Frame::Goodbye(reason), Some(_)) => {
                self.leaving = Some(reason.clone());
                events.push(Event::Goodbye(reason));
                events.extend(self.calling.take_queued().map(Event::Returned));
            }
            (_, Some(_)) => {
                self.violated(CloseCode::Protocol, "a frame that does not belong to the control stream");
            }
        }
    }

    /// Takes a frame of the lane.
    #[inline]
    pub(crate) fn lane(&mut self, now: Instant, frame: Frame, events: &mut Vec<Event<C, I>>) {
        if self.is_ending() {
            return;
        }
        let taken = match frame {
            _ if self.peer.is_none() => {
                Err(Violation(CloseCode::Protocol, "the lane comes before the hello".into()))
            }
            Frame::Call(header, body) => {
                self.call_came(CallHeader { arrived: Some(now), ..header }, body, events)
            }
            Frame::Reply(header) => self.reply_came(header, events),
            frame => self.other_came(now, frame, events),
        };
        if let Err(Violation(code, reason)) = taken {
            self.violated(code, reason);
        }
    }

    #[inline]
    fn call_came(
        &mut self,
        header: CallHeader,
        body: Bytes,
        events: &mut Vec<Event<C, I>>,
    ) -> Result<(), Violation> {
        let (call, stream) = (header.call, header.stream);
        if self.streams.has(call) {
            return Err(Violation::protocol(format!(
                "call {call} was made before, and its stream has not ended"
            )));
        }
        self.serving.call(header, body, events)?;
        if stream { self.streams.announced(call) } else { Ok(()) }
    }

    #[inline]
    fn reply_came(&mut self, header: ReplyHeader, events: &mut Vec<Event<C, I>>) -> Result<(), Violation> {
        let (call, stream) = (header.call, header.stream);
        if let WireReply::Failed(failure) = &header.reply
            && failure.delivery() == Delivery::NotDelivered
        {
            // Nobody has asked for its stream, and nobody will.
            self.streams.drop_outgoing(StreamId::outgoing(Part::Arguments, call), &mut self.out);
        }
        self.calling.reply(header, &self.local.grants, events)?;
        if stream && matches!(events.last(), Some(Event::Begun(_, begun)) if *begun == call) {
            self.streams.begun(call);
        }
        Ok(())
    }

    #[inline(never)]
    fn other_came(
        &mut self,
        now: Instant,
        frame: Frame,
        events: &mut Vec<Event<C, I>>,
    ) -> Result<(), Violation> {
        match frame {
            Frame::Bind(bind) => self.serving.bind(bind, events),
            Frame::Release(target) => self.serving.release(target, events),
            Frame::Cancel(call) => {
                let cancelled = self.serving.cancel(call, &mut self.out, events);
                self.streams.cancelled(call, &mut self.out, events);
                cancelled
            }
            Frame::Items(items) => {
                self.known(items.part, items.call)?;
                self.streams.items(items, &self.local.grants, events)
            }
            Frame::End(end) => {
                self.known(end.part, end.call)?;
                self.streams.end(end, events)
            }
            Frame::Room(part, call, room) => {
                self.streams.room(part, call, room, events);
                Ok(())
            }
            Frame::Stop(part, call) => {
                self.streams.stop(part, call, &mut self.out, events);
                Ok(())
            }
            Frame::Credit(credit) => {
                self.calling.credit(credit);
                self.send_queued(now, Some(credit.target));
                Ok(())
            }
            _ => Err(Violation::protocol("a frame that does not belong to the lane")),
        }
    }

    /// Items of a reply belong to a call that was made.
    fn known(&self, part: Part, call: u64) -> Result<(), Violation> {
        match part {
            Part::Reply if !self.calling.was_made(call) => {
                Err(Violation::protocol(format!("items for call {call}, which was not made")))
            }
            _ => Ok(()),
        }
    }

    /// A stream could not be cut into frames.
    pub(crate) fn broken(&mut self, error: FrameError) {
        self.violated(CloseCode::Protocol, error.to_string());
    }

    /// The peer does not do its part: the connection ends, and the peer is told why.
    pub(crate) fn violated(&mut self, code: CloseCode, reason: impl Into<String>) {
        if !self.is_ending() {
            self.out.close(code, reason.into());
        }
    }

    /// Whether the connection is at its end or about to be.
    pub(crate) fn is_ending(&self) -> bool {
        self.ended || self.out.closing.is_some()
    }

    /// Something may have to be done at this time.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        (self.peer.is_none() && !self.is_ending()).then_some(self.hello_by)
    }

    /// Does what is to be done by now.
    pub(crate) fn timeout(&mut self, now: Instant) {
        if self.next_timeout().is_some_and(|at| at <= now) {
            self.violated(CloseCode::Silent, "the peer did not introduce itself in time");
        }
    }

    /// Tells the peer that a service is served here.
    pub(crate) fn announce(&mut self, service: &ServiceDigest) {
        // A name that no peer reads is that of no service that anybody could call.
        if service.name.len() <= MAX_NAME {
            let _ = service.encode(&mut self.out.control);
        }
    }

    /// Asks for the methods of a service.
    pub(crate) fn ask(&mut self, service: &str) {
        if service.len() <= MAX_NAME {
            let _ = encode_ask(service, &mut self.out.control);
        }
    }

    /// Answers [`Event::Asked`].
    pub(crate) fn tell(&mut self, table: &ServiceTable) {
        if table.encode(&mut self.out.control).is_err() {
            // More methods than a frame carries: the peer learns that there is no table.
            let none = ServiceTable { name: table.name.clone(), methods: None };
            let _ = none.encode(&mut self.out.control);
        }
    }

    /// This side takes no more calls.
    pub(crate) fn goodbye(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.left, true) {
            encode_goodbye(reason, &mut self.out.control);
        }
    }

    /// Whether somebody looks after the deadlines of our calls from now on. Gives what was so before.
    pub(crate) fn set_watched(&mut self, watched: bool) -> bool {
        std::mem::replace(&mut self.watched, watched)
    }

    #[cfg(any(test, fuzzing))]
    /// What the peer said when it took leave.
    pub(crate) fn leaving(&self) -> Option<&str> {
        self.leaving.as_deref()
    }

    /// The connection is gone: everything that was under way comes out, our calls and theirs.
    pub(crate) fn end(&mut self) -> (Vec<Lost<C>>, Vec<I>) {
        self.ended = true;
        let calls = self.calling.end(&self.out);
        let served = self.serving.end();
        self.streams.clear();
        self.out.end();
        (calls, served)
    }

    /// Panics if the machine keeps more than its peer was granted, beside calls that were handed out.
    #[cfg(any(test, fuzzing))]
    pub(super) fn check_bounds(&self, handed_out: usize) {
        let Grants { calls, bytes, total_bytes, targets, message } = self.local.grants;
        let Serving { calls: theirs, targets: bound, bytes: kept, .. } = &self.serving;
        assert!(bound.len() <= targets as usize);
        assert!(*kept < total_bytes + message);
        assert!(bound.values().all(|target| target.calls <= calls && target.bytes < bytes + message));
        assert!(theirs.len() <= (targets * calls) as usize + handed_out, "calls of theirs: {}", theirs.len());
        assert!(self.services.len() <= MAX_SERVICES);
        self.streams.check_bounds();
        let frame = super::frame::MAX_FRAME as usize;
        assert!(self.out.lane.len() <= self.settings.max_backlog + frame || self.is_ending());
        assert!(self.out.reply_bytes() <= self.settings.max_backlog as u64 + message);
        assert!(self.out.closing.as_ref().is_none_or(|closing| !closing.reason.is_empty()));
    }

    /// The body of a call of theirs, or of a reply to one of ours, begins to arrive: how long it is to be. `None` if
    /// nothing is known of it yet.
    pub(crate) fn body_expected(&self, body: super::StreamKind) -> Option<Expected> {
        match body {
            super::StreamKind::CallBody(call) => self.serving.body_expected(call),
            super::StreamKind::ReplyBody(call) => Some(self.calling.body_expected(call)?),
            super::StreamKind::Item(part, call, number) => {
                // Items of arguments come when they were asked for. Those of a reply may come before it.
                let reply = part == Part::Reply && self.calling.body_expected(call).is_none();
                let unknown = if reply { None } else { Some(Expected::Nothing) };
                self.streams.item_expected(StreamId::incoming(part, call), number, unknown)
            }
            _ => Some(Expected::Nothing),
        }
    }

    /// It has arrived.
    pub(crate) fn body_arrived(
        &mut self,
        kind: super::StreamKind,
        body: Bytes,
        events: &mut Vec<Event<C, I>>,
    ) {
        if self.is_ending() {
            return;
        }
        match kind {
            super::StreamKind::CallBody(call) => {
                if let Err(Violation(code, reason)) = self.serving.body_arrived(call, body, events) {
                    self.violated(code, reason);
                }
            }
            super::StreamKind::ReplyBody(call) => self.calling.body_arrived(call, body, events),
            super::StreamKind::Item(part, call, number) => {
                let id = StreamId::incoming(part, call);
                if let Err(Violation(code, reason)) = self.streams.item_arrived(id, number, body, events) {
                    self.violated(code, reason);
                }
            }
            _ => {}
        }
    }

    /// It was broken off. A call keeps its place until its cancellation comes, which is on its way: calls that come
    /// after it on the lane would overtake the ones before it.
    pub(crate) fn body_failed(&mut self, kind: super::StreamKind, events: &mut Vec<Event<C, I>>) {
        match kind {
            super::StreamKind::ReplyBody(call) if !self.is_ending() => self.calling.body_failed(call, events),
            super::StreamKind::CallBody(call) => self.serving.body_failed(call),
            super::StreamKind::Item(part, call, number) if !self.is_ending() => {
                let id = StreamId::incoming(part, call);
                if let Some(Expected::Bytes(_)) = self.streams.item_expected(id, number, None) {
                    self.streams.item_failed(id, &mut self.out, events);
                }
            }
            _ => {}
        }
    }
}

/// What is known of a body that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It is wanted, and so long.
    Bytes(u64),
    /// Nobody wants it any more.
    Nothing,
}

/// Something that the peer must not do.
struct Violation(CloseCode, String);

impl Violation {
    fn protocol(reason: impl Into<String>) -> Self {
        Self(CloseCode::Protocol, reason.into())
    }

    fn limit(reason: impl Into<String>) -> Self {
        Self(CloseCode::Limit, reason.into())
    }
}

/// Which of our grants hold for a peer.
fn within(grants: &Grants, length: u64) -> bool {
    length <= grants.message
}
