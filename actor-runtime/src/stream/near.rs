//! A stream within one process: its producer runs in a task, and its values wait in a queue.

use std::{
    collections::VecDeque,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{
    cut_off,
    producer::{Polled, Producer},
    running::Running,
};
use crate::{
    Node,
    call::Failure,
    panics::discard,
    sync::{Mutex, lock, park},
};

/// How many values wait at most for a reader that has as many in hand.
pub(super) const ROOM: usize = 64;

/// How many batches are produced before other tasks of the thread have their turn.
const BATCHES: usize = 16;

struct Shared<T> {
    values: VecDeque<T>,
    /// How it ended, if it has.
    end: Option<Option<Failure>>,
    reader: Option<Waker>,
    producer: Option<Waker>,
    left: bool,
}

/// The end that is read.
pub(super) struct Reader<T> {
    shared: Arc<Mutex<Shared<T>>>,
    /// What was taken out at once.
    taken: VecDeque<T>,
}

/// Runs a producer as a task of this node.
pub(super) fn start<T: Send + 'static>(node: &Node, producer: Producer<T>) -> Reader<T> {
    let shared = Shared { values: VecDeque::new(), end: None, reader: None, producer: None, left: false };
    let shared = Arc::new(Mutex::new(shared));
    let running = producer.actor().map(|actor| node.producers().run(actor));
    let feeding =
        Feeding { producer: Some(producer), shared: shared.clone(), batch: VecDeque::new(), running };
    drop(node.spawn(feeding));
    Reader { shared, taken: VecDeque::new() }
}

impl<T> Reader<T> {
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Failure>>> {
        if self.taken.is_empty() {
            let mut shared = lock(&self.shared);
            mem::swap(&mut shared.values, &mut self.taken);
            if self.taken.is_empty() {
                if let Some(end) = &mut shared.end {
                    return Poll::Ready(end.take().map(Err));
                }
                let replaced = park(&mut shared.reader, cx.waker());
                drop(shared);
                drop(replaced);
                return Poll::Pending;
            }
            let producer = shared.producer.take();
            drop(shared);
            if let Some(producer) = producer {
                producer.wake();
            }
        }
        Poll::Ready(self.taken.pop_front().map(Ok))
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.left = true;
        let (values, producer) = (mem::take(&mut shared.values), shared.producer.take());
        drop(shared);
        if let Some(producer) = producer {
            producer.wake();
        }
        discard((values, mem::take(&mut self.taken)));
    }
}

/// The task of a producer.
struct Feeding<T> {
    producer: Option<Producer<T>>,
    shared: Arc<Mutex<Shared<T>>>,
    batch: VecDeque<T>,
    running: Option<Running>,
}

impl<T> Feeding<T> {
    /// Hands over what was produced, and how it ended if it has.
    fn hand_over(&mut self, end: Option<Option<Failure>>) {
        if self.batch.is_empty() && end.is_none() {
            return;
        }
        if end.is_some() {
            // Before the reader learns of the end: what the stream held is gone then.
            drop(self.producer.take());
        }
        let mut shared = lock(&self.shared);
        let left = shared.left;
        if !left {
            shared.values.append(&mut self.batch);
        }
        if let Some(end) = end
            && shared.end.is_none()
        {
            shared.end = Some(end);
        }
        let reader = shared.reader.take();
        drop(shared);
        if let Some(reader) = reader {
            reader.wake();
        }
        if left {
            discard(mem::take(&mut self.batch));
        }
    }

    /// How many values there is room for. `None` if nobody reads.
    fn poll_room(&self, cx: &Context<'_>) -> Poll<Option<usize>> {
        let mut shared = lock(&self.shared);
        if shared.left {
            return Poll::Ready(None);
        }
        // Also while there is room: a reader that leaves is to be noticed by a producer that waits.
        let replaced = park(&mut shared.producer, cx.waker());
        let room = ROOM - shared.values.len().min(ROOM);
        drop(shared);
        drop(replaced);
        match room {
            0 => Poll::Pending,
            room => Poll::Ready(Some(room)),
        }
    }
}

impl<T: Send + 'static> Future for Feeding<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Some(stopped) = this.running.as_ref().and_then(|running| running.poll_stopped(cx)) {
            this.hand_over(Some(Some(stopped)));
            return Poll::Ready(());
        }
        for _ in 0..BATCHES {
            let room = match this.poll_room(cx) {
                Poll::Ready(Some(room)) => room,
                Poll::Ready(None) => {
                    drop(this.producer.take());
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            };
            let Some(producer) = &mut this.producer else { return Poll::Ready(()) };
            let batch = &mut this.batch;
            let polled = producer.poll_some(cx, |value| {
                batch.push_back(value);
                batch.len() < room
            });
            match polled {
                Polled::Full => this.hand_over(None),
                Polled::Pending => {
                    this.hand_over(None);
                    return Poll::Pending;
                }
                Polled::Ended(end) => {
                    this.hand_over(Some(end));
                    return Poll::Ready(());
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// However the task ends, also with its runtime, nobody waits for it afterwards.
impl<T> Drop for Feeding<T> {
    fn drop(&mut self) {
        let shared = lock(&self.shared);
        let known = shared.left || shared.end.is_some();
        drop(shared);
        if !known {
            let end = cut_off("the runtime that the stream ran on has ended");
            self.hand_over(Some(Some(end)));
        }
    }
}

impl<T> Unpin for Feeding<T> {}
