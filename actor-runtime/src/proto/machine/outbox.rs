//! What is to be sent.

use std::{
    collections::{BTreeSet, VecDeque},
    mem,
    ops::{AddAssign, SubAssign},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};

use super::CloseCode;
use crate::proto::StreamKind;

/// What a machine wants to be written, until its driver takes it.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(super) control: BytesMut,
    pub(super) lane: BytesMut,
    /// How many bytes of the lane were taken.
    taken: u64,
    pub(super) bodies: VecDeque<Body>,
    /// What is in `bodies`.
    waiting: Weight,
    /// What the driver has taken and not sent.
    pub(super) leaving: Weight,
    pub(super) aborts: VecDeque<Abort>,
    pub(crate) closing: Option<Closing>,
    /// Credit waits for the lane to get shorter.
    pub(super) credit_held: bool,
    parked: [Option<Waker>; 3],
}

/// A body that gets a stream of its own.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) kind: StreamKind,
    pub(crate) bytes: Bytes,
}

impl Body {
    pub(crate) fn weight(&self) -> Weight {
        let bytes = self.bytes.len() as u64;
        match self.kind {
            StreamKind::ReplyBody(_) => Weight { replies: bytes, items: 0 },
            StreamKind::Item(..) => Weight { replies: 0, items: bytes },
            // Those of calls are within the credit that the callee gave.
            _ => Weight::default(),
        }
    }
}

/// How many bytes of replies and of long items there are: a peer could ask for any number of them, and read none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) replies: u64,
    pub(crate) items: u64,
}

impl AddAssign for Weight {
    fn add_assign(&mut self, more: Self) {
        self.replies += more.replies;
        self.items += more.items;
    }
}

impl SubAssign for Weight {
    fn sub_assign(&mut self, less: Self) {
        self.replies -= less.replies;
        self.items -= less.items;
    }
}

/// A stream that nobody needs any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abort {
    /// One of ours: reset it.
    Sending(StreamKind),
    /// One of theirs: stop it.
    Receiving(StreamKind),
}

/// How the connection is to be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(crate) code: CloseCode,
    pub(crate) reason: String,
}

const CONTROL: usize = 0;
const LANE: usize = 1;
const STREAMS: usize = 2;

/// Those who take what is to be sent. To be told once the machine's lock is released.
#[must_use = "call `wake` once the lock is released"]
pub(crate) struct Woken([Option<Waker>; 3]);

impl Woken {
    #[inline]
    pub(crate) fn wake(self) {
        let Self([control, lane, streams]) = self;
        if let Some(lane) = lane {
            lane.wake();
        }
        if control.is_some() || streams.is_some() {
            Self::wake_rarely(control, streams);
        }
    }

    #[cold]
    fn wake_rarely(control: Option<Waker>, streams: Option<Waker>) {
        for waker in [control, streams].into_iter().flatten() {
            waker.wake();
        }
    }
}

/// What there is to do about streams of their own.
#[derive(Debug)]
pub(crate) enum StreamWork {
    Send(Body),
    Abort(Abort),
    Close(Closing),
}

/// Where there is something to be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) control: bool,
    pub(crate) lane: bool,
    pub(crate) streams: bool,
}

impl Outbox {
    /// What there is to be taken; parks the waker if there is nothing.
    pub(crate) fn ready(&mut self, cx: &Context<'_>) -> Option<Ready> {
        let ready = self.filled();
        if ready.control || ready.lane || ready.streams {
            return Some(ready);
        }
        for slot in &mut self.parked {
            park(slot, cx);
        }
        None
    }

    fn filled(&self) -> Ready {
        Ready {
            control: !self.control.is_empty(),
            lane: !self.lane.is_empty(),
            streams: !self.bodies.is_empty() || !self.aborts.is_empty() || self.closing.is_some(),
        }
    }

    /// Bytes for the control stream; parks the waker if there are none.
    pub(crate) fn poll_control(&mut self, cx: &Context<'_>) -> Poll<Bytes> {
        if self.control.is_empty() {
            park(&mut self.parked[CONTROL], cx);
            return Poll::Pending;
        }
        Poll::Ready(mem::take(&mut self.control).freeze())
    }

    /// Bytes for the lane; parks the waker if there are none.
    pub(crate) fn poll_lane(&mut self, cx: &Context<'_>) -> Poll<Bytes> {
        if self.lane.is_empty() {
            park(&mut self.parked[LANE], cx);
            return Poll::Pending;
        }
        Poll::Ready(self.take_lane())
    }

    /// What is there for the lane now, and parks the waker for what comes later.
    pub(crate) fn take_lane_now(&mut self, cx: &Context<'_>) -> Bytes {
        park(&mut self.parked[LANE], cx);
        self.take_lane()
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn take_control(&mut self) -> Bytes {
        mem::take(&mut self.control).freeze()
    }

    pub(crate) fn take_lane(&mut self) -> Bytes {
        self.taken += self.lane.len() as u64;
        self.lane.split().freeze()
    }

    /// Work on streams of their own; parks the waker if there is none.
    pub(crate) fn poll_streams(&mut self, cx: &Context<'_>) -> Poll<StreamWork> {
        match self.take_streams() {
            Some(work) => Poll::Ready(work),
            None => {
                park(&mut self.parked[STREAMS], cx);
                Poll::Pending
            }
        }
    }

    pub(crate) fn take_streams(&mut self) -> Option<StreamWork> {
        // First: a body may wait for the peer to allow a stream, and the end must not.
        if let Some(closing) = &self.closing {
            return Some(StreamWork::Close(closing.clone()));
        }
        if let Some(abort) = self.aborts.pop_front() {
            return Some(StreamWork::Abort(abort));
        }
        let body = self.bodies.pop_front()?;
        self.waiting -= body.weight();
        Some(StreamWork::Send(body))
    }

    /// Who is to be woken for what was put in since.
    pub(crate) fn woken(&mut self) -> Woken {
        let filled = self.filled();
        self.take_parked(filled)
    }

    /// The same, without who takes the lane.
    pub(crate) fn woken_beside_lane(&mut self) -> Woken {
        let filled = self.filled();
        self.take_parked(Ready { lane: false, ..filled })
    }

    fn take_parked(&mut self, ready: Ready) -> Woken {
        let mut take = |ready: bool, at: usize| if ready { self.parked[at].take() } else { None };
        Woken([take(ready.control, CONTROL), take(ready.lane, LANE), take(ready.streams, STREAMS)])
    }

    pub(crate) fn lane_len(&self) -> usize {
        self.lane.len()
    }

    /// Where the lane will be when all that is in it now is taken.
    pub(super) fn lane_end(&self) -> u64 {
        self.taken + self.lane.len() as u64
    }

    /// How much of the lane was taken.
    pub(super) fn lane_taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn send(&mut self, kind: StreamKind, bytes: Bytes) {
        let body = Body { kind, bytes };
        self.waiting += body.weight();
        self.bodies.push_back(body);
    }

    /// How many bytes of replies wait for streams of their own.
    pub(super) fn reply_bytes(&self) -> u64 {
        self.waiting.replies + self.leaving.replies
    }

    /// The same of long items.
    pub(super) fn item_bytes(&self) -> u64 {
        self.waiting.items + self.leaving.items
    }

    /// Forgets bodies that were not taken.
    pub(super) fn forget(&mut self, unwanted: impl Fn(StreamKind) -> bool) {
        let waiting = &mut self.waiting;
        self.bodies.retain(|body| {
            let unwanted = unwanted(body.kind);
            if unwanted {
                *waiting -= body.weight();
            }
            !unwanted
        });
    }

    /// The calls whose bodies were not taken: nobody can have seen those calls.
    pub(super) fn unsent_calls(&self) -> BTreeSet<u64> {
        let call = |body: &Body| match body.kind {
            StreamKind::CallBody(call) => Some(call),
            _ => None,
        };
        self.bodies.iter().filter_map(call).collect()
    }

    /// A stream is not needed any more; one of ours that was not begun is forgotten.
    pub(super) fn abort(&mut self, abort: Abort) {
        if let Abort::Sending(kind) = abort {
            let before = self.bodies.len();
            self.forget(|other| other == kind);
            if self.bodies.len() < before {
                return;
            }
        }
        self.aborts.push_back(abort);
    }

    pub(super) fn close(&mut self, code: CloseCode, reason: String) {
        self.closing.get_or_insert(Closing { code, reason });
    }

    /// Nothing will be sent any more.
    pub(super) fn end(&mut self) {
        // What is on the control stream and the lane may still be written: last words.
        self.bodies.clear();
        self.waiting = Weight::default();
        self.aborts.clear();
    }
}

fn park(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(parked) => parked.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_has_taken_the_lane_is_woken_once_for_what_comes_later() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut out = Outbox::default();
        out.lane.extend_from_slice(b"one");
        assert_eq!(out.take_lane_now(&Context::from_waker(&waker)), "one");
        out.woken().wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        out.lane.extend_from_slice(b"two");
        out.woken_beside_lane().wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        out.woken().wake();
        out.woken().wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(out.take_lane_now(&Context::from_waker(&waker)), "two");
        assert_eq!(out.take_lane_now(&Context::from_waker(&waker)), "");
    }
}
