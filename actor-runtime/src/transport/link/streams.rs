//! The streams of a connection: from producers on this side into the machine, and out of it to readers on this side.
//!
//! ```text
//!   Source ──► Writing (a task) ──► machine ──► lane          lane ──► machine ──► Inbox ──► Incoming ──► reader
//! ```
//!
//! A stream that a caller passes waits in `waiting` until the other side asks for it, which it does when its handler
//! reads: so a call that is refused still has all of its stream, and may be sent elsewhere.

use std::{
    collections::BTreeMap,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{Link, Sent};
use crate::{
    call::{Delivery, Failure, FailureKind},
    node::Node,
    panics::discard,
    proto::{Part, Room, StreamId, StreamRoom},
    stream::{Batch, Inbox, Incoming, Limits, Outgoing, Piece, Running, Upstream, Written},
    sync::lock,
};

/// Both ends of streams that are on this side.
#[derive(Default)]
pub(super) struct Ends {
    // In order, so that a simulated run repeats where all of them end.
    readers: BTreeMap<StreamId, Arc<Inbox>>,
    /// By their calls.
    waiting: BTreeMap<u64, Outgoing>,
}

/// How many batches a producer makes before other tasks of its thread have their turn.
const BATCHES: usize = 16;

impl Link {
    /// The end of a stream that comes to this side.
    pub(super) fn reader(self: &Arc<Self>, id: StreamId) -> Incoming {
        let (incoming, inbox) = Incoming::new(self.clone(), id);
        lock(&self.streams).readers.insert(id, inbox);
        if self.has_ended() {
            // Whoever ended it may have been here before.
            self.end_reader(id, Some(lost()));
        }
        incoming
    }

    pub(super) fn items(&self, id: StreamId, piece: Piece) {
        let inbox = lock(&self.streams).readers.get(&id).cloned();
        if let Some(inbox) = inbox {
            inbox.put(piece);
        }
    }

    pub(super) fn end_reader(&self, id: StreamId, end: Option<Failure>) {
        let inbox = lock(&self.streams).readers.remove(&id);
        if let Some(inbox) = inbox {
            inbox.end(end);
        }
    }

    /// A call leaves whose arguments have this stream.
    pub(super) fn keep(&self, call: u64, stream: Outgoing) {
        lock(&self.streams).waiting.insert(call, stream);
    }

    /// Nobody has asked for the stream of this call, and nobody will.
    pub(super) fn unasked(&self, call: u64) -> Option<Outgoing> {
        lock(&self.streams).waiting.remove(&call)
    }

    /// Nobody will ask for it: the call keeps it.
    pub(super) fn give_back(&self, sent: &Sent) {
        if let Some(stream) = self.unasked(sent.number) {
            self.look(|machine| machine.withdraw_stream(sent.number));
            sent.call.put_stream(stream);
        }
    }

    /// The other side reads a stream among the arguments of a call of ours.
    pub(super) fn asked(self: &Arc<Self>, node: &Node, id: StreamId) {
        if id.part == Part::Arguments
            && let Some(stream) = self.unasked(id.call)
        {
            self.write(node, id, stream);
        }
    }

    /// Nobody on the other side reads it.
    pub(super) fn stopped(&self, id: StreamId) {
        if id.part == Part::Arguments {
            discard(self.unasked(id.call));
        }
    }

    /// Sends the reply of a call of theirs: a stream.
    pub(super) fn serve_stream(self: &Arc<Self>, call: u64, stream: Outgoing) {
        let begun = self.with(|machine| machine.reply_stream(call));
        match self.node.upgrade() {
            Some(node) if begun => self.write(&node, StreamId::outgoing(Part::Reply, call), stream),
            _ => discard(stream),
        }
    }

    fn write(self: &Arc<Self>, node: &Node, id: StreamId, stream: Outgoing) {
        let running = stream.0.actor().map(|actor| node.producers().run(&actor));
        let (own_stream, longest) = self.look(|machine| machine.longest_item());
        let limits = Limits { own_stream, longest };
        let writing = Writing {
            link: self.clone(),
            id,
            stream: Some(stream),
            batch: Batch::default(),
            limits,
            running,
        };
        drop(node.spawn(writing));
    }

    /// The connection has ended, for this reason.
    pub(super) fn end_streams(&self, failure: impl Fn(Delivery) -> Failure) {
        let ends = mem::take(&mut *lock(&self.streams));
        for (id, inbox) in ends.readers {
            let delivery = if id.part == Part::Reply { Delivery::Executed } else { Delivery::Unknown };
            inbox.end(Some(failure(delivery)));
        }
        discard(ends.waiting);
    }
}

fn lost() -> Failure {
    Failure::new(FailureKind::ConnectionLost, Delivery::Executed, "the connection has ended")
}

impl Upstream for Link {
    fn room(&self, stream: StreamId, room: Room) {
        self.with(|machine| machine.give_stream_room(stream, room));
    }

    fn left(&self, stream: StreamId) {
        let inbox = lock(&self.streams).readers.remove(&stream);
        drop(inbox);
        self.with(|machine| machine.stop_stream(stream));
    }

    fn endpoint(&self) -> String {
        self.far.clone()
    }
}

/// The task of a producer whose reader is at the other side.
struct Writing {
    link: Arc<Link>,
    id: StreamId,
    stream: Option<Outgoing>,
    batch: Batch,
    limits: Limits,
    running: Option<Running>,
}

impl Writing {
    fn poll_room(&self, cx: &Context<'_>) -> Poll<Option<StreamRoom>> {
        self.link.look(|machine| machine.poll_stream_room(self.id, cx))
    }

    /// Sends what was written, and that it has ended if it has.
    fn send(&mut self, end: Option<Option<Failure>>) {
        let (items, count, bytes) = self.batch.take();
        let large = self.batch.large.take();
        if count == 0 && large.is_none() && end.is_none() {
            return;
        }
        if end.is_some() {
            // Before the reader learns of the end: what the stream held is gone then.
            discard(self.stream.take());
        }
        self.link.with(|machine| {
            machine.send_items(self.id, items, Room { items: count, bytes }, large);
            if let Some(end) = end {
                machine.end_stream(self.id, end);
            }
        });
    }
}

impl Future for Writing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Some(stopped) = this.running.as_ref().and_then(|running| running.poll_stopped(cx)) {
            this.send(Some(Some(stopped)));
            return Poll::Ready(());
        }
        for _ in 0..BATCHES {
            let room = match this.poll_room(cx) {
                Poll::Ready(Some(room)) => room,
                Poll::Ready(None) => {
                    discard(this.stream.take());
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            };
            let Some(stream) = &mut this.stream else { return Poll::Ready(()) };
            this.batch.begin(room, this.limits);
            match stream.0.poll_write(cx, &mut this.batch) {
                Written::Full => this.send(None),
                Written::Pending => {
                    this.send(None);
                    return Poll::Pending;
                }
                Written::Ended(end) => {
                    this.send(Some(end));
                    return Poll::Ready(());
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// However the task ends, also with its runtime, nobody waits for it afterwards.
impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            let detail = "the runtime that the stream ran on has ended";
            let failure = Failure::new(FailureKind::Stopped, Delivery::Executed, detail);
            self.link.with(|machine| machine.end_stream(self.id, Some(failure)));
            discard(stream);
        }
    }
}
