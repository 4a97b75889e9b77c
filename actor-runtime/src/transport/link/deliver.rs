//! What arrives, on its way to calls and actors.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Introduced, Link, Progress, Wire,
    served::{Begun, Inbound},
};
use crate::{
    call::{Delivery, Failure, FailureKind},
    node::Node,
    panics::text_of,
    proto::{
        CloseCode, Closing, Event, Expected, Frame, FrameError, Part, RawFrames, Ready, StreamId, StreamKind,
        StreamWork, Weight,
    },
    sync::lock,
};

pub(super) type Happened = Event<super::Sent, Begun>;
pub(super) type Events = Vec<Happened>;

impl Link {
    /// Frames of the control stream came.
    pub(crate) fn control(&self, frames: &mut Vec<Frame>) {
        self.arrives(|machine, events| {
            for frame in frames.drain(..) {
                machine.control(frame, events);
            }
        });
    }

    /// Frames of the lane came, one by one.
    pub(crate) fn lane(&self, frames: &mut Vec<Frame>) {
        let now = self.now();
        self.arrives(|machine, events| {
            for frame in frames.drain(..) {
                machine.lane(now, frame, events);
            }
        });
    }

    /// Something came: the machine takes it, and what it makes of it is told.
    fn arrives(&self, take: impl FnOnce(&mut Wire, &mut Events)) {
        let mut arriving = lock(&self.arriving);
        let events = &mut arriving.events;
        self.with(|machine| take(machine, events));
        self.tell(events);
        drop(arriving);
        self.read_left();
    }

    /// Frames of the lane, by the one who has the right to: each is read where the machine takes it.
    pub(super) fn take_in(&self, frames: &mut RawFrames, events: &mut Events) {
        let now = self.now();
        self.with(|machine| {
            if let Err(error) = frames.decode(|frame| machine.lane(now, frame, events)) {
                machine.broken(error);
            }
        });
        self.tell(events);
    }

    /// A stream could not be cut into frames.
    pub(crate) fn broken(&self, error: FrameError) {
        self.with(|machine| machine.broken(error));
    }

    /// Something may have to be done at this time.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.look(|machine| machine.next_timeout()).map(Instant::from_std)
    }

    /// It is that time.
    pub(crate) fn time_passed(&self) {
        let now = self.now();
        self.with(|machine| machine.timeout(now));
    }

    /// The other side stopped in the middle of something.
    pub(crate) fn silent(&self, reason: &str) {
        self.with(|machine| machine.violated(CloseCode::Silent, reason));
    }

    /// The other side did what it must not do.
    pub(crate) fn violated(&self, reason: &str) {
        self.with(|machine| machine.violated(CloseCode::Protocol, reason));
    }

    /// Why this side ends the connection, if it does.
    pub(crate) fn closing(&self) -> Option<Closing> {
        self.look(|machine| machine.out.closing.clone())
    }

    /// Whether calls of the other side are under way here.
    pub(crate) fn serves(&self) -> bool {
        self.look(|machine| machine.serves() > 0)
    }

    /// What is known of a body that begins to arrive.
    pub(crate) fn body_expected(&self, kind: StreamKind) -> Option<Expected> {
        self.look(|machine| machine.body_expected(kind))
    }

    /// Whether the end of a body of a call of ours is still here.
    pub(crate) fn body_held(&self, kind: StreamKind, held: bool) {
        self.look(|machine| machine.body_held(kind, held));
    }

    pub(crate) fn body_arrived(&self, kind: StreamKind, body: Bytes) {
        self.arrives(|machine, events| machine.body_arrived(kind, body, events));
    }

    pub(crate) fn body_failed(&self, kind: StreamKind) {
        self.arrives(|machine, events| machine.body_failed(kind, events));
    }

    /// What there is to be sent; parks the waker if there is nothing.
    pub(crate) fn ready(&self, cx: &Context<'_>) -> Option<Ready> {
        self.look(|machine| machine.out.ready(cx))
    }

    pub(crate) fn poll_control(&self, cx: &Context<'_>) -> Poll<Bytes> {
        self.look(|machine| machine.out.poll_control(cx))
    }

    pub(crate) fn poll_lane(&self, cx: &Context<'_>) -> Poll<Bytes> {
        let (taken, writers) = self.look(|machine| {
            let taken = machine.out.poll_lane(cx);
            if taken.is_ready() {
                machine.lane_was_taken();
            }
            (taken, machine.take_woken())
        });
        if !writers.is_empty() {
            writers.into_iter().for_each(Waker::wake);
        }
        taken
    }

    /// What is there for the lane now; wakes the waker when there is more that is to leave.
    pub(crate) fn take_lane(&self, cx: &Context<'_>) -> Bytes {
        let (taken, writers) = self.look(|machine| {
            let taken = machine.out.take_lane_now(cx);
            if !taken.is_empty() {
                machine.lane_was_taken();
            }
            (taken, machine.take_woken())
        });
        if !writers.is_empty() {
            writers.into_iter().for_each(Waker::wake);
        }
        taken
    }

    /// A body of this weight is about to be sent.
    pub(crate) fn body_leaves(&self, weight: Weight) {
        self.look(|machine| machine.body_leaves(weight));
    }

    /// It was sent, or broken off.
    pub(crate) fn body_left(&self, weight: Weight) {
        self.with(|machine| machine.body_left(weight));
    }

    /// The other side takes nothing of what is sent to it.
    pub(crate) fn unread(&self) {
        self.with(|machine| machine.violated(CloseCode::Limit, "the peer does not read what it asked for"));
    }

    pub(crate) fn poll_streams(&self, cx: &Context<'_>) -> Poll<StreamWork> {
        let (work, writers) = self.look(|machine| {
            let work = machine.out.poll_streams(cx);
            if matches!(work, Poll::Ready(StreamWork::Send(_))) {
                machine.lane_was_taken();
            }
            (work, machine.take_woken())
        });
        writers.into_iter().for_each(Waker::wake);
        work
    }

    /// Tells callers and actors what arrived.
    fn tell(&self, events: &mut Events) {
        if events.is_empty() {
            return;
        }
        let (Some(link), Some(node)) = (self.this(), self.node.upgrade()) else {
            // The node is going away: what callers wait for comes to them all the same.
            for event in events.drain(..) {
                match event {
                    Event::Reply(sent, reply) => self.receive(sent, reply),
                    Event::Returned(sent) => self.returned(sent),
                    Event::Items(id, piece) => self.items(id, piece),
                    Event::StreamEnd(id, end) => self.end_reader(id, end),
                    Event::Begun(sent, _) => sent.call.fail(&mut |_| {
                        let detail = "the caller's node went away before it had the stream";
                        Failure::new(FailureKind::Stopped, Delivery::Executed, detail)
                    }),
                    _ => {}
                }
            }
            return;
        };
        let mut inbound = lock(&self.inbound);
        let now = node.now();
        let mut events = events.drain(..);
        // A waker is foreign code, and so is what is dropped with a call: one that panics takes no other call with it.
        let mut tell_the_rest = || {
            for event in events.by_ref() {
                self.tell_one(event, &link, &node, now, &mut inbound);
            }
        };
        while let Err(panic) = catch_unwind(AssertUnwindSafe(&mut tell_the_rest)) {
            tracing::error!(peer = %self.far, panic = %text_of(&*panic), "what was woken or dropped with a call panicked");
        }
        inbound.hand_over(self, &node);
        drop(inbound);
        self.forget_if_asked();
    }

    fn tell_one(&self, event: Happened, link: &Arc<Self>, node: &Node, now: Instant, inbound: &mut Inbound) {
        match event {
            Event::Call(header, body) => inbound.take(link, node, now, header, body),
            Event::Reply(sent, reply) => self.receive(sent, reply),
            Event::Begun(sent, call) => {
                sent.call.receive_stream(link.reader(StreamId::incoming(Part::Reply, call)));
            }
            Event::Items(id, piece) => self.items(id, piece),
            Event::StreamEnd(id, end) => self.end_reader(id, end),
            Event::StreamAsked(id) => link.asked(node, id),
            Event::Stopped(id) => self.stopped(id),
            Event::Bound(bind, account) => inbound.bound(bind, account),
            Event::Released(target) => inbound.released(target),
            Event::Unbegun(target, length) => inbound.unbegun(self, target, length),
            Event::Abandoned(call) => {
                // Calls before it in this batch are handed over first: their order is the caller's.
                inbound.hand_over(self, node);
                call.left();
            }
            Event::Returned(sent) => self.returned(sent),
            Event::Open => self.open(node),
            Event::Service(service) => {
                tracing::debug!(peer = %self.far, service = %service.name, "the other side serves this");
            }
            Event::Asked(service) => self.answer(node, &service),
            Event::Table(table) => self.told(table),
            Event::Goodbye(reason) => {
                tracing::info!(peer = %self.far, %reason, "the other side takes no more calls");
                self.advance(Progress::Leaving);
                node.links().leads_no_more(self);
            }
        }
    }

    fn open(&self, node: &Node) {
        let (hello, version) = self.look(|machine| (machine.peer().cloned(), machine.version()));
        let Some(hello) = hello else { return };
        tracing::debug!(peer = %self.far, node = %hello.node, ?version, "connected");
        let address = hello.address.as_deref().and_then(|address| address.parse().ok());
        let _ = self.peer.set(Introduced { node: hello.node, address });
        self.announce_all(node);
        self.advance(Progress::Open);
    }

    /// The connection has come further; it never goes back.
    pub(super) fn advance(&self, to: Progress) {
        self.progress.change(|progress| {
            let further = rank(&to) > rank(progress);
            if further {
                *progress = to;
            }
            further
        });
    }
}

fn rank(progress: &Progress) -> u8 {
    match progress {
        Progress::Opening => 0,
        Progress::Open => 1,
        Progress::Leaving => 2,
        Progress::Ended(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        Node,
        proto::{Bind, CallHeader, Grants, Hello, VERSIONS},
    };

    /// As where the network shares the threads of the node's runtime.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_body_is_not_told_before_the_frames_that_came_before_it() {
        let node = Node::builder().build().unwrap();
        let link = Link::new(&node, "the test".to_owned(), None);
        let grants = Grants { calls: 8, bytes: 1000, total_bytes: 1000, targets: 8, message: 1000 };
        let hello = Hello { versions: VERSIONS, node: node.id(), address: None, grants };
        link.control(&mut vec![Frame::Hello(hello)]);
        let bind = Bind { target: 1, namespace: "default".into(), name: "actor".into(), actor: None };
        let header =
            CallHeader { call: 1, method: 1, target: 1, body_length: Some(4), ..CallHeader::default() };
        let kind = StreamKind::CallBody(1);

        // The reader of the lane is held up between the machine and the actors, and the body arrives.
        let held = lock(&link.inbound);
        let reads = std::thread::scope(|scope| {
            let lane = scope.spawn(|| {
                link.lane(&mut vec![Frame::Bind(bind), Frame::Call(header, Bytes::new())]);
            });
            while link.body_expected(kind).is_none() {
                std::thread::yield_now();
            }
            let body = scope.spawn(|| link.body_arrived(kind, Bytes::from_static(b"body")));
            std::thread::park_timeout(Duration::from_millis(50));
            let expected = link.body_expected(kind);
            drop(held);
            lane.join().unwrap();
            body.join().unwrap();
            expected
        });
        assert_eq!(reads, Some(Expected::Bytes(4)), "the machine has taken it already");
        // It has been answered: nobody serves here.
        assert!(!link.serves());
    }
}
