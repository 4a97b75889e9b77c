//! A stream that comes over a link: its items wait as bytes, and are read one by one.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use crate::{
    call::{Delivery, Failure, FailureKind},
    proto::{Room, StreamId, take_length},
    sync::{Mutex, lock, park},
};

/// Where it comes from.
pub(crate) trait Upstream: Send + Sync {
    /// There is room for so much more.
    fn room(&self, stream: StreamId, room: Room);

    /// Nobody reads it any more.
    fn left(&self, stream: StreamId);

    /// Where its producer is.
    fn endpoint(&self) -> String;
}

/// What has arrived of a stream. The link puts in, the reader takes out.
pub(crate) struct Inbox {
    state: Mutex<Arrived>,
}

#[derive(Default)]
struct Arrived {
    pieces: VecDeque<Piece>,
    /// How it ended, if it has.
    end: Option<Option<Failure>>,
    reader: Option<Waker>,
}

/// Some of a stream.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Items, each behind its length.
    Items(Bytes),
    /// One long item.
    Large(Bytes),
}

/// The end that is read; dropping it stops the producer.
pub struct Incoming {
    inbox: Arc<Inbox>,
    upstream: Arc<dyn Upstream>,
    id: StreamId,
    /// Items that were taken out at once.
    items: Bytes,
    /// What was read since more room was given.
    read: Room,
    /// Nothing was asked for yet.
    unasked: bool,
}

impl Inbox {
    pub(crate) fn put(&self, piece: Piece) {
        // A few bytes of a large piece of memory would keep all of it.
        const SHARED: usize = 2 * 1024;
        let piece = match piece {
            Piece::Items(bytes) if bytes.len() < SHARED => Piece::Items(Bytes::copy_from_slice(&bytes)),
            piece => piece,
        };
        let mut state = lock(&self.state);
        if state.end.is_some() {
            return;
        }
        state.pieces.push_back(piece);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// It is over, behind all that was put in. Nothing happens if it was over before.
    pub(crate) fn end(&self, end: Option<Failure>) {
        let mut state = lock(&self.state);
        state.end.get_or_insert(end);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Incoming {
    /// A stream of which nothing has come yet. An argument is asked for when it is first read.
    pub(crate) fn new(upstream: Arc<dyn Upstream>, id: StreamId) -> (Self, Arc<Inbox>) {
        let inbox = Arc::new(Inbox { state: Mutex::default() });
        let unasked = id.is_argument_of_theirs();
        let incoming =
            Self { inbox: inbox.clone(), upstream, id, items: Bytes::new(), read: Room::default(), unasked };
        (incoming, inbox)
    }

    pub(super) fn endpoint(&self) -> String {
        self.upstream.endpoint()
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        if std::mem::take(&mut self.unasked) {
            self.upstream.room(self.id, Room::WINDOW);
        }
        if self.items.is_empty() {
            let mut state = lock(&self.inbox.state);
            match state.pieces.pop_front() {
                Some(Piece::Items(items)) => self.items = items,
                Some(Piece::Large(item)) => {
                    drop(state);
                    self.has_read(item.len());
                    return Poll::Ready(Some(Ok(item)));
                }
                None => {
                    if let Some(end) = &mut state.end {
                        return Poll::Ready(end.take().map(Err));
                    }
                    let replaced = park(&mut state.reader, cx.waker());
                    drop(state);
                    drop(replaced);
                    return Poll::Pending;
                }
            }
        }
        let Some(item) = take_length(&mut self.items) else {
            // The machine has looked at it.
            let detail = "items that were checked cannot be read; please report this";
            return Poll::Ready(Some(Err(Failure::new(FailureKind::Internal, Delivery::Executed, detail))));
        };
        self.has_read(item.len());
        Poll::Ready(Some(Ok(item)))
    }

    /// Gives room for more at each half of the window.
    fn has_read(&mut self, length: usize) {
        self.read.items += 1;
        self.read.bytes += length as u64;
        if self.read.items >= Room::WINDOW.items / 2 || self.read.bytes >= Room::WINDOW.bytes / 2 {
            let room = std::mem::take(&mut self.read);
            self.upstream.room(self.id, room);
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.upstream.left(self.id);
    }
}
