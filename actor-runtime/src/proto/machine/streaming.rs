//! The streams of a connection: their credit, their order, their ends.
//!
//! ```text
//!   writer ── items, within its room ──► ITEMS ──► reader
//!          ◄── ROOM, as items are read ────────────
//!          ── END, with a failure if it broke off ─►          ◄── STOP: nobody reads
//! ```
//!
//! Either side forgets a stream at its end; what is still on its way then is ignored.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{Event, Expected, Machine, Outbox, Violation, within};
use crate::{
    call::{Delivery, Failure, FailureKind},
    proto::{
        Grants, Part, Room, StreamId, StreamKind,
        items::{End, Items, encode_room, encode_stop, lengths},
        reply::encode_stream_reply,
    },
    stream::Piece,
};

/// So many streams may be open in each direction.
pub(super) const MOST: usize = 4096;

/// With so many bytes on the lane, streams add no more.
const LANE_FULL: usize = 1024 * 1024;

#[derive(Default)]
pub(super) struct Streams {
    // In order, so that a simulated run repeats where all of them end.
    incoming: BTreeMap<StreamId, Incoming>,
    outgoing: BTreeMap<StreamId, Outgoing>,
    /// Those that wait for the lane to get shorter, or for long items to leave.
    held: Vec<StreamId>,
    /// Who is to be woken, once no lock is held.
    woken: Vec<Waker>,
}

/// A stream whose items come to this side.
struct Incoming {
    room: (u64, i64),
    /// How many long items were announced.
    large: u64,
    /// From the first long item on whose body has not come.
    held: VecDeque<Held>,
}

enum Held {
    Items(Bytes),
    Large { number: u64, length: u64, body: Option<Bytes> },
    End(Option<Failure>),
}

/// A stream whose items leave from this side.
struct Outgoing {
    room: (u64, i64),
    /// Whether the reader has asked for it.
    asked: bool,
    large: u64,
    /// It waits for the lane to get shorter, or for long items to leave.
    held: bool,
    writer: Option<Waker>,
}

/// What a writer may send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamRoom {
    pub(crate) items: u64,
    pub(crate) bytes: i64,
}

const WINDOW: (u64, i64) = (Room::WINDOW.items, Room::WINDOW.bytes as i64);

impl Streams {
    /// A call of ours leaves with a stream.
    pub(super) fn announce(&mut self, call: u64) {
        let id = StreamId::outgoing(Part::Arguments, call);
        self.outgoing
            .insert(id, Outgoing { room: (0, 0), asked: false, large: 0, held: false, writer: None });
    }

    /// A call of theirs came with a stream.
    pub(super) fn announced(&mut self, call: u64) -> Result<(), Violation> {
        if self.incoming.len() >= MOST {
            return Err(Violation::limit("more streams than are granted"));
        }
        let id = StreamId::incoming(Part::Arguments, call);
        self.incoming.insert(id, Incoming { room: (0, 0), large: 0, held: VecDeque::new() });
        Ok(())
    }

    /// A call of ours is answered with a stream.
    pub(super) fn begun(&mut self, call: u64) {
        let id = StreamId::incoming(Part::Reply, call);
        self.incoming.insert(id, Incoming { room: WINDOW, large: 0, held: VecDeque::new() });
    }

    /// Whether a stream of a call of theirs is under way.
    pub(super) fn has(&self, call: u64) -> bool {
        self.incoming.contains_key(&StreamId::incoming(Part::Arguments, call))
            || self.outgoing.contains_key(&StreamId::outgoing(Part::Reply, call))
    }

    pub(super) fn is_full(&self) -> bool {
        self.outgoing.len() >= MOST
    }

    /// Forgets what leaves of a stream. True if there was such a one.
    pub(super) fn drop_outgoing(&mut self, id: StreamId, out: &mut Outbox) -> bool {
        let Some(outgoing) = self.outgoing.remove(&id) else { return false };
        self.woken.extend(outgoing.writer);
        let item = |kind: StreamKind| matches!(kind, StreamKind::Item(part, call, _) if (part, call) == (id.part, id.call));
        out.forget(item);
        true
    }

    /// Forgets what comes of a stream. True if there was such a one.
    pub(super) fn drop_incoming(&mut self, id: StreamId) -> bool {
        self.incoming.remove(&id).is_some()
    }

    /// A call of theirs is over for its caller: so are its streams.
    pub(super) fn cancelled<C, I>(&mut self, call: u64, out: &mut Outbox, events: &mut Vec<Event<C, I>>) {
        let arguments = StreamId::incoming(Part::Arguments, call);
        if self.drop_incoming(arguments) {
            let failure = Failure::new(FailureKind::Cancelled, Delivery::Unknown, "the caller has left");
            events.push(Event::StreamEnd(arguments, Some(failure)));
        }
        self.drop_outgoing(StreamId::outgoing(Part::Reply, call), out);
    }

    pub(super) fn items<C, I>(
        &mut self,
        frame: Items,
        grants: &Grants,
        events: &mut Vec<Event<C, I>>,
    ) -> Result<(), Violation> {
        let id = StreamId::incoming(frame.part, frame.call);
        // Else nobody reads it any more.
        let Some(stream) = self.incoming.get_mut(&id) else { return Ok(()) };
        let mut take = |length: u64| {
            if !within(grants, length) {
                return Err(Violation::limit(format!("an item of {length} bytes")));
            }
            if stream.room.0 == 0 || stream.room.1 <= 0 {
                return Err(Violation::limit("an item beyond its credit"));
            }
            stream.room.0 -= 1;
            stream.room.1 = stream.room.1.saturating_sub_unsigned(length);
            Ok(())
        };
        if let Some(length) = frame.large {
            take(length)?;
            stream.large += 1;
            stream.held.push_back(Held::Large { number: stream.large, length, body: None });
            return Ok(());
        }
        if frame.items.is_empty() {
            return Ok(());
        }
        for length in lengths(&frame.items) {
            take(length.map_err(|error| Violation::protocol(format!("items: {error}")))?)?;
        }
        if stream.held.is_empty() {
            events.push(Event::Items(id, Piece::Items(frame.items)));
        } else {
            stream.held.push_back(Held::Items(frame.items));
        }
        Ok(())
    }

    pub(super) fn end<C, I>(&mut self, frame: End, events: &mut Vec<Event<C, I>>) -> Result<(), Violation> {
        let id = StreamId::incoming(frame.part, frame.call);
        let Some(stream) = self.incoming.get_mut(&id) else { return Ok(()) };
        match stream.held.back() {
            None => {
                self.incoming.remove(&id);
                events.push(Event::StreamEnd(id, frame.failure));
            }
            Some(Held::End(_)) => return Err(Violation::protocol("a second end of a stream")),
            Some(_) => stream.held.push_back(Held::End(frame.failure)),
        }
        Ok(())
    }

    pub(super) fn room<C, I>(&mut self, part: Part, call: u64, room: Room, events: &mut Vec<Event<C, I>>) {
        let id = StreamId::outgoing(part, call);
        let Some(stream) = self.outgoing.get_mut(&id) else { return };
        stream.room.0 = stream.room.0.saturating_add(room.items);
        stream.room.1 = stream.room.1.saturating_add_unsigned(room.bytes);
        self.woken.extend(stream.writer.take());
        if !mem::replace(&mut stream.asked, true) {
            events.push(Event::StreamAsked(id));
        }
    }

    pub(super) fn stop<C, I>(
        &mut self,
        part: Part,
        call: u64,
        out: &mut Outbox,
        events: &mut Vec<Event<C, I>>,
    ) {
        let id = StreamId::outgoing(part, call);
        if self.drop_outgoing(id, out) {
            events.push(Event::Stopped(id));
        }
    }

    /// What is known of a long item that begins to arrive. `unknown` if nothing is known of its stream.
    pub(super) fn item_expected(
        &self,
        id: StreamId,
        number: u64,
        unknown: Option<Expected>,
    ) -> Option<Expected> {
        let Some(stream) = self.incoming.get(&id) else { return unknown };
        let held = stream.held.iter().find_map(|held| match held {
            Held::Large { number: held, length, body: None } if *held == number => Some(*length),
            _ => None,
        });
        match held {
            Some(length) => Some(Expected::Bytes(length)),
            None if number > stream.large => None,
            None => Some(Expected::Nothing),
        }
    }

    pub(super) fn item_arrived<C, I>(
        &mut self,
        id: StreamId,
        number: u64,
        arrived: Bytes,
        events: &mut Vec<Event<C, I>>,
    ) -> Result<(), Violation> {
        let Some(stream) = self.incoming.get_mut(&id) else { return Ok(()) };
        for held in &mut stream.held {
            if let Held::Large { number: announced, length, body } = held
                && *announced == number
                && body.is_none()
            {
                if arrived.len() as u64 != *length {
                    return Err(Violation::protocol("an item is not as long as was said"));
                }
                *body = Some(arrived);
                break;
            }
        }
        while let Some(held) = stream.held.pop_front() {
            match held {
                Held::Items(items) => events.push(Event::Items(id, Piece::Items(items))),
                Held::Large { body: Some(body), .. } => events.push(Event::Items(id, Piece::Large(body))),
                held @ Held::Large { .. } => {
                    stream.held.push_front(held);
                    break;
                }
                Held::End(end) => {
                    events.push(Event::StreamEnd(id, end));
                    self.incoming.remove(&id);
                    break;
                }
            }
        }
        Ok(())
    }

    /// A long item was broken off: what comes behind it would come in its place.
    pub(super) fn item_failed<C, I>(
        &mut self,
        id: StreamId,
        out: &mut Outbox,
        events: &mut Vec<Event<C, I>>,
    ) {
        if self.drop_incoming(id) {
            encode_stop(id.part, id.call, &mut out.lane);
            let detail = "an item was cut short on its way";
            let failure = Failure::new(FailureKind::ConnectionLost, Delivery::Executed, detail);
            events.push(Event::StreamEnd(id, Some(failure)));
        }
    }

    /// The lane is shorter, or a long item has left.
    pub(super) fn release(&mut self) {
        for id in self.held.drain(..) {
            if let Some(stream) = self.outgoing.get_mut(&id) {
                stream.held = false;
                self.woken.extend(stream.writer.take());
            }
        }
    }

    /// Everything ends.
    pub(super) fn clear(&mut self) {
        self.incoming.clear();
        for stream in mem::take(&mut self.outgoing).into_values() {
            self.woken.extend(stream.writer);
        }
        self.held.clear();
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn check_bounds(&self) {
        let of_theirs = |id: &&StreamId| id.is_argument_of_theirs();
        assert!(self.incoming.keys().filter(of_theirs).count() <= MOST);
    }
}

impl<C, I> Machine<C, I> {
    /// Ends a call of theirs with a stream, of which nothing is sent yet. False if its caller has left.
    pub(crate) fn reply_stream(&mut self, number: u64) -> bool {
        if !self.serving.is_served(number) || self.is_ending() {
            return false;
        }
        if self.streams.is_full() {
            let detail = format!("{MOST} streams are open on this connection; end some first");
            let failure = Failure::new(FailureKind::Overloaded, Delivery::Executed, detail);
            self.reply(number, &crate::call::WireReply::Failed(failure));
            return false;
        }
        self.serving.answered(number);
        encode_stream_reply(number, &mut self.out.lane);
        let id = StreamId::outgoing(Part::Reply, number);
        let stream = Outgoing { room: WINDOW, asked: true, large: 0, held: false, writer: None };
        self.streams.outgoing.insert(id, stream);
        self.check_backlog();
        true
    }

    /// How much may be sent now. `None` if the stream is not wanted any more; the waker is kept if it has to wait, and
    /// for when that happens.
    pub(crate) fn poll_stream_room(&mut self, id: StreamId, cx: &Context<'_>) -> Poll<Option<StreamRoom>> {
        let crowded =
            self.out.lane.len() >= LANE_FULL || self.out.item_bytes() >= self.settings.backlog as u64;
        let Some(stream) = self.streams.outgoing.get_mut(&id) else { return Poll::Ready(None) };
        match &mut stream.writer {
            Some(writer) => writer.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        let (items, bytes) = stream.room;
        if items == 0 || bytes <= 0 {
            return Poll::Pending;
        }
        if crowded {
            if !mem::replace(&mut stream.held, true) {
                self.streams.held.push(id);
            }
            return Poll::Pending;
        }
        Poll::Ready(Some(StreamRoom { items, bytes }))
    }

    /// Sends so many items of so many bytes, each behind its length, and one that travels alone behind them.
    pub(crate) fn send_items(&mut self, id: StreamId, items: Bytes, room: Room, large: Option<Bytes>) {
        let Some(stream) = self.streams.outgoing.get_mut(&id) else { return };
        let StreamId { part, call, .. } = id;
        stream.room.0 = stream.room.0.saturating_sub(room.items);
        stream.room.1 = stream.room.1.saturating_sub_unsigned(room.bytes);
        if room.items > 0 {
            Items { part, call, large: None, items }.encode(&mut self.out.lane);
        }
        if let Some(body) = large {
            let length = body.len() as u64;
            stream.room.0 = stream.room.0.saturating_sub(1);
            stream.room.1 = stream.room.1.saturating_sub_unsigned(length);
            stream.large += 1;
            let kind = StreamKind::Item(part, call, stream.large);
            Items { part, call, large: Some(length), items: Bytes::new() }.encode(&mut self.out.lane);
            self.out.send(kind, body);
        }
        self.check_backlog();
    }

    /// Says that a stream is over, and whether it broke off.
    pub(crate) fn end_stream(&mut self, id: StreamId, failure: Option<Failure>) {
        if self.streams.outgoing.remove(&id).is_some() && !self.is_ending() {
            End { part: id.part, call: id.call, failure }.encode(&mut self.out.lane);
            self.check_backlog();
        }
    }

    /// A call of ours comes back before it was sent, or was refused: its stream leaves another way.
    pub(crate) fn withdraw_stream(&mut self, call: u64) {
        self.streams.drop_outgoing(StreamId::outgoing(Part::Arguments, call), &mut self.out);
    }

    /// The reader has room for so much more.
    pub(crate) fn give_stream_room(&mut self, id: StreamId, room: Room) {
        let ending = self.is_ending();
        let Some(stream) = self.streams.incoming.get_mut(&id) else { return };
        stream.room.0 = stream.room.0.saturating_add(room.items);
        stream.room.1 = stream.room.1.saturating_add_unsigned(room.bytes);
        if !ending {
            encode_room(id.part, id.call, room, &mut self.out.lane);
            self.check_backlog();
        }
    }

    /// Nobody reads a stream any more.
    pub(crate) fn stop_stream(&mut self, id: StreamId) {
        let Some(stream) = self.streams.incoming.remove(&id) else { return };
        if self.is_ending() {
            return;
        }
        encode_stop(id.part, id.call, &mut self.out.lane);
        for held in stream.held {
            if let Held::Large { number, body: None, .. } = held {
                self.out.abort(super::Abort::Receiving(StreamKind::Item(id.part, id.call, number)));
            }
        }
        self.check_backlog();
    }

    /// The writers that are to be woken, once no lock is held.
    pub(crate) fn take_woken(&mut self) -> Vec<Waker> {
        mem::take(&mut self.streams.woken)
    }

    /// The most that an item may have.
    pub(crate) fn longest_item(&self) -> (usize, usize) {
        let longest =
            self.peer().map_or(0, |peer| usize::try_from(peer.grants.message).unwrap_or(usize::MAX));
        (self.settings.own_stream, longest)
    }
}
